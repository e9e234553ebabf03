"""Knobs, switches, choices and pads: what a hand does to them reaches the session, what is heard comes back."""

from __future__ import annotations

import itertools

import pytest
from demo_transport import DemoTransport
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from jbdiff_live.parameters import ACTIONS, BY_NAME, PARAMETERS, Origin, Parameter, TakesEffect
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.tiles.buttons import Choice, Pad, Toggle
from jbdiff_live.ui.tiles.knob import DRAG_PIXELS, Knob
from jbdiff_live.ui.tiles.panel import KnobsPanel, Title
from jbdiff_live.ui.tiles.strips import Strip, StripChoice
from jbdiff_live.ui.views.tabs import View
from jbdiff_live.ui.window import LEAST_HEIGHT, LEAST_WIDTH, MainWindow

LEFT = Qt.MouseButton.LeftButton
SHIFT = Qt.KeyboardModifier.ShiftModifier
NONE = Qt.KeyboardModifier.NoModifier


def knob(window: MainWindow, name: str) -> Knob:
    tile = window.tiles[name]
    assert isinstance(tile, Knob)
    return tile


def drag(qtbot: QtBot, widget: QWidget, up: int, modifier: Qt.KeyboardModifier = NONE) -> None:
    start = widget.rect().center()
    qtbot.mousePress(widget, LEFT, modifier, start)
    for part in (0.5, 1.0):
        point = start - QPoint(0, round(up * part))
        event = QMouseEvent(
            QMouseEvent.Type.MouseMove,
            QPointF(point),
            QPointF(widget.mapToGlobal(point)),
            LEFT,
            LEFT,
            modifier,
        )
        QApplication.sendEvent(widget, event)
    qtbot.mouseRelease(widget, LEFT, modifier, start - QPoint(0, up))


def wheel(widget: QWidget, notches: int, modifier: Qt.KeyboardModifier = NONE) -> None:
    at = QPointF(widget.rect().center())
    event = QWheelEvent(at, widget.mapToGlobal(at), QPoint(), QPoint(0, 120 * notches), Qt.MouseButton.NoButton,
                        modifier, Qt.ScrollPhase.NoScrollPhase, False)  # fmt: skip
    QApplication.sendEvent(widget, event)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: p.name)
def test_every_parameter_has_a_tile_with_a_name_for_screen_readers(
    window: MainWindow, parameter: Parameter
) -> None:
    tile = window.tiles[parameter.name]
    for view in View:
        window.show_view(view)
        if tile.isVisible():
            break
    assert tile.isVisible()
    assert tile.accessibleName() == parameter.label
    assert parameter.text(parameter.default) in tile.accessibleDescription()
    assert parameter.takes_effect.value in tile.toolTip()
    assert tile.focusPolicy() == Qt.FocusPolicy.StrongFocus


@pytest.mark.parametrize(
    "action", [a for a in ACTIONS if a.name not in ("panic", "marker")], ids=lambda a: a.name
)
def test_every_action_of_the_music_has_a_pad_that_fires_on_press(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot, action: object
) -> None:
    name = action.name  # type: ignore[attr-defined]
    pad = window.tiles[name]
    assert isinstance(pad, Pad) and pad.isVisible()
    qtbot.mousePress(pad, LEFT)
    assert demo.asked == [("trigger", name)]
    qtbot.mouseRelease(pad, LEFT)
    assert len(demo.asked) == 1


def test_a_new_row_of_the_table_appears_without_a_place_in_the_groups(qtbot: QtBot) -> None:
    extra = Parameter("sparkle", "Sparkle", 0, 1, 0.5)
    panel = KnobsPanel([*PARAMETERS, extra])
    qtbot.addWidget(panel)
    assert isinstance(panel.tiles["sparkle"], Knob)
    assert panel.order[-1] is panel.tiles["sparkle"]


@pytest.mark.parametrize("size", [(LEAST_WIDTH, LEAST_HEIGHT), (1280, 720), (1920, 1080)])
def test_every_tile_has_the_room_that_it_needs(window: MainWindow, size: tuple[int, int]) -> None:
    window.resize(*size)
    QApplication.processEvents()
    panel = window.panel
    for tile in panel.order:
        least = tile.minimumSize()
        assert tile.width() >= least.width() and tile.height() >= least.height(), tile.name
        assert panel.rect().contains(tile.geometry()), tile.name
    for one, other in itertools.combinations(panel.order, 2):
        assert not one.geometry().intersects(other.geometry()), (one.name, other.name)


