"""Stacks that change while the engine runs: real ones, pocket and a small one with three levels and a finisher."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_stacks import SMALL, write_small_stack
from stack_rig import PATIENCE, RATE, Rig

import jbdiff.stacks.stack
from jbdiff.config import VQVAEConfig
from jbdiff.stream.stream import BlockStream
from jbdiff_live.engine.block_settings import block_settings
from jbdiff_live.engine.generator import ModelGenerator
from jbdiff_live.parameters import Origin
from jbdiff_live.stack_choice import StackChoice, StackParts, StackPlaying
from jbdiff_live.status import EngineState

POCKET = StackChoice("pocket")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_stack(tmp_path_factory.mktemp("stacks") / "small")


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig(POCKET)
    yield rig
    rig.close()


def jump(sound: np.ndarray) -> float:
    return float(np.abs(np.diff(sound, axis=0)).max())


def level(sound: np.ndarray) -> float:
    return float(np.sqrt((sound**2).mean()))


@pytest.mark.parametrize("torch_first", [False, True])
def test_two_threads_where_their_waits_can_be_made_short(torch_first: bool) -> None:
    """Who waits for long keeps the core that the other needs; torch reads how long when it is imported."""
    lines = [
        "import os",
        "os.cpu_count = lambda: 2",
        "from jbdiff_live.engine.voices.torch_setup import set_up_torch",
        "set_up_torch(None)",
        "import torch",
        "print(torch.get_num_threads(), os.environ.get('GOMP_SPINCOUNT'))",
        "set_up_torch(3)",
        "print(torch.get_num_threads())",
    ]
    if torch_first:
        lines.insert(0, "import torch")
    environment = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], env=environment, capture_output=True, text=True, check=True
    )
    short = sys.platform == "linux" and not torch_first
    assert done.stdout.split() == (["2", "1000", "3"] if short else ["1", "None", "3"])


def test_pocket_gives_way_to_three_levels_and_a_finisher_and_comes_back(small: Path) -> None:
    rig = Rig(POCKET, pace=0.35)
    try:
        _there_and_back(rig, small)
    finally:
        rig.close()


def _there_and_back(rig: Rig, small: Path) -> None:
    rig.engine.start()
    rig.wait_blocks_of("pocket", 1)
    name = str(small)
    rig.generator.choose(StackChoice(name))
    assert name in rig.generator.status.loading, "the player sees at once that something happens"
    playing = rig.generator.status.playing
    assert playing is not None and playing.stack == "pocket", "and what plays meanwhile"
    rig.wait_blocks_of(name, 5)
    status = rig.generator.status
    assert status.playing is not None and not status.loading and not status.problem
    assert (status.playing.levels, status.playing.finisher) == ((2, 1, 0), True)
    assert rig.engine.status.block_duration == pytest.approx(16_384 / RATE)
    rig.generator.choose(POCKET)
    rig.wait_blocks_of("pocket", 2)
    rig.engine.stop()

    # Whether a block is late depends on the machine; `scripts/soak --programs` counts that.
    starts = [block.start_frame for block in rig.blocks]
    assert starts == list(np.cumsum([0] + [block.frames for block in rig.blocks])[:-1]), "no gap"
    sound = rig.sound()
    for block in rig.switches():
        assert block.stack is not None
        first, last = (
            block.start_frame,
            block.start_frame + block.stack.latency_frames + block.stack.fade_frames,
        )
        before = sound[max(0, first - 98_304) : first]
        after = sound[last : last + 98_304]
        # Two unlike sounds at equal power: at most the sum of their jumps, times the root of a half.
        assert jump(sound[first - 8 : last + 8]) <= 1.1 * max(
            jump(before), jump(after), 0.71 * (jump(before) + jump(after))
        )
        assert jump(sound[first - 2 : first + 2]) <= max(jump(before), jump(sound[first : first + 4_096]))


def test_what_is_heard_of_a_change_can_be_made_again_from_what_the_blocks_say(rig: Rig, small: Path) -> None:
    """Two streams by themselves, mixed as the blocks describe it, give the same samples."""
    rig.engine.start()
    rig.wait_blocks_of("pocket", 2)
    rig.generator.choose(StackChoice(str(small)))
    rig.wait_blocks_of(str(small), 5)
    rig.engine.stop()
    (block,) = rig.switches()
    told = block.stack
    assert told is not None
    settings = block_settings(block.snapshot)
    old = BlockStream(jbdiff.stacks.stack.load_stack("pocket"), finisher=True)
    frames = block.start_frame + told.latency_frames + told.fade_frames
    was = _made(old, settings, frames)
    new = BlockStream(jbdiff.stacks.stack.load_stack(told.stack), levels=told.levels, finisher=told.finisher)
    assert new.stack.identity == told.identity
    context = was[: block.start_frame + told.latency_frames].mean(axis=1, dtype=np.float32)
    new.set_context(torch.from_numpy(context)[None, None])
    comes = _made(new, settings, 4 * new.block_frames)
    place = np.arange(len(comes)) - told.latency_frames
    angle = (np.pi / 2 * np.clip((place + 1) / (told.fade_frames + 1), 0, 1))[:, None]
    end = told.latency_frames + told.fade_frames
    mixed = comes.copy()
    mixed[:end] = (mixed * np.sin(angle))[:end] + (was[block.start_frame :] * np.cos(angle[:end]))
    heard = rig.sound()
    assert np.array_equal(heard[: block.start_frame], was[: block.start_frame])
    got = heard[block.start_frame : block.start_frame + len(mixed)]
    np.testing.assert_allclose(got, mixed[: len(got)], atol=1e-6)
    assert np.array_equal(got[end:], mixed[end : len(got)])


def _made(stream: BlockStream, settings, frames: int) -> np.ndarray:
    """At least so many frames of a stream as `[frames, 2]`."""
    blocks = [stream.step(settings).audio[0].numpy().T for _ in range(-(-frames // stream.block_frames))]
    sound = np.concatenate(blocks)[: max(frames, 1)]
    return np.repeat(sound, 2, axis=1) if sound.shape[1] == 1 else sound


def test_shorter_blocks_are_chosen_while_it_plays(small: Path) -> None:
    rig = Rig(POCKET)
    try:
        rig.engine.start()
        rig.wait_blocks_of("pocket", 2)
        rig.generator.choose(StackChoice("pocket", hop=48, steps=3))
        rig.wait(lambda: bool(rig.switches()), "the change")
        count = len(rig.blocks)
        rig.wait(lambda: len(rig.blocks) > count + 4, "five short blocks")
        assert {block.frames for block in rig.blocks[count:]} == {48 * 512}
        playing = rig.blocks[-1].stack
        assert playing is not None and (playing.hop, playing.steps) == (48, 3)
        assert not rig.generator.status.problem
    finally:
        rig.close()


def test_other_parts_of_the_same_stack_share_what_is_loaded(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(StackChoice(str(small), (2,), finisher=False))
    try:
        rig.engine.start()
        rig.wait_blocks_of(str(small), 2)

        def refuse(*_: object) -> None:
            raise AssertionError("loaded again")

        monkeypatch.setattr(jbdiff.stacks.stack, "load_stack", refuse)
        rig.generator.choose(StackChoice(str(small), (2, 1), finisher=True))
        rig.wait(lambda: bool(rig.switches()), "the change")
        playing = rig.switches()[0].stack
        assert playing is not None and (playing.levels, playing.finisher) == ((2, 1), True)
        assert not rig.generator.status.problem
        # What it plays already needs no loading at all.
        rig.generator.choose(StackChoice(str(small), (2, 1)))
        assert not rig.generator.status.loading
    finally:
        rig.close()


def _missing(folder: Path) -> StackChoice:
    return StackChoice("nowhere")


def _truncated(folder: Path) -> StackChoice:
    write_small_stack(folder / "cut")
    file = folder / "cut" / "level1.safetensors"
    file.write_bytes(file.read_bytes()[:5_000])
    return StackChoice(str(folder / "cut"))


def _other_rate(folder: Path) -> StackChoice:
    codec = SMALL.codec
    assert isinstance(codec, VQVAEConfig)
    write_small_stack(folder / "rate", replace(SMALL, codec=replace(codec, sample_rate=22_050)))
    return StackChoice(str(folder / "rate"))


def _no_json(folder: Path) -> StackChoice:
    write_small_stack(folder / "torn")
    (folder / "torn" / "config.json").write_text("{")
    return StackChoice(str(folder / "torn"))


def _without_level_2(folder: Path) -> StackChoice:
    return StackChoice(str(write_small_stack(folder / "whole")), (1, 0))


def _too_slow(folder: Path) -> StackChoice:
    levels = (replace(SMALL.levels[0], steps=20_000), *SMALL.levels[1:])
    return StackChoice(str(write_small_stack(folder / "slow", replace(SMALL, levels=levels))))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_missing, r"no stack 'nowhere'; known: .*pocket"),
        (_truncated, r"level1.*(changed|truncated)"),
        (_other_rate, "22050 Hz; the instrument plays 44100 Hz"),
        (_no_json, "no stack description"),
        (_without_level_2, "invents and has to play"),
        (
            _too_slow,
            r"a block takes about \S+ s and lasts 0\.37 s, so it cannot keep up.*choose fewer levels",
        ),
    ],
)
def test_a_stack_that_cannot_play_leaves_the_old_one_playing_and_says_why(
    rig: Rig, tmp_path: Path, make: Callable[[Path], StackChoice], words: str
) -> None:
    rig.engine.start()
    rig.wait_blocks_of("pocket", 1)
    rig.generator.choose(make(tmp_path))
    rig.wait(lambda: bool(rig.generator.status.problem), "the reason")
    status = rig.generator.status
    assert re.search(words, status.problem), status.problem
    assert not status.loading and status.wanted == POCKET
    rig.wait_blocks_of("pocket", 1)
    assert not rig.switches()
    rig.generator.choose(POCKET)
    assert not rig.generator.status.problem, "choosing what plays withdraws the wish"


class Gate:
    """Holds `load_stack` shut until the test opens it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()
        self.loaded: list[str] = []
        plain = jbdiff.stacks.stack.load_stack

        def load(name: str, device: str = "cpu") -> object:
            self.loaded.append(Path(name).name)
            self.entered.release()
            assert self.open.wait(PATIENCE)
            return plain(name, device)

        monkeypatch.setattr(jbdiff.stacks.stack, "load_stack", load)


