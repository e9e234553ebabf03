"""Beatless: pads, arpeggios and a melody over a slow bass."""

from __future__ import annotations

from choose import letters, level, patch, program, side, wide
from form import Piece
from melody import melody
from parts import arpeggio, bass_line, held_chords
from score import Voice

LONG = {"*": (((0, "1", 15.0),),)}


def beatless(piece: Piece) -> list[Voice]:
    """Pads, arpeggios and a melody over a slow bass, without drums."""
    rng = piece.rng("voices")
    voicings = piece.voicings(52, 74, int(rng.integers(3, 5)))
    voices = []
    pad = letters(rng, 0.9, 0.8, 1.0) or "AC"
    voices.append(
        Voice(
            "pad",
            patch(rng, ("pad", "voice", "ensemble", "glass"), (0.2, 0.6)),
            tuple(held_chords(piece, pad, voicings)),
            level=level(rng, 0.045, 0.065),
            reverb=0.25,
            effects=(wide(rng),),
        )
    )
    riffs = (
        ((0, "1", 12.0),),
        ((0, "1", 6.0), (8, "5", 6.0)),
        ((0, "1", 5.0), (6, "1", 3.0), (10, "8", 4.0)),
        ((0, "1", 3.0), (4, "1", 3.0), (8, "5", 3.0), (12, "8", 3.0)),
    )
    riff = riffs[int(rng.integers(len(riffs)))]
    bass = bass_line(piece, "bass", "AB", 31, {"*": (riff,)})
    bass += bass_line(piece, "bass", "C", 31, LONG) if rng.random() < 0.7 else []
    voices.append(
        Voice(
            "bass", patch(rng, ("round", "sub", "organ"), (0.2, 0.55)), tuple(bass), level=0.085, reverb=0.03
        )
    )
    plucked = ("bell", "string", "glass", "tines", "string", "fold")
    for number in range(1 + int(rng.random() < 0.55)):
        octave = 12 if number == 0 else 0
        ladder = [tuple(pitch + octave for pitch in chord) for chord in voicings]
        where = letters(rng, 0.9, 0.9, 0.5) or "AB"
        notes = arpeggio(
            piece,
            f"arp {number}",
            where,
            ladder,
            density=float(rng.uniform(0.45, 0.85)),
            octaves=int(rng.integers(1, 3)),
            every=int(rng.choice((1, 2, 2))),
            length=float(rng.choice((0.8, 1.3, 2.0))),
        )
        instrument = (
            patch(rng, plucked) if rng.random() < 0.65 else program(rng, (11, 12, 108, 46, 24, 10, 4))
        )
        voices.append(
            Voice(
                "arp",
                instrument,
                tuple(notes),
                level=level(rng, 0.04, 0.065),
                reverb=0.2,
                delay=level(rng, 0.1, 0.35),
                pan=side(rng, 0.1, 0.4),
            )
        )
    if rng.random() < 0.8:
        where = letters(rng, 0.6, 1.0, 0.35)
        lead = (
            patch(rng, ("soft", "reed", "tines", "glass", "bell"))
            if rng.random() < 0.6
            else program(rng, (73, 11, 71, 40, 26))
        )
        notes = melody(piece, "lead", where, 62, 81, float(rng.uniform(0.3, 0.6)), {"C": 0.6})
        voices.append(
            Voice(
                "lead",
                lead,
                tuple(notes),
                level=level(rng, 0.06, 0.085),
                reverb=0.25,
                delay=0.2,
                pan=side(rng, 0, 0.15),
            )
        )
    return voices
