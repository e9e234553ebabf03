"""The engine with a real ring and real threads; what is slow or broken is slow or broken on purpose."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from tone_generator import ToneGenerator

from jbdiff_live.block import Block, Generated, KeepGoing, Rung
from jbdiff_live.engine.engine import Engine
from jbdiff_live.engine.timing.deadline import Deadline
from jbdiff_live.parameters import Origin, ParameterSnapshot, ParameterStore
from jbdiff_live.ring import RingBuffer
from jbdiff_live.status import EngineState

PATIENCE = 180.0  # seconds until a condition that should hold soon counts as failed


class Rig:
    """An engine on a ring, a store, and a condition that tests wait on."""

    def __init__(self, generator: ToneGenerator | None = None, blocks_of_room: float = 2.0) -> None:
        self.generator = generator or ToneGenerator(block_frames=4096)
        self.store = ParameterStore()
        self.ring = RingBuffer(int(4096 * blocks_of_room), 2)
        self.blocks: list[Block] = []
        self.news = threading.Condition()
        self.engine = Engine(
            self.generator, self.ring, lambda: self.store.snapshot, lambda: self.ring.available, self._made
        )

    def _made(self, block: Block) -> None:
        with self.news:
            self.blocks.append(block)
            self.news.notify_all()

    def wait_blocks(self, count: int) -> None:
        with self.news:
            assert self.news.wait_for(lambda: len(self.blocks) >= count, PATIENCE), self.engine.status

    def hear_until_blocks(self, count: int) -> None:
        """Hears on until so many blocks were made: an engine starts a block only when the queue runs low."""
        pause = threading.Event()
        until = time.monotonic() + PATIENCE
        while len(self.blocks) < count:
            assert time.monotonic() < until, self.engine.status
            self.hear(min(512, self.ring.available))
            pause.wait(0.002)

    def wait_state(self, state: EngineState) -> None:
        waited = threading.Event()
        for _ in range(int(PATIENCE / 0.01)):
            if self.engine.status.state is state:
                return
            waited.wait(0.01)
        raise AssertionError(f"{self.engine.status} is not {state}")

    def hear(self, frames: int) -> np.ndarray:
        """The next frames, as soon as all of them are in the ring."""
        pause = threading.Event()
        until = time.monotonic() + PATIENCE
        while self.ring.available < frames:
            assert time.monotonic() < until, "the rest of the block never came"
            pause.wait(0.005)
        out = np.empty((frames, 2), np.float32)
        assert self.ring.read(out) == 0
        return out


@pytest.fixture
def rig():
    rig = Rig()
    yield rig
    rig.engine.close()


def test_blocks_follow_one_another_without_a_gap(rig: Rig) -> None:
    rig.engine.start()
    rig.wait_blocks(1)
    heard = [rig.hear(512) for _ in range(8 * 8)]
    assert [b.start_frame for b in rig.blocks[:8]] == [4096 * n for n in range(8)]
    assert [b.index for b in rig.blocks[:8]] == list(range(8))
    sound = np.concatenate(heard)
    assert np.array_equal(sound, np.concatenate([b.samples for b in rig.blocks[:8]]))
    steps = np.abs(np.diff(sound[:, 0]))
    assert steps.max() < 0.5 * 2 * np.pi * 220 / 44_100, "the tone is continuous over block edges"


def test_full_ring_makes_engine_wait_and_loses_nothing() -> None:
    rig = Rig(blocks_of_room=1.5)
    try:
        rig.engine.start()
        rig.wait_blocks(2)  # the second block does not fit wholly
        assert rig.ring.available == rig.ring.capacity
        first = rig.hear(4096)
        rig.wait_blocks(2)
        second = rig.hear(4096)
        assert np.array_equal(
            np.concatenate([first, second]), np.concatenate([b.samples for b in rig.blocks[:2]])
        )
    finally:
        rig.engine.close()


def test_knobs_are_read_when_the_block_starts(rig: Rig) -> None:
    rig.engine.start()
    rig.wait_blocks(1)
    rig.store.set("seed", 12, Origin.UI)
    made = len(rig.blocks)
    rig.hear_until_blocks(made + 2)
    assert rig.blocks[made + 1].snapshot["seed"] == 12
    assert rig.blocks[made + 1].noise == "tone 220.00 Hz"


class Slow(ToneGenerator):
    """Takes as long as the test holds the gate shut."""

    def __init__(self) -> None:
        super().__init__(block_frames=4096)
        self.gate = threading.Event()
        self.gate.set()
        self.waits = threading.Event()  # a block has found the gate shut

    def next_block(
        self, snapshot: ParameterSnapshot, keep_going: KeepGoing, rung: Rung = Rung.FULL
    ) -> Generated | None:
        while not self.gate.wait(0.01):
            self.waits.set()
            if not keep_going():
                return None
        return super().next_block(snapshot, keep_going)


def test_late_block_is_coasting_and_is_counted() -> None:
    generator = Slow()
    rig = Rig(generator)
    try:
        rig.engine.start()
        rig.wait_blocks(1)
        generator.gate.clear()
        while rig.ring.available or not generator.waits.wait(0.01):  # hears everything there is
            rig.hear(min(1024, rig.ring.available))
        rig.wait_state(EngineState.COASTING)
        made = len(rig.blocks)
        generator.gate.set()
        rig.hear_until_blocks(made + 2)
        rig.wait_blocks(made + 2)
        rig.wait_state(EngineState.RUNNING)
        assert rig.engine.status.late_blocks >= 1
    finally:
        rig.engine.close()


def test_panic_forgets_what_was_made_and_goes_on_at_once() -> None:
    generator = Slow()
    rig = Rig(generator, blocks_of_room=4)
    try:
        rig.engine.start()
        rig.wait_blocks(1)
        generator.gate.clear()
        rig.hear(1000)
        rig.store.trigger("panic", Origin.UI)
        rig.engine.wake()
        generator.gate.set()
        made = len(rig.blocks)
        rig.wait_blocks(made + 1)
        fresh = next(b for b in rig.blocks if b.snapshot.counts["panic"] == 1)
        heard = rig.hear(512)
        assert np.array_equal(heard, fresh.samples[:512]), (
            "the first thing heard is the block after the panic"
        )
        assert rig.ring.frames_read == fresh.start_frame + 512
    finally:
        rig.engine.close()


class Broken(ToneGenerator):
    def next_block(
        self, snapshot: ParameterSnapshot, keep_going: KeepGoing, rung: Rung = Rung.FULL
    ) -> Generated | None:
        generated = super().next_block(snapshot, keep_going)
        if snapshot["seed"] == 13:
            raise RuntimeError("weights went missing; reload the stack")
        if snapshot["seed"] == 14 and generated is not None:
            generated.samples[7, 0] = np.nan
        return generated


@pytest.mark.parametrize(("seed", "reason"), [(13, "reload the stack"), (14, "not finite")])
def test_failure_is_a_state_with_its_reason_and_start_tries_again(seed: int, reason: str) -> None:
    rig = Rig(Broken(block_frames=4096))
    try:
        rig.store.set("seed", seed, Origin.UI)
        rig.engine.start()
        rig.wait_state(EngineState.FAILED)
        assert reason in rig.engine.status.detail
        assert not rig.blocks, "nothing of a broken block is heard"
        rig.store.set("seed", 1, Origin.UI)
        rig.engine.stop()
        rig.engine.start()
        rig.wait_blocks(1)
    finally:
        rig.engine.close()


def test_two_starts_at_the_same_moment_make_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pad starts on one thread, the window on another: two engines would write into one ring."""
    rig = Rig(ToneGenerator(block_frames=4096))
    plain, made = threading.Thread, []
    other = plain(target=rig.engine.start)

    def thread(**options: object) -> threading.Thread:
        made.append(options["name"])
        if len(made) == 1:
            other.start()
            other.join(0.2)  # ends only if it does not wait for this start
        return plain(**options)  # type: ignore[arg-type]

    monkeypatch.setattr("jbdiff_live.engine.engine.threading.Thread", thread)
    try:
        rig.engine.start()
        other.join(PATIENCE)
        rig.wait_blocks(1)
        assert made == ["engine"]
    finally:
        rig.engine.close()


