"""Measures each piece of the section *tones*: context, truth, truth after the codec's round trip, and continuation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jbdiff.evaluate.excerpts import Excerpt
from jbdiff.evaluate.metrics.beat import beat_pulse
from jbdiff.evaluate.metrics.changes import HOP, band_levels, cells, change, contrast
from jbdiff.evaluate.metrics.constant_q import constant_q
from jbdiff.evaluate.metrics.loudness import loudness
from jbdiff.evaluate.metrics.tones import (
    ToneFigures,
    judge_installed,
    tone_figures,
    tones_over_time,
    transcribe,
)
from jbdiff.evaluate.playing import Player
from jbdiff.evaluate.yardsticks import round_trip
from jbdiff.untyped import JsonDict

GROUP = 4  # bars; music is compared with itself one bar earlier and one group earlier
STRETCH = 2  # bars of one value over time
# Of context before the truth in the codec's round trip, so that the truth does not begin at an edge.
MARGIN_TOKENS = 64
PICTURE_SECONDS = 8.0


@dataclass(frozen=True)
class SoundFigures:
    """Figures of one sound.

    Without the transcriber, `tones` is None and `by_bars` (one entry for every two bars) is empty. `pulse`: 0..1.
    `contrast`: dB. `change`: mean squares of level differences (dB squared), from bar to bar and from four bars to the
    next four; None if the sound is too short. `loudness`: LUFS.
    """

    tones: ToneFigures | None
    by_bars: Sequence[ToneFigures]
    pulse: float
    contrast: float
    change: tuple[float | None, float | None]
    loudness: float

    def as_dict(self) -> JsonDict:
        """Return the fields by name, for JSON."""
        return {
            "tones": None if self.tones is None else self.tones.as_dict(),
            "by_bars": [figures.as_dict() for figures in self.by_bars],
            "pulse": self.pulse,
            "contrast": self.contrast,
            "change": list(self.change),
            "loudness": self.loudness,
        }


@dataclass(frozen=True)
class Judged:
    """Figures of one piece. `coded` holds those of the truth after the codec's round trip.

    `bar`: seconds. `pictures`: constant-Q levels `[rows, t]` of the end of the context, the beginning of the truth and
    the beginning of the continuation.
    """

    name: str
    bar: float
    bars: int
    context: SoundFigures
    truth: SoundFigures
    coded: SoundFigures
    played: SoundFigures
    pictures: tuple[Tensor, ...] = ()

    def as_dict(self) -> JsonDict:
        """Return the fields except the pictures by name, for JSON."""
        sounds = {name: getattr(self, name).as_dict() for name in ("context", "truth", "coded", "played")}
        return {"name": self.name, "bar_seconds": self.bar, "bars": self.bars} | sounds


def measure(audio: Tensor, sample_rate: int, bar: float, notes: bool) -> SoundFigures:
    """Return the figures of audio `[channels, n]` with bars of `bar` seconds. If `notes` is true, transcribe it too."""
    mono = audio.mean(0)
    tones, by_bars = None, []
    if notes:
        transcription = transcribe(mono, sample_rate)
        tones, by_bars = tone_figures(transcription), tones_over_time(transcription, STRETCH * bar)
    levels = band_levels(mono, sample_rate)
    sixteenths = cells(levels, bar * sample_rate / HOP)
    both = audio if audio.shape[0] == 2 else mono.expand(2, -1)  # both loudspeakers play a mono sound
    return SoundFigures(
        tones,
        by_bars,
        beat_pulse(mono, sample_rate),
        contrast(levels),
        (change(sixteenths, 1), change(sixteenths, GROUP)),
        loudness(both, sample_rate),
    )


def judge_excerpts(
    player: Player,
    excerpts: Sequence[Excerpt],
    report: Callable[[str], None],
    keep: Callable[[int, Tensor], None],
) -> list[Judged]:
    """Let the stack continue every excerpt, each with its own seed, and return the figures.

    `keep` receives the number of the excerpt and the continuation `[channels, n]`.
    """
    rate, notes = player.sample_rate, judge_installed()
    shown, found = int(PICTURE_SECONDS * rate), []
    for seed, excerpt in enumerate(excerpts):
        played = player.play(excerpt.context.mean(0), excerpt.truth.shape[1], player.settings(seed))
        keep(seed, played)
        context, truth, through_codec, own = (
            measure(sound, rate, excerpt.bar, notes)
            for sound in (excerpt.context, excerpt.truth, coded(player, excerpt), played)
        )
        parts = (excerpt.context[:, -shown:], excerpt.truth[:, :shown], played[:, :shown])
        pictures = tuple(constant_q(part.mean(0), rate) for part in parts)
        found.append(
            Judged(excerpt.name, excerpt.bar, excerpt.bars, context, truth, through_codec, own, pictures)
        )
        report(f"  judged {seed + 1} of {len(excerpts)}: {excerpt.name}, {excerpt.bars} bars")
    return found


def coded(player: Player, excerpt: Excerpt) -> Tensor:
    """Return the truth after the codec's round trip, mono `[1, n]`, cut to whole tokens."""
    stack = player.stream.stack
    before = excerpt.context.mean(0)[-MARGIN_TOKENS * stack.codec.hop(stack.levels[0]) :]
    return round_trip(stack, torch.cat([before, excerpt.truth.mean(0)]))[len(before) :][None]