def test_memory_and_anchor_have_a_group_of_their_own(window: MainWindow) -> None:
    titles = [title.text for title in window.panel.findChildren(Title)]
    assert titles == ["NOISE", "SOURCES", "FORM", "FINISHER", "FILES, OUTPUT"], (
        "nothing is left over for MORE"
    )
    tiles = window.tiles
    assert tiles["memory"].height() > 1.2 * tiles["brightness"].height()
    assert tiles["clock"].x() == tiles["tempo"].x() and tiles["clock"].y() < tiles["tempo"].y()
    assert isinstance(tiles["clock"], StripChoice) and tiles["memory"] in window.panel.numbered


def test_a_knob_that_goes_both_ways_shows_how_far_it_is_from_the_middle(window: MainWindow) -> None:
    strip = window.tiles["brightness"]
    assert isinstance(strip, Strip)
    coloured = {}
    for value in (-0.8, 0.0, 0.8):
        strip.show_value(value, value)
        image = strip.grab().toImage()
        coloured[value] = [
            x
            for x in range(image.width())
            if any(image.pixelColor(x, y) == theme.ACCENT for y in range(image.height()))
        ]
    middle = strip.grab().toImage().width() / 2
    assert coloured[0.0] == []
    assert coloured[-0.8] and max(coloured[-0.8]) <= middle + 1
    assert coloured[0.8] and min(coloured[0.8]) >= middle - 1


