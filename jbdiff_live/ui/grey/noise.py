"""Why a knob of the noise does nothing at other knobs' values. No thread, nothing blocks."""

from __future__ import annotations

from collections.abc import Mapping

from jbdiff_live.parameters import OF_THE_REGISTER, ParameterSnapshot


def noise_reasons(now: ParameterSnapshot | None) -> Mapping[str, str]:
    """The reason for each knob; empty if it does something, or if the knobs are not known yet."""
    reasons = dict.fromkeys(("noise_step", "seed_b", *OF_THE_REGISTER), "")
    if now is None:
        return reasons
    style = now.choice("noise_style")
    if style in ("random", "register"):
        reasons["noise_step"] = f"Style is at {style}"
    elif style == "constant":
        reasons["noise_step"] = "Style is at constant; only Step uses it"
    if style != "register":
        reasons |= dict.fromkeys(OF_THE_REGISTER, f"Style is at {style}")
    if now["seed_morph"] == 0:
        reasons["seed_b"] = "Morph is at 0"
    return reasons
