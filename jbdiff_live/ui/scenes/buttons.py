"""Buttons that draw themselves: two lines of words, and the share of a thing that is done.

They are push buttons for Qt, so that a screen reader says their role and name. Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

import html
from dataclasses import dataclass

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QPushButton, QSizePolicy, QWidget

from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import plate
from jbdiff_live.ui.keys import ENTER
from jbdiff_live.ui.tiles.buttons import two_lines


@dataclass(frozen=True)
class Face:
    """What a button shows. `note` stands below the label.

    lit: filled with the accent. framed: with an edge in the accent. dim: there is nothing behind it.
    done: the share that is filled from the left, 0 to 1; None fills nothing.
    """

    label: str
    note: str = ""
    lit: bool = False
    framed: bool = False
    dim: bool = False
    done: float | None = None

    @property
    def fill(self) -> QColor:
        if self.lit and self.done is None:
            return theme.ACCENT
        return theme.PANEL if self.dim else theme.RAISED

    @property
    def ink(self) -> QColor:
        """The colour of the label."""
        if self.lit and self.done is None:
            return theme.BACKGROUND
        return theme.DIM if self.dim else theme.TEXT

    @property
    def note_ink(self) -> QColor:
        if self.done is not None:
            return theme.TEXT  # over the dim accent, grey letters would be too faint
        return self.ink if self.lit else theme.DIM


class FaceButton(QPushButton):
    """Shows a `Face`, and repaints only when it differs from the one on screen."""

    def __init__(self, face: Face, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.face = face
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(80, 40)

    def sizeHint(self) -> QSize:
        return QSize(110, 44)

    def show_face(self, face: Face, description: str) -> None:
        """description: what a screen reader and the tooltip say."""
        if face != self.face:
            self.face = face
            self.update()
        if description != self.accessibleDescription():
            self.setAccessibleDescription(description)
            # Qt would read a name such as "<b>" as a mark of its own.
            self.setToolTip(f"<qt>{html.escape(description)}</qt>" if "<" in description else description)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in ENTER and not event.isAutoRepeat():
            self.click()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        face, area = self.face, QRectF(self.rect())
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.BACKGROUND)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        edge = theme.ACCENT if face.framed else theme.LINE if face.dim else None
        plate(painter, area, face.fill, edge, 2 if face.framed else 1)
        if face.done is not None:
            done = QRectF(area.x(), area.y(), area.width() * face.done, area.height())
            plate(painter, done, theme.ACCENT_DIM)
        two_lines(painter, area, face.label, face.note, face.ink, face.note_ink)
        if self.isDown():
            plate(painter, area, QColor(255, 255, 255, 30))
        if self.hasFocus():
            plate(painter, area, QColor(0, 0, 0, 0), theme.TEXT, 2.5)
        painter.end()
