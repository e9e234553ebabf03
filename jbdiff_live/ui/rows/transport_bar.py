"""The bar at the top: start, record, the state word, the beat, the patch, the output level, panic.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from jbdiff_live.beat.line import TAPPED, ClockStatus
from jbdiff_live.stage_word import StageWord, Word, stage_word
from jbdiff_live.status import EngineState, Status
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.meters import PeakMeter
from jbdiff_live.ui.drawing.painted import Painted, plate
from jbdiff_live.ui.keys import ENTER
from jbdiff_live.ui.rows.pickers import Picker
from jbdiff_live.ui.tiles.stage_pads import BeatPad, HeldPad

HOURS_SECONDS, DAYS_SECONDS = 10 * 3600, 48 * 3600  # from here on the room on the disk is counted in them

WORD_COLOURS = {
    Word.STOPPED: theme.DIM,
    Word.GETTING_READY: theme.TEXT,
    Word.READY: theme.TEXT,
    Word.PLAYING: theme.ACCENT,
    Word.LOOPING: theme.CAUTION,
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
        self.setMinimumWidth(84)

    def show_face(self, text: str, note: str, fill: QColor, ink: QColor, dot: bool = False) -> None:
        if self.present(text, note, fill.rgba(), ink.rgba(), dot, self._down, self.hasFocus()):
            self.text, self.note, self.fill, self.ink, self.dot = text, note, fill, ink, dot
            self.setAccessibleName(f"{text} {note}".strip().capitalize())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self.pressed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in ENTER and not event.isAutoRepeat():
            self.pressed.emit()
        else:
            super().keyPressEvent(event)

    def draw(self, painter: QPainter, area: QRectF) -> None:
        plate(painter, area, self.fill)
        height = area.height()
        big = min(height * 0.36, 34)
        words = area.adjusted(6, height * 0.12, -6, -height * 0.34)
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
        foot = QRectF(area.x() + 5, area.bottom() - height * 0.36, area.width() - 10, height * 0.28)
        note = theme.DIM if self.ink == theme.TEXT else self.ink
        theme.write(
            painter, foot, self.note or self.key, int(max(12, min(height * 0.17, 14))), note, theme.CENTRE
        )
        if self.hasFocus():
            plate(painter, area, QColor(0, 0, 0, 0), theme.TEXT, 2.5)


class StateView(Painted):
    """What the audience hears, as one large word. Below it, wrapped: the reason, or else the changes that wait.

    Without a sound device, a smaller second word stands beside it. A click shows dismissed messages again.
    """

    pressed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.word = StageWord(Word.STOPPED)
        self.beat = ""
        self.setMinimumWidth(180)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)

    def show_word(self, word: StageWord, beat: str = "") -> None:
        """beat: the changes that wait for a beat or bar; empty if none does."""
        if self.present(word, beat):
            self.word, self.beat = word, beat
            self.setAccessibleName(f"State: {word.text}")
            self.setAccessibleDescription(word.why)
            self.setToolTip(word.why)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.pressed.emit()

    def _places(self) -> tuple[QRectF, QRectF, int]:
        height = self.height()
        word = QRectF(4, 0, self.width() - 8, height * 0.46)
        words = QRectF(4, height * 0.46, self.width() - 8, height * 0.54)
        return word, words, int(min(17, max(13, height * 0.18)))

    def fits(self, text: str) -> bool:
        """Return True if the text fits here whole."""
        _, words, size = self._places()
        return theme.holds(words, text, size)

    def said(self, text: str) -> str:
        """Return as much of a reason as there is room for: with its remedy, without, or where to read it."""
        ways = (text, text.partition(";")[0], "read the message below")
        return next((way for way in ways if self.fits(way)), ways[-1])

    def draw(self, painter: QPainter, area: QRectF) -> None:
        place, words, size = self._places()
        text = self.word.why or self.beat
        if not text:
            place = QRectF(place.x(), 0, place.width(), area.height())
        word = self.word
        silent = word.alarm and (word.word in (Word.SILENT, Word.FAILED) or not word.device)
        colour = theme.WARN if silent else WORD_COLOURS.get(word.word, theme.CAUTION)
        largest = int(min(area.height() * 0.42, 40))
        if word.device:  # as large as both words can be
            both = f"{word.music}  {word.device}"
            largest = theme.fitting(both, place.width(), largest, bold=True)
        theme.write(painter, place, word.music, largest, colour, theme.LEFT, bold=True)
        if word.device:
            used = theme.metrics(largest, True).horizontalAdvance(f"{word.music}  ")
            device = theme.WARN if word.alarm else theme.CAUTION
            theme.write(
                painter, place.adjusted(used, 0, 0, 0), word.device, largest, device, theme.LEFT, bold=True
            )
        theme.write_lines(painter, words, self.said(text), size, theme.DIM)


class TransportBar(QWidget):
    """The row at the top of every view. `start` and `record` are buttons; `panic` and `beat` are pads."""

    def __init__(self, patch: Picker) -> None:
        super().__init__()
        self.start = BigButton("start", "Space")
        self.record = BigButton("record", "R")
        self.view = StateView()
        self.beat = BeatPad()
        self.patch = patch
        self.meter = PeakMeter()
        self.panic = HeldPad()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        self.start.setMinimumWidth(84)
        self.record.setMinimumWidth(116)
        self.patch.setMinimumWidth(124)
        self.panic.setMinimumWidth(100)
        for widget, stretch in (
            (self.start, 9), (self.record, 11), (self.view, 28), (self.beat, 12), (self.patch, 14), (self.meter, 12),
            (self.panic, 11),
        ):  # fmt: skip
            widget.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
            row.addWidget(widget, stretch)

    def show_status(self, status: Status, asks: bool = False) -> None:
        """asks: the next press of start ends the music."""
        state = status.engine.state
        self.view.show_word(stage_word(status), waits(status.clock))
        self.beat.show_clock(status.clock)
        plays = status.engine.plays
        if plays and asks:
            self.start.show_face("STOP?", "once more", theme.CAUTION, theme.BACKGROUND)
        elif plays:
            self.start.show_face("STOP", "", theme.ACCENT, theme.BACKGROUND)
        elif state is EngineState.STOPPING:
            self.start.show_face("STOP", "stopping", theme.RAISED, theme.DIM)
        else:
            self.start.show_face("START", "", theme.RAISED, theme.TEXT)
        recorder = status.recorder
        left = room_left(recorder.seconds_left)
        if recorder.recording:
            self.record.show_face(clock(recorder.frames / status.sample_rate), left or "recording", theme.CAUTION,
                                  theme.BACKGROUND, dot=True)  # fmt: skip
        else:
            self.record.show_face("REC", left and f"R, {left}", theme.RAISED, theme.TEXT, dot=True)
        program = "" if status.program is None else f"program {status.program}"
        notes = ("changed" if status.undo.modified else "", program)
        self.patch.show_value(status.patch or "untitled", ", ".join(note for note in notes if note))


def waits(clock: ClockStatus) -> str:
    """The changes that are held for the next beat or bar; else the problem of the clock; else nothing."""
    if clock.countdown is not None:
        changes = f"{clock.waiting} change{'s' * (clock.waiting != 1)}"
        return f"{changes} in {max(0.0, clock.countdown):.1f} s"
    return "" if clock.detail == TAPPED else clock.detail  # the tile of the beat says that


def room_left(seconds: float | None) -> str:
    """The room on the disk: "312 min left", "21 h left", "days left"; empty if it is not known."""
    if seconds is None:
        return ""
    if seconds >= DAYS_SECONDS:
        return "days left"
    return f"{int(seconds / 3600)} h left" if seconds >= HOURS_SECONDS else f"{int(seconds / 60)} min left"
