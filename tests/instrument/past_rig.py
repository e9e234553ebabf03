"""An engine whose loop runs on the test's own thread, with a script of what happens after each block."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from tone_generator import ToneGenerator

from jbdiff_live.block import Audio, Block, BlockGenerator, Generated, KeepGoing, Rung, Saved
from jbdiff_live.engine.engine import Engine
from jbdiff_live.engine.past.machine import TimeMachine
from jbdiff_live.parameters import Origin, ParameterSnapshot, ParameterStore
from jbdiff_live.ring import RingBuffer

FRAMES = 2048


@dataclass(frozen=True)
class Chain:
    """A state that depends on all that happened before. number: of the music. seen: the re-rolls it has obeyed."""

    number: int = 0
    seen: int = 0
    nbytes: int = 100

    def compact(self, before: Chain | None) -> Chain:
        return self

    def block(self, seed: float, rerolls: int) -> tuple[Audio, Chain]:
        """The next block, float32 `[FRAMES, 2]`, and the state after it."""
        number = self.number if rerolls == self.seen else _mixed(self.number, "re-roll")
        key = _mixed(number, seed)
        sound = np.random.default_rng(key).uniform(-0.5, 0.5, (FRAMES, 2)).astype(np.float32)
        return sound, Chain(key, rerolls)


def _mixed(*parts: object) -> int:
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=4).digest(), "little")


class ChainGenerator(ToneGenerator):
    """Every block is a function of the state, the seed and the re-rolls."""

    def __init__(self) -> None:
        super().__init__(block_frames=FRAMES)
        self.state = Chain()

    def next_block(
        self, snapshot: ParameterSnapshot, keep_going: KeepGoing, rung: Rung = Rung.FULL
    ) -> Generated | None:
        if not keep_going():
            return None
        sound, self.state = self.state.block(snapshot["seed"], snapshot.counts["reroll"])
        return Generated(sound, "chain")

    def save(self) -> Chain:  # type: ignore[override]
        return self.state

    def fits(self, saved: Saved) -> bool:
        return isinstance(saved, Chain)

    def restore(self, saved: Saved, present: Saved) -> None:
        assert isinstance(saved, Chain)
        self.state = saved

    def reset(self, keep_going: Callable[[], bool]) -> None:
        self.state = Chain()


class PastRig:
    """`play` runs the engine's loop on this thread until so many blocks are made: nothing here is a matter of time."""

    def __init__(
        self, generator: BlockGenerator | None = None, seconds: float = 600.0, most_bytes: int = 1 << 30
    ) -> None:
        self.generator = generator or ChainGenerator()
        self.store = ParameterStore()
        self.ring = RingBuffer(60 * 44_100, 2)
        self.said: list[str] = []
        self.blocks: list[Block] = []
        self.files: list[int] = []
        self.left_queued = 0  # frames that are not heard yet when the script runs
        self.past = TimeMachine(
            self.generator, lambda: list(self.files), self.said.append, seconds, most_bytes
        )
        self.store.subscribe(self.past.landed)
        self.engine = Engine(
            self.generator, self.ring, lambda: self.store.snapshot, lambda: self.ring.available, self._made,
            ladder=False, past=self.past,
        )  # fmt: skip
        self._until = 0
        self._script: Mapping[int, Callable[[], object]] = {}

    def _made(self, block: Block) -> None:
        self.blocks.append(block)
        self.engine.wake()  # the next block need not wait for the queue

    def _after(self) -> None:
        heard = np.empty((max(0, self.ring.available - self.left_queued), 2), np.float32)
        self.ring.read(heard)
        self._script.get(len(self.blocks), lambda: None)()
        if len(self.blocks) >= self._until:
            self.engine._stop.set()

    def play(self, until: int, script: Mapping[int, Callable[[], object]] | None = None) -> list[Block]:
        """Begin the music, and make blocks until there are so many in all. script: what follows each block's number.

        Numbers count from 1. What the script does comes before the engine looks at the knobs for the next block.
        """
        self._until, self._script = until, script or {}
        first, count = len(self.blocks), self.engine._count
        self.engine._stop.clear()

        def counted(*given: object) -> None:
            count(*given)  # type: ignore[arg-type]
            self._after()

        self.engine._count = counted  # type: ignore[method-assign, assignment]
        try:
            assert self.generator.prepare(lambda words: None, lambda: True)
            self.engine._play()
        finally:
            self.engine._count = count  # type: ignore[method-assign]
        return self.blocks[first:]

    def set(self, origin: Origin = Origin.UI, **values: float) -> None:
        self.store.set_many(values, origin)


def same(one: Block, other: Block) -> bool:
    """True if two blocks sound the same, sample for sample."""
    return np.array_equal(one.samples, other.samples)
