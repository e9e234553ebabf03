"""The last sound once more, without a click: what is heard when there is no time to make anything. No torch."""

from __future__ import annotations

import numpy as np

from jbdiff_live.block import Audio

MATCH_FRAMES = 256  # 6 ms that are compared to find where the sound goes on best
SEARCH_FRAMES = 2048  # how much longer or shorter than asked the repeat may be
MEND_FRAMES = 256  # over which the step that is left is taken back


def once_more(heard: Audio, frames: int) -> Audio:
    """The end of `heard` `[n, channels]`, about `frames` long, chosen so that it follows on itself.

    It ends where `heard` ends: whatever would have come behind that comes behind the repeat as well. It begins
    where the sound before was most like the end, within `SEARCH_FRAMES`; the step that is left is spread out.
    Raises ValueError where there are not more than `frames`.
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
