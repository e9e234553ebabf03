"""The session's reports: for the window, a take, OSC and the lights of buttons. They change nothing.

Threads: `status` runs on the window's thread or the command line's, `_take_info` on the thread that opens a take. The
rest runs on the threads of OSC and MIDI out. All of them only read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from jbdiff_live import __version__
from jbdiff_live.beat.conductor import Conductor
from jbdiff_live.block import Block, BlockGenerator
from jbdiff_live.control.midi.beat_keeper import BeatKeeper
from jbdiff_live.control.programs import ProgramChanges
from jbdiff_live.engine.generator import ModelGenerator
from jbdiff_live.parameters import BY_NAME, SCENES, ParameterSnapshot
from jbdiff_live.patch import save_patch
from jbdiff_live.record.running import Facts
from jbdiff_live.shown import shown
from jbdiff_live.stack_choice import StackPlaying, take_details
from jbdiff_live.status import ControlStatus, EngineStatus, Status
from jbdiff_live.wishes import Wishes


@runtime_checkable
class PlaysOnMachine(Protocol):
    """A generator whose samples depend on the machine. Optional."""

    @property
    def machine(self) -> Mapping[str, str | int]:
        """Facts of the machine; empty before it is known."""
        ...


class Reports(Wishes):
    """The status of `jbdiff_live.status.Transport`, and smaller reports. `Session` makes the parts below."""

    generator: BlockGenerator
    model: ModelGenerator | None  # the generator if it plays stacks
    conductor: Conductor
    beat_keeper: BeatKeeper
    programs: ProgramChanges
    _priority: str  # of the process, in words

    def status(self) -> Status:
        frame = self.audio.frames_heard
        block = self.tape.at(frame)
        stack = self.stack_desk.status
        problems = (
            self.session_desk.message(self.plays), stack.problem, self.stack_desk.complaint,
            self.patch_desk.problem, self.beat_keeper.status().problem,
            *self.sound_desk.problems,
        )  # fmt: skip
        return Status(
            frame=frame,
            sample_rate=self.generator.sample_rate,
            seconds_queued=self.audio.frames_queued / self.generator.sample_rate,
            engine=self.engine_status,
            audio=self.audio.status(),
            recorder=self.tape.status(),
            control=self._control_status(),
            clock=self.clock_desk.status(),
            heard=self._values_of(block),
            rung=None if block is None else block.rung,
            patch=self.patch_desk.name,
            program=self.patch_desk.program,
            patch_file=self.patch_desk.file,
            patch_values=self.patch_desk.values,
            stage_knobs=self.patch_desk.stage,
            reload_seconds=self.stack_desk.reload_seconds,
            stack=stack,
            context_file=shown(self.sound_desk.playing("context")),
            init_file=shown(self.sound_desk.playing("init")),
            priority=self._priority,
            message="; ".join(problem for problem in problems if problem),
            note=self.answers.newest,
            scenes=self.scene_desk.status(),
            undo=self.undo_desk.status(),
            past=self.past.status,
            library=self.library_desk.status(),
        )

    @property
    def engine_status(self) -> EngineStatus:
        """The engine's status, as the player sees it: before the first start it is ready, and does not run."""
        return self.engine.status.seen(self.asked)

    def _control_status(self) -> ControlStatus:
        status = self.links.status(self.controls.status(self.midi.status()))
        return replace(status, problem=status.problem or self.programs.problem)

    def _take_info(self, playing: StackPlaying | None) -> Mapping[str, object]:
        """Return the facts that a take keeps beside its sound. playing: the stack of its first block."""
        values = self.store.snapshot.values
        return {
            "app_version": __version__,
            **take_details(playing or self.stack_desk.status.playing),
            "machine": self.generator.machine if isinstance(self.generator, PlaysOnMachine) else {},
            "patch": self.patch_desk.name,
            "context_file": self.sound_desk.playing("context"),
            "init_file": self.sound_desk.playing("init"),
            "values": {name: BY_NAME[name].plain(value) for name, value in values.items()},
        }

    def _take_files(self) -> Iterable[Callable[[Path], object]]:
        """Return functions that write a take's further files: the patch as it is played, with its scenes."""
        return (lambda folder: save_patch(folder / "patch.toml", self.patch_desk.played()),)

    def _take_facts(self) -> Facts:
        """Return what a take logs whenever it changes. The recorder's thread."""
        audio = self.audio.status()
        states = {
            "device": audio.device,
            "device_problem": audio.problem,
            "input_device": audio.input_device,
            "patch": self.patch_desk.name,
            "scene": self.scene_desk.kept.active,
            "context_file": shown(self.sound_desk.playing("context")),
            "init_file": shown(self.sound_desk.playing("init")),
        }
        return Facts(self.audio.frames_heard, states, audio.underruns, audio.short_frames)

    @property
    def silent_device(self) -> bool:
        """True if the sound goes to recordings only."""
        return self.audio.silent

    def _heard(self) -> ParameterSnapshot | None:
        """Return the heard values: the snapshot of the audible block. None while nothing plays."""
        return self._values_of(self.tape.at(self.audio.frames_heard))

    def _values_of(self, block: Block | None) -> ParameterSnapshot | None:
        """Return the values of a sounding block, with the present values of `now` knobs; None without a block."""
        return None if block is None else block.heard.with_instant(self.conductor.sounding)

    def _states(self) -> Mapping[str, bool]:
        """Return the states for the lights of buttons: on or off by name."""
        active, comparing = self.scene_desk.kept.active, self.undo_desk.status().comparing
        return {
            "play": self.plays,
            "start": self.plays,
            "record": self.tape.status().recording,
            "compare": comparing,
            **{f"scene_{number}": number == active for number in range(1, SCENES + 1)},
        }

    def _played_from(self) -> object:
        """Return a value that changes with the LFOs and the files. Engine thread."""
        files = (None, None) if self.model is None else (self.model.context_file, self.model.init_file)
        return self.modulation.lfos, [id(file) for file in files]
