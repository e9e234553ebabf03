"""A take: a folder with the sound, everything that happened, and what it was made with. Reading it back.

    takes/2026-05-01_21-30-00/
        audio.wav, audio-002.wav, ...   float32, one after the other, written as the music is made
        events.jsonl                    one event a line: changes, actions, blocks, stacks, gaps
        take.json                       `TakeInfo`; written at the start and again at the end

Threads: any; blocks on the disk. After a crash the sound is there up to the last block, the events to the last
whole line, and `closed_cleanly` is false.
"""

from __future__ import annotations

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
    `snapshot` for its settings, an event is the `turning` of `jbdiff.stream.BlockStream.step`.
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
        """Frames of sound that are really there."""
        return sum(soundfile.info(str(path)).frames for path in self.audio)

    def read(self) -> Audio:
        """All of the sound, float32 `[frames, channels]`, sample for sample what the engine made."""
        parts = [soundfile.read(str(path), dtype="float32", always_2d=True)[0] for path in self.audio]
        return np.concatenate(parts) if parts else np.zeros((0, self.info.channels), np.float32)

    def events(self) -> Iterator[Event]:
        """Every event in the order of writing; a last line torn by a crash is left out.

        Blocks are made ahead of being heard: the last ones may lie behind the end of the sound.
        """
        path = self.folder / EVENTS
        decoder = msgspec.json.Decoder(Event)
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    yield decoder.decode(line)
                except msgspec.DecodeError as error:
                    raise TakeError(f"{path}, line {number}: {error}; remove that line") from error


def audio_name(number: int) -> str:
    """Name of the take's `number`th sound file, counted from 1."""
    return "audio.wav" if number == 1 else f"audio-{number:03d}.wav"


def open_take(folder: Path) -> Take:
    """The take in a folder, closed or broken off. TakeError where there is none or a newer one."""
    path = folder / INFO
    try:
        text = path.read_bytes()
    except OSError as error:
        raise TakeError(f"{path}: {error.strerror}; give the folder of a take") from error
    try:
        info = msgspec.json.decode(text, type=TakeInfo)
    except msgspec.DecodeError as error:
        raise TakeError(f"{path}: {error}; the sound beside it can still be opened by itself") from error
    if info.format > FORMAT:
        raise TakeError(f"{path}: format {info.format}, this jbdiff-live reads up to {FORMAT}; update it")
    names = [folder / "audio.wav", *sorted(folder.glob("audio-*.wav"))]
    return Take(folder, info, tuple(name for name in names if name.exists()))
