"""The delay from a knob's turn to its sound, for each of the four moments at which knobs are read.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QSizePolicy

from jbdiff_live.parameters import TakesEffect
from jbdiff_live.status import Status
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import Painted, readout_plate

LABELS = {
    TakesEffect.NOW: "gain, mute",
    TakesEffect.NEXT_STEP: "guidance",
    TakesEffect.NEXT_BLOCK: "other knobs",
    TakesEffect.RELOAD: "new stack",
}
UNKNOWN = "–"


class Pairs(Painted):
    """A caption with a note, and below it two rows of two: a label and its text."""

    def __init__(self, caption: str, name: str) -> None:
        super().__init__()
        self.caption = caption
        self.pairs: dict[str, str] = {}
        self.note = ""
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumWidth(120)

    def show_pairs(self, pairs: dict[str, str], note: str = "") -> bool:
        """Show four texts by label, row by row. Return True if they have changed."""
        if not self.present(tuple(pairs.items()), note):
            return False
        self.pairs, self.note = pairs, note
        return True

    def draw(self, painter: QPainter, area: QRectF) -> None:
        head, caption, used = readout_plate(painter, area, self.caption)
        if self.note:
            theme.write(painter, head.adjusted(used, 0, 0, 0), self.note, caption, theme.DIM, theme.RIGHT)
        row_height = area.height() * 0.29
        column = (head.width() - 12) / 2
        size = int(min(row_height * 0.82, 18))
        for place, (label, text) in enumerate(self.pairs.items()):
            x = head.x() + (place % 2) * (column + 12)
            row = QRectF(x, head.bottom() + (place // 2) * row_height, column, row_height)
            theme.write(painter, row, label, min(size, caption), theme.DIM)
            used = theme.metrics(min(size, caption)).horizontalAdvance(label) + 6
            theme.write(painter, row.adjusted(used, 0, 0, 0), text, size, theme.TEXT, theme.RIGHT, bold=True)


class HeardAfter(Pairs):
    """The delays of gain and mute, of guidance, of most knobs, and of the last change of stack; medians in seconds."""

    def __init__(self) -> None:
        super().__init__("KNOBS ARE HEARD AFTER", "Heard after")
        self.texts = dict.fromkeys(TakesEffect, UNKNOWN)

    def show_status(self, status: Status) -> None:
        """Show the engine's measured delays plus the device's latency. An unmeasured delay stays empty."""
        engine, behind = status.engine, status.audio.device_seconds
        medians = {
            TakesEffect.NOW: status.audio.latency_seconds,
            TakesEffect.NEXT_STEP: engine.step_reach_median and engine.step_reach_median + behind,
            TakesEffect.NEXT_BLOCK: engine.reach_median and engine.reach_median + behind,
            TakesEffect.RELOAD: status.reload_seconds and status.reload_seconds + behind,
        }
        texts = {when: seconds_text(seconds) for when, seconds in medians.items()}
        note = f"at most {engine.reach_p99 + behind:.1f} s" if engine.reach_p99 else ""
        if not self.show_pairs({label: texts[when] for when, label in LABELS.items()}, note):
            return
        self.texts = texts
        told = ", ".join(f"{when.value} {texts[when]}" for when in TakesEffect)
        longest = f"; {note} at the next block" if note else ""
        step = f", {engine.step_reach_p99 + behind:.2f} s at the next step" if engine.step_reach_p99 else ""
        self.setAccessibleDescription(f"{told}{longest}{step}")
        self.setToolTip(
            "The usual time from turning a knob until you hear it. New stack: the time of the last change. "
            f"{told}{longest}{step}"
        )


def seconds_text(seconds: float) -> str:
    """Two digits that count: "0.08 s", "2.8 s", "12 s"; a dash for 0, which is not known."""
    if seconds <= 0:
        return UNKNOWN
    if seconds < 0.995:
        return f"{seconds:.2f} s"
    return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
