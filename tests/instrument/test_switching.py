"""From blocks of one length to those of another while the ladder watches the time, and sounds to begin from."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from servers import wait_for
from small_stacks import write_small_stack
from stack_rig import PATIENCE, RATE, Rig
from turned_clock import TurnedClock

from jbdiff_live.block import Block, Rung
from jbdiff_live.engine.voices.beginnings import LONGEST_WAIT_SECONDS, Beginnings
from jbdiff_live.engine.voices.sources import FileSource
from jbdiff_live.engine.voices.voice import StackVoice
from jbdiff_live.parameters import Origin
from jbdiff_live.stack_choice import StackChoice

QUICK = StackChoice("pocket", finisher=False, hop=16, steps=2)
WHOLE = StackChoice("pocket", finisher=False, steps=4)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def sound(seconds: float = 6.0, bpm: float = 120.0) -> FileSource:
    """Clicks: to find their beat takes a stack longer than a short block lasts."""
    generator, samples = np.random.default_rng(0), np.zeros(round(seconds * RATE), np.float32)
    for start in range(0, len(samples) - 2_000, round(60 * RATE / bpm)):
        samples[start : start + 2_000] = (
            generator.standard_normal(2_000) * np.exp(-np.arange(2_000) / 300) / 3
        )
    return FileSource(Path("clicks.wav"), samples, "")


def whole_blocks(rig: Rig, hop: int | None, count: int) -> None:
    """Waits for so many more blocks of that length with all of their work."""
    start = len(rig.blocks)

    def full(block: Block) -> bool:
        return block.stack is not None and block.stack.hop == hop and block.rung is Rung.FULL

    rig.wait(lambda: sum(map(full, rig.blocks[start:])) >= count, f"{count} whole blocks of hop {hop}")


@pytest.mark.soak
@pytest.mark.parametrize(("first", "then"), [(QUICK, WHOLE), (WHOLE, QUICK)], ids=["longer", "shorter"])
def test_pocket_changes_the_length_of_its_blocks_and_back(first: StackChoice, then: StackChoice) -> None:
    """What makes it hard is in test_handover (what is told of a block's work) and test_engine (room for it)."""
    rig = Rig(first, pace=0.5, ladder=True)
    try:
        rig.engine.start()
        whole_blocks(rig, first.hop, 4)
        for choice in (then, first):
            rig.generator.choose(choice)
            whole_blocks(rig, choice.hop, 4)
    finally:
        rig.close()
    assert rig.engine.status.late_blocks == 0


def test_a_file_is_begun_from_beside_the_music(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are made while it is worked out how, and a panic after that begins at once."""
    working, go_on, worked = threading.Event(), threading.Event(), list[str]()
    plain = StackVoice.beginning_of

    def slow(voice: StackVoice, file: FileSource, take_turns: Callable[[], object]) -> object:
        worked.append(threading.current_thread().name)
        working.set()
        assert go_on.wait(PATIENCE)
        return plain(voice, file, take_turns)

    monkeypatch.setattr(StackVoice, "beginning_of", slow)
    rig = Rig(QUICK, pace=0.5)
    try:
        rig.engine.start()
        whole_blocks(rig, 16, 4)
        rig.generator.context_file = file = sound()
        rig.wait(working.is_set, "the beginning is worked out")
        whole_blocks(rig, 16, 4)
        voice = rig.generator._ready()
        assert voice.began_from is None
        go_on.set()
        rig.wait(lambda: voice.began_from is file, "the file is begun from")
        rig.store.trigger("panic", Origin.UI)
        rig.engine.wake()
        whole_blocks(rig, 16, 4)
        assert voice.began_from is file
        assert worked == ["beginning"]
    finally:
        go_on.set()
        rig.close()


def test_a_beginning_that_fails_is_raised_where_it_is_asked_for() -> None:
    tried = list[str]()

    def fails(key: str) -> int:
        tried.append(key)
        raise MemoryError(f"no room for {key}")

    beginnings = Beginnings(fails)
    for _ in range(2):  # and is tried again
        with pytest.raises(MemoryError, match="no room for this"):
            beginnings.wait("this", lambda: True)
    assert tried == ["this", "this"]
    beginnings.close()


def test_another_key_is_prepared_after_the_one_in_work_and_the_last_is_kept() -> None:
    gates = {name: threading.Event() for name in "ab"}
    made = list[str]()

    def prepare(name: str) -> str:
        assert gates[name].wait(PATIENCE)
        made.append(name)
        return name.upper()

    beginnings = Beginnings(prepare)
    assert beginnings.ask("a") is None
    assert beginnings.ask("b") is None  # waits for its turn
    gates["b"].set()
    gates["a"].set()
    assert beginnings.wait("b", lambda: True) == "B" and beginnings.ask("b") == "B"
    assert made == ["a", "b"]
    assert beginnings.wait("a", lambda: True) == "A" and made == ["a", "b", "a"]
    beginnings.close()


def test_a_beginning_that_hangs_holds_up_neither_a_stop_nor_a_panic_for_long() -> None:
    """The wait ends when the engine is to stop, and after some seconds in any case."""
    gate, clock = threading.Event(), TurnedClock()
    beginnings = Beginnings(lambda key: gate.wait(PATIENCE), clock)
    assert beginnings.wait("this", lambda: False) is None
    began = clock.now()
    assert beginnings.wait("this", lambda: True) is None
    assert clock.now() - began < LONGEST_WAIT_SECONDS + 1
    gate.set()
    wait_for(lambda: beginnings.ask("this") is True, "when it is there it is used", PATIENCE)
    beginnings.close()


def test_the_first_start_waits_for_its_beginning_however_long_it_takes() -> None:
    """A busy machine begins later, and not with other music."""
    gate, clock = threading.Event(), TurnedClock()
    beginnings = Beginnings(lambda key: gate.wait(PATIENCE), clock)

    def going() -> bool:
        if clock.now() > 3 * LONGEST_WAIT_SECONDS:
            gate.set()
        return True

    assert beginnings.wait("this", going, math.inf) is True
    beginnings.close()


def test_a_stack_that_comes_with_a_file_takes_over_with_it(tmp_path: Path) -> None:
    """As a patch asks for both: the old music is not begun anew meanwhile, and the new one does not go on from it."""
    folder = str(write_small_stack(tmp_path / "small"))
    short, whole = (StackChoice(folder, levels=(2,), finisher=False, hop=hop) for hop in (16, None))
    rig = Rig(short, pace=0.5)
    try:
        rig.engine.start()
        whole_blocks(rig, 16, 4)
        before = rig.generator._ready()
        rig.generator.choose(whole)
        rig.generator.context_file = file = sound()
        rig.wait(lambda: rig.generator._ready() is not before, "the other stack")
        after = rig.generator._ready()
        whole_blocks(rig, None, 2)
        assert before.began_from is None and after.began_from is file
        assert after.knows is not None and after.knows[0] is file
    finally:
        rig.close()
