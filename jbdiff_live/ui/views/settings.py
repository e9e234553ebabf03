"""The settings view: devices, what the knobs' delays are in a sentence, and how the instrument is doing.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QTextOption
from PySide6.QtWidgets import QVBoxLayout, QWidget

from jbdiff_live.block import Rung
from jbdiff_live.status import Status
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import Painted
from jbdiff_live.ui.rows.devices import DeviceRow
from jbdiff_live.ui.rows.health import HealthStrip
from jbdiff_live.ui.rows.heard_after import seconds_text

FACTS_HEIGHT = 48


class Facts(Painted):
    """What a player wants to know of the delays and the load, in sentences."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.setFixedHeight(FACTS_HEIGHT)
        self.setAccessibleName("Facts")

    def show_status(self, status: Status) -> None:
        text = facts(status)
        if self.present(text):
            self.text = text
            self.setAccessibleDescription(text)

    def draw(self, painter: QPainter, area: QRectF) -> None:
        painter.setFont(theme.font(15))
        painter.setPen(theme.TEXT)
        option = QTextOption(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        option.setWrapMode(QTextOption.WrapMode.WordWrap)
        painter.drawText(area, self.text, option)


def facts(status: Status) -> str:
    """The delays and the load in sentences; what to do to see them while nothing plays."""
    engine, audio = status.engine, status.audio
    found = []
    if engine.reach_median > 0:
        heard = seconds_text(engine.reach_median + audio.device_seconds)
        found.append(f"Most knobs take effect after {heard}; a shorter block makes that less.")
    if audio.latency_seconds > 0:
        found.append(f"Gain and Mute take effect after {audio.latency_seconds * 1000:.0f} ms.")
    if status.rung in (Rung.LOOP, Rung.REPEAT):
        found.append("There is no time for new blocks: the last sound is looped.")
    elif engine.block_duration > 0 and engine.block_seconds > 0:
        share = min(999, round(100 * engine.block_seconds / engine.block_duration))
        found.append(f"Making the music takes {share} % of the time.")
    return " ".join(found) or "Press start: the delays of the knobs and the load are shown while music plays."


class SettingsView(QWidget):
    """Facts above, then the row of devices, then the look, then the readouts."""

    def __init__(self, devices: DeviceRow, look: QWidget) -> None:
        super().__init__()
        self.facts = Facts()
        self.devices = devices
        self.health = HealthStrip()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.facts)
        column.addWidget(devices)
        column.addWidget(look)
        column.addWidget(self.health, 1)
        devices.setFixedHeight(56)
        look.setFixedHeight(50)
        self.health.setMaximumHeight(420)
        column.addStretch(0)

    def show_status(self, status: Status, now: float) -> None:
        """now: seconds of a running clock."""
        self.facts.show_status(status)
        self.devices.show_status(status)
        self.health.show_status(status, now)
