"""The place in the live input that is played again on the beat. Pure functions."""

from __future__ import annotations

import math


def aligned_end(newest: int, heard: float, wanted: float, beat: float) -> int:
    """Return the frame of the input before which a piece ends that is played again a whole number of beats later.

    newest: frames of the input so far. heard: frame of the output that the player heard with the newest one. wanted:
    frame of the output at which the piece is going to end. beat: frames in a beat; 0 takes the newest piece.
    """
    if beat <= 0:
        return newest
    beats = max(0, math.ceil((wanted - heard) / beat - 1e-9))
    return newest + math.floor(wanted - beats * beat - heard)