@pytest.fixture
def playing(rig: Rig) -> Rig:
    rig.engine.start()
    rig.wait_blocks_of("pocket", 1)
    return rig


def test_a_second_choice_replaces_the_one_that_is_loading(
    playing: Rig, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    other = write_small_stack(tmp_path / "other", replace(SMALL, finisher=None))
    playing.generator.choose(StackChoice(str(small)))
    assert gate.entered.acquire(timeout=PATIENCE)
    playing.generator.choose(StackChoice(str(other)))
    assert "other" in playing.generator.status.loading
    gate.open.set()
    playing.wait_blocks_of(str(other), 1)
    assert gate.loaded == ["small", "other"]
    assert {block.stack.stack for block in playing.blocks if block.stack} == {"pocket", str(other)}


def test_choosing_what_plays_calls_the_loading_off(
    playing: Rig, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    playing.generator.choose(StackChoice(str(small)))
    assert gate.entered.acquire(timeout=PATIENCE)
    playing.generator.choose(POCKET)
    assert not playing.generator.status.loading
    gate.open.set()
    playing.wait_blocks_of("pocket", 2)
    assert not playing.switches()


def test_panic_while_loading_begins_again_and_the_stack_still_comes(
    playing: Rig, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    playing.generator.choose(StackChoice(str(small)))
    assert gate.entered.acquire(timeout=PATIENCE)
    playing.store.trigger("panic", Origin.UI)
    playing.engine.wake()
    playing.wait(lambda: playing.blocks[-1].snapshot.counts["panic"] == 1, "the block after the panic")
    gate.open.set()
    playing.wait_blocks_of(str(small), 1)


def test_panic_in_the_middle_of_a_change_ends_it_with_the_new_stack(playing: Rig, small: Path) -> None:
    playing.generator.choose(StackChoice(str(small)))
    playing.wait(lambda: bool(playing.switches()), "the change")
    playing.store.trigger("panic", Origin.UI)
    playing.engine.wake()
    playing.wait(lambda: playing.blocks[-1].snapshot.counts["panic"] == 1, "the block after the panic")
    fresh = next(block for block in playing.blocks if block.snapshot.counts["panic"] == 1)
    assert fresh.stack is not None and fresh.stack.stack == str(small)
    stream = BlockStream(jbdiff.stacks.stack.load_stack(small), finisher=True)
    expected = _made(stream, block_settings(fresh.snapshot), stream.block_frames)
    assert np.array_equal(fresh.samples, expected), "a fresh stream, and nothing of the old one"


@pytest.mark.parametrize("how", ["stop", "close"])
def test_stop_and_close_while_loading_leave_no_thread(
    playing: Rig, small: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    gate = Gate(monkeypatch)
    playing.generator.choose(StackChoice(str(small)))
    assert gate.entered.acquire(timeout=PATIENCE)
    playing.engine.stop()
    if how == "close":
        threading.Timer(0.0, gate.open.set).start()  # close waits for the load's next step
        playing.close()
        assert not [t for t in threading.enumerate() if t.name == "stack loader"]
        return
    gate.open.set()
    playing.wait(
        lambda: playing.generator.switch_seconds is not None, "the stack, loaded while nothing plays"
    )
    playing.engine.start()
    playing.wait_blocks_of(str(small), 1)
    first = playing.switches()[0]
    assert first.stack is not None and first.stack.fade_frames == 0, "there is nothing to fade from"


def test_a_choice_made_while_the_first_stack_loads_replaces_it(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(POCKET)
    gate = Gate(monkeypatch)
    try:
        rig.engine.start()
        assert gate.entered.acquire(timeout=PATIENCE)
        rig.generator.choose(StackChoice(str(small)))
        gate.open.set()
        rig.wait_blocks_of(str(small), 1)
        assert {block.stack.stack for block in rig.blocks if block.stack} == {str(small)}
    finally:
        gate.open.set()
        rig.close()


def test_stopping_while_the_first_stack_loads_stops(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(StackChoice(str(small)))
    gate = Gate(monkeypatch)
    rig.engine.start()
    assert gate.entered.acquire(timeout=PATIENCE)
    gate.open.set()
    rig.engine.stop()
    assert rig.engine.status.state is EngineState.OFFLINE and not rig.blocks
    rig.close()


def test_stacks_that_can_be_found_are_listed_with_their_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_small_stack(tmp_path / "tiny")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text(json.dumps({"format": 1}))
    monkeypatch.setenv("JBDIFF_HOME", str(tmp_path))
    generator = ModelGenerator()
    generator.stacks()  # the first call only begins to look
    assert generator._catalogue._thread is not None
    generator._catalogue._thread.join(PATIENCE)
    known = {parts.name: parts for parts in generator.stacks()}
    assert replace(known["pocket"], token_seconds=0) == StackParts(
        "pocket", (2,), True, 192, anchor=True, memory=True, steps=12
    )
    assert known["pocket"].hops() == (192, 96, 64, 48, 32, 16)
    tiny = known["tiny"]
    assert (tiny.levels, tiny.finisher, tiny.anchor, tiny.memory) == ((2, 1, 0), True, False, False)
    assert known["broken"] == StackParts("broken", (), False)
    generator.close()


def test_what_plays_is_told_with_its_parts(playing: Rig) -> None:
    told = playing.generator.status.playing
    assert isinstance(told, StackPlaying)
    assert (told.stack, told.levels, told.finisher) == ("pocket", (2,), True)
    assert told.parts == StackParts(
        "pocket", (2,), True, 192, 512 / 44_100, anchor=True, memory=True, steps=12
    )
    assert told.identity and told.latency_frames > 0
