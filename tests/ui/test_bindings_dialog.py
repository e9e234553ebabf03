"""The table of bindings in the window: by keys alone, with names for a screen reader, and in a small window."""

from __future__ import annotations

import pytest
from demo_transport import DemoTransport
from PySide6.QtCore import QAbstractItemModel, Qt
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import QApplication, QComboBox, QLineEdit
from pytestqt.qtbot import QtBot

from jbdiff_live.binding import Binding
from jbdiff_live.control_view import BindingRow
from jbdiff_live.ui.bindings.columns import COLUMNS, in_words
from jbdiff_live.ui.bindings.dialog import LETTERS, BindingsDialog
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.window import MainWindow

CONTROL = Qt.KeyboardModifier.ControlModifier
TITLES = [column.title for column in COLUMNS]


def column(title: str) -> int:
    return TITLES.index(title)


def shown(dialog: BindingsDialog, title: str) -> list[str]:
    return [dialog.model.index(row, column(title)).data() for row in range(dialog.model.rowCount())]


@pytest.fixture
def dialog(window: MainWindow, qtbot: QtBot) -> BindingsDialog:
    """Opened by its key."""
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.keyClick(window, Qt.Key.Key_B, CONTROL)
    assert window.bindings.isVisible()
    window.bindings.activateWindow()
    qtbot.waitUntil(window.bindings.isActiveWindow)
    return window.bindings


def go(dialog: BindingsDialog, row: int, title: str) -> None:
    dialog.table.setCurrentIndex(dialog.model.index(row, column(title)))


def test_it_opens_by_a_key_and_from_the_menu_and_shows_every_line(
    window: MainWindow, dialog: BindingsDialog, demo: DemoTransport
) -> None:
    assert shown(dialog, "Moves") == ["Panic", "Noise", "Resample", "Gain", "Re-roll", "Tempo", "Gain"]
    assert shown(dialog, "Range")[1:4] == ["0.2 to 0.8", "0 to 1", "-60 to 6 dB"]
    assert shown(dialog, "Lands on") == [
        "never",
        "bar",
        *3 * ["as Hold changes"],
        "",
        "as Hold changes",
    ]
    assert shown(dialog, "Note")[-1] == "the map uses CC 23"
    dialog.close()
    menu = window.devices.midi.make_menu()
    next(entry for entry in menu.actions() if "Table of bindings" in entry.text()).trigger()
    assert dialog.isVisible()


def test_arrows_enter_and_delete_are_all_that_is_needed(
    dialog: BindingsDialog, demo: DemoTransport, qtbot: QtBot
) -> None:
    assert QApplication.focusWidget() is dialog.table
    for _ in range(column("Curve")):
        qtbot.keyClick(dialog.table, Qt.Key.Key_Right)
    qtbot.keyClick(dialog.table, Qt.Key.Key_Return)
    box = dialog.table.findChild(QComboBox)
    assert box is not None and box.accessibleName() == "Curve"
    assert [box.itemText(n) for n in range(box.count())] == ["linear", "slow", "fast"]
    qtbot.waitUntil(lambda: box.view().isVisible())  # the list opens by itself
    qtbot.keyClick(box.view(), Qt.Key.Key_Down)
    qtbot.keyClick(box.view(), Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(demo.asked))
    (edit,) = demo.asked
    assert edit[0] == "edit_binding" and isinstance(edit[3], Binding)
    assert edit[3].text == "ch 1 CC 21 from 0.2 to 0.8 curve fast hold bar"
    qtbot.waitUntil(lambda: shown(dialog, "Curve")[1] == "fast")
    qtbot.waitUntil(dialog.isActiveWindow)
    qtbot.keyClick(dialog.table, Qt.Key.Key_Delete)
    assert demo.asked[-1][0] == "remove_binding"
    qtbot.waitUntil(lambda: "Noise" not in shown(dialog, "Moves"))


def test_a_range_is_typed_and_a_wrong_one_is_refused_with_the_reason(
    dialog: BindingsDialog, demo: DemoTransport, qtbot: QtBot
) -> None:
    for text, wanted in (("-20 to 0", "ch 1 CC 23 from -20 to 0 inverted"), ("", "ch 1 CC 23 inverted")):
        go(dialog, 3, "Range")
        qtbot.keyClick(dialog.table, Qt.Key.Key_Return)
        line = dialog.table.findChild(QLineEdit)
        assert line is not None and line.accessibleName() == "Range"
        line.setText(text)
        qtbot.keyClick(line, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda wanted=wanted: demo.bindings_of[2].text == wanted)
        qtbot.waitUntil(lambda: dialog.table.findChild(QLineEdit) is None)
        dialog.look()
    before = list(demo.asked)
    for text, words in (
        ("loud", "write two values, such as -60 to 6"),
        ("0 to 99", "write the lower value first"),
    ):
        assert not dialog.model.setData(dialog.model.index(3, column("Range")), text)
        assert words in dialog.line.text()
    assert demo.asked == before, "what is wrong never reaches the session"


@pytest.mark.parametrize(
    ("title", "text", "wanted"),
    [
        ("Ch", "all", "CC 23 inverted"),
        ("Ch", "5", "ch 5 CC 23 inverted"),
        ("Inverted", "no", "ch 1 CC 23"),
        ("Takeover", "scale", "ch 1 CC 23 scale inverted"),
        ("Takeover", "as the map says", "ch 1 CC 23 inverted"),
        ("Lands on", "beat", "ch 1 CC 23 inverted hold beat"),
        ("Curve", "slow", "ch 1 CC 23 curve slow inverted"),
    ],
)
def test_every_other_cell_is_chosen_from_a_list(
    dialog: BindingsDialog, demo: DemoTransport, title: str, text: str, wanted: str
) -> None:
    index = dialog.model.index(3, column(title))
    choices = dialog.model.choices(index)
    assert choices is not None and text in choices
    assert dialog.model.setData(index, text)
    assert demo.bindings_of[2].text == wanted


