"""Chamber: piano and strings."""

from __future__ import annotations

from choose import letters, level, side, wide
from form import Piece
from melody import melody
from parts import arpeggio, bass_line, chords_on, held_chords
from score import Soundfont, Voice

PIANO = (
    ("x...x...x...x...",),
    ("x.......x.......", "x.......x...x..."),
    ("x.....x...x.....",),
    ("x-------x-------",),
)


def chamber(piece: Piece) -> list[Voice]:
    """Piano and strings: accompaniment in the left hand, melody in piano, flute, clarinet or violin, strings below."""
    rng = piece.rng("voices")
    low = piece.voicings(48, 67, 3)
    room = level(rng, 0.08, 0.2)
    piano = Soundfont(int(rng.choice((0, 0, 0, 1))))
    if rng.random() < 0.65:
        notes = arpeggio(
            piece,
            "left hand",
            "ABC",
            low,
            density=0.95,
            every=2,
            octaves=int(rng.integers(1, 3)),
            length=1.6,
            base=70,
        )
    else:
        notes = chords_on(piece, "ABC", low, PIANO[int(rng.integers(len(PIANO)))], 3.5, 70)
    bass_patterns = {
        "*": (((0, "1", 7.5), (8, "5", 7.0)),) if rng.random() < 0.5 else (((0, "1", 14.0),),),
        "C": (((0, "1", 15.0),),),
    }
    bass = bass_line(piece, "bass", "ABC", 33, bass_patterns, 82)
    alone = rng.random() < 0.4  # the piano has the melody too
    notes += bass if alone or rng.random() < 0.5 else []
    voices = [Voice("keys", piano, tuple(notes), level=level(rng, 0.075, 0.1), reverb=room)]
    if not alone:
        instrument = Soundfont(int(rng.choice((42, 43, 32))))
        voices.append(Voice("bass", instrument, tuple(bass), level=0.06, pan=0.15, reverb=room))
    where = letters(rng, 0.95, 1.0, 0.5) or "AB"
    tune = melody(piece, "tune", where, 64, 84, float(rng.uniform(0.35, 0.6)), {"C": 0.6})
    solo = piano if alone else Soundfont(int(rng.choice((73, 71, 40, 68, 46))))
    voices.append(
        Voice("lead", solo, tuple(tune), level=level(rng, 0.075, 0.1), pan=side(rng, 0.05, 0.25), reverb=room)
    )
    strings = letters(rng, 0.55, 1.0, 0.8) or "B"
    high = piece.voicings(55, 76, int(rng.integers(3, 5)))
    voices.append(
        Voice(
            "pad",
            Soundfont(int(rng.choice((48, 48, 49, 52)))),
            tuple(held_chords(piece, strings, high, 74)),
            level=level(rng, 0.045, 0.07),
            effects=(wide(rng, 0.3, 0.5),),
            reverb=room,
        )
    )
    if rng.random() < 0.4:
        plucked = chords_on(piece, "B", high, ("..x...x...x...x.",), 0.9, 80)
        voices.append(
            Voice("arp", Soundfont(45), tuple(plucked), level=0.045, pan=side(rng, 0.2, 0.45), reverb=room)
        )
    return voices
