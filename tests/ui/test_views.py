"""Three views in every size and state: nothing is cut, nothing lies on something else, all can be reached and read."""

from __future__ import annotations

import pytest
from conftest import HandClock
from demo_states import LONG_REASON, STATES, play
from demo_transport import DemoTransport
from PySide6.QtCore import QRect, QRectF, Qt
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot
from view_rig import faults_of, faults_of_place, faults_of_text, ink, shown, writing

from jbdiff_live.parameters import PARAMETERS
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.scope import WAVE_PART
from jbdiff_live.ui.tiles import strips
from jbdiff_live.ui.tiles.strips import Strip
from jbdiff_live.ui.views.stage import STRIP_HEIGHT, USUAL
from jbdiff_live.ui.views.tabs import View
from jbdiff_live.ui.window import LEAST_HEIGHT, LEAST_WIDTH, MainWindow

TOUCH = 48  # pixels of a target on the stage


@pytest.mark.parametrize("state", STATES)
def test_nothing_is_cut_and_nothing_overlaps(
    window: MainWindow, demo: DemoTransport, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
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
