"""Breaks: drum patterns of one-shots, chopped and put together anew."""

from __future__ import annotations

from choose import letters, level, patch, program, side, wide
from drums import SNARES, chopped, kit, with_fills
from form import Piece
from kits import drum_voices, percussion
from melody import melody
from parts import arpeggio, bass_line, held_chords
from score import Drive, Kit, Voice

BREAK_RIFFS = (
    (((0, "1", 6.0), (10, "1", 2.0), (12, "5", 3.0)), ((0, "1", 3.0), (6, "8", 2.0), (8, "1", 6.0))),
    (((0, "1", 10.0),), ((0, "1", 4.0), (6, "5", 4.0), (12, "1", 3.0))),
    (((0, "1", 1.5), (3, "1", 1.5), (6, "8", 1.5), (10, "5", 2.0), (13, "1", 1.5)),),
    (((0, "1", 3.0), (3, "1", 3.0), (6, "5", 4.0), (12, "3", 3.0)),),
)


def breaks(piece: Piece) -> list[Voice]:
    """Chopped breaks of one-shots, a bass that moves, pads, arpeggios and a melody."""
    rng = piece.rng("voices")
    sounds = Kit(kit(rng, SNARES, 0.2))
    quiet = rng.random() < 0.3
    layers = with_fills(piece, "drums", {**chopped(piece, "ABC" if quiet else "AB"), "perc": []}, "AB")
    layers["perc"] = percussion(piece, letters(rng, 0.3, 0.7, 0.3), 0.3)
    voices = drum_voices(
        layers, sounds, level(rng, 0.12, 0.16), reverb=0.1, effects=(Drive(level(rng, 0.8, 1.8)),)
    )
    riffs = rng.permutation(len(BREAK_RIFFS))
    bass = bass_line(piece, "bass", "AB", 31, {"*": BREAK_RIFFS[riffs[0]], "B": BREAK_RIFFS[riffs[1]]}, 104)
    voices.append(
        Voice(
            "bass",
            patch(rng, ("reese", "sub", "round", "fold"), (0.2, 0.6)),
            tuple(bass),
            level=level(rng, 0.1, 0.13),
            ducked=bool(rng.random() < 0.4),
        )
    )
    voicings = piece.voicings(53, 74, int(rng.integers(3, 5)))
    pad = letters(rng, 0.7, 0.8, 1.0)
    voices.append(
        Voice(
            "pad",
            patch(rng, ("pad", "ensemble", "voice", "glass"), (0.2, 0.6)),
            tuple(held_chords(piece, pad, voicings)),
            level=level(rng, 0.045, 0.065),
            reverb=0.25,
            ducked=bool(rng.random() < 0.5),
            effects=(wide(rng),),
        )
    )
    high = [tuple(p + 12 for p in chord) for chord in voicings]
    if rng.random() < 0.75:
        notes = arpeggio(
            piece,
            "arp",
            letters(rng, 0.7, 0.9, 0.6) or "B",
            high,
            density=float(rng.uniform(0.4, 0.8)),
            every=int(rng.choice((1, 2))),
            length=1.2,
        )
        instrument = (
            patch(rng, ("string", "bell", "stab", "fold", "tines"))
            if rng.random() < 0.7
            else program(rng, (11, 12, 4, 46))
        )
        voices.append(
            Voice(
                "arp",
                instrument,
                tuple(notes),
                level=level(rng, 0.04, 0.06),
                reverb=0.15,
                delay=level(rng, 0.1, 0.3),
                pan=side(rng, 0.15, 0.4),
            )
        )
    if rng.random() < 0.7:
        lead = (
            patch(rng, ("soft", "pulse", "reed", "glass", "tines"))
            if rng.random() < 0.7
            else program(rng, (4, 73, 26, 11))
        )
        tune = melody(
            piece, "lead", letters(rng, 0.5, 1.0, 0.5), 64, 83, float(rng.uniform(0.3, 0.6)), {"C": 0.6}
        )
        voices.append(
            Voice(
                "lead",
                lead,
                tuple(tune),
                level=level(rng, 0.055, 0.075),
                reverb=0.2,
                delay=0.2,
                pan=side(rng, 0, 0.2),
            )
        )
    return voices
