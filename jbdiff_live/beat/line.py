"""A straight line of beats over time, the result of every clock source. Immutable, shared by all threads."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

TAPPED = "tapped"  # the detail of the own clock while its beat comes from taps
VIRTUAL = "virtual"  # as the output of clock: a port of our own, to which other programs connect
MOST_BEATS = 16  # in a bar
MOST_OFFSET = 200  # milliseconds, earlier or later, that are added to the times of MIDI clock
NEAR = 1e-6  # beats: a boundary so near counts as reached, as sums of floats miss it by less


class ClockSource(Enum):
    """The source of tempo and beat."""

    INTERNAL = "internal"  # the model's own beat, or tapped
    MIDI = "midi"
    LINK = "link"


# The player's words.
ORIGINS = {ClockSource.INTERNAL: "own beat", ClockSource.MIDI: "MIDI clock", ClockSource.LINK: "Link"}


class ClockState(Enum):
    """The state of a clock."""

    NONE = "none"  # there is no beat
    RUNNING = "running"
    STOPPED = "stopped"  # the tempo is known, and the transport stands still
    LOST = "lost"  # the clock vanished while it ran: its tempo goes on


class Unit(Enum):
    """The unit for which a change waits."""

    OFF = "off"
    BEAT = "beat"
    BAR = "bar"


@dataclass(frozen=True)
class BeatLine:
    """At second `at` the music is at `beat`, counted from the start, and moves on at `tempo`.

    at: seconds of `time.monotonic` at which `beat` sounds. tempo: beats a minute, above 0. moves: False while the
    transport stands still.
    """

    at: float
    beat: float
    tempo: float
    moves: bool = True

    def beat_at(self, when: float) -> float:
        """Return the beat at second `when`, counted from the start."""
        return self.beat + (when - self.at) * self.tempo / 60 if self.moves else self.beat

    def time_of(self, beat: float) -> float:
        """Return the second at which `beat` is reached."""
        return self.at + (beat - self.beat) * 60 / self.tempo

    def later(self, seconds: float) -> BeatLine:
        """Return the same line, so many seconds later."""
        return replace(self, at=self.at + seconds)

    def next(self, beats: float, after: float) -> float | None:
        """Return the first second after `after` at which a multiple of `beats` is reached; None while it stands."""
        if not self.moves:
            return None
        return self.time_of((math.floor(self.beat_at(after) / beats + NEAR) + 1) * beats)

    def nearest(self, beats: float, when: float) -> float | None:
        """Return the second at which a multiple of `beats` is reached, nearest to `when`; None while it stands."""
        if not self.moves:
            return None
        return self.time_of(round(self.beat_at(when) / beats) * beats)


@dataclass(frozen=True)
class ClockStatus:
    """The clock at one moment, for the window.

    bar and beat count from 1. tempo: beats a minute; 0 if there is none. countdown: seconds until the first held change
    is made; None if none waits. waiting: how many wait.
    """

    source: ClockSource = ClockSource.INTERNAL
    state: ClockState = ClockState.NONE
    tempo: float = 0.0
    bar: int = 0
    beat: int = 0
    countdown: float | None = None
    waiting: int = 0
    detail: str = ""  # the problem, or where the clock comes from, in words
    beats_per_bar: int = 4
    offset: float = 0.0  # seconds added to the times of a MIDI clock's messages
    out: str = ""  # the MIDI output for clock out; empty if there is none
    out_problem: str = ""

    @property
    def origin(self) -> str:
        """Where the beat comes from, in the player's words."""
        if self.detail == TAPPED:
            return "tapped beat"
        return ORIGINS[self.source]

    @property
    def origin_and_state(self) -> str:
        """Where the beat comes from, and what it does if it does not run: "own beat, stopped", "MIDI clock lost"."""
        if self.state is ClockState.RUNNING:
            return self.origin
        return f"{self.origin}{' ' if self.state is ClockState.LOST else ', '}{self.state.value}"

    def text(self) -> str:
        """The clock as the window shows it: "97.0 BPM, bar 12.3, MIDI clock"."""
        if self.state is ClockState.NONE:
            return "no clock" + (f" ({self.detail})" if self.detail else "")
        words = [f"{self.tempo:.1f} BPM", f"bar {self.bar}.{self.beat}", self.origin_and_state]
        if self.countdown is not None:
            words.append(f"changes in {max(0.0, self.countdown):.1f} s")
        return ", ".join(words)
