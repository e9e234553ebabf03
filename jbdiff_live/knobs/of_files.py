"""The parameters of the file player: it plays the files at Context and Init. Immutable, shared by all threads."""

from __future__ import annotations

from jbdiff_live.knobs.parameter import Parameter, TakesEffect

FILE_PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "file_loop", "Loop", 0, 1, 1, toggle=True,
        help="on: the file at Context or Init plays in a circle; off: once, then the music goes on alone",
    ),
    Parameter(
        "file_start", "File start", 0, 127, 0, integer=True,
        help="where that file begins, in bars; in seconds if no tempo is known",
    ),
    Parameter(
        "file_length", "File length", 0, 127, 0, integer=True,
        help="how much of it plays, in bars; in seconds if no tempo is known; 0: to its end",
    ),
    Parameter(
        "file_dry", "File dry", -60, 6, -60, TakesEffect.NEXT_BLOCK, "dB", silent_at_low=True,
        help="level of that file itself in the output; the lowest position is silence",
    ),
)  # fmt: skip
