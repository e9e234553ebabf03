"""The loudness of the output, as EBU R 128 measures it: now, of three seconds, of the whole, and the true peak.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from jbdiff_live.status import Loudness
from jbdiff_live.ui.rows.heard_after import Pairs

UNKNOWN = "\N{EN DASH}"


def level(value: float | None, unit: str) -> str:
    """A level with its unit; a dash if it is not known."""
    return UNKNOWN if value is None else f"{value:.1f} {unit}".replace("-", "\N{MINUS SIGN}")


class LoudnessView(Pairs):
    """Four readings in two rows. They change ten times a second while the sound does."""

    def __init__(self) -> None:
        super().__init__("LOUDNESS", "Loudness of the output")

    def show_loudness(self, loudness: Loudness) -> None:
        pairs = {
            "now": level(loudness.momentary, "LUFS"),
            "whole": level(loudness.integrated, "LUFS"),
            "3 seconds": level(loudness.short_term, "LUFS"),
            "true peak": level(loudness.true_peak, "dB"),
        }
        if self.show_pairs(pairs):
            words = ", ".join(f"{name} {text}" for name, text in pairs.items())
            self.setAccessibleDescription(words)
            self.setToolTip(
                f"{words}. now: the last 0.4 s. whole and true peak: since the output was opened; whole leaves out "
                "pauses. Streaming services turn music to about \N{MINUS SIGN}14 LUFS."
            )
