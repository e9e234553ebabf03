"""The composition root: the one file that names concrete classes, and the order in which they start and stop.

Threads: the session itself has none. Its `Transport` methods run on the window's thread (or the command line's).
`_block_made` runs on the engine thread, `_perform` and program changes on a thread of their own. `_changed` runs on the
thread that changed a value.
Start: the engine loads and warms up, its first blocks fill the ring, then the sound device starts. Stop: the sound
fades out, the take is closed, the engine ends. Each step of stopping and closing runs even if earlier steps failed.

Where a new part joins: `_sources` lists the sources of control events. `_block_made` calls the parts that follow the
blocks, and `_changed` the parts that follow the values. A choice of the player has a desk of its own (`desks/`). The
window's requests are in `wishes.py`, and its view of the session in `reports.py`.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from jbdiff_live.audio.audition import Audition
from jbdiff_live.audio.listening.takes import TakeListening
from jbdiff_live.audio.live.delays import LOOPBACK, Delays
from jbdiff_live.audio.master.whole import measure
from jbdiff_live.audio.remembered import open_sound
from jbdiff_live.audio.switch import AudioSwitch
from jbdiff_live.beat.clock_out import ClockOut
from jbdiff_live.beat.conductor import Conductor, clock_from
from jbdiff_live.beat.line import Unit
from jbdiff_live.block import SAMPLE_RATE, Block, BlockGenerator
from jbdiff_live.browse.desk import LibraryDesk
from jbdiff_live.clock import MACHINE, Clock
from jbdiff_live.control.map import ControlMap
from jbdiff_live.control.midi.beat_keeper import BeatKeeper
from jbdiff_live.control.midi.inputs import MidiInput
from jbdiff_live.control.midi.out_ports import list_midi_outputs
from jbdiff_live.control.programs import ProgramChanges
from jbdiff_live.control.shelf import MapShelf
from jbdiff_live.control.source import ControlEvent, ControlSource, EventKind
from jbdiff_live.desks.answers import Answers, answer_to, answer_to_marker
from jbdiff_live.desks.clock_desk import ClockDesk
from jbdiff_live.desks.function_desk import FunctionDesk
from jbdiff_live.desks.history import History
from jbdiff_live.desks.life import Life
from jbdiff_live.desks.patch_desk import PatchDesk
from jbdiff_live.desks.scene_desk import SceneDesk
from jbdiff_live.desks.session_desk import SessionDesk
from jbdiff_live.desks.sound_desk import SoundDesk
from jbdiff_live.desks.stack_desk import StackDesk
from jbdiff_live.desks.undo_desk import UndoDesk
from jbdiff_live.engine.engine import STOP_SECONDS, Engine
from jbdiff_live.engine.generator import ModelGenerator
from jbdiff_live.engine.past.machine import TimeMachine
from jbdiff_live.engine.voices.sound_reader import SoundReader
from jbdiff_live.engine.voices.sources import FileSource, file_takers, load_file_source
from jbdiff_live.engine.voices.torch_setup import share_one_heap
from jbdiff_live.links import Links, Sight
from jbdiff_live.modular.movement import Movement
from jbdiff_live.parameters import Change, ParameterStore
from jbdiff_live.record.heard import HeardTap
from jbdiff_live.record.picture import draw_beside
from jbdiff_live.record.recorder import Recorder
from jbdiff_live.record.room import TakeRoom
from jbdiff_live.record.shelf.desk import TakeDesk
from jbdiff_live.record.tape import Tape
from jbdiff_live.reports import Reports
from jbdiff_live.ring import RingBuffer
from jbdiff_live.session_options import SessionOptions
from jbdiff_live.stack_choice import StackChoice
from jbdiff_live.system.patch_folders import user_file, user_patches_folder
from jbdiff_live.system.takes_folder import takes_folder
from jbdiff_live.system.thread_priority import process_priority

__all__ = ["Session", "SessionOptions"]

log = logging.getLogger(__name__)

RING_SECONDS = 12.0
# Seconds queued before the device starts. After one short block alone, the next would have only its length as time.
BEGIN_SECONDS = 0.35
OLDER = "older values"  # equal to no `_choices`: the first block has to be made again


class Session(Reports):
    """An instrument, ready to `start`. Implements `jbdiff_live.status.Transport`."""

    take_desk: TakeDesk

    def __init__(
        self,
        options: SessionOptions,
        generator: BlockGenerator | None = None,
        clock: Clock = MACHINE,
        patience: float = STOP_SECONDS,
    ) -> None:
        """generator: None plays stacks. patience: seconds for which a stop waits for a block that hangs."""
        self.options, self.midi_api, self.ports, self.asked = options, options.midi_api, options.ports, False
        self._made_ready: object = None  # what the first block was made from, if it was made before a start
        self._delivering = threading.Lock()
        self._patience = patience
        # A shorter switch interval cuts the worst wait for the GIL from 13 to 3 ms beside a busy thread.
        sys.setswitchinterval(0.0005)
        share_one_heap()
        self.store = ParameterStore()
        self.answers = Answers(clock)
        self._make_sound(generator, clock)
        self._make_controls(clock)
        self._priority = process_priority().text
        self.store.subscribe(self._changed)

    def _make_sound(self, generator: BlockGenerator | None, clock: Clock) -> None:
        """Make the parts through which a block goes: generator, engine, ring, device, tape; and their desks."""
        options, store, sounding = self.options, self.store, lambda: self.conductor.sounding
        self.sounds = SoundReader(
            SAMPLE_RATE,
            lambda role, source: self.sound_desk.came(role, source),
            lambda role, words: self.sound_desk.refused(role, words),
        )
        if generator is None:
            generator = ModelGenerator(
                options.over(StackChoice()),
                lambda frames, ahead, beat: self.audio.latest_input(frames, ahead, beat),
                options.threads,
                lambda: self.engine.wake(),
                sounding,
                self.sounds.wait,
                options.ladder,
            )
        self.generator = generator
        # The generator if it plays stacks, else None.
        self.model = generator if isinstance(generator, ModelGenerator) else None
        rate, channels = generator.sample_rate, generator.channels
        self.ring = RingBuffer(int(RING_SECONDS * rate), channels)
        self.movement = Movement(rate, self.ring.capacity + rate)
        self.past = TimeMachine(
            generator, self._played_from, self.answers.say, kept=lambda *state: self.tape.state_kept(*state)
        )
        self._make_beat(rate, clock)
        cv = Links.cv_out(options.links, self.movement)
        tap = HeardTap(rate, channels)
        self.audio = AudioSwitch(
            self.ring, sounding, rate, options.short_ring_frames, clock, self.conductor, cv, tap.put,
            options.input_channels, Delays(user_file(LOOPBACK)), heard_input=tap.put_input,
        )  # fmt: skip
        self.engine = Engine(
            generator, self.ring, sounding, lambda: self.audio.frames_queued, self._block_made, clock,
            ladder=options.ladder, knobs=self.conductor.knobs, past=self.past,
        )  # fmt: skip
        self.tape = _make_tape(self, tap, clock)
        self.audition = Audition(
            lambda path, seconds: load_file_source(path, rate, seconds).samples,
            self.audio.open_beside, sounding, channels, rate, lambda: not self.plays, clock,
        )  # fmt: skip
        self.take_desk = _make_take_desk(self)
        self.stack_desk = StackDesk(self.model, options.over, rate, lambda: self.audio.frames_heard)
        self.sound_desk = SoundDesk[FileSource](file_takers(generator), self.sounds, store, self.answers.say)

    def _make_beat(self, rate: int, clock: Clock) -> None:
        """Make the parts of the beat: outer clock, changes held for it, clock out. LinkError: no Ableton Link."""
        options, store = self.options, self.store
        bars = clock_from(options.clock, options.beats_per_bar, options.clock_offset, store.snapshot["tempo"])
        self.conductor = Conductor(
            store, bars, rate, clock.now, lambda when: self.audio.frame_at(when),
            lambda: self.plays and self.audio.sounds, ClockOut(rate, options.beats_per_bar),
            self._landed,
            lambda function, frame: self.functions.landed(function, frame),
        )  # fmt: skip
        self.modulation, self.history = self.conductor.modulation, History()
        self.scene_desk = SceneDesk(
            store, self.conductor, self.history, clock.now, self.answers.say, self.conductor.lfo_of_scenes
        )
        self.beat_keeper = BeatKeeper(
            self.conductor, clock, lambda: self.audio.sounds, options.clock_out, options.midi_api, self.scene_desk.step
        )  # fmt: skip
        self.clock_desk = _make_clock_desk(self)

    def _make_controls(self, clock: Clock) -> None:
        """Make the parts of control: sources of events, control map, values, and program changes."""
        options, say = self.options, self.answers.say
        self.controls = ControlMap(
            self.store,
            shelf=MapShelf(user_file("controllers")),
            perform=lambda function, hold: self.functions.perform(function, hold),
            changed=lambda: self.programs.ask("saving a map", self.controls.save_maps),
            takeover=options.takeover,
        )
        self.patch_desk = PatchDesk(
            self.store, self.controls, self.modulation, self.stack_desk, self.sound_desk, self.scene_desk,
            self.history, say, lambda: self.session_desk.folder("own"),
        )  # fmt: skip
        self.library_desk = LibraryDesk(
            self.patch_desk, self.audition, self.conductor.functions, self.conductor.hold_function,
            lambda: self.plays, clock.now, say, lambda: self.session_desk.folder("own"),
            user_file("favourites.toml"),
            lambda: self.take_desk.list(),
        )  # fmt: skip
        self.undo_desk = UndoDesk(
            self.store, self.history, self.patch_desk, self.scene_desk, self.modulation, clock.now, say
        )
        self.session_desk = SessionDesk(
            self.store, self.patch_desk, self.sound_desk, self.history, lambda: self.ports, clock,
            lambda: user_patches_folder(),
        )  # fmt: skip
        self.programs = ProgramChanges(self._load_program, options.program_channel)
        self.functions = FunctionDesk(self, self.programs.ask, self.answers.say)
        self.life = Life(self._start, self._stop, lambda: self.functions.perform("start", Unit.OFF), say)
        self.links = Links(
            options.links,
            self.store,
            self.controls,
            Sight(lambda: self.audio.frames_heard, self._heard, self._states),
            self.perform,
            self.movement,
            self._controlled,
            midi_api=options.midi_api,
            clock=clock,
        )
        self.midi = MidiInput(
            self._controlled,
            names=options.midi,
            api=options.midi_api,
            virtual=options.virtual_midi,
            on_port=self.links.port,
            on_clock=self.conductor.clock.midi,
        )
        if options.midi is not None and "midi" in options.remembered:
            self.midi.choose(options.midi)  # whole names, not parts of them
        self._sources: tuple[ControlSource, ...] = (self.midi, self.beat_keeper)

    # ------------------------------------------------------------------ life

    def open(self) -> None:
        """Open MIDI and the sound device. A missing device becomes a visible problem, not an error."""
        self.controls.load_maps()
        self.programs.start()
        self.links.start(self.audio.listen_to_cv)
        for source in self._sources:
            source.start()
        options = self.options
        open_sound(
            self.audio, options.input_device, options.device, options.remembered, self.session_desk.say
        )

    def start(self) -> None:
        """Begin to play. Returns at once; `status` shows the engine's progress. RuntimeError: a block hangs.

        A start that comes while the sound of a stop fades out is done after it. A first block that `prepare` has made
        sounds at once. If a knob was turned since, it is made again.
        """
        self.life.start()

    def stop(self) -> None:
        """Fade out, close a running take, and stop. TimeoutError if a block hangs; the other steps are done."""
        self.life.stop()

    def _start(self) -> None:
        for error in _run_all(self.audition.stop):  # it ends by itself as soon as the music plays
            log.warning("before the start: %s", error)
        self.stack_desk.begin()
        with self._delivering:  # a block is delivered before the start or after it
            made, self._made_ready, self.asked = self._made_ready, None, True
            if anew := made is not None and made != self._choices():
                self.engine.begin_anew()
            self.tape.begin(self.audio.frames_heard, anew)
            self.audio.begin()
        if made is not None and not anew:
            self.audio.block_made(_enough(self.generator.sample_rate, self.generator.block_frames))
        self.engine.start()

    def _stop(self) -> None:
        self.asked, self._made_ready = False, None
        errors = _run_all(
            self.engine.ask_to_stop,
            self.audio.stop,
            lambda: self.tape.stop(self.audio.frames_heard),  # the take ends with the fade of the stop
            self._stop_engine,
            self.tape.stopped,
        )
        for error in errors[1:]:
            log.warning("while stopping: %s", error)
        if errors:
            raise errors[0]

    def _stop_engine(self) -> None:
        self.engine.stop(self._patience)
        # No thread writes or reads the ring now, so the session may do both. The frames left in it are dropped.
        self.ring.request_drain()
        self.ring.skip_drained()

    def close(self) -> None:
        """Stop, end every thread and close every device. A part that cannot be closed is logged."""
        errors = _run_all(
            self.stop,
            lambda: self.engine.close(0.0),  # `stop` has waited for it
            self.audition.stop,
            self.take_desk.close,
            *(source.stop for source in self._sources),
            self.links.stop,
            self.conductor.clock.close,
            self.programs.stop,
            self.controls.save_maps,
            self.sounds.close,
            lambda: self.audio.listen(""),
            lambda: self.audio.listen_to_cv("", 0, lambda frames, rate: None),
            self.audio.close,
            self.tape.close,
        )
        for message in dict.fromkeys(map(str, errors)):  # a hanging block makes two steps fail alike
            log.warning("while closing: %s", message)

    # ------------------------------------------------------------------ other threads

    def perform(self, function: str) -> None:
        """Call a function of the session, such as "play", at its time, on the program changes' thread. Never waits."""
        self.functions.perform(function)

    def _controlled(self, event: ControlEvent) -> bool:
        """Give an event to the control map. A program change without a binding goes to the thread that loads patches.

        Runs on the source's thread. Returns True if the control has a binding.
        """
        used = self.controls.handle(event)
        if not used and event.kind is EventKind.PROGRAM:
            self.programs.handle(event)
        return used

    def _block_made(self, block: Block) -> None:
        """Keep the block, record it, and start the device when enough is queued. Engine thread."""
        with self._delivering:
            if not self.asked and self._made_ready is None:
                turned = block.snapshot.version != self.store.snapshot.version
                self._made_ready = OLDER if turned else self._choices()
            self.stack_desk.block_made(block, next(reversed(self.tape.recent), None))
            self.tape.block_made(block)
            self.links.block_made(block)
            self.conductor.made(block)
            if not self.engine.anew.is_set():  # else this block is dropped
                self.audio.block_made(_enough(self.generator.sample_rate, block.frames))

    def _landed(self, change: Change, frame: int | None) -> None:
        """Record a change when it is made. frame: that of its beat or bar, if it waited. Never waits."""
        self.past.landed(change)
        self.tape.note(change, self.audio.frames_heard if frame is None else frame)

    def _changed(self, change: Change) -> None:
        """Answer an action. A panic wakes the engine at once. Writer's thread."""
        if change.name == "panic":
            self.engine.wake()
        if change.name == "marker":
            self.answers.say(answer_to_marker(self.tape.status().recording, self.tape.waits))
        elif change.is_action:
            waits = self.conductor.answer_to(change.name)
            style = self.store.snapshot.choice("noise_style")
            self.answers.say(waits or answer_to(change.name, self.engine_status, style))


