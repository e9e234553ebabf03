"""Sequence: patterns of unequal length that interlock, in the way of a wall of sequencers."""

from __future__ import annotations

from choose import letters, level, patch, side, wide
from drums import SOFT_SNARES, Layers, euclid, kit, strokes, with_fills
from form import Piece
from kits import drum_voices
from melody import melody
from parts import arpeggio, bass_line, held_chords, steps_of
from score import Kit, TapeEcho, Voice

# Bars of eighths and sixteenths: which tone of the chord each step has.
BASSES = ("1.1.8.1.1.5.8.1.", "1..1..8.1..1..5.", "11.1.181.11.5.8.", "1.8.1.8.5.8.1.3.", "1...1..81...5.1.")


def sequence(piece: Piece) -> list[Voice]:
    """A bass sequence, two or three arpeggios against it, a pad, a slow melody; in half of the tracks a light beat."""
    rng = piece.rng("voices")
    voices: list[Voice] = []
    if rng.random() < 0.5:
        sounds = Kit(kit(rng, SOFT_SNARES, 0.5))
        ticks = euclid(int(rng.integers(5, 12)), int(rng.integers(16)))
        layers: Layers = {"kick": [], "drums": [], "perc": []}
        for section in piece.sections:
            for bar in range(section.start, section.end):
                layers["drums"] += strokes(bar, ticks, "hat", 0.22, 0.4)
                if section.letter != "C":
                    layers["kick"] += strokes(bar, "x...x...x...x...", "kick", 0.7)
                if section.letter == "B":
                    layers["drums"] += strokes(bar, "....x.......x...", "snare", 0.4)
        layers = with_fills(piece, "drums", layers, "B")
        voices += drum_voices(layers, sounds, level(rng, 0.07, 0.1), 0.1)
    length = float(rng.choice((0.7, 0.9, 1.3)))
    first, second = (steps_of(BASSES[int(place)], length) for place in rng.permutation(len(BASSES))[:2])
    bass = bass_line(piece, "bass", "ABC", 31, {"A": (first,), "B": (first, second), "C": (first,)}, 96)
    low = patch(rng, ("sub", "acid", "round", "fold", "reese"), (0.2, 0.6), 0.35)
    voices.append(Voice("bass", low, tuple(bass), level=level(rng, 0.085, 0.11), reverb=0.04))
    voicings = piece.voicings(52, 72, int(rng.integers(3, 5)))
    echo = TapeEcho(3, level(rng, 0.4, 0.6), level(rng, 0.2, 0.4), 3000)
    place = float(rng.choice((-1, 1)))
    for number in range(2 + int(rng.random() < 0.3)):
        octave = (0, 12, 12)[number]
        every = (1, 2, 1)[number]
        least, most = ((0.3, 0.6), (0.5, 0.9), (0.15, 0.35))[number]
        ladder = [tuple(pitch + octave for pitch in chord) for chord in voicings]
        notes = arpeggio(
            piece,
            f"arp {number}",
            letters(rng, *((1.0, 0.9, 0.8), (0.7, 1.0, 0.5), (0.3, 1.0, 0.3))[number]) or "B",
            ladder,
            density=float(rng.uniform(least, most)),
            octaves=1 + int(rng.random() < 0.5),
            every=every,
            length=float(rng.choice((0.6, 0.9, 1.4))),
        )
        voices.append(
            Voice(
                "arp",
                patch(rng, ("pulse", "string", "bell", "stab", "fold", "tines", "acid"), (0.25, 0.7), 0.35),
                tuple(notes),
                level=level(rng, 0.04, 0.06),
                reverb=0.15,
                pan=round(place * (0.3, -0.35, 0.1)[number], 3),
                effects=(echo,) if number else (),
            )
        )
    held = held_chords(piece, letters(rng, 0.5, 0.7, 1.0), voicings, 72)
    pad = patch(rng, ("pad", "ensemble", "voice", "hum"), (0.2, 0.6), 0.6)
    voices.append(
        Voice("pad", pad, tuple(held), level=level(rng, 0.035, 0.05), reverb=0.25, effects=(wide(rng),))
    )
    tune = melody(
        piece, "lead", letters(rng, 0.4, 0.9, 0.6), 62, 81, float(rng.uniform(0.2, 0.4)), {"C": 0.7}
    )
    lead = patch(rng, ("soft", "reed", "glass", "pulse"), (0.25, 0.65))
    voices.append(
        Voice(
            "lead",
            lead,
            tuple(tune),
            level=level(rng, 0.055, 0.075),
            reverb=0.25,
            delay=0.25,
            pan=side(rng, 0, 0.15),
        )
    )
    return voices
