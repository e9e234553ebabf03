"""A control's range, curve and inversion: from its position to the parameter's travel, and back. Pure.

Both are places from 0 to 1. Takeover compares positions, so that a control with a range takes over a value where it
stands. A value outside the range counts as its nearest end.
"""

from __future__ import annotations

import math

from jbdiff_live.binding import Bend, Binding
from jbdiff_live.parameters import BY_NAME


def travel_of(binding: Binding, position: float) -> float:
    """Return the parameter's travel for a position of the control."""
    if binding.inverted:
        position = 1.0 - position
    if binding.bend is Bend.SLOW:
        position *= position
    elif binding.bend is Bend.FAST:
        position = math.sqrt(position)
    if binding.span is None:
        return position
    low, high = _ends(binding)
    return low + position * (high - low)


def position_of(binding: Binding, travel: float) -> float:
    """Return the control's position for a travel of the parameter: the inverse of `travel_of`."""
    if binding.span is not None:
        low, high = _ends(binding)
        travel = min(1.0, max(0.0, (travel - low) / (high - low)))
    if binding.bend is Bend.SLOW:
        travel = math.sqrt(travel)
    elif binding.bend is Bend.FAST:
        travel *= travel
    return 1.0 - travel if binding.inverted else travel


def _ends(binding: Binding) -> tuple[float, float]:
    """Return the travel at both ends of the range."""
    assert binding.span is not None
    parameter = BY_NAME[binding.target]
    return parameter.to_normal(binding.span[0]), parameter.to_normal(binding.span[1])
