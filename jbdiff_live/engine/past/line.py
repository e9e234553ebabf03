"""The music of the last minutes, block by block, with the generator's state before each block. Engine thread only.

Pure: no torch, no clock. Blocks have a place, counted from the first block that was ever kept. Memory is bounded by the
length of the music and by its bytes; the oldest blocks are forgotten first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jbdiff_live.block import Block, Saved


@dataclass(frozen=True)
class Entry:
    """One block, and all that makes it again.

    before: the generator's state before the block. counts: the action counts of the block before it, as the generator
    got them; None if there was none. after: the index of the block before it; None if the music begins here.
    """

    block: Block
    before: Saved
    counts: Mapping[str, int] | None
    after: int | None

    @property
    def begins(self) -> bool:
        """True if the block does not continue the sound of the one before it."""
        return self.after is None

    @property
    def nbytes(self) -> int:
        """Bytes of the sound, and of the part of the state that no earlier entry holds."""
        return self.block.samples.nbytes + self.before.nbytes


class Line:
    """The entries, oldest first. `first` is the place of the oldest, `end` the place behind the newest."""

    def __init__(self, frames: int, most_bytes: int) -> None:
        """frames: the longest music to keep. most_bytes: the most memory for it. The newest block is always kept."""
        self._most_frames = frames
        self._most_bytes = most_bytes
        self._entries: list[Entry] = []
        self.first = 0
        self.frames = 0
        self.nbytes = 0

    @property
    def end(self) -> int:
        return self.first + len(self._entries)

    def __getitem__(self, place: int) -> Entry:
        if not self.first <= place < self.end:
            raise IndexError(f"block {place} is not kept; {self.first} to {self.end - 1} are")
        return self._entries[place - self.first]

    def append(self, entry: Entry) -> None:
        """Add the newest block, and forget the oldest ones beyond the limits."""
        self._entries.append(entry)
        self._count(entry, 1)
        drop = 0
        while drop < len(self._entries) - 1 and (
            self.frames > self._most_frames or self.nbytes > self._most_bytes
        ):
            self._count(self._entries[drop], -1)
            drop += 1
        if drop:
            del self._entries[:drop]
            self.first += drop

    def cut(self, place: int) -> None:
        """Forget the block at `place` and all later ones."""
        for entry in self._entries[max(0, place - self.first) :]:
            self._count(entry, -1)
        del self._entries[max(0, place - self.first) :]

    def clear(self) -> None:
        """Forget everything. Places are not used again."""
        self.first = self.end
        self._entries.clear()
        self.frames = self.nbytes = 0

    def _count(self, entry: Entry, sign: int) -> None:
        self.frames += sign * entry.block.frames
        self.nbytes += sign * entry.nbytes

    def frames_from(self, place: int) -> int:
        """Return the frames from the beginning of the block at `place` to the end."""
        return sum(entry.block.frames for entry in self._entries[max(0, place - self.first) :])
