"""The measures of `jbdiff evaluate` on sounds whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from jbdiff.evaluate.drift import drift_figures, ends
from jbdiff.evaluate.figures import Figure
from jbdiff.evaluate.knobs import Curve, knob_figures
from jbdiff.evaluate.material import cut_piece, picked, read_pieces, read_sounds
from jbdiff.evaluate.metrics.features import KINDS, describe_windows, windows
from jbdiff.evaluate.metrics.frechet import distances, fit_space, frechet_distance
from jbdiff.evaluate.metrics.memorisation import nearness, note_levels
from jbdiff.evaluate.metrics.statistics import (
    STATISTICS,
    onset_times,
    over_time,
    pulse,
    relative_drift,
    statistics_of,
    tempo_wander,
)

RATE = 44_100
BY_NAME = {statistic.name: statistic for statistic in STATISTICS}


def tune(seed: int, seconds: float, keys: int = 0, beat: float = 0.25) -> Tensor:
    """Plucked notes on a grid, the same for the same seed, `keys` semitones up: `[n]`."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(int(seconds * RATE) + RATE)
    time = np.arange(RATE // 2) / RATE
    for place in np.arange(0.05, seconds - 0.05, beat):
        for note in rng.choice([45, 48, 50, 52, 55, 57, 60, 64, 67, 69, 72], 3):
            hertz = 440 * 2 ** ((note + keys - 69) / 12)
            tone = sum(np.sin(2 * np.pi * hertz * n * time) / n for n in (1, 2, 3))
            start = int(place * RATE)
            sound[start : start + len(time)] += 0.1 * tone * np.exp(-6 * time) * np.minimum(1, 200 * time)
    return torch.from_numpy(sound[: int(seconds * RATE)].astype(np.float32))


def noisy(sound: Tensor, decibels: float) -> Tensor:
    noise = torch.randn(len(sound), generator=torch.Generator().manual_seed(len(sound)))
    return sound + noise * sound.square().mean().sqrt() * 10 ** (decibels / 20)


# Fréchet distance


def test_distance_of_gaussians_is_what_the_formula_says() -> None:
    points = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points = (points - points.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(points.T)).T)
    assert frechet_distance(points, points) < 1e-9
    assert frechet_distance(points, points + torch.tensor([3.0, 0, 4.0])) == pytest.approx(25)
    assert frechet_distance(points, points * torch.tensor([2.0, 1.0, 3.0])) == pytest.approx(1 + 4)


def test_music_of_a_kind_is_at_the_floor_and_other_sounds_are_far_and_farther() -> None:
    def features(sounds: list[Tensor]) -> list[Tensor]:
        return [describe_windows(windows(sound, RATE), RATE) for sound in sounds]

    originals = [tune(seed, 6) for seed in range(12)]
    chance = torch.Generator().manual_seed(1)
    made = {
        "the same": originals,
        "more of the kind": [tune(seed, 6) for seed in range(100, 112)],
        "hiss": [noisy(sound, -30) for sound in originals],
        "more hiss": [noisy(sound, -20) for sound in originals],
        "much hiss": [noisy(sound, -10) for sound in originals],
        "white noise": [0.1 * torch.randn(len(sound), generator=chance) for sound in originals],
        "another tempo": [tune(seed, 6, beat=0.4) for seed in range(12)],
    }
    found = distances(
        features(originals), {name: features(sounds) for name, sounds in made.items()}, KINDS, 4
    )
    assert found.of["the same"] == pytest.approx(found.floor)
    assert found.ratio("more of the kind") < 4
    ladder = [found.ratio(name) for name in ("the same", "hiss", "more hiss", "much hiss", "white noise")]
    assert ladder == sorted(ladder)
    assert found.ratio("white noise") > 30 and found.ratio("another tempo") > 3


def test_distance_says_when_there_is_too_little() -> None:
    with pytest.raises(ValueError, match="too few for a distance; 10 are needed"):
        fit_space(torch.zeros(9, 4), (4,))
    with pytest.raises(ValueError, match="give 6 or more"):
        distances([torch.zeros(9, 4)] * 5, {}, (4,), 2)
    with pytest.raises(ValueError, match="other numbers of windows"):
        distances([torch.zeros(9, 4)] * 6, {"played": [torch.zeros(8, 4)] * 6}, (4,), 2)


