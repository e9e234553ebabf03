"""The places of the blocks in the queue, to find the audible one. Thread: the engine's. Nothing blocks."""

from __future__ import annotations

from collections import deque

KEPT = 256  # newest blocks of which one may be audible


class Deliveries:
    """The newest blocks that went into the queue since the last jump."""

    def __init__(self) -> None:
        self._places: deque[tuple[int, int]] = deque(maxlen=KEPT)  # start frame and place

    def add(self, start_frame: int, place: int) -> None:
        """Note a block that went into the queue."""
        self._places.append((start_frame, place))

    def clear(self) -> None:
        self._places.clear()

    @property
    def newest(self) -> int | None:
        """The place of the newest block; None if there is none."""
        return self._places[-1][1] if self._places else None

    def audible(self, heard: int) -> int | None:
        """Return the place of the block that holds the frame `heard`; None without a block.

        If no block is audible yet, it is the place of the first one.
        """
        for start, place in reversed(self._places):
            if start <= heard:
                return place
        return self._places[0][1] if self._places else None
