"""The window's requests to a session. Each is passed on to a desk or a part. No state of its own.

Thread: the window's, or the command line's. `Session` adds the life of the instrument and `status`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from jbdiff_live.audio.names import names_or_reason
from jbdiff_live.audio.switch import NULL_DEVICE, AudioSwitch
from jbdiff_live.beat.modulation import Lfo, Modulation
from jbdiff_live.binding import checksum
from jbdiff_live.block import Block
from jbdiff_live.browse.take_wishes import TakeWishes
from jbdiff_live.browse.wishes import LibraryWishes
from jbdiff_live.control.midi.inputs import MidiInput, list_midi_inputs
from jbdiff_live.control.names import KEYBOARD
from jbdiff_live.control.source import ControlEvent, EventKind
from jbdiff_live.control.wishes import ControlWishes
from jbdiff_live.desks.answers import Answers, answer_to_always, why_nothing_plays
from jbdiff_live.desks.clock_wishes import ClockWishes
from jbdiff_live.desks.function_desk import FunctionDesk
from jbdiff_live.desks.patch_desk import PatchDesk
from jbdiff_live.desks.scene_wishes import SceneWishes
from jbdiff_live.desks.session_desk import SessionDesk
from jbdiff_live.desks.sound_desk import SoundDesk
from jbdiff_live.desks.stack_desk import StackDesk
from jbdiff_live.engine.engine import Engine
from jbdiff_live.engine.past.machine import TimeMachine
from jbdiff_live.engine.voices.sources import FileSource
from jbdiff_live.kept.content import Ports
from jbdiff_live.links import Links
from jbdiff_live.parameters import PARAMETERS, Origin, ParameterSnapshot, ParameterStore, TakesEffect
from jbdiff_live.record.tape import Tape
from jbdiff_live.shown import shown
from jbdiff_live.stack_choice import StackChoice, StackParts
from jbdiff_live.status import EngineState
from jbdiff_live.system.takes_folder import always_options

TAKE_WORDS = {
    "heard": "what you hear",
    "engine": "the music before Gain, Mute and limiter",
    "both": "what you hear, and the music before Gain, Mute and limiter",
    "stems": "what you hear, the music before Gain, Mute and limiter, and the dry input",
}
JUMPS = {"back": 1, "far_back": 8, "forward": -1}  # blocks back


class Wishes(SceneWishes, LibraryWishes, TakeWishes, ControlWishes, ClockWishes):
    """The requests of `jbdiff_live.status.Transport`. A subclass makes the parts below."""

    store: ParameterStore
    modulation: Modulation
    engine: Engine
    past: TimeMachine
    tape: Tape
    audio: AudioSwitch
    midi: MidiInput
    links: Links
    answers: Answers
    stack_desk: StackDesk
    sound_desk: SoundDesk[FileSource]
    patch_desk: PatchDesk
    session_desk: SessionDesk
    functions: FunctionDesk
    midi_api: str | None  # None: the system's default
    asked: bool  # True from the player's start to the stop; the engine may get ready before
    ports: Ports  # the devices and ports that are chosen, for the next start; swapped whole

    # ------------------------------------------------------------------ getting ready

    def prepare(self) -> None:
        """Load and warm up the stack, and make the first block, without a sound. Does nothing after a start."""
        if not self.asked and self.engine.status.state is EngineState.OFFLINE:
            self.engine.start()

    def _choices(self) -> object:
        """Return all that a block is made from: values, actions, stack, sounds and the clock."""
        snapshot, sounds = self.store.snapshot, self.sound_desk
        later = {p.name: snapshot[p.name] for p in PARAMETERS if p.takes_effect is not TakesEffect.NOW}
        actions = {name: count for name, count in snapshot.counts.items() if name not in ("marker", "tap")}
        files = tuple(sounds.playing(role) for role in ("context", "init"))
        return later, actions, self.stack_desk.choice, files, self.clock_desk.source

    # ------------------------------------------------------------------ values

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
        """Give a knob an LFO, or remove its LFO. KeyError: no such parameter."""
        self.undo_desk.set_lfo(name, lfo)

    def press_key(self, key: str) -> bool:
        """Press a key of the computer's keyboard, such as "F5". Return True if it has a binding."""
        now = time.monotonic()
        return self.controls.handle(
            ControlEvent(KEYBOARD, EventKind.KEY, 1, checksum(key), 127, True, now, key)
        )

    def send_all(self) -> None:
        """Send every value to every controller that shows it, and by OSC."""
        self.controls.send_all()
        self.links.osc.send_all()

    def jump(self, function: str) -> None:
        """Let the time machine go "back", "far_back" or "forward", at its time."""
        self.functions.perform(function)

    def perform_past(self, function: str) -> bool:
        """Jump at once. Return False if the function is no jump."""
        if function not in JUMPS:
            return False
        self.past.ask(JUMPS[function], why_nothing_plays(self.engine.status.seen(self.asked)))
        self.engine.jump()
        return True

    # ------------------------------------------------------------------ recording

    def holds(self, function: str) -> bool:
        """Let a function such as "play" wait for its beat or bar. Return False if it is to be done now."""
        return self.functions.waits(function)

    def start_recording(self, frame: int | None = None) -> None:
        """Record from the audible frame on, or from `frame`. If nothing sounds yet, record from the first sound on."""
        if self.plays and self.audio.sounds:
            self.tape.start(self.audio.frames_heard if frame is None else frame)
            self.answers.say("the take records from now on; R ends it")
            return
        self.tape.arm()
        if self.plays:
            self.tape.begin(self.audio.frames_heard, anew=False)
        words = f"recording begins with the first sound{'' if self.plays else '; press start'}"
        self.answers.say(words, holds=lambda: self.tape.waits)

    def record_from_first_block(self) -> None:
        """Record from the first sound on. Call it before `start`; later it is the first frame of the next block."""
        if self.asked:
            self.tape.start_with_next_block()
        else:
            self.tape.arm()

    def stop_recording(self, end_frame: int | None = None) -> None:
        """Close the take at the last frame played, or at `end_frame`."""
        recording, waited = self.tape.status().recording, self.tape.waits
        self.tape.stop(self.audio.frames_heard if end_frame is None else end_frame)
        if waited:
            self.answers.say("the recording is taken back: it had not begun")
        elif recording:
            status = self.tape.status()
            seconds = status.frames / self.tape.sample_rate
            self.answers.say(f"take of {seconds:.0f} s closed: {status.folder}")

    def keep(self, everything: bool = False) -> None:
        """Make a take of the last minutes that were heard, or of everything since the music started. Ends now.

        RuntimeError: always recording is off.
        """
        self.tape.keep(self.audio.frames_heard, everything)
        self.answers.say("keeping what you heard")

    def choose_takes_folder(self, folder: Path) -> None:
        """Let takes go into a folder, from the next one on. ValueError: it is no folder, or cannot be written."""
        folder = _writable(folder)
        self.tape.choose_folder(folder)
        self.take_desk.look_in(folder)
        self.session_desk.keep_folder("takes", folder)
        self.answers.say(f"the next take goes into {shown(folder)}")

    def choose_take_sound(self, sound: str) -> None:
        """Let takes have "heard", "engine", "both" or "stems", from the next one on. ValueError: another word."""
        self.tape.choose_sound(sound)
        self.ports = replace(self.ports, take=sound)
        self.answers.say(f"the next take has {TAKE_WORDS[sound]}")

    def choose_always(self, minutes: float, megabytes: float, keep_minutes: float) -> None:
        """Keep more or fewer of the last minutes from now on; 0 minutes keeps none. ValueError: out of range."""
        options = always_options(minutes, megabytes, keep_minutes)
        if minutes and options is None:
            raise ValueError("this user has no home folder, so there is no place for the last minutes")
        self.tape.choose_always(options)
        self.ports = replace(
            self.ports, always_minutes=minutes, always_mb=megabytes, keep_minutes=keep_minutes
        )
        self.answers.say(answer_to_always(options, self.tape.sample_rate))

    def broken_takes(self) -> Sequence[Path]:
        """Return the takes that a crash broke off. Blocks on the disk for a moment."""
        return self.tape.broken_takes()

    def recover_takes(self) -> Sequence[Path]:
        """Make them whole, and return their folders. TakeError: one of them cannot be read; it stays as it is."""
        folders = self.tape.recover()
        names = ", ".join(shown(folder.name) for folder in folders)
        self.answers.say(f"recovered: {names}" if folders else "there is no broken take")
        return folders

    @property
    def plays(self) -> bool:
        """True if the player has started the engine and it has not stopped or failed."""
        return self.asked and self.engine.status.state not in (EngineState.OFFLINE, EngineState.FAILED)

    # ------------------------------------------------------------------ controllers

    def midi_inputs(self) -> Sequence[str]:
        return list_midi_inputs(self.midi_api)

    def choose_midi_inputs(self, names: Sequence[str]) -> None:
        self.midi.choose(names)
        self.ports = replace(self.ports, midi=tuple(names))

    def _load_program(self, event: ControlEvent) -> None:
        """Recall the scene or load the patch of a MIDI program. Program changes' thread."""
        listed = self.controls.program_patch(event)
        scene = self.scene_desk.kept.of_program(event.number)
        if listed is None and scene is not None:
            self.recall_scene(scene)
            return
        self.patch_desk.load_program(event.number, event.text(), listed, event.time)

    # ------------------------------------------------------------------ devices

    def audio_devices(self) -> Sequence[str]:
        return [*self._names("output"), NULL_DEVICE]

    def choose_audio_device(self, name: str) -> None:
        """Move the sound to another device. If that fails, the old one plays on and DeviceError gives the reason."""
        self.audio.open(name)
        if name != NULL_DEVICE:  # nobody wants silence at the next start
            self.ports = replace(self.ports, device=name)
        self.answers.say(f"sound output: {self.audio.status().device}")

    def input_devices(self) -> Sequence[str]:
        return self._names("input")

    def choose_input_device(self, name: str) -> None:
        """Open a live input; an empty name closes it. If that fails, the old one stays open."""
        self.audio.listen(name)
        self.ports = replace(self.ports, input_device=name or None)
        self.answers.say(f"sound input: {self.audio.status().input_device or 'none'}")

    def _names(self, kind: str) -> list[str]:
        names, reason = names_or_reason(kind)
        if reason:
            self.answers.say(f"no sound {kind}s: {reason}")
        return names

    # ------------------------------------------------------------------ stacks, patches, files

    def folder(self, kind: str) -> Path | None:
        return self.session_desk.folder(kind)

    def keep_folder(self, kind: str, folder: Path) -> None:
        self.session_desk.keep_folder(kind, folder)

    def choose_own_patches(self, folder: Path) -> None:
        """Read own patches from a folder, and save them there, from now on. ValueError: it cannot be written."""
        folder = _writable(folder)
        for kind in ("own", "patches"):  # the dialogs begin there too
            self.session_desk.keep_folder(kind, folder)
        self.answers.say(f"your own patches are those in {shown(folder)} now; no file was moved")

    def stacks(self) -> Sequence[StackParts]:
        return self.stack_desk.stacks()

    def choose_stack(self, choice: StackChoice) -> None:
        """Load another stack, or other parts, during the music. `status` shows when it plays, or why it cannot."""
        self.stack_desk.choose(choice)

    def patches(self) -> Mapping[str, Path]:
        return self.patch_desk.patches()

    def patch_programs(self) -> Mapping[str, int]:
        return self.patch_desk.programs()

    def load_patch(self, path: Path) -> None:
        """Apply a patch: values, bindings, the sound to begin from, and the stack. A stack takes time to load.

        PatchError names the line and the remedy.
        """
        self.patch_desk.load(path)

    def save_patch(self, path: Path, name: str) -> None:
        self.patch_desk.save(path, name)

    def load_context_file(self, path: Path) -> None:
        """Begin to read a context file. `status` shows when it plays, or why it cannot."""
        self.sound_desk.load("context", path)

    def load_init_file(self, path: Path) -> None:
        """Begin to read an init file. `status` shows when it plays, or why it cannot."""
        self.sound_desk.load("init", path)

    def wait_for_files(self) -> None:
        """Wait for the files that are being read. Raises the reason when a file cannot be used."""
        self.sound_desk.wait()


def _writable(folder: Path) -> Path:
    """Return the whole path of a folder. ValueError: it is no folder, or cannot be written."""
    folder = folder.absolute()
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ValueError(f"{shown(folder)} is no folder that can be written; choose another one")
    return folder
