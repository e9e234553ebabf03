"""The level of a whole sound: integrated loudness (EBU R 128) and true peak (BS.1770). No thread, no device."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from jbdiff_live.audio.master.loudness import LoudnessMeter
from jbdiff_live.audio.master.true_peak import BEHIND, TruePeaks
from jbdiff_live.block import Audio
from jbdiff_live.browse.takes import Level

CHUNK_FRAMES = 8192
SILENT_DB = -200.0  # the peak of digital silence


def measure(pieces: Iterable[Audio], rate: int, channels: int) -> Level:
    """Return the level of a sound in pieces, float32 `[any frames, channels]`. A minute takes a third of a second."""
    meter = LoudnessMeter(rate, channels, CHUNK_FRAMES)
    peaks, found = TruePeaks(channels, CHUNK_FRAMES), np.zeros(CHUNK_FRAMES, np.float32)
    highest = 0.0

    def look(chunk: Audio) -> None:
        nonlocal highest
        out = found[: len(chunk)]
        peaks.find(chunk, out)
        highest = max(highest, float(out.max()))

    for piece in pieces:
        for start in range(0, len(piece), CHUNK_FRAMES):
            chunk = piece[start : start + CHUNK_FRAMES]
            meter.see(chunk)
            look(chunk)
    look(np.zeros((BEHIND, channels), np.float32))  # the peaks come some frames later than the sound
    return Level(meter.now.integrated, 20 * math.log10(highest) if highest > 0 else SILENT_DB)
