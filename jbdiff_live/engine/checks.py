"""The checks of a block before it is played. Engine thread. No torch."""

from __future__ import annotations

import numpy as np

from jbdiff_live.block import Audio, Rung

LOUDEST = 16.0  # 24 dB over full scale: the limiter copes with less, and no music is more
REPEAT_SLACK = 0.5  # a repeat is cut at the best match, so its length differs from a block's


class BadBlock(RuntimeError):
    """A stack made a block that cannot be played. The text gives the remedy."""


def check(samples: Audio, rung: Rung, frames: int, channels: int) -> None:
    """Raise BadBlock unless `samples` is a block: float `[frames, channels]`, finite and not absurdly loud."""
    if samples.ndim != 2 or samples.shape[1] != channels or not _length_fits(len(samples), rung, frames):
        raise BadBlock(
            f"the stack made a block of shape {list(samples.shape)} instead of {[frames, channels]}; "
            "choose another stack and press start"
        )
    loudest = float(np.abs(samples).max())
    if not np.isfinite(loudest):
        raise BadBlock(
            "the model made a block that is not finite; lower guidance, or load another patch, and press start"
        )
    if loudest > LOUDEST:
        raise BadBlock(
            f"the model made a block {20 * np.log10(loudest):.0f} dB over full scale; lower guidance, or load another "
            "patch, and press start"
        )


def _length_fits(length: int, rung: Rung, frames: int) -> bool:
    if rung is Rung.REPEAT:
        return abs(length - frames) <= REPEAT_SLACK * frames
    return length == frames
