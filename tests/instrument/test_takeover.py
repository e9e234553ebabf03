"""Takeover against its truth table, `takeover.csv`.

A row: the mode, where the value stands, what happens one after the other (where the hardware goes; "v" and a number:
somebody else moves the value there; "arm"), whether the control has taken over then, and the value after it.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jbdiff_live.binding import TakeoverMode
from jbdiff_live.control.takeover import Takeover

STEP = 1 / 127
with Path(__file__).with_name("takeover.csv").open() as file:
    TABLE = list(csv.DictReader(file))

travels = st.integers(0, 127).map(lambda n: n / 127)
modes = st.sampled_from(TakeoverMode)


def play(takeover: Takeover, mode: TakeoverMode, value: float, happens: str) -> float:
    for what in happens.split():
        if what == "arm":
            takeover.arm()
        elif what.startswith("v"):
            value = float(what[1:])
        else:
            new = takeover.move(mode, float(what), value, STEP)
            if new is not None:
                value = new
                takeover.wrote(value)
    return value


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row['mode']}: {row['hardware']} ({row['why']})")
def test_the_truth_table_holds(row: dict[str, str]) -> None:
    takeover = Takeover()
    value = play(takeover, TakeoverMode(row["mode"]), float(row["value"]), row["hardware"])
    assert value == pytest.approx(float(row["after"]), abs=1e-9)
    assert takeover.holds(value) is (row["taken"] == "yes")
    assert takeover.position == float(row["hardware"].split()[-1].removeprefix("v")) or "v" in row["hardware"]


def test_every_mode_has_its_rows() -> None:
    assert {row["mode"] for row in TABLE} == {mode.value for mode in TakeoverMode}


@given(modes, travels, st.lists(travels, min_size=1, max_size=30))
def test_the_first_message_after_arming_moves_nothing(
    mode: TakeoverMode, value: float, moves: list[float]
) -> None:
    takeover = Takeover()
    for position in moves:
        takeover.arm()
        assert takeover.move(mode, position, value, STEP) is None


@given(travels, st.lists(travels, min_size=1, max_size=40))
def test_pickup_never_jumps(value: float, moves: list[float]) -> None:
    """A value that pickup moves was between two positions of the hardware, or followed it already."""
    takeover, before = Takeover(), None
    for position in moves:
        held = takeover.holds(value)
        new = takeover.move(TakeoverMode.PICKUP, position, value, STEP)
        if new is not None:
            assert held or before is not None
            low, high = sorted((position, position if before is None else before))
            assert held or low - STEP - 1e-9 <= value <= high + STEP + 1e-9
            value = new
            takeover.wrote(value)
        before = position


@given(travels, st.lists(travels, min_size=2, max_size=40))
def test_scale_goes_the_same_way_as_the_hardware_and_stays_inside(value: float, moves: list[float]) -> None:
    takeover, before = Takeover(), None
    for position in moves:
        held = takeover.holds(value)
        new = takeover.move(TakeoverMode.SCALE, position, value, STEP)
        if new is not None:
            assert 0 <= new <= 1
            if not held and before is not None and not takeover.holds(new):
                assert (new - value) * (position - before) >= -1e-9
            value = new
            takeover.wrote(value)
        before = position
