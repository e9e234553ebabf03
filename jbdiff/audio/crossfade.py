"""Crossfades over the last axis. `fade_out` leaves, `fade_in` arrives; both of one shape `[..., n]`."""

from __future__ import annotations

import enum
import math

import torch
from torch import Tensor


class Crossfade(enum.Enum):
    """Which curve. LINEAR suits alike signals, EQUAL_POWER unlike ones."""

    LINEAR = "linear"
    EQUAL_POWER = "equal-power"
    V1_CONSTANT_POWER = "v1-constant-power"


def weights(length: int, curve: Crossfade) -> tuple[Tensor, Tensor]:
    """Gains of the leaving and of the arriving signal, each `[length]`, from (1, 0) to (0, 1).

    Linear gains add up to 1, so two equal signals pass unchanged. Equal-power gains add up to 1 when
    squared. V1_CONSTANT_POWER is sin against 1 - sin, as the first implementation had it: it dips to
    .707 and .293 in the middle, and is here for recorded results only.
    """
    ramp = torch.linspace(0.0, 1.0, length)
    if curve is Crossfade.LINEAR:
        return 1 - ramp, ramp
    arriving = torch.sin(math.pi / 2 * ramp)
    if curve is Crossfade.EQUAL_POWER:
        return torch.cos(math.pi / 2 * ramp), arriving
    return 1 - arriving, arriving


def crossfade(fade_out: Tensor, fade_in: Tensor, curve: Crossfade = Crossfade.LINEAR) -> Tensor:
    """The two signals mixed along their last axis; same shape."""
    if fade_out.shape != fade_in.shape:
        raise ValueError(f"fades differ in shape: {tuple(fade_out.shape)} and {tuple(fade_in.shape)}")
    leaving, arriving = weights(fade_out.shape[-1], curve)
    return fade_out * leaving.to(fade_out) + fade_in * arriving.to(fade_in)
