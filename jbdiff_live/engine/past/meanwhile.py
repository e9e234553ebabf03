"""Act for the engine while its thread is inside the model.

A step of a model may take half a second on a busy machine, and nothing interrupts it. The blocks of a jump back are
made already, so they need not wait for it: the thread that asks for the jump delivers them.

Threads: `doing` belongs to the engine, `act` to any thread. The lock is held for the time of a delivery, a few
milliseconds, and never while the model works.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jbdiff_live.block import Block, Saved
from jbdiff_live.engine.past.machine import TimeMachine
from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.ring import RingBuffer


class Meanwhile:
    """What may be done while the engine's thread is inside the model."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._act: Callable[[], None] | None = None

    @contextmanager
    def doing(self, act: Callable[[], None]) -> Iterator[None]:
        """Let other threads call `act` until the `with` ends. Then no call is in work.

        Inside, the engine touches nothing that `act` touches.
        """
        with self._lock:
            self._act = act
        try:
            yield
        finally:
            with self._lock:
                self._act = None

    def act(self) -> None:
        """Do it, if the engine is inside the model now. Otherwise the engine will soon see for itself."""
        with self._lock:
            if self._act is not None:
                self._act()


def play_stored(
    past: TimeMachine,
    ring: RingBuffer,
    now: ParameterSnapshot,
    before: Saved | None,
    queued: Callable[[], int],
    ahead: int,
    deliver: Callable[[Block], None],
) -> None:
    """Do the jump that was asked for, and deliver its first blocks: one, and more until `ahead` frames are queued.

    now, before: as in `TimeMachine.jump_meanwhile`. If that leaves the jump to the engine, nothing is done.
    """
    if not past.jump_meanwhile(ring.frames_written - queued(), now, before, ring.room):
        return
    deliver(past.take_stored(now))
    while 0 < past.stored <= ring.room and queued() < ahead:
        deliver(past.take_stored(now))
