"""Chip: pulses, a triangle and noise, as in the games of old computers."""

from __future__ import annotations

import numpy as np
from choose import letters, level, patch, side, wide
from drums import SNARES, Layers, kit, strokes, with_fills
from form import Piece
from kits import drum_voices
from melody import melody
from parts import arpeggio, bass_line, chords_on, held_chords, steps_of
from score import STEPS, Chip, Crush, Effect, Faust, Kit, Note, OneShot, Voice
from spans import alone, opened_by

WIDTHS = (0.125, 0.25, 0.25, 0.5)
# Bars of a bass: which tone of the chord each step has.
BASSES = (
    "1.1.8.8.1.1.8.8.", "1.8.1.8.1.8.1.8.", "1...8...1...8...", "1.11.1811.11.185", "1..1..8.1..1..5.",
    "1.5.8.5.1.5.8.5.", "1.1.1.1.5.5.8.8.", "11811181118151.8", "1.3.5.8.5.3.1.5.", "1..8..1.1..8.5.8",
)  # fmt: skip
CYCLES = (
    ("X-------X-------",), ("X---X---X---X---",), ("X-X-..X-X-X-..X-",), ("..X-..X-..X-..X-",), ("X--X--X-X--X--X-",),
    ("X-----X-..X-X---", "X-----X-X-X-X-X-"),
)  # fmt: skip
KICKS = ("X.......X.......", "X..x..x.X..x....", "X...X...X...X...", "X.....x.X.x.....", "X..x....X..x..x.")
SNARES_ON = ("....X.......X...", "....X.......X.oo", "....X..o.o..X...", "....X..x....X..x")
HATS = ("x.x.x.x.x.x.x.x.", "xoxoxoxoxoxoxoxo", "..x...x...x...x.", "x.xxx.xxx.xxx.xx", "xxxoxxxoxxxoxxxo")


def chip_kit(rng: np.random.Generator) -> Kit:
    """Drums of a noise channel and a falling triangle."""

    def one(name: str, source: str, seconds: float, low: float = 1.0, high: float = 1.0) -> OneShot:
        speed = round(float(rng.uniform(low, high)), 3)
        return OneShot(name, source, speed, seconds, int(rng.integers(1 << 30)))

    return Kit(
        (
            one("kick", "chip_kick", 0.25),
            one("snare", "chip_snare", 0.35),
            one("clap", "chip_snare", 0.2),
            one("hat", "chip_hat", 0.1),
            one("open", "chip_open", 0.4),
            one("crash", "chip_crash", 1.2),
            one("rim", "chip_clank", 0.15),
            *(
                one(f"tom{number}", "chip_tom", 0.3, 1.5 - 0.4 * number, 1.7 - 0.4 * number)
                for number in range(3)
            ),
        )
    )


def drum_layers(piece: Piece) -> Layers:
    """A light beat in A, a full one in B, and little or nothing in C."""
    rng = piece.rng("drums")
    kick, snare, hat = (str(rng.choice(list(choices))) for choices in (KICKS, SNARES_ON, HATS))
    bare = str(rng.choice(("none", "hat", "roll")))
    layers: Layers = {"kick": [], "drums": []}
    for section in piece.sections:
        for bar in range(section.start, section.end):
            if section.letter == "C":
                if bare == "hat":
                    layers["drums"] += strokes(bar, hat, "hat", 0.25)
                elif bare == "roll":
                    layers["drums"] += strokes(bar, "xoxxoxxoxxoxxoxx", "snare", 0.4)
                continue
            layers["kick"] += strokes(bar, kick, "kick", 0.9)
            layers["drums"] += strokes(bar, snare, "snare", 0.65)
            layers["drums"] += strokes(bar, hat, "hat", 0.25)
            if section.letter == "B" and bar % 2:
                layers["drums"] += strokes(bar, "..............x.", "open", 0.35)
    return with_fills(piece, "drums", layers, "AB")


def later(piece: Piece, notes: list[Note], steps: int) -> tuple[Note, ...]:
    """Return notes that come `steps` later and are softer: the echo of another channel."""
    return tuple(
        Note(note.step + steps, note.length, note.pitch, max(1, int(0.6 * note.velocity)))
        for note in notes
        if note.step + steps < piece.bars * STEPS
    )


def pulse(rng: np.random.Generator, decay: float = 0.0) -> Chip:
    """A channel for a tune: mostly a pulse, whose width moves in one of three."""
    moving = rng.random() < 0.35
    return Chip(
        str(rng.choice(("pulse", "pulse", "pulse", "pulse", "saw", "triangle"))),
        0.5 if moving else float(rng.choice(WIDTHS)),
        level(rng, 0.15, 0.4) if moving else 0.0,
        level(rng, 0.2, 1.6),
        level(rng, 0.1, 0.45),
        level(rng, 5.0, 7.5),
        decay_seconds=decay,
        slide=float(rng.choice((0, 0, 0, -1, -2, 2))),
    )


