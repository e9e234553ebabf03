"""The last seconds of sound that a generator made, without and with the file itself in it. Engine thread. No torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jbdiff_live.block import CHANNELS, SAMPLE_RATE, Audio, Generated
from jbdiff_live.engine.voices.file_player import DryFile, DrySpot, file_of
from jbdiff_live.engine.voices.sources import Mono, Sources
from jbdiff_live.parameters import BY_NAME, ParameterSnapshot

HEARD_SECONDS = 12.0  # sound kept for the next stack to continue; two windows of v1 and of pocket are 4.5
DRY_FADE_SECONDS = 0.02  # of the file in the output, at a change of its level or place


class Sounded:
    """What was made. `music` is the sound of the stacks alone, which they continue; `all` is the whole sound.

    Both are `[frames, channels]`, newest last.
    """

    def __init__(self) -> None:
        self._dry = DryFile(round(DRY_FADE_SECONDS * SAMPLE_RATE))
        self.clear()

    def clear(self) -> None:
        """Forget all of it, for music that begins again."""
        self.go_on(np.zeros((0, CHANNELS), np.float32), None)

    def go_on(self, sound: Audio, dry: DrySpot | None) -> None:
        """Take another past. dry: what the file in the output played last."""
        self.music = self.all = sound
        self._dry.last = dry

    @property
    def dry(self) -> DrySpot | None:
        """What the file in the output played last; None if nothing."""
        return self._dry.last

    def keep(
        self, made: Generated, snapshot: ParameterSnapshot, sources: Sources, latency_frames: int
    ) -> Generated:
        """Keep a block's sound. Return the block with the file in it, if File dry is up.

        latency_frames: of the stack. What is new in the block sounds so much later, and so does the file.
        """
        kept = round(HEARD_SECONDS * SAMPLE_RATE)
        self.music = np.concatenate([self.music, made.samples])[-kept:]
        role = "init" if "init" in made.files else "context"
        place = made.files.get(role)
        if place is not None:
            place = replace(place, played=place.played - latency_frames)
        dry = self._dry.sound(file_of(sources, role), place, dry_gain(snapshot), len(made.samples))
        if dry is not None:
            made = replace(made, samples=made.samples + dry[:, None])
        self.all = np.concatenate([self.all, made.samples])[-kept:]
        return made

    def newest(self, frames: int) -> Mono:
        """Return the newest frames of the music, as mono `[frames]`, with silence before the first."""
        newest = np.zeros(frames, np.float32)
        played = self.music[-frames:]
        if len(played):
            newest[-len(played) :] = played.mean(axis=1)
        return newest


def dry_gain(snapshot: ParameterSnapshot) -> float:
    """Return the gain of the file in the output."""
    knob = BY_NAME["file_dry"]
    decibels = snapshot.values.get(knob.name, knob.low)  # logs of older takes lack it
    return 0.0 if decibels <= knob.low else 10.0 ** (decibels / 20.0)
