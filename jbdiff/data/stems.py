"""Stems and how they are mixed: a folder for each track, with `track.json` beside its sounds.

`scripts/render_data` writes such folders, and anybody's stems can be described in the same way. A mix is a function of
(track, number). Number 0 is the mix that `track.json` describes. Every other number is another mix of the same music,
with other levels, places, brightness and rooms. Parts may be left out. If the track has drums, they may come from
another track of the same tempo. Keys are changed later, in the latents (`bands.transposed`). numpy and torch only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from jbdiff.audio.files import read_audio

FILE = "track.json"
Audio = NDArray[np.float32]
DRUMS = ("kick", "drums", "perc")
# How far and how often other mixes change a stem.
GAIN_DECIBELS, BRIGHTNESS_DECIBELS, PLACE = 4.0, 5.0, 0.3
LEFT_OUT, OTHER_DRUMS, OTHER_DUCKING = 0.12, 0.4, 0.3
TILT_HERTZ = 900.0
DUCK_SECONDS, DUCK_FALL = 0.25, 0.08
REPEATS, REPEAT_GAIN = 5, 0.6  # of the delay
MOST_SIDE = 0.6  # level of the side, as a share of the middle's
LOUDEST = 0.98
LONGEST_SECONDS = 1800.0  # most of a stem, because all stems of a track are in memory together
FFT_UNIT = 1 << 16


@dataclass(frozen=True)
class Stem:
    """One sound of a track: `gain` of its file, `pan` -1..1, and its sends to `reverb` and `delay`, 0..1.

    `ducked` parts become softer at each kick.
    """

    file: str
    part: str
    gain: float = 1.0
    reverb: float = 0.0
    delay: float = 0.0
    pan: float = 0.0
    ducked: bool = False


@dataclass(frozen=True)
class StemTrack:
    """The content of `track.json` that mixing and training use.

    `kicks` are times in seconds. `sections`, in classic tracks, say for every eight bars which parts play.
    """

    stems: tuple[Stem, ...]
    seed: int = 0
    style: str = ""
    seconds: float = 0.0
    bpm: float = 120.0
    tokens_per_bar: int = 0
    key: int = 0
    scale: str = ""
    bars_per_chord: int = 0
    progression: tuple[int, ...] = ()
    sections: dict[str, tuple[bool, ...]] = field(default_factory=dict)
    kicks: tuple[float, ...] = ()
    folder: Path = Path()

    @property
    def name(self) -> str:
        """Name of the track: that of its folder."""
        return self.folder.name


def is_stems(folder: Path) -> bool:
    """Whether a folder holds folders of stems."""
    return any(folder.glob(f"*/{FILE}"))


def is_of_stems(path: Path) -> bool:
    """Whether this `track.json` describes stems. If it only holds a tempo, it describes whole tracks beside it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f'{path} is no description of a track: {error}; write {{"bpm": 120}}') from error
    return isinstance(content, dict) and "stems" in content


def deeper_stems(folder: Path) -> Path | None:
    """Return a folder below `folder` that holds folders of stems; None if no such folder lies there."""
    for path in sorted(folder.glob(f"*/**/{FILE}")):
        try:
            if is_of_stems(path):
                return path.parent.parent
        except (OSError, ValueError, RecursionError):
            continue  # the reader of this file reports what is wrong with it
    return None


def find_tracks(folder: Path) -> list[StemTrack]:
    """Return the tracks of a folder, sorted by name. Raises ValueError on a damaged or incomplete `track.json`."""
    found = []
    for path in sorted(folder.glob(f"*/{FILE}")):
        if path.parent.suffix == ".part":  # an interrupted rendering
            continue
        try:
            track = msgspec.json.decode(path.read_bytes(), type=StemTrack)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ValueError(f"{path}: {error}; render the track again, or mend the file") from error
        if not track.stems:
            raise ValueError(f"{path} names no stems; name some, or remove the folder")
        if any(Path(stem.file).name != stem.file for stem in track.stems):
            raise ValueError(f"{path}: stems lie beside it; give names without folders")
        found.append(replace(track, folder=path.parent))
    return found


@dataclass(frozen=True)
class _Channel:
    """A stem with its settings in one mix."""

    stem: Stem
    folder: Path
    brightness: float = 0.0


def mix(track: StemTrack, number: int, others: Sequence[StemTrack], sample_rate: int) -> Audio:
    """Return mix `number` of a track, `[frames, 2]`, with a peak of at most 0.98. Drums may come from `others`.

    Raises OSError and ValueError for stems that cannot be read, as `read_audio` does.
    """
    rng = np.random.default_rng((track.seed, number))
    channels, kicks = _channels(track, number, others, rng)
    loaded = [
        read_audio(channel.folder / channel.stem.file, sample_rate, LONGEST_SECONDS)[0]
        for channel in channels
    ]
    frames = max(len(audio) for audio in loaded)
    if track.seconds:
        frames = min(frames, round(track.seconds * sample_rate))
    dry, to_reverb, to_delay = (np.zeros((2, frames), np.float32) for _ in range(3))
    duck = _duck(kicks, frames, sample_rate, rng.uniform(0.4, 0.75))
    for channel, audio in zip(channels, loaded, strict=True):
        stem = channel.stem
        sound = np.zeros((2, frames), np.float32)
        sound[:, : len(audio)] = (audio if audio.shape[1] == 2 else audio[:, :1].repeat(2, 1))[:frames].T
        if channel.brightness:
            sound = _tilted(sound, channel.brightness, sample_rate)
        if stem.ducked:
            sound = sound * duck
        left, right = min(1.0, 1 - stem.pan) * stem.gain, min(1.0, 1 + stem.pan) * stem.gain
        sound = sound * np.array([[left], [right]], np.float32)
        dry += sound
        to_reverb += stem.reverb * sound
        to_delay += stem.delay * sound
    total = dry + 0.6 * _convolved(to_reverb, _room(sample_rate, rng))
    echo, step = to_delay.mean(0), round(3 * 60 / (4 * track.bpm) * sample_rate)
    for repeat in range(1, REPEATS + 1):
        if 0 < repeat * step < frames:
            total[repeat % 2, repeat * step :] += echo[: frames - repeat * step] * REPEAT_GAIN**repeat
    return np.ascontiguousarray(_mastered(total, rng.uniform(0.13, 0.18)).T)


