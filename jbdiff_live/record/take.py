"""A take: a folder with the sound, all events, and the settings that made it. This module reads it.

    2026-05-01_21-30-00/
        audio.wav        what was heard, or what the engine made, as `TakeInfo.sound` says; float32
        engine.wav       with sound "both" or "stems": what the engine made, before the output stage
        input.wav        with sound "stems": the live input before the fader Dry, in time with audio.wav
        events.jsonl     one event a line (`events.py`)
        take.json        `TakeInfo`; written at the start and again at the end
        patch.toml       the patch as it was played, with its scenes
        picture.png      waveform, mel spectrogram and markers; drawn after closing

`docs/takes.md` describes the format for other programs. Format 1 had only `audio.wav`, as the engine made it, went on
in `audio-002.wav`, and wrote a block's noise as text; it still opens.

Threads: any; blocks on the disk. After a crash the sound reaches to less than a second before it, the events to the
last whole line, and `closed_cleanly` is false. `repair.py` mends such a take.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import soundfile

from jbdiff_live.block import Audio
from jbdiff_live.record.events import (
    ActionEvent,
    BlockEvent,
    ChangeEvent,
    Event,
    GapEvent,
    MarkerEvent,
    PlaceEvent,
    StackEvent,
    StateEvent,
    UnderrunEvent,
)
from jbdiff_live.system.files import plain_file

__all__ = [
    "ActionEvent",
    "BlockEvent",
    "ChangeEvent",
    "Event",
    "GapEvent",
    "MarkerEvent",
    "PlaceEvent",
    "StackEvent",
    "StateEvent",
    "Take",
    "TakeError",
    "TakeInfo",
    "TakeMark",
    "UnderrunEvent",
    "audio_name",
    "open_sound",
    "open_take",
    "sound_files",
    "sound_path",
    "sound_to_read",
]

FORMAT = 2
EVENTS = "events.jsonl"
INFO = "take.json"
SOUNDS = ("audio", "engine", "input")  # the sounds of a take, by the names of their files
LONGEST_LINE = 1 << 20  # bytes; an event with all values has 2000
BLOCK_FRAMES = 1 << 18
MOST_RATE, MOST_CHANNELS = 1_000_000, 64  # of a take; more is damage


class TakeError(ValueError):
    """A take cannot be read. The text names the file and the remedy."""


class TakeMark(msgspec.Struct, frozen=True):
    """A mark that was set after the recording, at frame `at` of `audio.wav`."""

    at: int
    name: str = ""


class TakeInfo(msgspec.Struct, frozen=True):
    """The content of `take.json`. Frames count from the session's beginning; `frames` is the length of `audio.wav`.

    `sound` is "heard", "engine" (before the output stage: gain, mute, limiter), "both", or "stems": both and the live
    input. `values` are the parameters
    when recording began. `weights_licence` is that of the stack whose hash is `stack_identity`. Paths are relative to
    the take's folder. `details` holds all other facts of the session. `recovered`: the take was broken off, and
    repaired later. `title`, `tags` and `marks` are the player's, from the take browser. `level` holds the measured
    loudness `lufs` and true peak `peak_db`.
    """

    sample_rate: int
    channels: int
    start_frame: int
    started: str  # local time, ISO 8601; see `docs/takes.md` for takes that were kept or recovered
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
    sound: str = "engine"
    weights_licence: str = ""
    recovered: bool = False
    title: str = ""
    tags: list[str] = []
    marks: list[TakeMark] = []
    level: dict[str, float | None] | None = None


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
            with open_sound(path) as sound:
                total += sound.frames
        return total

    def read(self) -> Audio:
        """Read all of the sound, float32 `[frames, channels]`, bit for bit.

        An hour takes 1.3 GB; `blocks` gives it in pieces. TakeError if a file is damaged.
        """
        parts = list(self.blocks())
        return np.concatenate(parts) if parts else np.zeros((0, self.info.channels), np.float32)

    def blocks(self, frames: int = BLOCK_FRAMES) -> Iterator[Audio]:
        """Read the sound in pieces, `[at most frames, channels]`."""
        for path in self.audio:
            with open_sound(path) as sound:
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
            lines = plain_file(path).open("rb")
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
                    remedy = remedy_of_line(is_block=b'"block"' in line)
                    raise TakeError(f"{path}, line {number}: {error}; {remedy}") from error

    def frame_at(self, position: int) -> int:
        """Return the session's frame at frame `position` of `audio.wav`."""
        at, frame, moves = 0, self.info.start_frame, True
        for event in self.events():
            if isinstance(event, PlaceEvent) and event.at <= position:
                at, frame, moves = event.at, event.frame, event.moves
        return frame + (position - at) * moves

    def position(self, frame: int) -> int:
        """Return the first frame of `audio.wav` that is at the session's `frame` or behind it."""
        return self.position_in((e for e in self.events() if isinstance(e, PlaceEvent)), frame)

    def position_in(self, places: Iterable[PlaceEvent], frame: int) -> int:
        """As `position`, for places of the log that were read before."""
        at, begin, moves = 0, self.info.start_frame, True
        for place in places:
            if moves and frame < begin + place.at - at:
                break
            at, begin, moves = place.at, place.frame, place.moves
            if begin > frame:
                return at
        return max(0, at + (frame - begin) * moves)


