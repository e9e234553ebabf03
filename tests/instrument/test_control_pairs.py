"""Two halves, one control: 14-bit CCs, and registered and non-registered parameters."""

from __future__ import annotations

import itertools

import pytest
from hands import Hands, cc
from hypothesis import given
from hypothesis import strategies as st

from jbdiff_live.binding import BindingKind, TakeoverMode
from jbdiff_live.control.decode import Decoder, Reading
from jbdiff_live.control.pairs import FULL_7, FULL_14, PAIR_SECONDS, Pair

LATER = 10 * PAIR_SECONDS


def halves(values: list[int], fine_first: bool, gap: float) -> list[tuple[bool, int, float]]:
    """The halves of 14-bit values: whether it is the coarse one, its value, when it comes."""
    sent = []
    for n, value in enumerate(values):
        pair = [(True, value >> 7), (False, value & 127)]
        sent += [
            (coarse, half, n * gap + i * 0.001)
            for i, (coarse, half) in enumerate(reversed(pair) if fine_first else pair)
        ]
    return sent


def played(pair: Pair, sent: list[tuple[bool, int, float]]) -> list[tuple[int, int]]:
    got = []
    for coarse, half, time in sent:
        got += pair.coarse(half, time) if coarse else pair.fine(half, time)
    return got


sweeps = st.lists(st.integers(0, FULL_14), min_size=1, max_size=40)


@given(sweeps, st.booleans(), st.sampled_from([0.002, 0.02, 1.0]))
def test_either_half_may_come_first_and_each_pair_gives_its_value_once(
    values: list[int], fine_first: bool, gap: float
) -> None:
    """Fails at a coarse half that moves the value before its fine half came: the value steps back between them."""
    assert played(Pair(), halves(values, fine_first, gap)) == [(value, FULL_14) for value in values]


@pytest.mark.parametrize("fine_first", [True, False])
@pytest.mark.parametrize("gap", [0.002, 1.0])
def test_a_sweep_over_all_values_reaches_both_ends_and_never_steps_back(fine_first: bool, gap: float) -> None:
    up = list(range(0, FULL_14 + 1, 7))
    got = [value for value, _ in played(Pair(), halves([*up, FULL_14], fine_first, gap))]
    assert (got[0], got[-1]) == (0, FULL_14)
    assert all(a <= b for a, b in itertools.pairwise(got))


def test_a_half_in_the_middle_of_a_stream_puts_the_order_right_at_the_next_pause() -> None:
    """The program started between two halves of a controller that sends the fine half first."""
    pair = Pair()
    assert pair.coarse(10, 0.0) == []
    played(pair, halves([11 * 128 + 3], True, 0.0))
    pair.settle(2.0)
    got = played(pair, [(coarse, half, time + 5) for coarse, half, time in halves([1300, 1310], True, 0.01)])
    assert got == [(1300, FULL_14), (1310, FULL_14)]


@given(st.lists(st.integers(0, 127), min_size=2, max_size=30))
def test_a_plain_knob_on_the_coarse_half_has_the_whole_range(values: list[int]) -> None:
    got = played(Pair(), [(True, value, n * LATER) for n, value in enumerate(values)])
    assert got == [(value, FULL_7) for value in values[: len(got)]]
    assert len(got) >= len(values) - 1, "only the last one may still wait"


def test_a_half_that_stays_alone_counts_when_its_time_is_over() -> None:
    pair = Pair()
    assert pair.coarse(64, 0.0) == []
    assert pair.settle(PAIR_SECONDS / 2) == []
    assert pair.settle(LATER) == [(64, FULL_7)] and not pair.waits
    assert pair.settle(2 * LATER) == []


def test_a_fine_half_alone_turns_a_control_whose_place_is_known() -> None:
    pair = Pair()
    assert pair.fine(5, 0.0) == [] and pair.settle(LATER) == [], "it says nothing about where the knob is"
    pair = Pair()
    played(pair, halves([1000, 1001], False, 1.0))
    assert pair.fine(110, 5.0) == [] and pair.settle(5 + LATER) == [((1001 >> 7) << 7 | 110, FULL_14)]


def test_a_coarse_half_without_its_fine_half_goes_on_the_same_way_and_reaches_the_ends() -> None:
    """A message may be lost. The value must not step back for it."""
    pair = Pair()
    played(pair, halves([20 * 128 + 100], False, 0))
    got = []
    for n, coarse in enumerate((21, 22, 127, 126, 20, 0)):
        got += pair.coarse(coarse, LATER * (n + 1))
        got += pair.settle(LATER * (n + 1.5))
    values = [value for value, _ in got]
    assert values == [21 * 128, 22 * 128, FULL_14, 126 * 128 + 127, 20 * 128 + 127, 0]


# ---------------------------------------------------------------------- through the map


