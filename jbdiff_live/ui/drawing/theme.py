"""Colours, fonts and the colour map of the spectrogram: dark, high contrast, one accent, two warnings.

Thread: Qt's. Nothing here blocks. Nothing touches Qt at import beyond plain colour values.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPalette
from PySide6.QtWidgets import QApplication

BACKGROUND = QColor("#090b0e")
PANEL = QColor("#12161b")
RAISED = QColor("#1f262e")
LINE = QColor("#36404b")
TEXT = QColor("#f4f7f9")
DIM = QColor("#a9b4bf")
FAINT = QColor("#929eaa")
ACCENT = QColor("#3fe0c5")
ACCENT_DIM = QColor("#1f6e62")  # the accent over the panel, for a set value that is not yet heard
ACCENT_DEEP = QColor("#123b37")
WARN = QColor("#ff5a3d")  # red: the audience hears nothing, or clipping
WARN_DEEP = QColor("#43160e")
CAUTION = QColor("#ffb547")  # amber: something to look at, while the music goes on
CAUTION_DEEP = QColor("#3a2a0c")

LEAST_PIXELS = 12  # no letter is smaller, so that it can be read on a stage

# The first family that the machine has. DejaVu is the widest of them: a layout that holds with it holds.
FAMILIES = ["Inter", "Noto Sans", "Segoe UI", "Helvetica Neue", "DejaVu Sans"]

CENTRE = Qt.AlignmentFlag.AlignCenter
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


@lru_cache(maxsize=256)
def font(pixels: int, bold: bool = False) -> QFont:
    """A font of so many logical pixels, with digits of one width where the family has them."""
    made = QFont()
    made.setFamilies(FAMILIES)
    made.setPixelSize(max(LEAST_PIXELS, pixels))
    made.setBold(bold)
    return made


@lru_cache(maxsize=256)
def metrics(pixels: int, bold: bool = False) -> QFontMetricsF:
    return QFontMetricsF(font(pixels, bold))


@lru_cache(maxsize=4096)
def fitting(text: str, width: float, largest: int, smallest: int = LEAST_PIXELS, bold: bool = False) -> int:
    """The largest font size in pixels at which `text` is no wider than `width`.

    Remembered: measuring costs as much as drawing, and most texts are drawn again and again in the same place.
    """
    for pixels in range(largest, smallest, -1):
        if metrics(pixels, bold).horizontalAdvance(text) <= width:
            return pixels
    return smallest


@lru_cache(maxsize=1024)
def first_fitting(texts: tuple[str, ...], width: float, pixels: int) -> str:
    """The first of several ways to say a thing that is no wider than `width`; the last one if none is."""
    return next((text for text in texts if metrics(pixels).horizontalAdvance(text) <= width), texts[-1])


def write(
    painter: QPainter,
    where: QRectF,
    text: str,
    pixels: int,
    colour: QColor = TEXT,
    align: Qt.AlignmentFlag = LEFT,
    bold: bool = False,
    least: int = LEAST_PIXELS,
) -> None:
    """One line of text: shrinks to fit down to `least` px, then is cut in the middle; tooltips hold the whole."""
    size = fitting(text, where.width(), pixels, least, bold=bold)
    if size <= least:
        text = metrics(size, bold).elidedText(text, Qt.TextElideMode.ElideMiddle, where.width())
    painter.setFont(font(size, bold))
    painter.setPen(colour)
    painter.drawText(where, align, text)


def palette() -> QPalette:
    """The palette of everything that Qt itself draws: menus, dialogs, tooltips."""
    colours = QPalette()
    role = QPalette.ColorRole
    for which, colour in {
        role.Window: BACKGROUND,
        role.WindowText: TEXT,
        role.Base: PANEL,
        role.AlternateBase: RAISED,
        role.Text: TEXT,
        role.PlaceholderText: FAINT,
        role.Button: RAISED,
        role.ButtonText: TEXT,
        role.BrightText: WARN,
        role.ToolTipBase: RAISED,
        role.ToolTipText: TEXT,
        role.Highlight: ACCENT,
        role.HighlightedText: BACKGROUND,
        role.Link: ACCENT,
    }.items():
        colours.setColor(which, colour)
    for which in (role.WindowText, role.Text, role.ButtonText):
        colours.setColor(QPalette.ColorGroup.Disabled, which, FAINT)
    return colours


SHEET = f"""
QMenu {{ background: {RAISED.name()}; color: {TEXT.name()}; border: 1px solid {LINE.name()}; padding: 6px; }}
QMenu::item {{ padding: 7px 26px 7px 26px; border-radius: 4px; }}
QMenu::item:selected {{ background: {ACCENT.name()}; color: {BACKGROUND.name()}; }}
QMenu::item:disabled {{ color: {FAINT.name()}; }}
QMenu::separator {{ height: 1px; background: {LINE.name()}; margin: 5px 8px; }}
QToolTip {{ background: {RAISED.name()}; color: {TEXT.name()}; border: 1px solid {LINE.name()}; padding: 5px; }}
"""


def apply(app: QApplication) -> None:
    """Dress the whole application."""
    app.setStyle("Fusion")  # the same drawing on every system, and it follows the palette
    app.setPalette(palette())
    app.setFont(font(15))
    app.setStyleSheet(SHEET)


def argb(colour: QColor) -> int:
    """The colour as a pixel of a 32-bit image."""
    return 0xFF000000 | (colour.red() << 16) | (colour.green() << 8) | colour.blue()


@lru_cache(maxsize=1)
def colour_map() -> NDArray[np.uint32]:
    """256 pixels from the background through blue and the accent to warm white; lightness only rises."""
    stops = [
        (0.00, BACKGROUND),
        (0.22, QColor("#0d1f3c")),
        (0.45, QColor("#14507e")),
        (0.65, QColor("#1fa3a4")),
        (0.82, ACCENT),
        (0.93, QColor("#d9f58a")),
        (1.00, QColor("#fffbe0")),
    ]
    where = np.linspace(0, 1, 256)
    places = [place for place, _ in stops]
    red, green, blue = (
        np.interp(where, places, [channel(colour) for _, colour in stops]).round().astype(np.uint32)
        for channel in (QColor.red, QColor.green, QColor.blue)
    )
    return np.uint32(0xFF000000) | (red << np.uint32(16)) | (green << np.uint32(8)) | blue
