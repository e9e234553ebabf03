"""The styles: each a function from a seed to a score. `STYLES` holds them by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from form import Piece, compose
from score import Score, Voice
from tempi import HOP, SAMPLE_RATE, drawn_bar

from styles.beatless import beatless
from styles.breaks import breaks
from styles.chamber import chamber
from styles.chip import chip
from styles.drone import drone
from styles.dub import dub
from styles.groove import groove
from styles.house import house
from styles.orchestra import orchestra
from styles.rock import rock
from styles.sequence import sequence
from styles.techno import techno


@dataclass(frozen=True)
class Style:
    """How a style is written, and what its chords are drawn from.

    `sizes` are tones of a chord, `lengths` bars of a progression; `slow` is how many times longer its chords last.
    """

    write: Callable[[Piece], list[Voice]]
    modes: tuple[str, ...]
    sizes: tuple[int, ...] = (3, 4)
    lengths: tuple[int, ...] = (2, 4, 4, 8)
    slow: int = 1


STYLES = {
    "beatless": Style(beatless, ("minor", "dorian", "major", "lydian", "mixolydian")),
    "dub": Style(dub, ("minor", "dorian", "minor", "mixolydian"), lengths=(2, 2, 4)),
    "chamber": Style(chamber, ("minor", "major", "dorian", "major"), (3, 3, 4), (4, 8, 8)),
    "breaks": Style(breaks, ("minor", "dorian", "minor", "lydian"), (3, 4, 5)),
    "house": Style(house, ("minor", "dorian", "mixolydian"), (3, 4, 4, 5)),
    "drone": Style(drone, ("minor", "dorian", "lydian", "major", "mixolydian"), (2, 3), (2, 4), 2),
    "groove": Style(groove, ("dorian", "major", "minor", "mixolydian"), (4, 4, 5)),
    "sequence": Style(sequence, ("minor", "dorian", "minor", "lydian"), (3, 3, 4), (2, 4, 4)),
    "rock": Style(rock, ("minor", "minor", "dorian", "mixolydian", "major"), (3,), (2, 4, 4)),
    "chip": Style(chip, ("minor", "major", "dorian", "mixolydian", "lydian"), (3, 3, 4)),
    "orchestra": Style(orchestra, ("minor", "minor", "major", "dorian", "lydian"), (3,), (4, 4, 8)),
    "techno": Style(techno, ("minor", "minor", "dorian"), (3,), (2, 2, 4), 2),
}


def score_of(style: str, seed: int, seconds: float, bars_to_draw: Sequence[int]) -> Score:
    """The score of one seed in a style. `bars_to_draw` are lengths of bars in tokens; one that stands twice is drawn
    twice as often.
    """
    tokens = drawn_bar(seed, bars_to_draw)
    bars = max(2, math.ceil(seconds * SAMPLE_RATE / (tokens * HOP)))
    how = STYLES[style]
    piece = compose(seed, style, bars, modes=how.modes, sizes=how.sizes, lengths=how.lengths, slow=how.slow)
    voices = tuple(voice for voice in how.write(piece) if voice.notes or voice.hits)
    chords = tuple(chord.name for chord in piece.chords)
    return Score(seed, style, seconds, tokens, bars, piece.tonic, piece.mode, piece.sections, chords, voices)