@pytest.mark.parametrize("fine_first", [True, False])
def test_the_seed_reaches_every_number_with_either_half_first(fine_first: bool) -> None:
    """Fails where Noise ends at .992 and seed 16383 becomes 16256 because the fine half came first."""
    hands = Hands(("seed", "CC 16/48 14-bit"), ("noise_step", "CC 1/33 14-bit"), takeover=TakeoverMode.JUMP)
    for coarse_cc, target, top in ((16, "seed", 16383), (1, "noise_step", 1.0)):
        seen = []
        hands.store.subscribe(lambda change, seen=seen: seen.append(change.value))
        for value in (5, 0, 9000, FULL_14):
            pair = [cc(coarse_cc, value >> 7), cc(coarse_cc + 32, value & 127)]
            hands.send(*(reversed(pair) if fine_first else pair))
        assert hands[target] == top
        assert len(seen) == 3, "one change for each pair after the first, which tells where the knob stands"


def test_two_devices_do_not_mix_their_halves() -> None:
    hands = Hands(("seed", "CC 16/48 14-bit"), takeover=TakeoverMode.JUMP)
    for n, (coarse, fine) in enumerate(((10, 5), (10, 9))):
        hands.send(
            cc(16, coarse, n, device="a"),
            cc(16, 20, n, device="b"),
            cc(48, fine, n, device="a"),
            cc(48, 7, n, device="b"),
        )
    assert hands["seed"] == 10 * 128 + 9


# ---------------------------------------------------------------------- parameters


def nrpn(number: int, value: int, time: float = 0.0, registered: bool = False) -> list:
    high, low = (101, 100) if registered else (99, 98)
    return [
        cc(high, number >> 7, time),
        cc(low, number & 127, time),
        cc(6, value >> 7, time),
        cc(38, value & 127, time),
    ]


def read(decoder: Decoder, events: list) -> list[Reading]:
    return [reading for event in events for reading in decoder.feed(event)]


@given(st.integers(0, FULL_14 - 1), st.lists(st.integers(0, FULL_14), min_size=1, max_size=10), st.booleans())
def test_a_parameter_is_one_control_of_14_bits(number: int, values: list[int], registered: bool) -> None:
    kind = BindingKind.RPN if registered else BindingKind.NRPN
    decoder = Decoder()
    got = read(decoder, [e for n, v in enumerate(values) for e in nrpn(number, v, float(n), registered)])
    assert got == [Reading(kind, number, 1, value, FULL_14) for value in values]


def test_data_entry_without_an_address_is_a_plain_cc_and_an_address_is_none() -> None:
    decoder = Decoder()
    assert read(decoder, [cc(6, 3)]) == [Reading(BindingKind.CC, 6, 1, 3)]
    assert read(decoder, [cc(99, 2), cc(98, 44)]) == []
    assert read(decoder, [cc(6, 3), cc(38, 1)]) == [Reading(BindingKind.NRPN, 300, 1, 385, FULL_14)]
    assert read(decoder, [cc(6, 3, channel=2)]) == [Reading(BindingKind.CC, 6, 2, 3)], (
        "other channels have none"
    )
    assert read(decoder, [cc(101, 127), cc(100, 127), cc(6, 9)]) == [Reading(BindingKind.CC, 6, 1, 9)], (
        "no parameter"
    )


def test_a_parameter_goes_one_up_and_one_down() -> None:
    decoder = Decoder()
    assert read(decoder, [cc(99, 0), cc(98, 7), cc(96, 0)]) == [], (
        "from an unknown place a step leads nowhere"
    )
    got = read(decoder, [*nrpn(7, 100), cc(96, 0), cc(96, 0), cc(97, 0)])
    assert [reading.value for reading in got] == [100, 101, 102, 101]


def test_a_controller_that_sends_reserved_ccs_from_knobs_is_believed() -> None:
    decoder, plain = Decoder(), frozenset({6, 98, 99})
    got = [r for event in (cc(99, 1), cc(98, 2), cc(6, 3)) for r in decoder.feed(event, plain=plain)]
    assert [(r.kind, r.number, r.value) for r in got] == [
        (BindingKind.CC, n, v) for n, v in ((99, 1), (98, 2), (6, 3))
    ]


@pytest.mark.parametrize("number", range(120, 128))
def test_channel_mode_messages_are_no_controls(number: int) -> None:
    assert read(Decoder(), [cc(number, value) for value in (0, 64, 127)]) == []


def test_a_device_that_went_leaves_nothing_behind() -> None:
    decoder = Decoder()
    read(decoder, [*nrpn(7, 100), cc(6, 1)])
    decoder.forget("box")
    assert read(decoder, [cc(6, 3)]) == [Reading(BindingKind.CC, 6, 1, 3)] and decoder.settle(LATER) == []
