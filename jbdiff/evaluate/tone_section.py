"""The sections *tones* and *music*: turns the measurements of `judged.py` into figures with bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jbdiff.evaluate.figures import Figure
from jbdiff.evaluate.judged import STRETCH, Judged, SoundFigures
from jbdiff.evaluate.metrics.tones import SETUP, ToneFigures, harmony

TONES, MUSIC = "tones", "music"
Bounds = tuple[float | None, float | None]
NO_BOUNDS: Bounds = (None, None)
PULSE, PULSE_SHARE = 0.72, 0.95  # the share is the bound for music whose own pulse is weaker than .72 / .95
LOUDNESS = 1.5  # LU
CHANGE: Bounds = (0.6, 1.5)


@dataclass(frozen=True)
class Standard:
    """How figures are averaged over pieces, and their bounds.

    `median`: use the median of the pieces' ratios; otherwise the ratio of means.
    """

    section: str
    median: bool
    notes: Bounds
    polyphony: Bounds
    harmony: float
    everything: bool  # whether entropy, pulse, change, loudness and the codec are bounded too


RENDERED = Standard(TONES, False, (0.85, 1.15), (0.8, 1.2), 0.85, True)
OTHER_MUSIC = Standard(MUSIC, True, (0.8, None), (0.7, None), 0.88, False)

OF_SOUND = Callable[[SoundFigures], float | None]
Profile = NDArray[np.float64]


def _tones(what: Callable[[ToneFigures], float]) -> OF_SOUND:
    return lambda sound: None if sound.tones is None else what(sound.tones)


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


class _Summary:
    """Means, medians and ratios over pieces, as the standard wants them."""

    def __init__(self, pieces: Sequence[Judged], standard: Standard) -> None:
        self.pieces, self.standard = pieces, standard

    def middle(self, values: Sequence[float | None]) -> float | None:
        """Mean or median of the values that are not None; None if there are none."""
        known = _known(values)
        return float((np.median if self.standard.median else np.mean)(known)) if known else None

    def of(self, which: str, what: OF_SOUND) -> float | None:
        return self.middle([what(getattr(piece, which)) for piece in self.pieces])

    def ratio(self, which: str, what: OF_SOUND) -> float | None:
        """A sound's values relative to the truth's. Pieces whose truth is unknown or 0 do not count."""
        pairs = [(what(getattr(piece, which)), what(piece.truth)) for piece in self.pieces]
        known = [(own, truth) for own, truth in pairs if own is not None and truth is not None and truth > 0]
        if not known:
            return None
        if self.standard.median:
            return float(np.median([own / truth for own, truth in known]))
        own, truth = np.mean(known, 0)
        return float(own / truth)

    def figure(
        self, name: str, value: float | None, bounds: Bounds = NO_BOUNDS, unit: str = "", note: str = ""
    ) -> Figure:
        return Figure(self.standard.section, name, value, unit, *bounds, note=note)

    def beside(self, what: OF_SOUND, *which: str) -> str:
        """The values of other sounds of the pieces, as the text of a note."""
        names = {"played": "played", "truth": "truth", "coded": "codec alone", "context": "context"}
        found = [(names[name], self.of(name, what)) for name in which]
        return ", ".join(f"{name} {value:.3g}" for name, value in found if value is not None)

    def ratio_figure(self, name: str, what: OF_SOUND, bounds: Bounds = NO_BOUNDS) -> Figure:
        note = self.beside(what, "played", "truth", "coded")
        return self.figure(f"{name}, share of the truth's", self.ratio("played", what), bounds, note=note)


def note_figures(pieces: Sequence[Judged], standard: Standard) -> list[Figure]:
    """Return the figures of the transcriptions. Raises ValueError if a piece was not transcribed."""
    if any(piece.played.tones is None for piece in pieces):
        raise ValueError(f"a piece was not transcribed; run {SETUP}")
    all_ = _Summary(pieces, standard)
    notes, polyphony = _tones(lambda tones: tones.notes), _tones(lambda tones: tones.polyphony)
    stay, entropy = _tones(lambda tones: tones.stay), _tones(lambda tones: tones.entropy)
    beyond = [_difference(piece.played, piece.truth, entropy) for piece in pieces]
    limits: Bounds = (-0.25, 0.25) if standard.everything else NO_BOUNDS
    figures = [
        all_.ratio_figure("notes a second", notes, standard.notes),
        all_.ratio_figure("polyphony", polyphony, standard.polyphony),
        all_.figure("stay", all_.of("played", stay), note=all_.beside(stay, "truth", "coded")),
        all_.figure(
            "entropy of pitch classes, beyond the truth's", all_.middle(beyond), limits, "bits",
            all_.beside(entropy, "played", "truth", "coded"),
        ),
        *_harmony_figures(all_),
    ]  # fmt: skip
    for name, what, least in (("notes a second", notes, 0.95), ("polyphony", polyphony, 0.9)):
        low = least if standard.everything else None
        figures.append(
            all_.figure(f"codec alone: {name}, share of the truth's", all_.ratio("coded", what), (low, None))
        )
    return figures + _bar_figures(all_)


def _difference(one: SoundFigures, other: SoundFigures, what: OF_SOUND) -> float | None:
    first, second = what(one), what(other)
    return None if first is None or second is None else first - second


def _profile(sound: SoundFigures) -> Profile:
    assert sound.tones is not None
    return sound.tones.profile


def _others(played: Sequence[Profile], truth: Sequence[Profile]) -> float | None:
    """Return the mean harmony of each piece with the truths of all others: the value of music without any relation."""
    found = [harmony(one, other) for i, one in enumerate(played) for k, other in enumerate(truth) if k != i]
    return float(np.mean(found)) if found else None


def _scale(*parts: tuple[str, float | None]) -> str:
    """Return named harmonies as the text of a note, without the unknown ones."""
    return ", ".join(f"{name} {value:.2f}" for name, value in parts if value is not None)


def _harmony_figures(all_: _Summary) -> list[Figure]:
    def between(one: str, other: str) -> float | None:
        return all_.middle(
            [harmony(_profile(getattr(piece, one)), _profile(getattr(piece, other))) for piece in all_.pieces]
        )

    others = _others(
        *([_profile(getattr(piece, one)) for piece in all_.pieces] for one in ("played", "truth"))
    )
    note = _scale(
        ("the context", between("context", "truth")),
        ("codec alone", between("coded", "truth")),
        ("played with other pieces", others),
    )
    own = [
        f"{piece.name} {harmony(_profile(piece.played), _profile(piece.truth)):.2f}" for piece in all_.pieces
    ]
    worst = min(own, key=lambda text: float(text.rsplit(" ", 1)[1]))
    return [
        all_.figure(
            "harmony with the truth", between("played", "truth"), (all_.standard.harmony, None),
            note=f"{note}; least {worst}",
        ),
        all_.figure(
            "harmony with the context", between("played", "context"),
            note=f"truth {between('truth', 'context'):.2f}",
        ),
    ]  # fmt: skip


def _bar_figures(all_: _Summary) -> list[Figure]:
    """Return a figure for every two bars: harmony with the same bars of the truth. Its note gives the other figures."""
    figures = []
    for place in range(max(len(piece.truth.by_bars) for piece in all_.pieces)):
        there = [
            piece
            for piece in all_.pieces
            if all(place < len(sound.by_bars) for sound in (piece.played, piece.truth, piece.coded))
        ]
        if not there:
            continue
        sounds = [
            [getattr(piece, which).by_bars[place] for piece in there]
            for which in ("played", "truth", "coded")
        ]
        played, truth, coded = ([figures.profile for figures in one] for one in sounds)
        context = [_profile(piece.context) for piece in there]

        def between(one: Sequence[Profile], other: Sequence[Profile]) -> float | None:
            return all_.middle([harmony(first, second) for first, second in zip(one, other, strict=True)])

        scale = _scale(
            ("codec alone", between(coded, truth)),
            ("with the context", between(played, context)),
            ("with other pieces", _others(played, truth)),
        )
        words = []
        for name in ("notes", "polyphony", "stay", "entropy"):
            values = [all_.middle([getattr(figures, name) for figures in one]) for one in sounds]
            words.append(f"{name} {', '.join(f'{value:.3g}' for value in values)}")
        first = 1 + STRETCH * place
        note = (
            f"{scale}; played, truth, codec alone: {'; '.join(words)}; "
            f"{len(there)} of {len(all_.pieces)} pieces"
        )
        name = f"bars {first} to {first + STRETCH - 1}: harmony"
        figures.append(all_.figure(name, between(played, truth), note=note))
    return figures


def sound_figures(pieces: Sequence[Judged], standard: Standard) -> list[Figure]:
    """Return the figures that need no transcriber: pulse, contrast, change and loudness."""
    all_ = _Summary(pieces, standard)
    bounded = standard.everything
    truth = all_.of("truth", lambda sound: sound.pulse) or 0.0
    least = min(PULSE, PULSE_SHARE * truth)
    louder = [piece.played.loudness - piece.context.loudness for piece in pieces]
    own = [abs(piece.truth.loudness - piece.context.loudness) for piece in pieces]
    return [
        all_.figure(
            "pulse", all_.of("played", lambda sound: sound.pulse), (least, None) if bounded else NO_BOUNDS,
            note=all_.beside(lambda sound: sound.pulse, "truth", "coded", "context"),
        ),
        all_.ratio_figure("contrast of bands", lambda sound: sound.contrast),
        all_.ratio_figure(
            "change from bar to bar", lambda sound: sound.change[0], CHANGE if bounded else NO_BOUNDS
        ),
        all_.ratio_figure(
            "change from four bars to the next", lambda sound: sound.change[1], CHANGE if bounded else NO_BOUNDS
        ),
        all_.figure(
            "loudness, distance to the context's", all_.middle([abs(value) for value in louder]),
            (None, LOUDNESS) if bounded else NO_BOUNDS, "LU",
            f"from {min(louder):+.1f} to {max(louder):+.1f}, {np.mean(louder):+.1f} on average; "
            f"distance of the truth {all_.middle(own):.2g}",
        ),
    ]  # fmt: skip


def tone_section(pieces: Sequence[Judged], standard: Standard) -> list[Figure]:
    """Return all figures of a section. The first one gives the number of pieces and bars.

    Without the transcriber, one figure that says so takes the place of the figures of notes.
    """
    bars = sorted(piece.bars for piece in pieces)
    seconds = np.mean([piece.bar for piece in pieces])
    length = f"{bars[0]}" if bars[0] == bars[-1] else f"{bars[0]} to {bars[-1]}"
    first = Figure(
        standard.section, "pieces", len(pieces), note=f"{length} bars each, of {seconds:.2f} s on average"
    )
    if any(piece.played.tones is None for piece in pieces):
        return [first, not_transcribed(standard), *sound_figures(pieces, standard)]
    return [first, *note_figures(pieces, standard), *sound_figures(pieces, standard)]


def not_transcribed(standard: Standard) -> Figure:
    """Return the figure which says that notes were not judged, and names the command that installs the transcriber."""
    return Figure(standard.section, "notes", None, note=f"not judged: no transcriber; {SETUP} installs it")
