"""The window's requests about takes: all of them are on the shelf. No state of its own. Thread: the window's."""

from __future__ import annotations

from jbdiff_live.browse.takes import TakeShelf


class TakeWishes:
    """The part of `jbdiff_live.status.Transport` about takes. A subclass makes `take_desk`."""

    take_desk: TakeShelf

    def takes(self) -> TakeShelf:
        return self.take_desk
