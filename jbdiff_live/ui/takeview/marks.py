"""Marks in the take view: set, name, remove, seek to the next. Thread: Qt's. Each wish writes a small file."""

from __future__ import annotations

from jbdiff_live.browse.takes import Mark
from jbdiff_live.ui.takeview.answers import Asking

NEAR = 0.02  # of what is visible: how near the playhead a mark must be to be named or removed
JUST_PASSED = 0.3  # seconds: a mark that the playhead has just passed is not the one before it


class MarkDeeds(Asking):
    """What a player does with marks."""

    def add_mark(self) -> None:
        """Set a mark at the playhead."""
        mark = Mark(round(self.player.at * self.facts.rate))
        self._put([*self.marks, mark], "a mark is set; N names it")

    def name_mark(self) -> None:
        mark = self._near()
        if mark is not None:
            self.ask(mark.name, "a name for the mark", lambda name: self._rename_mark(mark, name))

    def _rename_mark(self, mark: Mark, name: str) -> None:
        new = [*(other for other in self.marks if other != mark), Mark(mark.at, name)]
        self.shelf.put_marks(self.facts.folder, new)

    def remove_mark(self) -> None:
        mark = self._near()
        if mark is not None:
            self._put([other for other in self.marks if other != mark], "the mark is removed")

    def _near(self) -> Mark | None:
        """Return the player's own mark at the playhead. None after the answer says that there is none."""
        left, right = self.wave.visible
        at, rate = self.player.at, self.facts.rate
        near = [mark for mark in self.marks if abs(mark.at / rate - at) <= (right - left) * NEAR]
        own = [mark for mark in near if not mark.logged]
        if own:
            return min(own, key=lambda mark: abs(mark.at / rate - at))
        why = (
            "it was set while the take was recorded, and stays in the log"
            if near
            else "move the playhead to one"
        )
        self.refuse(f"none of your marks is here: {why}")
        return None

    def _put(self, marks: list[Mark], words: str) -> None:
        self.do(lambda: self.shelf.put_marks(self.facts.folder, marks), words)

    def next_mark(self, forward: bool) -> None:
        """Seek to the next mark, or the one before."""
        places = [mark.at / self.facts.rate for mark in self.marks]
        at = self.player.at
        found = (
            [p for p in places if p > at + 0.05] if forward else [p for p in places if p < at - JUST_PASSED]
        )
        if found:
            self.player.seek(min(found) if forward else max(found))
        else:
            self.refuse("there is no further mark")
