"""The parameters of the live input. Immutable, shared by all threads."""

from __future__ import annotations

from jbdiff_live.knobs.parameter import Parameter, TakesEffect

GATE_OFF_DB = -80.0  # the lowest position of Gate: the gate is always open

INPUT_PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "listen", "Listen", 0, 1, 1,
        help="how much the music follows the live input or the file at Context and Init; 0: itself alone",
    ),
    Parameter(
        "dry", "Dry", -60, 6, -60, TakesEffect.NOW, "dB", silent_at_low=True,
        help="level of the live input in the output; the lowest position is silence",
    ),
    Parameter("input_trim", "Trim", -20, 40, 0, TakesEffect.NOW, "dB", help="level of the live input"),
    Parameter(
        "input_gate", "Gate", GATE_OFF_DB, -20, -50, TakesEffect.NOW, "dB",
        help="a quieter live input counts as silence; the lowest position lets everything in",
    ),
)  # fmt: skip
