"""The strip of scenes: pads, keys, menus, undo, and what a screen reader says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from demo_transport import DemoTransport
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAccessible, QColor
from PySide6.QtWidgets import QApplication, QMenu
from pytestqt.qtbot import QtBot
from view_rig import writing

from jbdiff_live.beat.line import TAPPED, ClockSource, ClockState, ClockStatus
from jbdiff_live.parameters import OF_THE_SCENES, Origin
from jbdiff_live.scenes.view import SceneStatus, SceneView, UndoStatus
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.scenes.buttons import Face
from jbdiff_live.ui.scenes.strip import short_step
from jbdiff_live.ui.window import MainWindow

LEFT, SHIFT, CTRL = (
    Qt.MouseButton.LeftButton,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
)


def scenes(**changes: object) -> SceneStatus:
    """Scene 1 is called calm and scene 2 has program 5; the others are empty."""
    views = [SceneView(n) for n in range(1, 9)]
    views[0] = SceneView(1, True, "calm")
    views[1] = SceneView(2, True, "", 5, frozenset({"output", "noise"}))
    return replace(SceneStatus(tuple(views)), **changes)  # type: ignore[arg-type]


def entries(menu: QMenu) -> dict[str, object]:
    return {action.text(): action for action in menu.actions()}


def test_a_click_recalls_and_shift_and_click_captures(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    pad = window.scenes.pads[3]
    qtbot.mouseClick(pad, LEFT)
    qtbot.mouseClick(pad, LEFT, SHIFT)
    assert demo.asked == [("recall_scene", 3), ("capture_scene", 3)]


def test_a_long_press_captures_and_does_not_recall(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    pad = window.scenes.pads[2]
    pad._long.setInterval(1)
    with qtbot.waitSignal(pad.capture):
        qtbot.mousePress(pad, LEFT)
    qtbot.mouseRelease(pad, LEFT)
    assert demo.asked == [("capture_scene", 2)]


def test_a_press_that_is_drawn_away_does_nothing(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    pad = window.scenes.pads[2]
    qtbot.mousePress(pad, LEFT)
    qtbot.mouseRelease(pad, LEFT, pos=QPoint(-40, -40))
    assert demo.asked == [] and not pad._long.isActive()


@pytest.mark.parametrize(
    ("key", "modifier", "asked"),
    [
        (Qt.Key.Key_4, Qt.KeyboardModifier.NoModifier, ("recall_scene", 4)),
        (Qt.Key.Key_4, SHIFT, ("capture_scene", 4)),
        (Qt.Key.Key_C, Qt.KeyboardModifier.NoModifier, ("arm_capture",)),
        (Qt.Key.Key_Z, CTRL, ("undo",)),
        (Qt.Key.Key_Z, CTRL | SHIFT, ("redo",)),
        (Qt.Key.Key_Equal, Qt.KeyboardModifier.NoModifier, ("compare",)),
    ],
)
def test_the_keys_of_scenes_and_undo(
    window: MainWindow,
    demo: DemoTransport,
    qtbot: QtBot,
    key: Qt.Key,
    modifier: Qt.KeyboardModifier,
    asked: tuple[object, ...],
) -> None:
    qtbot.keyClick(window, key, modifier)
    assert demo.asked == [asked]


def test_enter_plays_a_focused_pad(window: MainWindow, demo: DemoTransport, qtbot: QtBot) -> None:
    pad = window.scenes.pads[6]
    pad.setFocus()
    qtbot.keyClick(pad, Qt.Key.Key_Return)
    qtbot.keyClick(pad, Qt.Key.Key_Return, SHIFT)
    assert demo.asked == [("recall_scene", 6), ("capture_scene", 6)]


def test_the_menu_renames_copies_clears_and_leaves_out(window: MainWindow, demo: DemoTransport) -> None:
    demo.set_status(scenes=scenes())
    window.look()
    menu = window.scenes.pads[2].make_menu()
    actions = entries(menu)
    inside = {text: entries(a.menu()) for text, a in actions.items() if a.menu() is not None}  # type: ignore[attr-defined]
    assert (
        inside["Leave out"]["Noise"].isChecked() and not inside["Leave out"]["Memory and theme"].isChecked()
    )  # type: ignore[attr-defined]
    inside["Leave out"]["Memory and theme"].trigger()  # type: ignore[attr-defined]
    inside["Copy to"]["Scene 7"].trigger()  # type: ignore[attr-defined]
    actions["No program"].trigger()  # type: ignore[attr-defined]
    actions["Clear"].trigger()  # type: ignore[attr-defined]
    assert demo.asked == [
        ("leave_out_of_scene", 2, frozenset({"output", "noise", "memory"})),
        ("copy_scene", 2, 7),
        ("set_scene_program", 2, None),
        ("clear_scene", 2),
    ]
    menu.deleteLater()
    empty = window.scenes.pads[8].make_menu()
    assert list(entries(empty)) == ["Capture\tShift+8", "Learn MIDI\tL"]
    empty.deleteLater()


def test_the_dialogs_answer_without_blocking(window: MainWindow, demo: DemoTransport) -> None:
    demo.set_status(scenes=scenes())
    window.look()
    pad = window.scenes.pads[1]
    dialog = pad.ask_name()
    assert dialog.textValue() == "calm"
    dialog.setTextValue(" sea ")
    dialog.accept()
    dialog = pad.ask_program()
    dialog.setIntValue(12)
    dialog.accept()
    assert demo.asked == [("rename_scene", 1, "sea"), ("set_scene_program", 1, 12)]


def test_a_pad_says_what_its_scene_does(window: MainWindow, demo: DemoTransport) -> None:
    pads = window.scenes.pads
    demo.set_status(scenes=scenes(active=1, pending=2, lands_in=1.23))
    window.look()
    assert (pads[1].face.label, pads[1].face.note, pads[1].face.lit) == ("1", "calm", True)
    assert (pads[2].face.note, pads[2].face.framed) == ("in 1.2 s", True)
    assert (pads[3].face.label, pads[3].face.note, pads[3].face.dim) == ("3", "empty", True)
    assert "active" in pads[1].accessibleDescription()
    assert "program 5, leaves out Noise, Output (gain, mute)" in pads[2].accessibleDescription()
    demo.set_status(scenes=scenes(active=2, morph=0.25))
    window.look()
    assert (pads[2].face.note, pads[2].face.done) == ("25 %", 0.25)
    demo.set_status(scenes=scenes(capturing=True))
    window.look()
    assert pads[5].face.note == "here" and window.scenes.capture.face.lit


def test_the_buttons_name_the_step_and_the_patch_is_marked(window: MainWindow, demo: DemoTransport) -> None:
    demo.set_status(undo=UndoStatus("Memory 0.90", "", modified=True))
    window.look()
    strip = window.scenes
    assert (strip.undo.face.note, strip.undo.face.dim) == ("Memory 0.90", False)
    assert (strip.redo.face.note, strip.redo.face.dim) == ("nothing", True)
    assert "Memory 0.90" in strip.undo.accessibleDescription()
    assert window.bar.patch.note.startswith("changed") and strip.compare.face.note == "changed"
    demo.set_status(undo=UndoStatus("compare", comparing=True))
    window.look()
    assert strip.compare.face.lit and strip.compare.face.note == "saved patch"


def test_a_refusal_is_read_below(window: MainWindow, demo: DemoTransport) -> None:
    demo.refuse["capture_scene"] = ValueError("no room")
    window.scenes.capture_scene(1)
    window.look()
    assert "no room" in window.notices.toPlainText()


def test_pads_are_learned_and_show_their_binding(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    pad = window.scenes.pads[4]
    pad.setFocus()
    qtbot.keyClick(pad, Qt.Key.Key_L)
    assert demo.asked == [("learn", "scene_4")] and pad.face.note == "learn"
    demo.hear_cc(33)
    window.look()
    window.look()
    assert pad.face.note == "CC 33" and "bound to CC 33" in pad.accessibleDescription()


def test_the_scene_knobs_follow_the_store_and_stand_in_the_strip_alone(
    window: MainWindow, demo: DemoTransport
) -> None:
    rows = [window.scenes.tiles, window.scene_knobs.tiles]
    assert sorted(name for row in rows for name in row) == sorted(OF_THE_SCENES | {"hold_changes"})
    assert not (OF_THE_SCENES | {"hold_changes"}) & set(window.panel.tiles)
    demo.store.set("scene_time", 8, Origin.MIDI)
    window.look()
    assert window.scenes.tiles["scene_time"].value == 8


def test_every_control_of_the_strip_has_a_role_a_name_and_room(window: MainWindow) -> None:
    for size in ((960, 540), (1920, 1080)):
        window.resize(*size)
        QApplication.processEvents()
        for widget in window.scenes.order:
            least = widget.minimumSize()
            assert widget.width() >= least.width() and widget.height() >= least.height(), widget.objectName()
            assert widget.accessibleName()
    for button in window.scenes.functions:
        interface = QAccessible.queryAccessibleInterface(button)
        assert interface.role() is QAccessible.Role.Button
        assert interface.text(QAccessible.Text.Name) == button.accessibleName()


def luminance(colour: QColor) -> float:
    parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour.getRgbF()[:3]]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("lit", [False, True])
@pytest.mark.parametrize("dim", [False, True])
@pytest.mark.parametrize("done", [None, 0.5])
def test_words_on_the_buttons_have_contrast(lit: bool, dim: bool, done: float | None) -> None:
    face = Face("x", "y", lit=lit, dim=dim, done=done)
    grounds = [face.fill] if done is None else [face.fill, theme.ACCENT_DIM]
    inks = [face.ink, face.note_ink] if not (dim and done is not None) else [face.note_ink]
    for ground in grounds:
        for ink in inks:
            high, low = sorted((luminance(ground), luminance(ink)), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5


def test_no_scene_is_lit_while_the_saved_patch_plays(window: MainWindow, demo: DemoTransport) -> None:
    demo.set_status(scenes=replace(demo.state.scenes, active=2))
    window.look()
    assert window.scenes.pads[2].face.lit
    demo.set_status(undo=UndoStatus(modified=True, comparing=True))
    window.look()
    assert window.scenes.compare.face.lit and not window.scenes.pads[2].face.lit


def test_what_was_done_to_a_scene_is_short_and_has_its_number() -> None:
    """The button of a small window said "a change"."""
    assert theme.metrics(12).horizontalAdvance("capture scene 1") > 68, "else this tests nothing"
    assert short_step("capture scene 1 (calm)", 82) == short_step("capture scene 1", 82) == "capture 1"
    assert short_step("program of scene 3", 82) == "program 3"
    assert short_step("copy scene 2 to 4", 82) == "copy 2"
    assert short_step("scene 2 (slow morning)", 82) == "scene 2"
    assert short_step("revert to the saved patch", 82) == "revert"


@pytest.mark.parametrize("width", [82.0, 110.0, 300.0])
@pytest.mark.parametrize(
    "step", ["Scene morph 0.48", "compare with the saved patch", "LFO of Finisher strength", ""]
)
def test_a_step_of_undo_is_said_in_words_that_fit(step: str, width: float) -> None:
    said = short_step(step, width)
    assert theme.metrics(12).horizontalAdvance(said) <= width - 14
    assert said == step or width < 300 or not step


def test_morph_time_has_the_unit_that_morph_in_chooses(window: MainWindow, demo: DemoTransport) -> None:
    time = window.tiles["scene_time"]
    demo.set_parameter("scene_time", 8.0)
    window.look()
    assert time.value_text() == "8.0 s" and "8.0 s" in time.accessibleDescription()
    demo.set_parameter("scene_unit", 1.0)
    window.look()
    assert time.value_text() == "8.0 bars" and "8.0 bars" in time.accessibleDescription()


def test_a_pad_says_in_a_word_whether_its_scene_is_there(window: MainWindow, demo: DemoTransport) -> None:
    """Below the number of a captured scene there was nothing, and below that of an empty one a word."""
    demo.set_status(scenes=scenes())
    window.look()
    assert [window.scenes.pads[number].face.note for number in (1, 2, 3)] == ["calm", "stored", "empty"]


def test_a_tapped_beat_is_said_in_its_tile_and_not_below_the_word(
    window: MainWindow, demo: DemoTransport
) -> None:
    demo.start()
    demo.set_status(clock=ClockStatus(ClockSource.INTERNAL, ClockState.RUNNING, 116.1, 2, 1, detail=TAPPED))
    window.look()
    assert "tapped beat" in window.bar.beat.accessibleDescription()
    assert window.bar.view.beat == ""
    assert demo.state.clock.text() == "116.1 BPM, bar 2.1, tapped beat"


def test_the_beat_tile_promises_no_tap_while_another_clock_rules(
    window: MainWindow, demo: DemoTransport
) -> None:
    demo.set_status(clock=ClockStatus(ClockSource.MIDI, detail="waiting for MIDI clock"))
    window.look()
    with writing(pytest.MonkeyPatch()) as written:
        window.bar.beat.grab()
    texts = {text.text for text in written}
    assert texts & {"waiting for MIDI clock", "MIDI clock"} and not any("tap sets" in text for text in texts)
    demo.set_status(clock=ClockStatus())
    window.look()
    with writing(pytest.MonkeyPatch()) as written:
        window.bar.beat.grab()
    assert any("tap sets" in text.text for text in written)
