"""Control voltages from synthetic blocks: calibrated, smoothed, gated, learned and listed like every other control."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hands import Hands
from hypothesis import given
from hypothesis import strategies as st

from jbdiff_live.control.controller_map import read_map
from jbdiff_live.control.cv import LEAST_GATE_SECONDS, UNCALIBRATED, CvChannel, CvReader, Used, parse_span
from jbdiff_live.control.shelf import MapShelf
from jbdiff_live.control.source import ControlEvent, EventKind
from jbdiff_live.parameters import Change, Origin
from jbdiff_live.status import ControlStatus

RATE = 44_100
DEVICE = "CV in rack"
FAST = CvChannel(smoothing_ms=0)


class Rack(Hands):
    """A control map with a sound input of four channels, fed in pieces of 10 ms."""

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(shelf=MapShelf(folder))
        self.controls.load_maps()
        self.controls.port(DEVICE, True)
        self.clock.now = 1.0
        self.reader = CvReader(
            DEVICE,
            self.controls.handle,
            lambda number: self.controls.cv_channel(DEVICE, number),
            lambda: self.controls.cv_used(DEVICE),
        )

    def volts(self, channel: int, *samples: float, piece: int = 441) -> None:
        """Each sample holds for one piece."""
        for sample in samples:
            self.clock.now += piece / RATE
            frames = np.zeros((piece, 4), np.float32)
            frames[:, channel - 1] = sample
            self.reader.frames(frames, RATE, self.clock.now)

    def calibrate(self, channel: int, **settings: float) -> None:
        self.controls.calibrate(DEVICE, channel, CvChannel(**settings))


@pytest.fixture
def rack() -> Rack:
    made = Rack()
    made.controls.correct(DEVICE, "memory", "CV 3")
    made.calibrate(3, low=-0.5, high=0.5, smoothing_ms=0)
    return made


def test_two_points_give_the_span(rack: Rack) -> None:
    rack.volts(3, 0.1, -0.5)
    assert rack["memory"] == 0
    rack.volts(3, 0.25)
    assert rack["memory"] == pytest.approx(0.75, abs=1e-3)
    rack.volts(3, 0.5)
    assert rack["memory"] == 1
    rack.volts(3, 0.9)  # beyond the calibrated end
    assert rack["memory"] == 1


def test_the_polarity_is_turned_by_the_two_points(rack: Rack) -> None:
    rack.calibrate(3, low=0.5, high=-0.5, smoothing_ms=0)
    rack.volts(3, 0.1, -0.25)
    assert rack["memory"] == pytest.approx(0.75, abs=1e-3)


def test_another_channel_moves_nothing(rack: Rack) -> None:
    before = rack["memory"]
    rack.volts(2, -0.5, 0.5, 0.1)
    assert rack["memory"] == before


def test_a_step_is_smoothed_by_the_time_that_the_map_says(rack: Rack) -> None:
    rack.calibrate(3, low=0, high=1, smoothing_ms=100)
    rack.volts(3, 0.0, 0.001, *[1.0] * 10)  # 100 ms
    assert rack["memory"] == pytest.approx(1 - np.exp(-1), abs=0.01)
    rack.volts(3, *[1.0] * 90)
    assert rack["memory"] == pytest.approx(1, abs=0.001)


@pytest.mark.parametrize("piece", [64, 441, 4096])
def test_the_smoothing_does_not_depend_on_the_size_of_the_blocks(rack: Rack, piece: int) -> None:
    rack.calibrate(3, low=0, high=1, smoothing_ms=200)
    rack.volts(3, 0.0, 0.001, piece=piece)
    pieces = round(0.4 * RATE / piece)
    rack.volts(3, *[1.0] * pieces, piece=piece)
    assert rack["memory"] == pytest.approx(1 - np.exp(-pieces * piece / RATE / 0.2), abs=0.002)


def test_a_settled_voltage_sends_nothing(rack: Rack) -> None:
    """Noise below a thousandth of the travel would fill the take's log."""
    changes: list[Change] = []
    rack.volts(3, 0.1, 0.2)
    rack.store.subscribe(changes.append)
    noise = np.random.default_rng(1).normal(0, 2e-4, 200)
    rack.volts(3, *(0.2 + noise))
    assert len(changes) <= 1
    rack.volts(3, 0.4)
    assert changes[-1].origin is Origin.CV


@given(st.lists(st.floats(0.41, 0.59), min_size=1, max_size=50))
def test_noise_between_the_two_thresholds_makes_no_gate(samples: list[float]) -> None:
    events: list[ControlEvent] = []
    reader = CvReader(DEVICE, events.append, lambda number: FAST, lambda: Used(gates=frozenset({1})))
    block = np.array([[0.0], [0.7], *([s] for s in samples), [0.1]], np.float32)
    reader.frames(block, RATE, 0.0)
    assert [event.on for event in events] == [True, False]


def test_triggers_of_one_sample_count_each(rack: Rack) -> None:
    rack.controls.correct(DEVICE, "reroll", "gate 4")
    block = np.zeros((882, 4), np.float32)
    block[[10, 300, 881], 3] = 0.9
    rack.reader.frames(block, RATE, 2.0)
    rack.reader.frames(np.zeros((882, 4), np.float32), RATE, 2.02)
    assert rack.store.snapshot.counts["reroll"] == 3


