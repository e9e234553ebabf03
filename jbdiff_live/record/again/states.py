"""The states of the music that a take keeps: before its first block, and about once a minute.

    states/000123.safetensors   the stream's state before block 123 (`jbdiff.stream.state.StreamState`)
    states/000123.json          `StateFacts`; written last, so a state without it is not whole
    states/000123.wav           the sound before it, of the first state, and of those where the music goes on from
                                before the take: the stacks alone, and, if it differs, with the file in it (4 channels)

Threads: the writer's writes. Blocks on the disk; raises OSError. `TakeStates` decides which states are written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import soundfile

from jbdiff_live.block import SAMPLE_RATE, Audio, FilePlace, Saved, Storable, StoredState
from jbdiff_live.record.again.sounds import SOUNDS, SoundShelf, write_sound
from jbdiff_live.record.take import TakeError, sound_to_read
from jbdiff_live.stack_choice import StackPlaying
from jbdiff_live.system.files import plain_file, replace_file

STATES = "states"
STATE_SECONDS = 60.0  # of sound between two states


@dataclass(frozen=True)
class StateBefore:
    """The generator's state before a block. frame: the block's first."""

    index: int
    frame: int
    saved: Saved


class DryFacts(msgspec.Struct, frozen=True):
    """A file that plays in the output: its name in the folder `sounds`, its place at the state, and its gain."""

    sound: str
    place: FilePlace
    gain: float


class StateFacts(msgspec.Struct, frozen=True):
    """The numbers of a kept state. index: of the block that it comes before. The stack is the one that plays there."""

    index: int
    frame: int
    stack: str
    levels: list[int]
    finisher: bool
    hop: int | None
    steps: int | None
    identity: str
    position: int  # frames of the music so far
    resets: int  # count of the action that resets the context
    heard_frames: int = 0  # length of the sound before it; 0 if it is not kept
    dry: DryFacts | None = None


class TakeStates:
    """The states of one take. shelf: of sounds that several takes share; they lack the sound before their states."""

    def __init__(self, shelf: SoundShelf | None = None) -> None:
        self._shelf = shelf
        self._first: int | None = None  # index of the take's first block
        self._wanted: set[int] = set()
        self._last: tuple[int, StackPlaying] | None = None  # frame and stack of the last state

    def note(self, index: int, resumes: int | None) -> None:
        """Note a block of the take. One that resumes music from before the take needs its state."""
        if self._first is None:
            self._first = index
        if resumes is not None and resumes < self._first:
            self._wanted.add(index)

    def write(self, folder: Path, state: StateBefore) -> None:
        """Write a state into the take's folder, if it is due. Blocks of the take come before their states."""
        if self._first is None or state.index < self._first or not isinstance(state.saved, Storable):
            return
        if self._last is not None and state.index not in self._wanted:
            frame, stack = self._last
            if state.frame - frame < STATE_SECONDS * SAMPLE_RATE and state.saved.stack == stack:
                return
        stored = state.saved.stored()
        stack = state.saved.stack
        shelf = self._shelf or SoundShelf(folder / SOUNDS, SAMPLE_RATE)
        # No block of the take comes right before these, so a repeat or a crossfade there needs the sound itself.
        alone = self._last is None or state.index in self._wanted
        write_state(folder, state, stored, stack, shelf, self._shelf is None and alone)
        self._wanted.discard(state.index)
        self._last = state.frame, stack


def write_state(
    folder: Path, state: StateBefore, stored: StoredState, stack: StackPlaying, shelf: SoundShelf, heard: bool
) -> None:
    """Write one state. stack: that plays there. shelf: for the file in the output. heard: with the sound before it."""
    states = folder / STATES
    states.mkdir(exist_ok=True)
    name = f"{state.index:06d}"
    sound = np.concatenate(stored.heard) if heard and stored.heard else None
    if sound is not None and stored.out:
        sound = np.concatenate([sound, np.concatenate(stored.out)], axis=1)
    dry = None
    if stored.dry is not None and (played := shelf.keep(stored.dry.file)) is not None:
        dry = DryFacts(played, stored.dry.place, stored.dry.gain)
    if sound is not None:
        write_sound(states / f"{name}.wav", sound, SAMPLE_RATE)
    (states / f"{name}.safetensors").write_bytes(stored.stream)
    facts = StateFacts(
        state.index, state.frame, stack.stack, list(stack.levels), stack.finisher, stack.hop, stack.steps,
        stack.identity, stored.position, stored.resets, 0 if sound is None else len(sound),
        dry,
    )  # fmt: skip
    replace_file(states / f"{name}.json", msgspec.json.encode(facts).decode() + "\n")


def kept_states(take: Path) -> dict[int, StateFacts]:
    """Return the states of a take by the index of the block that they come before. TakeError: one is damaged."""
    found = {}
    for path in sorted((take / STATES).glob("*.json")):
        facts = _facts(path)
        found[facts.index] = facts
    return found


def _facts(path: Path) -> StateFacts:
    try:
        return msgspec.json.decode(plain_file(path).read_bytes(), type=StateFacts)
    except (OSError, msgspec.MsgspecError) as error:
        raise TakeError(f"{path}: {error}; remove it, and render from another block") from error


def dry_sound(take: Path, index: int) -> str | None:
    """Return the name of the file in the output at a state; None if there is none, or its facts are damaged."""
    try:
        facts = _facts(take / STATES / f"{index:06d}.json")
    except TakeError:
        return None
    return None if facts.dry is None else facts.dry.sound


def state_bytes(take: Path, facts: StateFacts) -> bytes:
    """Return the stream's state. TakeError: it cannot be read."""
    path = take / STATES / f"{facts.index:06d}.safetensors"
    try:
        return plain_file(path).read_bytes()
    except OSError as error:
        raise TakeError(f"{path}: {error.strerror}; render from another block") from error


def state_sound(take: Path, facts: StateFacts) -> Audio:
    """Return the sound before a state, `[frames, 2 or 4]`: `StoredState.heard`, and `out` beside it if it differs.

    No frames if it is not kept.
    """
    if not facts.heard_frames:
        return np.zeros((0, 2), np.float32)
    path = take / STATES / f"{facts.index:06d}.wav"
    try:
        samples: Audio = soundfile.read(sound_to_read(path), dtype="float32", always_2d=True)[0]
    except (OSError, RuntimeError) as error:
        raise TakeError(f"{path}: {error}; render from another block") from error
    return samples


def state_files(take: Path, index: int) -> Iterable[Path]:
    """Return the files of one state; the facts come last."""
    names = (take / STATES / f"{index:06d}{suffix}" for suffix in (".wav", ".safetensors", ".json"))
    return [path for path in names if path.is_file()]
