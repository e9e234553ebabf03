"""A take: a folder with the sound, everything that happened, and what it was made with. Reading it back.

    takes/2026-05-01_21-30-00/
        audio.wav, audio-002.wav, ...   float32, one after the other, written as the music is made
        events.jsonl                    one event a line: changes, actions, blocks, stacks, gaps
        take.json                       `TakeInfo`; written at the start and again at the end

Threads: any; blocks on the disk. After a crash the sound is there up to the last block, the events to the last
whole line, and `closed_cleanly` is false.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import soundfile

from jbdiff_live.block import Audio
from jbdiff_live.parameters import PARAMETERS, ParameterSnapshot

FORMAT = 1
EVENTS = "events.jsonl"
INFO = "take.json"
LONGEST_LINE = 1 << 20  # bytes; an event with all values has 2000
BLOCK_FRAMES = 1 << 18
_DEFAULTS = {parameter.name: parameter.default for parameter in PARAMETERS}


class TakeError(ValueError):
    """A take that cannot be read: names the file and the remedy."""


class ChangeEvent(msgspec.Struct, frozen=True, tag_field="event", tag="change"):
    """A parameter changed while `frame` (of the session) was being heard."""

    frame: int
    name: str
    value: float
    origin: str
    version: int


class ActionEvent(msgspec.Struct, frozen=True, tag_field="event", tag="action"):
    """An action was triggered; `count` says how often since the session began."""

    frame: int
    name: str
    count: int
    origin: str
    version: int


class BlockEvent(msgspec.Struct, frozen=True, tag_field="event", tag="block", omit_defaults=True):
    """A block was made. `version` is that of its snapshot, whose values and action counts follow.

    `turned` is there where a knob was turned while the block was being made: what was read, in order, of guidance one
    value for each step. In its place `values` holds what it was when the block began. To make the block again, with
    `snapshot` for its settings, an event is the `turning` of `jbdiff.stream.stream.BlockStream.step`.
    """

    index: int
    start_frame: int
    frames: int
    noise: str
    seconds_taken: float
    rung: str
    version: int
    values: dict[str, float]
    counts: dict[str, int]
    turned: dict[str, list[float]] = {}

    @property
    def snapshot(self) -> ParameterSnapshot:
        """The knobs it was made with; those that were not there yet when it was written are at their defaults."""
        return ParameterSnapshot(self.version, {**_DEFAULTS, **self.values}, self.counts)

    def guidance(self, step: int) -> float:
        """As it was read for the `step`, counted from 0. IndexError where the block took fewer."""
        read = self.turned.get("guidance")
        return self.values["guidance"] if read is None else read[step]

    def finisher_strength(self) -> float:
        """As it was read when the finisher started."""
        return self.turned.get("finisher_strength", [self.values["finisher_strength"]])[0]


class GapEvent(msgspec.Struct, frozen=True, tag_field="event", tag="gap"):
    """Blocks went missing (the disk was too slow): so many frames of silence stand in for them."""

    frame: int
    frames: int


class StackEvent(msgspec.Struct, frozen=True, tag_field="event", tag="stack"):
    """From `frame` on another stack makes the blocks: silent for its latency, then fading in over the old one.

    The old one goes on until the fade has ended. `identity` names the weights.
    """

    frame: int
    stack: str
    levels: list[int]
    finisher: bool
    hop: int | None
    steps: int | None
    identity: str
    latency_frames: int
    fade_frames: int


Event = ChangeEvent | ActionEvent | BlockEvent | StackEvent | GapEvent


class TakeInfo(msgspec.Struct, frozen=True):
    """What `take.json` holds. Frames count since the session began; `frames` is the length of the take.

    `values` are the parameters when recording began; `details` is whatever else the session wanted kept.
    """

    sample_rate: int
    channels: int
    start_frame: int
    started: str  # local time, ISO 8601
    app_version: str = ""
    patch: str = ""
    stack: str = ""
    stack_identity: str = ""
    seed: int | None = None
    # Any: whatever JSON holds; a take of a later version may hold more.
    values: dict[str, Any] = {}
    details: dict[str, Any] = {}
    frames: int = 0
    dropped_blocks: int = 0
    problem: str = ""
    closed_cleanly: bool = False
    format: int = FORMAT


@dataclass(frozen=True)
class Take:
    """A take on disk. `audio` are its sound files in order."""

    folder: Path
    info: TakeInfo
    audio: tuple[Path, ...]

    @property
    def frames(self) -> int:
        """Frames of sound that are really there. TakeError if a file is damaged."""
        total = 0
        for path in self.audio:
            with _opened(path) as sound:
                total += sound.frames
        return total

    def read(self) -> Audio:
        """All of the sound, float32 `[frames, channels]`, sample for sample what the engine made. An hour takes 1.3 GB:
        `blocks` gives it in pieces. TakeError if a file is damaged.
        """
        parts = list(self.blocks())
        return np.concatenate(parts) if parts else np.zeros((0, self.info.channels), np.float32)

    def blocks(self, frames: int = BLOCK_FRAMES) -> Iterator[Audio]:
        """The sound piece by piece, `[at most frames, channels]`."""
        for path in self.audio:
            with _opened(path) as sound:
                try:
                    while len(block := sound.read(frames, dtype="float32", always_2d=True)):
                        yield block
                except (soundfile.LibsndfileError, RuntimeError) as error:
                    raise TakeError(f"{path}: {error}; the take's other files can still be opened") from error

    def events(self) -> Iterator[Event]:
        """Every event in the order of writing; a last line torn by a crash is left out.

        Blocks are made ahead of being heard: the last ones may lie behind the end of the sound.
        """
        path = self.folder / EVENTS
        decoder = msgspec.json.Decoder(Event)
        try:
            lines = path.open("rb")
        except OSError as error:
            raise TakeError(
                f"{path}: {error.strerror}; the sound beside it can still be opened by itself"
            ) from error
        with lines:
            number = 0
            while line := lines.readline(LONGEST_LINE):
                number += 1
                if not line.endswith(b"\n"):
                    if len(line) == LONGEST_LINE:
                        raise TakeError(f"{path}, line {number}: longer than any event; remove that line")
                    return
                try:
                    yield decoder.decode(line)
                except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                    raise TakeError(f"{path}, line {number}: {error}; remove that line") from error


def sound_path(path: Path) -> str | bytes:
    """The path as soundfile opens it whatever bytes its name has: as text it takes UTF-8 alone."""
    return str(path) if os.name == "nt" else os.fsencode(path)


def _opened(path: Path) -> soundfile.SoundFile:
    """A sound file of the take, to be read."""
    try:
        return soundfile.SoundFile(sound_path(path))
    except soundfile.LibsndfileError as error:
        raise TakeError(
            f"{path}: {error.error_string}; the take's other files can still be opened"
        ) from error


def audio_name(number: int) -> str:
    """Name of the take's `number`th sound file, counted from 1."""
    return "audio.wav" if number == 1 else f"audio-{number:03d}.wav"


def open_take(folder: Path) -> Take:
    """The take in a folder, closed or broken off. TakeError where there is none or a newer one."""
    path = folder / INFO
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_LINE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise TakeError(f"{path}: {reason}; give the folder of a take") from error
    if len(text) > LONGEST_LINE:
        raise TakeError(f"{path}: larger than any take's; the sound beside it can still be opened by itself")
    try:
        info = msgspec.json.decode(text, type=TakeInfo)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise TakeError(f"{path}: {error}; the sound beside it can still be opened by itself") from error
    if info.sample_rate < 1 or info.channels < 1:
        raise TakeError(
            f"{path}: {info.sample_rate} Hz, {info.channels} channels; the sound beside it can still be opened by "
            "itself"
        )
    if info.format > FORMAT:
        raise TakeError(f"{path}: format {info.format}, this jbdiff-live reads up to {FORMAT}; update it")
    names = [folder / "audio.wav", *sorted(folder.glob("audio-*.wav"))]
    return Take(folder, info, tuple(name for name in names if name.exists()))
