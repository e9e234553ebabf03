"""Changes that wait for the next beat or bar. The store has them already; the sound follows them later.

`ParameterStore` holds the set values; knobs, takeover and patches use them at once. The engine and the output follow
`HeldChanges.snapshot`. A change passes at once, or waits for its beat or bar. The knob Hold changes says which, unless
the control that made the change says it (`Change.hold`).

Threads: `hear` runs on the thread that changed a value, `for_block` on the engine's, `settle` on the clock's, `at` and
`next_instant` on the audio feeder. A short lock guards the writers. The feeder only reads objects swapped whole.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from jbdiff_live.beat.bar_clock import BarClock
from jbdiff_live.beat.line import Unit
from jbdiff_live.parameters import BY_NAME, NEVER_HELD, Change, Origin, ParameterSnapshot, TakesEffect

UNITS = (Unit.OFF, Unit.BEAT, Unit.BAR)  # in the order of the parameter's choices


@dataclass(frozen=True)
class Held:
    """One change that waits. value: the parameter's value, or the action's count. due: second at which it sounds.

    version: the store's after this change. A snapshot has the version of the newest change in it, so that the log of a
    take shows which blocks have which changes.
    """

    change: Change
    due: float
    unit: Unit
    instant: bool  # the output stage makes it, at the frame of the bar

    @property
    def name(self) -> str:
        return self.change.name

    @property
    def value(self) -> float:
        return self.change.value

    @property
    def is_action(self) -> bool:
        return self.change.is_action

    def on(self, snapshot: ParameterSnapshot) -> ParameterSnapshot:
        """Return the snapshot with this change made."""
        version = max(snapshot.version, self.change.version)
        if self.is_action:
            counts = MappingProxyType({**snapshot.counts, self.name: int(self.value)})
            return ParameterSnapshot(version, snapshot.values, counts)
        values = MappingProxyType({**snapshot.values, self.name: self.value})
        return ParameterSnapshot(version, values, snapshot.counts)


class HeldChanges:
    """The changes that wait, and the `snapshot` without them.

    A bar that begins inside sound that is already made is missed: the change waits for the next one. `at` and
    `for_block` record the end of that sound. playing: while it is False, no change waits.
    """

    def __init__(
        self,
        first: ParameterSnapshot,
        clock: BarClock,
        now: Callable[[], float],
        playing: Callable[[], bool] = lambda: True,
        landed: Callable[[Change, float | None], None] = lambda change, due: None,
    ) -> None:
        """landed: is given each change when it is made, and the second of its beat or bar; None if it did not wait.

        It is called inside the lock, and may neither block nor write to the store.
        """
        self._clock = clock
        self._now = now
        self._playing = playing
        self._landed = landed
        self._lock = threading.Lock()
        self._snapshot = first
        self._waiting: tuple[Held, ...] = ()  # in the order in which they were asked for; swapped whole
        self._undone: Mapping[str, float] = MappingProxyType(
            {}
        )  # values to put back into the store after a panic
        self._unit = UNITS[int(first.values.get("hold_changes", 0))]
        self._rendered = float(
            "-inf"
        )  # second up to which the output stage has rendered; the feeder writes it
        self._begun = float("-inf")  # second up to which blocks are made or in work; the engine's

    # ------------------------------------------------------------------ any thread

    @property
    def snapshot(self) -> ParameterSnapshot:
        """The values that the sound follows."""
        return self._snapshot

    @property
    def unit(self) -> Unit:
        """What changes wait for, as the knob Hold changes says."""
        return self._unit

    @property
    def rendered(self) -> float:
        """Second up to which the output stage has rendered."""
        return self._rendered

    @property
    def waiting(self) -> tuple[Held, ...]:
        """The changes that wait, oldest first."""
        return self._waiting

    def countdown(self, now: float) -> float | None:
        """Return the seconds until the first held change is made; None if none waits."""
        waiting = self._waiting
        return min(held.due for held in waiting) - now if waiting else None

    def lands_in(self, names: Collection[str], now: float) -> float | None:
        """Return the seconds until the first of these parameters' held changes is made; None if none waits."""
        dues = [held.due for held in self._waiting if held.name in names]
        return min(dues) - now if dues else None

    def next_due(self, unit: Unit, promised: float | None = None) -> float | None:
        """Return the second of the next beat or bar that a block can still reach; None: there is none to wait for.

        promised: the second that an earlier call returned. It is moved with the clock.
        """
        if promised is None or unit is Unit.OFF or not self._playing():
            return self._due("", unit, self._reached())
        line = self._clock.line(self._now())
        return None if line is None else line.nearest(self._clock.beats(unit), promised)

    # ------------------------------------------------------------------ writers' threads

    def hear(self, change: Change) -> None:
        """Let a change of the store pass, or hold it. A listener of `ParameterStore`."""
        with self._lock:
            if change.name == "hold_changes":
                self._unit = UNITS[int(change.value)]
            if change.name == "panic":
                self._cancel()
            instant = _is_instant(change)
            unit = self._unit if change.hold is None else change.hold
            earliest = self._earliest(change, instant)
            due = self._due(change.name, unit, earliest)
            new = Held(change, due or earliest, unit, instant)
            old = next((held for held in self._waiting if held.name == change.name), None)
            if due is None:
                self._waiting = tuple(held for held in self._waiting if held is not old)
                self._make((new,))
                self._landed(change, None)
            elif not change.is_action and change.value == self._snapshot.values[change.name]:
                self._waiting = tuple(
                    held for held in self._waiting if held is not old
                )  # turned back before its bar
            elif (
                old is not None and old.due > earliest and old.unit is unit
            ):  # the latest value counts, at the bar that was promised
                kept = replace(new, due=old.due)
                self._waiting = tuple(kept if held is old else held for held in self._waiting)
            else:
                self._waiting = (*(held for held in self._waiting if held is not old), new)
            if self._unit is Unit.OFF and change.name == "hold_changes":
                self._release(lambda held: held.change.hold is None)

    def _due(self, name: str, unit: Unit, earliest: float) -> float | None:
        """Return the second, after `earliest`, at which a change must sound; None means at once."""
        if unit is Unit.OFF or name in NEVER_HELD or not self._playing():
            return None
        return self._clock.next(unit, earliest, self._now())

    def slide(self, seconds: float) -> None:
        """Take over that the sound of all blocks so far comes so many seconds later than they were made for."""
        if seconds:
            with self._lock:
                self._begun += seconds

    def _earliest(self, change: Change, instant: bool) -> float:
        """Return the second from which on a change can sound."""
        if change.origin is Origin.SCENE:  # it lands whole: on a beat that block and output both reach
            return self._reached()
        return max(self._now(), self._rendered if instant else self._begun)

    def over_to(self, choose: Callable[[], None]) -> None:
        """Let `choose` change the clock, and what waits wait for the next beat or bar of the new clock.

        If the new clock has no beat, `settle` makes the changes at once. Any thread. choose: must not block.
        """
        with self._lock:
            choose()
            moved = []
            for held in self._waiting:
                due = self._due(held.name, held.unit, self._earliest(held.change, held.instant))
                moved.append(held if due is None else replace(held, due=due))
            self._waiting = tuple(moved)

    def _reached(self) -> float:
        """Return the second up to which blocks are begun and the output has rendered; now, if both are behind."""
        return max(self._now(), self._rendered, self._begun)

    def _cancel(self) -> None:
        """Cancel all held changes at a panic. The store gets the sounding values back."""
        values = {held.name: self._snapshot.values[held.name] for held in self._waiting if not held.is_action}
        self._undone = MappingProxyType({**self._undone, **values})
        self._waiting = ()
        self._begun = self._rendered = float("-inf")

    def take_undone(self) -> Mapping[str, float]:
        """Return the values that a panic took back, once. The clock's thread puts them into the store."""
        if not self._undone:
            return self._undone
        with self._lock:
            undone, self._undone = self._undone, MappingProxyType({})
            return undone

    # ------------------------------------------------------------------ clock's and engine's threads

    def settle(self, now: float) -> None:
        """Adjust held changes to the clock, and make those that sound by now. Called every few milliseconds."""
        if not self._waiting:
            return
        with self._lock:
            line = self._clock.line(now)
            if line is None or not line.moves or not self._playing():
                self._release(lambda held: True)  # without a clock there is no bar to wait for
                return
            moved = []
            for held in self._waiting:
                due = line.nearest(self._clock.beats(held.unit), held.due)
                moved.append(held if due is None else replace(held, due=due))
            self._waiting = tuple(moved)
            # A change that missed its block is made late rather than never: blocks may have stopped.
            self._release(lambda held: held.due <= now)

    def for_block(self, end: float) -> ParameterSnapshot:
        """Make the changes due before second `end`, the next block's end. Return that block's snapshot."""
        with self._lock:  # a change that comes now is in this block, or waits for a bar behind it
            self._begun = end
            self._release(lambda held: not held.instant and held.due < end)
            return self._snapshot

    def _release(self, ripe: Callable[[Held], bool]) -> None:
        made = tuple(held for held in self._waiting if ripe(held))
        if made:
            self._make(made)  # before they leave the list: the feeder must find each in one of the two
            self._waiting = tuple(held for held in self._waiting if held not in made)
            for held in made:
                self._landed(held.change, held.due)

    def _make(self, changes: tuple[Held, ...]) -> None:
        """Swap the snapshot for one with these changes."""
        snapshot = self._snapshot
        for held in changes:
            snapshot = held.on(snapshot)
        self._snapshot = snapshot

    # ------------------------------------------------------------------ audio feeder

    def at(self, when: float, end: float) -> ParameterSnapshot:
        """Return the snapshot for the sound from second `when` on. The sound until second `end` is rendered now."""
        self._rendered = end
        waiting, snapshot = self._waiting, self._snapshot
        for held in waiting:
            if held.instant and held.due <= when:
                snapshot = held.on(snapshot)
        return snapshot

    def next_instant(self, after: float) -> float | None:
        """Return the first second after `after` at which the output stage has a change to make; None without one."""
        return min((held.due for held in self._waiting if held.instant and held.due > after), default=None)


def _is_instant(change: Change) -> bool:
    """Return True if the output stage makes this change."""
    parameter = None if change.is_action else BY_NAME.get(change.name)
    return parameter is not None and parameter.takes_effect is TakesEffect.NOW
