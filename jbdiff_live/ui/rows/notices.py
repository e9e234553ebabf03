"""The messages: one line that never lies on a control, with a count of the others.

Over the picture of the sound it takes one line at the lower edge; a click opens all of it. While nothing plays there is
nothing to hide, so all of it is open. In the settings view it has a place of its own. Esc, the cross, or a click on a
text that is whole dismiss what it says. Each message has the colour of its own tone (`messages.py`).

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import QPoint, QRect, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QTextBlockFormat,
    QTextCursor,
    QTextOption,
)
from PySide6.QtWidgets import QFrame, QPushButton, QTextEdit, QWidget

from jbdiff_live.status import EngineState, Status
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.rows.messages import HINT, Message, Tone, answers, hands, news, problems

LETTERS = 15  # pixels
INSET = 5  # pixels around the text
BAR = 5  # pixels of the coloured bar at the left
CLICK_PIXELS = 4  # a longer way of the pressed mouse selects text
HINT_SECONDS = 6.0  # after which the answer to a slip of the hand goes
CROSS, LESS = "\N{MULTIPLICATION X}", "less"


def grounds(tone: Tone) -> tuple[QColor, QColor]:
    """Return the ground of a message, and the colour of the bar beside it."""
    if tone is Tone.SILENCE:
        return theme.WARN_DEEP, theme.WARN
    return (theme.CAUTION_DEEP, theme.CAUTION) if tone is Tone.FAULT else (theme.PANEL, theme.LINE)


class _Corner(QPushButton):
    """A small button at the right end of the line."""

    def __init__(self, line: QWidget, name: str) -> None:
        super().__init__(line)
        self.setAccessibleName(name)
        self.setToolTip(name)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys stay where they are
        self.setCursor(Qt.CursorShape.ArrowCursor)

    def wear(self) -> None:
        self.setFont(theme.font(13, True))
        self.setStyleSheet(
            f"QPushButton {{ background: {theme.RAISED.name()}; color: {theme.TEXT.name()}; border: none; "
            "border-radius: 3px; padding: 0; }"
        )


class NoticeLine(QTextEdit):
    """`toPlainText` has every message in full, also while one line of the first is seen. The text can be copied.

    A problem that was dismissed comes back when it changes, or goes away and returns. Beyond the room that `lie_in`
    gives, the text scrolls.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setReadOnly(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setAccessibleName("Messages and problems")
        self.document().setDocumentMargin(INSET)
        self.setToolTip("Esc or the cross closes this. A problem that lasts comes back when it changes.")
        self.more, self.cross = _Corner(self, "Show all messages"), _Corner(self, "Close the messages")
        self.more.clicked.connect(self._turn_over)
        self.cross.setText(CROSS)
        self.cross.clicked.connect(self.dismiss)
        self._refused: dict[str, str] = {}
        self._hints: dict[str, tuple[str, float]] = {}  # the text, and when it goes
        self._now = 0.0
        self._dismissed: frozenset[str] = frozenset()  # texts that the player has read
        self._told: frozenset[str] = frozenset()  # what there is to be read now
        self._pressed_at: QPoint | None = None
        self._shown: tuple[Message, ...] | None = None
        self._room, self._whole, self._opened = QRect(0, 0, 400, 200), True, False
        self._fills = False
        self.wear()
        self._dress(())

    def wear(self) -> None:
        self.setFont(theme.font(LETTERS))
        for button in (self.more, self.cross):
            button.wear()

    # ------------------------------------------------------------------ what there is to say

    def refuse(self, what: str, reason: str) -> None:
        """Something that was asked for did not happen. Stays until the same thing succeeds or is dismissed."""
        self._refused[what] = reason

    def hint(self, what: str, text: str) -> None:
        """Answer a slip of the hand. Stays for some seconds, or until `succeed`."""
        self._hints[what] = (text, self._now + HINT_SECONDS)

    def succeed(self, what: str) -> None:
        self._refused.pop(what, None)
        self._hints.pop(what, None)

    def dismiss(self) -> bool:
        """Dismiss what is shown. Return False if nothing was shown. A question or a wish to learn stays."""
        if not self.isVisible():
            return False
        self._refused.clear()
        self._hints.clear()
        self._dismissed |= self._told
        self._dress(())
        return True

    def recall(self) -> None:
        """Show again what was dismissed."""
        self._dismissed = frozenset()

    @property
    def refused(self) -> dict[str, str]:
        return dict(self._refused)

    @property
    def hints(self) -> dict[str, str]:
        return {what: text for what, (text, _) in self._hints.items()}

    def show_status(self, status: Status, details: str = "", said: str = "", now: float = 0.0) -> None:
        """Show what there is to read.

        details: a text that found no room elsewhere. said: a text that is shown whole elsewhere. now: seconds.
        """
        self._now = now
        self._hints = {what: hint for what, hint in self._hints.items() if now < hint[1]}
        wrong = [one for one in problems(status) if not said or one.text.partition(": ")[2] not in said]
        if any(details.lower() in one.text.lower() for one in (*wrong, *answers(status))):
            details = ""
        other = news(status, details)
        silence = [one for one in wrong if one.tone is Tone.SILENCE]
        faults = [one for one in wrong if one.tone is not Tone.SILENCE]
        lasting = [*silence, *answers(status), *faults, *sorted(other, key=lambda one: -one.tone)]
        self._told = frozenset(one.text for one in lasting)
        self._dismissed &= self._told
        asked = [text for text in (hands(status.control), *self.hints.values()) if text]
        refused = [Message(f"{what}: {why}", Tone.FAULT) for what, why in self._refused.items()]
        unread = [one for one in lasting if one.text not in self._dismissed]
        found = [*map(Message, asked), *unread, *refused]
        if not found and status.engine.state is EngineState.OFFLINE:
            found = [Message(HINT)]
        self._dress(tuple(found))

    # ------------------------------------------------------------------ how it looks

    def dress_anew(self) -> None:
        """Take the colours and letters of a new look."""
        self.wear()
        self._shown = None

    def _dress(self, messages: tuple[Message, ...]) -> None:
        if messages == self._shown:
            return
        self._shown = messages
        if not messages:
            self._opened = False
        worst = max((one.tone for one in messages), default=Tone.CALM)
        ground, edge = grounds(worst if len(messages) == 1 else Tone.CALM)[0], grounds(worst)[1]
        self.setStyleSheet(
            f"QTextEdit {{ background: {ground.name()}; color: {theme.TEXT.name()}; "
            f"border-left: {BAR}px solid {edge.name()}; border-radius: 3px; }}"
        )
        self._write(messages)
        self._fit()

    def _write(self, messages: Sequence[Message]) -> None:
        """Write each message as a paragraph on the ground of its own tone."""
        self.clear()
        cursor = QTextCursor(self.document())
        for number, one in enumerate(messages):
            form = QTextBlockFormat()
            if one.tone is not Tone.CALM:
                form.setBackground(grounds(one.tone)[0])
            if number:
                cursor.insertBlock(form)
            else:
                cursor.setBlockFormat(form)
            cursor.insertText(one.text)
        self.verticalScrollBar().setValue(0)

    def lie_in(self, room: QRect, whole: bool, fills: bool = False) -> None:
        """Lie at the lower edge of this room, in the coordinates of the parent.

        whole: take all of it if needed. fills: take all of it always, since words lie below, which are covered whole.
        """
        if (room, whole, fills) != (self._room, self._whole, self._fills):
            self._room, self._whole, self._fills = room, whole, fills
            self._fit()

    @property
    def brief(self) -> bool:
        """True if one line is seen of a text that is longer."""
        return self.isVisible() and self.height() < self._needed() and not (self._whole or self._opened)

    def line_height(self) -> int:
        return math.ceil(theme.metrics(LETTERS).lineSpacing()) + 2 * INSET + 1

    def _needed(self) -> int:
        return int(self.document().size().height())

    def _fit(self) -> None:
        """Take the height that the text needs, within the room, or that of one line."""
        if not self._shown:
            self.hide()
            return
        room, line, metrics = self._room, self.line_height(), theme.metrics(13, True)
        label, whole = self._label(), self._whole or self._opened
        cross, more = (round(metrics.horizontalAdvance(text) + 18) for text in (CROSS, label))
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.resize(room.width(), max(1, self.height()))
        beside = cross + 4
        self._wrap(beside)
        counts = self._needed() > line and not self._whole
        if counts:
            beside += more + 3
            self._wrap(beside)
        needed = max(line, self._needed())
        height = room.height() if self._fills else min(room.height(), needed if whole else line)
        right = room.width() - 2
        if whole and needed > height:
            self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
            right -= self.verticalScrollBar().sizeHint().width()
            self._wrap(beside, round((height - INSET) % theme.metrics(LETTERS).lineSpacing()))
        self.setGeometry(room.x(), room.bottom() + 1 - height, room.width(), height)
        self.cross.setGeometry(right - cross, 2, cross, min(line, height) - 4)
        self.more.setText(label)
        self.more.setGeometry(right - cross - 3 - more, 2, more, min(line, height) - 4)
        self.more.setVisible(counts)
        self.show()

    def _wrap(self, right: int, below: int = 0) -> None:
        """Leave room at the right and below, and wrap the text in the rest. below: pixels, less than one line."""
        self.setViewportMargins(0, 0, right, below)
        self.document().setTextWidth(self.viewport().width())

    def _label(self) -> str:
        """The words of the button that opens the line: how many messages there are."""
        if self._opened:
            return LESS
        count = len(self._shown or ())
        return "more" if count == 1 else f"1 of {count}"

    def _turn_over(self) -> None:
        self._opened = not self._opened
        self._fit()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw one line of the first message with a mark where it is cut; else the whole text."""
        if not self.brief or not self._shown:
            super().paintEvent(event)
            return
        first, port = self._shown[0], self.viewport()
        painter = QPainter(port)
        painter.fillRect(port.rect(), grounds(first.tone)[0])
        place = QRectF(INSET, 0, port.width() - 2 * INSET, port.height())
        size = theme.metrics(LETTERS)
        text = size.elidedText(first.text, Qt.TextElideMode.ElideRight, place.width())
        theme.write(painter, place, text, LETTERS)
        painter.end()

    # ------------------------------------------------------------------ hands

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._pressed_at = event.position().toPoint()
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Open the text after a click if it is cut, else dismiss it. A drag selects it instead."""
        super().mouseReleaseEvent(event)
        pressed, self._pressed_at = self._pressed_at, None
        moved = pressed is None or (event.position().toPoint() - pressed).manhattanLength() > CLICK_PIXELS
        if event.button() is not Qt.MouseButton.LeftButton or moved:
            return
        if self.brief:
            self._turn_over()
        else:
            self.dismiss()
