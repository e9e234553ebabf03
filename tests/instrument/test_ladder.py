"""Short of time the engine makes cheaper blocks, in time, and climbs back: the device gets sound throughout."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from misbehaving import SlowStack
from servers import wait_for
from tone_generator import ToneGenerator
from turned_clock import TurnedClock

from jbdiff_live.audio.null import NullSink
from jbdiff_live.block import Block, Generated, KeepGoing, Rung
from jbdiff_live.engine.engine import Engine
from jbdiff_live.engine.timing.ladder import HOPELESS, BlockWatch, Ladder
from jbdiff_live.engine.timing.progress import Progress
from jbdiff_live.engine.voices.repeat import once_more
from jbdiff_live.parameters import ParameterSnapshot, ParameterStore
from jbdiff_live.ring import RingBuffer
from jbdiff_live.status import EngineState

SECONDS = {Rung.FULL: 0.4, Rung.FEWER_STEPS: 0.25, Rung.LOOP: 0.1}


def test_all_is_well_while_there_is_time() -> None:
    ladder = Ladder()
    for _ in range(5):
        assert ladder.choose(0.6, SECONDS) is Rung.FULL
        ladder.made(Rung.FULL, 0.41, SECONDS)


def test_the_best_rung_that_is_ready_in_time_is_taken() -> None:
    ladder = Ladder()
    assert ladder.choose(0.40, SECONDS) is Rung.FEWER_STEPS
    assert ladder.choose(0.20, SECONDS) is Rung.LOOP
    assert ladder.choose(0.01, SECONDS) is Rung.LOOP, "nothing fits: the last one all the same"


def test_a_slow_machine_is_believed_for_a_while_and_then_forgotten() -> None:
    ladder = Ladder()
    ladder.made(Rung.FULL, 0.8, SECONDS)
    assert ladder.slowness == pytest.approx(2.0)
    assert ladder.choose(0.6, SECONDS) is Rung.FEWER_STEPS
    rungs = []
    for _ in range(8):
        rung = ladder.choose(0.6, SECONDS)
        ladder.made(rung, SECONDS[rung], SECONDS)
        rungs.append(rung)
    assert rungs[-1] is Rung.FULL and ladder.slowness < 1.2


def test_it_climbs_one_rung_a_block() -> None:
    ladder = Ladder()
    assert ladder.choose(0.16, SECONDS) is Rung.LOOP
    assert [ladder.choose(2.0, SECONDS) for _ in range(3)] == [Rung.FEWER_STEPS, Rung.FULL, Rung.FULL]


def test_a_block_that_will_be_late_is_broken_off_early() -> None:
    now = [0.0]
    watch = BlockWatch(lambda: True, 0.5, lambda: now[0])
    now[0] = 0.05
    assert watch(0.1), "0.5 s expected of 0.5"
    now[0] = 0.35
    assert not watch(0.2), "1.75 s expected of 0.5"
    assert watch.expected == pytest.approx(1.75)
    ladder = Ladder()
    ladder.choose(0.6, SECONDS)
    ladder.broken_off(Rung.FULL, watch.expected, SECONDS)
    assert ladder.choose(0.25, SECONDS) is Rung.LOOP


def test_what_comes_before_and_behind_the_steps_is_known_from_the_blocks_before() -> None:
    now = [0.0]
    progress = Progress(lambda: now[0])

    def block(slowness: float = 1.0) -> list[float]:
        """0.4 of preparing, four steps of 0.1, 0.2 of decoding; shares as they were told on the way."""
        progress.begin()
        now[0] += 0.4 * slowness
        told = []
        for done in range(1, 5):
            now[0] += 0.1 * slowness
            told.append(progress.step(done, 4))
        now[0] += 0.2 * slowness
        progress.end()
        return told

    assert block() == pytest.approx([0.25, 0.5, 0.75, 1.0]), "nothing is known yet"
    block()
    assert block(slowness=3.0) == pytest.approx([0.5, 0.6, 0.7, 0.8]), "a slow machine is slow throughout"
    progress.begin()
    assert progress.step(1, 2) == pytest.approx(0.6), "half of the steps"


def test_a_step_that_would_not_fit_is_not_begun() -> None:
    now = [0.0]
    watch = BlockWatch(lambda: True, 0.5, lambda: now[0])
    now[0] = 0.32
    assert not watch(0.6), "0.53 s expected of 0.5: not much, but the next step would not fit"


def test_a_long_last_step_is_not_taken_for_the_length_of_one_that_is_to_come() -> None:
    """A share that is learnt from blocks is .999 and not 1 when all is done."""
    now = [0.0]
    watch = BlockWatch(lambda: True, 1.38, lambda: now[0])
    for share, elapsed in ((0.33, 0.33), (0.66, 0.68), (0.999, 1.05)):
        now[0] = elapsed
        assert watch(share), (share, watch.expected)
    late = BlockWatch(lambda: True, 1.38, lambda: now[0])
    now[0] += 1.7
    assert late(0.999), "late, but there: nothing else is ready sooner"
    # What is left may be small and its step long all the same.
    slow = BlockWatch(lambda: True, 1.38, lambda: now[0])
    now[0] += 0.9
    assert not slow(0.6) and slow.expected == pytest.approx(1.5)


def test_on_the_last_rung_nothing_is_broken_off() -> None:
    ladder = Ladder()
    ladder.choose(0.1, SECONDS)
    now = [0.0]
    watch = BlockWatch(lambda: True, ladder.budget(0.1, SECONDS), lambda: now[0])
    now[0] = 99.0
    assert watch(0.5) and not watch.expected


@pytest.mark.parametrize("frames", [8192, 98_304])
def test_a_repeat_goes_on_from_the_sound_and_ends_where_it_ended(frames: int) -> None:
    t = np.arange(3 * frames) / 44_100
    sound = np.stack([np.sin(2 * np.pi * 220.3 * t), np.sin(2 * np.pi * 331.7 * t)], 1).astype(np.float32)
    again = once_more(sound, frames)
    assert abs(len(again) - frames) <= 2048
    assert np.array_equal(again[-1000:], sound[-1000:])
    joined = np.concatenate([sound, again])
    assert np.abs(np.diff(joined, axis=0)).max() < 1.3 * np.abs(np.diff(sound, axis=0)).max()


class Machine(ToneGenerator):
    """A stack of eight steps and a decode, on a machine whose slowness the test sets. Time passes for real."""

    steps: Mapping[Rung, int] = {Rung.FULL: 8, Rung.FEWER_STEPS: 4, Rung.LOOP: 1, Rung.REPEAT: -1}

    def __init__(self) -> None:
        super().__init__(block_frames=22_050)
        self.slowness = 1.0
        self._idle = threading.Event()

    @property
    def rung_seconds(self) -> Mapping[Rung, float]:
        return {rung: 0.025 * (steps + 1) for rung, steps in self.steps.items()}

    def next_block(
        self, snapshot: ParameterSnapshot, keep_going: KeepGoing, rung: Rung = Rung.FULL
    ) -> Generated | None:
        work = self.steps[rung] + 1
        for done in range(work):
            self._idle.wait(0.025 * self.slowness)
            if not keep_going((done + 1) / work):
                return None
        made = super().next_block(snapshot, lambda: True)
        # As the model's: a repeat says nothing of how long a block takes.
        return made if made is None or rung is not Rung.REPEAT else replace(made, mixed=True)


# A machine that waits for a processor makes holes that look like ours; a fault of ours shows every time.
@pytest.mark.flaky(reruns=2)
@pytest.mark.realtime
def test_twice_too_slow_for_ten_seconds_and_sound_in_every_callback() -> None:
    store, ring = ParameterStore(), RingBuffer(4 * 22_050, 2)
    callbacks: list[float] = []  # loudest sample of each
    sink = NullSink(
        ring,
        lambda: store.snapshot,
        44_100,
        on_frames=lambda frames: callbacks.append(float(np.abs(frames).max())),
    )
    generator, blocks = Machine(), list[Block]()

    def made(block: Block) -> None:
        blocks.append(block)
        if not sink.status().running:
            sink.start()

    def queued() -> int:
        return ring.available + max(0, ring.frames_read - sink.frames_heard)

    engine = Engine(generator, ring, lambda: store.snapshot, queued, made)
    sink.open(None)
    try:
        engine.start()
        wait_for(lambda: len(blocks) >= 8, "eight blocks at full work")
        assert {block.rung for block in blocks[3:]} == {Rung.FULL}
        # A full block now takes 1.0 s of its 0.5.
        generator.slowness = 4.5
        slow_from, began = len(blocks), len(callbacks)
        ten_seconds = 10 * 44_100 // 512
        wait_for(lambda: len(callbacks) >= began + ten_seconds, "ten slow seconds")
        slow = blocks[slow_from + 1 :]
        generator.slowness = 1.0
        assert {block.rung for block in slow} <= set(Machine.steps)
        assert sum(block.rung is Rung.LOOP for block in slow) > len(slow) // 2
        status = sink.status()
        assert status.short_frames == 0 and engine.status.late_blocks == 0
        assert len(slow) >= 18, "as many blocks as were played"
        count = len(blocks)
        wait_for(lambda: Rung.FULL in {b.rung for b in blocks[count:]}, "the way back up")
        assert sink.status().short_frames == 0
        assert min(callbacks[1:]) > 0.2, "a tone of 0.22 was in every callback, from the first to the last"
        sound = np.concatenate([block.samples[:, 0] for block in blocks])
        assert np.abs(np.diff(sound)).max() < 0.05, "nothing of a broken-off block is heard"
    finally:
        engine.close()
        sink.close()


def test_a_machine_that_could_only_repeat_is_tried_again() -> None:
    store, ring = ParameterStore(), RingBuffer(4 * 22_050, 2)
    sink = NullSink(ring, lambda: store.snapshot, 44_100)
    generator, blocks = Machine(), list[Block]()

    def made(block: Block) -> None:
        blocks.append(block)
        if not sink.status().running:
            sink.start()

    engine = Engine(
        generator, ring, lambda: store.snapshot,
        lambda: ring.available + max(0, ring.frames_read - sink.frames_heard), made,
    )  # fmt: skip
    sink.open(None)
    try:
        engine.start()
        wait_for(lambda: len(blocks) >= 5, "blocks at full work")
        generator.slowness = 30.0
        repeats = [Rung.REPEAT] * 3
        wait_for(lambda: [block.rung for block in blocks[-3:]] == repeats, "nothing but repeats")
        generator.slowness = 1.0
        wait_for(lambda: blocks[-1].rung is Rung.FULL, "full work again")
    finally:
        engine.close()
        sink.close()


def test_pocket_has_a_half_and_a_loop_that_cost_less() -> None:
    from jbdiff_live.engine.voices.load import load_voice
    from jbdiff_live.engine.voices.sources import Sources
    from jbdiff_live.stack_choice import StackChoice

    voice = load_voice(StackChoice(), lambda _: None, lambda: True, threads=1)
    assert voice is not None
    store = ParameterStore()
    assert list(voice.rung_seconds) == [Rung.FULL]
    voice.reset()
    sounds = {}
    voice.next_block(store.snapshot, Sources(), lambda share=0.0: True)
    assert list(voice.rung_seconds) == [Rung.FULL, Rung.FEWER_STEPS, Rung.LOOP]
    taken = list(voice.rung_seconds.values())
    assert taken == sorted(taken, reverse=True)
    for rung in voice.rung_seconds:
        made = voice.next_block(store.snapshot, Sources(), lambda share=0.0: True, rung)
        assert made is not None and np.isfinite(made.samples).all()
        sounds[rung] = made.samples
    assert len(sounds) == 3 and np.abs(sounds[Rung.LOOP]).max() > 1e-3
    assert list(voice.rung_seconds) == [Rung.FULL, Rung.FEWER_STEPS, Rung.LOOP]


def test_three_levels_and_finisher_leave_out_one_part_after_the_other(tmp_path: Path) -> None:
    from small_stacks import write_small_stack

    from jbdiff_live.engine.block_settings import block_settings, eased
    from jbdiff_live.engine.voices.load import load_voice
    from jbdiff_live.engine.voices.sources import Sources
    from jbdiff_live.stack_choice import StackChoice

    voice = load_voice(
        StackChoice(str(write_small_stack(tmp_path / "small"))), lambda _: None, lambda: True, threads=1
    )
    assert voice is not None
    voice.reset()
    store = ParameterStore()
    stream = voice._stream
    full = block_settings(store.snapshot)
    counts = [stream.step_counts(eased(full, rung, stream)) for rung in list(Rung)[: Rung.REPEAT]]
    assert counts[Rung.NO_LEVEL_0]["level0"] == 0 < counts[Rung.NO_LEVEL_0]["level1"]
    assert counts[Rung.NO_LEVEL_1]["level1"] == 0 < counts[Rung.NO_LEVEL_1]["finisher"]
    assert counts[Rung.LOOP]["level2"] == 1
    assert [sum(c.values()) for c in counts] == sorted((sum(c.values()) for c in counts), reverse=True)
    for rung in list(Rung)[: Rung.REPEAT]:
        made = voice.next_block(store.snapshot, Sources(), lambda share=0.0: True, rung)
        assert made is not None and made.samples.shape == (voice.block_frames, 2)
        assert np.isfinite(made.samples).all()


# ---------------------------------------------------------------------- the first block


def test_before_the_first_sound_full_work_is_tried_and_then_what_is_cheaper() -> None:
    seconds = {Rung.FULL: 9.0, Rung.FEWER_STEPS: 5.0, Rung.NO_LEVEL_0: 3.0, Rung.LOOP: 1.0, Rung.REPEAT: 0.0}
    ladder = Ladder()
    assert ladder.begin(seconds, 0.5) == (Rung.FULL, HOPELESS * 0.5)
    ladder.begin_lower()
    assert ladder.begin(seconds, 0.5) == (Rung.FEWER_STEPS, HOPELESS * 0.5)
    for _ in range(3):
        ladder.begin_lower()
        assert ladder.begin(seconds, 0.5) == (Rung.NO_LEVEL_0, math.inf), "a loop has nothing to begin from"
    assert Ladder().begin({Rung.FULL: 9.0}, 0.5) == (Rung.FULL, math.inf), "what costs less is not known yet"


@pytest.mark.parametrize(("step_seconds", "first"), [(0.02, Rung.FULL), (0.4, Rung.FEWER_STEPS)])
def test_a_start_on_a_busy_machine_begins_with_a_cheaper_block(step_seconds: float, first: Rung) -> None:
    """A block lasts 0.5 s. Its nine parts may take two seconds at the start, before any sound."""
    clock = TurnedClock()
    stack = SlowStack(clock, warm_up=8.0)
    stack.step_seconds = step_seconds
    ring, store = RingBuffer(stack.sample_rate, 2), ParameterStore()
    blocks, made = list[Block](), threading.Event()

    def take(block: Block) -> None:
        blocks.append(block)
        made.set()

    engine = Engine(stack, ring, lambda: store.snapshot, lambda: ring.available, take, clock)
    try:
        engine.start()
        while not made.is_set():
            clock.run(0.05)
        assert blocks[0].rung is first and engine.status.state is EngineState.RUNNING
    finally:
        engine.ask_to_stop()
        while engine.status.state is not EngineState.OFFLINE:
            clock.run(0.05)
        engine.close()


class Ticks:
    """A clock that goes on by the same time at each look: once for each step of a block, and once more."""

    def __init__(self, tick: float) -> None:
        self.now, self.tick = 0.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


@pytest.mark.parametrize(
    ("slow", "rung"), [(0.9, None), (1.5, Rung.FEWER_STEPS), (2.5, Rung.NO_LEVEL_0), (1000.0, "none")]
)
def test_a_first_stack_that_is_too_slow_in_full_is_tried_with_less_work(
    slow: float, rung: Rung | str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """slow: the time of a full block, in those that are hopeless."""
    from small_stacks import SMALL, write_small_stack

    from jbdiff.stream.stream import BlockSettings, BlockStream
    from jbdiff_live.engine.voices import load
    from jbdiff_live.stack_choice import StackChoice

    levels = tuple(replace(level, steps=8) for level in SMALL.levels)
    folder = write_small_stack(tmp_path / "small", replace(SMALL, levels=levels))
    choice = StackChoice(str(folder))
    said: list[str] = []
    ticks = Ticks(1.0)

    def clock(stream: BlockStream) -> Ticks:
        whole = sum(stream.step_counts(BlockSettings()).values()) + 1
        ticks.tick = slow * HOPELESS * stream.block_frames / stream.sample_rate / whole
        return ticks

    monkeypatch.setattr(load, "_clock", clock)
    for only_in_time in (False, True):
        if rung == "none" or (only_in_time and slow > 0.25):
            with pytest.raises(load.StackTooSlow, match="cannot keep up here"):
                load.load_voice(choice, lambda _: None, lambda: True, threads=1, only_in_time=only_in_time)
            continue
        voice = load.load_voice(choice, lambda work: said.append(work.detail), lambda: True, threads=1)
        assert voice is not None
        if rung is None:
            assert list(voice.rung_seconds) == [Rung.FULL] and not any("busy" in words for words in said)
            continue
        duration = voice.block_frames / voice._stream.sample_rate
        assert list(voice.rung_seconds) == [Rung.FULL, rung]
        assert voice.rung_seconds[rung] <= HOPELESS * duration < voice.rung_seconds[Rung.FULL]
        assert f"the machine is busy: trial block, {rung.label}" in said
        with pytest.raises(load.StackTooSlow):  # --no-ladder
            load.load_voice(choice, lambda _: None, lambda: True, threads=1, cheaper=False)