def test_a_choice_that_lies_flat_takes_the_segment_that_is_clicked(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    """From file to own without the live input in between."""
    source = window.tiles["context_source"]
    pictures = []
    for part, expected in ((0.5, "file"), (0.1, "own"), (0.9, "live"), (0.1, "own")):
        qtbot.mouseClick(source, LEFT, NONE, QPoint(round(source.width() * part), source.height() // 2))
        assert demo.snapshot().choice("context_source") == expected
        pictures.append(source.grab().toImage())
    assert pictures[0] != pictures[1] != pictures[2]
    assert [call[2] for call in demo.asked] == [1.0, 0.0, 2.0, 0.0], "nothing in between"


def test_a_bar_that_lies_flat_follows_the_pointer_to_the_side(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    window.set_parameter("resample", 0.2)
    bar = window.tiles["resample"]
    start = bar.rect().center()
    qtbot.mousePress(bar, LEFT, NONE, start)
    to = start + QPoint(round((bar.width() - 10) * 0.25), 0)
    place = QPointF(to)
    event = QMouseEvent(QMouseEvent.Type.MouseMove, place, QPointF(bar.mapToGlobal(to)), LEFT, LEFT, NONE)
    QApplication.sendEvent(bar, event)
    qtbot.mouseRelease(bar, LEFT, NONE, to)
    assert demo.snapshot()["resample"] == pytest.approx(0.45, abs=0.02)


def test_dragging_up_raises_the_value_in_proportion(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    window.set_parameter("resample", 0.3)
    drag(qtbot, knob(window, "resample"), round(DRAG_PIXELS / 4))
    assert demo.snapshot()["resample"] == pytest.approx(0.30 + 0.25, abs=0.01)


def test_shift_makes_a_drag_ten_times_finer(window: MainWindow, demo: DemoTransport, qtbot: QtBot) -> None:
    window.set_parameter("resample", 0.3)
    drag(qtbot, knob(window, "resample"), round(DRAG_PIXELS / 2), SHIFT)
    assert demo.snapshot()["resample"] == pytest.approx(0.30 + 0.05, abs=0.003)


def test_a_drag_that_is_too_long_stops_at_the_end(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    drag(qtbot, knob(window, "gain"), -2000)
    assert demo.snapshot()["gain"] == -60


def test_wheel_turns_and_shift_is_fine(window: MainWindow, demo: DemoTransport) -> None:
    wheel(knob(window, "resample"), 10)
    assert demo.snapshot()["resample"] == pytest.approx(0.10)
    wheel(knob(window, "resample"), 1, SHIFT)
    assert demo.snapshot()["resample"] == pytest.approx(0.101)


def test_double_click_brings_the_default_back(window: MainWindow, demo: DemoTransport, qtbot: QtBot) -> None:
    window.set_parameter("guidance", 5.0)
    qtbot.mouseDClick(knob(window, "guidance"), LEFT)
    assert demo.snapshot()["guidance"] == 1.5


def test_keys_turn_the_focused_knob(window: MainWindow, demo: DemoTransport, qtbot: QtBot) -> None:
    window.set_parameter("resample", 0.3)
    turned = knob(window, "resample")
    turned.setFocus()
    for key, expected in (
        (Qt.Key.Key_Up, 0.31),
        (Qt.Key.Key_Down, 0.30),
        (Qt.Key.Key_PageUp, 0.40),
        (Qt.Key.Key_PageDown, 0.30),
        (Qt.Key.Key_End, 1.0),
        (Qt.Key.Key_Home, 0.0),
    ):
        qtbot.keyClick(turned, key)
        assert demo.snapshot()["resample"] == pytest.approx(expected)


def test_arrows_count_a_counter_by_one(window: MainWindow, demo: DemoTransport, qtbot: QtBot) -> None:
    qtbot.keyClick(knob(window, "seed"), Qt.Key.Key_Up)
    assert demo.snapshot()["seed"] == 2
    qtbot.keyClick(knob(window, "seed"), Qt.Key.Key_PageUp)
    assert demo.snapshot()["seed"] == 12


def test_a_typed_number_is_set_exactly(window: MainWindow, demo: DemoTransport, qtbot: QtBot) -> None:
    gain = knob(window, "gain")
    gain.setFocus()
    qtbot.keyClicks(gain, "-12,55")
    assert gain.typed == "-12,55"
    assert demo.snapshot()["gain"] == 0  # nothing yet
    qtbot.keyClick(gain, Qt.Key.Key_Return)
    assert demo.snapshot()["gain"] == -12.55
    assert gain.typed == ""


def test_digits_on_a_focused_knob_type_and_do_not_move_the_focus(window: MainWindow, qtbot: QtBot) -> None:
    seed = knob(window, "seed")
    seed.setFocus()
    qtbot.keyClick(seed, Qt.Key.Key_1)
    assert seed.hasFocus() and seed.typed == "1"
    qtbot.keyClick(seed, Qt.Key.Key_Escape)
    assert seed.typed == ""


def test_escape_while_typing_does_not_panic(window: MainWindow, demo: DemoTransport, qtbot: QtBot) -> None:
    seed = knob(window, "seed")
    seed.setFocus()
    qtbot.keyClicks(seed, "77")
    qtbot.keyClick(seed, Qt.Key.Key_Escape)
    assert demo.asked == []
    assert demo.snapshot()["seed"] == 1


def test_a_typed_value_out_of_range_is_refused_in_words(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    guidance = knob(window, "guidance")
    guidance.setFocus()
    qtbot.keyClicks(guidance, "7")
    qtbot.keyClick(guidance, Qt.Key.Key_Return)
    window.look()
    assert demo.snapshot()["guidance"] == 1.5
    assert "Guidance goes from 0.00 to 6.00: 7 is outside." in window.notices.toPlainText()
    assert guidance.typed == "" and not guidance.hasFocus(), "the digits recall scenes again"
    window.set_parameter("guidance", 3.0)
    window.look()
    assert "outside" not in window.notices.toPlainText()


@pytest.mark.parametrize("how", ["escape", "focus", "drag", "wheel"])
def test_a_half_typed_value_does_not_stay(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot, how: str
) -> None:
    seed = knob(window, "seed")
    seed.setFocus()
    plain = seed.grab().toImage()
    qtbot.keyClicks(seed, "77")
    assert seed.typed == "77" and seed.grab().toImage() != plain
    if how == "escape":
        qtbot.keyClick(seed, Qt.Key.Key_Escape)
    elif how == "focus":
        window.tiles["gain"].setFocus()
    elif how == "drag":
        drag(qtbot, seed, 20)
    else:
        wheel(seed, 1)
    assert seed.typed == ""


def test_home_on_gain_does_not_end_the_music(window: MainWindow, demo: DemoTransport, qtbot: QtBot) -> None:
    gain = knob(window, "gain")
    window.set_parameter("gain", -20)
    gain.setFocus()
    qtbot.keyClick(gain, Qt.Key.Key_Home)
    assert demo.snapshot()["gain"] == 0.0


def test_a_change_is_queued_until_its_block_is_heard(window: MainWindow, demo: DemoTransport) -> None:
    demo.start()
    demo.advance(0.1)
    window.look()
    turned = knob(window, "noise_step")
    assert not turned.queued
    window.set_parameter("noise_step", 0.8)
    window.look()
    assert turned.queued
    assert (turned.value, turned.heard) == (0.8, 0.3)
    assert "Heard now: 0.30" in turned.accessibleDescription()
    for _ in range(6):
        demo.advance(0.5)
    window.look()
    assert not turned.queued and turned.heard == 0.8


def test_what_acts_at_once_is_never_queued(window: MainWindow, demo: DemoTransport) -> None:
    demo.start()
    demo.advance(0.1)
    for parameter in PARAMETERS:
        if parameter.takes_effect is TakesEffect.NOW:
            window.set_parameter(parameter.name, parameter.low)
            window.look()
            tile = window.tiles[parameter.name]
            assert isinstance(tile, (Knob, Toggle, StripChoice)) and not tile.queued


def test_a_queued_knob_looks_different(window: MainWindow, demo: DemoTransport) -> None:
    demo.start()
    demo.advance(0.1)
    window.set_parameter("noise_step", 0.8)
    window.look()
    turned = knob(window, "noise_step")
    queued = turned.grab().toImage()
    turned.show_value(0.8, 0.8)
    assert turned.grab().toImage() != queued


def test_a_turn_from_elsewhere_moves_the_knob(window: MainWindow, demo: DemoTransport) -> None:
    demo.store.set("resample", 0.7, Origin.MIDI)
    window.look()
    assert knob(window, "resample").value == 0.7


def test_a_switch_flips_on_press_and_by_enter(window: MainWindow, demo: DemoTransport, qtbot: QtBot) -> None:
    hold = window.tiles["hold"]
    qtbot.mousePress(hold, LEFT)
    assert demo.snapshot().on("hold")
    qtbot.keyClick(hold, Qt.Key.Key_Return)
    assert not demo.snapshot().on("hold")


def test_a_choice_is_picked_by_click_arrows_and_wheel(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    style = window.tiles["noise_style"]
    assert isinstance(style, Choice)
    qtbot.mouseClick(style, LEFT, NONE, style._rows()[1].center().toPoint())
    assert demo.snapshot().choice("noise_style") == "constant"
    qtbot.keyClick(style, Qt.Key.Key_Down)
    assert demo.snapshot().choice("noise_style") == "region"
    wheel(style, 1)
    assert demo.snapshot().choice("noise_style") == "constant"


def test_a_pad_is_lit_until_its_block_is_heard(window: MainWindow, demo: DemoTransport) -> None:
    demo.start()
    demo.advance(0.1)
    window.trigger("reroll")
    window.look()
    pad = window.tiles["reroll"]
    assert isinstance(pad, Pad) and pad._waiting
    for _ in range(6):
        demo.advance(0.5)
    window.look()
    assert not pad._waiting


def test_the_menu_resets_learns_and_unlearns(window: MainWindow, demo: DemoTransport) -> None:
    gain = window.tiles["gain"]
    window.set_parameter("gain", -20)
    demo.asked.clear()
    menu = gain.make_menu()
    entries = {action.text(): action for action in menu.actions()}
    wanted = ["The patch's value: 0.0 dB", "Learn MIDI\tL", "Unlearn CC 7"]
    assert [text for text in entries if text in wanted] == wanted
    for text in wanted:
        entries[text].trigger()
    assert demo.asked == [("set_parameter", "gain", 0.0), ("learn", "gain"), ("unbind", "gain")]
    assert gain.binding == ""
    menu.deleteLater()


def test_a_value_just_below_zero_is_shown_as_zero() -> None:
    """A morph through 0 showed "-0.00"."""
    assert BY_NAME["motion"].text(-0.004) == "0.00"
    assert BY_NAME["gain"].text(-0.04) == "0.0 dB"
    assert BY_NAME["motion"].text(-0.006) == "-0.01"
