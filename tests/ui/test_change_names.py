"""The names of changes on the picture of the sound."""

from __future__ import annotations

import itertools

import pytest
from demo_states import play
from demo_transport import DemoTransport
from PySide6.QtCore import QRectF
from PySide6.QtGui import QPixmap

from jbdiff_live.ui.coming import Mark
from jbdiff_live.ui.drawing.scope import Scope
from jbdiff_live.ui.views.tabs import View
from jbdiff_live.ui.window import MainWindow


def picture_after(seconds: float, window: MainWindow, demo: DemoTransport) -> Scope:
    """Play on the stage view; return its picture."""
    window.resize(1280, 720)
    window.show_view(View.STAGE)
    demo.start()
    play(demo, seconds)
    window.look()
    return window.scope


def names_on(scope: Scope, patch: pytest.MonkeyPatch) -> list[tuple[str, QRectF]]:
    """Draw the picture. Return the names of changes on it, and where they stand."""
    found: list[tuple[str, QRectF]] = []
    label = scope._label

    def noted(name: str, comes: bool, place: QRectF) -> QPixmap:
        found.append((name, QRectF(place)))
        return label(name, comes, place)

    with patch.context() as patched:
        patched.setattr(scope, "_label", noted)
        scope.render(QPixmap(scope.size()))
    return found


def test_names_of_changes_on_the_picture_do_not_overlap(
    window: MainWindow, demo: DemoTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two moments that are close: the names of the later one stand below, or are counted."""
    scope, now = picture_after(4.0, window, demo), demo.frame
    names = [("Noise 0.62", "Style region", "Resample 0.35"), ("Memory 0.5", "Motion 0.1"), ("Guidance 2.0",)]
    scope.show_marks(
        tuple(
            Mark(now + 8000 + 3000 * moment, text, text)
            for moment, texts in enumerate(names)
            for text in texts
        )
    )
    drawn = names_on(scope, monkeypatch)
    assert len(drawn) >= 4
    for (one, where), (other, beside) in itertools.combinations(drawn, 2):
        assert not where.intersects(beside), (one, other)


def test_names_of_changes_leave_the_picture_whole(
    window: MainWindow, demo: DemoTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name stands right of its line. It goes with the line, and is not cut at the left edge before."""
    scope = picture_after(12.0, window, demo)
    area = scope._area()
    drawn: list[tuple[str, QRectF]] = []
    for tenths in range(80, 120):
        scope.show_marks((Mark(demo.frame - tenths * demo.status().sample_rate // 10, "seed", "Seed 12345"),))
        drawn += names_on(scope, monkeypatch)
    assert drawn and all(name == "Seed 12345" and where.left() >= area.left() for name, where in drawn)
