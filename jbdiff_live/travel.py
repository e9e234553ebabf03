"""The travel of the knob Noise: equal turns make equal audible differences. Constant; nothing blocks.

The table was measured with `scripts/measure_noise` on twelve sounds; docs/noise.md says how. It changes no value in
patches, logs or the model. It only gives the place of a value on the knob.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

STEPS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)
# For each step in `STEPS`: its audible distance, as a share of the distance at step 1.
NOISE_TRAVEL = (0.0, 0.097, 0.189, 0.279, 0.367, 0.453, 0.54, 0.627, 0.718, 0.817, 0.878, 0.928, 1.0)


def between(at: float, froms: Sequence[float], tos: Sequence[float]) -> float:
    """Interpolate linearly from one rising table to the other. The ends are exact."""
    if at <= froms[0]:
        return tos[0]
    if at >= froms[-1]:
        return tos[-1]
    right = bisect_right(froms, at)
    left = right - 1
    share = (at - froms[left]) / (froms[right] - froms[left])
    return tos[left] + share * (tos[right] - tos[left])


def even_value(position: float) -> float:
    """Return the noise step at a place 0..1 of the knob's travel."""
    return between(position, NOISE_TRAVEL, STEPS)


def even_position(step: float) -> float:
    """Return the place 0..1 of a noise step in the knob's travel: the inverse of `even_value`."""
    return between(step, STEPS, NOISE_TRAVEL)
