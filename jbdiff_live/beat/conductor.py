"""Joins clock, held changes, LFOs, the music's beat and clock out: what the session asks of the beat. Pure.

Threads: `knobs` and `made` belong to the engine, `at` and `next_instant` to the audio feeder, `settle` to the clock's
thread, `changed` to whoever changed a value; anyone may read the rest.

What is played is aligned by a measured delay. `frame_at(second)` tells which frame of the session is heard when, with
queue and device taken into account; from it follows when a block that is made now will be heard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

from jbdiff_live.beat.bar_clock import BarClock
from jbdiff_live.beat.clock_out import ClockOut, Segment, Sent
from jbdiff_live.beat.held import HeldChanges
from jbdiff_live.beat.line import BeatLine, ClockSource, ClockStatus
from jbdiff_live.beat.link import LinkClock
from jbdiff_live.beat.modulation import Modulation
from jbdiff_live.block import Block
from jbdiff_live.parameters import ACTIONS_BY_NAME, BY_NAME, Change, Origin, ParameterSnapshot, ParameterStore

MODEL_BEATS = 4  # in a bar, as the model counts
CLOCK_BEAT = (
    "clock_beat"  # in a block's values: the outer clock's place in the bar, 0..4, at its first new sound
)
_TEMPO = BY_NAME["tempo"]
_BY_TEMPO = BY_NAME["clock"].parse("tempo")
_NO_CLOCK = BY_NAME["clock"].parse("off")


class Conductor:
    """Keeps the music and the changes of its knobs on the beat."""

    def __init__(
        self,
        store: ParameterStore,
        clock: BarClock,
        sample_rate: int,
        now: Callable[[], float],
        frame_at: Callable[[float], float],
        playing: Callable[[], bool] = lambda: True,
        out: ClockOut | None = None,
    ) -> None:
        """now: seconds of the clock that `frame_at` and the MIDI inputs use."""
        self.clock = clock
        self.held = HeldChanges(store.snapshot, clock, now, playing)
        self._store = store
        self._rate = sample_rate
        self._now = now
        self._frame_at = frame_at
        self._out = out
        self._music: tuple[float, float, float] | None = (
            None  # frame, beat there since the start, beats a frame
        )
        self._tapped: float | None = None  # tempo that waits to be put into the store
        self.modulation = Modulation(now, self.beats_per_second, clock.beats_per_bar)
        store.subscribe(self.changed)

    # ------------------------------------------------------------------ whoever changes a value

    def changed(self, change: Change) -> None:
        """A listener of the store, which must not be written from here."""
        if change.name == "tap":
            self._tapped = self.clock.tap(self._now()) or self._tapped
        elif change.name in ("tempo", "clock") and change.origin is not Origin.SESSION:
            self.clock.forget_taps()
        self.held.hear(change)

    # ------------------------------------------------------------------ engine's thread

    def knobs(self, start: int, frames: int) -> ParameterSnapshot:
        """Return what the next block follows. Its first new sound is at the session's frame `start`."""
        now = self._now()
        heard = now + (start - self._frame_at(now)) / self._rate
        snapshot = self.modulation.applied(self.held.for_block(heard + frames / self._rate))
        line = self.clock.line(now) if self.clock.outer else None
        if line is None or snapshot["clock"] == _NO_CLOCK:
            return snapshot
        values = {**snapshot.values, **_followed(line, heard)}
        return replace(snapshot, values=MappingProxyType(values))

    def made(self, block: Block) -> None:
        """A block went into the queue: its beat is the music's from there on."""
        start = block.start_frame + (0 if block.stack is None else block.stack.latency_frames)
        if block.beat is not None:
            place, per_frame = block.beat
            beat = place
            if self._music is not None:  # counted on from the block before
                frame, before, pace = self._music
                expected = before + (start - frame) * pace
                beat = expected + (place - expected + MODEL_BEATS / 2) % MODEL_BEATS - MODEL_BEATS / 2
            self._music = start, beat, per_frame
        elif block.snapshot["clock"] == _NO_CLOCK:
            self._music = None
        # A block that says nothing, as one that repeats older sound, goes on at the pace of those before it.
        if self._music is None:
            self.clock.music(None)
            segment = Segment(start, start + block.frames, 0.0, 0.0)
        else:
            frame, beat, pace = self._music
            now = self._now()
            at = now + (frame - self._frame_at(now)) / self._rate
            self.clock.music(BeatLine(at, beat, pace * self._rate * 60))
            segment = Segment(start, start + block.frames, beat + (start - frame) * pace, pace)
        if self._out is not None:
            self._out.block(segment)

    # ------------------------------------------------------------------ audio feeder

    def at(self, when: float, end: float) -> ParameterSnapshot:
        """As `HeldChanges.at`, with what LFOs do to the values."""
        return self.modulation.applied(self.held.at(when, end))

    def next_instant(self, after: float) -> float | None:
        """As `HeldChanges.next_instant`."""
        return self.held.next_instant(after)

    # ------------------------------------------------------------------ clock's thread

    def settle(self, now: float) -> list[Sent]:
        """Make what is due. Return the messages for MIDI clock out."""
        self.held.settle(now)
        if undone := self.held.take_undone():
            self._store.set_many(undone, Origin.SESSION)
        tapped, self._tapped = self._tapped, None
        if tapped is not None:
            self._store.set_many({"tempo": tapped, "clock": _BY_TEMPO}, Origin.SESSION)
        return [] if self._out is None else self._out.played(self._frame_at(now))

    def silent(self) -> list[Sent]:
        """Nothing plays any more: return what clock out sends then, once."""
        return [] if self._out is None or not self._out.runs else self._out.stop()

    # ------------------------------------------------------------------ any thread

    @property
    def sounding(self) -> ParameterSnapshot:
        """The values that the sound follows: without the changes that wait, and with what LFOs do to them."""
        return self.modulation.applied(self.held.snapshot)

    def beats_per_second(self) -> float | None:
        """Return the tempo that LFOs in bars follow: the clock's, or else the knob's; None if neither is in use."""
        line = self.clock.line(self._now())
        if line is not None:
            return line.tempo / 60
        snapshot = self.held.snapshot
        return snapshot["tempo"] / 60 if snapshot["clock"] == _BY_TEMPO else None

    def answer_to(self, action: str) -> str:
        """Return what the player reads after an action that has to do with the beat; empty for others."""
        label = ACTIONS_BY_NAME[action].label
        if action == "tap" and self.clock.source is not ClockSource.INTERNAL:
            return f"{label}: the tempo comes from {self.clock.source.value}; start with --clock internal to tap it"
        if action == "tap":
            tempo = self.clock.tapped
            return f"{label}: once more" if tempo is None else f"{label}: {tempo:.1f} BPM"
        if any(held.name == action for held in self.held.waiting):
            return f"{label}: waits for the next {self._store.snapshot.choice('hold_changes')}"
        return ""

    def status(self) -> ClockStatus:
        """Return the clock for the window, with the countdown to the first held change."""
        now = self._now()
        return replace(
            self.clock.status(now), countdown=self.held.countdown(now), waiting=len(self.held.waiting)
        )


def clock_from(source: ClockSource, beats_per_bar: int, offset: float, tempo: float) -> BarClock:
    """Return the clock that the player chose. offset: as `BarClock`. tempo: of a Link session without other programs.

    Raises LinkError if Link is chosen and not installed.
    """
    link = LinkClock(tempo, beats_per_bar) if source is ClockSource.LINK else None
    return BarClock(source, beats_per_bar, link, offset)


def _followed(line: BeatLine, heard: float) -> dict[str, float]:
    """Values of a block that follows an outer clock, and is heard at second `heard`.

    The model plays 60 to 180 beats a minute. A clock beyond that is followed at half or twice its tempo.
    """
    tempo, beat = line.tempo, line.beat_at(heard)
    while tempo < _TEMPO.low:
        tempo, beat = 2 * tempo, 2 * beat
    while tempo > _TEMPO.high:
        tempo, beat = tempo / 2, beat / 2
    values = {"clock": _BY_TEMPO, "tempo": tempo}
    return values | {CLOCK_BEAT: beat % MODEL_BEATS} if line.moves else values
