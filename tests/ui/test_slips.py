"""Slips of the hand in the window: what a player lets go of, or looks away from, does nothing later."""

from __future__ import annotations

from dataclasses import replace

import pytest
from demo_transport import DemoTransport
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QFocusEvent, QHideEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from jbdiff_live.scenes.view import SceneStatus, SceneView
from jbdiff_live.ui.scenes.pad import ScenePad
from jbdiff_live.ui.tiles.stage_pads import STEPS, HeldPad
from jbdiff_live.ui.views.tabs import View
from jbdiff_live.ui.window import MainWindow

LEFT = Qt.MouseButton.LeftButton


def menu_opens() -> QEvent:
    return QFocusEvent(QEvent.Type.FocusOut, Qt.FocusReason.PopupFocusReason)


@pytest.mark.parametrize("slip", ["away", "menu", "hidden"])
def test_a_panic_that_is_not_held_down_to_the_end_does_nothing(qtbot: QtBot, slip: str) -> None:
    pad = HeldPad()
    qtbot.addWidget(pad)
    hits: list[str] = []
    pad.triggered.connect(hits.append)
    qtbot.mousePress(pad, LEFT)
    for _ in range(STEPS - 1):
        pad._hold()
    if slip == "away":
        qtbot.mouseMove(pad, QPoint(-50, -50))
    else:
        QApplication.sendEvent(pad, menu_opens() if slip == "menu" else QHideEvent())
    assert not pad._timer.isActive()
    qtbot.mousePress(pad, LEFT)
    pad._hold()
    assert hits == [], "the next press begins anew"
    for _ in range(STEPS - 1):
        pad._hold()
    assert hits == ["panic"]


def test_a_click_on_panic_says_that_it_has_to_be_held_down(
    qtbot: QtBot, window: MainWindow, demo: DemoTransport
) -> None:
    qtbot.mouseClick(window.bar.panic, LEFT)
    assert "Panic: hold the mouse button down for half a second, or press P" in window.notices.toPlainText()
    assert ("trigger", "panic") not in demo.asked
    qtbot.mousePress(window.bar.panic, LEFT)
    for _ in range(STEPS):
        window.bar.panic._hold()
    window.notices.dismiss()
    qtbot.mouseRelease(window.bar.panic, LEFT)
    assert "hold the mouse" not in window.notices.toPlainText(), "it was held long enough"


def test_a_menu_that_opens_during_a_long_press_ends_it(qtbot: QtBot) -> None:
    pad = ScenePad(2)
    qtbot.addWidget(pad)
    qtbot.mousePress(pad, LEFT)
    assert pad._long.isActive()
    QApplication.sendEvent(pad, menu_opens())
    assert not pad._long.isActive()


def test_a_name_with_signs_of_html_is_read_as_it_is(qtbot: QtBot) -> None:
    pad = ScenePad(1)
    qtbot.addWidget(pad)
    first = SceneView(1, True, "<b>loud</b> & low")
    pad.show_scene(SceneStatus((first, *SceneStatus().scenes[1:])), False)
    assert "&lt;b&gt;loud&lt;/b&gt; &amp; low" in pad.toolTip()
    assert "<b>loud</b> & low" in pad.accessibleDescription()
    pad.show_scene(SceneStatus((replace(first, name="low & loud"), *SceneStatus().scenes[1:])), False)
    assert "low & loud" in pad.toolTip()


def test_no_knob_or_pad_inherits_the_focus(window: MainWindow, demo: DemoTransport, qtbot: QtBot) -> None:
    """The digits recall scenes on the new view, and Enter hits no pad when a patch brings other rings."""
    knob = window.panel.tiles["memory"]
    knob.setFocus()
    window.show_view(View.WORKSHOP)
    assert window.focusWidget() is knob, "the same view changes nothing"
    qtbot.keyClicks(knob, "0.4")
    qtbot.keyClick(knob, Qt.Key.Key_F2)
    assert window.view is View.STAGE and window.focusWidget() is window
    qtbot.keyClick(window, Qt.Key.Key_3)
    assert demo.asked == [("recall_scene", 3)]

    ring = next(ring for ring in window.stage.rings if ring.name == "memory")
    ring.setFocus()
    qtbot.keyClicks(ring, "0.7")
    demo.set_status(stage_knobs=("anchor", "memory"))
    window.look()
    assert window.focusWidget() is ring and ring.typed == "0.7", "a ring that stays keeps the focus"
    demo.set_status(stage_knobs=("anchor", "tempo"))
    window.look()
    assert window.focusWidget() is window
    qtbot.keyClick(window, Qt.Key.Key_Enter)
    assert [asked for asked in demo.asked if asked[0] == "recall_scene"] == [("recall_scene", 3)]
    window.stage.rings[0].setFocus()
    qtbot.keyClick(window.stage.rings[0], Qt.Key.Key_Tab)
    assert window.focusWidget() is window.stage.rings[1], "new rings are neighbours for Tab"
