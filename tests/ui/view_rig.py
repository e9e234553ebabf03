"""Looks for letters that are cut, and for what lies on something else, in every view and size of the window."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from PySide6.QtCore import QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QPainter, QPixmap
from PySide6.QtWidgets import QApplication, QWidget

from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import Painted
from jbdiff_live.ui.drawing.scope import Scope
from jbdiff_live.ui.views.tabs import View
from jbdiff_live.ui.window import LEAST_HEIGHT, LEAST_WIDTH, MainWindow

# Logical pixels, and device pixels for each; the smallest is a screen of 960 x 540 without its title bar.
SIZES = ((LEAST_WIDTH, LEAST_HEIGHT, 1), (960, 540, 1), (1366, 768, 1), (1920, 1080, 2))


class Written(NamedTuple):
    """A text that was drawn. free: it is a name of any length, which may be cut."""

    where: QRectF
    text: str
    pixels: int
    bold: bool
    align: Qt.AlignmentFlag
    free: bool


@contextmanager
def writing(patch: pytest.MonkeyPatch) -> Iterator[list[Written]]:
    """Collect each text that is drawn: its place, the text, its size, whether it is bold, how it lies."""
    found: list[Written] = []
    write = theme.write

    def watched(
        painter: QPainter, where: QRectF, text: str, pixels: int, colour: QColor = theme.TEXT,
        align: Qt.AlignmentFlag = theme.LEFT, bold: bool = False, least: int = theme.LEAST_PIXELS, free: bool = False,
    ) -> None:  # fmt: skip
        size = theme.written_size(text, where, pixels, least, bold)
        found.append(Written(QRectF(where), text, size, bold, align, free))
        write(painter, where, text, pixels, colour, align, bold, least, free)

    write_lines = theme.write_lines

    def watched_lines(
        painter: QPainter, where: QRectF, text: str, pixels: int, colour: QColor, middle: bool = False
    ) -> None:
        if not theme.holds(where, text, pixels):
            found.append(
                Written(QRectF(where.topLeft(), QSizeF(0, 0)), text, pixels, False, theme.LEFT, False)
            )
        write_lines(painter, where, text, pixels, colour, middle)

    with patch.context() as context:
        context.setattr(theme, "write", watched)
        context.setattr(theme, "write_lines", watched_lines)
        yield found


def ink(one: Written) -> QRectF:
    """The place of the letters themselves."""
    where, text, pixels, bold, align, _ = one
    size = theme.metrics(pixels, bold)
    wide, high = size.horizontalAdvance(text), size.tightBoundingRect(text).height()
    left = where.center().x() - wide / 2
    if align & Qt.AlignmentFlag.AlignRight:
        left = where.right() - wide
    elif align & Qt.AlignmentFlag.AlignLeft:
        left = where.left()
    return QRectF(left, where.center().y() - high / 2, wide, high)


def faults_of_text(widget: Painted, ratio: int, written: list[Written]) -> list[str]:
    """Draw a widget and find letters that are cut, too small, outside, or on other letters."""
    written.clear()
    widget._face = None
    picture = QPixmap(widget.size() * ratio)
    picture.setDevicePixelRatio(ratio)
    widget.render(picture)
    name = f"{type(widget).__name__} {widget.objectName() or widget.accessibleName()}"
    area = QRectF(widget.rect()).adjusted(-1, -1, 1, 1)
    faults = []
    texts = [one for one in written if one.text]
    for one in texts:
        where, text, pixels, bold, _, free = one
        cut = theme.metrics(pixels, bold).horizontalAdvance(text) > where.width() + 1
        if cut and not free:
            faults.append(f"{name}: {text!r} is cut at {where.width():.0f} px")
        if (shown := theme.font(pixels, bold).pixelSize()) < 12:
            faults.append(f"{name}: {text!r} has {shown} px")
        if not cut and not area.contains(ink(one)):
            faults.append(f"{name}: {text!r} lies outside: {ink(one)} in {area}")
    for one, other in itertools.combinations(texts, 2):
        common = ink(one).intersected(ink(other))
        if common.width() > 1 and common.height() > 1.5:
            faults.append(f"{name}: {one.text!r} lies on {other.text!r}")
    return faults


def faults_of_place(window: MainWindow) -> list[str]:
    """Find widgets that lie outside their parents or on each other."""
    faults = []
    over = {window.notices, window.keys, window.zones}  # each has a test of its own
    for parent in [window, *window.findChildren(QWidget)]:
        if not parent.isVisible() or parent in over or window.notices.isAncestorOf(parent):
            continue
        children = [
            c for c in parent.children() if isinstance(c, QWidget) and c.isVisible() and c not in over
        ]
        for child in children:
            if not parent.rect().contains(child.geometry()):
                faults.append(
                    f"{child.objectName()} {child} at {child.geometry()} is outside {parent.rect()}"
                )
        for one, other in itertools.combinations(children, 2):
            if one.geometry().intersects(other.geometry()):
                faults.append(f"{one.objectName()} lies on {other.objectName()}: {one} {other}")
    room = window.rect() if window.notices.isHidden() else window.notices.geometry()
    if not window.rect().contains(room):
        faults.append(f"the notices at {room} are outside")
    return faults


def shown(window: MainWindow, size: tuple[int, int], view: View) -> None:
    window.resize(*size)
    window.show_view(view)
    QApplication.processEvents()
    window.look()
    QApplication.processEvents()


def pages(window: MainWindow, view: View) -> Iterator[int]:
    """Show the pages of a view one after the other: a small settings view has two."""
    yield 0
    if view is View.SETTINGS and window.settings.paged:
        window.settings.turn_page()
        QApplication.processEvents()
        yield 1
        window.settings.turn_page()


def faults_of(window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Show every view in every size, and return what is cut or overlaps."""
    monkeypatch.setattr(Scope, "advance", lambda *_: None)  # the picture has tests of its own, and takes time
    faults: list[str] = []
    with writing(monkeypatch) as written:
        for (width, height, ratio), view in itertools.product(SIZES, View):
            shown(window, (width, height), view)
            assert (window.width(), window.height()) == (width, height)
            rows = (window.bar, window.foot)  # the same in every view
            for _ in pages(window, view):
                found = faults_of_place(window)
                for widget in window.findChildren(Painted):
                    if widget.isVisible() and (view is View.STAGE or widget.parentWidget() not in rows):
                        found += faults_of_text(widget, ratio, written)
                faults += [f"{width}x{height} {view.name}: {fault}" for fault in found]
    return faults
