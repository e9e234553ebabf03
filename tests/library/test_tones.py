"""Figures of notes that are known. The transcriber itself is tried where it is installed."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np
import pytest
import torch
from notes import RATE, melody, sound, transcription

from jbdiff.evaluate.metrics import transcribe as module
from jbdiff.evaluate.metrics.tones import entropy, harmony, tone_figures, tones_over_time
from jbdiff.evaluate.metrics.transcribe import (
    FRAMES_PER_SECOND,
    HOP,
    KEPT,
    KEYS,
    LOWEST_KEY,
    WINDOW,
    NoJudgeError,
    Note,
    judge_installed,
    mono,
    pick_notes,
    transcribe,
)

needs_judge = pytest.mark.skipif(
    not judge_installed(), reason="no transcriber; scripts/judge_setup installs it"
)


# Figures of a transcription


def test_known_notes_give_known_figures() -> None:
    # Two keys of 0.5 s at once, every second, for 10 s: a C below an E.
    notes = [Note(second, second + 0.5, key) for second in range(10) for key in (60, 64)]
    figures = tone_figures(transcription(notes, 10.0))
    assert figures.notes == pytest.approx(2.0)
    assert figures.polyphony == pytest.approx(1.0, rel=0.02)  # two for half of the time
    assert figures.stay == pytest.approx(0.5, abs=0.03)  # 250 ms later, the first half of a note still sounds
    assert figures.entropy == pytest.approx(1.0)
    assert figures.profile.argsort()[-2:].tolist() in (
        [0, 4],
        [4, 0],
    ) and figures.profile.sum() == pytest.approx(10)


def test_long_tones_stay_and_short_ones_do_not() -> None:
    short = [Note(place / 10, place / 10 + 0.08, 60) for place in range(100)]
    assert tone_figures(transcription([Note(0, 10, 60)], 10.0)).stay == pytest.approx(1.0)
    later = transcription([Note(2 * n, 2 * n + 0.2, 60) for n in range(5)], 10.0)
    assert tone_figures(later).stay == 0
    assert tone_figures(transcription(short, 10.0)).notes == pytest.approx(10.0)


def test_silence_has_no_notes_and_no_harmony() -> None:
    figures = tone_figures(transcription([], 3.0))
    assert (figures.notes, figures.polyphony, figures.stay, figures.entropy) == (0, 0, 0, 0)
    assert harmony(figures.profile, np.ones(12)) == 0


def test_entropy_is_that_of_twelve_classes() -> None:
    assert entropy(np.ones(12)) == pytest.approx(math.log2(12))
    assert entropy(np.eye(12)[3]) == 0


def test_harmony_falls_when_a_piece_is_transposed_and_octaves_do_not_count() -> None:
    own = tone_figures(transcription(melody(1, 8), 16.0)).profile
    octave = tone_figures(transcription(melody(1, 8, semitones=12), 16.0)).profile
    tritone = tone_figures(transcription(melody(1, 8, semitones=6), 16.0)).profile
    assert harmony(own, own) == pytest.approx(1) == harmony(own, octave)
    assert harmony(own, tritone) < 0.3


def test_figures_over_time_are_those_of_each_stretch() -> None:
    notes = [Note(0.5, 0.9, 60), Note(2.5, 2.9, 62), Note(3.5, 4.9, 62)]
    first, second, third = tones_over_time(transcription(notes, 5.6), 2.0)
    assert (first.notes, second.notes) == (0.5, 1.0) and third.notes == 0
    assert first.profile.argmax() == 0 and second.profile.argmax() == 2
    assert third.polyphony == pytest.approx(0.9 / 1.6, abs=0.02), "a note that began before still sounds"
    assert len(tones_over_time(transcription(notes, 4.5), 2.0)) == 2


# From likelihoods to notes


def likelihoods(frames: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((frames, KEYS), np.float32), np.zeros((frames, KEYS), np.float32)


def strike(struck: np.ndarray, posterior: np.ndarray, key: int, start: int, end: int) -> None:
    struck[start, key - LOWEST_KEY] = 0.9
    posterior[start:end, key - LOWEST_KEY] = 0.8


def frames_of(note: Note) -> tuple[int, int, int]:
    return round(note.start * FRAMES_PER_SECOND), round(note.end * FRAMES_PER_SECOND), note.key


def test_a_struck_key_is_a_note_until_it_falls_silent() -> None:
    struck, posterior = likelihoods(200)
    strike(struck, posterior, 60, 20, 60)
    strike(struck, posterior, 72, 30, 33)  # shorter than 58 ms
    strike(struck, posterior, 84, 90, 160)
    posterior[110:118, 84 - LOWEST_KEY] = 0.2  # a gap that is too short for an end
    posterior[118:160, 84 - LOWEST_KEY] = 0.45
    assert [frames_of(note) for note in pick_notes(struck, posterior)] == [(20, 60, 60), (90, 160, 84)]


def test_a_key_that_is_struck_again_is_two_notes() -> None:
    struck, posterior = likelihoods(120)
    strike(struck, posterior, 60, 10, 50)
    strike(struck, posterior, 60, 50, 100)
    assert [frames_of(note) for note in pick_notes(struck, posterior)] == [(10, 50, 60), (50, 100, 60)]


def test_a_key_that_sounds_without_a_stroke_is_a_note_and_its_neighbours_are_not() -> None:
    struck, posterior = likelihoods(150)
    strike(struck, posterior, 40, 5, 40)  # lets rises count
    rising = np.linspace(0.0, 0.7, 40)
    posterior[50:90, 60 - LOWEST_KEY], posterior[90:130, 60 - LOWEST_KEY] = rising, 0.7
    posterior[70:130, 61 - LOWEST_KEY] = 0.5 * posterior[70:130, 60 - LOWEST_KEY] + 0.05
    notes = [frames_of(note) for note in pick_notes(struck, posterior)]
    assert [key for _, _, key in notes] == [40, 60]
    start, end, _ = notes[1]
    assert 60 < start < 75 and 129 <= end <= 130


def test_silence_and_noise_below_the_thresholds_have_no_notes() -> None:
    struck, posterior = likelihoods(100)
    assert pick_notes(struck, posterior) == []
    posterior += np.random.default_rng(0).uniform(0, 0.29, posterior.shape).astype(np.float32)
    assert pick_notes(struck, posterior) == []


# Around the model


def test_windows_meet_without_a_gap_or_a_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sampler:
        """Stands for the model: gives the sample at each frame's time, so that every frame names its place."""

        def get_inputs(self) -> list[Any]:
            return [type("Input", (), {"name": "audio"})]

        def run(self, names: list[str], given: dict[str, np.ndarray]) -> list[np.ndarray]:
            windows = given["audio"]
            assert windows.shape[1:] == (WINDOW, 1) and windows.dtype == np.float32
            frames = windows[:, ::HOP, :]
            assert frames.shape[1] == module.WINDOW_FRAMES
            return [np.repeat(frames, KEYS, 2) * scale for scale in (2.0, 1.0)]

    monkeypatch.setattr(module, "_session", lambda path: Sampler())
    samples = 3 * KEPT * HOP + 12_345
    ramp = np.arange(1, samples + 1, dtype=np.float32)
    struck, posterior = module._likelihoods(module.Path("model"), ramp)
    assert posterior.shape == (-(-samples // HOP), KEYS)
    np.testing.assert_array_equal(posterior[:, 5], ramp[::HOP])
    np.testing.assert_array_equal(struck, 2 * posterior)


def test_audio_may_be_mono_or_stereo_and_either_way_round() -> None:
    left, right = np.full(1000, 0.2), np.full(1000, 0.4)
    for audio in (
        np.full(1000, 0.3), np.stack([left, right]), np.stack([left, right], 1),
        torch.full((1000,), 0.3), torch.full((1, 1000), 0.3), torch.full((2, 1000), 0.3, dtype=torch.float64),
    ):  # fmt: skip
        assert mono(audio).shape == (1000,) and mono(audio).dtype == np.float32
        assert mono(audio) == pytest.approx(0.3, abs=1e-6)
    for wrong in (np.zeros((2, 2, 100)), np.zeros(0)):
        with pytest.raises(ValueError, match="mono"):
            mono(wrong)
    with pytest.raises(ValueError, match="NaN"):
        mono(np.array([0.0, np.nan]))


@pytest.mark.parametrize("missing", ["onnxruntime", "basic_pitch"])
def test_a_missing_transcriber_is_named_with_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == missing else found(name, *rest)
    )
    assert not judge_installed()
    with pytest.raises(NoJudgeError, match=rf"{missing}.*scripts/judge_setup"):
        transcribe(np.zeros(1000))


# The transcriber


@needs_judge
def test_the_transcriber_hears_a_tune_and_its_key() -> None:
    notes = melody(3, 4)
    found = transcribe(sound(notes, 8.0, partials=1), RATE)
    own, known = tone_figures(found), tone_figures(transcription(notes, 8.0))
    assert own.notes == pytest.approx(known.notes, rel=0.15)
    assert own.polyphony == pytest.approx(known.polyphony, rel=0.25)
    assert own.entropy == pytest.approx(known.entropy, abs=0.25)
    assert harmony(own.profile, known.profile) > 0.95
    up = tone_figures(sound(melody(3, 4, semitones=6), 8.0, partials=1).repeat(2, 1))
    assert harmony(own.profile, up.profile) < 0.3
    hits = sum(
        any(note.key == one.key and abs(note.start - one.start) < 0.05 for one in found.notes)
        for note in notes
    )
    assert hits > 0.9 * len(notes), "notes begin where they were played"


@needs_judge
def test_the_transcriber_hears_few_notes_in_noise_and_none_in_silence() -> None:
    noise = 0.1 * torch.randn(6 * RATE, generator=torch.Generator().manual_seed(0))
    figures = tone_figures(noise)
    assert figures.polyphony < 0.1 and figures.stay < 0.2
    assert tone_figures(np.zeros(RATE, np.float32)).notes == 0