# Statistics, rhythm, drift


def test_statistics_of_known_sounds() -> None:
    time = torch.arange(4 * RATE) / RATE
    sine = 0.5 * torch.sin(2 * torch.pi * 1000 * time)
    noise = torch.randn(2, 4 * RATE, generator=torch.Generator().manual_seed(0))
    tone, hiss = statistics_of(sine[None], RATE), statistics_of(0.1 * noise, RATE)
    assert tone["level"] == pytest.approx(-9.03, abs=0.05) and tone["crest factor"] == pytest.approx(
        3.01, abs=0.05
    )
    assert tone["spectral centroid"] == pytest.approx(1000, rel=0.05) and tone["spectral flatness"] < 0.01
    assert tone["onsets"] < 1 and tone["stereo correlation"] == 1
    assert abs(hiss["stereo correlation"]) < 0.02 and hiss["spectral flatness"] > 0.5


def clicks(times: np.ndarray, seconds: float) -> Tensor:
    sound = torch.zeros(int(seconds * RATE))
    burst = torch.randn(1000, generator=torch.Generator().manual_seed(0)) * torch.linspace(1, 0, 1000)
    for start in (times * RATE).astype(int):
        part = sound[start : start + 1000]
        part += 0.5 * burst[: len(part)]
    return sound


def test_beat_and_onsets_of_a_click_track_are_found() -> None:
    sound = clicks(np.arange(0.3, 10, 0.47), 10)
    strength, beat = pulse(sound, RATE)
    assert beat == pytest.approx(0.47, abs=0.003) and strength > 0.8
    found = onset_times(sound, RATE)
    assert len(found) == 21
    np.testing.assert_allclose(found, np.arange(0.3, 10, 0.47), atol=0.02)
    times = np.sort(np.random.default_rng(0).uniform(0, 9.9, 21))
    assert pulse(clicks(times, 10), RATE)[0] < 0.6


def test_steady_tempo_wanders_less_than_one_that_speeds_up() -> None:
    steady = over_time(clicks(np.arange(0.1, 40, 0.5), 40)[None], RATE, 10)["beat"]
    faster = over_time(clicks(np.cumsum(np.linspace(0.6, 0.4, 80)), 40)[None], RATE, 10)["beat"]
    assert len(steady) == 4 and tempo_wander(steady) < 0.005
    assert tempo_wander(faster) > 0.08
    assert tempo_wander(np.array([0.5, 0.25, 1.0, 0.5])) < 1e-9, "half and double are the same tempo"


def test_drift_is_a_share_of_what_was() -> None:
    held = np.array([0.02, 0.06])
    assert relative_drift(BY_NAME["level"], -20.0, -20.0 + 1.5836, held) == pytest.approx(0.2, abs=1e-4)
    assert relative_drift(BY_NAME["level"], -20.0, -20.0 - 1.5836, held) == pytest.approx(0.2, abs=1e-4)
    assert relative_drift(BY_NAME["spectral centroid"], 1000, 800, held) == pytest.approx(0.2)
    # 0.001 is less than these differ by: 0.004 more is a tenth of what they are.
    assert relative_drift(BY_NAME["spectral flatness"], 0.001, 0.005, held) == pytest.approx(0.1)
    assert ends(np.arange(12.0)) == (0.5, 10.5)


def test_music_that_gets_louder_fails_and_steady_music_passes() -> None:
    music = tune(3, 24)[None].repeat(2, 1)
    held = over_time(music, RATE, 2)
    same = {figure.name: figure for figure in drift_figures(held, held, 0.4)}
    louder = over_time(music * torch.linspace(0.5, 1, music.shape[1]), RATE, 2)
    drifted = {figure.name: figure for figure in drift_figures(louder, held, 0.4)}
    assert same["level"].passed and same["stereo correlation"].passed
    assert drifted["level"].passed is False and 60 < (drifted["level"].value or 0) < 110
    assert drifted["stereo correlation"].passed


# Memory


