"""Functions of the session that wait for the next beat or bar, or for the end of a stop.

A patch that is chosen is loaded at once, and its values wait like those of knobs. A patch that is armed in the browser
waits here as a whole.

Threads: `hold` runs on the thread that asks for a function, `cancel` on the writer's, `due` on the clock's. A short
lock guards the list; any thread may read `waiting`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from jbdiff_live.beat.bar_clock import BarClock
from jbdiff_live.beat.line import Unit

ARMED_PATCH = "armed_patch"  # loads the patch that was armed in the browser
HELD = frozenset({"play", "start", "stop", "record", "back", "far_back", "forward", ARMED_PATCH})
SWITCHES = frozenset({"play", "record"})  # asked for twice, they change nothing
ADDING = frozenset({"back", "far_back", "forward"})  # asked for twice, they are done twice


@dataclass(frozen=True)
class HeldFunction:
    """A function that waits. due: the second at which it is done. times: how often."""

    name: str
    due: float
    unit: Unit
    times: int = 1


class HeldFunctions:
    """The functions that wait, at most one of each name."""

    def __init__(self, clock: BarClock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: tuple[HeldFunction, ...] = ()  # swapped whole
        self._later: tuple[str, Callable[[], bool]] | None = None  # done as soon as the second part is True

    @property
    def waiting(self) -> tuple[HeldFunction, ...]:
        return self._waiting

    def hold(self, name: str, unit: Unit, now: float) -> str:
        """Let a function wait. Return the answer for the player; an empty one says that it does not wait.

        A function that switches something, and waits already, is taken back.
        """
        if name not in HELD or unit is Unit.OFF:
            return ""
        due = self._clock.next(unit, now, now)
        if due is None:
            return ""
        with self._lock:
            others = tuple(held for held in self._waiting if held.name != name)
            if len(others) < len(self._waiting) and name in SWITCHES:
                self._waiting = others
                return "taken back"
            times = 1 + sum(held.times for held in self._waiting if held.name == name and name in ADDING)
            self._waiting = (*others, HeldFunction(name, due, unit, times))
        again = "; once more takes it back" if name in SWITCHES else ""
        return f"waits for the next {unit.value}{again}"

    def take_back(self, name: str) -> None:
        """Let a function no longer wait. Does nothing if it does not."""
        with self._lock:
            self._waiting = tuple(held for held in self._waiting if held.name != name)

    def later(self, name: str, ready: Callable[[], bool]) -> bool:
        """Do a function as soon as `ready()` is true. Asked for again, it is taken back; return whether it waits."""
        with self._lock:
            self._later = (name, ready) if self._later is None else None
            return self._later is not None

    def cancel(self) -> None:
        """Forget those that wait for a beat or bar, at a panic."""
        with self._lock:
            self._waiting = ()

    def over_to(self, choose: Callable[[], None], now: float) -> None:
        """Let `choose` change the clock, and what waits wait for the next beat or bar of the new clock.

        Without a beat there, it is done at once. now: seconds. choose: must not block.
        """
        with self._lock:
            choose()
            moved = []
            for held in self._waiting:
                due = self._clock.next(held.unit, now, now)
                moved.append(replace(held, due=now if due is None else due))
            self._waiting = tuple(moved)

    def due(self, now: float, rendered: float) -> tuple[HeldFunction, ...]:
        """Return the functions to do now, once. rendered: second up to which the output has rendered.

        What the output has rendered cannot be changed any more, so a stop has to come before the sound of its bar does.
        Without a clock that runs there is no bar to wait for.
        """
        if not self._waiting and self._later is None:
            return ()
        with self._lock:
            line = self._clock.line(now)
            moved = []
            for held in self._waiting:
                due = None if line is None else line.nearest(self._clock.beats(held.unit), held.due)
                moved.append(replace(held, due=now if due is None else due))
            until = max(now, rendered)
            ripe = tuple(held for held in moved if held.due <= until)
            self._waiting = tuple(held for held in moved if held.due > until)
            if self._later is not None and self._later[1]():
                ripe = (*ripe, HeldFunction(self._later[0], now, Unit.OFF))
                self._later = None
            return ripe
