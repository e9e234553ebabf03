"""Groove: a band with electric piano, bass guitar and a backbeat."""

from __future__ import annotations

from choose import letters, level, patch, program, side, wide
from drums import SNARES, Layers, kit, strokes, with_fills
from form import Piece
from kits import drum_voices, percussion
from melody import melody
from parts import bass_line, chords_on, held_chords
from score import Drive, Kit, Voice

KICKS = (
    ("X.....x...x.....", "X.....x...x..x.."),
    ("X..x......x.....", "X..x....x.x....."),
    ("X.......x.x.....", "X......xx......."),
    ("X.x.......x..x..", "X.........x....."),
)
GHOSTS = ("....X..o.o..X...", "....X.....o.X..o", "....X.......X...", "....X..o....X.o.")
HATS = ("x.x.x.x.x.x.x.x.", "xoxoxoxoxoxoxoxo", "x.xox.x.x.xox.x.", "x...x.x.x...x.xo")
RIFFS = (
    (
        ((0, "1", 2.5), (3, "1", 1.0), (6, "5", 1.5), (10, "8", 1.5), (14, "5", 1.5)),
        ((0, "1", 2.5), (6, "3", 1.5), (8, "5", 2.0), (13, "1", 2.0)),
    ),
    (((0, "1", 3.0), (6, "1", 1.5), (8, "5", 1.5), (10, "8", 2.5)),),
    (
        ((0, "1", 1.5), (2, "1", 1.0), (7, "5", 2.5), (10, "1", 3.0)),
        ((0, "1", 1.5), (2, "8", 1.0), (7, "7", 2.5), (10, "5", 3.0)),
    ),
    (((0, "1", 5.0), (8, "1", 1.5), (11, "3", 1.5), (13, "5", 2.0)), ((0, "1", 6.0), (10, "5", 4.0))),
)
COMPING = (
    ("x--.....x.x-....", "x--...x-....x-.."),
    ("..x.x-....x.x-..", "..x.x-......x-x."),
    ("x-----..x-....x.", "x-----....x-...."),
    ("....x-....x-..x.", "x-..x-....x-...."),
)
SCRATCHES = ("....x..x....x..x", "..x...x...x...x.", "x.xx..x.x.xx..x.")


def groove(piece: Piece) -> list[Voice]:
    """A backbeat, a bass guitar in chord tones, comping of four-part chords, a melody that sings over it."""
    rng = piece.rng("voices")
    sounds = Kit(kit(rng, SNARES, 0.15))
    kicks = KICKS[int(rng.integers(len(KICKS)))]
    snare, hat = str(rng.choice(list(GHOSTS))), str(rng.choice(list(HATS)))
    layers: Layers = {"kick": [], "drums": [], "perc": percussion(piece, letters(rng, 0.2, 0.5, 0.4), 0.22)}
    for section in piece.sections:
        for bar in range(section.start, section.end):
            layers["drums"] += strokes(bar, hat, "hat", 0.26, 0.4)
            if section.letter == "C":
                layers["drums"] += strokes(bar, "....x.......x...", "rim", 0.35, -0.2)
                continue
            layers["kick"] += strokes(bar, kicks[bar % 2], "kick", 0.85)
            layers["drums"] += strokes(bar, snare, "snare", 0.6)
            if bar % 4 == 3:
                layers["drums"] += strokes(bar, "..............x.", "open", 0.3, 0.3)
    layers = with_fills(piece, "drums", layers, "AB")
    driven = (Drive(level(rng, 0.6, 1.3)),)
    voices = drum_voices(layers, sounds, level(rng, 0.11, 0.14), 0.08, driven)
    first, second = (RIFFS[int(place)] for place in rng.permutation(len(RIFFS))[:2])
    bass = bass_line(piece, "bass", "ABC", 29, {"A": first, "B": second, "C": (((0, "1", 12.0),),)}, 98)
    low = program(rng, (33, 34, 32)) if rng.random() < 0.65 else patch(rng, ("round", "sub"), (0.2, 0.5))
    voices.append(Voice("bass", low, tuple(bass), level=level(rng, 0.1, 0.13), reverb=0.02))
    voicings = piece.voicings(52, 72, 4)
    comping = COMPING[int(rng.integers(len(COMPING)))]
    keys = program(rng, (4, 4, 5, 0, 16)) if rng.random() < 0.6 else patch(rng, ("tines", "organ"), tail=0.4)
    voices.append(
        Voice(
            "keys",
            keys,
            tuple(chords_on(piece, "ABC", voicings, comping, 1.6, 82)),
            level=level(rng, 0.06, 0.085),
            reverb=0.12,
            pan=side(rng, 0.05, 0.15),
            effects=(wide(rng, 0.6, 1.0),),
        )
    )
    if rng.random() < 0.6:
        scratch = str(rng.choice(list(SCRATCHES)))
        high = piece.voicings(60, 78, 3)
        voices.append(
            Voice(
                "arp",
                program(rng, (27, 26, 28, 7, 24)),
                tuple(chords_on(piece, letters(rng, 0.5, 1.0, 0.3), high, (scratch,), 0.8, 76)),
                level=level(rng, 0.03, 0.045),
                reverb=0.1,
                pan=side(rng, 0.35, 0.55),
            )
        )
    where = letters(rng, 0.6, 1.0, 0.6) or "B"
    tune = melody(piece, "lead", where, 62, 82, float(rng.uniform(0.35, 0.6)), {"C": 0.7})
    lead = (
        program(rng, (11, 73, 66, 59, 26, 4))
        if rng.random() < 0.65
        else patch(rng, ("soft", "reed", "tines"))
    )
    voices.append(
        Voice(
            "lead",
            lead,
            tuple(tune),
            level=level(rng, 0.06, 0.08),
            reverb=0.18,
            delay=0.12,
            pan=side(rng, 0, 0.2),
        )
    )
    if rng.random() < 0.5:
        strings = tuple(held_chords(piece, letters(rng, 0.2, 1.0, 0.8), piece.voicings(57, 76, 3), 68))
        pad = (
            program(rng, (48, 49, 50)) if rng.random() < 0.6 else patch(rng, ("ensemble", "pad"), (0.2, 0.5))
        )
        voices.append(
            Voice("pad", pad, strings, level=level(rng, 0.03, 0.045), reverb=0.22, effects=(wide(rng),))
        )
    return voices
