"""A value that the player types: read with its unit, or refused in the player's own words. Pure."""

from __future__ import annotations

import math

from jbdiff_live.knobs.parameter import Parameter

LONGEST = 12  # letters of what was typed that a refusal repeats


def range_text(parameter: Parameter) -> str:
    """Return the range in the units that the player sees: "from 0.00 to 1.00"."""
    low, high = parameter.text(parameter.low), parameter.text(parameter.high)
    if parameter.silent_at_low:
        low = f"{parameter.low:.1f} {parameter.unit} (silence)"
    return f"from {low} to {high}"


def typed_value(parameter: Parameter, text: str) -> float:
    """Return the value of a text such as "0,3" or "-12 dB". ValueError names the knob and its range."""
    plain = text.strip().replace(",", ".").replace("\N{MINUS SIGN}", "-")
    plain = plain.removesuffix(parameter.unit).strip()
    seen = text.strip()[:LONGEST] or "nothing"
    try:
        value = float(plain)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise ValueError(f"{parameter.label} needs a number {range_text(parameter)}: {seen} is not one.")
    if not parameter.low <= value <= parameter.high:
        raise ValueError(f"{parameter.label} goes {range_text(parameter)}: {seen} is outside.")
    return parameter.clamp(value)
