"""The last seconds of sound that a generator made, without and with the file itself in it. Engine thread. No torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jbdiff_live.block import CHANNELS, SAMPLE_RATE, Audio, Generated, Mono
from jbdiff_live.engine.voices.file_player import DryFile, DrySpot
from jbdiff_live.engine.voices.sources import Sources
from jbdiff_live.parameters import BY_NAME, ParameterSnapshot

HEARD_SECONDS = 12.0  # sound kept for the next stack to continue; two windows of v1 and of pocket are 4.5
HEARD_FRAMES = round(HEARD_SECONDS * SAMPLE_RATE)
DRY_FADE_SECONDS = 0.02  # of the file in the output, at a change of its level or place


class Sounded:
    """What was made. `heard` is the sound of the stacks alone, which they continue; `out` has the file in it.

    Both are the newest blocks, some `HEARD_SECONDS` of them, newest last. The tuples are replaced as a whole, so they
    may be kept as they are. A block without the file in it is the same array in both.
    """

    def __init__(self) -> None:
        self._dry = DryFile(round(DRY_FADE_SECONDS * SAMPLE_RATE))
        self.clear()

    def clear(self) -> None:
        """Forget all of it, for music that begins again."""
        self.go_on((), (), None)

    def go_on(self, heard: tuple[Audio, ...], out: tuple[Audio, ...], dry: DrySpot | None) -> None:
        """Take another past. dry: what the file in the output played last."""
        self.heard, self.out = heard, out
        self._dry.last = dry

    def fill_up(self, frames: int) -> None:
        """Put silence before the oldest sound, so that there are so many frames at least."""
        if (lacks := frames - self.frames) > 0:
            silence = np.zeros((lacks, CHANNELS), np.float32)
            self.heard, self.out = (silence, *self.heard), (silence, *self.out)

    @property
    def dry(self) -> DrySpot | None:
        """What the file in the output played last; None if nothing."""
        return self._dry.last

    @property
    def music(self) -> Audio:
        """The newest sound of the stacks alone, `[frames, channels]`, `HEARD_SECONDS` at most."""
        return _joined(self.heard)

    @property
    def all(self) -> Audio:
        """The same with the file in it."""
        return _joined(self.out)

    @property
    def frames(self) -> int:
        """Frames that are kept."""
        return sum(map(len, self.heard))

    def keep(
        self, made: Generated, snapshot: ParameterSnapshot, sources: Sources, latency_frames: int
    ) -> Generated:
        """Keep a block's sound. Return the block with the file in it, if File dry is up.

        latency_frames: of the stack. What is new in the block sounds so much later, and so does the file.
        """
        self.heard = _with(self.heard, made.samples)
        role = "init" if "init" in made.files else "context"
        place = made.files.get(role)
        if place is not None:
            place = replace(place, played=place.played - latency_frames)
        dry = self._dry.sound(sources.loaded(role), place, dry_gain(snapshot), len(made.samples))
        if dry is not None:
            made = replace(made, samples=made.samples + dry[:, None])
        self.out = _with(self.out, made.samples)
        return made

    def newest(self, frames: int) -> Mono:
        """Return the newest frames of the music, as mono `[frames]`, with silence before the first."""
        newest = np.zeros(frames, np.float32)
        played = self.music[-frames:]
        if len(played):
            newest[-len(played) :] = played.mean(axis=1)
        return newest


def _joined(pieces: tuple[Audio, ...]) -> Audio:
    return np.concatenate(pieces)[-HEARD_FRAMES:] if pieces else np.zeros((0, CHANNELS), np.float32)


def _with(pieces: tuple[Audio, ...], samples: Audio) -> tuple[Audio, ...]:
    """Return the pieces and the newest block, without blocks that `HEARD_SECONDS` do not reach."""
    pieces = (*pieces, samples)
    total = sum(map(len, pieces))
    while total - len(pieces[0]) >= HEARD_FRAMES:
        total -= len(pieces[0])
        pieces = pieces[1:]
    return pieces


def dry_gain(snapshot: ParameterSnapshot) -> float:
    """Return the gain of the file in the output."""
    knob = BY_NAME["file_dry"]
    decibels = snapshot.values.get(knob.name, knob.low)  # logs of older takes lack it
    return 0.0 if decibels <= knob.low else 10.0 ** (decibels / 20.0)
