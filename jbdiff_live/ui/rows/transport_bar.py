"""The bar at the top: start, record, the state word, patch and stack, panic.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QTextOption
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from jbdiff_live.beat.line import ClockState
from jbdiff_live.parameters import ACTIONS_BY_NAME
from jbdiff_live.stage_word import StageWord, Word, stage_word
from jbdiff_live.status import EngineState, Status
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import Painted, plate
from jbdiff_live.ui.rows.pickers import Picker
from jbdiff_live.ui.rows.stack_picker import StackPicker
from jbdiff_live.ui.tiles.buttons import Pad

PLAYING = (EngineState.LOADING, EngineState.WARMING, EngineState.RUNNING, EngineState.COASTING)

WORD_COLOURS = {
    Word.STOPPED: theme.DIM,
    Word.GETTING_READY: theme.TEXT,
    Word.PLAYING: theme.ACCENT,
    Word.LOOPING: theme.CAUTION,
    Word.NO_DEVICE: theme.CAUTION,  # as it was chosen; red otherwise
}


def clock(seconds: float) -> str:
    """Minutes and seconds, and hours once there are any."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class BigButton(Painted):
    """A large button that acts on press. `show_face` says what is on it."""

    pressed = Signal()

    def __init__(self, name: str, key: str) -> None:
        super().__init__()
        self.key = key
        self._down = False
        self.text, self.note, self.fill, self.ink, self.dot = "", "", theme.RAISED, theme.TEXT, False
        self.setObjectName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumWidth(112)

    def show_face(self, text: str, note: str, fill: QColor, ink: QColor, dot: bool = False) -> None:
        if self.present(text, note, fill.rgba(), ink.rgba(), dot, self._down, self.hasFocus()):
            self.text, self.note, self.fill, self.ink, self.dot = text, note, fill, ink, dot
            self.setAccessibleName(f"{text} {note}".strip().capitalize())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self.pressed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.isAutoRepeat():
            self.pressed.emit()
        else:
            super().keyPressEvent(event)

    def draw(self, painter: QPainter, area: QRectF) -> None:
        plate(painter, area, self.fill)
        height = area.height()
        big = min(height * 0.36, 34)
        words = area.adjusted(10, height * 0.14, -10, -height * 0.3)
        if self.dot:
            size = big * 0.62
            wide = theme.metrics(int(big), True).horizontalAdvance(self.text) + size * 1.6
            left = area.center().x() - min(wide, words.width()) / 2
            painter.setBrush(theme.CAUTION if self.fill != theme.CAUTION else self.ink)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.drawEllipse(QRectF(left, words.center().y() - size / 2, size, size))
            words.setLeft(left + size * 1.6)
            theme.write(painter, words, self.text, int(big), self.ink, theme.LEFT, bold=True)
        else:
            theme.write(painter, words, self.text, int(big), self.ink, theme.CENTRE, bold=True)
        foot = QRectF(area.x() + 8, area.bottom() - height * 0.34, area.width() - 16, height * 0.24)
        note = theme.DIM if self.ink == theme.TEXT else self.ink
        theme.write(painter, foot, self.note or self.key, int(min(height * 0.17, 14)), note, theme.CENTRE)
        if self.hasFocus():
            plate(painter, area, QColor(0, 0, 0, 0), theme.TEXT, 2.5)


class StateView(Painted):
    """What the audience hears, as one large word, and the reason below it, wrapped; without a reason, the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.word = StageWord(Word.STOPPED)
        self.beat = ""
        self.setMinimumWidth(190)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)

    def show_word(self, word: StageWord, beat: str = "") -> None:
        """beat: tempo, bar and beat; empty without a clock."""
        if self.present(word, beat):
            self.word, self.beat = word, beat
            self.setAccessibleName(f"State: {word.text}")
            self.setAccessibleDescription(word.why)

    def _places(self) -> tuple[QRectF, QRectF, int]:
        height = self.height()
        word = QRectF(4, 0, self.width() - 8, height * 0.46)
        words = QRectF(4, height * 0.46, self.width() - 8, height * 0.54)
        return word, words, int(min(17, max(13, height * 0.18)))

    def fits(self, text: str) -> bool:
        """Return True if the text fits here whole."""
        _, words, size = self._places()
        flags = Qt.TextFlag.TextWordWrap
        needed = theme.metrics(size).boundingRect(QRectF(0, 0, words.width(), 1e6), flags, text)
        return needed.height() <= words.height() + 2 and needed.width() <= words.width()

    def draw(self, painter: QPainter, area: QRectF) -> None:
        place, words, size = self._places()
        text = self.word.why or self.beat
        if not text:
            place = QRectF(place.x(), 0, place.width(), area.height())
        colour = theme.WARN if self.word.alarm else WORD_COLOURS.get(self.word.word, theme.CAUTION)
        largest = int(min(area.height() * 0.42, 40))
        theme.write(painter, place, self.word.text, largest, colour, theme.LEFT, bold=True)
        if not self.fits(text):
            text = "the reason stands below"
        painter.setFont(theme.font(size))
        painter.setPen(theme.DIM)
        option = QTextOption(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        option.setWrapMode(QTextOption.WrapMode.WordWrap)
        painter.drawText(words, text, option)


class TransportBar(QWidget):
    """Joins the above. `start` and `record` are pressed; `panic` is a pad like the others."""

    def __init__(self, patch: Picker, stack: StackPicker) -> None:
        super().__init__()
        self.start = BigButton("start", "Space")
        self.record = BigButton("record", "R")
        self.view = StateView()
        self.patch = patch
        self.stack = stack
        self.panic = Pad(ACTIONS_BY_NAME["panic"], key="P", warning=True)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(10)
        self.panic.setMinimumWidth(150)
        for widget, stretch in (
            (self.start, 13), (self.record, 12), (self.view, 28), (self.patch, 16), (self.stack, 18),
            (self.panic, 15),
        ):  # fmt: skip
            widget.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
            row.addWidget(widget, stretch)

    def show_status(self, status: Status) -> None:
        state = status.engine.state
        clocked = status.clock.state is not ClockState.NONE or status.clock.detail
        self.view.show_word(stage_word(status), status.clock.text() if clocked else "")
        if state in PLAYING:
            self.start.show_face("STOP", "", theme.ACCENT, theme.BACKGROUND)
        elif state is EngineState.STOPPING:
            self.start.show_face("STOPPING", "", theme.RAISED, theme.DIM)
        else:
            self.start.show_face("START", "", theme.RAISED, theme.TEXT)
        recorder = status.recorder
        if recorder.recording:
            self.record.show_face(clock(recorder.frames / status.sample_rate), "recording", theme.CAUTION,
                                  theme.BACKGROUND, dot=True)  # fmt: skip
        else:
            self.record.show_face("REC", "", theme.RAISED, theme.TEXT, dot=True)
        program = "" if status.program is None else f"program {status.program}"
        self.patch.show_value(status.patch or "untitled", "modified" if status.undo.modified else program)
        self.stack.show_status(status)
