"""LFOs: their waves, their speed, and that the set value stays where the hand left it."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jbdiff_live.beat.modulation import Lfo, Modulation, Shape, wave
from jbdiff_live.parameters import BY_NAME, Origin, ParameterStore
from jbdiff_live.patch import Patch, PatchError, load_patch, save_patch


class Time:
    """Seconds and tempo, turned by hand."""

    def __init__(self) -> None:
        self.now = 10.0
        self.beats: float | None = None

    def modulation(self) -> Modulation:
        return Modulation(lambda: self.now, lambda: self.beats)


@given(st.sampled_from(list(Shape)), st.floats(0, 10_000))
def test_every_wave_stays_between_its_ends_and_is_a_function_of_its_place(shape: Shape, at: float) -> None:
    assert -1.0 <= wave(shape, at, "gain") <= 1.0
    assert wave(shape, at, "gain") == wave(shape, at, "gain")


def test_sine_and_triangle_begin_at_the_middle_and_rise() -> None:
    for shape in (Shape.SINE, Shape.TRIANGLE):
        assert [wave(shape, n / 4) for n in range(5)] == pytest.approx([0, 1, 0, -1, 0], abs=1e-9)
    assert wave(Shape.TRIANGLE, 0.125) == 0.5 and wave(Shape.SINE, 0.125) == pytest.approx(0.5**0.5)


def test_sample_and_hold_keeps_each_cycle_and_uses_the_whole_range() -> None:
    held = [wave(Shape.HOLD, n, "x") for n in range(200)]
    assert [wave(Shape.HOLD, n + 0.99, "x") for n in range(200)] == held
    assert min(held) < -0.9 and max(held) > 0.9 and len(set(held)) == 200
    assert abs(sum(held) / 200) < 0.2  # deviation .577: the mean's is .041
    assert held != [wave(Shape.HOLD, n, "y") for n in range(200)], "knobs do not move alike"


def test_the_random_walk_goes_far_and_never_jumps() -> None:
    walked = [wave(Shape.WALK, n / 100, "x") for n in range(20_000)]
    steps = [abs(b - a) for a, b in pairwise(walked)]
    assert max(steps) < 0.05 and max(walked) > 0.5 and min(walked) < -0.5


def test_the_sounding_value_moves_and_the_set_one_stays() -> None:
    time, store = Time(), ParameterStore()
    modulation = time.modulation()
    store.set("resample", 0.5, Origin.UI)
    modulation.put("resample", Lfo(rate=0.25, depth=0.2))
    sounding = []
    for _ in range(5):
        sounding.append(modulation.applied(store.snapshot)["resample"])
        time.now += 1.0
    assert sounding == pytest.approx([0.5, 0.7, 0.5, 0.3, 0.5])
    assert store.snapshot["resample"] == 0.5
    applied = modulation.applied(store.snapshot)
    assert (applied.version, applied.counts) == (store.snapshot.version, store.snapshot.counts)


def test_depth_and_offset_are_shares_of_the_travel_and_the_ends_hold() -> None:
    time, store = Time(), ParameterStore()
    modulation = time.modulation()
    modulation.put("guidance", Lfo(depth=0.0, offset=0.5))  # 1.5 of 6 stands at a quarter
    assert modulation.applied(store.snapshot)["guidance"] == pytest.approx(4.5)
    modulation.put("guidance", Lfo(rate=0.25, depth=1.0))
    time.now += 1.0
    assert modulation.applied(store.snapshot)["guidance"] == 6.0
    modulation.put("noise_step", Lfo(depth=0.0, offset=0.1))
    noise = BY_NAME["noise_step"]
    expected = noise.from_normal(noise.to_normal(0.3) + 0.1)
    assert modulation.applied(store.snapshot)["noise_step"] == pytest.approx(expected)


def test_switches_and_lists_are_moved_in_whole_entries() -> None:
    time, store = Time(), ParameterStore()
    modulation = time.modulation()
    modulation.put("hold", Lfo(depth=0.0, offset=0.9))
    modulation.put("noise_style", Lfo(depth=0.0, offset=-0.5))
    applied = modulation.applied(store.snapshot)
    assert applied.on("hold") and applied.choice("noise_style") == "constant"


def test_without_an_lfo_that_is_on_nothing_is_copied() -> None:
    store, modulation = ParameterStore(), Time().modulation()
    assert modulation.applied(store.snapshot) is store.snapshot
    modulation.put("gain", Lfo(on=False))
    assert modulation.applied(store.snapshot) is store.snapshot
    modulation.put("gain", None)
    assert modulation.lfos == {}


def test_a_turned_rate_does_not_make_it_jump() -> None:
    time, store = Time(), ParameterStore()
    modulation = time.modulation()
    modulation.put("brightness", Lfo(rate=0.1, depth=0.5))
    time.now += 3.3
    before = modulation.applied(store.snapshot)["brightness"]
    modulation.put("brightness", Lfo(rate=2.0, depth=0.5))
    assert modulation.applied(store.snapshot)["brightness"] == pytest.approx(before)
    time.now += 0.125
    assert modulation.applied(store.snapshot)["brightness"] != pytest.approx(before)


def test_bars_follow_the_tempo_and_a_new_tempo_does_not_make_them_jump() -> None:
    time, store = Time(), ParameterStore()
    time.beats = 1.0
    modulation = time.modulation()
    modulation.put("motion", Lfo(bars=2, depth=0.5))
    places = []
    for _ in range(4):  # a quarter of two bars is two beats
        time.now += 2.0
        places.append(modulation.applied(store.snapshot)["motion"])
    assert places == pytest.approx([1, 0, -1, 0], abs=1e-9)
    time.beats = 4.0
    assert modulation.applied(store.snapshot)["motion"] == pytest.approx(0, abs=1e-9)
    time.now += 0.5
    assert modulation.applied(store.snapshot)["motion"] == pytest.approx(1)


def test_without_a_tempo_bars_are_counted_at_120() -> None:
    time, store = Time(), ParameterStore()
    modulation = time.modulation()
    modulation.put("motion", Lfo(bars=1, depth=0.5))
    time.now += 0.5
    assert modulation.applied(store.snapshot)["motion"] == pytest.approx(1)


def test_unknown_knobs_and_wild_values_are_refused() -> None:
    modulation = Time().modulation()
    with pytest.raises(KeyError, match="did you mean 'gain'"):
        modulation.put("gian", Lfo())
    with pytest.raises(KeyError):
        modulation.put_all({"nothing": Lfo()})
    for wrong in ({"rate": 0.0}, {"rate": math.nan}, {"depth": 1.1}, {"offset": -2.0}, {"bars": 0.0}):
        with pytest.raises(ValueError, match="is outside"):
            Lfo(**wrong)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- in patches

PATCH = """format = 1
name = "moving"

