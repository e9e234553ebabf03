"""What the take view shows and asks for: facts of a take, jobs with progress, listening. Frozen values and protocols.

The session's part is `jbdiff_live.record.shelf.desk.TakeDesk`. Any thread may read the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Peaks = NDArray[np.float32]  # [columns, 2]: lowest and highest sample
MUSIC_PLAYS = "the audience would hear it; stop the music first"  # why nobody can listen to a sound now


@dataclass(frozen=True)
class Level:
    """Integrated loudness in LUFS (EBU R 128), None if silent; true peak in dBTP."""

    lufs: float | None
    peak_db: float

    @property
    def text(self) -> str:
        loud = "silent" if self.lufs is None else f"{self.lufs:.1f} LUFS"
        return f"{loud}, peak {self.peak_db:.1f} dB"


@dataclass(frozen=True, order=True)
class Mark:
    """A mark at frame `at` of the take's sound. logged: it was set while the take was recorded, and stays."""

    at: int
    name: str = ""
    logged: bool = False


@dataclass(frozen=True)
class TakeFacts:
    """A take in the list. frames: length at `rate` Hz. sound: its first sound file.

    marks: those that were set in the take view. fixed: why the take cannot be changed now; empty if it can. recorded:
    it is being recorded. problem: what is wrong with the take, or empty.
    """

    folder: Path
    name: str
    started: str = ""
    frames: int = 0
    rate: int = 44_100
    patch: str = ""
    stack: str = ""
    tags: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    level: Level | None = None
    picture: Path | None = None
    sound: Path | None = None
    fixed: str = ""
    recorded: bool = False
    problem: str = ""

    @property
    def seconds(self) -> float:
        return self.frames / self.rate

    @property
    def length_text(self) -> str:
        return clock_text(self.seconds)

    @property
    def text_of_row(self) -> str:
        """Level, patch and tags in one short line."""
        loud = "" if self.level is None else self.level.text.split(",")[0]
        parts = (loud, self.patch, ", ".join(self.tags))
        return "; ".join(part for part in parts if part)

    @property
    def text(self) -> str:
        """Length, level, patch and time in one line."""
        level = "" if self.level is None else self.level.text
        parts = (
            clock_text(self.seconds),
            level,
            f"patch {self.patch}" if self.patch else "",
            self.started[:16],
        )
        return ", ".join(part for part in parts if part).replace("T", " ")


def clock_text(seconds: float, tenths: bool = False) -> str:
    """Return minutes and seconds: 3:07 or 3:07.4; hours if there are any."""
    whole = int(seconds * 10) if tenths else round(seconds) * 10
    minutes, rest = divmod(whole, 600)
    hours, minutes = divmod(minutes, 60)
    last = f"{rest / 10:04.1f}" if tenths else f"{rest // 10:02d}"
    return f"{hours}:{minutes:02d}:{last}" if hours else f"{minutes}:{last}"


class SoundFormat(Enum):
    """The kinds of file that a take is exported to. The value is what a person reads."""

    WAV_16 = "WAV, 16 bit"
    WAV_24 = "WAV, 24 bit"
    WAV_FLOAT = "WAV, 32 bit float"
    FLAC = "FLAC, 24 bit"
    OPUS = "Opus"

    @property
    def suffix(self) -> str:
        return {SoundFormat.FLAC: ".flac", SoundFormat.OPUS: ".opus"}.get(self, ".wav")


@dataclass(frozen=True)
class ExportWish:
    """path: the new file. lufs: the wanted loudness, None for the level as it is. ceiling_db: highest true peak.

    begin, end: the part in frames; end None is the take's end. The level changes by one gain for the whole part.
    """

    path: Path
    format: SoundFormat
    lufs: float | None = None
    ceiling_db: float = -1.0
    begin: int = 0
    end: int | None = None


@dataclass(frozen=True)
class JobState:
    """A job's progress: 0 to 1, None if unknown. words: what it does, or what came of it. problem: why it failed.

    waits: what it waits for; empty while it works. result: the file or folder that it made.
    """

    words: str = ""
    waits: str = ""
    part: float | None = None
    seconds_left: float | None = None
    ended: bool = False
    cancelled: bool = False
    problem: str = ""
    result: Path | None = None


def job_text(state: JobState) -> str:
    """Return what a running job does, and how long it takes or what it waits for. Empty if it has ended."""
    if state.ended:
        return ""
    if state.waits:
        return f"{state.words}: {state.waits}"
    left = "" if state.seconds_left is None else f", {clock_text(state.seconds_left)} left"
    return f"{state.words}{left}"


class Job(Protocol):
    """Work on a thread of its own. `state` is swapped whole; any thread may read it."""

    @property
    def state(self) -> JobState: ...
    def cancel(self) -> None: ...


class Wave(Protocol):
    """The outline of a take's sound for drawing. It grows while a thread reads the sound."""

    @property
    def frames(self) -> int: ...
    @property
    def ready(self) -> int:
        """Frames that are read so far."""
        ...

    @property
    def problem(self) -> str: ...
    def part(self, begin: int, end: int, columns: int) -> tuple[NDArray[np.float64], Peaks]:
        """Return the first frame of each column `[n]` and its lowest and highest sample `[n, 2]`, n about `columns`."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Playing:
    """What is listened to: the takes that were opened, which of them sounds, and the audible place in seconds."""

    folders: tuple[Path, ...]
    sounding: int
    seconds: float


class TakeShelf(Protocol):
    """What the take view may ask. Called on the window's thread. ValueError, OSError, RuntimeError: why not."""

    @property
    def job(self) -> Job | None:
        """The newest job: an export, a trim, a rendering. It may have ended."""
        ...

    def look_in(self, folder: Path) -> None:
        """List the takes of another folder from now on."""
        ...

    def facts(self, folder: Path) -> TakeFacts: ...
    def marks(self, folder: Path) -> Sequence[Mark]:
        """Return the logged marks and those that were set later, in order."""
        ...

    def wave(self, folder: Path) -> Wave: ...

    def put_marks(self, folder: Path, marks: Sequence[Mark]) -> None:
        """Keep these marks; logged ones among them are left as they are."""
        ...

    def tag(self, folder: Path, tags: Sequence[str]) -> None: ...
    def rename(self, folder: Path, name: str) -> Path: ...
    def trim(self, folder: Path, begin: int, end: int) -> Job: ...
    def export(self, folder: Path, wish: ExportWish) -> Job: ...
    def pack(self, folder: Path) -> Job:
        """Turn the take's sound into FLAC."""
        ...

    def render_again(self, folder: Path) -> Job: ...
    def piece(self, folder: Path, begin: int, end: int) -> Path:
        """Return a sound file of a part of a take, inside the take's folder. It is written if it is not there."""
        ...

    def let_go(self, folder: Path) -> None:
        """Close what is open of a take, because it goes into the trash."""
        ...

    def gone(self, folder: Path) -> None:
        """Forget a take that is in the trash."""
        ...

    def listen(self, folders: Sequence[Path], seconds: float) -> None:
        """Play a take, or two at the same place, of which the first sounds."""
        ...

    def seek(self, seconds: float) -> None: ...
    def loop(self, begin: float | None, end: float = 0.0) -> None:
        """Repeat the part between two places in seconds. None: play to the end."""
        ...

    def choose(self, number: int) -> None:
        """Let the other one of two takes sound, at the same place."""
        ...

    def match_levels(self, on: bool) -> None:
        """Turn the louder one of two takes down to the other's loudness."""
        ...

    def stop(self) -> None: ...
    def playing(self) -> Playing | None: ...
