"""The form: sections that return (A B A C A), and the piece that all parts of a track share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from harmony import Chord, chord_of, progression, voicing
from score import STEPS, Section

FORMS = ("ABACA", "ABACA", "ABACA", "AABACA", "ABCABA")
INTENSITY = {"A": 0.75, "B": 1.0, "C": 0.45}


@dataclass
class Piece:
    """Facts that all parts of a track share. `chords`: one for every half bar of the track."""

    seed: int
    style: str
    bars: int
    tonic: int
    mode: str
    sections: tuple[Section, ...]
    chords: tuple[Chord, ...]

    def rng(self, name: str) -> np.random.Generator:
        """Return the random generator of one part, so that a change of one part does not change the others."""
        return np.random.default_rng([self.seed, crc32(f"{self.style}/{name}".encode())])

    def chord(self, step: int) -> Chord:
        return self.chords[min(step // (STEPS // 2), len(self.chords) - 1)]

    def voicings(self, low: int, high: int, count: int) -> list[tuple[int, ...]]:
        """Return a voicing for every half bar. A section that returns has the same voicings again."""
        known: dict[tuple[str, int, Chord], tuple[int, ...]] = {}
        found: list[tuple[int, ...]] = []
        for section in self.sections:
            for half in range(2 * section.bars):
                chord = self.chords[2 * section.start + half]
                key = (section.letter, half, chord)
                if key not in known:
                    same = half > 0 and chord == self.chords[2 * section.start + half - 1]
                    last = found[-1] if found else None
                    known[key] = last if same and last else voicing(chord, last, low, high, count)
                found.append(known[key])
        return found

    def intensity(self, bar: int) -> float:
        return next((s.intensity for s in self.sections if s.start <= bar < s.end), 0.7)


def compose(
    seed: int,
    style: str,
    bars: int,
    *,
    sizes: Sequence[int] = (3, 4),
    modes: Sequence[str] = ("minor", "dorian", "major", "mixolydian"),
    lengths: Sequence[int] = (2, 4, 4, 8),
    slow: int = 1,
) -> Piece:
    """Draw key, form and chords of a track.

    `sizes`: numbers of tones in a chord, of which one is drawn. `lengths`: the same for the bars of a progression.
    `slow`: factor by which every chord lasts longer, 1, 2 or 4.
    """
    rng = np.random.default_rng([seed, crc32(f"{style}/piece".encode())])
    tonic, mode = int(rng.integers(12)), str(rng.choice(list(modes)))
    length, size = int(rng.choice(list(lengths))), int(rng.choice(list(sizes)))
    section_bars = 8 if length * slow > 4 or rng.random() < 0.4 else 4
    letters = FORMS[int(rng.integers(len(FORMS)))]
    sections, seen, start = [], Counter[str](), 0
    for index in range(bars):
        letter = letters[index % len(letters)]
        intensity = min(1.0, INTENSITY[letter] + 0.08 * seen[letter])
        if start == 0:
            intensity *= 0.85
        sections.append(
            Section(letter, start, min(section_bars, bars - start), round(intensity, 3), seen[letter])
        )
        seen[letter] += 1
        start += section_bars
        if start >= bars:
            break
    by_letter = {"A": _stretched(progression(rng, tonic, mode, length, size), slow)}
    opening = by_letter["A"][0].degree
    second = length if rng.random() < 0.6 else 4 if slow == 1 else 2
    by_letter["B"] = _stretched(progression(rng, tonic, mode, second, size, opening), slow)
    # The quiet section keeps the chords of A, or stays on its first one.
    by_letter["C"] = by_letter["A"] if rng.random() < 0.6 else (by_letter["A"][0],) * 4
    home = chord_of(tonic, mode, {"major": 4, "lydian": 1}.get(mode, 6), size)
    turn = bool(rng.random() < 0.5)
    chords: list[Chord] = []
    for section in sections:
        own = by_letter[section.letter]
        halves = [own[half % len(own)] for half in range(2 * section.bars)]
        if turn and section.letter != "A" and slow == 1 and section.bars > 2:
            halves[-2:] = [home, home]  # leads back to A
        chords += halves
    return Piece(seed, style, bars, tonic, mode, tuple(sections), tuple(chords))


def _stretched(halves: tuple[Chord, ...], times: int) -> tuple[Chord, ...]:
    return tuple(chord for chord in halves for _ in range(times))
