"""MIDI clock out, and a gate note at every block and bar, so that a rack can follow. Pure.

The played frames drive it, not wall time. So if the device stalls, the clock stalls too. Blocks that are made before
the sound begins wait for it.
Threads: the engine's calls `block`, the clock's calls the rest.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from jbdiff_live.beat.follower import TICKS

CLOCK, START, STOP = b"\xf8", b"\xfa", b"\xfc"
GATE_SECONDS = 0.02
LEAP_SECONDS = 0.5  # a leap of this length between two visits means that the music began again
NEAR = 1e-4  # ticks: rounding between one block's beat and the next one's


@dataclass(frozen=True)
class Segment:
    """The beat of one block. start and end: frames of the session. beat: place in the bar at `start`.

    per_frame: beats a frame; 0 if the block has no beat. anew: the music begins with this block.
    """

    start: int
    end: int
    beat: float
    per_frame: float
    anew: bool = False


@dataclass(frozen=True)
class Gates:
    """Notes that mark blocks and bars. channel: 1 to 16. block and bar: MIDI notes."""

    channel: int = 16
    block: int = 36
    bar: int = 48

    def on(self, note: int) -> bytes:
        return bytes((0x90 + self.channel - 1, note, 100))

    def off(self, note: int) -> bytes:
        return bytes((0x80 + self.channel - 1, note, 0))


@dataclass(frozen=True)
class Sent:
    """One message, at a frame of the session."""

    frame: float
    message: bytes


class ClockOut:
    """The clock messages for the played blocks, in order.

    Ticks begin with the first beat. The start message comes with the first bar, so that the rack counts the same bars.
    """

    def __init__(self, sample_rate: int, beats_per_bar: int = 4, gates: Gates | None = None) -> None:
        self._rate = sample_rate
        self._beats = beats_per_bar
        self._gates = gates or Gates()
        self._segments: deque[Segment] = (
            deque()
        )  # not yet played; the engine appends, the clock's thread takes away
        self._after = -math.inf  # all messages up to this frame were sent
        self._ticked = -math.inf  # frame of the newest tick
        self._started = False
        self._open: dict[int, float] = {}  # notes that sound, and the frame at which they end

    # ------------------------------------------------------------------ engine's thread

    def block(self, segment: Segment) -> None:
        """Add a block that plays after those before it."""
        self._segments.append(segment)  # safe without a lock: the other thread takes from the other end

    # ------------------------------------------------------------------ clock's thread

    def played(self, frame: float) -> list[Sent]:
        """Return the messages that are due when the device plays `frame`, oldest first."""
        if frame <= self._after:
            return []
        if not self.runs:
            self._forget_older()
        elif frame - self._after > LEAP_SECONDS * self._rate:
            self._after = self._landing(frame) - 1  # frames that a panic skipped were never played
        found: list[Sent] = []
        while self._segments and (segment := self._segments[0]).start <= frame:
            found += self._of(segment, self._after, frame)
            if segment.end > frame:
                break
            self._segments.popleft()
        for note, end in list(self._open.items()):
            if end <= frame:
                del self._open[note]
                found.append(Sent(end, self._gates.off(note)))
        self._after = frame
        return sorted(found, key=lambda sent: sent.frame)

    @property
    def runs(self) -> bool:
        """True if frames were played since the last stop."""
        return self._after > -math.inf

    def silent(self, frame: float) -> list[Sent]:
        """Return the last messages, once, when nothing plays any more: stop, if start was sent, and the ends of notes.

        frame: the frame at which the sound will go on. Blocks before it will never sound.
        """
        found = self.leave()
        while self._segments and self._segments[0].end <= frame:
            self._segments.popleft()
        self._ticked, self._after = -math.inf, -math.inf
        return found

    def leave(self) -> list[Sent]:
        """Return the last messages for an output that is left while the music plays on.

        The next output gets start with the next bar.
        """
        found = [Sent(self._after, self._gates.off(note)) for note in self._open]
        if self._started:
            found.append(Sent(self._after, STOP))
        self._open.clear()
        self._started = False
        return found

    def count_bars(self, beats: int) -> None:
        """Count bars of so many beats from now on. Any thread."""
        self._beats = beats

    def _forget_older(self) -> None:
        """Forget the blocks before the newest beginning of the music: they were dropped before they sounded."""
        beginnings = [number for number, segment in enumerate(tuple(self._segments)) if segment.anew]
        for _ in range(beginnings[-1] if beginnings else 0):
            self._segments.popleft()

    def _landing(self, frame: float) -> float:
        """Return the first frame that played after a leap to `frame`: where the music began again shortly before."""
        for segment in tuple(self._segments):
            if segment.anew and 0 <= frame - segment.start < LEAP_SECONDS * self._rate:
                return segment.start
        return frame

    def _of(self, segment: Segment, after: float, until: float) -> list[Sent]:
        """Return the messages of one block later than `after`, up to `until`."""
        found = []
        if after < segment.start <= until:
            found += self._gate(segment.start, self._gates.block)
        if segment.per_frame <= 0:
            return found
        per_tick = 1 / (segment.per_frame * TICKS)  # frames
        first = math.ceil(segment.beat * TICKS - NEAR)
        count = 0
        while (frame := segment.start + (first + count - segment.beat * TICKS) * per_tick) < segment.end:
            number, count = first + count, count + 1
            if not after < frame <= until or frame - self._ticked < per_tick / 2:
                continue
            if number % (self._beats * TICKS) == 0:
                if not self._started:
                    self._started = True
                    found.append(Sent(frame, START))
                found += self._gate(frame, self._gates.bar)
            found.append(Sent(frame, CLOCK))
            self._ticked = frame
        return found

    def _gate(self, frame: float, note: int) -> list[Sent]:
        """Return the message that begins a note. If it still sounds, its end comes first."""
        again = [Sent(frame, self._gates.off(note))] if note in self._open else []
        self._open[note] = frame + GATE_SECONDS * self._rate
        return [*again, Sent(frame, self._gates.on(note))]
