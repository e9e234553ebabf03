"""Contexts that the model made: every row knows where its piece goes on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from jbdiff.networks.anchor import BEATS, STYLE_FEATURES, Anchor, no_anchor
from jbdiff.train.modules.rollouts import MOST_WINDOWS, Next, Rolled, Rollouts, whole_bars

PAST, WINDOW, CHANNELS, WINDOWS = 6, 3, 2, 5
LENGTH = PAST + WINDOWS * WINDOW


@pytest.fixture(autouse=True)
def tags_are_no_explosion(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The pieces here hold numbers and places, which are far larger than latents are."""
    if "exploded" not in request.node.name:
        monkeypatch.setattr("jbdiff.train.modules.rollouts.EXPLODED", 1e9)


def pieces(number: int) -> Tensor:
    """Two rows that say in every token which piece they are and at which place: `[2, LENGTH, 2]`."""
    place = torch.arange(LENGTH).float()
    name = torch.tensor([2.0 * number, 2.0 * number + 1])
    return torch.stack([name[:, None].expand(2, LENGTH), place.expand(2, LENGTH)], 2)


def count_on(given: Next) -> Tensor:
    """A perfect model: the piece's own number, and the places that follow."""
    context = given.context
    places = context[:, -1:, 1:] + 1 + torch.arange(WINDOW).reshape(1, -1, 1)
    return torch.cat([context[:, -1:, :1].expand(-1, WINDOW, -1), places], 2)


def rounds(rollouts: Rollouts, numbers: range) -> list[Rolled]:
    nothing = (torch.zeros(2), no_anchor(2), count_on)
    return [rollouts.advance(pieces(n), *nothing, torch.Generator().manual_seed(n)) for n in numbers]


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


@pytest.mark.parametrize("wrong", [1e9, float("nan"), float("inf")])
def test_a_row_that_exploded_begins_anew(wrong: float) -> None:
    def too_loud(given: Next) -> Tensor:
        made = 0.01 * count_on(given)
        made[1, -1, 0] = wrong
        return made

    rollouts = Rollouts(PAST, WINDOW)
    for number in range(3):
        fresh, generator = 0.01 * pieces(number), torch.Generator().manual_seed(number)
        rolled = rollouts.advance(fresh, torch.zeros(2), no_anchor(2), too_loud, generator)
        assert rollouts.state["made"][1] == 1 and torch.equal(
            rolled.context[1, :-WINDOW], fresh[1, WINDOW:PAST]
        )


def test_stretches_without_room_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing to continue"):
        short = pieces(0)[:, : PAST + WINDOW]
        Rollouts(PAST, WINDOW).advance(short, torch.zeros(2), no_anchor(2), count_on, torch.Generator())


# Whole bars

BAR, LOOP = 4, 20  # five bars are as many as a stretch of 21 tokens holds


def round_and_round(given: Next) -> Tensor:
    """A perfect model of pieces whose every `LOOP` tokens come round again."""
    counted = count_on(given)
    return torch.stack([counted[..., 0], counted[..., 1] % LOOP], 2)


def told(number: int) -> Anchor:
    """Two rows: one with a clock that stands at the place of the stretch's first window, and one without."""
    style = torch.full((2, STYLE_FEATURES), float(number))
    per_token = BEATS / BAR
    return Anchor(
        style,
        torch.tensor([True, False]),
        torch.tensor([PAST * per_token, 0.0]),
        torch.tensor([per_token, 0.0]),
    )


def looped(rollouts: Rollouts, numbers: range, bars: Tensor) -> list[Rolled]:
    return [
        rollouts.advance(pieces(n), bars, told(n), round_and_round, torch.Generator().manual_seed(n))
        for n in numbers
    ]


def test_whole_bars_come_round_for_much_longer_than_the_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jbdiff.train.modules.rollouts.TIRED_CHANCE", 0.0)
    found = looped(Rollouts(PAST, WINDOW), range(MOST_WINDOWS), torch.tensor([float(BAR), 0.0]))
    piece = pieces(0)[0, :LOOP].repeat(PAST + MOST_WINDOWS, 1)
    for depth, rolled in enumerate(found[:-1], 1):
        first = PAST + depth * WINDOW
        assert torch.equal(rolled.target[0], piece[first : first + WINDOW]), depth
        assert torch.equal(rolled.context[0], piece[first - PAST : first]), depth
        assert float(rolled.anchor.beat[0]) % BEATS == first % BAR * BEATS / BAR, depth
        assert (rolled.anchor.style[0] == 0).all() and rolled.anchor.known.tolist() == [True, False]
    # The last round begins anew.
    new = MOST_WINDOWS - 1
    assert torch.equal(found[-1].target[0], pieces(new)[0, PAST + WINDOW : PAST + 2 * WINDOW])
    assert (found[-1].anchor.style[0] == new).all()
    assert float(found[-1].anchor.beat[0]) == PAST + WINDOW


def test_a_row_without_bars_ends_where_its_stretch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jbdiff.train.modules.rollouts.TIRED_CHANCE", 0.0)
    found = looped(Rollouts(PAST, WINDOW), range(9), torch.tensor([float(BAR), 0.0]))
    begun = [int(rolled.target[1, 0, 0] - 1) // 2 for rolled in found]
    assert begun == [0] * 4 + [4] * 4 + [8]
    assert [int(rolled.target[1, 0, 1]) for rolled in found[:5]] == [9, 12, 15, 18, 9]
    assert all((rolled.anchor.style[1] == number).all() for rolled, number in zip(found, begun, strict=True))


def test_a_model_is_given_the_real_window_that_it_makes_and_the_bars_of_its_row() -> None:
    given: list[Next] = []

    def keep(coming: Next) -> Tensor:
        given.append(coming)
        return count_on(coming)

    rollouts = Rollouts(PAST, WINDOW)
    for number in range(4):
        rollouts.advance(
            pieces(number), torch.tensor([float(BAR), 0.0]), told(number), keep, torch.Generator()
        )
    for coming in given:
        assert torch.equal(coming.real[1], count_on(coming)[1]), "a row without bars goes straight on"
        assert coming.bars.tolist() == [BAR, 0.0]


def test_only_bars_of_a_whole_number_of_tokens_come_round() -> None:
    bars = torch.tensor([0.0, 4.0, 4.5, 30.0, 7.0004, 21.0])
    assert whole_bars(bars, 21).tolist() == [0, 20, 0, 0, 21, 21]


def test_a_run_that_knew_no_anchors_goes_on_with_fresh_pieces() -> None:
    rollouts = Rollouts(PAST, WINDOW)
    rounds(rollouts, range(3))
    for name in ("loop", "style", "known", "beat", "tempo"):
        del rollouts.state[name]
    (rolled,) = rounds(rollouts, range(7, 8))
    assert rolled.target[:, 0, 0].tolist() == [14, 15] and rollouts.state["made"].tolist() == [1, 1]