def _channels(
    track: StemTrack, number: int, others: Sequence[StemTrack], rng: np.random.Generator
) -> tuple[list[_Channel], tuple[float, ...]]:
    """Return the stems of the mix with its changes, and the times of the kicks for ducking."""
    own = [_Channel(stem, track.folder) for stem in track.stems]
    kicks = track.kicks
    if not number:
        return own, kicks
    alike = [other for other in others if abs(other.bpm - track.bpm) < 1e-3 and other.name != track.name]
    if alike and rng.random() < OTHER_DRUMS:
        other = alike[int(rng.integers(len(alike)))]
        drums = [_Channel(stem, other.folder) for stem in other.stems if stem.part in DRUMS]
        # Music without drums gets none.
        if drums and any(stem.part in DRUMS for stem in track.stems):
            own = [channel for channel in own if channel.stem.part not in DRUMS] + drums
            kicks = other.kicks
    kept = [channel for channel in own if rng.random() >= LEFT_OUT] or own
    flip = rng.random() < OTHER_DUCKING
    return [_changed(channel, flip, rng) for channel in kept], kicks


def _changed(channel: _Channel, flip_ducking: bool, rng: np.random.Generator) -> _Channel:
    stem = channel.stem
    stem = replace(
        stem,
        gain=stem.gain * 10 ** (rng.uniform(-GAIN_DECIBELS, GAIN_DECIBELS) / 20),
        pan=float(
            np.clip(stem.pan + rng.uniform(-PLACE, PLACE) * (stem.part not in ("kick", "bass")), -1, 1)
        ),
        reverb=stem.reverb * rng.uniform(0.3, 2.0),
        delay=stem.delay * rng.uniform(0.0, 1.5),
        ducked=stem.ducked != (flip_ducking and stem.part in ("bass", "pad", "keys", "lead")),
    )
    return replace(channel, stem=stem, brightness=float(rng.uniform(-1, 1) * BRIGHTNESS_DECIBELS))


def _duck(kicks: Sequence[float], frames: int, sample_rate: int, depth: float) -> Audio:
    """Return the side-chain gain `[frames]`: down with each kick, back after about a quarter of a second."""
    fall = np.arange(int(DUCK_SECONDS * sample_rate)) / (DUCK_FALL * sample_rate)
    dip = (1 - depth * np.exp(-fall)).astype(np.float32)
    gain = np.ones(frames, np.float32)
    for time in kicks:
        start = round(time * sample_rate)
        length = min(len(dip), frames - start)
        if length > 0:
            gain[start : start + length] = np.minimum(gain[start : start + length], dip[:length])
    return gain


def _tilted(sound: Audio, brightness: float, sample_rate: int) -> Audio:
    """Apply a shelf around `TILT_HERTZ`: `brightness` dB from low to high, half of it down and half of it up."""
    spectrum = torch.fft.rfft(torch.from_numpy(sound), -(-sound.shape[1] // FFT_UNIT) * FFT_UNIT)
    hertz = torch.linspace(0, sample_rate / 2, spectrum.shape[1])
    share = hertz / (hertz + TILT_HERTZ)
    gain = 10 ** (brightness * (share - 0.5) / 20)
    tilted: Audio = torch.fft.irfft(spectrum * gain)[:, : sound.shape[1]].numpy()
    return tilted


def _room(sample_rate: int, rng: np.random.Generator) -> Audio:
    """Return an impulse response `[2, n]`: fading noise, duller or brighter, with energy 1."""
    length = int(rng.uniform(0.5, 1.6) * sample_rate)
    impulse = rng.standard_normal((2, length)) * np.exp(-6.9 * np.arange(length) / length)
    smooth = np.exp(-np.arange(64) / rng.uniform(3, 15))
    impulse = np.stack([np.convolve(row, smooth)[:length] for row in impulse])
    unit: Audio = (impulse / np.sqrt((impulse**2).sum(1, keepdims=True))).astype(np.float32)
    return unit


def _convolved(sound: Audio, impulse: Audio) -> Audio:
    # The size is a multiple of a power of two, because other sizes take many times as long.
    size = -(-(sound.shape[1] + impulse.shape[1]) // FFT_UNIT) * FFT_UNIT
    spectrum = torch.fft.rfft(torch.from_numpy(sound), size) * torch.fft.rfft(torch.from_numpy(impulse), size)
    convolved: Audio = torch.fft.irfft(spectrum, size)[:, : sound.shape[1]].numpy()
    return convolved


def _mastered(total: Audio, level: float) -> Audio:
    """Bring a mix to a level (RMS) and clip it softly. The side is limited, so that a mono mix keeps everything."""
    total = total - total.mean(1, keepdims=True)
    middle, side = total.sum(0) / 2, (total[0] - total[1]) / 2
    side *= min(1.0, MOST_SIDE * float(np.sqrt((middle**2).mean() / ((side**2).mean() + 1e-12))))
    total = np.stack([middle + side, middle - side])
    total = np.tanh(total * (level / float(np.sqrt((total**2).mean()) + 1e-9)) * 1.1) / 1.1
    return (total * min(1.0, LOUDEST / max(1e-9, float(np.abs(total).max())))).astype(np.float32)
