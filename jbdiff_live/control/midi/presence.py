"""Which inputs are there: a name for each port of the system's list, the chosen ones, and those that are missing.

Thread: the watcher's alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from jbdiff_live.control.names import Port, free_name, matches


@dataclass(frozen=True)
class Choice:
    """The inputs to listen to. names: None for all. whole: a name that an input has means only that input."""

    names: tuple[str, ...] | None
    whole: bool

    def has(self, name: str, port: Port, there: Collection[str]) -> bool:
        """Return True if an input belongs to the choice. there: the names of all inputs."""
        if self.names is None or name in self.names:
            return True
        parts = [part for part in self.names if not self.whole or part not in there]
        return matches(name, parts) or matches(port[0], parts)


class Presence:
    """The names of the inputs. A port keeps its name as long as it is in the list."""

    def __init__(self) -> None:
        self._called: dict[Port, str] = {}  # name by port, for every port in the list
        self._known: tuple[str, ...] = ()  # every input that was connected since the last choice
        self._choice = Choice(None, whole=False)

    def wanted(self, ports: Sequence[Port], choice: Choice) -> dict[str, Port]:
        """Return the chosen ones of the ports that are in the list now, by name."""
        if choice != self._choice:
            self._choice, self._known = choice, ()
        self._called = {port: name for port, name in self._called.items() if port in ports}
        for port in ports:
            if port not in self._called:
                self._called[port] = free_name(port[0], self._called.values())
        there = self._called.values()
        return {name: port for port, name in self._called.items() if choice.has(name, port, there)}

    def missing(self, connected: Iterable[str]) -> tuple[str, ...]:
        """Return the names of the chosen inputs that are not connected.

        If one was connected since it was chosen, its full name is reported: the player saw that name.
        """
        now = tuple(connected)
        self._known = (*self._known, *(name for name in now if name not in self._known))
        gone = tuple(name for name in self._known if name not in now)
        never = tuple(
            name
            for name in self._choice.names or ()
            if not any(name.lower() in known.lower() for known in self._known)
        )
        return (*gone, *never)
