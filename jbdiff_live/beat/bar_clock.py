"""The one clock of the instrument: tempo, bar and beat now, and the second of the next beat or bar.

Threads: the MIDI inputs' threads call `midi`, the tapping thread calls `tap`, the engine's calls `music`, the window's
`choose`. Each writes its own part, which is immutable and swapped whole. Any thread reads. A short lock keeps two
writers apart.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from jbdiff_live.beat.follower import MidiFollower
from jbdiff_live.beat.line import NEAR, TAPPED, BeatLine, ClockSource, ClockState, ClockStatus, Unit
from jbdiff_live.beat.tap import TapTempo

OTHER_SECONDS = 1.0  # silence of a MIDI clock after which another input's clock is followed


class ClockMessage(Enum):
    """A message of a MIDI clock."""

    TICK = "clock"
    START = "start"
    CONTINUE = "continue"
    STOP = "stop"
    POSITION = "songpos"


class LineSource(Protocol):
    """A clock that returns its beat line on request, such as `LinkClock`."""

    @property
    def peers(self) -> int: ...

    def line(self, now: float) -> BeatLine: ...

    def count_bars(self, beats: int) -> None: ...

    def close(self) -> None: ...


SLIP_SECONDS = 0.05  # a beat that is less wrong stays: the measured time of a device's frames moves a little
LINES = 31  # blocks that may be queued: twelve seconds of the shortest ones


@dataclass(frozen=True)
class Input:
    """The MIDI input whose clock is followed."""

    device: str
    seen: float


@dataclass(frozen=True)
class Chosen:
    """What the player chose. link: the Link session, if that is the source."""

    source: ClockSource
    beats_per_bar: int
    offset: float  # seconds
    link: LineSource | None

    def __post_init__(self) -> None:
        if self.beats_per_bar < 1:
            raise ValueError(f"{self.beats_per_bar} beats a bar: needs 1 or more")
        if self.source is ClockSource.LINK and self.link is None:
            raise ValueError("a Link clock needs a session: pass link=LinkClock(...)")


class BarClock:
    """Tempo and bars of the chosen source. Times are seconds of `time.monotonic`.

    source: INTERNAL is the tapped tempo, or else the music's own beat. It can be changed while music plays: `choose`.
    """

    def __init__(
        self,
        source: ClockSource = ClockSource.INTERNAL,
        beats_per_bar: int = 4,
        link: LineSource | None = None,
        offset: float = 0.0,
    ) -> None:
        """link: needed for `ClockSource.LINK`. offset: seconds added to the times of a MIDI clock's messages; it may
        be below 0.

        Raises ValueError for less than one beat a bar, and for a Link clock without `link`.
        """
        self._chosen = Chosen(source, beats_per_bar, offset, link)  # swapped whole
        self._taps = TapTempo()
        self._lines: tuple[BeatLine, ...] = ()  # of the newest blocks, oldest first; swapped whole
        self._lock = threading.Lock()
        self._followers: dict[str, MidiFollower] = {}
        self._input: Input | None = None
        self._music: BeatLine | None = None
        self._frame: float | None = None  # the session's frame at the place of `_music`

    # ------------------------------------------------------------------ sources' threads

    def midi(
        self, device: str, message: ClockMessage, now: float, position: int = 0, resolution: float = 0.0
    ) -> None:
        """Take a clock message of an input, received at second `now`. position: a song position, in sixteenths.

        resolution: seconds within which two messages may have the same time.

        Every input has its follower. The clock follows the first input that sends, until it is silent for a second.
        """
        with self._lock:
            follower = self._followers.setdefault(device, MidiFollower())
            match message:
                case ClockMessage.TICK:
                    follower.tick(now, resolution)
                    old = self._input
                    if old is None or old.device == device or now - old.seen > OTHER_SECONDS:
                        self._input = Input(device, now)
                case ClockMessage.START:
                    follower.start()
                case ClockMessage.CONTINUE:
                    follower.resume()
                case ClockMessage.STOP:
                    follower.stop()
                case ClockMessage.POSITION:
                    follower.song_position(position)

    def tap(self, now: float) -> float | None:
        """Add a tap. Return beats a minute, or None for the first tap of a row."""
        with self._lock:
            return self._taps.tap(now)

    @property
    def tapped(self) -> float | None:
        """The tapped tempo in beats a minute; None if there were no taps."""
        line = self._taps.line
        return None if line is None else line.tempo

    def forget_taps(self) -> None:
        """Use the music's own tempo again."""
        with self._lock:
            self._taps.forget()

    def music(self, line: BeatLine | None, frame: float | None = None) -> None:
        """Set the beat of the newest block; None if it has none.

        frame: the session's frame at second `line.at`; without it `realign` does nothing.
        """
        with self._lock:
            self._music, self._frame = line, frame
            older = self._lines[-LINES:] if line is not None else ()
            self._lines = () if line is None else (*older, line)

    def realign(self, second_of: Callable[[float], float]) -> float:
        """Move the music's beat to where its sound is now. Return the seconds by which it was moved.

        second_of: returns the second at which a frame of the session plays. The sound comes later than a block was made
        for if it waits for the start, or for a late block. Any thread; `second_of` may not block.
        """
        with self._lock:
            if self._music is None or self._frame is None:
                return 0.0
            slip = second_of(self._frame) - self._music.at
            if abs(slip) < SLIP_SECONDS:  # the next block puts it right
                return 0.0
            self._lines = tuple(line.later(slip) for line in self._lines)
            self._music = self._lines[-1]
            return slip

    def close(self) -> None:
        """Leave a Link session. May be called twice."""
        if (link := self._chosen.link) is not None:
            link.close()

    # ------------------------------------------------------------------ the player's choice

    def choose(self, source: ClockSource, now: float, link: LineSource | None = None) -> None:
        """Follow another source from second `now` on. link: as above. The Link session of before is not closed.

        The followers of MIDI clock listen all the time, so a rack that runs gives tempo and bar at once. Taps, and a
        MIDI clock that is silent, are forgotten.
        """
        with self._lock:
            self._chosen = replace(
                self._chosen, source=source, link=link if source is ClockSource.LINK else None
            )
            self._taps.forget()
            silent = self._input
            if silent is not None and now - silent.seen > OTHER_SECONDS:
                self._input = None
                self._followers.pop(silent.device, None)

    def choose_offset(self, seconds: float) -> None:
        """Add so many seconds to the times of a MIDI clock's messages from now on."""
        with self._lock:
            self._chosen = replace(self._chosen, offset=seconds)

    def count_bars(self, beats: int) -> None:
        """Count bars of so many beats from now on. Raises ValueError for less than one."""
        with self._lock:
            self._chosen = replace(self._chosen, beats_per_bar=beats)
        if (link := self._chosen.link) is not None:
            link.count_bars(beats)

    # ------------------------------------------------------------------ any thread

    @property
    def source(self) -> ClockSource:
        return self._chosen.source

    @property
    def link(self) -> LineSource | None:
        """The Link session; None with another source."""
        return self._chosen.link

    @property
    def beats_per_bar(self) -> int:
        return self._chosen.beats_per_bar

    @property
    def outer(self) -> bool:
        """True if the music follows this clock; False if the clock follows the music."""
        return self.source is not ClockSource.INTERNAL or self._taps.line is not None

    def line(self, now: float) -> BeatLine | None:
        """Return the beat as a line over time; None without a clock."""
        chosen = self._chosen
        if chosen.link is not None:
            return chosen.link.line(now)
        if chosen.source is ClockSource.MIDI:
            follower = self._follower()
            line = None if follower is None else follower.line()
            return line if line is None or not chosen.offset else line.later(chosen.offset)
        return self._taps.line or self._music

    def _audible_line(self, now: float) -> BeatLine | None:
        """Return the line of the music that sounds at second `now`. A block that is queued may have another tempo."""
        newest = self.line(now)
        if newest is not self._music:
            return newest
        return next((line for line in reversed(self._lines) if line.at <= now), newest)

    def _follower(self) -> MidiFollower | None:
        followed = self._input
        return None if followed is None else self._followers.get(followed.device)

    def state(self, now: float) -> ClockState:
        """Return the state of the clock at second `now`."""
        if self.source is ClockSource.MIDI:
            follower = self._follower()
            return ClockState.NONE if follower is None else follower.state(now)
        line = self.line(now)
        if line is None:
            return ClockState.NONE
        return ClockState.RUNNING if line.moves else ClockState.STOPPED

    def beats(self, unit: Unit) -> float:
        """Return the number of beats in a beat or a bar."""
        return float(self.beats_per_bar) if unit is Unit.BAR else 1.0

    def next(self, unit: Unit, after: float, now: float | None = None) -> float | None:
        """Return the second of the first beat or bar after second `after`; None if no clock runs, or for OFF."""
        line = self.line(after if now is None else now)
        return None if line is None or unit is Unit.OFF else line.next(self.beats(unit), after)

    def status(self, now: float) -> ClockStatus:
        """Return the clock's status for the window, without the countdown. `Conductor` adds that."""
        line, chosen = self._audible_line(now), self._chosen
        state = self.state(now)
        status = ClockStatus(chosen.source, state, beats_per_bar=chosen.beats_per_bar, offset=chosen.offset)
        if line is None:
            waits = "waiting for MIDI clock" if chosen.source is ClockSource.MIDI else ""
            return replace(status, detail=waits)
        bar, beat = self.place(line.beat_at(now))
        return replace(status, tempo=line.tempo, bar=bar, beat=beat, detail=self._detail(state))

    def place(self, beat: float) -> tuple[int, int]:
        """Return bar and beat, counted from 1, of a beat that is counted from the start."""
        bar, place = divmod(beat + NEAR, self.beats_per_bar)
        return int(bar) + 1, int(place) + 1

    def _detail(self, state: ClockState) -> str:
        followed, link = self._input, self._chosen.link
        if link is not None:
            count = link.peers
            if count == 0:
                return "Link: no other program is there yet"
            return f"Link with {count} other {'program' if count == 1 else 'programs'}"
        if self.source is not ClockSource.MIDI or followed is None:
            return TAPPED if self._taps.line is not None else ""
        if state is ClockState.LOST:
            return f"{followed.device} sends no clock any more; its tempo goes on"
        return f"MIDI clock from {followed.device}"
