"""House: four on the floor, and a bass that answers the chords."""

from __future__ import annotations

from choose import letters, level, patch, program, side, wide
from drums import Layers, kit, strokes, with_fills
from form import Piece
from kits import drum_voices, percussion
from melody import melody
from parts import arpeggio, bass_line, chords_on, held_chords
from score import Kit, Voice

STABS = (
    "..x..x....x..x..",
    "x..x..x...x..x..",
    "..x...x..x....x.",
    "...x..x....x..x.",
    "x.....x..x......",
    "..xx....x..x....",
    "....x..x....x..x",
)


def house(piece: Piece) -> list[Voice]:
    """Four on the floor, hats off the beat, chord stabs, and a bass that answers them."""
    rng = piece.rng("voices")
    sounds = Kit(kit(rng))
    ride = str(rng.choice(("oxoxoxoxoxoxoxox", "x.xox.xox.xox.xo", "................", "o.xoo.xoo.xoo.xo")))
    clap = str(rng.choice(("....X.......X...", "....X.......X...", "....x..o....X..o")))
    layers: Layers = {"kick": [], "drums": [], "perc": percussion(piece, letters(rng, 0.6, 0.9, 0.5), 0.26)}
    for section in piece.sections:
        for bar in range(section.start, section.end):
            layers["drums"] += strokes(bar, ride, "hat", 0.2, 0.4)
            if section.letter == "C":
                continue
            layers["kick"] += strokes(bar, "X...X...X...X...", "kick", 0.95)
            layers["drums"] += strokes(bar, "..x...x...x...x.", "open", 0.3, -0.3)
            if section.start or bar >= 2:
                layers["drums"] += strokes(bar, clap, "clap", 0.5)
    layers = with_fills(piece, "drums", layers, "AB")
    voices = drum_voices(layers, sounds, level(rng, 0.11, 0.14), reverb=0.08)
    stab = str(rng.choice(list(STABS)))
    other = str(rng.choice(list(STABS)))
    # The bass plays where the chords do not.
    bass_bars = []
    for marks in (stab, other):
        free = [step for step in range(16) if marks[step] == "." and (step % 4 or rng.random() < 0.4)]
        chosen = sorted(
            int(s) for s in rng.choice(free, size=min(len(free), int(rng.integers(4, 7))), replace=False)
        )
        tones = ["1", *(str(rng.choice(("1", "1", "8", "5", "8", "3"))) for _ in chosen[1:])]
        bass_bars.append(tuple((step, tone, 1.4) for step, tone in zip(chosen, tones, strict=True)))
    riff = (bass_bars[0], bass_bars[0], bass_bars[0], bass_bars[1])
    bass = bass_line(piece, "bass", "AB", 31, {"*": riff}, 104)
    voices.append(
        Voice(
            "bass",
            patch(rng, ("sub", "round", "acid", "organ", "fold"), (0.25, 0.6)),
            tuple(bass),
            level=level(rng, 0.1, 0.13),
            ducked=True,
        )
    )
    voicings = piece.voicings(55, 76, int(rng.integers(3, 5)))
    instrument = (
        patch(rng, ("stab", "organ", "skank", "tines"), (0.3, 0.75), 0.35)
        if rng.random() < 0.65
        else program(rng, (0, 4, 16, 5))
    )
    voices.append(
        Voice(
            "keys",
            instrument,
            tuple(
                chords_on(piece, letters(rng, 1.0, 1.0, 0.6), voicings, (stab, stab, stab, other), 1.3, 88)
            ),
            level=level(rng, 0.06, 0.085),
            reverb=0.12,
            delay=level(rng, 0.0, 0.25),
            effects=(wide(rng, 0.6, 1.0),),
        )
    )
    if rng.random() < 0.7:
        where = letters(rng, 0.3, 0.7, 1.0)
        voices.append(
            Voice(
                "pad",
                patch(rng, ("pad", "ensemble", "voice"), (0.2, 0.5)),
                tuple(held_chords(piece, where, voicings, 70)),
                level=level(rng, 0.03, 0.045),
                reverb=0.25,
                ducked=True,
                effects=(wide(rng),),
            )
        )
    if rng.random() < 0.8:
        if rng.random() < 0.5:
            lead = patch(rng, ("soft", "pulse", "acid", "bell", "string"))
            notes = melody(
                piece, "lead", letters(rng, 0.35, 1.0, 0.6), 62, 81, float(rng.uniform(0.3, 0.6)), {"C": 0.7}
            )
        else:
            lead = patch(rng, ("string", "bell", "pulse", "fold"))
            high = [tuple(p + 12 for p in chord) for chord in voicings]
            notes = arpeggio(
                piece,
                "hook",
                letters(rng, 0.4, 1.0, 0.5),
                high,
                density=float(rng.uniform(0.4, 0.7)),
                length=1.1,
            )
        voices.append(
            Voice(
                "lead",
                lead,
                tuple(notes),
                level=level(rng, 0.05, 0.07),
                reverb=0.18,
                delay=0.25,
                pan=side(rng, 0.05, 0.3),
            )
        )
    return voices
