"""How often each pad was pressed, as the generator sees it. Thread: the engine's. Nothing blocks.

The noise obeys a press that it has not seen. A jump brings back a generator that has seen other presses than the store
counts. Presses that came after the place of the jump belong to another future.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from jbdiff_live.parameters import ParameterSnapshot

Counts = Mapping[str, int]


class Presses:
    """The counts of the generator beside those of the store."""

    def __init__(self) -> None:
        self._newest: Counts | None = None  # of the newest block, as the generator got them
        self._present: Counts | None = None  # the same for the newest music, during a repetition
        self._at_jump: Counts = {}  # as the store had them
        self._more: Counts = {}  # what the generator's counts have more than the store's

    @property
    def present(self) -> Counts | None:
        """The counts of the newest music, which was left by `leave`."""
        return self._present

    def leave(self) -> None:
        """Note that the newest music is left: older music plays again from here."""
        self._present = self._newest

    def jump(self, store: Counts) -> None:
        """Note the counts of the store at a jump."""
        self._at_jump = store

    def go_on(self, counts: Counts | None) -> None:
        """Let the generator go on from a state that has seen these counts; None: nobody knows them."""
        self._newest = counts
        now = self._at_jump
        self._more = {} if counts is None else {name: counts.get(name, 0) - n for name, n in now.items()}

    def counted(self, snapshot: ParameterSnapshot) -> ParameterSnapshot:
        """Return the knobs with the counts for the generator."""
        if not any(self._more.values()):
            return snapshot
        counts = {name: count + self._more.get(name, 0) for name, count in snapshot.counts.items()}
        return replace(snapshot, counts=MappingProxyType(counts))

    def made(self, counts: Counts) -> Counts | None:
        """Take the counts of a new block. Return those of the block before it; None if it is the first one."""
        before, self._newest = self._newest, counts
        return before
