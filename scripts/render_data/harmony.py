"""Chords: progressions of 2, 4 and 8 bars, and voicings that move as little as possible from chord to chord."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

MODES = {
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "major": (0, 2, 4, 5, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
}
# One degree for each bar. Degrees with a diminished triad are not used.
PROGRESSIONS: dict[str, dict[int, tuple[tuple[int, ...], ...]]] = {
    "minor": {
        2: ((0, 5), (0, 6), (0, 3), (0, 2)),
        4: ((0, 5, 2, 6), (0, 3, 5, 4), (0, 6, 5, 6), (0, 2, 6, 3), (5, 6, 0, 0), (0, 5, 3, 4), (0, 4, 5, 3)),
        8: (
            (0, 5, 2, 6, 0, 5, 3, 4),
            (0, 0, 3, 3, 5, 6, 0, 4),
            (0, 2, 5, 3, 0, 2, 6, 4),
            (5, 6, 0, 2, 5, 3, 4, 0),
        ),
    },
    "dorian": {
        2: ((0, 3), (0, 6), (0, 1)),
        4: ((0, 3, 0, 3), (0, 6, 3, 0), (0, 2, 3, 6), (0, 1, 2, 3), (0, 4, 3, 6)),
        8: ((0, 0, 3, 3, 6, 6, 3, 4), (0, 2, 3, 1, 0, 2, 6, 4), (0, 6, 3, 0, 2, 3, 6, 4)),
    },
    "major": {
        2: ((0, 3), (0, 5), (3, 4), (0, 1)),
        4: ((0, 4, 5, 3), (5, 3, 0, 4), (0, 5, 3, 4), (1, 4, 0, 5), (0, 2, 3, 4), (3, 4, 2, 5), (0, 3, 1, 4)),
        8: (
            (0, 4, 5, 2, 3, 0, 1, 4),
            (0, 5, 1, 4, 2, 5, 1, 4),
            (3, 4, 2, 5, 1, 4, 0, 0),
            (0, 2, 5, 3, 0, 2, 1, 4),
        ),
    },
    "mixolydian": {
        2: ((0, 6), (0, 3), (0, 4)),
        4: ((0, 6, 3, 0), (0, 4, 3, 0), (0, 6, 0, 3), (0, 5, 6, 3)),
        8: ((0, 0, 6, 6, 3, 3, 0, 4), (0, 6, 3, 0, 5, 3, 6, 4)),
    },
    "lydian": {
        2: ((0, 1), (0, 4), (0, 6)),
        4: ((0, 1, 0, 1), (0, 1, 5, 4), (0, 6, 1, 4), (0, 2, 1, 5)),
        8: ((0, 1, 5, 4, 0, 1, 2, 6), (0, 0, 1, 1, 6, 6, 2, 1)),
    },
}
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


@dataclass(frozen=True)
class Chord:
    """Pitch classes from the root upwards, and the scale that a melody may use over them."""

    degree: int
    tones: tuple[int, ...]
    scale: tuple[int, ...]

    @property
    def root(self) -> int:
        return self.tones[0]

    @property
    def clear(self) -> tuple[int, ...]:
        """Tones that a melody may rest on: none of them is a semitone above another tone of the chord."""
        return tuple(tone for tone in self.tones if (tone - 1) % 12 not in self.tones)

    @property
    def name(self) -> str:
        """Root and intervals above it, as "A 3 7 10"."""
        return " ".join((NAMES[self.root], *(str((tone - self.root) % 12) for tone in self.tones[1:])))


def chord_of(tonic: int, mode: str, degree: int, size: int, raised_leading: bool = False) -> Chord:
    """Return the chord of `size` stacked thirds on a degree of a mode. Size 2 gives root, second and fifth.

    `raised_leading` makes the fifth degree of minor a major chord.
    """
    steps = list(MODES[mode])
    if raised_leading and degree == 4 and mode == "minor":
        steps[6] = 11
    places = (0, 1, 4) if size == 2 else tuple(range(0, 2 * size, 2))
    tones = tuple((tonic + steps[(degree + place) % 7]) % 12 for place in places)
    if size >= 5 and (tones[4] - tones[0]) % 12 == 1:  # a minor ninth would clash with the root
        tones = tones[:4]
    return Chord(degree, tones, tuple(sorted((tonic + step) % 12 for step in steps)))


def progression(
    rng: np.random.Generator, tonic: int, mode: str, bars: int, size: int, other_than: int | None = None
) -> tuple[Chord, ...]:
    """Return the chords for each half bar of a progression of `bars` bars. It does not begin with degree `other_than`.

    In one of three progressions that move, two chords share the last bar, so that the end moves faster.
    """
    choices = PROGRESSIONS[mode][bars]
    wanted = [degrees for degrees in choices if degrees[0] != other_than] or list(choices)
    degrees = wanted[int(rng.integers(len(wanted)))]
    raised = bool(rng.random() < 0.4)
    chords = [chord_of(tonic, mode, degree, size, raised) for degree in degrees]
    halves = [chord for chord in chords for _ in range(2)]
    if bars >= 4 and rng.random() < 0.33:
        last = {"major": 4, "minor": 4, "dorian": 6, "mixolydian": 6, "lydian": 1}[mode]
        halves[-1] = chord_of(tonic, mode, last, size, raised)
    return tuple(halves)


def voicing(chord: Chord, previous: Sequence[int] | None, low: int, high: int, count: int) -> tuple[int, ...]:
    """Return `count` pitches of a chord within `low`..`high`, as near to the previous ones as they can be.

    Without previous ones they lie in the middle. Common tones stay. Neighbours a semitone apart cost much, and so do
    small intervals below E3.

    Raises ValueError if the range has no room for the chord.
    """
    tones = _most_telling(chord.tones, count)
    places = [[pitch for pitch in range(low, high + 1) if pitch % 12 == tone] for tone in tones]
    middle = (low + high) / 2
    best, least = None, np.inf
    for pitches in product(*places):
        ordered = sorted(pitches)
        gaps = np.diff(ordered)
        spread = ordered[-1] - ordered[0]
        cost = (
            0.15 * abs(float(np.mean(ordered)) - middle)
            + 2.0 * max(0, spread - 14)
            + 6.0 * int((gaps < 2).sum())
        )
        cost += 2.0 * sum(gap < 5 and pitch < 52 for gap, pitch in zip(gaps, ordered, strict=False))
        if previous is not None:
            cost += sum(min(abs(pitch - old) for old in previous) for pitch in ordered)
            cost += 0.5 * abs(ordered[-1] - max(previous))
        if cost < least:
            best, least = tuple(ordered), cost
    if best is None:
        raise ValueError(f"no voicing of {chord.name} between {low} and {high}; give at least an octave")
    return best


def _most_telling(tones: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Return `count` tones of a chord: third and seventh come before root and fifth. Triads stay complete."""
    if len(tones) <= count:
        return tones
    order = (1, 3, 4, 0, 2)
    keep = sorted([place for place in order if place < len(tones)][:count])
    return tuple(tones[place] for place in keep)


def nearest(pitch: float, tones: Sequence[int], low: int, high: int) -> int:
    """The pitch of one of these pitch classes within `low`..`high` that is nearest to a pitch."""
    found = [p for p in range(low, high + 1) if p % 12 in tones]
    return min(found, key=lambda p: (abs(p - pitch), p))
