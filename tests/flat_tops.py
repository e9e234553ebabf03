"""Clipping, told apart from a loud tone: a limit leaves many stretches of several samples at one height."""

from __future__ import annotations

import numpy as np

LENGTH = 3  # samples: a tone has two equal ones at its crest now and then
PLACES = 3  # one flat top may be chance


def flat_tops(sound: np.ndarray) -> int:
    """Places in `[frames, channels]` where `LENGTH` samples or more lie at the highest or lowest value of a channel."""
    count = 0
    for channel in sound.T:
        for side in (channel, -channel):
            top = side == side.max()
            if side.max() <= 0:
                continue
            run = top[: len(top) - LENGTH + 1].copy()
            for offset in range(1, LENGTH):
                run &= top[offset : len(top) - LENGTH + 1 + offset]
            count += int(np.count_nonzero(run & ~np.concatenate([[False], run[:-1]])))
    return count


def is_clipped(sound: np.ndarray) -> bool:
    """Whether a limit has cut the sound off."""
    return flat_tops(sound) >= PLACES
