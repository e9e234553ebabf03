"""The follower of MIDI clock: 24 ticks a quarter, start, stop, continue, song position. One writer, any reader.

The ticks of the last beats are numbered, and a straight line is fitted through their times (least squares). Jitter of
3 ms moves the end of a line through eight beats by less than half a millisecond. As soon as the newest ticks lie to one
side of the line the tempo has changed, and older ticks are forgotten.

A sound server gives all messages of a period one time. At 1024 frames, ticks at 97 BPM then come 23 ms apart eight
times in a row and 46 ms once. So the follower knows the resolution of the times. What the resolution explains is no
lost tick and no new tempo.

A broken device may flood the input with ticks. Ticks that come long before the line expects them are held and judged
together. If they come faster than the fastest clock, none of them counts, and the line goes on.
"""

from __future__ import annotations

import math

import numpy as np

from jbdiff_live.beat.line import BeatLine, ClockState

TICKS = 24  # a quarter
MOST_TICKS = 8 * TICKS
FEWEST_TICKS = 4  # fewest ticks through which a line is fitted after a jump
NEWEST = 8  # newest ticks, which are compared with the line
SURE = 4.0  # standard errors between their mean and the line that prove a new tempo
NORMAL = 1.4826  # standard deviations in a median deviation, which a jump hardly moves
LEAST_ERROR = 0.0015  # seconds that are never a change of tempo
NUMBERED = (
    24  # ticks after which a gap may be lost ticks, and early ticks a flood: the line holds over JUDGED ticks
)
GAP = 1.5  # periods from the line to a tick: ticks were lost or came late, or the tempo dropped
JUDGED = 8  # ticks after a gap that decide between them
SETTLED = 4  # the last of these, which count: the first ones may be late in a row, after a stall
SLOWER = 0.35  # ticks that the last ones fall further behind the line than the first: the tempo has dropped
VANISHED_SECONDS = 0.5  # time without a tick: six ticks at 30 beats a minute
FORGOTTEN_SECONDS = 5.0  # after this time the place in the bar is a guess, and the tempo is measured again
SIXTEENTH = 6  # ticks; the unit of the song position
SLOWEST, FASTEST = 20.0, 400.0  # beats a minute that are accepted from a clock
TOO_MANY = 2 * TICKS  # ticks that come twice as fast as the fastest clock are no clock
EARLY = 0.75  # ticks before its time on the line at which a tick is held: a flood, or a faster tempo
LEAST_SECONDS = 0.8 * 60 / FASTEST / TICKS  # mean seconds from tick to tick below which ticks are a flood


