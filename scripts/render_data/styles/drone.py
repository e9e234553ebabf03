"""Drone: slow fields of harmony."""

from __future__ import annotations

from choose import letters, level, patch, side, wide
from form import Piece
from melody import melody
from parts import held_chords, pedal
from score import Spring, Voice


def drone(piece: Piece) -> list[Voice]:
    """Slow fields of harmony: pedal tones and pads that change every few bars, a few bells, no pulse."""
    rng = piece.rng("voices")
    spring = Spring(level(rng, 0.15, 0.4), 2.5, int(rng.integers(1 << 30)))
    low = int(rng.integers(36, 44))
    grounds = [low, low + 12] if rng.random() < 0.6 else [low, low + 7, low + 12]
    voices = [
        Voice(
            "bass",
            patch(rng, ("hum", "hum", "reese", "organ"), (0.15, 0.45), 0.6),
            tuple(pedal(piece, "ABC", grounds, int(rng.choice((4, 8))))),
            level=level(rng, 0.07, 0.1),
            reverb=0.1,
        )
    ]
    count = int(rng.integers(3, 5))
    for number, (bottom, top) in enumerate(((50, 69), (62, 81))):
        where = "ABC" if number == 0 else letters(rng, 0.5, 1.0, 0.5)
        notes = held_chords(piece, where, piece.voicings(bottom, top, count if number == 0 else 3), 80)
        voices.append(
            Voice(
                "pad",
                patch(rng, ("hum", "glass", "voice", "pad", "ensemble"), (0.15, 0.6), 0.7),
                tuple(notes),
                level=level(rng, 0.04, 0.07) * (1.0 if number == 0 else 0.6),
                reverb=0.3,
                effects=(wide(rng),),
            )
        )
    bells = melody(piece, "bells", letters(rng, 0.6, 0.9, 0.3), 67, 86, 0.12)
    sparse = tuple(note for note in bells if rng.random() < 0.6)
    voices.append(
        Voice(
            "lead",
            patch(rng, ("bell", "glass", "tines", "string"), (0.2, 0.6), 0.7),
            sparse,
            level=level(rng, 0.035, 0.055),
            reverb=0.4,
            delay=0.4,
            pan=side(rng, 0.1, 0.4),
            effects=(spring,),
        )
    )
    return voices
