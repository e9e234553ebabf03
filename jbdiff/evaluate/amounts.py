"""How much sound an evaluation plays and compares: the full amounts and the quick ones. No torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

SECTIONS = (
    "codec", "few-steps", "tones", "plan", "music", "frechet", "statistics", "memory", "seams", "drift", "knobs",
    "speed",
)  # fmt: skip
"""In the order in which they run."""
ON_DEMAND = ("plan",)
"""Sections that run only if they are named."""


def chosen(text: str | None, heldout: bool, music: bool) -> tuple[str, ...]:
    """Return the sections of a comma-separated list, in the order in which they run.

    `heldout` and `music` say which material is there. Without a list, returns all sections that have material, except
    those of `ON_DEMAND`. Raises ValueError on unknown names and on sections without material.
    """
    possible = {name for name in SECTIONS if (music if name == "music" else heldout)}
    if text is None:
        return tuple(name for name in SECTIONS if name in possible and name not in ON_DEMAND)
    names = {word.strip() for word in text.split(",") if word.strip()}
    unknown = sorted(names - set(SECTIONS))
    if unknown or not names:
        raise ValueError(f"no section {', '.join(unknown) or text!r}; known: {', '.join(SECTIONS)}")
    for name in sorted(names - possible):
        option = "--music" if name == "music" else "--heldout"
        raise ValueError(f"section {name} needs material; give {option} with a folder of music")
    return tuple(name for name in SECTIONS if name in names)


@dataclass(frozen=True)
class Amounts:
    """Numbers of pieces and lengths in seconds.

    The pocket stack takes about 20 minutes of one core, quick 3 minutes.
    """

    pieces: int = 24  # held-out tracks
    continuation: float = 30.0  # played after the context of each track
    stretch: float = 10.0  # from which one value of a statistic is computed
    feature: float = 2.0  # length of a window whose features are compared
    middle: float = 10.0  # length of each track's middle, on which the codec is judged
    minutes: float = 30.0  # length of the section drift's run without a break
    splits: int = 10  # random divisions of the tracks into thirds, for the Fréchet distance
    cells: int = 8  # pieces on which each knob is tried
    seeds: int = 4
    training_tracks: int = 64
    timed_blocks: int = 8
    tone_pieces: int = 12  # pieces whose notes are judged
    tone_context: float = 15.0  # least length of their contexts, rounded up to whole bars
    tone_bars: int = 16  # most bars that are played after a context
    tone_least_bars: int = 8  # least bars


FULL = Amounts()
QUICK = replace(
    FULL, pieces=12, continuation=8.0, stretch=4.0, minutes=1.0, splits=5, cells=2, seeds=3,
    training_tracks=8, timed_blocks=3, tone_pieces=4, tone_bars=8,
)  # fmt: skip
