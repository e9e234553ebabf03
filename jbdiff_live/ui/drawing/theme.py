"""Colours, fonts and the colour map of the spectrogram: high contrast, one accent, two warnings.

`wear` changes the look of the whole application. The size of the letters is a factor on every font.

Thread: Qt's. Nothing here blocks. Nothing touches Qt at import beyond plain colour values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPalette, QTextOption
from PySide6.QtWidgets import QApplication

from jbdiff_live.ui.drawing.palettes import DARK, palette_of, stops_of


def _colours(names: str) -> tuple[QColor, ...]:
    return tuple(QColor(DARK[name]) for name in names.split())


# A change of look changes these objects in place, so that whoever holds one has the new colour.
BACKGROUND, PANEL, RAISED, LINE = _colours("BACKGROUND PANEL RAISED LINE")
TEXT, DIM, FAINT = _colours("TEXT DIM FAINT")
ACCENT, ACCENT_DIM, ACCENT_DEEP = _colours("ACCENT ACCENT_DIM ACCENT_DEEP")  # DIM: set, and not heard yet
WARN, WARN_DEEP = _colours("WARN WARN_DEEP")  # red: the audience hears nothing, or clipping
CAUTION, CAUTION_DEEP = _colours("CAUTION CAUTION_DEEP")  # amber: degraded, while the music goes on
HOT, VEIL, GRID, SHADE = _colours("HOT VEIL GRID SHADE")  # loud peaks; over the picture; over the window

TALLEST = 1.0  # of a line's height: letters that were made larger stay within it
LEAST_PIXELS = 12  # no letter is smaller, so that it can be read on a stage

# The first family that the machine has. DejaVu is the widest of them: a layout that holds with it holds.
FAMILIES = ["Inter", "Noto Sans", "Segoe UI", "Helvetica Neue", "DejaVu Sans"]


@dataclass
class _Worn:
    """The look that is worn. number: grows with each change, so that kept pictures are drawn anew."""

    dark: bool = True
    factor: float = 1.0  # of the letters
    number: int = 0


_worn = _Worn()

CENTRE = Qt.AlignmentFlag.AlignCenter
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


@lru_cache(maxsize=256)
def font(pixels: int, bold: bool = False) -> QFont:
    """A font of so many logical pixels at the usual size, with digits of one width where the family has them."""
    made = QFont()
    made.setFamilies(FAMILIES)
    made.setPixelSize(max(LEAST_PIXELS, round(pixels * _worn.factor)))
    made.setBold(bold)
    return made


@lru_cache(maxsize=256)
def metrics(pixels: int, bold: bool = False) -> QFontMetricsF:
    return QFontMetricsF(font(pixels, bold))


@lru_cache(maxsize=1024)
def width_of(text: str, pixels: int, bold: bool = False) -> float:
    """The width of a text in logical pixels."""
    return metrics(pixels, bold).horizontalAdvance(text)


def grown(pixels: int) -> int:
    """A height in pixels, as much larger as the letters are."""
    return round(pixels * _worn.factor)


def least_nominal() -> int:
    """The size to ask for to get the smallest letters: fewer pixels than they have, while letters are larger."""
    return int(LEAST_PIXELS / _worn.factor)


@lru_cache(maxsize=4096)
def fitting(text: str, width: float, largest: int, smallest: int = LEAST_PIXELS, bold: bool = False) -> int:
    """The largest font size in pixels at which `text` is no wider than `width`.

    Remembered: measuring costs as much as drawing, and most texts are drawn again and again in the same place.
    """
    smallest = least_nominal() if smallest == LEAST_PIXELS else smallest
    for pixels in range(largest, smallest, -1):
        if metrics(pixels, bold).horizontalAdvance(text) <= width:
            return pixels
    return smallest


def written_size(text: str, where: QRectF, pixels: int, least: int = LEAST_PIXELS, bold: bool = False) -> int:
    """The size at which `write` writes: no wider than the place, and larger letters no higher than it."""
    tallest = max(pixels, int(where.height() * TALLEST)) / _worn.factor
    return fitting(text, where.width(), max(min(pixels, round(tallest)), 1), least, bold=bold)


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
    free: bool = False,
) -> None:
    """One line of text: shrinks to fit down to `least` px, then is cut in the middle; tooltips hold the whole.

    Letters that are higher than the place reach over its edges: they are not cut.
    free: a name of any length, of a file or a device. Only such a text may be cut; a test watches the others.
    """
    size = written_size(text, where, pixels, least, bold)
    if metrics(size, bold).horizontalAdvance(text) > where.width():
        text = metrics(size, bold).elidedText(text, Qt.TextElideMode.ElideMiddle, where.width())
    painter.setFont(font(size, bold))
    painter.setPen(colour)
    painter.drawText(where, align | Qt.TextFlag.TextDontClip, text)


def write_lines(
    painter: QPainter, where: QRectF, text: str, pixels: int, colour: QColor, middle: bool = False
) -> None:
    """A text that wraps at words, from the top or in the middle. What has no room is cut: the caller asks `holds`."""
    painter.setFont(font(pixels))
    painter.setPen(colour)
    option = QTextOption(LEFT if middle else Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
    option.setWrapMode(QTextOption.WrapMode.WordWrap)
    painter.drawText(where, text, option)


def holds(where: QRectF, text: str, pixels: int) -> bool:
    """Return True if a text that wraps at words fits into a place."""
    room = QRectF(0, 0, where.width(), 1e6)
    needed = metrics(pixels).boundingRect(room, Qt.TextFlag.TextWordWrap, text)
    return needed.height() <= where.height() + 2 and needed.width() <= where.width()


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


def sheet() -> str:
    """The style sheet of menus and tooltips, and of the buttons of dialogs: words without pictures."""
    return f"""
