"""Repeat the last sound without a click, if there is no time to make a block. No torch."""

from __future__ import annotations

import numpy as np

from jbdiff_live.block import Audio

MATCH_FRAMES = 256  # 6 ms that are compared to find the best match
SEARCH_FRAMES = 2048  # the repeat may be this much longer or shorter than asked
MEND_FRAMES = 256  # frames over which the remaining step is faded out


def once_more(heard: Audio, frames: int) -> Audio:
    """Return the end of `heard`, `[n, channels]`, about `frames` long, cut so that it continues itself.

    It ends with the last frame of `heard`, so the next block continues the repeat too. It begins at the frame, within
    `SEARCH_FRAMES`, where the sound before it is most like the end. The remaining step is spread out.
    ValueError: `heard` has no more than `frames` frames.
    """
    if len(heard) <= frames:
        raise ValueError(f"{len(heard)} frames of sound: a repeat of {frames} needs more")
    shortest = max(1, frames - SEARCH_FRAMES)
    longest = min(len(heard) - 1, frames + SEARCH_FRAMES)
    match = min(MATCH_FRAMES, len(heard) - longest)
    end = heard[len(heard) - match :].mean(axis=1)
    before = heard[len(heard) - longest - match : len(heard) - shortest].mean(axis=1)
    candidates = np.lib.stride_tricks.sliding_window_view(before, match)
    best = int(((candidates - end) ** 2).sum(axis=1).argmin())
    begin = len(heard) - longest + best
    again = heard[begin:].copy()
    mend = min(MEND_FRAMES, len(again))
    phase = (np.arange(mend) + 1) / (mend + 1)
    again[:mend] += (heard[-1] - heard[begin - 1]) * (0.5 + 0.5 * np.cos(np.pi * phase))[:, None]
    return again.astype(np.float32)
