"""What the window costs: nothing is repainted that looks the same, and less often where blocks take long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from conftest import HandClock
from demo_transport import DemoTransport
from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QApplication, QWidget

from jbdiff_live.parameters import Origin
from jbdiff_live.stage_word import Word
from jbdiff_live.status import EngineState, EngineStatus
from jbdiff_live.ui.pace import EASY_BLOCKS, FULL, TIGHT, Pace
from jbdiff_live.ui.tiles.knob import Knob
from jbdiff_live.ui.tiles.tile import ParameterTile
from jbdiff_live.ui.window import FRAMES_PER_WORDS, MainWindow


class Paints(QObject):
    """Counts the paint events of the widgets that it watches."""

    def __init__(self, *widgets: QWidget) -> None:
        super().__init__()
        self.painted: list[QObject] = []
        for widget in widgets:
            widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint:
            self.painted.append(watched)
        return False

    def since(self) -> list[QObject]:
        """What was painted since the last call."""
        QApplication.processEvents()
        painted, self.painted = self.painted, []
        return painted


def tile(window: MainWindow, name: str) -> ParameterTile:
    found = window.tiles[name]
    assert isinstance(found, ParameterTile)
    return found


def engine(share: float, made: int, state: EngineState = EngineState.RUNNING) -> EngineStatus:
    """An engine whose newest block took so much of its time."""
    return EngineStatus(state, blocks_made=made, block_seconds=2 * share, block_duration=2.0)


def test_a_turn_that_moves_nothing_on_the_screen_repaints_nothing(window: MainWindow) -> None:
    knob = tile(window, "seed")
    paints = Paints(knob)
    knob.show_value(500, 500)
    assert paints.since() == [knob]
    knob.show_value(500, 500)
    knob.show_value(500.0001, 500.0001)
    assert paints.since() == []
    assert knob.value == 500.0001
    knob.show_value(501, 501)
    assert paints.since() == [knob]


def test_a_knob_that_a_controller_turns_is_all_that_is_repainted(
    window: MainWindow, demo: DemoTransport, clock: HandClock
) -> None:
    clock.now += 1
    window.frame()
    QApplication.processEvents()
    knob = tile(window, "noise_step")
    paints = Paints(window, *window.findChildren(QWidget))
    demo.store.set("noise_step", 0.8, Origin.MIDI)
    window.frame()
    assert paints.since() == [knob]
    window.frame()
    assert paints.since() == []


@pytest.mark.parametrize(("frames_per_second", "every"), [(FULL, 2), (TIGHT, 1)])
def test_a_knob_that_begins_to_turn_is_seen_in_the_next_frame_and_a_sweep_fifteen_times_a_second(
    window: MainWindow, demo: DemoTransport, clock: HandClock, frames_per_second: int, every: int
) -> None:
    clock.now += 1
    knob = tile(window, "resample")
    late = []
    for frame in range(1, 10):
        clock.now += 1 / frames_per_second
        demo.store.set("resample", frame / 20, Origin.MIDI)
        window.frame()
        late.append(round(frame - 20 * knob.value))
    assert late == [frame % every for frame in range(9)]
    clock.now += 1 / frames_per_second
    window.frame()
    assert knob.value == 9 / 20, "where a sweep ends is seen"


def test_a_knob_turned_in_the_window_is_seen_at_once(window: MainWindow) -> None:
    knob = tile(window, "resample")
    for value in (0.2, 0.3, 0.4):
        window.set_parameter("resample", value)
        assert knob.value == value


def test_what_stands_still_is_drawn_once_while_a_knob_is_turned(
    window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    knob = tile(window, "noise_step")
    knob.show_value(0.2, 0.3)
    QApplication.processEvents()
    drawn: list[float] = []
    paints = Paints(knob)
    still = knob.draw_still
    monkeypatch.setattr(knob, "draw_still", lambda *a: (drawn.append(knob.value), still(*a)))
    for step in range(40, 50):
        knob.show_value(step / 100, 0.3)
        assert paints.since() == [knob]
    assert drawn == []
    knob.show_value(0.5, 0.5)  # now it is heard: the note below changes
    assert paints.since() == [knob]
    assert drawn == [0.5]


@pytest.mark.parametrize("name", ["noise_step", "brightness", "gain", "finisher_strength"])
def test_a_turned_knob_looks_as_one_that_is_drawn_anew(window: MainWindow, name: str) -> None:
    knob = tile(window, name)
    low, high = knob.parameter.low, knob.parameter.high
    values = [low + (high - low) * part for part in (0.1, 0.45, 0.8)]
    for heard in (None, values[1]):
        changes: list[Callable[[], None]] = [
            lambda: None,
            lambda: knob.show_learning(True),
            lambda: knob.show_learning(False),
            lambda: knob.show_binding("CC 21"),
            lambda: knob.show_inapplicable("for a reason"),
            lambda: knob.show_inapplicable(""),
            knob.setFocus,
            lambda: knob.show_binding(""),
        ]
        for number, change in enumerate(changes):
            change()
            for value in values:
                knob.show_value(value, heard)
                kept = knob.grab().toImage()
                knob._face = None
                assert knob.grab().toImage() == kept, (heard, number, value)
        knob.clearFocus()


def test_a_face_is_drawn_in_device_pixels_and_anew_for_another_size(window: MainWindow) -> None:
    knob = tile(window, "noise_step")
    knob.grab()
    ratio = knob.devicePixelRatioF()
    for _ in range(2):
        assert knob._face is not None
        assert knob._face.devicePixelRatio() == ratio
        assert knob._face.deviceIndependentSize().toSize() == knob.size()
        window.resize(1700, 1000)
        QApplication.processEvents()


def test_words_follow_now_and_then_and_at_once_when_the_state_changes(
    window: MainWindow, demo: DemoTransport
) -> None:
    while window._frames % FRAMES_PER_WORDS != 1:
        window.frame()
    demo.set_status(patch="slow glass")
    window.frame()
    assert window.patch.value == "first light"
    for _ in range(FRAMES_PER_WORDS - 1):
        window.frame()
    assert window.patch.value == "slow glass"
    window.frame()
    for state, word in ((EngineState.LOADING, Word.GETTING_READY), (EngineState.FAILED, Word.FAILED)):
        demo.set_status(engine=EngineStatus(state, "why"))
        window.frame()
        assert window.bar.view.word.word is word


def test_the_pace_falls_where_blocks_take_long_and_comes_back() -> None:
    pace = Pace()
    assert pace.follow(engine(0.3, 1)) == FULL
    assert pace.follow(engine(0.55, 2)) == FULL
    assert pace.follow(engine(0.7, 3)) == TIGHT
    for made in range(4, 20):
        assert pace.follow(engine(0.55, made)) == TIGHT, "not yet time to spare"
    for made in range(20, 20 + EASY_BLOCKS - 1):
        for _ in range(50):
            assert pace.follow(engine(0.4, made)) == TIGHT, "the same block counts once"
    assert pace.follow(engine(0.4, 20 + EASY_BLOCKS)) == FULL


def test_a_hard_block_among_easy_ones_starts_the_count_again() -> None:
    pace = Pace()
    shares = [0.7, *[0.4] * (EASY_BLOCKS - 1), 0.7, *[0.4] * (EASY_BLOCKS - 1)]
    for made, share in enumerate(shares, 1):
        assert pace.follow(engine(share, made)) == TIGHT
    assert pace.follow(engine(0.4, len(shares) + 1)) == FULL


def test_a_late_block_slows_the_window_and_a_stop_ends_that() -> None:
    pace = Pace()
    assert pace.follow(engine(0.3, 5, EngineState.COASTING)) == TIGHT
    assert pace.follow(engine(0.3, 5)) == TIGHT
    assert pace.follow(engine(0.3, 5, EngineState.STOPPING)) == FULL


def test_the_windows_timer_keeps_the_pace_and_a_knob_is_seen_in_time(
    window: MainWindow, demo: DemoTransport, clock: HandClock
) -> None:
    timer = window._timer
    assert timer.interval() == 1000 // FULL
    demo.start()
    demo.set_status(engine=replace(demo.state.engine, block_duration=2.0, block_seconds=1.5, blocks_made=9))
    window.frame()
    assert timer.isActive() and timer.interval() == 1000 // TIGHT <= 70
    knob = tile(window, "resample")
    assert isinstance(knob, Knob)
    clock.now += 1 / TIGHT
    demo.store.set("resample", 0.9, Origin.MIDI)
    window.frame()
    assert knob.value == 0.9
    for made in range(10, 10 + EASY_BLOCKS):
        clock.now += 2.0
        demo.set_status(engine=replace(demo.state.engine, block_seconds=0.5, blocks_made=made))
        window.frame()
    assert timer.interval() == 1000 // FULL