QMenu {{ background: {RAISED.name()}; color: {TEXT.name()}; border: 1px solid {LINE.name()}; padding: 6px; }}
QMenu::item {{ padding: 7px 26px 7px 26px; border-radius: 4px; }}
QMenu::item:selected {{ background: {ACCENT.name()}; color: {BACKGROUND.name()}; }}
QMenu::item:disabled {{ color: {FAINT.name()}; }}
QMenu::separator {{ height: 1px; background: {LINE.name()}; margin: 5px 8px; }}
QDialogButtonBox {{ dialogbuttonbox-buttons-have-icons: 0; }}
QToolTip {{ background: {RAISED.name()}; color: {TEXT.name()}; border: 1px solid {LINE.name()}; padding: 5px; }}
"""


def wear(dark: bool, safe: bool, factor: float) -> None:
    """Change colours and letters. safe: colours that need no red-green eye. factor: of the letters' size."""
    for name, colour in palette_of(dark, safe).items():
        own: QColor = globals()[name]
        own.setRgba(QColor(colour).rgba())
    _worn.dark, _worn.factor, _worn.number = dark, factor, _worn.number + 1
    for kept in (font, metrics, width_of, fitting, first_fitting, colour_map):
        kept.cache_clear()


def look_number() -> int:
    """A number that changes with the look: for what keeps pictures."""
    return _worn.number


def faded() -> float:
    """The palest opacity at which the text of a tile that does nothing keeps a contrast of 4.5."""
    return 0.8


def apply(app: QApplication) -> None:
    """Dress the whole application."""
    app.setStyle("Fusion")  # the same drawing on every system, and it follows the palette
    app.setPalette(palette())
    app.setFont(font(15))
    app.setStyleSheet(sheet())


def argb(colour: QColor) -> int:
    """The colour as a pixel of a 32-bit image."""
    return 0xFF000000 | (colour.red() << 16) | (colour.green() << 8) | colour.blue()


@lru_cache(maxsize=1)
def colour_map() -> NDArray[np.uint32]:
    """256 pixels from the background to the loudest colour; lightness only rises, or only falls on a light ground."""
    stops = [
        (place, QColor(palette_of(_worn.dark, False).get(name, name))) for place, name in stops_of(_worn.dark)
    ]
    where = np.linspace(0, 1, 256)
    places = [place for place, _ in stops]
    red, green, blue = (
        np.interp(where, places, [channel(colour) for _, colour in stops]).round().astype(np.uint32)
        for channel in (QColor.red, QColor.green, QColor.blue)
    )
    return np.uint32(0xFF000000) | (red << np.uint32(16)) | (green << np.uint32(8)) | blue
