"""Bars of training music: from its description if it has one; otherwise estimated once from its latents.

An echo only needs the length of a bar. The clock of an anchor also needs the places of beats. So a track with a steady
beat is cut to begin on a beat. The bar of any other track is stored as a negative number: echoes use its length
(`echo_of` ignores the sign), and its clock counts as unknown.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from jbdiff.audio.beat import PARTS
from jbdiff.codecs.bands import CHANNELS
from jbdiff.codecs.tempo import component, estimated_place, estimated_tempo, onsets
from jbdiff.data.clips import MIX, Clips
from jbdiff.data.stems import FILE
from jbdiff.networks.anchor import BEATS
from jbdiff.stream.remembering.memory import likeliest_bar
from jbdiff.whole_file import replace_text

ESTIMATES = "bars.json"
MEASURED_SECONDS = 90.0  # from the middle of a track, for tempo and bar
# A track gets a clock if it lasts CLOCK_SECONDS or more, and its beat keeps its place over parts of PART_SECONDS.
CLOCK_SECONDS, PART_SECONDS, STEADY = 20.0, 8.0, 0.7
# Search range, as a share of the tempo on each side; its step, in turns over a track.
SEARCHED, FINENESS = 0.005, 0.25


@dataclass(frozen=True)
class Bar:
    """The bar of a track. `tokens`: its length, 0 if unknown. `first`: the token at which a beat begins.

    `clocked`: whether beats keep their place from there to the end.
    """

    tokens: float = 0.0
    first: int = 0
    clocked: bool = False


def described_tempo(name: str) -> tuple[float, bool]:
    """Return the tempo of a clip from `track.json`, and whether the clip is a mix that begins on a bar.

    The tempo is in beats a minute, 0 without a description. The mix of stems has its description in its own folder. A
    sound file has it in the folder of the file. Raises ValueError if the tempo of a description cannot be used.
    """
    source = Path(name.split(MIX)[0])
    for path, stems in ((source / FILE, True), (source.parent / FILE, False)):
        if path.is_file():
            return read_tempo(path), stems
    return 0.0, False


def read_tempo(path: Path) -> float:
    """Return `bpm` of a description, or 0 if it has none.

    Raises ValueError if the file is damaged or the number is outside 20..400.
    """
    try:
        bpm = json.loads(path.read_text(encoding="utf-8")).get("bpm", 0)
        bpm = float(bpm or 0)
    except (UnicodeDecodeError, json.JSONDecodeError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f'{path} is no description of a track: {error}; write {{"bpm": 120}}') from error
    if not (bpm == 0 or 20 <= bpm <= 400):
        raise ValueError(f"{path}: bpm {bpm:g} is outside 20..400; write the beats a minute")
    return bpm


def with_bars(clips: Clips, rate: float, cache: Path, shortest: int = 0) -> Clips:
    """Return the clips with their bars. `rate`: tokens a second. `cache`: folder in which estimates are kept.

    A steady track loses the tokens before its first beat, unless fewer than `shortest` tokens would be left.
    """
    bars = found_bars(clips, rate, cache)
    starts, lengths, signed = list(clips.starts), list(clips.lengths), []
    for index, bar in enumerate(bars):
        clocked = bar.clocked and lengths[index] - bar.first >= shortest
        if clocked:
            starts[index] += bar.first
            lengths[index] -= bar.first
        signed.append(bar.tokens if clocked else -bar.tokens)
    return replace(clips, starts=tuple(starts), lengths=tuple(lengths), bars=tuple(signed))


def found_bars(clips: Clips, rate: float, cache: Path) -> list[Bar]:
    """Return the bar of every clip.

    Bars are read from the cache if it fits; otherwise they are found and kept there.
    """
    tempi = [described_tempo(name) for name in clips.names]
    about = digest(clips, rate, tempi)
    path = cache / ESTIMATES
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if kept.get("about") == about:
        return [Bar(*row) for row in kept["bars"]]
    bars = []
    for index, (bpm, stems) in enumerate(tempi):
        if stems:
            bars.append(Bar(60 * BEATS * rate / bpm, 0, True) if bpm else Bar())
        else:
            latents = torch.from_numpy(np.asarray(clips.clip(index)[:, :CHANNELS], np.float32))
            bars.append(estimated_bar(latents, rate, bpm))
    rows = [[bar.tokens, bar.first, bar.clocked] for bar in bars]
    replace_text(path, json.dumps({"about": about, "bars": rows}))  # several processes may write the same
    return bars


def digest(clips: Clips, rate: float, tempi: list[tuple[float, bool]]) -> str:
    """Return a hash of the clips, of a sample of their latents and of their described tempi."""
    found = hashlib.sha256(json.dumps([clips.names, clips.lengths, rate, tempi]).encode())
    for index in range(len(clips)):
        clip = clips.clip(index)
        found.update(np.ascontiguousarray(clip[len(clip) // 2 : len(clip) // 2 + 1]).tobytes())
    return found.hexdigest()


def estimated_bar(bands: Tensor, rate: float, bpm: float = 0.0) -> Bar:
    """Estimate the bar of a track from its latents `[n, CHANNELS]`. `bpm`: its tempo, or 0 to estimate that too."""
    given = bpm > 0
    middle = bands[max(0, (len(bands) - round(MEASURED_SECONDS * rate)) // 2) :]
    middle = middle[: round(MEASURED_SECONDS * rate)]
    bpm = bpm or estimated_tempo(middle, 60 * rate)
    bar = 60 * BEATS * rate / bpm if bpm else 0.0
    if not given:
        bar = likeliest_bar(middle, bar, rate)
    # A clock counts bars of four beats. Two bars of two beats count as one; other bars cannot be used for a clock.
    beats = round(bar * bpm / (60 * rate))
    if beats == BEATS / 2:
        bar, beats = 2 * bar, BEATS
    if beats != BEATS or len(bands) < CLOCK_SECONDS * rate:
        return Bar(bar)
    per_token, steady = steady_beat(bands, BEATS / bar, round(PART_SECONDS * rate))
    if steady < STEADY:
        return Bar(bar)
    place = estimated_place(bands, per_token) - len(bands) * per_token  # of token 0, in beats
    return Bar(BEATS / per_token, round((-place % 1.0) / per_token), True)


def steady_beat(bands: Tensor, per_token: float, part: int) -> tuple[float, float]:
    """Return the beats a token, near `per_token`, that fit latents `[n, CHANNELS]` best, and their steadiness, 0..1.

    Each part of `part` tokens has a complex amplitude at the beat. Steadiness is the size of their sum over the sum of
    their sizes: 1 if the beat has the same place in every part.
    """
    rises = onsets(bands)
    steps = math.ceil(SEARCHED * per_token * len(bands) / FINENESS)
    near = per_token + torch.arange(-steps, steps + 1) * FINENESS / len(bands)
    strength = torch.zeros(len(near))
    for turns, weight in PARTS:
        strength += weight * component(rises, turns * near).abs()
    best = near[int(strength.argmax())]
    whole = len(rises) // part * part
    parts = rises[:whole].reshape(-1, part)
    # The half beats are not used: if a beat moves by half a beat, they stay where they are.
    angle = 2 * math.pi * best * torch.arange(whole).reshape(-1, part)
    found = (torch.polar(torch.ones_like(angle), -angle) * parts).sum(1)
    return float(best), float(found.sum().abs() / found.abs().sum().clamp_min(1e-9))