def test_stop_interrupts_a_block_that_takes_long() -> None:
    generator = Slow()
    rig = Rig(generator)
    generator.gate.clear()
    rig.engine.start()
    rig.wait_state(EngineState.RUNNING)
    rig.engine.stop(timeout=PATIENCE)
    rig.wait_state(EngineState.OFFLINE)
    rig.engine.close()


class Changing(ToneGenerator):
    """Offers one change to blocks of a quarter of the length, whose first one is said to take `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(block_frames=8192)
        self.seconds: float | None = None
        self._takes = seconds
        self.queued_at_switch: list[int] = []
        self.queued: Callable[[], int] = lambda: 0

    @property
    def switch_seconds(self) -> float | None:
        return self.seconds

    def offer(self) -> None:
        self.seconds = self._takes

    def switch(self) -> None:
        self.queued_at_switch.append(self.queued())
        self.seconds, self.block_frames, self.block_seconds = None, 2048, 0.011


def test_a_change_waits_until_enough_is_queued_and_then_blocks_have_another_length() -> None:
    generator = Changing(seconds=0.4)
    rig = Rig(generator, blocks_of_room=12)
    generator.queued = lambda: rig.ring.available
    try:
        rig.engine.start()
        rig.wait_blocks(1)
        generator.offer()
        rig.engine.wake()
        rig.hear_until_blocks(9)
        (queued,) = generator.queued_at_switch
        assert queued >= (1.5 * 0.4 + 0.25) * 44_100, (
            "made ahead without being heard, for the longer first block"
        )
        lengths = [block.frames for block in rig.blocks]
        first = lengths.index(2048)
        assert lengths == [8192] * first + [2048] * (len(lengths) - first)
        assert [b.start_frame for b in rig.blocks] == list(np.cumsum([0, *lengths[:-1]]))
        status = rig.engine.status
        assert status.block_duration == pytest.approx(2048 / 44_100)
        assert status.deadline_seconds <= 0.6
    finally:
        rig.engine.close()


def test_a_ring_too_short_for_that_does_not_keep_a_change_waiting() -> None:
    generator = Changing(seconds=30.0)
    rig = Rig(generator, blocks_of_room=6)
    generator.queued = lambda: rig.ring.available
    try:
        rig.engine.start()
        rig.wait_blocks(1)
        generator.offer()
        rig.engine.wake()
        rig.hear_until_blocks(8)
        (queued,) = generator.queued_at_switch
        assert queued >= 2 * 8192, "as much as fits beside one block"
    finally:
        rig.engine.close()


class Mixing(Changing):
    """After the switch its first block is one of two stacks, and takes longer than was promised."""

    TAKES = 0.4

    def __init__(self) -> None:
        super().__init__(seconds=0.05)
        self.mixing: float | None = None

    @property
    def mixing_seconds(self) -> float | None:
        return self.mixing

    @property
    def rung_seconds(self) -> Mapping[Rung, float]:
        return {Rung.FULL: self.mixing or 0.005, Rung.REPEAT: 0.001}

    def switch(self) -> None:
        super().switch()
        self.mixing = self.TAKES

    def next_block(
        self, snapshot: ParameterSnapshot, keep_going: KeepGoing, rung: Rung = Rung.FULL
    ) -> Generated | None:
        made = super().next_block(snapshot, keep_going, rung)
        if self.mixing is None or rung is Rung.REPEAT or made is None:
            return made
        self.mixing = None
        return replace(made, mixed=True)


def test_a_long_block_of_two_stacks_finds_its_time_among_short_ones() -> None:
    """Short blocks are begun late: who only ever waited for their deadline would repeat the last sound for ever."""
    generator = Mixing()
    rig = Rig(generator, blocks_of_room=12)
    generator.queued = lambda: rig.ring.available
    pause = threading.Event()
    try:
        rig.engine.start()
        rig.hear(64)  # something plays that must not be interrupted
        generator.offer()
        rig.engine.wake()
        heard_until, until = time.monotonic(), time.monotonic() + PATIENCE
        while not generator.queued_at_switch or generator.mixing is not None:
            assert time.monotonic() < until, rig.engine.status
            now = time.monotonic()
            rig.ring.read(
                np.empty((min(rig.ring.available, int((now - heard_until) * 44_100)), 2), np.float32)
            )
            heard_until = now
            pause.wait(0.005)
    finally:
        rig.engine.close()


def test_deadline_is_a_whole_block_until_times_were_measured() -> None:
    deadline = Deadline(2.0)
    for _ in range(2):
        deadline.block_took(0.3)
        assert deadline.seconds == 2.0
    deadline.block_took(0.3)
    assert deadline.seconds == pytest.approx(0.6), "room for a machine that is suddenly half as fast"
    quick = Deadline(2.0)
    for _ in range(3):
        quick.block_took(0.01)
    assert quick.seconds == pytest.approx(0.09), "and never less than the least margin"


def test_deadline_grows_with_jitter_and_lateness_and_never_passes_a_block() -> None:
    steady, shaky = Deadline(2.0), Deadline(2.0)
    for n in range(50):
        steady.block_took(0.30)
        shaky.block_took(0.30 + 0.4 * (n == 7))
    shaky.woke_late(0.05)
    assert shaky.seconds > steady.seconds + 0.2
    for _ in range(3):
        shaky.block_took(5.0)
    assert shaky.seconds == 2.0


def test_of_short_blocks_a_little_more_is_queued_than_the_slowest_took() -> None:
    deadline = Deadline(0.186)
    for n in range(64):
        deadline.block_took(0.1 + 0.05 * (n == 40))
    assert 0.15 + 0.08 > deadline.seconds > 0.15 + 0.04
    deadline.woke_late(0.1)
    assert deadline.seconds == pytest.approx(0.25, abs=0.01), "and as late as the thread was seen to wake"


def test_the_engine_knows_how_long_a_knob_takes(rig: Rig) -> None:
    rig.engine.start()
    rig.wait_blocks(1)
    started = time.monotonic()
    rig.hear_until_blocks(12)
    status = rig.engine.status
    # Heard as fast as it came: no knob waited longer than the whole of it and what may be queued.
    assert 0 < status.reach_median <= status.reach_p99 < time.monotonic() - started + 2 * 8192 / 44_100 + 0.5


class LateReader(ToneGenerator):
    """Reads a knob for the last time so many seconds after a block was begun."""

    late = 0.04

    def next_block(
        self, snapshot: ParameterSnapshot, keep_going: KeepGoing, rung: Rung = Rung.FULL
    ) -> Generated | None:
        read_at = time.monotonic() + self.late
        made = super().next_block(snapshot, keep_going, rung)
        while time.monotonic() < read_at:  # at work
            pass
        return None if made is None else replace(made, read_at=read_at)


def test_a_knob_that_every_step_reads_is_heard_sooner_by_as_much_as_it_is_read_later() -> None:
    rig = Rig(LateReader(block_frames=4096))
    try:
        rig.engine.start()
        rig.hear_until_blocks(40)
        status = rig.engine.status
    finally:
        rig.engine.close()
    assert status.reach_median - status.step_reach_median == pytest.approx(LateReader.late, abs=0.015)
    assert 0 < status.step_reach_median <= status.step_reach_p99


def test_without_steps_nothing_is_said_of_them(rig: Rig) -> None:
    rig.engine.start()
    rig.hear_until_blocks(8)
    assert rig.engine.status.reach_median > 0
    assert rig.engine.status.step_reach_median == rig.engine.status.step_reach_p99 == 0
