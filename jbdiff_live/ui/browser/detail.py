"""The side of the browser that tells of the chosen entry, with what can be done with it. Thread: Qt's."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from jbdiff_live.beat.line import TAPPED, ClockSource, ClockState
from jbdiff_live.browse.entry import Entry, Kind
from jbdiff_live.browse.takes import MUSIC_PLAYS
from jbdiff_live.status import EngineState, Status
from jbdiff_live.ui.browser.pictures import Pictures
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.grey.words import WhyGrey, grey_button

STOPPED = (EngineState.OFFLINE, EngineState.FAILED)
PICTURE_HEIGHT = 90
REASON_PIXELS = 13  # of the letters, if there is room
NOTHING = "nothing is chosen"
FACTORY = "it comes with the instrument"


def listening_refused(entry: Entry, status: Status) -> str:
    """Return why a sound cannot be listened to now; empty if it can."""
    if entry.sound is None:
        return "it has no sound to begin from"
    if status.engine.sounds:
        return MUSIC_PLAYS if entry.kind is Kind.TAKE else f"{MUSIC_PLAYS}, or arm the patch"
    return "no sound device is open; choose one in the settings (F4)" if status.audio.nowhere else ""


def arming_refused(entry: Entry, status: Status) -> str:
    """Return why a patch cannot wait for the next bar; empty if it can."""
    if not entry.usable:
        return "the patch cannot be loaded"
    clock = status.clock
    # The music's own beat ends with the music; a tapped tempo and an outer clock go on.
    goes_on = clock.source is not ClockSource.INTERNAL or clock.detail == TAPPED
    runs = clock.state in (ClockState.RUNNING, ClockState.LOST)
    if runs and (goes_on or status.engine.state not in STOPPED):
        return ""
    return "no clock runs"


class Action(QPushButton):
    """A button with its key, and with the reason while it cannot be pressed."""

    def __init__(self, text: str, key: str) -> None:
        super().__init__()
        self._key = key
        self.called = text  # without the key
        self.why = ""
        self.setAutoDefault(False)
        self.setFont(theme.font(13))
        self.setMinimumHeight(30)
        self.offer(text)

    def offer(self, text: str, why: str = "") -> None:
        """Show what it does. why: the reason why it is grey; empty if it can be pressed."""
        self.called, self.why = text, why
        shown = f"{text}  {self._key}" if self._key else text
        if self.text() != shown:
            self.setText(shown)
        grey_button(self, why)


class Detail(QWidget):
    """`show_entry` fills it. The browser connects the buttons."""

    def __init__(self) -> None:
        super().__init__()
        self.title, self.what, self.about, self.tags, self.problem = (QLabel() for _ in range(5))
        self.reasons = WhyGrey()
        self._words = self.what, self.about, self.tags, self.problem
        self.title.setFont(theme.font(21, True))
        for label in self._words:
            label.setFont(theme.font(16 if label is self.about else 13))
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.picture, self._pictures = QLabel(), Pictures()
        self.picture.setAccessibleName("Picture of the take")
        self.wear()
        self.load, self.arm = Action("Load now", "Enter"), Action("Arm for the bar", "Ctrl+Enter")
        self.listen, self.favourite = Action("Listen", "Ctrl+L"), Action("Favourite", "Ctrl+F")
        self.rename, self.trash = Action("Rename", "F2"), Action("To the trash", "Ctrl+T")
        self._column = column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(5)
        for label in (self.title, self.what, self.about, self.tags, self.problem):
            column.addWidget(label)
        column.addWidget(self.picture)
        column.addStretch(1)
        column.addWidget(self.reasons)
        grid = QGridLayout()
        grid.setSpacing(6)
        for place, button in enumerate(self.buttons):
            grid.addWidget(button, place // 2, place % 2)
        column.addLayout(grid)

    def wear(self) -> None:
        """Take the colours that the window wears now."""
        self.what.setStyleSheet(f"color: {theme.DIM.name()};")
        self.tags.setStyleSheet(f"color: {theme.ACCENT.name()};")
        self.problem.setStyleSheet(f"color: {theme.CAUTION.name()};")
        self.reasons.wear()

    @property
    def buttons(self) -> tuple[Action, ...]:
        return self.load, self.arm, self.listen, self.favourite, self.rename, self.trash

    def show_entry(
        self, entry: Entry | None, status: Status, plays: bool, armed: bool, asks_trash: bool
    ) -> None:
        """Tell of an entry, and offer what can be done with it now. None: nothing is chosen."""
        if entry is None:
            for label in self._words:
                label.setText("")
            self.title.setText("Nothing found")
            self.picture.hide()
            for button in self.buttons:
                button.offer(button.called, NOTHING)
            return
        program = f", program {entry.program}" if entry.program is not None else ""
        state = (
            ", plays now" if plays else f", loads in {status.library.armed_in or 0:.0f} s" if armed else ""
        )
        self.title.setText(
            theme.metrics(21, True).elidedText(entry.name, Qt.TextElideMode.ElideMiddle, self.width())
        )
        self.title.setToolTip(entry.name)
        self.what.setText(f"{entry.origin} {entry.kind.value}{program}{state}")
        self.about.setText(entry.description)
        self.tags.setText(", ".join(entry.tags))
        fixed = self._offer_uses(entry, status, armed)
        playing = bool(status.library.listening)
        self.listen.offer(
            "Stop" if playing else "Listen", "" if playing else listening_refused(entry, status)
        )
        self.favourite.offer("Remove favourite" if entry.favourite else "Favourite")
        self.rename.offer("Rename", fixed)
        held = fixed if entry.take is None or entry.take.recorded else ""
        self.trash.offer("Once more" if asks_trash else "To the trash", held)
        self.problem.setText("\n".join(line for line in (entry.problem, status.library.problem) if line))
        for label in self._words:
            label.setVisible(bool(label.text()))  # an empty one would leave a gap
        self._show_picture(entry)

    def show_reasons(self, others: Iterable[Action]) -> None:
        """Give the reason of each grey button, also of buttons outside of this side."""
        self.reasons.show_reasons((button.called, button.why) for button in (*self.buttons, *others))
        self._fit_reasons()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_reasons()

    def _fit_reasons(self) -> None:
        """Give the reasons the largest letters with which nothing is cut here."""
        for pixels in range(REASON_PIXELS, theme.least_nominal() - 1, -1):
            self.reasons.setFont(theme.font(pixels))
            self._column.invalidate()
            if self._column.totalHeightForWidth(self.width()) <= self.height():
                return

    def _offer_uses(self, entry: Entry, status: Status, armed: bool) -> str:
        """Name the two uses of an entry. Return why it can be neither renamed nor moved; empty if it can."""
        if entry.take is not None:
            self.load.offer("Open")
            self.arm.offer("Continue it", "" if entry.usable else "the take has no sound")
            return entry.take.fixed
        if entry.kind is Kind.SOUND:
            self.load.offer("Continue it")
            self.arm.offer("Resample it")
            return FACTORY if entry.factory else "a sound keeps its name here; rename its file"
        self.load.offer("Load now", "" if entry.usable else "the patch cannot be loaded")
        if armed:
            self.arm.offer("Take back")
        else:
            self.arm.offer("Arm for the bar", arming_refused(entry, status))
        return FACTORY if entry.factory else ""

    def _show_picture(self, entry: Entry) -> None:
        path = None if entry.take is None else entry.take.picture
        self.picture.setVisible(path is not None)
        if path is not None:
            self.picture.setPixmap(self._pictures.small(path, QSize(max(100, self.width()), PICTURE_HEIGHT)))