@pytest.mark.parametrize(
    ("row", "title"),
    [(0, "Ch"), (3, "Moves"), (4, "Range"), (4, "Inverted"), (5, "Lands on"), (6, "Range")],
    ids=["panic's own message", "target", "pad", "pad without travel", "no control", "not in use"],
)
def test_what_the_data_does_not_allow_cannot_be_edited(dialog: BindingsDialog, row: int, title: str) -> None:
    flags = dialog.model.flags(dialog.model.index(row, column(title)))
    assert not flags & Qt.ItemFlag.ItemIsEditable


def test_panic_works_over_the_table_and_escape_only_closes_it(
    dialog: BindingsDialog, demo: DemoTransport, qtbot: QtBot
) -> None:
    qtbot.keyClick(dialog.table, Qt.Key.Key_P)
    assert demo.asked == [("trigger", "panic")]
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible() and demo.asked == [("trigger", "panic")]


def test_a_target_without_control_is_given_back_to_the_patch(
    dialog: BindingsDialog, demo: DemoTransport, qtbot: QtBot
) -> None:
    go(dialog, 5, "Moves")
    assert "patch" in dialog.remove.text()
    qtbot.keyClick(dialog.table, Qt.Key.Key_Delete)
    assert demo.asked == [("allow_bindings", "nanoKONTROL2", "tempo")]


def test_what_the_session_refuses_is_written_below_the_table(
    dialog: BindingsDialog, demo: DemoTransport
) -> None:
    demo.refuse["remove_binding"] = ValueError("box is not connected; connect it, then change its bindings")
    go(dialog, 3, "Moves")
    dialog.let_go()
    assert dialog.line.text().startswith("box is not connected")


def test_it_fits_a_small_window_and_is_cut_nowhere_that_matters(window: MainWindow, qtbot: QtBot) -> None:
    window.setMinimumSize(900, 500)
    window.resize(960, 540)
    window.bindings.open_table()
    dialog = window.bindings
    QApplication.processEvents()
    assert dialog.width() <= 960 and dialog.height() <= 540
    header = dialog.table.horizontalHeader()
    last = column("From")
    assert header.sectionViewportPosition(last) + header.sectionSize(last) <= dialog.table.viewport().width()
    assert dialog.close_button.geometry().right() <= dialog.width()


def test_a_wide_table_cuts_no_control(window: MainWindow) -> None:
    """Panic's "CC 120 or CC 123" was cut beside an empty column."""
    window.resize(1600, 1000)
    window.bindings.open_table()
    dialog = window.bindings
    QApplication.processEvents()
    room = dialog.table.columnWidth(column("Control")) - 14
    letters = theme.metrics(LETTERS)
    texts = [*shown(dialog, "Control"), "CC 22 relative 1/127"]
    assert max(map(letters.horizontalAdvance, texts)) <= room, texts


def test_a_screen_reader_gets_names_and_whole_lines(dialog: BindingsDialog) -> None:
    assert dialog.table.accessibleName() == "Bindings"
    model: QAbstractItemModel = dialog.model
    cell = model.index(1, column("Range"))
    assert cell.data(Qt.ItemDataRole.AccessibleTextRole) == "Range: 0.2 to 0.8"
    whole = "Moves: Noise; Control: CC 21; Controller: nanoKONTROL2; Ch: 1; Range: 0.2 to 0.8"
    assert str(cell.data(Qt.ItemDataRole.AccessibleDescriptionRole)).startswith(whole)
    go(dialog, 1, "Range")
    assert dialog.line.text().startswith(whole)
    assert QAccessible.queryAccessibleInterface(dialog.table) is not None


def test_the_line_of_an_encoder_says_how_it_counts() -> None:
    binding = Binding.parse("gain", "ch 1 CC 22 relative 1/127")
    row = BindingRow("box", "gain", "Gain", "CC 22", "map", binding, "pickup")
    assert "Control: CC 22 relative 1/127;" in in_words(row)


def test_a_conflict_is_written_out() -> None:
    binding = Binding.parse("gain", "CC 7")
    row = BindingRow("box", "gain", "Gain", "CC 7", "map", binding, "pickup", conflict="also moves Resample")
    assert in_words(row).endswith("Note: also moves Resample")


def test_enter_on_a_fixed_cell_says_that_it_is_fixed(
    dialog: BindingsDialog, qtbot: QtBot, capfd: pytest.CaptureFixture[str]
) -> None:
    go(dialog, 1, "Moves")
    qtbot.keyClick(dialog.table, Qt.Key.Key_Return)
    assert "this cell is fixed" in dialog.line.text()
    assert "editing failed" not in capfd.readouterr().err


@pytest.mark.parametrize("size", [(940, 500), (1366, 768)])
def test_the_table_leaves_stop_and_panic_in_sight(
    window: MainWindow, qtbot: QtBot, size: tuple[int, int]
) -> None:
    window.resize(*size)
    window.open_bindings()
    place = window.bindings.geometry()
    for part in (window.bar.start, window.bar.panic):
        corner = part.mapToGlobal(part.rect().bottomLeft())
        assert corner.y() < place.top(), (corner, place)
    assert place.bottom() <= window.mapToGlobal(window.rect().bottomLeft()).y()
