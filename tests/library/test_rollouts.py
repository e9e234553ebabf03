"""Contexts that the model made: every row knows where its piece goes on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from jbdiff.train.rollouts import Rolled, Rollouts

PAST, WINDOW, CHANNELS, WINDOWS = 6, 3, 2, 5
LENGTH = PAST + WINDOWS * WINDOW


def pieces(number: int) -> Tensor:
    """Two rows that say in every token which piece they are and at which place: `[2, LENGTH, 2]`."""
    place = torch.arange(LENGTH).float()
    name = torch.tensor([2.0 * number, 2.0 * number + 1])
    return torch.stack([name[:, None].expand(2, LENGTH), place.expand(2, LENGTH)], 2)


def count_on(context: Tensor, noise: Tensor) -> Tensor:
    """A perfect model: the piece's own number, and the places that follow."""
    places = context[:, -1:, 1:] + 1 + torch.arange(WINDOW).reshape(1, -1, 1)
    return torch.cat([context[:, -1:, :1].expand(-1, WINDOW, -1), places], 2)


def rounds(rollouts: Rollouts, numbers: range) -> list[Rolled]:
    return [rollouts.advance(pieces(n), count_on, torch.Generator().manual_seed(n)) for n in numbers]


def test_what_follows_is_what_the_piece_really_does_there() -> None:
    depths = set()
    for rolled in rounds(Rollouts(PAST, WINDOW), range(40)):
        assert torch.equal(rolled.target[:, 0, 0], rolled.context[:, -1, 0])
        assert torch.equal(rolled.target[:, 0, 1], rolled.context[:, -1, 1] + 1)
        depths |= {int(place - PAST) // WINDOW for place in rolled.target[:, 0, 1]}
    assert depths == set(range(1, WINDOWS))


def test_noise_walks_within_a_piece_and_is_new_with_a_new_one() -> None:
    found = rounds(Rollouts(PAST, WINDOW), range(400))
    noise = torch.stack([rolled.before for rolled in found])
    assert float(noise.var()) == pytest.approx(1, abs=0.05)
    kept: dict[bool, list[float]] = {True: [], False: []}
    for before, after in itertools.pairwise(found):
        for row in range(2):
            same_piece = bool(before.context[row, -1, 0] == after.context[row, -1, 0])
            kept[same_piece].append(float((before.before[row] * after.before[row]).mean()))
    # The root of 1 - u^4 is 0.87 in the mean.
    assert np.mean(kept[True]) == pytest.approx(0.87, abs=0.05)
    assert np.mean(kept[False]) == pytest.approx(0, abs=0.1)


def test_a_resumed_run_goes_on_with_the_same_pieces() -> None:
    whole, first, second = (Rollouts(PAST, WINDOW) for _ in range(3))
    expected = rounds(whole, range(6))[-1]
    rounds(first, range(3))
    second.state = dict(first.state)
    found = rounds(second, range(3, 6))[-1]
    assert torch.equal(found.context, expected.context) and torch.equal(found.before, expected.before)


def test_stretches_without_room_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing to continue"):
        Rollouts(PAST, WINDOW).advance(pieces(0)[:, : PAST + WINDOW], count_on, torch.Generator())