def edges_of(samples: np.ndarray, piece: int) -> list[bool]:
    events: list[ControlEvent] = []
    reader = CvReader(DEVICE, events.append, lambda number: FAST, lambda: Used(gates=frozenset({1})))
    for start in range(0, len(samples), piece):
        reader.frames(samples[start : start + piece, None].astype(np.float32), RATE, start / RATE)
    return [event.on for event in events]


@pytest.mark.parametrize("piece", [1, 64, 441, RATE])
def test_a_cable_with_audio_opens_a_gate_at_most_every_5_ms(piece: int) -> None:
    """Each opening is a change in the take's log."""
    audio = np.sin(2 * np.pi * 3000 * np.arange(RATE // 4) / RATE)
    openings = edges_of(audio, piece).count(True)
    assert 40 <= openings <= math.ceil(0.25 / LEAST_GATE_SECONDS)


@pytest.mark.parametrize("piece", [1, 64, 4410])
def test_a_contact_that_bounces_opens_its_gate_twice_at_most_and_leaves_it_open(piece: int) -> None:
    bounces = [1.0] * 30 + [0.0] * 30
    assert edges_of(np.array(bounces * 3 + [1.0] * 1000), piece) == [True, False, True]


def test_a_gate_over_many_blocks_is_one(rack: Rack) -> None:
    rack.controls.correct(DEVICE, "hold", "gate 4")
    rack.volts(4, 0.0, 0.9, 0.9, 0.9, 0.0)
    assert rack["hold"] == 1
    rack.volts(4, 0.9, 0.0)
    assert rack["hold"] == 0


def test_voltages_and_gates_are_learned_and_listed() -> None:
    rack = Rack()
    for channel in (1, 2, 3, 4):
        rack.volts(channel, 0.01)
    rack.controls.learn("resample")
    rack.volts(2, 0.012, 0.5)
    rack.volts(2, 0.0)
    rack.controls.learn("reroll")
    rack.volts(4, 0.9, 0.0)
    assert dict(rack.controls.texts()) == {"resample": "CV 2", "reroll": "gate 4"}
    rows = {row.target: (row.device, row.control) for row in rack.controls.rows()}
    assert rows["resample"] == (DEVICE, "CV 2")


def test_a_voltage_moves_its_value_at_once(rack: Rack) -> None:
    """Pickup would wait until the voltage passes the value."""
    rack.store.set("memory", 1.0, Origin.UI)
    rack.volts(3, 0.0, 0.1)
    assert rack["memory"] == pytest.approx(0.6, abs=1e-3)


def test_samples_that_are_no_numbers_are_left_out(rack: Rack) -> None:
    rack.volts(3, 0.1, 0.2)
    frames = np.full((441, 4), np.nan, np.float32)
    frames[::2] = 0.5
    frames[::4, 0] = np.inf
    rack.reader.frames(frames, RATE, 5.0)
    assert rack["memory"] == 1
    rack.reader.frames(np.full((441, 4), np.nan, np.float32), RATE, 5.1)
    assert rack["memory"] == 1


def test_a_channel_of_nan_silences_no_other_channel(rack: Rack) -> None:
    rack.controls.correct(DEVICE, "reroll", "gate 4")
    frames = np.zeros((441, 4), np.float32)
    frames[:, 0], frames[:, 2], frames[100:200, 3] = np.nan, 0.25, 0.9
    frames[::2, 1] = -np.inf
    frames[150, 3] = np.inf
    rack.volts(3, 0.1)
    rack.reader.frames(frames, RATE, 5.0)
    assert rack["memory"] == pytest.approx(0.75, abs=1e-3)
    assert rack.store.snapshot.counts["reroll"] == 1


def test_a_calibration_is_kept_in_the_map_and_read_again(tmp_path: Path) -> None:
    rack = Rack(tmp_path)
    rack.controls.correct(DEVICE, "memory", "CV 3")
    rack.calibrate(3, low=-0.25, high=0.75)
    rack.controls.save_maps()
    again = Rack(tmp_path)
    assert again.controls.cv_channel(DEVICE, 3) == CvChannel(low=-0.25, high=0.75)
    assert again.controls.cv_channel(DEVICE, 4) == UNCALIBRATED
    (path,) = tmp_path.glob("*.toml")
    assert read_map(path)[1] == []
    path.write_text(path.read_text().replace("-0.25", "0.75"))
    broken = Rack(tmp_path)
    assert "calibrate both ends again" in broken.controls.status(ControlStatus()).problem


@pytest.mark.parametrize(
    "wrong",
    [{"low": 0.5, "high": 0.505}, {"smoothing_ms": -1}, {"gate_on": 0.3}, {"gate_off": 0}, {"high": np.nan}],
)
def test_settings_that_make_no_sense_are_refused_with_words(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        CvChannel(**wrong)


def test_a_span_is_written_in_one_word() -> None:
    assert parse_span("3=-0.5:0.5") == (3, CvChannel(-0.5, 0.5))
    assert parse_span("12=0.5:-0.5:80") == (12, CvChannel(0.5, -0.5, 80))
    for text in ("", "3", "3=1", "0=0:1", "3=a:b", "3=0:1:2:3", "=0:1"):
        with pytest.raises(ValueError, match=r"3=-0\.5:0\.5"):
            parse_span(text)


def test_a_channel_that_nothing_uses_sends_no_events() -> None:
    events: list[ControlEvent] = []
    reader = CvReader(DEVICE, events.append, lambda number: FAST, lambda: Used(frozenset({2})))
    reader.frames(np.array([[0.9, 0.9]] * 10, np.float32), RATE, 0.0)
    assert [(event.kind, event.number) for event in events] == [(EventKind.CV, 2)]
