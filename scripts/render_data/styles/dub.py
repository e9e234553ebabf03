"""Dub: chords off the beat, echoes, and much room."""

from __future__ import annotations

from choose import letters, level, patch, program, side, wide
from drums import SOFT_SNARES, Layers, kit, strokes, with_fills
from form import Piece
from kits import drum_voices
from melody import melody
from parts import bass_line, chords_on, held_chords
from score import Hit, Kit, Soundfont, Spring, TapeEcho, Voice

DUB_RIFFS = (
    (((0, "1", 3.0), (6, "1", 1.5), (10, "5", 3.0)), ((2, "1", 2.0), (6, "3", 3.0))),
    (((0, "1", 5.0), (8, "5", 2.0), (11, "1", 3.0)), ((4, "1", 3.0), (10, "8", 1.5), (12, "5", 2.0))),
    (((3, "1", 2.0), (6, "1", 2.0), (8, "5", 4.0)), ((0, "1", 6.0),)),
    (
        ((0, "1", 2.0), (3, "1", 2.0), (6, "5", 2.0), (10, "1", 4.0)),
        ((0, "1", 2.0), (3, "1", 2.0), (6, "3", 4.0)),
    ),
    (((0, "1", 7.0),), ((2, "5", 2.0), (6, "1", 2.0), (10, "5", 3.0))),
)
SKANKS = ("....x.......x...", "..x...x...x...x.", "....x.......x.x.", "..x...x...x.....", "......x.......x.")


def dub(piece: Piece) -> list[Voice]:
    """Chords off the beat with tape echo, a sparse bass, a drum kit that leaves room, spring reverb."""
    rng = piece.rng("voices")
    sounds = Kit(kit(rng, SOFT_SNARES, 0.25))
    steppers = rng.random() < 0.4
    hat = str(rng.choice(("..x...x...x...x.", "x.o.x.o.x.o.x.o.", "..x.o.x...x.o.x.")))
    layers: Layers = {"kick": [], "drums": [], "perc": []}
    for section in piece.sections:
        for bar in range(section.start, section.end):
            if section.letter == "C":
                layers["drums"] += strokes(bar, hat, "hat", 0.2, 0.4)
                continue
            kick = "x...x...x...x..." if steppers else ("........X.......", "........X.....x.")[bar % 2]
            layers["kick"] += strokes(bar, kick, "kick", 0.9)
            layers["drums"] += strokes(bar, "........X.......", "snare", 0.6)
            layers["drums"] += strokes(bar, hat, "hat", 0.26, 0.4)
            if bar % 4 == 3:
                layers["drums"] += strokes(bar, "......o...x..x..", "rim", 0.4, -0.3)
    layers = with_fills(piece, "drums", layers, "AB")
    throw_rng = piece.rng("throws")
    rim = [
        Hit(bar * 16 + int(throw_rng.choice((4, 6, 10, 12, 14))), "rim", 0.6, -0.1)
        for bar in range(piece.bars)
        if throw_rng.random() < 0.35
    ]
    spring = Spring(level(rng, 0.25, 0.5), level(rng, 1.4, 2.4), int(rng.integers(1 << 30)))
    echo = TapeEcho(
        int(rng.choice((3, 3, 4, 6))), level(rng, 0.55, 0.72), level(rng, 0.5, 0.8), level(rng, 1500, 3200)
    )
    voices = drum_voices(layers, sounds, level(rng, 0.11, 0.15), reverb=0.08)
    voices.append(Voice("perc", sounds, hits=tuple(rim), level=0.022, reverb=0.1, effects=(echo, spring)))
    riffs = rng.permutation(len(DUB_RIFFS))
    bass = bass_line(
        piece,
        "bass",
        "ABC" if rng.random() < 0.6 else "AB",
        29,
        {"*": DUB_RIFFS[riffs[0]], "B": DUB_RIFFS[riffs[1]]},
        108,
    )
    voices.append(
        Voice(
            "bass",
            patch(rng, ("round", "round", "sub"), (0.1, 0.4), 0.6),
            tuple(bass),
            level=level(rng, 0.12, 0.15),
            reverb=0.01,
        )
    )
    voicings = piece.voicings(55, 74, 3)
    rhythm = tuple(str(rng.choice(list(SKANKS))) for _ in range(2))
    rhythm = (rhythm[0], rhythm[0], rhythm[0], rhythm[1])
    instrument = (
        patch(rng, ("skank", "skank", "stab", "organ"), (0.3, 0.75), 0.35)
        if rng.random() < 0.7
        else Soundfont(int(rng.choice((16, 0, 4, 27))))
    )
    voices.append(
        Voice(
            "keys",
            instrument,
            tuple(chords_on(piece, "ABC", voicings, rhythm, 1.2, 88)),
            level=level(rng, 0.05, 0.075),
            reverb=0.12,
            pan=side(rng, 0.05, 0.25),
            effects=(echo, spring),
        )
    )
    if rng.random() < 0.5:  # an organ that bubbles between the beats
        bubble = chords_on(piece, "AB", piece.voicings(50, 67, 2), ("..xx..x...xx..x.",), 0.7, 70)
        voices.append(
            Voice(
                "arp",
                patch(rng, ("organ",), (0.2, 0.5)),
                tuple(bubble),
                level=0.03,
                pan=side(rng, 0.3, 0.5),
                reverb=0.05,
            )
        )
    if rng.random() < 0.7:
        lead = (
            patch(rng, ("reed", "reed", "soft", "tines"))
            if rng.random() < 0.7
            else program(rng, (22, 73, 56))
        )
        tune = melody(piece, "lead", letters(rng, 0.3, 1.0, 0.4), 62, 79, float(rng.uniform(0.2, 0.4)))
        voices.append(
            Voice(
                "lead",
                lead,
                tuple(tune),
                level=level(rng, 0.055, 0.075),
                reverb=0.15,
                pan=side(rng, 0.1, 0.3),
                effects=(echo,),
            )
        )
    if rng.random() < 0.4:
        held = held_chords(piece, "BC", voicings, 66)
        voices.append(
            Voice(
                "pad",
                patch(rng, ("ensemble", "voice", "pad"), (0.15, 0.4)),
                tuple(held),
                level=0.03,
                reverb=0.3,
                effects=(wide(rng),),
            )
        )
    return voices
