"""An engine that plays stacks through a real ring into a null device whose clock runs as slowly as one likes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from jbdiff_live.audio.null import NullSink
from jbdiff_live.block import Block
from jbdiff_live.engine.engine import Engine
from jbdiff_live.engine.generator import ModelGenerator
from jbdiff_live.parameters import Origin, ParameterStore
from jbdiff_live.ring import RingBuffer
from jbdiff_live.stack_choice import StackChoice
from jbdiff_live.status import EngineState

PATIENCE = 600.0  # a machine with other work may take long; nothing here takes a second on a free one
RATE = 44_100


class SlowClock:
    """Time at a part of its pace: what is tested is the instrument, not how busy the machine is."""

    def __init__(self, pace: float) -> None:
        self.pace = pace

    def now(self) -> float:
        return self.pace * time.monotonic()

    def wait_until(self, when: float, stop: threading.Event) -> None:
        stop.wait(max(0.0, (when - self.now()) / self.pace))


class Rig:
    """An engine that plays stacks through a real ring into a null device."""

    def __init__(self, choice: StackChoice, pace: float = 0.7, ladder: bool = False) -> None:
        self.store = ParameterStore()
        # A finisher with random weights is loud where it keeps little.
        self.store.set("finisher_strength", 0.95, Origin.SESSION)
        self.ring = RingBuffer(12 * RATE, 2)
        self.generator = ModelGenerator(choice, threads=1, on_ready=lambda: self.engine.wake())
        self.sink = NullSink(self.ring, lambda: self.store.snapshot, RATE, SlowClock(pace))
        self.blocks: list[Block] = []
        self.news = threading.Condition()
        self.engine = Engine(
            self.generator, self.ring, lambda: self.store.snapshot,
            lambda: self.ring.available + max(0, self.ring.frames_read - self.sink.frames_heard), self._made,
            ladder=ladder,
        )  # fmt: skip

    def _made(self, block: Block) -> None:
        with self.news:
            self.blocks.append(block)
            self.news.notify_all()
        if not self.sink.status().running:
            self.sink.start()

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + PATIENCE
        with self.news:
            while not condition():
                assert time.monotonic() < until, (
                    f"never came: {what}; {self.engine.status} {self.generator.status}"
                )
                assert self.engine.status.state is not EngineState.FAILED, self.engine.status
                self.news.wait(0.02)

    def wait_blocks_of(self, stack: str, count: int) -> None:
        """So many blocks of the stack that plays now."""
        start = len(self.blocks)

        def there() -> bool:
            return sum(b.stack is not None and b.stack.stack == stack for b in self.blocks[start:]) >= count

        self.wait(there, f"{count} blocks of {stack}")

    def sound(self) -> np.ndarray:
        return np.concatenate([block.samples for block in self.blocks])

    def switches(self) -> list[Block]:
        """The first block of every stack but the first."""
        return [b for a, b in zip(self.blocks, self.blocks[1:], strict=False) if a.stack != b.stack]

    def close(self) -> None:
        self.engine.close()
        self.sink.close()
