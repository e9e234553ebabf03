"""One-shots and loops: the CC0 samples of Sonic Pi, and the synthetic drums. A process loads each of them once."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
from noises import MADE
from score import OneShot
from sounds import Audio, synthetic_hat, synthetic_kick, synthetic_snare
from tempi import SAMPLE_RATE

SAMPLES = Path("/usr/share/sonic-pi/samples")

# The uploader's CC0 tag does not clear the famous breaks that these three seem to be cut from.
UNCLEARED = {"loop_amen", "loop_amen_full", "loop_breakbeat"}
FADE = 0.35  # share of a one-shot that fades out


@lru_cache(maxsize=256)
def sample(name: str) -> Audio:
    """A Sonic Pi sample at 44.1 kHz, stereo."""
    audio, rate = soundfile.read(SAMPLES / f"{name}.flac", dtype="float32", always_2d=True)
    if rate != SAMPLE_RATE:
        audio = soxr.resample(audio, rate, SAMPLE_RATE)
    return np.ascontiguousarray(np.repeat(audio, 2, 1)[:, :2].T if audio.shape[1] == 1 else audio[:, :2].T)


def sample_names(*prefixes: str) -> list[str]:
    found = sorted(path.stem for path in SAMPLES.glob("*.flac") if path.stem.startswith(prefixes))
    return [name for name in found if name not in UNCLEARED]


def varispeed(audio: Audio, ratio: float) -> Audio:
    """Faster and higher by `ratio`, by linear interpolation."""
    place = np.arange(int(audio.shape[1] / ratio)) * ratio
    left = np.clip(place.astype(int), 0, audio.shape[1] - 2)
    mix = (place - left).astype(np.float32)
    return audio[:, left] * (1 - mix) + audio[:, left + 1] * mix


@lru_cache(maxsize=512)
def one_shot(sound: OneShot) -> Audio:
    """A sound of a kit at its speed and length, with a peak of 1 and a faded end."""
    if sound.source in UNCLEARED:
        raise ValueError(f"{sound.source} is not cleared (docs/data.md); name another sample")
    rng = np.random.default_rng(sound.seed)
    if sound.source == "kick":
        audio = synthetic_kick(rng)
    elif sound.source == "snare":
        audio = synthetic_snare(rng)
    elif sound.source in ("hat", "open_hat"):
        audio = synthetic_hat(rng, sound.source == "open_hat")
    elif sound.source in MADE:
        audio = MADE[sound.source](rng)
    else:
        audio = sample(sound.source)
    if sound.speed != 1.0:
        audio = varispeed(audio, sound.speed)
    audio = audio[:, : int(sound.seconds * SAMPLE_RATE)].copy()
    fade = int(FADE * audio.shape[1])
    audio[:, audio.shape[1] - fade :] *= np.linspace(1, 0, fade, dtype=np.float32) ** 2
    return audio / max(1e-6, float(np.abs(audio).max()))
