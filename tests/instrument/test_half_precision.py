"""Half precision that overflows: the music goes on in float32 from the same place, and the player is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_stacks import write_small_stack

import jbdiff.stream.cuda_graphs
import jbdiff.stream.execution
from jbdiff.stacks.stack import Stack, load_stack
from jbdiff.stream.stream import BlockSettings, BlockStream, StreamError
from jbdiff_live.block import Rung
from jbdiff_live.engine.block_settings import block_settings
from jbdiff_live.engine.voices import load as loading
from jbdiff_live.engine.voices.load import load_voice
from jbdiff_live.engine.voices.sources import Sources
from jbdiff_live.engine.voices.voice import IN_FLOAT32, StackVoice
from jbdiff_live.parameters import ParameterStore
from jbdiff_live.stack_choice import StackChoice

HALF = {"dtype": torch.float16}
LARGEST = torch.finfo(torch.float16).max


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_small_stack(tmp_path / "small")


def make_loud(stack: Stack) -> None:
    """Weights of level 2 with which numbers arise that float32 holds and float16 does not; norms bring them back."""
    net = stack.denoisers[2]
    with torch.no_grad():
        net.depths[0].down.weight.mul_(10 * LARGEST)


def block(voice: StackVoice) -> np.ndarray:
    made = voice.next_block(ParameterStore().snapshot, Sources(), lambda share: True)
    assert made is not None
    return made.samples


def loaded(small: Path, **options: Any) -> tuple[StackVoice, list[str]]:
    """A voice of the stack in that folder, and what was told while it was loaded."""
    told: list[str] = []
    voice = load_voice(
        StackChoice(str(small)), lambda work: told.append(work.detail), lambda: True, threads=1, **options
    )
    assert voice is not None
    return voice, told


def test_a_stream_goes_on_in_float32_where_it_stood(small: Path) -> None:
    stream = BlockStream(load_stack(small), finisher=True, **HALF)
    stream.step(BlockSettings())
    before = stream.save()
    make_loud(stream.stack)
    with pytest.raises(StreamError, match="not finite"):
        stream.step(BlockSettings())
    exact = stream.in_float32()
    assert exact.dtype == torch.float32
    always = BlockStream(stream.stack, finisher=True)
    always.restore(before)
    block = exact.step(BlockSettings())
    assert block.index == 1
    assert torch.equal(block.audio, always.step(BlockSettings()).audio)


def test_a_voice_that_overflows_plays_the_same_block_in_float32_and_says_so(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "device_options", lambda stack, device: HALF)
    voice, _ = loaded(small)
    block(voice)
    assert voice.complaint == ""
    before = voice._stream.save()
    make_loud(voice.stack)
    heard = block(voice)
    assert np.isfinite(heard).all() and voice.complaint == IN_FLOAT32
    always = BlockStream(voice.stack, finisher=True)
    always.restore(before)
    wanted = always.step(block_settings(ParameterStore().snapshot)).audio[0].numpy().T
    np.testing.assert_array_equal(heard, wanted)
    assert np.isfinite(block(voice)).all() and voice.complaint == IN_FLOAT32


def test_weights_that_overflow_at_once_are_loaded_in_float32(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = load_stack(small)
    make_loud(stack)
    monkeypatch.setattr(loading, "device_options", lambda stack, device: HALF)
    voice, told = loaded(small, shared=stack)
    assert IN_FLOAT32 in told
    assert np.isfinite(block(voice)).all() and voice.complaint == IN_FLOAT32


def test_weights_that_are_damaged_are_refused_in_float32_too(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = load_stack(small)
    with torch.no_grad():
        stack.denoisers[2].depths[0].down.weight.fill_(torch.nan)
    for options in (HALF, {}):
        monkeypatch.setattr(loading, "device_options", lambda stack, device, how=options: how)
        with pytest.raises(StreamError, match="the weights are damaged"):
            loaded(small, shared=stack)


def test_what_a_late_block_leaves_out_was_recorded_before_it_played(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU a rung of the ladder must not be recorded when there is no time for a whole block."""
    made: list[jbdiff.stream.cuda_graphs.Recorded] = []

    class Listed(jbdiff.stream.cuda_graphs.Recorded):
        def __init__(self, *rest: Any) -> None:
            super().__init__(*rest)
            made.append(self)

    for module in (jbdiff.stream.cuda_graphs, jbdiff.stream.execution):
        monkeypatch.setattr(module, "recorder_for", lambda device: lambda work: work)
    monkeypatch.setattr(jbdiff.stream.cuda_graphs, "Recorded", Listed)
    monkeypatch.setattr(loading, "device_options", lambda stack, device: {"graphs": True})
    voice, _ = loaded(small)
    assert made
    before = len(made)
    snapshot = ParameterStore().snapshot
    for rung in [Rung.FULL] * 5 + list(Rung)[1 : Rung.REPEAT]:
        assert voice.next_block(snapshot, Sources(), lambda share: True, rung) is not None
    assert len(made) == before
