"""Equal turns of Noise are heard equally far; values of patches and logs mean what they meant."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jbdiff_live.parameters import BY_NAME, ParameterStore
from jbdiff_live.patch import load_patch
from jbdiff_live.travel import NOISE_TRAVEL, STEPS, even_position, even_value

NOISE = BY_NAME["noise_step"]
# Shares of the whole distance at these values, measured with `scripts/measure_noise` on twelve sounds (docs/noise.md).
MEASURED = {0.3: 0.279, 0.5: 0.453, 0.8: 0.718, 0.95: 0.878}


def test_the_ends_are_exact_and_the_curve_rises() -> None:
    assert (NOISE.from_normal(0.0), NOISE.from_normal(1.0)) == (0.0, 1.0)
    assert (NOISE.to_normal(0.0), NOISE.to_normal(1.0)) == (0.0, 1.0)
    assert all(low < high for table in (STEPS, NOISE_TRAVEL) for low, high in pairwise(table))
    places = [NOISE.from_normal(n / 127) for n in range(128)]
    assert all(low < high for low, high in pairwise(places)), "every step of a CC moves the noise"


@given(st.floats(0, 1))
def test_place_and_value_are_each_others_inverse(at: float) -> None:
    assert even_position(even_value(at)) == pytest.approx(at, abs=1e-9)
    assert even_value(even_position(at)) == pytest.approx(at, abs=1e-9)


@pytest.mark.parametrize(("value", "share"), MEASURED.items())
def test_a_value_stands_where_its_measured_distance_says(value: float, share: float) -> None:
    assert NOISE.to_normal(value) == pytest.approx(share, abs=0.005)


def test_the_value_of_a_patch_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text('format = 1\nname = "p"\n[values]\nnoise_step = 0.25\n')
    assert load_patch(path).apply(ParameterStore())["noise_step"] == 0.25
