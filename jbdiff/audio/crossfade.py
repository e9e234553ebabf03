"""Crossfades over the last axis: the sound `fade_out` ends while `fade_in` begins. Both have one shape `[..., n]`."""

from __future__ import annotations

import enum
import math

import torch
from torch import Tensor


class Crossfade(enum.Enum):
    """The curve of a crossfade. LINEAR suits two similar signals, EQUAL_POWER two unrelated ones."""

    LINEAR = "linear"
    EQUAL_POWER = "equal-power"
    V1_CONSTANT_POWER = "v1-constant-power"


def weights(length: int, curve: Crossfade) -> tuple[Tensor, Tensor]:
    """Return the gains of the ending and of the beginning signal, `[length]` each, from (1, 0) to (0, 1).

    Linear gains add up to 1, so two equal signals pass unchanged. The squares of equal-power gains add up to 1.
    V1_CONSTANT_POWER is sin and 1 - sin, as in the first implementation: in the middle they are .707 and .293. It
    serves to repeat recorded results only.
    """
    ramp = torch.linspace(0.0, 1.0, length)
    if curve is Crossfade.LINEAR:
        return 1 - ramp, ramp
    arriving = torch.sin(math.pi / 2 * ramp)
    if curve is Crossfade.EQUAL_POWER:
        return torch.cos(math.pi / 2 * ramp), arriving
    return 1 - arriving, arriving


def crossfade(fade_out: Tensor, fade_in: Tensor, curve: Crossfade = Crossfade.LINEAR) -> Tensor:
    """Return the crossfade of two signals `[..., n]` along their last axis, `[..., n]`.

    Raises ValueError if their shapes differ.
    """
    if fade_out.shape != fade_in.shape:
        raise ValueError(f"fades differ in shape: {tuple(fade_out.shape)} and {tuple(fade_in.shape)}")
    leaving, arriving = weights(fade_out.shape[-1], curve)
    return fade_out * leaving.to(fade_out) + fade_in * arriving.to(fade_in)
