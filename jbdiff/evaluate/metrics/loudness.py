"""Loudness in LUFS as people perceive it, gated, as ITU-R BS.1770-4 and EBU R 128 define it.

The code is our own, because it is only forty lines of torch and a package would be one more dependency. It is tested
against the standard's reference tone and gating examples (EBU Tech 3341).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

BLOCK_SECONDS, STEP_SECONDS = 0.4, 0.1
OFFSET = -0.691  # dB: a sine of 997 Hz at 0 dBFS in one channel reads -3.01 LUFS
ABSOLUTE_GATE, RELATIVE_GATE = -70.0, -10.0
SILENCE = -120.0  # LUFS that stand for silence, whose loudness is not defined
# The two filters of BS.1770: a shelf for the effect of the head, and a high pass. These frequencies, gains and
# qualities give the standard's coefficients at 48 kHz, and the same curves at any other rate (Mansbridge et al. 2012).
SHELF_HZ, SHELF_DECIBELS, SHELF_QUALITY = 1681.974450955533, 3.999843853973347, 0.7071752369554196
PASS_HZ, PASS_QUALITY = 38.13547087602444, 0.5003270373238773
SHELF_BEND = 0.4996667741545416


def _weighting(hertz: Tensor, sample_rate: int) -> Tensor:
    """Return the power gain `[k]` of both digital filters at frequencies `[k]` in Hz."""
    turn = torch.polar(torch.ones_like(hertz), -2 * math.pi * hertz / sample_rate)  # z^-1

    def response(numerator: tuple[float, ...], denominator: tuple[float, ...]) -> Tensor:
        above = sum(value * turn**power for power, value in enumerate(numerator))
        below = sum(value * turn**power for power, value in enumerate(denominator))
        return torch.as_tensor(above / below).abs().square()

    k, q = math.tan(math.pi * SHELF_HZ / sample_rate), SHELF_QUALITY
    high = 10 ** (SHELF_DECIBELS / 20)
    band = high**SHELF_BEND
    shelf = (high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k)
    shelf_gain = response(shelf, (1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k))
    k, q = math.tan(math.pi * PASS_HZ / sample_rate), PASS_QUALITY
    scale = 1 + k / q + k * k
    pass_gain = response((1.0, -2.0, 1.0), (1.0, 2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale))
    return shelf_gain * pass_gain


def loudness(audio: Tensor, sample_rate: int) -> float:
    """Return the integrated loudness in LUFS of `[channels, n]`, mono or stereo (each channel weighs 1), or of `[n]`.

    A sound shorter than a block of 0.4 s is measured without a gate. Returns -120 for silence.
    """
    sound = torch.atleast_2d(audio).double()
    samples = sound.shape[1]
    # The filter multiplies the spectrum. A second of silence at the end keeps its tail from wrapping around.
    size = samples + sample_rate
    gain = _weighting(torch.arange(size // 2 + 1, dtype=torch.float64) * sample_rate / size, sample_rate)
    weighted = torch.fft.irfft(torch.fft.rfft(sound, size) * gain.sqrt(), size)[:, :samples]
    power = torch.cat([torch.zeros(1, dtype=torch.float64), weighted.square().sum(0).cumsum(0)])
    block = min(samples, round(BLOCK_SECONDS * sample_rate))
    starts = torch.arange(0, samples - block + 1, round(STEP_SECONDS * sample_rate))
    blocks = (power[starts + block] - power[starts]) / max(1, block)
    levels = OFFSET + 10 * blocks.clamp_min(1e-30).log10()
    kept = blocks[levels > ABSOLUTE_GATE]
    if not len(kept):
        return SILENCE
    gate = OFFSET + 10 * math.log10(float(kept.mean())) + RELATIVE_GATE
    kept = blocks[(levels > ABSOLUTE_GATE) & (levels > gate)]
    return OFFSET + 10 * math.log10(float(kept.mean()))