[values]
noise_step = 0.3

[lfo.noise_step]  # breathes
shape = "random walk"
rate = 0.2  # slow
depth = 0.3

[lfo.gain]
bars = 4
depth = 0.1
offset = -0.05
on = false
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "p.toml"
    path.write_text(text)
    return path


def test_a_patch_keeps_its_lfos_and_their_comments(tmp_path: Path) -> None:
    path = written(tmp_path, PATCH)
    patch = load_patch(path)
    assert patch.lfos == {
        "noise_step": Lfo(Shape.WALK, 0.2, None, 0.3),
        "gain": Lfo(bars=4, depth=0.1, offset=-0.05, on=False),
    }
    save_patch(path, patch)
    assert load_patch(path).lfos == patch.lfos
    text = path.read_text()
    assert "# breathes" in text and "# slow" in text and 'shape = "random walk"' in text


def test_a_new_patch_writes_lfos_and_one_without_takes_them_away(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    save_patch(path, Patch("new", lfos={"memory": Lfo(Shape.HOLD, bars=2.0, depth=0.5)}))
    assert "[lfo.memory]" in path.read_text()
    assert load_patch(path).lfos == {"memory": Lfo(Shape.HOLD, bars=2.0, depth=0.5)}
    save_patch(path, Patch("new"))
    assert load_patch(path).lfos == {} and "lfo" not in path.read_text()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("[lfo.noise_stop]", "did you mean 'noise_step'"),
        ("[lfo.gain]\nspeed = 2", "no such setting"),
        ('[lfo.gain]\nshape = "square"', "needs one of sine"),
        ('[lfo.gain]\nrate = "fast"', "needs a number"),
        ("[lfo.gain]\nrate = 1\nbars = 2", "keep rate"),
        ("[lfo.gain]\ndepth = 3", "depth = 3.0 is outside 0 to 1"),
        ('[lfo.gain]\non = "yes"', "true or false"),
        ("lfo = 3", "lfo: "),
    ],
)
def test_a_wrong_lfo_is_refused_with_the_remedy(tmp_path: Path, lines: str, words: str) -> None:
    with pytest.raises(PatchError, match=words):
        load_patch(written(tmp_path, f'format = 1\nname = "p"\n{lines}\n'))
