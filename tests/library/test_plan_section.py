"""The section *plan* of the judge: plans lie where the music is, and every plan has its row."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from test_stream_memory import HOP, WINDOW, small_stack
from torch import Tensor

from jbdiff.codecs.bands import CHANNELS
from jbdiff.config import PlannerConfig
from jbdiff.evaluate import plan_section as section
from jbdiff.evaluate.excerpts import Excerpt
from jbdiff.evaluate.judged import SoundFigures
from jbdiff.evaluate.metrics.tones import ToneFigures
from jbdiff.evaluate.playing import Player, make_player
from jbdiff.networks.plan import CELLS
from jbdiff.networks.planner import Planner

RATE, BAR = 44_100, 32.5  # the bar in tokens


def excerpt(context_bars: int = 24, bars: int = 3) -> Excerpt:
    sound = 0.2 * torch.randn(
        2, round((context_bars + bars) * BAR * HOP), generator=torch.Generator().manual_seed(1)
    )
    end = round(context_bars * BAR * HOP)
    return Excerpt("noise", sound[:, :end], sound[:, end:], BAR * HOP / RATE, bars)


def player() -> Player:
    return make_player(small_stack(), finisher=False)


def test_a_line_is_the_plan_of_the_tokens_that_lie_in_its_cells() -> None:
    line = section.Line(torch.arange(32.0)[:, None].expand(-1, CHANNELS), 160.0, -0.5)  # ten tokens a cell
    plan = line(0, 25)
    # The first bar begins half a token after the stream's first token, whose middle is that beginning.
    assert plan.values[0, 0].tolist() == [0] * 10 + [1] * 10 + [2] * 5
    late = line(310, 15)
    assert late.known[0].tolist() == [1.0] * 10 + [0.0] * 5 and float(late.values[..., 10:].max()) == 0
    assert float(line(-20, 10).known.max()) == 0, "before its beginning there is no plan"


def test_the_true_plan_begins_where_the_truth_does() -> None:
    one = excerpt()
    line = section.lines(player(), one, None, 0)[section.TRUE]
    stack = small_stack()
    tokens = one.context.shape[1] // HOP
    whole = torch.cat([one.context, one.truth], 1).mean(0)
    bands = stack.codec.encode(whole[None, None, : len(whole) // HOP * HOP], 2)[0, :CHANNELS]
    plan = line(0, WINDOW)
    mean = bands[:, tokens : tokens + WINDOW].mean(1)
    # Over nearly a bar the means of cells and of tokens agree.
    torch.testing.assert_close(plan.values[0].mean(1), mean, atol=0.1, rtol=0)
    assert -1 <= line.before <= 0 and len(line.cells) in (3 * CELLS - 1, 3 * CELLS)


def figures(notes: float) -> SoundFigures:
    tones = ToneFigures(notes, 1.0, 0.3, 2.0, np.eye(12)[0])
    return SoundFigures(tones, [], 0.5, 5.0, (10.0, None), -20.0)


def test_every_plan_has_its_row_and_the_stream_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Tensor] = []

    def measured(audio: Tensor, *more: Any) -> SoundFigures:
        heard.append(audio)
        return figures(10.0 if len(heard) == 1 else 5.0)

    monkeypatch.setattr(section, "judge_installed", lambda: True)
    monkeypatch.setattr(section, "measure", measured)
    torch.manual_seed(0)
    planner = Planner(
        PlannerConfig(channels=4, depth=2, window=16, past=32, left=16, heads=2, head_width=2)
    ).eval()
    own, said = player(), []
    rows = section.plan_section(own, [excerpt()], planner, said.append)
    assert [row.name.split(":")[0] for row in rows] == [
        section.NONE, section.EARLIER, section.TRUE, section.GENERATED,
    ]  # fmt: skip
    assert rows[0].value == pytest.approx(1.0) and "notes 0.500" in rows[0].note and len(said) == 1
    assert "from four bars to the next nan" in rows[0].note, "nothing to compare is not a number"
    played = heard[1:]
    for one in range(len(played)):
        for other in range(one):
            assert not torch.allclose(played[one], played[other]), (one, other)
    again = own.play(excerpt().context.mean(0), excerpt().truth.shape[1], own.settings(0))
    assert torch.equal(again, played[1]), "the stream is back to its own plans"


def test_without_a_transcriber_or_a_plan_the_section_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(section, "judge_installed", lambda: False)
    (row,) = section.plan_section(player(), [], None, print)
    assert row.value is None and "transcriber" in row.note
    stack = small_stack()
    level = stack.config.levels[0]
    deaf = dataclasses.replace(level, denoiser=dataclasses.replace(level.denoiser, echo_channels=0))
    config = dataclasses.replace(stack.config, levels=(deaf,))
    own = player()
    monkeypatch.setattr(own.stream, "stack", dataclasses.replace(stack, config=config))
    (row,) = section.plan_section(own, [], None, print)
    assert row.value is None and "takes a plan" in row.note
