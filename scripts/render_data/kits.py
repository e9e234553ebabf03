"""A kit's stems: their levels, and percussion beside the drums."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from drums import Layers, euclid, strokes
from form import Piece
from score import DrumSet, Effect, Hit, Kit, Voice


def drum_set(rng: np.random.Generator, programs: Sequence[int]) -> DrumSet:
    """Return one of these drum sets of the soundfont, with the names that a kit's sounds have, and "ride"."""

    def one(*keys: int) -> int:
        return int(rng.choice(keys))

    names = {"kick": one(35, 36), "snare": one(38, 40), "clap": 39, "hat": one(42, 42, 44), "open": 46}
    names |= {
        "crash": one(49, 57),
        "ride": one(51, 53, 59),
        "rim": 37,
        "tom0": 50,
        "tom1": 47,
        "tom2": one(41, 43),
    }
    names |= {"one": one(54, 56, 69, 70, 75), "two": one(54, 60, 62, 76, 82)}
    return DrumSet(int(rng.choice(list(programs))), tuple(names.items()))


def drum_voices(
    layers: Layers, kit: Kit | DrumSet, together: float, reverb: float, effects: tuple[Effect, ...] = ()
) -> list[Voice]:
    """Return the stems of a kit, with levels that keep the balance of the hits' own gains."""
    energy = {stem: sum(hit.gain**2 for hit in hits) for stem, hits in layers.items() if hits}
    whole = sum(energy.values()) or 1.0
    voices = []
    for stem, hits in layers.items():
        if hits:
            # A kick has most of the energy of a kit, in few strokes.
            share = {"kick": 0.7, "drums": 0.55, "perc": 0.3}[stem]
            share *= min(1.3, max(0.5, (3 * energy[stem] / whole) ** 0.25))
            loud = round(together * share, 4)
            voices.append(Voice(stem, kit, hits=tuple(hits), level=loud, reverb=reverb, effects=effects))
    return voices


def percussion(piece: Piece, where: str, gain: float = 0.3) -> list[Hit]:
    """Two percussion sounds on even rhythms, left and right."""
    rng = piece.rng("percussion")
    rhythms = [
        (euclid(int(rng.integers(2, 7)), int(rng.integers(16))), name, pan)
        for name, pan in (("one", -0.6), ("two", 0.6))
    ]
    hits = []
    for section in piece.sections:
        if section.letter in where:
            for bar in range(section.start, section.end):
                for pattern, name, pan in rhythms:
                    hits += strokes(bar, pattern, name, gain, pan)
    return hits
