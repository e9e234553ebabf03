"""The tempi of the training music, as lengths of bars in codec tokens of 512 samples.

A beat is a whole number of tokens, so that training can repeat whole bars without moving the beat
(`jbdiff/train/modules/rollouts.py`). The tempi lie 3 to 8 beats a minute apart. A network that gets the place in the
bar can play tempi between two trained ones, but hardly any beyond the first and the last of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

HOP = 512
SAMPLE_RATE = 44_100
BEATS = 4  # in a bar, of four sixteenths each
TOKENS_PER_BAR = tuple(range(136, 241, 8))
"""From 152 beats a minute down to 86."""


def beats_per_minute(tokens_per_bar: int) -> float:
    return 60 * BEATS * SAMPLE_RATE / (HOP * tokens_per_bar)


def nearest_bar(beats_a_minute: float) -> int:
    """Return the tokens of the bar with the nearest tempo whose beats are whole tokens.

    Raises ValueError out of range.
    """
    if not 40 <= beats_a_minute <= 300:
        raise ValueError(f"a tempo of {beats_a_minute:g}; give 40 to 300 beats a minute")
    return BEATS * round(beats_per_minute(BEATS) / beats_a_minute)


def drawn_bar(seed: int, bars: Sequence[int]) -> int:
    """Draw the length of a seed's bars, in tokens, from `bars`. A length that comes twice is drawn twice as often."""
    return bars[int(len(bars) * np.random.default_rng(seed).random())]