def test_a_planted_copy_is_found_out_of_step_and_in_another_key() -> None:
    training = [note_levels(tune(seed, 20), RATE) for seed in range(4)]
    held = [tune(seed, 8) for seed in (50, 51)]
    late = int(0.717 * RATE)
    copied = [0.3 * tune(2, 20)[late : late + 8 * RATE], tune(1, 8, keys=3)]
    found = nearness(copied, held, training, RATE)
    assert found.played.max() < 0.3 < np.percentile(found.held, 5)
    assert found.relative_played.max() < 0.6
    for own, other, error in (found.distance(50), found.relative(50)):
        assert own < other - error
    fresh = nearness([tune(seed, 8) for seed in (60, 61)], held, training, RATE)
    for own, other, _ in (fresh.distance(50), fresh.relative(50)):
        assert abs(own - other) < 0.1, "neither was copied"


def test_what_every_track_has_is_near_but_nearer_to_none() -> None:
    plain = tune(7, 8)
    training = [note_levels(plain + 0.3 * tune(seed, 8), RATE) for seed in range(4)]
    held = [tune(seed, 8) for seed in (50, 51)]
    found = nearness([plain, plain], held, training, RATE)
    own, other, error = found.distance(50)
    assert own < other - error
    assert found.relative_played.min() > 0.6
    alone = nearness([plain, plain], held, training[:1], RATE)
    assert (alone.relative_played == 1).all(), "with one track there are no others"


# Knobs


def rows(means: list[float], noise: float) -> np.ndarray:
    chance = np.random.default_rng(0).normal(0, noise, (6, len(means)))
    return np.array(means) + chance - chance.mean(0)


def test_curve_goes_the_right_way_within_its_own_error_only() -> None:
    places = (0.0, 0.5, 0.75, 1.0)
    assert Curve("k", "w", places, rows([0, 1, 2, 3], 0.1), True).worst_step < 0
    assert Curve("k", "w", places, rows([3, 2, 1, 0], 0.1), False).worst_step < 0
    assert Curve("k", "w", places, rows([0, 1, 0.98, 3], 0.3), True).worst_step < 0, "less than the error"
    assert Curve("k", "w", places, rows([0, 2, 1, 3], 0.1), True).worst_step > 0
    weak = Curve("k", "w", places, rows([0, 0.1, 0.2, 0.3], 0.01), True)
    assert weak.span == pytest.approx(0.3)
    figures = knob_figures([weak], 2.0, 8.0)
    assert [figure.passed for figure in figures] == [True, False, True]
    free = Curve("k", "w", places, rows([3, 2, 1, 0], 0.1), True, least=None)
    assert [figure.passed for figure in knob_figures([free], 2.0, 8.0)] == [None, None, True]


# Figures and material


def test_figure_passes_within_its_bounds() -> None:
    assert Figure("s", "n", 3.0, high=3.0).passed and Figure("s", "n", 3.1, high=3.0).passed is False
    assert (
        Figure("s", "n", 1.0, low=2.0).passed is False
        and Figure("s", "n", 1.0, low=2.0).bound == "at least 2"
    )
    assert Figure("s", "n", 1.0).passed is None and Figure("s", "n", None, high=1.0).passed is None


def test_material_is_some_of_a_folder_and_the_middle_of_long_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(set(picked(10, 3))) == 3 and picked(2, 5) == [0, 1]
    monkeypatch.setattr("jbdiff.evaluate.material.LONGEST_SECONDS", 2.0)
    ramp = np.linspace(0, 1, 30 * RATE, dtype=np.float32)
    soundfile.write(tmp_path / "a.wav", ramp, RATE, subtype="FLOAT")
    (tmp_path / "b.wav").write_bytes(b"no sound")
    said: list[str] = []
    (sound,) = read_sounds(tmp_path, RATE, 9, said.append)
    assert sound.audio.shape == (2, 2 * RATE) and float(sound.mono.mean()) == pytest.approx(0.5, abs=1e-3)
    assert len(said) == 1 and "b.wav" in said[0]
    piece = cut_piece(sound, 1000, 2000, 3000, 7)
    joined = torch.cat([piece.context, piece.original.mean(0)])
    start = int((joined[0] - sound.mono[0]) * 30 * RATE + 0.5)
    torch.testing.assert_close(joined, sound.mono[start : start + 3000])
    with pytest.raises(ValueError, match="6 are needed"):
        read_pieces(tmp_path, RATE, 9, 1000, 2000, 3000, said.append)
