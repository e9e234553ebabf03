"""The sections *tones* and *music* on pieces whose notes are known: what passes, and what has to fail."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
import torch
from notes import RATE, melody, sound, transcription
from torch import Tensor

from jbdiff.evaluate.figures import Figure
from jbdiff.evaluate.judged import STRETCH, Judged, SoundFigures, measure
from jbdiff.evaluate.metrics.tones import tone_figures, tones_over_time
from jbdiff.evaluate.metrics.transcribe import Note
from jbdiff.evaluate.tone_section import OTHER_MUSIC, RENDERED, tone_section

BAR, BARS = 2.0, 8


def figures_of(notes: Sequence[Note], audio: Tensor | None = None, bars: int = BARS) -> SoundFigures:
    """Figures of a sound, with notes from a transcriber without faults."""
    audio = sound(notes, bars * BAR) if audio is None else audio
    written = transcription(notes, bars * BAR)
    plain = measure(audio[None], RATE, BAR, notes=False)
    return dataclasses.replace(
        plain, tones=tone_figures(written), by_bars=tones_over_time(written, STRETCH * BAR)
    )


def piece(seed: int, played: SoundFigures | None = None, semitones: int = 0) -> Judged:
    """A piece in a key of its own; `played` None: exactly what it goes on with."""
    whole = melody(seed, BARS + 4, semitones=semitones)
    first = 4 * BAR
    context = figures_of([note for note in whole if note.start < first - 1e-6], bars=4)
    later = [note for note in whole if note.start >= first - 1e-6]
    truth = figures_of([Note(note.start - first, note.end - first, note.key) for note in later])
    return Judged(str(seed), BAR, BARS, context, truth, truth, played or truth)


@pytest.fixture(scope="module")
def originals() -> list[Judged]:
    return [piece(seed, semitones=semitones) for seed, semitones in ((0, 0), (1, 6), (2, 3))]


def section(pieces: Sequence[Judged]) -> dict[str, Figure]:
    return {figure.name: figure for figure in tone_section(pieces, RENDERED)}


def with_played(pieces: Sequence[Judged], played: Sequence[SoundFigures]) -> list[Judged]:
    return [dataclasses.replace(one, played=own) for one, own in zip(pieces, played, strict=True)]


def failed(figures: dict[str, Figure]) -> set[str]:
    return {name for name, figure in figures.items() if figure.passed is False}


NOTES, POLYPHONY = "notes a second, share of the truth's", "polyphony, share of the truth's"
HARMONY = "harmony with the truth"
ONE, FOUR = (
    "change from bar to bar, share of the truth's",
    "change from four bars to the next, share of the truth's",
)
LOUDNESS = "loudness, distance to the context's"


def test_the_truth_itself_passes_everything(originals: list[Judged]) -> None:
    figures = section(originals)
    assert not failed(figures) and sum(figure.passed is True for figure in figures.values()) == 10
    assert figures["pieces"].value == 3 and "8 bars" in figures["pieces"].note
    assert figures[NOTES].value == pytest.approx(1) and figures[HARMONY].value == pytest.approx(1)
    assert "played 4, truth 4, codec alone 4" in figures[NOTES].note
    assert "played with other pieces 0." in figures[HARMONY].note
    stretches = [name for name in figures if name.startswith("bars ")]
    assert stretches == [f"bars {first} to {first + 1}: harmony" for first in range(1, BARS, 2)]
    assert all(figures[name].value == pytest.approx(1) for name in stretches)


def test_a_transposed_piece_fails_in_harmony_alone(originals: list[Judged]) -> None:
    played = [piece(seed, semitones=keys + 6).truth for seed, keys in ((0, 0), (1, 6), (2, 3))]
    figures = section(with_played(originals, played))
    assert failed(figures) == {HARMONY}
    assert figures[HARMONY].value is not None and figures[HARMONY].value < 0.3


def test_a_frozen_loop_fails_in_change_and_a_loop_of_four_bars_in_that_over_four(
    originals: list[Judged],
) -> None:
    for length, expected in ((1, {ONE, FOUR}), (4, {FOUR})):
        played = []
        for seed, keys in ((0, 0), (1, 6), (2, 3)):
            theme = melody(seed, length, semitones=keys)
            again = [
                Note(note.start + turn * length * BAR, note.end + turn * length * BAR, note.key)
                for turn in range(BARS // length)
                for note in theme
            ]
            played.append(figures_of(again, sound(theme, length * BAR).repeat(BARS // length)))
        assert failed(section(with_played(originals, played))) & {ONE, FOUR} == expected


def test_music_that_forgets_itself_wanders(originals: list[Judged]) -> None:
    played = [
        figures_of(melody(seed, BARS, semitones=keys, memory=False))
        for seed, keys in ((0, 0), (1, 6), (2, 3))
    ]
    figures = section(with_played(originals, played))
    assert FOUR in failed(figures) and figures[FOUR].value is not None and figures[FOUR].value > 1.5


def test_white_noise_fails_in_notes_pulse_and_change(originals: list[Judged]) -> None:
    chance = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(int(BARS * BAR * RATE), generator=chance)
    figures = section(with_played(originals, [figures_of([], noise)] * 3))
    assert {NOTES, POLYPHONY, HARMONY, "pulse", ONE, FOUR} <= failed(figures)
    contrast = figures["contrast of bands, share of the truth's"].value
    assert contrast is not None and contrast < 0.8


def test_a_louder_continuation_fails_also_when_another_is_quieter(originals: list[Judged]) -> None:
    played = [
        dataclasses.replace(one.truth, loudness=one.truth.loudness + change)
        for one, change in zip(originals, (3.0, -3.0, 0.0), strict=True)
    ]
    figures = section(with_played(originals, played))
    assert failed(figures) == {LOUDNESS} and figures[LOUDNESS].value == pytest.approx(2.0, abs=0.3)


def test_a_codec_that_loses_notes_fails(originals: list[Judged]) -> None:
    sparse = [
        dataclasses.replace(one, coded=figures_of(melody(int(one.name), BARS)[::2])) for one in originals
    ]
    assert failed(section(sparse)) == {
        "codec alone: notes a second, share of the truth's",
        "codec alone: polyphony, share of the truth's",
    }


def test_the_pulse_of_weak_music_need_not_be_stronger_than_the_truths(originals: list[Judged]) -> None:
    def with_pulse(truth: float, played: float) -> Figure:
        pieces = [
            dataclasses.replace(
                one,
                truth=dataclasses.replace(one.truth, pulse=truth),
                played=dataclasses.replace(one.truth, pulse=played),
            )
            for one in originals
        ]
        return section(pieces)["pulse"]

    assert with_pulse(0.9, 0.73).passed and with_pulse(0.9, 0.71).passed is False
    assert with_pulse(0.6, 0.58).passed and with_pulse(0.6, 0.56).passed is False


def test_other_music_is_judged_by_medians_and_by_bounds_of_its_own(originals: list[Judged]) -> None:
    assert originals[0].truth.tones is not None
    profile = originals[0].truth.tones.profile
    shares = (0.1, 0.85, 0.9)
    played = [
        dataclasses.replace(
            one.truth,
            tones=dataclasses.replace(
                one.truth.tones, notes=4 * share, polyphony=0.8 * share, profile=profile
            ),
        )
        for one, share in zip(originals, shares, strict=True)
        if one.truth.tones is not None
    ]
    figures = {figure.name: figure for figure in tone_section(with_played(originals, played), OTHER_MUSIC)}
    assert {figure.section for figure in figures.values()} == {"music"}
    assert figures[NOTES].value == pytest.approx(0.85) and figures[NOTES].passed
    assert {name for name, figure in figures.items() if figure.passed is not None} == {
        NOTES,
        POLYPHONY,
        HARMONY,
    }
    assert figures[HARMONY].passed is False and figures[HARMONY].note.split("least ")[1][0] in "12"


def test_one_piece_without_notes_in_its_truth_is_no_ratio(originals: list[Judged]) -> None:
    silent = dataclasses.replace(originals[0], truth=figures_of([], torch.zeros(int(BARS * BAR * RATE))))
    figures = {figure.name: figure for figure in tone_section([silent], OTHER_MUSIC)}
    assert figures[NOTES].value is None and figures[NOTES].passed is None
    assert figures[ONE].value is None
    two = {figure.name: figure for figure in tone_section([silent, originals[1]], OTHER_MUSIC)}
    assert two[NOTES].value == pytest.approx(1)


def test_without_the_transcriber_the_rest_is_judged_and_the_command_is_named(originals: list[Judged]) -> None:
    def plain(sound_figures: SoundFigures) -> SoundFigures:
        return dataclasses.replace(sound_figures, tones=None, by_bars=[])

    pieces = [
        dataclasses.replace(
            one,
            **{name: plain(getattr(one, name)) for name in ("context", "truth", "coded", "played")},
        )
        for one in originals
    ]
    figures = section(pieces)
    assert figures["notes"].value is None and "scripts/judge_setup" in figures["notes"].note
    assert NOTES not in figures and HARMONY not in figures
    assert {name for name, figure in figures.items() if figure.passed} == {"pulse", ONE, FOUR, LOUDNESS}
    assert pieces[0].as_dict()["played"]["tones"] is None
