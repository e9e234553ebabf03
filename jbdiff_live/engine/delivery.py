"""Deliver finished blocks into the ring, whole, and count what was delivered since the music began.

Engine thread, or the thread that acts for it (`past/meanwhile.py`). Waits for room; a stop or a panic ends the wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from jbdiff_live.block import Block
from jbdiff_live.ring import RingBuffer

WAIT_SECONDS = 0.01


class Delivery:
    """The way into the ring. `on_block` gets every block right after it went in, and must not block.

    panics: returns the number of panics that the player has asked for. `frames` counts those that are heard, since the
    music began, or began again; at 0 no block can be late.
    """

    def __init__(
        self,
        ring: RingBuffer,
        on_block: Callable[[Block], None],
        stop: threading.Event,
        panics: Callable[[], int],
    ) -> None:
        self._ring = ring
        self._on_block = on_block
        self._stop = stop
        self._panics = panics
        self._silent = 0  # frames of silence before the stack's first sound that are still to come
        self.begin()

    def begin(self) -> None:
        """Begin the music anew."""
        self.frames, self._silent = 0, 0

    def write(self, block: Block, panics: int) -> bool:
        """Write the whole block, and wait for room. Return False if a stop was asked for before the end.

        panics: panics answered so far. After a new one, the rest of the block is dropped.
        A block after a jump drops the queued frames, and the output crossfades to it. Where the music begins, the
        silence before the stack's first sound is not played.
        """
        if block.anew or (block.jump is not None and block.jump.after is None):
            self._silent = 0 if block.stack is None else block.stack.latency_frames
        dropped = min(self._silent, block.frames)
        # In one step: between a drop and a write the output would find nothing to play.
        written = self._ring.write(block.samples, joins=block.jump is not None, drop=dropped)
        self._silent -= dropped
        self.frames += block.frames - dropped
        self._on_block(block)
        while written < block.frames:
            if self._stop.wait(WAIT_SECONDS):
                return False
            if self._panics() != panics:
                # Until a panic is answered the output reads nothing, so no more room would come.
                self._ring.drop(block.frames - written)
                break
            written += self._ring.write(block.samples[written:])
        return True
