"""Seams are judged beside music that has none at the same places of its bars."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from test_evaluate import tune
from torch import Tensor

from jbdiff.evaluate.material import Piece
from jbdiff.evaluate.sections import Continued, seam_figures

HOP, BLOCK = 512, 44_032  # a block is four beats of a quarter second, within a few samples
PIECES, SECONDS = 8, 8.0


def player() -> Any:
    stream = SimpleNamespace(levels=(2,), geometry=SimpleNamespace(hop=lambda level: HOP))
    return SimpleNamespace(stream=stream, block=BLOCK, latency=HOP)


def in_step(seed: int) -> Tensor:
    """Mono music whose bars are as long as blocks, so that all seams lie right before a beat: `[n]`."""
    return tune(seed, SECONDS, beat=BLOCK / 4 / 44_100)


def continued(seed: int, click: float) -> Continued:
    sound = in_step(100 + seed)
    sound[BLOCK::BLOCK] += click
    original = in_step(seed).expand(2, -1)
    return Continued(Piece(str(seed), sound[:1], original, sound[:1]), sound.expand(2, -1))


def test_seams_at_a_quiet_place_of_the_bar_pass_and_clicks_there_do_not() -> None:
    quiet = seam_figures(player(), [continued(seed, 0.0) for seed in range(PIECES)])
    assert [figure.name for figure in quiet] == [
        "mean rank where windows meet", "mean rank where blocks are joined",
    ]  # fmt: skip
    meet = quiet[0]
    assert meet.value is not None and meet.value < 0.35, "right before a beat it jumps less than elsewhere"
    assert all(figure.passed for figure in quiet)
    clicked, joined = seam_figures(player(), [continued(seed, 0.5) for seed in range(PIECES)])
    assert clicked.passed is False and clicked.value is not None and clicked.value > 0.9
    assert joined.passed


def test_without_pieces_there_is_no_figure() -> None:
    assert all(figure.value is None for figure in seam_figures(player(), []))
