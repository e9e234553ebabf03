"""Sounds of the styles rock, chip, orchestra and techno: amplifier, coarse samples, chip channels, noise, drum sets.

Where dawdreamer, fluidsynth and the sample packages are installed, a track of each style is rendered as well.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_render_sounds import INSTALLED, RATE, load

__all__ = ["load"]  # a fixture

MADE = (
    "chip_kick chip_snare chip_hat chip_open chip_crash chip_clank chip_tom hard_kick metal burst zap".split()
)


def tone(hertz: float, seconds: float = 1.0) -> Any:
    return np.tile(
        np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE).astype(np.float32), (2, 1)
    )


def strongest(audio: Any) -> float:
    """The frequency of the highest peak of a sound `[frames]`."""
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio))))
    return float(np.argmax(spectrum) * RATE / len(audio))


def share_above(audio: Any, hertz: float) -> float:
    """The share of a sound's energy that lies above a frequency."""
    energy = np.abs(np.fft.rfft(audio)) ** 2
    return float(energy[int(hertz * len(audio) / RATE) :].sum() / energy.sum())


def test_an_amplifier_adds_overtones_and_its_box_dulls_them(load: Any) -> None:
    pytest.importorskip("scipy")
    effects, score = load("effects", "score")
    clean, heavy = (effects.apply(score.Amp(drive, 4000), tone(220), 0.1)[0] for drive in (0.3, 15.0))
    assert share_above(clean, 400) < 0.1 < share_above(heavy, 400)
    assert share_above(heavy, 9000) < 0.001
    assert heavy.dtype == np.float32 and abs(float(heavy[RATE // 2 :].mean())) < 0.01


def test_crushed_samples_are_held_and_coarse(load: Any) -> None:
    pytest.importorskip("scipy")
    effects, score = load("effects", "score")
    audio = effects.apply(score.Crush(8000, 6), tone(300), 0.1)
    assert audio.shape == tone(300).shape
    assert len(np.unique(audio)) <= 2**6 + 1
    changes = np.flatnonzero(np.diff(audio[0]))
    assert np.diff(changes).min() >= int(RATE / 8000)


@pytest.mark.parametrize("wave", ["pulse", "triangle", "saw"])
def test_a_channel_plays_in_tune_and_one_tone_at_a_time(load: Any, wave: str) -> None:
    channel, score = load("channel", "score")
    notes = [(69, 100, 0.0, 1.0), (76, 100, 0.5, 0.4)]  # the second cuts the first off
    audio = channel.chip_part(score.Chip(wave, 0.25), notes, 1.2)
    assert audio.shape == (2, int(1.2 * RATE)) and np.array_equal(audio[0], audio[1])
    assert np.abs(audio).max() <= 1
    half = RATE // 2
    assert abs(strongest(audio[0, :half]) - 440) < 4
    second = audio[0, half + 500 : half + int(0.4 * RATE)]
    assert abs(strongest(second) - 659.3) < 5
    spectrum = np.abs(np.fft.rfft(second * np.hanning(len(second))))
    at = round(440 * len(second) / RATE)
    assert spectrum[at - 1 : at + 2].max() < 0.02 * spectrum.max()
    assert not audio[:, RATE:].any()


def test_a_chord_of_a_channel_cycles_through_its_tones(load: Any) -> None:
    channel, score = load("channel", "score")
    chord = [(pitch, 100, 0.0, 1.2) for pitch in (69, 73, 76)]
    audio = channel.chip_part(score.Chip("pulse", 0.5, cycle_hertz=10), chord, 1.2)[0]
    for place, hertz in enumerate((440, 554.4, 659.3, 440)):
        start = int((place * 0.1 + 0.02) * RATE)
        assert abs(strongest(audio[start : start + int(0.07 * RATE)]) - hertz) < 20


def test_an_unknown_wave_or_shape_is_named(load: Any) -> None:
    channel, noises, score = load("channel", "noises", "score")
    with pytest.raises(ValueError, match="no wave 'sine'"):
        channel.chip_part(score.Chip("sine"), [(69, 100, 0.0, 1.0)], 1.0)
    with pytest.raises(ValueError, match="no shape 'boom'"):
        noises.washed(score.Wash("x", 8, 100, 1000, 1.0, "boom"), 0.1)


@pytest.mark.parametrize("source", MADE)
def test_made_strokes_are_the_same_for_a_seed_and_end_softly(load: Any, source: str) -> None:
    oneshots, noises, score = load("oneshots", "noises", "score")
    assert set(noises.MADE) == set(MADE)
    audio = oneshots.one_shot(score.OneShot("x", source, 1.1, 0.3, 5))
    assert audio.shape[0] == 2 and audio.shape[1] <= 0.3 * RATE
    assert abs(np.abs(audio).max() - 1) < 1e-6 and np.abs(audio[:, -20:]).max() < 1e-3
    other = oneshots.one_shot(score.OneShot("x", source, 1.1, 0.3, 6))
    oneshots.one_shot.cache_clear()
    assert np.array_equal(audio, oneshots.one_shot(score.OneShot("x", source, 1.1, 0.3, 5)))
    assert audio.shape != other.shape or not np.array_equal(audio, other)


def test_a_sweep_of_noise_rises_and_a_fall_sinks(load: Any) -> None:
    noises, score = load("noises", "score")
    step = 0.1
    for shape, first, last in (("rise", 200, 8000), ("fall", 8000, 200)):
        wash = noises.washed(score.Wash("x", 16, first, last, 0.4, shape, 0, 3), step)
        assert wash.shape == (2, int(16 * step * RATE)) and abs(np.abs(wash).max() - 1) < 1e-6
        quarters = np.array_split(wash.mean(0), 4)
        centres = [np.log2(strongest(part)) for part in quarters]
        assert all((later > earlier) == (shape == "rise") for earlier, later in pairwise(centres))
        loudness = [float(np.sqrt((part**2).mean())) for part in quarters]
        assert all((later > earlier) == (shape == "rise") for earlier, later in pairwise(loudness))


def test_a_gate_cuts_noise_into_pieces(load: Any) -> None:
    noises, score = load("noises", "score")
    wash = noises.washed(score.Wash("x", 8, 1000, 1000, 1.0, "swell", 2, 3), 0.1)[0]
    frames = int(0.2 * RATE)
    for piece in range(1, 3):
        early, late = np.split(wash[piece * frames : (piece + 1) * frames], 2)
        assert np.abs(late[frames // 8 :]).max() < 0.01 < np.abs(early).max()


def test_noise_starts_where_its_hits_are(load: Any) -> None:
    noises, score = load("noises", "score")
    made = score.Noise((score.Wash("x", 4, 1000, 1000, 1.0, "fall", 0, 3),))
    audio = noises.noise_part(made, [score.Hit(8, "x", 0.5), score.Hit(15, "x", 0.5)], 0.1, 1.6)
    assert audio.shape == (2, int(1.6 * RATE))
    assert not audio[:, : int(0.8 * RATE) - 1].any() and audio[:, int(0.8 * RATE) + 50].any()
    assert not audio[:, int(1.2 * RATE) + 1 : int(1.5 * RATE) - 1].any() and audio[:, -1].any()


def test_strokes_of_a_drum_set_last_until_the_next_of_their_key(load: Any) -> None:
    pytest.importorskip("scipy")
    pytest.importorskip("dawdreamer")
    render, score = load("render", "score")
    drums = score.DrumSet(16, (("kick", 36), ("snare", 38)))
    hits = [
        score.Hit(*hit) for hit in ((0, "kick", 1.0), (4, "snare", 0.1), (8, "kick", 1.0), (8, "kick", 0.5))
    ]
    voice = score.Voice("drums", drums, hits=tuple(hits))
    notes = render.set_strokes(voice, drums, 0.125, 1.2)
    assert [(key, start) for key, _, start, _ in notes] == [(36, 0.0), (38, 0.5), (36, 1.0)]
    assert [length for *_, length in notes] == [1.0, 2.0, 2.0]
    assert notes[0][1] == 127 and 40 < notes[1][1] < 80


@pytest.mark.skipif(
    not INSTALLED, reason="needs the data extra, fluidsynth, its soundfont and the Sonic Pi samples"
)
@pytest.mark.parametrize("style", ["rock", "chip", "orchestra", "techno"])
def test_a_seed_of_each_style_sounds_the_same_again(load: Any, tmp_path: Path, style: str) -> None:
    """Every stem is sound, and the same to the bit when its one-shots are made anew. A mix does not clip."""
    from jbdiff.data.stems import find_tracks, mix

    folders, oneshots, worker = load("folders", "oneshots", "worker")
    job = folders.Job(3, style, 12.0, tmp_path, ".flac", (176,))
    facts, parts = worker.rendered(job)
    oneshots.one_shot.cache_clear()
    again = worker.rendered(job)
    assert facts == again[0] and facts["style"] == style and len(parts) >= 3
    for part, other in zip(parts, again[1], strict=True):
        assert part.audio.shape == (2, 12 * RATE) and np.isfinite(part.audio).all()
        assert np.array_equal(part.audio, other.audio) and part.gain == other.gain
    folders.write_track(job, facts, parts)
    assert np.abs(mix(find_tracks(tmp_path)[0], 0, [], RATE)).max() < 0.98
