"""A take: a folder with the sound, all events, and the settings that made it. This module reads it.

    takes/2026-05-01_21-30-00/
        audio.wav, audio-002.wav, ...   float32, one after the other, written as the music is made
        events.jsonl                    one event a line: changes, actions, blocks, stacks, gaps
        take.json                       `TakeInfo`; written at the start and again at the end

Threads: any; blocks on the disk. After a crash the sound reaches to the last block, the events to the last
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
    """A take cannot be read. The text names the file and the remedy."""


class ChangeEvent(msgspec.Struct, frozen=True, tag_field="event", tag="change"):
    """A change of a parameter. `frame` is the session's audible frame at that moment."""

    frame: int
    name: str
    value: float
    origin: str
    version: int


class ActionEvent(msgspec.Struct, frozen=True, tag_field="event", tag="action"):
    """A triggered action. `count` is the number of its triggers since the session began."""

    frame: int
    name: str
    count: int
    origin: str
    version: int


class BlockEvent(msgspec.Struct, frozen=True, tag_field="event", tag="block", omit_defaults=True):
    """A block that was made. `version` is its snapshot's; the snapshot's values and action counts follow.

    `turned` holds the values of knobs that changed while the block was being made, in the order of reading; guidance
    has one value for each step. For such a knob `values` holds the value at the block's beginning. To make the block
    again, take `snapshot` for its settings, and the event as `turning` of `jbdiff.stream.stream.BlockStream.step`.
    `again` is the index of an earlier block if the time machine played that block again: with the state before that
    block, these settings make the same sound.
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
    again: int | None = None

    @property
    def snapshot(self) -> ParameterSnapshot:
        """Return the knobs of the block. Knobs that an older version did not have are at their defaults."""
        return ParameterSnapshot(self.version, {**_DEFAULTS, **self.values}, self.counts)

    def guidance(self, step: int) -> float:
        """Return the guidance of a step, counted from 0. IndexError if the block took fewer steps."""
        read = self.turned.get("guidance")
        return self.values["guidance"] if read is None else read[step]

    def finisher_strength(self) -> float:
        """Return the finisher strength as it was read when the finisher started."""
        return self.turned.get("finisher_strength", [self.values["finisher_strength"]])[0]


class GapEvent(msgspec.Struct, frozen=True, tag_field="event", tag="gap"):
    """A gap of silence, in frames, in place of blocks that were dropped because the disk was too slow."""

    frame: int
    frames: int


class StackEvent(msgspec.Struct, frozen=True, tag_field="event", tag="stack"):
    """A change of stack at `frame`: the new one is silent for its latency, then fades in over the old one.

    The old one goes on until the crossfade has ended. `identity` names the weights.
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


class JumpEvent(msgspec.Struct, frozen=True, tag_field="event", tag="jump"):
    """A jump of the time machine at `frame`: the block `index`, which follows, does not continue the one before it.

    It continues the block with the index `after`; None: it begins anew. So a renderer that keeps the stream's state
    behind each block goes on from the state behind `after`. The audience did not hear the end of the sound before the
    jump. The take keeps it, and fades it out and the new sound in, over `fade_frames` on each side of `frame`.
    """

    frame: int
    index: int
    after: int | None
    fade_frames: int


Event = ChangeEvent | ActionEvent | BlockEvent | StackEvent | GapEvent | JumpEvent


class TakeInfo(msgspec.Struct, frozen=True):
    """The content of `take.json`. Frames count from the session's beginning; `frames` is the take's length.

    `values` are the parameters when recording began. `details` holds all other facts of the session.
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
    # Any: JSON values of any kind; a take of a later version may hold more.
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
        """Frames of sound in the files. TakeError if a file is damaged."""
        total = 0
        for path in self.audio:
            with _opened(path) as sound:
                total += sound.frames
        return total

    def read(self) -> Audio:
        """Read all of the sound, float32 `[frames, channels]`, bit for bit as the engine made it.

        An hour takes 1.3 GB; `blocks` gives it in pieces. TakeError if a file is damaged.
        """
        parts = list(self.blocks())
        return np.concatenate(parts) if parts else np.zeros((0, self.info.channels), np.float32)

    def blocks(self, frames: int = BLOCK_FRAMES) -> Iterator[Audio]:
        """Read the sound in pieces, `[at most frames, channels]`."""
        for path in self.audio:
            with _opened(path) as sound:
                try:
                    while len(block := sound.read(frames, dtype="float32", always_2d=True)):
                        yield block
                except (soundfile.LibsndfileError, RuntimeError) as error:
                    raise TakeError(f"{path}: {error}; the take's other files can still be opened") from error

    def events(self) -> Iterator[Event]:
        """Read every event in the order of writing. A last line cut by a crash is left out.

        Blocks are made before they play: the last ones may lie behind the end of the sound.
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
    """Return the path in a form that soundfile opens. It takes text only as UTF-8; other names need bytes."""
    return str(path) if os.name == "nt" else os.fsencode(path)


def _opened(path: Path) -> soundfile.SoundFile:
    """Open a sound file of the take for reading."""
    try:
        return soundfile.SoundFile(sound_path(path))
    except soundfile.LibsndfileError as error:
        raise TakeError(
            f"{path}: {error.error_string}; the take's other files can still be opened"
        ) from error


def audio_name(number: int) -> str:
    """Return the name of the take's `number`th sound file, counted from 1."""
    return "audio.wav" if number == 1 else f"audio-{number:03d}.wav"


def open_take(folder: Path) -> Take:
    """Open the take in a folder, closed or broken off. TakeError: there is none, or its version is newer."""
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
