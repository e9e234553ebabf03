"""The tempi of rendered training music; the sounds themselves need programs that a plain machine lacks."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "render_data"


@pytest.fixture(scope="module")
def tempi() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tempi", SCRIPT / "tempi.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_beat_is_whole_tokens_at_every_tempo(tempi: ModuleType) -> None:
    asked = (tempi.nearest_bar(bpm) for bpm in np.linspace(40, 300, 500))
    assert all(bar % tempi.BEATS == 0 for bar in (*tempi.TOKENS_PER_BAR, *asked))


def test_neighbouring_tempi_are_close_and_reach_from_slow_to_fast(tempi: ModuleType) -> None:
    known = sorted(tempi.beats_per_minute(bar) for bar in tempi.TOKENS_PER_BAR)
    assert known[0] < 88 and known[-1] > 150
    assert np.diff(known).max() < 9


def test_a_tempo_in_words_is_the_nearest_that_there_is(tempi: ModuleType) -> None:
    assert [tempi.nearest_bar(bpm) for bpm in (129, 129, 117, 108, 108)] == [160, 160, 176, 192, 192]
    assert all(tempi.nearest_bar(tempi.beats_per_minute(bar)) == bar for bar in tempi.TOKENS_PER_BAR)


@pytest.mark.parametrize("bpm", [0.0, -120.0, 5.0, 1000.0, float("nan")])
def test_what_is_no_tempo_is_refused(tempi: ModuleType, bpm: float) -> None:
    with pytest.raises(ValueError, match="beats a minute"):
        tempi.nearest_bar(bpm)


def test_the_bar_worked_back_from_a_written_tempo_is_whole(tempi: ModuleType) -> None:
    """`whole_bars` in `jbdiff/train/modules/rollouts.py` allows a thousandth of a token."""
    for bar in tempi.TOKENS_PER_BAR:
        written = round(tempi.beats_per_minute(bar), 6)
        assert abs(60 * tempi.BEATS * tempi.SAMPLE_RATE / tempi.HOP / written - bar) < 1e-4
