"""The composition root: the one file that names concrete classes, and the order in which they start and stop.

Threads: the session itself has none. Its `Transport` methods run on the window's thread (or the command
line's), `_block_made` on the engine thread, `_load_program` on that of the program changes, store listeners on
whichever thread changed a value. Patches are loaded and saved by one thread at a time, under a lock.
Start: engine loads and warms up, its first blocks fill the ring, then the sound device starts. Stop: fade, take,
engine. Each step of stopping and closing runs whatever became of the steps before it.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from jbdiff_live import __version__
from jbdiff_live.audio.names import names_or_reason
from jbdiff_live.audio.priority import process_priority
from jbdiff_live.audio.switch import NULL_DEVICE, AudioSwitch
from jbdiff_live.binding import TakeoverMode
from jbdiff_live.block import Block, BlockGenerator
from jbdiff_live.clock import MACHINE, Clock
from jbdiff_live.control.map import ControlMap
from jbdiff_live.control.midi import MidiInput, list_midi_inputs
from jbdiff_live.control.programs import ProgramChanges
from jbdiff_live.control.shelf import MapShelf
from jbdiff_live.control.source import ControlEvent, EventKind
from jbdiff_live.control_view import BindingRow
from jbdiff_live.engine.engine import STOP_SECONDS, Engine
from jbdiff_live.engine.generator import ModelGenerator
from jbdiff_live.engine.model import SAMPLE_RATE, share_one_heap
from jbdiff_live.engine.soundreader import SoundReader
from jbdiff_live.engine.sources import FileSource
from jbdiff_live.modulation import Lfo, Modulation
from jbdiff_live.parameters import (
    ACTIONS_BY_NAME,
    BY_NAME,
    Change,
    Origin,
    ParameterSnapshot,
    ParameterStore,
    TakesEffect,
)
from jbdiff_live.patch import (
    Patch,
    PatchError,
    factory_patches,
    load_patch,
    own_patches,
    patch_programs,
    save_patch,
    user_patches_folder,
)
from jbdiff_live.record.recorder import Recorder
from jbdiff_live.record.tape import Tape
from jbdiff_live.ring import RingBuffer
from jbdiff_live.shown import shown
from jbdiff_live.stack_choice import StackChoice, StackParts, StackPlaying, StackStatus
from jbdiff_live.status import ControlStatus, EngineState, Status

log = logging.getLogger(__name__)

RING_SECONDS = 12.0
# Queued before the device starts: one short block behind it would be all the time there is to make the next one.
BEGIN_SECONDS = 0.35
NOTE_SECONDS = 20.0  # that an answer to an action is shown


@dataclass(frozen=True)
class SessionOptions:
    """What a command line decides before anything starts. `device=None` is the system's default output.

    What it names of the stack wins over the patches that are loaded before the first start.
    """

    stack: str | None = None
    levels: tuple[int, ...] | None = None
    finisher: bool | None = None
    ladder: bool = True  # cheaper blocks where time runs short
    hop: int | None = None
    steps: int | None = None
    device: str | None = None
    input_device: str | None = None
    midi: tuple[str, ...] | None = None  # None: every input there is
    midi_api: str | None = None
    virtual_midi: str | None = None
    takeover: TakeoverMode = TakeoverMode.PICKUP  # of controllers whose map does not say
    program_channel: int | None = None  # MIDI channel whose program changes load patches; None: all, 0: none
    takes: Path = field(default_factory=lambda: Path("takes"))
    short_ring_frames: int = 4096
    threads: int | None = None


class Session:
    """An instrument, ready to `start`. Implements `jbdiff_live.status.Transport`."""

    def __init__(
        self,
        options: SessionOptions,
        generator: BlockGenerator | None = None,
        clock: Clock = MACHINE,
        patience: float = STOP_SECONDS,
    ) -> None:
        """patience: seconds that a stop waits for a block that hangs."""
        self.options = options
        self._clock = clock
        self._patience = patience
        # A shorter switch interval cuts the worst wait for the GIL from 13 to 3 ms beside a busy thread.
        sys.setswitchinterval(0.0005)
        share_one_heap()
        self.store = ParameterStore()
        self.modulation = Modulation(clock.now, self._beats_per_second)
        self.sounds = SoundReader(SAMPLE_RATE, self._sound_read, self._sound_refused)
        self._started = False
        self.generator: BlockGenerator
        self.model: ModelGenerator | None = None  # the generator, where it plays stacks
        if generator is not None:
            self.generator = generator
            self.model = generator if isinstance(generator, ModelGenerator) else None
        else:
            choice = self._with_options(StackChoice())
            self.generator = self.model = ModelGenerator(
                choice,
                lambda frames: self.audio.latest_input(frames),
                options.threads,
                lambda: self.engine.wake(),
                self._sounding,
                self.sounds.wait,
            )
        rate = self.generator.sample_rate
        self.ring = RingBuffer(int(RING_SECONDS * rate), self.generator.channels)
        self.audio = AudioSwitch(self.ring, self._sounding, rate, options.short_ring_frames, clock)
        self.engine = Engine(
            self.generator,
            self.ring,
            self._sounding,
            lambda: self.audio.frames_queued,
            self._block_made,
            clock,
            ladder=options.ladder,
        )
        self.tape = Tape(
            Recorder(rate, self.generator.channels), options.takes, rate, self.ring.capacity, self._take_info
        )
        self.controls = ControlMap(
            self.store,
            shelf=MapShelf(_beside(user_patches_folder(), "controllers")),
            perform=lambda name: self.programs.ask(name, lambda: self._perform(name)),
            changed=lambda: self.programs.ask("keeping a map", self.controls.save_maps),
            takeover=options.takeover,
        )
        self.programs = ProgramChanges(self._load_program, options.program_channel)
        self.midi = MidiInput(
            self._controlled,
            names=options.midi,
            api=options.midi_api,
            virtual=options.virtual_midi,
            on_port=self.controls.port,
        )
        self._patching = threading.Lock()  # the window's patches against those of program changes
        self._patch = Patch(name="untitled")
        self._patch_path: Path | None = None
        self._patch_problem = ""
        self._asked_at: float | None = None  # when the stack was asked for that is being loaded
        self._reload_seconds = 0.0
        self._priority = process_priority().text
        self._said = ("", 0.0)  # the newest answer to an action, and when it was given; swapped whole
        self._files = {"context": "", "init": ""}
        self._file_problems = {"context": "", "init": ""}
        self.store.subscribe(self._changed)

    # ------------------------------------------------------------------ life

    def open(self) -> None:
        """Opens MIDI and the sound device; what is missing becomes a visible problem, not an error."""
        self.controls.load_maps()
        self.programs.start()
        self.midi.start()
        if self.options.input_device:
            self.audio.listen(self.options.input_device)
        self.audio.open(self.options.device, fall_back=True)

    def start(self) -> None:
        """Begins to play: returns at once, `status` tells how far the engine is. RuntimeError while a block hangs."""
        self._started = True
        self.audio.begin()
        self.engine.start()

    def stop(self) -> None:
        """Fades out, closes a running take, and stops. TimeoutError when a block hangs; the rest is done anyway."""
        frame = self.audio.frames_heard
        errors = _run_all(
            self.engine.ask_to_stop, self.audio.stop, lambda: self.tape.stop(frame), self._stop_engine
        )
        for error in errors[1:]:
            log.warning("while stopping: %s", error)
        if errors:
            raise errors[0]

    def _stop_engine(self) -> None:
        self.engine.stop(self._patience)
        # Nobody writes or reads the ring now, so that the session may do both: what is left is never heard.
        self.ring.request_drain()
        self.ring.skip_drained()

    def close(self) -> None:
        """Stops and lets every thread and device go. What cannot be closed is logged, and the rest is closed."""
        errors = _run_all(
            self.stop,
            lambda: self.engine.close(0.0),  # `stop` has waited for it
            self.midi.stop,
            self.programs.stop,
            self.controls.save_maps,
            self.sounds.close,
            lambda: self.audio.listen(""),
            self.audio.close,
            self.tape.close,
        )
        for message in dict.fromkeys(map(str, errors)):  # a block that hangs holds up two of them
            log.warning("while closing: %s", message)

    # ------------------------------------------------------------------ recording

    def start_recording(self) -> None:
        """Records from what is being heard now; while nothing plays, from the first sound on."""
        self.tape.start(self.audio.frames_heard)
        idle = self.engine.status.state in (EngineState.OFFLINE, EngineState.FAILED)
        self._say("recording begins with the first sound; press start" if idle else "recording")

    def record_from_first_block(self) -> None:
        """Records from the first frame of the next block that is made: asked for before `start`."""
        self.tape.start_with_next_block()

    def stop_recording(self, end_frame: int | None = None) -> None:
        """Closes the take at what was heard last, or at `end_frame`."""
        recording = self.tape.status().recording
        self.tape.stop(self.audio.frames_heard if end_frame is None else end_frame)
        if recording:
            status = self.tape.status()
            seconds = status.frames / self.generator.sample_rate
            self._say(f"take of {seconds:.0f} s closed: {status.folder}")

    def _take_info(self, playing: StackPlaying | None) -> Mapping[str, object]:
        """What a take keeps beside its sound, for a first block that `playing` made."""
        playing = playing or self._stack_status().playing
        return {
            "app_version": __version__,
            "stack": playing.stack if playing is not None else "",
            "stack_identity": playing.identity if playing is not None else "",
            "levels": list(playing.levels) if playing is not None else [],
            "finisher": playing is not None and playing.finisher,
            "hop": playing.hop if playing is not None else None,
            "steps": playing.steps if playing is not None else None,
            "latency_frames": playing.latency_frames if playing is not None else 0,
            "patch": self._patch.name,
            "context_file": self._files["context"],
            "init_file": self._files["init"],
            "values": {
                name: BY_NAME[name].plain(value) for name, value in self.store.snapshot.values.items()
            },
        }

    # ------------------------------------------------------------------ what the window sees

    def status(self) -> Status:
        frame = self.audio.frames_heard
        block = self.tape.at(frame)
        stack = self._stack_status()
        playing = stack.playing
        complaint = self.model.complaint if self.model is not None else ""
        problems = (stack.problem, complaint, self._patch_problem, *self._file_problems.values())
        return Status(
            frame=frame,
            sample_rate=self.generator.sample_rate,
            seconds_queued=self.audio.frames_queued / self.generator.sample_rate,
            engine=self.engine.status,
            audio=self.audio.status(),
            recorder=self.tape.status(),
            control=self._control_status(),
            heard=None if block is None else self._with_instant_values(block.heard),
            rung=None if block is None else block.rung,
            patch=self._patch.name,
            program=self._patch.program,
            reload_seconds=self._reload_seconds,
            stack=stack.wanted.stack if playing is None else playing.stack,
            levels=(stack.wanted.levels or ()) if playing is None else playing.levels,
            finisher=playing is not None and playing.finisher,
            hop=None if playing is None else playing.hop,
            steps=None if playing is None else playing.steps,
            parts=None if playing is None else playing.parts,
            loading=stack.loading,
            context_file=shown(self._files["context"]),
            init_file=shown(self._files["init"]),
            priority=self._priority,
            message="; ".join(problem for problem in problems if problem),
            note=self._note(),
        )

    def snapshot(self) -> ParameterSnapshot:
        return self.store.snapshot

    def recent_blocks(self) -> tuple[Block, ...]:
        return self.tape.recent

    def set_parameter(self, name: str, value: float) -> None:
        self.store.set(name, value, Origin.UI)

    def trigger(self, action: str) -> None:
        self.store.trigger(action, Origin.UI)

    def lfos(self) -> Mapping[str, Lfo]:
        return self.modulation.lfos

    def set_lfo(self, name: str, lfo: Lfo | None) -> None:
        """Gives a knob an LFO, or takes it away. KeyError: no such parameter."""
        self.modulation.put(name, lfo)

    # ------------------------------------------------------------------ control

    def learn(self, name: str | None) -> None:
        self.controls.learn(name)

    def learn_row(self, names: Sequence[str]) -> None:
        self.controls.learn_row(names)

    def skip_learning(self) -> None:
        self.controls.skip()

    def answer_learning(self, how: str) -> None:
        self.controls.answer(how)

    def unlearn(self) -> None:
        self.controls.unlearn()

    def locate(self) -> None:
        self.controls.locate()

    def unbind(self, name: str) -> None:
        self.controls.unbind(name)

    def correct_binding(self, device: str, name: str, text: str) -> None:
        self.controls.correct(device, name, text)

    def bindings(self) -> Mapping[str, str]:
        return self.controls.texts()

    def binding_rows(self) -> Sequence[BindingRow]:
        return self.controls.rows()

    def binding_rows_of(self, inputs: Sequence[str]) -> Sequence[BindingRow]:
        """The bindings as they are when these inputs are connected; before `open`."""
        self.controls.load_maps()
        for name in inputs:
            self.controls.port(name, True)
        return self.controls.rows()

    def midi_inputs(self) -> Sequence[str]:
        return list_midi_inputs(self.options.midi_api)

    def choose_midi_inputs(self, names: Sequence[str]) -> None:
        self.midi.choose(names)

    # ------------------------------------------------------------------ devices

    def audio_devices(self) -> Sequence[str]:
        return [*self._names("output"), NULL_DEVICE]

    def choose_audio_device(self, name: str) -> None:
        """Moves the sound to another device; when that fails the old one plays on and the reason is raised."""
        self.audio.open(name)
        self._say(f"sound output: {self.audio.status().device}")

    def input_devices(self) -> Sequence[str]:
        return self._names("input")

    def choose_input_device(self, name: str) -> None:
        """Opens a live input; an empty name closes it. When that fails the old one stays open."""
        self.audio.listen(name)
        self._say(f"sound input: {self.audio.status().input_device or 'none'}")

    def _names(self, kind: str) -> list[str]:
        names, reason = names_or_reason(kind)
        if reason:
            self._say(f"no sound {kind}s: {reason}")
        return names

    # ------------------------------------------------------------------ stacks

    def stacks(self) -> Sequence[StackParts]:
        return self.model.stacks() if self.model is not None else ()

    def choose_stack(self, choice: StackChoice) -> None:
        """Loads another stack, or other parts, beside the music; `status` tells when it plays or why not."""
        if self.model is None:
            raise ValueError("this generator plays no stacks")
        self._choose(self.model, choice, time.monotonic())

    def _choose(self, model: ModelGenerator, choice: StackChoice, asked_at: float) -> None:
        model.choose(choice)
        self._asked_at = asked_at if model.status.loading else None

    def _stack_status(self) -> StackStatus:
        return self.model.status if self.model is not None else StackStatus(StackChoice())

    def _with_options(self, choice: StackChoice) -> StackChoice:
        """The choice with what the command line named put over it."""
        options = self.options
        if options.stack is not None and options.stack != choice.stack:
            choice = StackChoice(options.stack)  # another stack's levels say nothing about this one's
        if options.levels is not None:
            choice = replace(choice, levels=options.levels)
        if options.hop is not None:
            choice = replace(choice, hop=options.hop)
        if options.steps is not None:
            choice = replace(choice, steps=options.steps)
        return choice if options.finisher is None else replace(choice, finisher=options.finisher)

    # ------------------------------------------------------------------ files

    def patches(self) -> Mapping[str, Path]:
        return {**factory_patches(), **own_patches(user_patches_folder())}

    def patch_programs(self) -> Mapping[str, int]:
        return patch_programs(self.patches())

    def load_patch(self, path: Path) -> None:
        """Takes over a patch: values, bindings, the sound to begin from, the stack, which may take a while to load.

        PatchError names the line and remedy.
        """
        self._load_patch(path, time.monotonic())

    def _load_patch(self, path: Path, asked_at: float) -> None:
        with self._patching:
            patch = load_patch(path)
            again = path.resolve() == self._patch_path
            patch.apply(self.store)
            self.modulation.put_all(patch.lfos)
            self.controls.suggest(patch.bindings)
            self._patch, self._patch_path, self._patch_problem = patch, path.resolve(), ""
            self._file_problems["context"] = ""
            self._say(f"patch {patch.name} loaded")
            if patch.choice is not None and self.model is not None:
                choice = patch.choice if self._started else self._with_options(patch.choice)
                self._choose(self.model, choice, asked_at)
            # Music that began from the same sound goes on, unless the same patch is loaded again.
            begins = again or str(patch.context) != self._file_of("context")
            if begins and patch.context is not None and hasattr(self.generator, "context_file"):
                self._load_file("context", patch.context, f"patch {patch.name!r}")

    def _load_program(self, event: ControlEvent) -> None:
        """The program changes' thread: the patch with that program. A player's own goes before one of the factory's."""
        found = {program: name for name, program in self.patch_programs().items()}
        listed = self.controls.program_patch(event)
        if listed is None and event.number not in found:
            self._say(f"{event.text()}: no patch has it; write program = {event.number} into one")
            return
        name, patches = listed or found[event.number], self.patches()
        if name not in patches:
            self._patch_problem = (
                f"{event.text()}: its controller's map names patch {name!r}, which is not there"
            )
            return
        try:
            self._load_patch(patches[name], event.time)
        except (PatchError, OSError) as error:
            self._patch_problem = f"{event.text()}: {error}"

    def save_patch(self, path: Path, name: str) -> None:
        with self._patching:
            self._save_patch(path, name)

    def _save_patch(self, path: Path, name: str) -> None:
        same = path.resolve() == self._patch_path
        values = {n: BY_NAME[n].plain(value) for n, value in self.store.snapshot.values.items()}
        context = Path(self._file_of("context")) if self._file_of("context") else None
        self._patch = replace(
            self._patch,
            name=name,
            values=values,
            bindings=self.controls.suggested,  # what was learned belongs to the controller's map
            choice=self._patch.choice if self.model is None else self.model.choice,
            context=context,
            # A copy under another name does not take the program from its original.
            program=self._patch.program if same else None,
            lfos=self.modulation.lfos,
        )
        save_patch(path, self._patch)
        self._patch_path = path.resolve()
        self._say(f"patch {name} saved: {path}")

    def load_context_file(self, path: Path) -> None:
        """Begins to read a file; `status` tells when it plays, or why it cannot."""
        self._load_file("context", path)

    def load_init_file(self, path: Path) -> None:
        """Begins to read a file; `status` tells when it plays, or why it cannot."""
        self._load_file("init", path)

    def wait_for_files(self) -> None:
        """Waits for the files that are being read. Raises the reason when one that was asked for cannot be used."""
        for error in self.sounds.wait_for_errors():
            raise error

    # ------------------------------------------------------------------ inside

    def _sounding(self) -> ParameterSnapshot:
        """Any thread: the knobs as they sound now, with what LFOs do to them."""
        return self.modulation.applied(self.store.snapshot)

    def _beats_per_second(self) -> float | None:
        """Any thread: the tempo that LFOs in bars follow; None while the clock does not follow the knob."""
        snapshot = self.store.snapshot
        return snapshot["tempo"] / 60 if snapshot.choice("clock") == "tempo" else None

    def _load_file(self, role: str, path: Path, asked_by: str = "") -> None:
        if not hasattr(self.generator, f"{role}_file"):
            raise ValueError(f"this generator takes no {role} file")
        self._file_problems[role] = ""
        self._say(f"{role}: reading {shown(path.name)}")
        self.sounds.read(role, path, asked_by)

    def _file_of(self, role: str) -> str:
        """The file that is being read for a role, or else the one that plays; empty if there is none."""
        coming = self.sounds.wanted(role)
        return self._files[role] if coming is None else str(coming)

    def _sound_read(self, role: str, source: FileSource) -> None:
        """Reader's thread: the next block plays from it."""
        setattr(self.generator, f"{role}_file", source)
        self._files[role] = str(source.path)
        note = f"{role}: {shown(source.path.name)}" + (f" ({source.note})" if source.note else "")
        if role == "context":
            self._say(f"{note}; the next block continues it")
        else:
            self.store.set("init_source", BY_NAME["init_source"].parse("file"), Origin.SESSION)
            self._say(f"{note}; turn Resample up to hear it")

    def _sound_refused(self, role: str, words: str) -> None:
        """Reader's thread: what played before plays on."""
        self._file_problems[role] = shown(words)

    @property
    def silent_device(self) -> bool:
        """Whether the sound goes nowhere but into recordings."""
        return self.audio.silent

    def _control_status(self) -> ControlStatus:
        status = self.controls.status(self.midi.status())
        return replace(status, problem=status.problem or self.programs.problem)

    def _controlled(self, event: ControlEvent) -> None:
        """A source's thread: to the map; a program that nothing is bound to, to the thread that loads patches."""
        if not self.controls.handle(event) and event.kind is EventKind.PROGRAM:
            self.programs.handle(event)

    def _perform(self, function: str) -> None:
        """The program changes' thread: what a controller asked for that only the session can do."""
        playing = self.engine.status.state not in (EngineState.OFFLINE, EngineState.FAILED)
        if function == "start" or (function == "play" and not playing):
            self.start()
        elif function in ("play", "stop"):
            self.stop()
        elif function == "record" and self.tape.status().recording:
            self.stop_recording()
        elif function == "record":
            self.start_recording()
        else:
            self._load_neighbour(1 if function == "next_patch" else -1)

    def _load_neighbour(self, step: int) -> None:
        """Load the patch that many places after this one in the list, around its end."""
        paths = list(self.patches().values())
        here = [path.resolve() for path in paths]
        if not paths:
            return
        before = here.index(self._patch_path) if self._patch_path in here else -1 if step > 0 else 0
        self._load_patch(paths[(before + step) % len(paths)], time.monotonic())

    def _with_instant_values(self, heard: ParameterSnapshot) -> ParameterSnapshot:
        """The values of the sound being heard, with those that act at once as they are now."""
        now = self._sounding()
        instant = {p.name: now[p.name] for p in BY_NAME.values() if p.takes_effect is TakesEffect.NOW}
        return replace(heard, values={**heard.values, **instant})

    def _block_made(self, block: Block) -> None:
        """Engine thread: keeps the block, records it, and starts the device when enough is queued."""
        recent = self.tape.recent
        if recent and block.stack is not None and block.stack != recent[-1].stack:
            self._reloaded(block, block.stack)
        self.tape.block_made(block)
        # The engine makes three blocks before it waits for any to be heard (`Deadline`).
        self.audio.block_made(min(int(BEGIN_SECONDS * self.generator.sample_rate), 3 * block.frames))

    def _reloaded(self, block: Block, stack: StackPlaying) -> None:
        """Engine thread: with this block another stack begins, silent for its latency."""
        asked_at = self._asked_at
        if asked_at is None or self._stack_status().loading:  # something newer is on its way
            return
        self._asked_at = None
        queued = block.start_frame + stack.latency_frames - self.audio.frames_heard
        self._reload_seconds = time.monotonic() - asked_at + max(0, queued) / self.generator.sample_rate

    def _changed(self, change: Change) -> None:
        """Writer's thread: a panic does not wait for the next deadline, and a recording hears of everything."""
        if change.name == "panic":
            self.engine.wake()
        if change.is_action:
            self._say(self._answer(change.name))
        self.tape.note(change, self.audio.frames_heard)

    def _say(self, note: str) -> None:
        """Answer an action, where the player looks. Any thread."""
        self._said = (note, self._clock.now())

    def _note(self) -> str:
        """The newest answer, while it is new: it speaks of a moment."""
        note, at = self._said
        return note if self._clock.now() - at < NOTE_SECONDS else ""

    def _answer(self, action: str) -> str:
        """What the player reads after an action, whichever pad, key or button it came from."""
        label = ACTIONS_BY_NAME[action].label
        if self.engine.status.state not in (EngineState.RUNNING, EngineState.COASTING):
            return f"{label}: nothing plays now; press start"
        if action == "panic":
            return f"{label}: silence, and the music begins again"
        if action in ("write", "erase") and self.store.snapshot.choice("noise_style") != "register":
            return f"{label}: done with the next block; Style register plays it"
        return f"{label}: heard with the next block"


def _beside(folder: Path | None, name: str) -> Path | None:
    """The folder of that name beside another one; None for a user without folders of his own."""
    return None if folder is None else folder.with_name(name)


def _run_all(*steps: Callable[[], object]) -> list[Exception]:
    """Run every step, whatever the ones before it raised. Return what was raised, in order."""
    errors = []
    for step in steps:
        try:
            step()
        except Exception as error:  # the caller raises or logs it, after the other steps
            log.info("", exc_info=error)
            errors.append(error)
    return errors
