"""The composition root: the one file that names concrete classes, and the order in which they start and stop.

Threads: the session itself has none. Its `Transport` methods run on the window's thread (or the command
line's), `_block_made` on the engine thread, `_load_program` on that of the program changes, store listeners on
whichever thread changed a value. Patches are loaded and saved by one thread at a time, under a lock.
Start: engine loads and warms up, its first blocks fill the ring, then the sound device starts. Stop: engine,
then fade, then device, then recorder.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from jbdiff_live import __version__
from jbdiff_live.audio.device import DeviceSink, list_input_devices, list_output_devices
from jbdiff_live.audio.input import LiveInput
from jbdiff_live.audio.null import NullSink
from jbdiff_live.audio.sink import AudioSink
from jbdiff_live.binding import TakeoverMode
from jbdiff_live.block import Block, BlockGenerator
from jbdiff_live.control.map import ControlMap
from jbdiff_live.control.midi import MidiInput, list_midi_inputs
from jbdiff_live.control.programs import ProgramChanges
from jbdiff_live.control.shelf import MapShelf
from jbdiff_live.control.source import ControlEvent, EventKind
from jbdiff_live.control_view import BindingRow
from jbdiff_live.engine.engine import Engine
from jbdiff_live.engine.generator import ModelGenerator
from jbdiff_live.engine.model import SAMPLE_RATE, share_one_heap
from jbdiff_live.engine.soundreader import SoundReader
from jbdiff_live.engine.sources import FileSource, Mono
from jbdiff_live.parameters import BY_NAME, Change, Origin, ParameterSnapshot, ParameterStore, TakesEffect
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
from jbdiff_live.ring import RingBuffer
from jbdiff_live.shown import shown
from jbdiff_live.stack_choice import StackChoice, StackParts, StackPlaying, StackStatus
from jbdiff_live.status import ControlStatus, EngineState, Status

log = logging.getLogger(__name__)

NULL_DEVICE = "null (no sound, keeps time)"
RING_SECONDS = 12.0
# Queued before the device starts: one short block behind it would be all the time there is to make the next one.
BEGIN_SECONDS = 0.35
RECENT_SECONDS = 14.0  # the window draws ten of them, and a recording may begin inside the oldest


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

    def __init__(self, options: SessionOptions, generator: BlockGenerator | None = None) -> None:
        self.options = options
        # A shorter switch interval cuts the worst wait for the GIL from 13 to 3 ms beside a busy thread.
        sys.setswitchinterval(0.0005)
        share_one_heap()
        self.store = ParameterStore()
        self.sounds = SoundReader(SAMPLE_RATE, self._sound_read, self._sound_refused)
        self.live_input: LiveInput | None = None
        self._started = False
        self.generator: BlockGenerator
        self.model: ModelGenerator | None = None  # the generator, where it plays stacks
        if generator is not None:
            self.generator = generator
            self.model = generator if isinstance(generator, ModelGenerator) else None
        else:
            choice = self._with_options(StackChoice())
            self.generator = self.model = ModelGenerator(
                choice, self._live, options.threads, lambda: self.engine.wake(), lambda: self.store.snapshot,
                self.sounds.wait,
            )  # fmt: skip
        self.ring = RingBuffer(int(RING_SECONDS * self.generator.sample_rate), self.generator.channels)
        self.sink: AudioSink = self._null_sink()
        self.engine = Engine(
            self.generator,
            self.ring,
            lambda: self.store.snapshot,
            self._frames_queued,
            self._block_made,
            ladder=options.ladder,
        )
        self.recorder = Recorder(self.generator.sample_rate, self.generator.channels)
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
        self._lock = threading.Lock()  # recent blocks against the start of a recording; never the audio path
        self._recent: tuple[Block, ...] = ()
        self._playing = False
        self._record_next = False
        self._patching = threading.Lock()  # the window's patches against those of program changes
        self._patch = Patch(name="untitled")
        self._patch_path: Path | None = None
        self._patch_problem = ""
        self._asked_at: float | None = None  # when the stack was asked for that is being loaded
        self._reload_seconds = 0.0
        self._message = ""
        self._note = ""
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
            self.choose_input_device(self.options.input_device)
        self._open_device(self.options.device)

    def start(self) -> None:
        """Begins to play: returns at once, `status` tells how far the engine is."""
        self._playing = self._started = True
        self.engine.start()

    def stop(self) -> None:
        """Fades out and stops; a running recording is closed."""
        self._playing = False
        self.stop_recording()
        self.engine.stop()
        self.sink.stop()
        self.ring.request_drain()

    def close(self) -> None:
        """Stops and lets every thread and device go."""
        self.stop()
        self.engine.close()
        self.midi.stop()
        self.programs.stop()
        self.controls.save_maps()
        self.sounds.close()
        if self.live_input is not None:
            self.live_input.close()
        self.sink.close()
        self.recorder.close()

    # ------------------------------------------------------------------ recording

    def start_recording(self) -> None:
        """Records from what is being heard now."""
        with self._lock:
            frame = self.sink.frames_heard
            self._start_take(frame, [block for block in self._recent if block.end_frame > frame])

    def record_from_first_block(self) -> None:
        """Records from the first frame of the next block that is made: asked for before `start`."""
        self._record_next = True

    def _start_take(self, frame: int, blocks: list[Block]) -> None:
        values = {name: BY_NAME[name].plain(value) for name, value in self.store.snapshot.values.items()}
        playing = blocks[0].stack if blocks else self._stack_status().playing
        info = {
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
            "values": values,
        }
        self.recorder.start(self.options.takes, frame, info, blocks)

    def stop_recording(self, end_frame: int | None = None) -> None:
        """Closes the take at what was heard last, or at `end_frame`."""
        if self.recorder.status().recording:
            self.recorder.stop(self.sink.frames_heard if end_frame is None else end_frame)

    # ------------------------------------------------------------------ what the window sees

    def status(self) -> Status:
        frame = self.sink.frames_heard
        audio = self.sink.status()
        if self.live_input is not None:
            audio = replace(audio, input_device=self.live_input.device)
        stack = self._stack_status()
        playing = stack.playing
        complaint = self.model.complaint if self.model is not None else ""
        problems = (
            stack.problem, complaint, self._patch_problem, *self._file_problems.values(), self._message
        )  # fmt: skip
        return Status(
            frame=frame,
            sample_rate=self.generator.sample_rate,
            seconds_queued=self._frames_queued() / self.generator.sample_rate,
            engine=self.engine.status,
            audio=audio,
            recorder=self.recorder.status(),
            control=self._control_status(),
            heard=self._heard(frame),
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
            message="; ".join(problem for problem in problems if problem),
            note=self._note,
        )

    def snapshot(self) -> ParameterSnapshot:
        return self.store.snapshot

    def recent_blocks(self) -> tuple[Block, ...]:
        return self._recent

    def set_parameter(self, name: str, value: float) -> None:
        self.store.set(name, value, Origin.UI)

    def trigger(self, action: str) -> None:
        self.store.trigger(action, Origin.UI)

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
        return [*list_output_devices(), NULL_DEVICE]

    def choose_audio_device(self, name: str) -> None:
        """Moves the sound to another device; when that fails the old one plays on and the reason is raised."""
        self._open_device(name, fall_back=False)

    def input_devices(self) -> Sequence[str]:
        return list_input_devices()

    def choose_input_device(self, name: str) -> None:
        """Opens a live input; an empty name closes it."""
        old, self.live_input = self.live_input, None
        if old is not None:
            old.close()
        if name:
            live = LiveInput(self.generator.sample_rate)
            live.open(name)
            self.live_input = live

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
            self.controls.suggest(patch.bindings)
            self._patch, self._patch_path, self._patch_problem = patch, path.resolve(), ""
            self._file_problems["context"] = ""
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
            self._note = f"{event.text()}: no patch has it; write program = {event.number} into one"
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
        )
        save_patch(path, self._patch)
        self._patch_path = path.resolve()

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

    def _load_file(self, role: str, path: Path, asked_by: str = "") -> None:
        if not hasattr(self.generator, f"{role}_file"):
            raise ValueError(f"this generator takes no {role} file")
        self._file_problems[role] = ""
        self._note = f"{role}: reading {shown(path.name)}"
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
            self._note = f"{note}; the next block continues it"
        else:
            self.store.set("init_source", BY_NAME["init_source"].parse("file"), Origin.SESSION)
            self._note = f"{note}; turn Resample up to hear it"

    def _sound_refused(self, role: str, words: str) -> None:
        """Reader's thread: what played before plays on."""
        self._file_problems[role] = shown(words)
        self._note = ""

    def _open_device(self, name: str | None, fall_back: bool = True) -> None:
        """Puts the ring's one reader onto another device, keeping the old one until the new one is open."""
        if name == NULL_DEVICE or name == "null":
            new: AudioSink = self._null_sink()
            new.open(None)
        elif isinstance(self.sink, DeviceSink):  # only an open one ever gets there
            self.sink.open(name)
            return
        else:
            new = DeviceSink(
                self.ring,
                lambda: self.store.snapshot,
                self.generator.sample_rate,
                self.options.short_ring_frames,
            )
            try:
                new.open(name)
            except (OSError, RuntimeError, ValueError) as error:
                new.close()
                if not fall_back:
                    raise
                log.info("no sound device: %s", error)
                self._message = f"no sound device ({error}); playing into a clocked null device"
                new = self._null_sink()
                new.open(None)
        was_running = self.sink.status().running
        self.sink.stop()
        self.sink.close()
        self.sink = new
        if was_running:
            new.start()

    def _null_sink(self) -> NullSink:
        return NullSink(self.ring, lambda: self.store.snapshot, self.generator.sample_rate)

    @property
    def silent_device(self) -> bool:
        """Whether the sound goes nowhere but into recordings."""
        return isinstance(self.sink, NullSink)

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
        elif function == "record" and self.recorder.status().recording:
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

    def _live(self, frames: int) -> Mono | None:
        live = self.live_input
        return None if live is None else live.latest(frames)

    def _frames_queued(self) -> int:
        """Frames made and not heard: in the ring, and in the device's short ring behind it."""
        return self.ring.available + max(0, self.ring.frames_read - self.sink.frames_heard)

    def _heard(self, frame: int) -> ParameterSnapshot | None:
        """Values of the block being heard, with those that act at once as they are now."""
        block = next((b for b in self._recent if b.start_frame <= frame < b.end_frame), None)
        if block is None:
            return None
        now = self.store.snapshot
        instant = {p.name: now[p.name] for p in BY_NAME.values() if p.takes_effect is TakesEffect.NOW}
        heard = block.heard
        return replace(heard, values={**heard.values, **instant})

    def _block_made(self, block: Block) -> None:
        """Engine thread: keeps the newest blocks, records, and starts the device when enough is queued."""
        oldest = block.end_frame - int(RECENT_SECONDS * self.generator.sample_rate) - self.ring.capacity
        if self._recent and block.stack is not None and block.stack != self._recent[-1].stack:
            self._reloaded(block, block.stack)
        with self._lock:
            self._recent = (*(b for b in self._recent if b.end_frame > oldest), block)
            if self._record_next:
                self._record_next = False
                self._start_take(block.start_frame, [block])
            else:
                self.recorder.offer(block)
        # The engine makes three blocks before it waits for any to be heard (`Deadline`).
        enough = min(int(BEGIN_SECONDS * self.generator.sample_rate), 3 * block.frames)
        if self._playing and not self.sink.status().running and self._frames_queued() >= enough:
            self.sink.start()

    def _reloaded(self, block: Block, stack: StackPlaying) -> None:
        """Engine thread: with this block another stack begins, silent for its latency."""
        asked_at = self._asked_at
        if asked_at is None or self._stack_status().loading:  # something newer is on its way
            return
        self._asked_at = None
        queued = block.start_frame + stack.latency_frames - self.sink.frames_heard
        self._reload_seconds = time.monotonic() - asked_at + max(0, queued) / self.generator.sample_rate

    def _changed(self, change: Change) -> None:
        """Writer's thread: a panic does not wait for the next deadline, and a recording hears of everything."""
        if change.name == "panic":
            self.engine.wake()
        self.recorder.note(change, self.sink.frames_heard)


def _beside(folder: Path | None, name: str) -> Path | None:
    """The folder of that name beside another one; None for a user without folders of his own."""
    return None if folder is None else folder.with_name(name)