class MidiFollower:
    """Tempo and beat of a MIDI clock. Times are the seconds of `time.monotonic` at which messages came.

    A clock that never sent start runs from its first tick on. One that vanishes keeps its tempo.
    """

    def __init__(self) -> None:
        self._times: list[float] = []
        self._numbers: list[int] = []
        self._behind: list[float] = []  # ticks behind a gap that is not understood yet
        self._early: list[float] = []  # newest ticks that came long before their time on the line
        self._flooded = False  # the ticks in `_early` are a flood
        self._number = -1  # of the newest tick
        self._period = 0.0  # seconds a tick; 0 if it is not known yet
        self._end = 0.0  # second of the newest tick, on the line
        self._origin = 0  # number of the tick at beat 0
        self._next: int | None = (
            0  # position in ticks of the tick that comes; None: it is the one after the newest
        )
        self._resolution = 0.0  # seconds within which two ticks may have the same time
        self._held = 0  # position in ticks while the transport stands still
        self._moves = True
        self._line: BeatLine | None = None  # swapped whole
        self._seen = float("-inf")

    # ------------------------------------------------------------------ any thread

    def line(self) -> BeatLine | None:
        """Return the newest line; None before the second tick."""
        return self._line

    def state(self, now: float) -> ClockState:
        """Return the state of the clock at second `now`."""
        line = self._line
        if line is None:
            return ClockState.NONE
        if not line.moves:
            return ClockState.STOPPED
        return ClockState.LOST if now - self._seen > VANISHED_SECONDS else ClockState.RUNNING

    # ------------------------------------------------------------------ the writer's thread

    def tick(self, now: float, resolution: float = 0.0) -> None:
        """Count a clock message (F8). resolution: seconds; `now` is off by up to half of it."""
        self._seen, self._resolution = now, resolution
        last = max([*self._times[-1:], *self._behind[-1:], *self._early[-1:]], default=now)
        if now - last > FORGOTTEN_SECONDS:
            self._forget(now)
        numbered = self._period and len(self._times) >= NUMBERED
        early = numbered and now - self._end + resolution < (1 - EARLY) * self._period
        if self._early or (early and not self._behind):
            self._early.append(now)
            held = self._held_back()
            if not held:
                return  # the line goes on meanwhile
            for time in held:
                self._take(time, 1)
        elif self._behind or (numbered and now - self._end > GAP * self._period):
            self._behind.append(now)
            if len(self._behind) < JUDGED:
                return  # likewise
            for time, steps in self._judged():
                self._take(time, steps)
            self._behind = []
        else:
            self._take(now, 1)
        if self._too_fast():
            return  # likewise
        self._fit()
        self._publish()

    def start(self) -> None:
        """Handle start (FA): the next tick is the first beat."""
        self._next, self._moves = 0, True
        self._publish()

    def resume(self) -> None:
        """Handle continue (FB): the next tick is at the song position."""
        if not self._moves:
            self._next, self._moves = self._held, True
            self._publish()

    def stop(self) -> None:
        """Handle stop (FC): ticks still give the tempo, and the position stands still."""
        if self._moves:
            self._held = self._number + 1 - self._origin if self._next is None else self._next
            self._moves = False
            self._publish()

    def song_position(self, sixteenths: int) -> None:
        """Handle song position (F2): continue starts there. A running clock jumps there at its next tick."""
        self._held = sixteenths * SIXTEENTH
        if self._moves:
            self._next = self._held
        self._publish()

    # ------------------------------------------------------------------ inside

    def _take(self, now: float, steps: int) -> None:
        """Number a tick that comes so many steps after the newest one."""
        self._number += steps
        if self._next is not None:
            self._origin, self._next = self._number - self._next, None
        self._times.append(now)
        self._numbers.append(self._number)
        del self._times[:-MOST_TICKS], self._numbers[:-MOST_TICKS]

    def _held_back(self) -> list[float]:
        """Return the early ticks, all at once, if their tempo is one that a clock can have. Forget those of a flood."""
        enough = JUDGED + math.ceil(2 * self._resolution / LEAST_SECONDS)
        del self._early[:-enough]
        if len(self._early) < enough:
            return []
        if self._early[-1] - self._early[0] + self._resolution < (enough - 1) * LEAST_SECONDS:
            if not self._flooded:
                self._flooded = True
                self._drop_since(self._early[0] - self._resolution - LEAST_SECONDS)
            return []
        held, flooded = self._early, self._flooded
        self._early, self._flooded = [], False
        return [] if flooded else held  # the first of them may belong to the flood

    def _drop_since(self, when: float) -> None:
        """Drop the ticks after second `when`: they belong to a flood that was not known yet."""
        while len(self._times) > 1 and self._times[-1] > when:
            self._times.pop()
            self._numbers.pop()
        self._number = self._numbers[-1]
        self._fit()
        self._publish()

    def _judged(self) -> list[tuple[float, int]]:
        """Return the ticks behind a gap with their steps: the first has more than one if ticks were lost.

        They were if the ticks behind the gap come as fast as those before it. Otherwise the tempo has dropped. After a
        stall, the first ticks come late in a row, and the last ones lie on the line again.
        """
        ticks, period = self._behind, self._period
        places = [(time - self._end) / period - place for place, time in enumerate(ticks)]
        settled = float(np.median(places[-SETTLED:]))
        steps = 1
        if settled - float(np.median(places[:SETTLED])) > SLOWER:
            self._times, self._numbers = [], []
        else:
            steps += max(0, round(settled - 1 - _explained(self._resolution / period)))
        return [(ticks[0], steps), *((time, 1) for time in ticks[1:])]

    def _forget(self, now: float) -> None:
        """After a long pause, estimate the count from the old tempo, and measure the tempo anew."""
        if self._period:
            self._number += max(0, round((now - self._end) / self._period) - 1)
        self._times, self._numbers, self._behind = [], [], []
        self._early, self._flooded = [], False

    def _fit(self) -> None:
        """Fit the line, and forget old ticks until the newest lie on it."""
        while len(self._times) > 1:
            times = np.asarray(self._times) - self._times[-1]
            numbers = np.asarray(self._numbers, np.float64) - self._numbers[-1]
            middle = numbers.mean()
            spread = numbers - middle
            period = float(spread @ times / (spread @ spread))
            end = float(times.mean() - period * middle)
            error = times - (end + period * numbers)
            if len(times) <= FEWEST_TICKS or _agrees(error, times, numbers, period, self._resolution):
                break
            half = max(FEWEST_TICKS, len(times) // 2)
            self._times, self._numbers = self._times[-half:], self._numbers[-half:]
        else:
            return
        if 60 / FASTEST <= period * TICKS <= 60 / SLOWEST:
            self._period = period
            self._end = self._times[-1] + end

    def _too_fast(self) -> bool:
        """Return True if a broken device floods the input with ticks. To fit a line to each one would cost too much."""
        if len(self._times) < TOO_MANY:
            return False
        return (self._times[-1] - self._times[-TOO_MANY]) * TICKS < TOO_MANY * 60 / FASTEST / 2

    def _publish(self) -> None:
        """Replace the line by one from the newest numbers."""
        if not self._period:
            return
        tempo = 60 / (self._period * TICKS)
        if not self._moves:
            self._line = BeatLine(self._seen, self._held / TICKS, tempo, moves=False)
        elif self._next is not None:  # the tick that comes next is at that position
            self._line = BeatLine(self._end + self._period, self._next / TICKS, tempo)
        else:
            self._line = BeatLine(self._end, (self._number - self._origin) / TICKS, tempo)


def _explained(resolution: float) -> float:
    """Return the ticks that may seem lost by the resolution alone. resolution: in ticks.

    Below half a tick none may. At a whole tick, one step of the resolution and one lost tick look alike.
    """
    return resolution if resolution > 0.5 else 0.0


def _agrees(
    error: np.ndarray, times: np.ndarray, numbers: np.ndarray, period: float, resolution: float
) -> bool:
    """Return True if the newest ticks lie on the line within their jitter, measured between neighbouring ticks."""
    newest = min(NEWEST, len(error) // 2)
    steps = np.diff(times) - period * np.diff(numbers)
    jitter = NORMAL * float(np.median(np.abs(steps - np.median(steps)))) / math.sqrt(2)
    allowed = max(LEAST_ERROR + resolution / 2, SURE * jitter / math.sqrt(newest))
    return abs(float(error[-newest:].mean())) <= allowed