def chip(piece: Piece) -> list[Voice]:
    """A lively tune with its echo, chords whose tones cycle, a bass that leaps, and drums of noise (or new ones)."""
    rng = piece.rng("voices")
    coarse: tuple[Effect, ...] = (
        (Crush(level(rng, 9000, 22000), int(rng.integers(6, 9))),) if rng.random() < 0.3 else ()
    )
    modern = rng.random() < 0.3
    room = level(rng, 0.03, 0.15) if rng.random() < 0.6 else 0.0  # old machines had none
    apart = float(rng.choice((0.6, 1.0, 1.6)))  # how far the channels lie apart
    sounds = Kit(kit(rng, SNARES, 0.5)) if modern else chip_kit(rng)
    layers = drum_layers(piece)
    voices = drum_voices(
        layers, sounds, level(rng, 0.08, 0.13), 0.05 if modern else 0.5 * room, () if modern else coarse
    )
    first, second = (
        steps_of(BASSES[int(place)], float(rng.choice((0.7, 0.9, 1.7))))
        for place in rng.permutation(len(BASSES))[:2]
    )
    bass = bass_line(
        piece, "bass", "ABC", int(rng.choice((33, 33, 40))), {"*": (first,), "B": (first, second)}, 104
    )
    low = str(rng.choice(("triangle", "triangle", "triangle", "pulse", "fm")))
    instrument: Chip | Faust = (
        patch(rng, ("fold", "acid", "sub"), (0.3, 0.7), 0.3)
        if low == "fm"
        else Chip(low, float(rng.choice(WIDTHS)))
    )
    voices.append(
        Voice("bass", instrument, tuple(bass), level=level(rng, 0.085, 0.12), reverb=0.0, effects=coarse)
    )
    voices += harmony(piece, rng, coarse, room, apart)
    where = letters(rng, 0.85, 1.0, 0.5) or "B"
    tune = melody(piece, "lead", where, 64, 88, float(rng.uniform(0.5, 0.95)), {"C": 0.7})
    lead = pulse(rng, float(rng.choice((0.0, 0.0, 0.25, 0.5))))
    loud, place = level(rng, 0.06, 0.085), side(rng, 0, 0.15)
    voices.append(Voice("lead", lead, tuple(tune), level=loud, reverb=room, pan=place, effects=coarse))
    if rng.random() < 0.7:
        echo = later(piece, tune, int(rng.choice((2, 3, 3, 4, 6))))
        far = round(float(np.clip(-apart * (3 * place + 0.25), -0.8, 0.8)), 3)
        voices.append(
            Voice(
                "echo",
                pulse(rng),
                echo,
                level=round(loud * float(rng.uniform(0.3, 0.55)), 4),
                reverb=room,
                pan=far,
                effects=coarse,
            )
        )
    if rng.random() < 0.35:  # bars of drums alone
        bare = {
            bar
            for section in piece.sections[1:]
            if section.letter == "C" or section.visit
            for bar in range(section.start, section.start + min(2, section.bars))
        }
        voices = alone(voices, ("kick", "drums"), bare)
    openings = ((), (), ("lead", "echo"), ("bass",), ("kick", "drums"), ("keys", "arp"), ("lead", "bass"))
    return opened_by(voices, openings[int(rng.integers(len(openings)))], int(rng.choice((1, 2, 2, 4))))


def harmony(
    piece: Piece, rng: np.random.Generator, coarse: tuple[Effect, ...], room: float, apart: float
) -> list[Voice]:
    """Return the chords: tones that cycle fast, arpeggios in sixteenths, or both; at times a pad below.

    `room` is what they send to the reverb, `apart` how far they lie from the centre.
    """
    voices = []
    voicings = piece.voicings(57, 77, 3)
    kind = str(rng.choice(("cycle", "arp", "both", "both")))
    if kind != "arp":
        cycle = Chip(
            "pulse",
            float(rng.choice(WIDTHS)),
            swing=float(rng.choice((0, 0, 0.2))),
            cycle_hertz=float(rng.choice((15, 20, 25, 30, 50, 60))),
            decay_seconds=float(rng.choice((0.0, 0.12, 0.3, 0.6))),
        )
        rhythm = CYCLES[int(rng.integers(len(CYCLES)))]
        notes = chords_on(piece, letters(rng, 0.8, 1.0, 0.6) or "B", voicings, rhythm, 1.8, 84)
        voices.append(
            Voice(
                "keys",
                cycle,
                tuple(notes),
                level=level(rng, 0.04, 0.065),
                reverb=room,
                pan=side(rng, 0.15 * apart, 0.5 * apart),
                effects=coarse,
            )
        )
    if kind != "cycle":
        notes = arpeggio(
            piece, "arp", letters(rng, 0.8, 1.0, 0.7) or "A", voicings,
            density=float(rng.uniform(0.7, 1.0)), octaves=int(rng.integers(1, 3)), length=float(rng.choice((0.6, 0.9))),
        )  # fmt: skip
        voices.append(
            Voice(
                "arp",
                pulse(rng, 0.15),
                tuple(notes),
                level=level(rng, 0.035, 0.06),
                reverb=room,
                pan=side(rng, 0.15 * apart, 0.5 * apart),
                effects=coarse,
            )
        )
    if rng.random() < 0.25:
        held = held_chords(piece, letters(rng, 0.2, 0.8, 1.0), piece.voicings(52, 70, 3), 70)
        voices.append(
            Voice(
                "pad",
                patch(rng, ("pad", "pulse", "organ")),
                tuple(held),
                level=level(rng, 0.025, 0.04),
                reverb=0.2,
                effects=(wide(rng),),
            )
        )
    return voices
