"""Three views in every size and state: nothing is cut, nothing lies on something else, all can be reached and read."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from conftest import HandClock
from demo_states import LONG_REASON, STATES, play
from demo_transport import DemoTransport
from PySide6.QtCore import QRect, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QPainter, QPixmap
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from jbdiff_live.parameters import PARAMETERS
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import Painted
from jbdiff_live.ui.drawing.scope import WAVE_PART, Scope
from jbdiff_live.ui.look import Look, Size
from jbdiff_live.ui.rows.look_row import wear
from jbdiff_live.ui.tiles import strips
from jbdiff_live.ui.tiles.strips import Strip
from jbdiff_live.ui.views.stage import STRIP_HEIGHT, USUAL
from jbdiff_live.ui.views.tabs import View
from jbdiff_live.ui.window import LEAST_HEIGHT, LEAST_WIDTH, MainWindow

# Logical pixels, and device pixels for each; the smallest is a screen of 960 x 540 without its title bar.
SIZES = ((LEAST_WIDTH, LEAST_HEIGHT, 1), (960, 540, 1), (1366, 768, 1), (1920, 1080, 2))
TOUCH = 48  # pixels of a target on the stage


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


@pytest.mark.parametrize("state", STATES)
def test_nothing_is_cut_and_nothing_overlaps(
    window: MainWindow, demo: DemoTransport, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    STATES[state](demo)
    faults = faults_of(window, monkeypatch)
    assert not faults, "\n".join(faults)


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


def test_a_text_that_does_not_fit_is_found(window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    tile = window.tiles["seed"]
    tile.face_label = "A label that is much too long for its tile"
    with writing(monkeypatch) as written:
        assert any("is cut" in fault for fault in faults_of_text(tile, 1, written))


def test_every_tile_has_its_label(window: MainWindow) -> None:
    """In a group whose title says the first word of it, the rest."""
    short = {tile.name: tile.face_label for tile in window.board if tile.face_label != tile.label}
    assert short == {
        "finisher_strength": "Strength",
        "finisher_style": "Style",
        "finisher_step": "Noise",
        "finisher_seed": "Seed",
    }
    assert all(tile.face_label for tile in window.board)


def test_a_widget_that_lies_on_another_is_found(window: MainWindow) -> None:
    assert not faults_of_place(window)
    window.tiles["seed"].setGeometry(window.tiles["noise_step"].geometry())
    assert any("lies on" in fault for fault in faults_of_place(window))


@pytest.mark.parametrize("size", [(LEAST_WIDTH, LEAST_HEIGHT), (960, 540)])
def test_targets_of_the_stage_are_large_enough_for_a_finger(
    window: MainWindow, size: tuple[int, int]
) -> None:
    assert LEAST_WIDTH <= 960 and LEAST_HEIGHT <= 540 - 32, "with the title bar"
    strip = window.scenes
    shown(window, size, View.STAGE)
    bar, foot = window.bar, window.foot
    targets = [*window.stage.rings, *foot.tiles.values(), foot.following, *foot.tabs.buttons, bar.start, bar.record,
               bar.beat, bar.patch, bar.panic, *strip.order]  # fmt: skip
    assert not [(t, t.size()) for t in targets if min(t.width(), t.height()) < TOUCH]
    assert strip.height() == STRIP_HEIGHT and not faults_of_place(window)
    assert window.scope.height() > 0.25 * size[1], "the timeline is the centre"


def test_the_rows_of_scenes_grow_with_the_window(window: MainWindow) -> None:
    """On a large screen they were half as high as everything else."""
    for view, row in ((View.STAGE, window.scenes), (View.WORKSHOP, window.scene_knobs)):
        shown(window, (960, 540), view)
        least = row.height()
        shown(window, (1920, 1080), view)
        assert row.height() >= 1.4 * least and row.height() >= 0.65 * window.foot.height()


@pytest.mark.parametrize("size", [(LEAST_WIDTH, LEAST_HEIGHT), (1366, 768), (1920, 1080)])
def test_no_value_lies_on_the_track_of_its_strip(
    window: MainWindow, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    shown(window, size, View.WORKSHOP)
    with writing(monkeypatch) as written:
        for strip in (tile for tile in window.board if isinstance(tile, Strip) and tile.isVisible()):
            faults_of_text(strip, 1, written)
            value = next(one for one in written if one.text == strip.parameter.text(strip.value))
            foot = ink(value).bottom()
            mark = strips._track(QRectF(strip.rect())).top() - 2  # reaches over the track
            assert foot <= mark - 1.5, f"{strip.name}: {foot} on {mark}"


def test_the_view_is_chosen_by_key_and_by_button_and_nothing_jumps(window: MainWindow, qtbot: QtBot) -> None:
    places: list[tuple[QRect, QRect]] = []
    for key, view in (
        (Qt.Key.Key_F2, View.STAGE),
        (Qt.Key.Key_F4, View.SETTINGS),
        (Qt.Key.Key_F3, View.WORKSHOP),
    ):
        qtbot.keyClick(window, key)
        assert window.view is view and window.foot.tabs.buttons[view].chosen
        QApplication.processEvents()
        places.append((window.bar.geometry(), window.foot.geometry()))
    assert len(set(map(str, places))) == 1
    qtbot.mouseClick(window.foot.tabs.buttons[View.STAGE], Qt.MouseButton.LeftButton)
    assert window.view is View.STAGE and all(ring.isVisible() for ring in window.stage.rings)


def test_the_picture_is_whole_at_once_after_the_settings(
    window: MainWindow, demo: DemoTransport, clock: HandClock
) -> None:
    """What came in while the settings were shown is drawn with the first frame, also at another size."""

    def frame() -> None:
        clock.now += 1 / 30
        window.frame()

    shown(window, (960, 540), View.STAGE)
    demo.start()
    play(demo, 12.0, frame)
    for size in ((960, 540), (1100, 640)):
        shown(window, (960, 540), View.SETTINGS)
        play(demo, 8.0, frame)
        window.resize(*size)
        window.show_view(View.STAGE)
        image = window.scope.grab().toImage()
        area, wave = window.scope._area(), range(round(window.scope._area().height() * WAVE_PART))
        blank = [
            x
            for x in range(area.left(), window.scope._playhead_x())
            if all(image.pixelColor(x, y) == theme.BACKGROUND for y in wave)
        ]
        assert not blank, "each column has at least the line of silence"


def test_the_window_opens_on_the_stage(qtbot: QtBot, demo: DemoTransport) -> None:
    made = MainWindow(demo)
    qtbot.addWidget(made)
    assert made.view is View.STAGE


def test_a_patch_chooses_the_rings(window: MainWindow, demo: DemoTransport) -> None:
    assert [ring.name for ring in window.stage.rings] == list(USUAL)
    window.show_view(View.STAGE)
    demo.set_status(stage_knobs=("seed", "memory"))
    window.look()
    assert [ring.name for ring in window.stage.rings] == ["seed", "memory"]
    ring = window.stage.rings[0]
    assert ring.isVisible() and not window.stage._known["gain"].isVisible()
    ring.set_asked.emit("seed", 7.0)
    assert demo.snapshot()["seed"] == 7 and ring.value == 7 and window.tiles["seed"].value == 7  # type: ignore[attr-defined]


def test_every_knob_of_the_instrument_has_its_tile_and_is_reached_by_tab(
    window: MainWindow, qtbot: QtBot
) -> None:
    for view in View:
        window.show_view(view)
        window.setFocus()
        seen: list[QWidget] = []
        widget: QWidget | None = window
        while widget is not None and widget not in seen:
            seen.append(widget)
            qtbot.keyClick(widget, Qt.Key.Key_Tab)
            widget = window.focusWidget()
        wanted = [
            w
            for w in window.findChildren(QWidget)
            if w.isVisible() and w.focusPolicy() & Qt.FocusPolicy.TabFocus
        ]
        assert wanted and set(wanted) <= set(seen), (view, [w for w in wanted if w not in seen])
    assert {p.name for p in PARAMETERS} <= set(window.tiles)


@pytest.mark.parametrize("view", View)
def test_messages_lie_over_the_picture_and_move_nothing(
    window: MainWindow, demo: DemoTransport, view: View
) -> None:
    shown(window, (960, 540), view)
    places = [part.geometry() for part in (window.bar, window.scope, window.pages, window.foot)]
    window.notices.refuse("load patch", LONG_REASON)
    shown(window, (960, 540), view)
    assert [part.geometry() for part in (window.bar, window.scope, window.pages, window.foot)] == places
    notices = window.notices
    assert notices.isVisible() and window.rect().contains(notices.geometry())
    assert not any(notices.geometry().intersects(part.geometry()) for part in (window.bar, window.foot))


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
