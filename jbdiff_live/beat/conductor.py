"""The session's access to the beat: clock, held changes, LFOs, the music's beat and clock out. Pure.

Threads: `knobs` and `made` belong to the engine, `at` and `next_instant` to the audio feeder. `settle` belongs to the
clock's thread, `changed` to the thread that changed a value. Any thread may read the rest.

A measured delay aligns the sound. `frame_at(second)` returns the session's frame that plays at that second, with the
delays of queue and device. From it follows the second at which a block that is made now will play.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from types import MappingProxyType

from jbdiff_live.beat.bar_clock import BarClock
from jbdiff_live.beat.clock_out import ClockOut, Segment, Sent
from jbdiff_live.beat.held import HeldChanges
from jbdiff_live.beat.held_functions import HeldFunctions
from jbdiff_live.beat.line import ORIGINS, BeatLine, ClockSource, ClockState, ClockStatus, Unit
from jbdiff_live.beat.link import LinkClock
from jbdiff_live.beat.modulation import BEATS_PER_SECOND, Modulation
from jbdiff_live.block import Block
from jbdiff_live.parameters import ACTIONS_BY_NAME, BY_NAME, Change, Origin, ParameterSnapshot, ParameterStore

MODEL_BEATS = 4  # beats in a bar, for the model
CLOCK_BEAT = (
    "clock_beat"  # in a block's values: the outer clock's place in the bar, 0..4, at its first new sound
)
_TEMPO = BY_NAME["tempo"]
_BY_TEMPO = BY_NAME["clock"].parse("tempo")
_NO_CLOCK = BY_NAME["clock"].parse("off")


class Conductor:
    """The keeper of the beat for the music and for held changes of its knobs."""

    def __init__(
        self,
        store: ParameterStore,
        clock: BarClock,
        sample_rate: int,
        now: Callable[[], float],
        frame_at: Callable[[float], float],
        playing: Callable[[], bool] = lambda: True,
        out: ClockOut | None = None,
        landed: Callable[[Change, int | None], None] = lambda change, frame: None,
        perform: Callable[[str, int], None] = lambda function, frame: None,
    ) -> None:
        """now: seconds of the clock that `frame_at` and the MIDI inputs use.

        playing: False while the sound stands still; then no change waits for the music's own beat.
        landed: is given each change when it is made, and the frame of its beat or bar; None if it did not wait.
        perform: does a function of the session that waited for a frame. Neither may block.
        """
        self.clock = clock
        self.held = HeldChanges(
            store.snapshot,
            clock,
            now,
            playing,
            lambda change, due: landed(change, None if due is None else self._frame_of(due)),
        )
        self.functions = HeldFunctions(clock)
        self._perform = perform
        self._playing = playing
        self._store = store
        self._rate = sample_rate
        self._now = now
        self._frame_at = frame_at
        self._out = out
        self._music: tuple[float, float, float] | None = (
            None  # frame, beat there since the start, beats a frame
        )
        self._left: tuple[float, float, float] | None = None  # the same, of the last music that had a beat
        self._tapped: float | None = None  # a tapped tempo that `settle` puts into the store
        self.modulation = Modulation(now, self.beats_per_second, clock.beats_per_bar)
        store.subscribe(self.changed)

    # ------------------------------------------------------------------ writers' threads

    def changed(self, change: Change) -> None:
        """Hold a change or let it pass. A listener of the store; it must not write to the store."""
        if change.name == "tap":
            if self.clock.source is ClockSource.INTERNAL:
                self._tapped = self.clock.tap(self._now()) or self._tapped
        elif change.name in ("tempo", "clock") and change.origin is not Origin.SESSION:
            self.clock.forget_taps()
        elif change.name == "panic":
            self.functions.cancel()
        self.held.hear(change)

    def hold_function(self, function: str, hold: Unit | None = None) -> str:
        """Let a function of the session wait. Return the answer for the player; an empty one: it does not wait.

        hold: what its control waits for; None follows the knob Hold changes. The music's own beat ends with the music.
        """
        if not self.clock.outer and not self._playing():
            return ""
        return self.functions.hold(function, self.held.unit if hold is None else hold, self._now())

    # ------------------------------------------------------------------ engine's thread

    def knobs(self, start: int, frames: int) -> ParameterSnapshot:
        """Return the next block's snapshot. Its first new sound is at the session's frame `start`."""
        now = self._now()
        heard = now + (start - self._frame_at(now)) / self._rate
        snapshot = self.modulation.applied(self.held.for_block(heard + frames / self._rate))
        line = self.clock.line(now) if self.clock.outer else None
        if line is None or snapshot["clock"] == _NO_CLOCK:
            return snapshot
        values = {**snapshot.values, **_followed(line, heard)}
        return replace(snapshot, values=MappingProxyType(values))

    def made(self, block: Block) -> None:
        """Take over the beat of a block that went into the queue."""
        start = block.start_frame + (0 if block.stack is None else block.stack.latency_frames)
        if block.beat is not None:
            place, per_frame = block.beat
            beat = place
            if (last := self._music or self._left) is not None:  # count on from the last block with a beat
                frame, before, pace = last
                expected = before + (start - frame) * pace
                beat = expected + (place - expected + MODEL_BEATS / 2) % MODEL_BEATS - MODEL_BEATS / 2
            self._music = start, beat, per_frame
        elif block.snapshot["clock"] == _NO_CLOCK:
            self._music, self._left = None, self._music or self._left
        # A block without a beat, such as a repeat of older sound, goes on at the tempo of those before it.
        if self._music is None:
            self.clock.music(None)
            segment = Segment(start, start + block.frames, 0.0, 0.0, block.anew)
        else:
            frame, beat, pace = self._music
            now = self._now()
            at = now + (frame - self._frame_at(now)) / self._rate
            self.clock.music(BeatLine(at, beat, pace * self._rate * 60), frame)
            segment = Segment(start, start + block.frames, beat + (start - frame) * pace, pace, block.anew)
        if self._out is not None:
            self._out.block(segment)

    # ------------------------------------------------------------------ audio feeder

    def at(self, when: float, end: float) -> ParameterSnapshot:
        """As `HeldChanges.at`, with the LFOs' changes of the values."""
        return self.modulation.applied(self.held.at(when, end))

    def next_instant(self, after: float) -> float | None:
        """As `HeldChanges.next_instant`."""
        return self.held.next_instant(after)

    # ------------------------------------------------------------------ clock's thread

    def settle(self, now: float, sounds: bool = True) -> list[Sent]:
        """Make the changes that are due. Return the messages for MIDI clock out.

        sounds: False while no device plays. Clock out then stops, and blocks that were made wait for their sound.
        """
        self._realign(now)
        self.held.settle(now)
        for function in self.functions.due(now, self.held.rendered):
            for _ in range(function.times):
                self._perform(function.name, self._frame_of(function.due))
        if undone := self.held.take_undone():
            self._store.set_many(undone, Origin.SESSION)
        tapped, self._tapped = self._tapped, None
        if tapped is not None:
            self._store.set_many({"tempo": tapped, "clock": _BY_TEMPO}, Origin.SESSION)
        if not sounds:
            return self.silent(now)
        return [] if self._out is None else self._out.played(self._frame_at(now))

    def silent(self, now: float) -> list[Sent]:
        """Return the last messages of clock out, once, when nothing plays any more."""
        return [] if self._out is None else self._out.silent(self._frame_at(now))

    def leave_out(self) -> list[Sent]:
        """Return the last messages for an output that clock out leaves now. The next one begins with a bar."""
        return [] if self._out is None else self._out.leave()

    # ------------------------------------------------------------------ the player's choice

    def choose_clock(self, source: ClockSource) -> None:
        """Follow another clock from now on. What waits for a beat or bar waits for the next one of the new clock.

        If it has none, what waits is done at once. The window's thread.
        Raises LinkError if Link is chosen and not installed; then the old clock goes on.
        """
        left = self.clock.link
        if source is self.clock.source:
            return
        tempo = 60 * (self.beats_per_second() or self._store.snapshot["tempo"] / 60)
        link = LinkClock(tempo, self.clock.beats_per_bar) if source is ClockSource.LINK else None
        self._tapped = None
        self._over_to(lambda: self.clock.choose(source, self._now(), link))
        if left is not None:
            left.close()

    def choose_offset(self, seconds: float) -> None:
        """Add so many seconds to the times of a MIDI clock's messages. What waits moves along."""
        self.clock.choose_offset(seconds)

    def count_bars(self, beats: int) -> None:
        """Count bars of so many beats from now on, in the clock, in LFOs, and in clock out. Raises ValueError for 0."""
        self._over_to(lambda: self.clock.count_bars(beats))
        self.modulation.count_bars(beats)
        if self._out is not None:
            self._out.count_bars(beats)

    def _over_to(self, choose: Callable[[], None]) -> None:
        self.held.over_to(lambda: self.functions.over_to(choose, self._now()))

    # ------------------------------------------------------------------ any thread

    def _realign(self, now: float) -> None:
        """Move the beat and the held changes by the time for which the sound waited, while it plays."""
        if self._playing():
            audible = self._frame_at(now)
            self.held.slide(self.clock.realign(lambda frame: now + (frame - audible) / self._rate))

    def _frame_of(self, second: float) -> int:
        """Return the session's frame that plays at a second, also one that lies ahead."""
        now = self._now()
        return int(self._frame_at(now) + (second - now) * self._rate)

    @property
    def sounding(self) -> ParameterSnapshot:
        """Return the values that the sound follows: without the held changes, and with the LFOs' changes."""
        return self.modulation.applied(self.held.snapshot)

    def beats_per_second(self) -> float | None:
        """Return the tempo that LFOs in bars follow: the clock's, or else the knob's; None if neither is in use."""
        line = self.clock.line(self._now())
        if line is not None:
            return line.tempo / 60
        snapshot = self.held.snapshot
        return snapshot["tempo"] / 60 if snapshot["clock"] == _BY_TEMPO else None

    def bar_seconds(self) -> float:
        """Return the length of a bar. A beat lasts half a second while no tempo is known."""
        return self.clock.beats_per_bar / (self.beats_per_second() or BEATS_PER_SECOND)

    def next_due(self, unit: Unit, promised: float | None = None) -> float | None:
        """As `HeldChanges.next_due`."""
        return self.held.next_due(unit, promised)

    def lands_in(self, names: Collection[str]) -> float | None:
        """Return the seconds until the first of these parameters' held changes is made; None if none waits."""
        return self.held.lands_in(names, self._now())

    def lfo_of_scenes(self) -> float | None:
        """Return the place of Scene morph with its LFO; None while it has none."""
        lfo = self.modulation.lfos.get("scene_morph")
        return None if lfo is None or not lfo.on else self.sounding["scene_morph"]

    def answer_to(self, action: str) -> str:
        """Return the answer to an action of the beat; empty for other actions."""
        label = ACTIONS_BY_NAME[action].label
        if action == "tap" and self.clock.source is not ClockSource.INTERNAL:
            origin = ORIGINS[self.clock.source]
            return f"{label}: the tempo comes from {origin}; choose Clock: own beat in the settings (F4) to tap it"
        if action == "tap":
            tempo = self.clock.tapped
            if tempo is None:
                return f"{label}: tap again"
            return f"{label}: {tempo:.1f} BPM; Clock is at tempo now, so the next block keeps this beat"
        waits = next((held for held in self.held.waiting if held.name == action), None)
        return "" if waits is None else f"{label}: waits for the next {waits.unit.value}"

    def status(self) -> ClockStatus:
        """Return the clock for the window, with the countdown to the first held change."""
        now = self._now()
        self._realign(now)
        waiting = [held.due for held in self.held.waiting] + [held.due for held in self.functions.waiting]
        countdown = min(waiting) - now if waiting else None
        status = self.clock.status(now)
        if self._music is not None and not self.clock.outer and not self._playing():
            status = self._standing(status, now)
        return replace(status, countdown=countdown, waiting=len(waiting))

    def _standing(self, status: ClockStatus, now: float) -> ClockStatus:
        """Return the status while the music's own beat stands still, at the place of the audible frame."""
        assert self._music is not None
        frame, beat, pace = self._music
        bar, place = self.clock.place(max(0.0, beat + (self._frame_at(now) - frame) * pace))
        return replace(status, state=ClockState.STOPPED, bar=bar, beat=place)


def clock_from(source: ClockSource, beats_per_bar: int, offset: float, tempo: float) -> BarClock:
    """Return the chosen clock. offset: as in `BarClock`. tempo: for a Link session without other programs.

    Raises LinkError if Link is chosen and not installed.
    """
    link = LinkClock(tempo, beats_per_bar) if source is ClockSource.LINK else None
    return BarClock(source, beats_per_bar, link, offset)


def _followed(line: BeatLine, heard: float) -> dict[str, float]:
    """Return the values of a block that follows an outer clock. heard: the second at which the block plays.

    The model plays 60 to 180 beats a minute. For a clock beyond that, it plays half or twice the tempo.
    """
    tempo, beat = line.tempo, line.beat_at(heard)
    while tempo < _TEMPO.low:
        tempo, beat = 2 * tempo, 2 * beat
    while tempo > _TEMPO.high:
        tempo, beat = tempo / 2, beat / 2
    values = {"clock": _BY_TEMPO, "tempo": tempo}
    return values | {CLOCK_BEAT: beat % MODEL_BEATS} if line.moves else values
