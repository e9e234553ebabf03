"""The settings view: devices, model, files and look to choose, the knobs' delays in a sentence, and the meters.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from jbdiff_live.block import Rung
from jbdiff_live.status import Status
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import Painted, plate
from jbdiff_live.ui.keys import ENTER
from jbdiff_live.ui.rows.devices import DeviceRow
from jbdiff_live.ui.rows.files_row import FilesRow
from jbdiff_live.ui.rows.health import HealthStrip
from jbdiff_live.ui.rows.heard_after import seconds_text
from jbdiff_live.ui.rows.model_row import ModelRow

# Pixels, with letters of the usual size.
FACTS_HEIGHT = 48  # two lines; the messages lie on it
TAB_HEIGHT = 30
ROOM_FOR_BOTH = 520  # height of the view from which choices and meters stand below each other
MOST_CHOICES, MOST_METERS = 270, 400
GAP = 6


class Facts(Painted):
    """What a player wants to know of the delays and the load, in sentences."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.setAccessibleName("Facts")

    def show_status(self, status: Status) -> None:
        text = facts(status)
        if self.present(text):
            self.text = text
            self.setAccessibleDescription(text)

    def draw(self, painter: QPainter, area: QRectF) -> None:
        theme.write_lines(painter, area, self.text, 15, theme.TEXT, middle=True)


def facts(status: Status) -> str:
    """The delays and the load in sentences; what to do to see them while nothing plays."""
    engine, audio = status.engine, status.audio
    found = []
    if engine.reach_median > 0:
        heard = seconds_text(engine.reach_median + audio.device_seconds)
        found.append(f"You hear most knobs after {heard}; with a shorter Block, sooner.")
    if audio.latency_seconds > 0:
        found.append(f"You hear Gain and Mute after {audio.latency_seconds * 1000:.0f} ms.")
    if status.rung in (Rung.LOOP, Rung.REPEAT):
        found.append("There is no time for new blocks: the last sound is looped.")
    elif engine.block_duration > 0 and engine.block_seconds > 0:
        share = min(999, round(100 * engine.block_seconds / engine.block_duration))
        found.append(f"The model works {share} % of the time.")
    return " ".join(found) or "Press start: the delays of the knobs and the load are shown while music plays."


class PageTab(Painted):
    """A button for one of the pages that a small window shows in turn. It is lit while its page is shown."""

    pressed = Signal(int)

    def __init__(self, number: int, text: str) -> None:
        super().__init__()
        self.number, self.text, self.chosen = number, text, False
        self.setAccessibleName(text)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def show_chosen(self, chosen: bool) -> None:
        if self.present(chosen):
            self.chosen = chosen
            self.setAccessibleDescription("shown" if chosen else "not shown")

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self.pressed.emit(self.number)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in ENTER:
            self.pressed.emit(self.number)
        else:
            super().keyPressEvent(event)

    def draw(self, painter: QPainter, area: QRectF) -> None:
        plate(painter, area, theme.RAISED if self.chosen else theme.BACKGROUND, theme.LINE, 1)
        ink = theme.TEXT if self.chosen else theme.DIM
        theme.write(painter, area.adjusted(6, 0, -6, 0), self.text, 15, ink, theme.CENTRE, bold=self.chosen)
        if self.chosen:
            mark = QRectF(area.x() + 8, area.bottom() - 4, area.width() - 16, 2)
            plate(painter, mark, theme.ACCENT, round_=1)
        if self.hasFocus():
            plate(painter, area, QColor(0, 0, 0, 0), theme.TEXT, 2.5)


class SettingsView(QWidget):
    """The sentences above. Below them the rows of choices and the meters: both, or one of them in a small window."""

    def __init__(self, devices: DeviceRow, model: ModelRow, files: FilesRow, look: QWidget) -> None:
        super().__init__()
        self.facts = Facts()
        self.devices, self.model, self.files = devices, model, files
        self.health = HealthStrip()
        self.choices = QWidget()
        self.tabs = tuple(PageTab(number, text) for number, text in enumerate(("Choices", "Meters")))
        self._page = 0
        self._look = look
        self._lay_out()

    def _lay_out(self) -> None:
        rows, tabs, column = QVBoxLayout(self.choices), QHBoxLayout(), QVBoxLayout(self)
        for layout, gap in ((rows, GAP), (tabs, GAP), (column, GAP)):
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(gap)
        for row in (self.devices, self.model, self.files, self._look):
            row.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Ignored)
            rows.addWidget(row, 1)
        for tab in self.tabs:
            tab.pressed.connect(self.show_page)
            tabs.addWidget(tab, 1)
        column.addWidget(self.facts)
        column.addLayout(tabs)
        column.addWidget(self.choices, 4)
        column.addWidget(self.health, 5)
        column.addStretch(0)
        self.choices.setMaximumHeight(MOST_CHOICES)
        self.health.setMaximumHeight(MOST_METERS)
        self.show_page(0)

    @property
    def paged(self) -> bool:
        """True if there is room for one page only."""
        return self.height() < theme.grown(ROOM_FOR_BOTH)

    def show_page(self, number: int) -> None:
        """Show the choices, 0, or the meters, 1."""
        self._page = number
        self.arrange()

    def turn_page(self) -> None:
        """Show the other page."""
        self.show_page(1 - self._page)

    def arrange(self) -> None:
        """Show what there is room for, with letters of the present size."""
        self.facts.setFixedHeight(theme.grown(FACTS_HEIGHT))
        for tab in self.tabs:
            tab.setFixedHeight(theme.grown(TAB_HEIGHT))
            tab.setVisible(self.paged)
            tab.show_chosen(tab.number == self._page)
        focused = self.window().focusWidget()
        for number, page in enumerate((self.choices, self.health)):
            shown = not self.paged or number == self._page
            if not shown and focused is not None and page.isAncestorOf(focused):
                self.window().setFocus(Qt.FocusReason.OtherFocusReason)  # else Enter would press the next pad
            page.setVisible(shown)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.arrange()
        super().resizeEvent(event)

    def show_status(self, status: Status, now: float) -> None:
        """now: seconds of a running clock."""
        self.facts.show_status(status)
        self.devices.show_status(status)
        self.model.show_status(status)
        self.files.show_status(status)
        self.health.show_status(status, now)
