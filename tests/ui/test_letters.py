"""Letters: large enough, whole in every size of the window, and with contrast in every look."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from demo_states import STATES
from demo_transport import DemoTransport
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication, QDialogButtonBox
from view_rig import Written, faults_of, faults_of_text, shown, writing

from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import Painted
from jbdiff_live.ui.drawing.scope import Scope
from jbdiff_live.ui.look import Look, Size
from jbdiff_live.ui.rows.look_row import wear
from jbdiff_live.ui.tiles.buttons import Choice
from jbdiff_live.ui.tiles.knob import Knob
from jbdiff_live.ui.tiles.tile import short_binding
from jbdiff_live.ui.views.tabs import View
from jbdiff_live.ui.window import LEAST_HEIGHT, LEAST_WIDTH, MainWindow


@pytest.fixture
def usual_look() -> Iterator[None]:
    yield
    wear(Look())


@pytest.mark.usefixtures("usual_look")
@pytest.mark.parametrize("size", [Size.LARGE, Size.LARGEST])
@pytest.mark.parametrize("state", ["looping", "recording"])
def test_larger_letters_are_neither_cut_nor_on_each_other(
    window: MainWindow, demo: DemoTransport, monkeypatch: pytest.MonkeyPatch, state: str, size: Size
) -> None:
    before = theme.font(15).pixelSize()
    window.look_row.choose(Look(light=True, size=size))
    assert theme.font(15).pixelSize() == round(before * size.value)
    STATES[state](demo)
    faults = faults_of(window, monkeypatch)
    assert not faults, "\n".join(faults)


@pytest.mark.usefixtures("usual_look")
@pytest.mark.parametrize("size", Size)
def test_every_value_of_every_tile_is_whole(
    window: MainWindow, monkeypatch: pytest.MonkeyPatch, size: Size
) -> None:
    """The small Gain of the workshop showed "-...0" for -12.0, its dB lay on the number, and Style had "con...ant"."""
    window.look_row.choose(Look(size=size))
    monkeypatch.setattr(Scope, "advance", lambda *_: None)
    faults = []
    with writing(monkeypatch) as written:
        for view in (View.STAGE, View.WORKSHOP):
            shown(window, (LEAST_WIDTH, LEAST_HEIGHT), view)
            for tile in [*window.findChildren(Knob), *window.findChildren(Choice)]:
                for place in range(0, 23 if tile.isVisible() else 0):
                    tile.show_value(tile.parameter.from_normal(place / 22), None)
                    faults += [f"{tile.value}: {fault}" for fault in faults_of_text(tile, 1, written)]
    assert not faults, "\n".join(faults)


@pytest.mark.usefixtures("usual_look")
@pytest.mark.parametrize("size", Size)
def test_the_reasons_of_grey_buttons_are_whole_in_the_smallest_browser(
    window: MainWindow, demo: DemoTransport, qapp: QApplication, size: Size
) -> None:
    """The last line was cut with the largest letters."""
    window.look_row.choose(Look(size=size))
    window.resize(LEAST_WIDTH, LEAST_HEIGHT)
    demo.start()
    window.open_browser()
    qapp.processEvents()
    detail = window.browser.detail
    for row in range(len(window.browser.model.rows)):
        window.browser.list.setCurrentIndex(window.browser.model.index(row))
        qapp.processEvents()
        for label in (detail.about, detail.tags, detail.problem, detail.reasons):
            assert label.isHidden() or label.height() >= label.heightForWidth(label.width()), label.text()
    window.browser.close()


@pytest.mark.usefixtures("usual_look")
def test_the_dialogs_have_the_letters_that_are_chosen(window: MainWindow) -> None:
    """The table of bindings kept its small letters, and a browser that had been open before did too."""
    found = {}
    for size in (Size.USUAL, Size.LARGEST):
        window.look_row.choose(Look(size=size))
        window.open_browser()
        window.open_bindings()
        table, detail = window.bindings.table, window.browser.detail
        shown = (
            table,
            table.horizontalHeader(),
            window.bindings.line,
            detail.title,
            detail.listen,
            window.browser.line,
        )
        for widget in shown:
            widget.ensurePolished()
        found[size] = [widget.fontInfo().pixelSize() for widget in shown]
    grown = zip(found[Size.USUAL], found[Size.LARGEST], strict=True)
    assert all(large > 1.2 * usual for usual, large in grown), found


def test_the_buttons_of_a_dialog_are_words_alone(window: MainWindow, qapp: QApplication) -> None:
    """Close and Cancel had crosses, dark on a dark ground, and Save had a floppy disk."""
    as_on_x11 = "QDialogButtonBox { dialogbuttonbox-buttons-have-icons: 1; }"
    qapp.setStyleSheet(as_on_x11 + theme.sheet())
    kinds = QDialogButtonBox.StandardButton
    box = QDialogButtonBox(kinds.Save | kinds.Close | kinds.Cancel, window)
    box.show()
    assert len(box.buttons()) == 3 and all(button.icon().isNull() for button in box.buttons())
    theme.apply(qapp)


CONTRASTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("TEXT", ("BACKGROUND", "PANEL", "RAISED", "ACCENT_DIM", "ACCENT_DEEP", "WARN_DEEP", "CAUTION_DEEP")),
    ("DIM", ("BACKGROUND", "PANEL", "RAISED")),
    ("FAINT", ("BACKGROUND", "PANEL", "RAISED")),
    ("ACCENT", ("BACKGROUND", "PANEL", "RAISED")),
    ("CAUTION", ("BACKGROUND", "PANEL", "RAISED")),
    ("WARN", ("BACKGROUND", "PANEL", "RAISED")),
    ("BACKGROUND", ("ACCENT", "CAUTION", "WARN")),
)


def luminance(colour: QColor) -> float:
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour.getRgbF()[:3]]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: QColor, other: QColor) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.usefixtures("usual_look")
@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize("safe", [False, True])
def test_text_stands_out_from_its_ground(light: bool, safe: bool) -> None:
    wear(Look(light=light, safe=safe))
    pairs = [
        (t, g, contrast(getattr(theme, t), getattr(theme, g))) for t, grounds in CONTRASTS for g in grounds
    ]
    assert not [pair for pair in pairs if pair[2] < 4.5]
    opacity = theme.faded()  # of tiles that do nothing: their plate is as pale, over the window's ground
    for letters in ("TEXT", "DIM", "FAINT"):
        plate = mixed(theme.PANEL, theme.BACKGROUND, opacity)
        ink = mixed(getattr(theme, letters), plate, opacity)
        assert contrast(ink, plate) >= 4.5, letters


def mixed(over: QColor, below: QColor, opacity: float) -> QColor:
    parts = zip(over.getRgbF()[:3], below.getRgbF()[:3], strict=True)
    return QColor.fromRgbF(*(opacity * one + (1 - opacity) * other for one, other in parts))


def test_no_letter_is_smaller_than_twelve_pixels() -> None:
    least: Callable[[int], int] = lambda pixels: theme.font(pixels).pixelSize()  # noqa: E731
    assert [least(size) for size in (1, 11, 12, 20)] == [12, 12, 12, 20]


@pytest.mark.usefixtures("usual_look")
@pytest.mark.parametrize("size", Size)
def test_the_list_of_keys_is_whole_in_the_smallest_window(
    window: MainWindow, monkeypatch: pytest.MonkeyPatch, size: Size
) -> None:
    window.look_row.choose(Look(size=size))
    shown(window, (LEAST_WIDTH, LEAST_HEIGHT), View.STAGE)
    window.toggle_keys()
    with writing(monkeypatch) as written:
        faults = faults_of_text(window.keys, 1, written)  # type: ignore[arg-type]
        assert len(written) > 40 and not faults, "\n".join(faults)
        texts = dict(window.keys.rows).values()
        assert len({one.pixels for one in written if one.text in texts}) == 1, "one size for all"


@pytest.mark.usefixtures("usual_look")
def test_letters_that_are_made_larger_grow_wherever_there_is_room(
    window: MainWindow, demo: DemoTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captions too: what is no larger would not fit its line or its tile."""
    STATES["running"](demo)
    monkeypatch.setattr(Scope, "advance", lambda *_: None)
    found: dict[Size, dict[tuple[object, ...], Written]] = {}
    for size in (Size.USUAL, Size.LARGEST):
        window.look_row.choose(Look(size=size))
        with writing(monkeypatch) as written:
            found[size] = {}
            for view in View:
                shown(window, (1366, 768), view)
                for number, widget in enumerate(window.findChildren(Painted)):
                    if widget.isVisible():
                        faults_of_text(widget, 1, written)
                        found[size] |= {(view, number, one.text): one for one in written}
    wear(Look())
    usual = {key: theme.font(one.pixels, one.bold).pixelSize() for key, one in found[Size.USUAL].items()}
    wear(Look(size=Size.LARGEST))
    small = []
    for key in usual.keys() & found[Size.LARGEST].keys():
        one = found[Size.LARGEST][key]
        pixels = theme.font(one.pixels, one.bold).pixelSize()
        tight = theme.metrics(one.pixels, one.bold).horizontalAdvance(one.text) > 0.8 * one.where.width()
        if pixels < 1.15 * usual[key] and pixels < 0.9 * one.where.height() and not tight:
            small.append((key, usual[key], pixels, one.where))
    assert len(usual) > 150 and not [one for one in small if one[0][2] not in ("PLAYING",)], small


def test_a_binding_that_does_not_fit_never_is_a_bare_count(window: MainWindow) -> None:
    """The tile showed "+1", and no control."""
    text = "ch 1 CC 22 relative 1/127, CC 71"
    assert short_binding(text, 60, 12) == "bound"
    assert short_binding("ch 10 note C1, CC 71", 60, 12) == "C1 +1"