def remedy_of_line(is_block: bool) -> str:
    """Return what to do about a line of the log that cannot be used."""
    if not is_block:
        return "remove that line"
    return (
        "it is a block, and a replay cannot pass the place where it was; remove that line, and render up to there "
        "with --to, or from a later state on with --from-block"
    )


def sound_path(path: Path) -> str | bytes:
    """Return the path in a form that soundfile opens. It takes text only as UTF-8; other names need bytes."""
    return str(path) if os.name == "nt" else os.fsencode(path)


def sound_to_read(path: Path) -> str | bytes:
    """Return the path of a sound as `sound_path` does. OSError: it is something else than a file."""
    return sound_path(plain_file(path))


def open_sound(path: Path) -> soundfile.SoundFile:
    """Open a sound file of a take for reading. TakeError: it cannot be read."""
    try:
        return soundfile.SoundFile(sound_to_read(path))
    except (OSError, soundfile.LibsndfileError) as error:
        reason = error.error_string if isinstance(error, soundfile.LibsndfileError) else error.strerror
        raise TakeError(f"{path}: {reason}; the take's other files can still be opened") from error


def audio_name(number: int, stem: str = "audio") -> str:
    """Return the name of the `number`th file of a sound, counted from 1."""
    return f"{stem}.wav" if number == 1 else f"{stem}-{number:03d}.wav"


def sound_files(folder: Path, stem: str = "audio") -> tuple[Path, ...]:
    """Return the files of a sound in order. A WAV counts before a FLAC of the same name: packing it was broken off."""
    found: dict[str, Path] = {}
    for suffix in (".flac", ".wav"):
        names = [folder / f"{stem}{suffix}", *folder.glob(f"{stem}-*{suffix}")]
        found |= {name.stem: name for name in names if name.exists()}
    return tuple(found[name] for name in sorted(found))


def open_take(folder: Path) -> Take:
    """Open the take in a folder, closed or broken off. TakeError: there is none, or its version is newer."""
    path = folder / INFO
    try:
        with plain_file(path).open("rb") as file:
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
    if not (1 <= info.sample_rate <= MOST_RATE and 1 <= info.channels <= MOST_CHANNELS):
        raise TakeError(
            f"{path}: {info.sample_rate} Hz, {info.channels} channels; the sound beside it can still be opened by "
            "itself"
        )
    if info.format > FORMAT:
        raise TakeError(f"{path}: format {info.format}, this jbdiff-live reads up to {FORMAT}; update it")
    return Take(folder, info, sound_files(folder))