def _enough(sample_rate: int, block_frames: int) -> int:
    """Return the frames to queue before the device starts. The engine makes three blocks before it waits."""
    return min(int(BEGIN_SECONDS * sample_rate), 3 * block_frames)


def _make_tape(session: Session, tap: HeardTap, clock: Clock) -> Tape:
    """Make the tape. tap: gives what is heard."""
    options, rate, channels = session.options, session.generator.sample_rate, session.generator.channels
    room = TakeRoom(options.takes, rate, channels, clock.now)
    return Tape(
        Recorder(
            rate,
            channels,
            tap=tap,
            sound=options.take_sound,
            facts=session._take_facts,
            fallback=takes_folder(),
            closed=draw_beside if options.take_pictures else lambda folder: None,
            always=options.always,
            say=session.answers.say,
        ),
        options.takes,
        rate,
        session.ring.capacity,
        session._take_info,
        room,
        session._take_files,
        options.always,
    )


def _make_clock_desk(session: Session) -> ClockDesk:
    """Make the desk of the clock."""
    outputs = partial(list_midi_outputs, session.midi_api)
    return ClockDesk(session.conductor, session.beat_keeper, outputs, session.answers.say)


def _make_take_desk(session: Session) -> TakeDesk:
    """Make the desk of the takes that were recorded."""
    options, generator = session.options, session.generator

    def moved(old: Path, new: Path | None) -> None:
        session.library_desk.take_moved(old, new)
        session.tape.moved(old, new)

    return TakeDesk(
        options.takes,
        TakeListening(session.audition, generator.sample_rate, generator.channels),
        measure,
        lambda: session.plays,
        moved,
        draw_beside if options.take_pictures else lambda folder: None,
    )


def _run_all(*steps: Callable[[], object]) -> list[Exception]:
    """Run every step, even if earlier steps raised. Return the errors in order."""
    errors = []
    for step in steps:
        try:
            step()
        except Exception as error:  # the caller raises or logs it, after the other steps
            log.info("", exc_info=error)
            errors.append(error)
    return errors
