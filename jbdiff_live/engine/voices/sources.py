"""Sounds that the engine may continue or resample: files that move along with the blocks.

Built on the thread that reads files (`sound_reader.py`), read on the engine thread. A source is immutable after it was
made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from jbdiff.audio.beat import Beat, found_beat
from jbdiff.audio.files import read_mono
from jbdiff_live.block import Given, Mono

# Gives frames of the live input and the player's presence in each, both `[frames]`, or None if no input is open. Takes
# the number of frames, the frames from the next written one to the piece's end, and the frames in a beat.
LiveReader = Callable[[int, int, float], tuple[Mono, Mono] | None]
LONGEST_SECONDS = 1200.0  # longest part of a file that is kept: 212 MB


@dataclass(frozen=True, eq=False)  # the same file read twice is two sources
class FileSource:
    """A sound file as mono float32 at the model's rate. `file_player.py` plays it."""

    path: Path
    samples: Mono
    note: str  # changes of the sound: resampled, mixed to mono, cut, turned down
    beat: Beat | None = None  # None: no steady beat was found

    def tail(self, frames: int) -> Mono:
        """Return the last `frames` samples, or all of a shorter file."""
        return self.samples[-frames:]


@dataclass
class Used:
    """What a block has read of its sources, for `Given`."""

    files: dict[str, FileSource] = field(default_factory=dict)  # by role
    played: dict[str, int] = field(default_factory=dict)  # by role, as `Given.played`
    live: list[tuple[Mono, Mono] | None] = field(default_factory=list)

    def given(self, began: Mono | None = None) -> Given:
        """Return it as the block keeps it. began: as `Given.began`."""
        context, init = self.files.get("context"), self.files.get("init")
        return Given(
            began,
            None if context is None else context.samples,
            None if init is None else init.samples,
            self.played,
            tuple(self.live),
        )


@dataclass(frozen=True)
class Sources:
    """The sounds that the knobs may choose for context and init, besides the instrument's own. One for each block.

    played: the frames of the music since a file began, by role, if they are known, as in a replay. Else a file begins
    with the first block that has it.
    """

    context_file: FileSource | None = None
    init_file: FileSource | None = None
    live: LiveReader = lambda frames, ahead, beat: None
    own: Callable[[int], Mono] = lambda frames: np.zeros(frames, np.float32)  # newest frames made, mono
    played: Mapping[str, int] = field(default_factory=dict)
    used: Used = field(default_factory=Used)

    def loaded(self, role: str) -> FileSource | None:
        """Return the file of a role, "context" or "init", that is there."""
        return self.context_file if role == "context" else self.init_file

    def file(self, role: str) -> FileSource | None:
        """Return the file of a role, and note that it was read."""
        file = self.loaded(role)
        if file is not None:
            self.used.files[role] = file
        return file

    def live_piece(self, frames: int, ahead: int, beat: float) -> tuple[Mono, Mono] | None:
        """Read a piece of the live input as `LiveReader` gives it, and note it."""
        piece = self.live(frames, ahead, beat)
        self.used.live.append(piece)
        return piece


def load_file_source(
    path: Path,
    sample_rate: int,
    longest_seconds: float = LONGEST_SECONDS,
    keep_going: Callable[[], bool] = lambda: True,
) -> FileSource:
    """Read any file that soundfile reads, `longest_seconds` of it at most. Blocks for a second for every 15 minutes.

    keep_going: asked between pieces. Raises ValueError or OSError with the remedy when the file cannot be used.
    """
    sound = read_mono(path, sample_rate, int(longest_seconds * sample_rate), keep_going=keep_going)
    return FileSource(
        Path(path), sound.samples, ", ".join(sound.notes), found_beat(sound.samples, sample_rate)
    )


@runtime_checkable
class ContinuesFiles(Protocol):
    """A generator that can begin from a file. Optional."""

    context_file: FileSource | None


@runtime_checkable
class ResamplesFiles(Protocol):
    """A generator that can resample a file. Optional."""

    init_file: FileSource | None


def file_takers(generator: object) -> Mapping[str, Callable[[FileSource], None]]:
    """Return, for each role that the generator plays, the function that gives it a file."""

    def continue_file(source: FileSource) -> None:
        assert isinstance(generator, ContinuesFiles)
        generator.context_file = source

    def resample_file(source: FileSource) -> None:
        assert isinstance(generator, ResamplesFiles)
        generator.init_file = source

    takers: dict[str, Callable[[FileSource], None]] = {}
    if isinstance(generator, ContinuesFiles):
        takers["context"] = continue_file
    if isinstance(generator, ResamplesFiles):
        takers["init"] = resample_file
    return takers
