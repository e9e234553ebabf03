"""A session that is not there: real blocks of made-up music, a real parameter store, a clock turned by hand.

For the window's tests, its pictures (scripts/screenshot) and its timing (scripts/bench_window.py). One thread:
whoever calls. `advance(seconds)` plays; nothing happens by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from demo_clock import DemoClock
from demo_library import DemoLibrary, demo_entries
from demo_music import BEAT, RATE, music
from numpy.typing import NDArray

from jbdiff_live.beat.modulation import Lfo, Modulation
from jbdiff_live.binding import Binding, TakeoverMode, label
from jbdiff_live.block import Block, NoiseDrawn
from jbdiff_live.control_view import BindingRow, Waiting
from jbdiff_live.parameters import (
    Origin,
    ParameterSnapshot,
    ParameterStore,
)
from jbdiff_live.stack_choice import StackChoice, StackParts, StackPlaying, StackStatus
from jbdiff_live.status import AudioStatus, EngineState, EngineStatus, Loudness, RecorderStatus, Status
from jbdiff_live.system.patch_folders import user_patches_folder
from jbdiff_live.system.takes_folder import AlwaysOptions

BLOCK = 3 * BEAT // 2  # three quarters of a second
RECENT_SECONDS = 16

POCKET = StackParts("pocket", (2,), False, 192, 512 / 44_100, anchor=True, memory=True, steps=12)
V1 = StackParts("v1", (2, 1, 0), True, steps=250)


def stack_status(parts: StackParts, choice: StackChoice, hop: int | None = None) -> StackStatus:
    """A stack that plays what the choice names of its parts."""
    levels, finisher = choice.levels or parts.levels, choice.finisher and parts.finisher
    return StackStatus(choice, StackPlaying(choice.stack, levels, finisher, "", 0, parts, hop, choice.steps))


class DemoTransport(DemoClock, DemoLibrary):
    """Implements `jbdiff_live.status.Transport`. `asked` lists every call but the polled ones."""

    def __init__(self, block_frames: int = BLOCK) -> None:
        self.store = ParameterStore()
        self.frame = 0
        self.modulation = Modulation(lambda: self.frame / RATE)
        self.asked: list[tuple[object, ...]] = []
        self.folders: dict[str, Path] = {}
        self.refuse: dict[str, Exception] = {}  # name of a call -> what it raises
        self.block_frames = block_frames
        self.entries = demo_entries()
        self.blocks: deque[Block] = deque()
        self.bound: dict[str, str] = {
            "noise_step": "CC 74",
            "gain": "CC 7",
            "resample": "CC 1/33 14-bit",
            "panic": "note C1",
        }
        self.bindings_of = [
            Binding.parse("noise_step", "ch 1 CC 21 from 0.2 to 0.8 curve slow hold bar"),
            Binding.parse("resample", "ch 1 CC 1/33 14-bit scale"),
            Binding.parse("gain", "ch 1 CC 23 inverted"),
            Binding.parse("reroll", "ch 10 note C1"),
        ]
        self.state = Status(
            sample_rate=RATE,
            patch="first light",
            program=12,
            patch_file=str(Path("patches/first-light.toml").resolve()),
            recorder=RecorderStatus(
                seconds_left=18_720.0,
                takes=Path("/home/mia/Music/jbdiff-live"),
                always=AlwaysOptions(Path("/home/mia/.cache/jbdiff-live/always")),
                always_seconds=742.0,
            ),
            stack=stack_status(POCKET, StackChoice("pocket")),
            audio=AudioStatus(
                device="Scarlett 2i2 USB",
                sample_rate=RATE,
                latency_seconds=0.085,
                usual_latency_seconds=0.085,
                device_seconds=0.012,
                loudness=Loudness(-13.2, -14.0, -14.6, -1.1),
            ),
        )
        self._music = music()
        self._made = 0
        self._heard_peak = (0.0, 0.0)
        self._playing = False

    # Turning the clock

    def advance(self, seconds: float) -> None:
        """Plays on: hears `seconds` of what is queued, and makes blocks so that one and a half stay queued."""
        if not self._playing:
            return
        self._make()
        before = self.frame
        self.frame = min(self.frame + round(seconds * RATE), self._made)
        heard = self._sound(before, self.frame)
        peak = np.abs(heard).max(axis=0) if len(heard) else (0.0, 0.0)
        self._heard_peak = (float(peak[0]), float(peak[1]))
        if self.state.recorder.recording:
            recorder = replace(self.state.recorder, frames=self.state.recorder.frames + self.frame - before)
            self.state = replace(self.state, recorder=recorder)
        self._make()

    def _make(self) -> None:
        if self.state.engine.state is not EngineState.RUNNING:
            return
        while self._made - self.frame < self.block_frames * 3 // 2:
            start = self._made
            samples = np.array(self._sound(start, start + self.block_frames))
            index = start // self.block_frames
            self.blocks.append(
                Block(
                    samples,
                    index,
                    start,
                    self.modulation.applied(self.store.snapshot),
                    NoiseDrawn("level2", 1, "register", 0.3, 0, index, False, False, slot=index % 8),
                    0.1,
                )
            )
            self._made += self.block_frames
            engine = replace(
                self.state.engine,
                blocks_made=index + 1,
                block_seconds=0.112 + 0.004 * (index % 7),
                made=self.store.snapshot,
            )
            self.state = replace(self.state, engine=engine)
        while self.blocks and self.blocks[0].end_frame < self.frame - RECENT_SECONDS * RATE:
            self.blocks.popleft()

    def _sound(self, start: int, end: int) -> NDArray[np.float32]:
        return self._music.take(range(start, end), axis=0, mode="wrap")

    def set_status(self, **parts: object) -> None:
        """Replaces parts of the status, as another thread's news would."""
        self.state = replace(self.state, **parts)  # type: ignore[arg-type]

    def set_stack(self, **parts: object) -> None:
        """Replaces parts of what is known about the stack."""
        self.set_status(stack=replace(self.state.stack, **parts))  # type: ignore[arg-type]

    def _note(self, *call: object) -> None:
        self.asked.append(call)
        if str(call[0]) in self.refuse:
            raise self.refuse[str(call[0])]

    # Transport

    def holds(self, function: str) -> bool:
        return False

    def prepare(self) -> None:
        self._note("prepare")
        self.set_status(engine=EngineStatus(EngineState.READY, asked=False, blocks_made=1))

    def start(self) -> None:
        self._note("start")
        self._playing = True
        engine = EngineStatus(
            EngineState.RUNNING,
            block_seconds=0.112,
            block_seconds_p99=0.19,
            block_duration=self.block_frames / RATE,
            deadline_seconds=0.32,
            reach_median=1.41,
            reach_p99=2.52,
            step_reach_median=1.19,
            step_reach_p99=2.27,
        )
        self.set_status(engine=engine, audio=replace(self.state.audio, running=True))

    def stop(self) -> None:
        self._note("stop")
        self._playing = False
        self.set_status(engine=EngineStatus(), audio=replace(self.state.audio, running=False))

    def start_recording(self) -> None:
        self._note("start_recording")
        folder = Path("takes/2026-11-23 00.41.07")
        self.set_status(recorder=replace(self.state.recorder, recording=True, folder=folder))

    def stop_recording(self) -> None:
        self._note("stop_recording")
        self.set_status(recorder=replace(self.state.recorder, recording=False))

    def keep(self, everything: bool = False) -> None:
        self._note("keep", everything)

    def choose_takes_folder(self, folder: Path) -> None:
        self._note("choose_takes_folder", folder)
        self.set_status(recorder=replace(self.state.recorder, takes=folder))

    def choose_take_sound(self, sound: str) -> None:
        self._note("choose_take_sound", sound)
        self.set_status(recorder=replace(self.state.recorder, sound=sound))

    def choose_always(self, minutes: float, megabytes: float, keep_minutes: float) -> None:
        self._note("choose_always", minutes, megabytes, keep_minutes)
        folder = Path("/home/mia/.cache/jbdiff-live/always")
        always = AlwaysOptions(folder, minutes, megabytes, keep_minutes) if minutes else None
        self.set_status(recorder=replace(self.state.recorder, always=always))

    def choose_own_patches(self, folder: Path) -> None:
        self._note("choose_own_patches", folder)
        self.folders["own"] = folder

    def status(self) -> Status:
        heard = next((b.snapshot for b in self.blocks if b.start_frame <= self.frame < b.end_frame), None)
        queued = max(0, self._made - self.frame) / RATE if self._playing else 0.0
        audio = replace(self.state.audio, peak=self._heard_peak if self._playing else (0.0, 0.0))
        return replace(self.state, frame=self.frame, seconds_queued=queued, heard=heard, audio=audio)

    def snapshot(self) -> ParameterSnapshot:
        return self.store.snapshot

    def recent_blocks(self) -> tuple[Block, ...]:
        return tuple(self.blocks)

    def set_parameter(self, name: str, value: float) -> None:
        self._note("set_parameter", name, value)
        self.store.set(name, value, Origin.UI)

    def trigger(self, action: str) -> None:
        self._note("trigger", action)
        self.store.trigger(action, Origin.UI)

    def lfos(self) -> Mapping[str, Lfo]:
        return self.modulation.lfos

    def set_lfo(self, name: str, lfo: Lfo | None) -> None:
        self._note("set_lfo", name, lfo)
        self.modulation.put(name, lfo)

    def recall_scene(self, number: int) -> None:
        self._note("recall_scene", number)

    def capture_scene(self, number: int) -> None:
        self._note("capture_scene", number)

    def arm_capture(self) -> None:
        self._note("arm_capture")

    def rename_scene(self, number: int, name: str) -> None:
        self._note("rename_scene", number, name)

    def copy_scene(self, number: int, to: int) -> None:
        self._note("copy_scene", number, to)

    def clear_scene(self, number: int) -> None:
        self._note("clear_scene", number)

    def leave_out_of_scene(self, number: int, groups: frozenset[str]) -> None:
        self._note("leave_out_of_scene", number, groups)

    def set_scene_program(self, number: int, program: int | None) -> None:
        self._note("set_scene_program", number, program)

    def undo(self) -> None:
        self._note("undo")

    def redo(self) -> None:
        self._note("redo")

    def compare(self) -> None:
        self._note("compare")

    def revert(self) -> None:
        self._note("revert")

    def jump(self, function: str) -> None:
        self._note("jump", function)

    def learn(self, name: str | None) -> None:
        self._note("learn", name)
        if name is not None:
            label(name)
        waiting = Waiting.NOTHING if name is None else Waiting.LEARN
        self.set_status(control=replace(self.state.control, learning=name, waiting=waiting))

    def hear_cc(self, number: int) -> None:
        """A knob was turned: what is learning is bound to it."""
        control = self.state.control
        if control.learning is not None:
            self.bound[control.learning] = f"CC {number}"
        self.set_status(
            control=replace(
                control,
                learning=None,
                waiting=Waiting.NOTHING,
                messages=control.messages + 1,
                last_message=f"CC {number} = 64",
            )
        )

    def press_key(self, key: str) -> bool:
        self._note("press_key", key)
        return key == "F5"

    def learn_row(self, names: Sequence[str]) -> None:
        self._note("learn_row", tuple(names))
        self.set_status(
            control=replace(self.state.control, learning=names[0], row=tuple(names), waiting=Waiting.LEARN)
        )

    def skip_learning(self) -> None:
        self._note("skip_learning")

    def answer_learning(self, how: str) -> None:
        self._note("answer_learning", how)
        self.set_status(control=replace(self.state.control, question=None))

    def unlearn(self) -> None:
        self._note("unlearn")
        self.set_status(control=replace(self.state.control, waiting=Waiting.UNLEARN))

    def locate(self) -> None:
        self._note("locate")
        self.set_status(control=replace(self.state.control, waiting=Waiting.LOCATE))

    def correct_binding(self, device: str, name: str, text: str) -> None:
        self._note("correct_binding", device, name, text)
        self.bound[name] = text

    def edit_binding(self, device: str, old: Binding, new: Binding) -> None:
        self._note("edit_binding", device, old, new)
        self.bindings_of = [new if b == old else b for b in self.bindings_of]

    def remove_binding(self, device: str, old: Binding) -> None:
        self._note("remove_binding", device, old)
        self.bindings_of = [b for b in self.bindings_of if b != old]

    def allow_bindings(self, device: str, name: str) -> None:
        self._note("allow_bindings", device, name)

    def all_binding_rows(self) -> Sequence[BindingRow]:
        """A table with each kind of line."""
        device = "nanoKONTROL2"
        rows = [BindingRow("every input", "panic", "Panic", "CC 120 or CC 123 (all off)", "always")]
        rows += [
            BindingRow(
                device,
                b.target,
                label(b.target),
                b.control,
                "map",
                b,
                (b.takeover or TakeoverMode.PICKUP).value,
            )
            for b in self.bindings_of
        ]
        rows.append(BindingRow(device, "tempo", "Tempo", "no control", "map"))
        spare = Binding.parse("gain", "CC 7")
        rows.append(
            BindingRow(device, "gain", "Gain", "CC 7", "patch", spare, "pickup", unused="the map uses CC 23")
        )
        return rows

    def binding_rows(self) -> Sequence[BindingRow]:
        return [BindingRow("nanoKONTROL2", name, name, text, "map") for name, text in self.bound.items()]

    def unbind(self, name: str) -> None:
        self._note("unbind", name)
        self.bound.pop(name, None)

    def bindings(self) -> Mapping[str, str]:
        return dict(self.bound)

    def audio_devices(self) -> Sequence[str]:
        return ["Scarlett 2i2 USB", "Built-in Output", "JACK: system"]

    def choose_audio_device(self, name: str) -> None:
        self._note("choose_audio_device", name)
        self.set_status(audio=replace(self.state.audio, device=name))

    def input_devices(self) -> Sequence[str]:
        return ["Scarlett 2i2 USB", "Built-in Microphone"]

    def choose_input_device(self, name: str) -> None:
        self._note("choose_input_device", name)
        self.set_status(audio=replace(self.state.audio, input_device=name))

    def midi_inputs(self) -> Sequence[str]:
        return ["nanoKONTROL2", "Keystep Pro"]

    def choose_midi_inputs(self, names: Sequence[str]) -> None:
        self._note("choose_midi_inputs", tuple(names))
        there = self.midi_inputs()
        self.set_status(
            control=replace(
                self.state.control,
                connected=tuple(n for n in names if n in there),
                missing=tuple(n for n in names if n not in there),
            )
        )

    def stacks(self) -> Sequence[StackParts]:
        return [POCKET, V1]

    def choose_stack(self, choice: StackChoice) -> None:
        """Loads until `stack_is_ready`."""
        self._note("choose_stack", choice)
        self.set_stack(loading=f"{choice.text}: warming up, block 1 of 2")

    def stack_is_ready(self, choice: StackChoice) -> None:
        """The stack has been loaded and plays."""
        parts = next(parts for parts in self.stacks() if parts.name == choice.stack)
        self.set_status(stack=stack_status(parts, choice))

    def folder(self, kind: str) -> Path | None:
        return self.folders.get(kind) or (user_patches_folder() if kind == "own" else None)

    def keep_folder(self, kind: str, folder: Path) -> None:
        self.folders[kind] = folder

    def patches(self) -> Mapping[str, Path]:
        return {
            "first light": Path("patches/first-light.toml"),
            "slow glass": Path("patches/slow-glass.toml"),
        }

    def patch_programs(self) -> Mapping[str, int]:
        return {"first light": 12}

    def load_patch(self, path: Path) -> None:
        self._note("load_patch", path)
        self.set_status(patch=path.stem, program=None, patch_file=str(path.resolve()))

    def save_patch(self, path: Path, name: str) -> None:
        self._note("save_patch", path, name)
        self.set_status(patch=name)

    def load_context_file(self, path: Path) -> None:
        self._note("load_context_file", path)
        self.set_status(context_file=str(path))

    def load_init_file(self, path: Path) -> None:
        self._note("load_init_file", path)
        self.set_status(init_file=str(path))
