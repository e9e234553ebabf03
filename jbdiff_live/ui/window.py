"""The window: joins the views, looks at the session up to thirty times a second, turns wishes into its calls.

Top row, picture of the sound and bottom row are the same in every view, so that nothing jumps when the view changes.

Thread: Qt's, and only Qt's: it polls `Transport.status()` and never waits for another thread.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from PySide6.QtCore import QRect, Qt, QTimer
from PySide6.QtGui import (
    QCloseEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.block import Block, NoiseDrawn
from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.stage_word import stage_word
from jbdiff_live.status import Status, Transport
from jbdiff_live.ui import accessible, keys
from jbdiff_live.ui.asking import Asker
from jbdiff_live.ui.bindings.knob_menu import KnobMenu
from jbdiff_live.ui.coming import Changes
from jbdiff_live.ui.drawing.noise_path import NoisePath
from jbdiff_live.ui.drawing.scope import Scope
from jbdiff_live.ui.files import FileDesk
from jbdiff_live.ui.gestures import Gestures
from jbdiff_live.ui.grey.knobs import idle_reasons
from jbdiff_live.ui.overlay import DropZones, KeysOverlay
from jbdiff_live.ui.pace import Pace
from jbdiff_live.ui.question import QuestionMenu
from jbdiff_live.ui.rows.devices import DeviceRow
from jbdiff_live.ui.rows.files_row import FilesRow
from jbdiff_live.ui.rows.look_row import LookRow
from jbdiff_live.ui.rows.model_row import ModelRow
from jbdiff_live.ui.rows.notices import NoticeLine
from jbdiff_live.ui.rows.pickers import Picker
from jbdiff_live.ui.rows.stack_picker import StackPicker
from jbdiff_live.ui.rows.transport_bar import TransportBar
from jbdiff_live.ui.scenes.strip import SceneKnobs, SceneStrip
from jbdiff_live.ui.tiles.board import Board
from jbdiff_live.ui.tiles.panel import KnobsPanel
from jbdiff_live.ui.tiles.strips import SlotsStrip
from jbdiff_live.ui.tiles.tile import Tile
from jbdiff_live.ui.twice import Twice
from jbdiff_live.ui.views.foot import FootRow
from jbdiff_live.ui.views.settings import SettingsView
from jbdiff_live.ui.views.stage import StageView
from jbdiff_live.ui.views.tabs import View
from jbdiff_live.ui.views.workshop import WorkshopView

KNOB_SECONDS = 0.06  # between two pictures of a knob that is swept from elsewhere: every second frame
FRAMES_PER_WORDS = 3  # what is read rather than watched: ten times a second, or five where time is short
FRAMES_PER_BINDINGS = 12  # bindings change seldom: asked for now and then, and whenever learning ends
LEAST_WIDTH, LEAST_HEIGHT = 940, 500  # fits a screen of 960 x 540 with the title bar
MARGIN, GAP = 8, 6


def _tells_more(before: Status, now: Status) -> bool:
    """Return True if something happened that has to be read at once."""
    return (
        stage_word(before) != stage_word(now)
        or before.recorder.recording != now.recorder.recording
        or before.control.learning != now.control.learning
    )


def slot_of(status: Status, blocks: tuple[Block, ...]) -> int | None:
    """Return the slot of the noise register that the audible block plays, from 0; None if none does."""
    playing = next((block for block in blocks if block.start_frame <= status.frame < block.end_frame), None)
    noise = None if playing is None else playing.noise
    return noise.slot if isinstance(noise, NoiseDrawn) else None


class WindowParts(Gestures):
    """The rows and views of the window, and the place of each."""

    _look_file: Path | None
    _picture_height: int  # of the picture of the sound; 0 in the settings view

    def _make_parts(self) -> None:
        """Make the rows and the views. Every tile goes on the board."""
        transport = self._transport
        self.notices = NoticeLine(self)
        self.asker = Asker(self.notices)
        self.question = QuestionMenu(self, transport, self.asker)
        self.files = FileDesk(self, transport, self.asker, self.look, open_browser=self.open_browser)
        self.knob_menu = KnobMenu(self, transport, self.asker)
        self.changes = Changes()
        self.board = Board(self._connect)
        self.patch = Picker("PATCH", self.files.fill_patches)
        self.stack = StackPicker(transport, self.asker)
        self.bar = TransportBar(self.patch)
        self.scope = Scope()
        self.devices = DeviceRow(transport, self.asker, self.files.browse_sound, self.open_bindings)
        self.noise_path = NoisePath()
        given = {
            "stack": self.stack,
            "context file": self.devices.context,
            "init file": self.devices.init,
            "noise path": self.noise_path,
        }
        self.panel = KnobsPanel(given=given)
        self.scenes = SceneStrip(transport, self.asker)
        self.stage = StageView(self.board.add, self.scenes)
        self.scene_knobs = SceneKnobs()
        self.workshop = WorkshopView(self.panel, self.scene_knobs)
        self.look_row = LookRow(self.asker, self._look_file, self.dressed)
        self.model_row = ModelRow(transport, self.asker)
        self.files_row = FilesRow(transport, self.asker, self.files.forget_list)
        self.settings = SettingsView(self.devices, self.model_row, self.files_row, self.look_row)
        self.health = self.settings.health
        self.foot = FootRow()
        self.foot.tabs.chosen.connect(self.show_view)
        self.tiles: dict[str, Tile] = {
            **self.panel.tiles,
            **self.scenes.tiles,
            **self.scene_knobs.tiles,
            **self.foot.tiles,
            "panic": self.bar.panic,
        }
        for tile in (*self.tiles.values(), self.bar.beat, self.foot.following):
            self.board.add(tile)
        self.bar.view.pressed.connect(self.notices.recall)
        self.bar.start.pressed.connect(self.start_stop)
        self.bar.record.pressed.connect(self.record)

    def _lay_out(self) -> None:
        """Put the parts into the window."""
        self.pages = QStackedWidget()
        for page in (self.stage, self.workshop, self.settings):  # in the order of `View`
            self.pages.addWidget(page)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        self._column.setSpacing(GAP)
        for part in (self.bar, self.scope, self.pages, self.foot):
            self._column.addWidget(part, 1 if part is self.scope else 0)
        self.notices.raise_()  # above the rows, and below what covers the window
        self.keys = KeysOverlay(self, keys.rows())
        self.zones = DropZones(self)

    def _connect(self, tile: Tile) -> None:
        """Let the window obey a tile."""
        tile.set_asked.connect(self.set_parameter)
        tile.triggered.connect(self.trigger)
        tile.learn_asked.connect(self.learn)
        tile.unbind_asked.connect(self.unbind)
        tile.lfo_asked.connect(self.set_lfo)
        tile.menu_made.connect(self.knob_menu.fill)
        tile.refused.connect(self.answer_slip)

    def _order_tabs(self) -> None:
        """The knobs of the view first, then what is used between pieces."""
        order: list[QWidget] = [
            *self.stage.rings, *self.scenes.order, *self.panel.tabs, *self.scene_knobs.tiles.values(),
            *self.settings.tabs, *self.devices.order, *self.model_row.order,
            *self.files_row.order, *self.look_row.tiles.values(),
            *self.foot.tiles.values(), self.foot.following, *self.foot.tabs.buttons,
            self.bar.start, self.bar.record, self.bar.beat, self.patch, self.bar.meter, self.bar.panic,
        ]  # fmt: skip
        for before, after in itertools.pairwise(order):
            QWidget.setTabOrder(before, after)

    def _share_height(self) -> None:
        """Give each part its height. The rows grow with the window, and their letters with them."""
        height = self.height()
        row = int(min(104, max(62, height * 0.115)))
        self.bar.setFixedHeight(row)
        self.foot.setFixedHeight(row)
        rest = height - 2 * MARGIN - 2 * row - 3 * GAP
        if self.view is View.STAGE:
            page = int(min(300, max(132, height * 0.27))) + self.stage.share_height(height)
        elif self.view is View.WORKSHOP:
            page = int(min(560, max(246, height * 0.47))) + self.workshop.share_height(height)
        else:
            page = rest + GAP
        self.scope.setVisible(self.view is not View.SETTINGS)
        self.pages.setFixedHeight(page)
        self._picture_height = rest - page
        self._place_notices()

    def _place_notices(self) -> None:
        """Let the messages lie on the picture, or on the sentences of the settings view. Nothing there is a control."""
        top, settings = MARGIN + self.bar.height() + GAP, self.view is View.SETTINGS
        height = self.settings.facts.height() if settings else self._picture_height
        room = QRect(MARGIN, top, self.width() - 2 * MARGIN, height)
        self.notices.lie_in(room, whole=settings or not self.status.engine.plays, fills=settings)


class MainWindow(WindowParts):
    """The whole instrument on screen. `transport` is all it knows of the rest."""

    def __init__(
        self,
        transport: Transport,
        clock: Callable[[], float] = time.monotonic,
        look_file: Path | None = None,
    ) -> None:
        """look_file: where the look of the window is kept; None keeps nothing."""
        super().__init__()
        self._look_file = look_file
        accessible.install()
        self._transport = transport
        self._clock = clock
        self._frames = 0
        self._values_at = float("-inf")
        self.stop_press, self.next_press = Twice(clock), Twice(clock)
        self.pace = Pace()
        self.status = Status()
        self._blocks: tuple[Block, ...] = ()
        self._picture_height = 0
        self._lfos: Mapping[str, Lfo] = {}
        self._now: ParameterSnapshot | None = None
        self._touched: tuple[str, ...] = ()  # what the control moves that was located last
        self.setWindowTitle("jbdiff-live")
        self.setMinimumSize(LEAST_WIDTH, LEAST_HEIGHT)
        self.setAcceptDrops(True)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)  # a click beside the knobs lets go of the focused one
        self._make_parts()
        self._lay_out()
        keys.install(self, self.deeds())
        self._order_tabs()
        self.show_view(View.STAGE)

        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.frame)
        self._timer.start(1000 // self.pace.frames_per_second)
        self.look()

    def dressed(self) -> None:
        """Draw everything anew, after a change of the look. Larger letters need higher rows."""
        self.settings.arrange()
        self._share_height()
        super().dressed()

    # The views

    @property
    def view(self) -> View:
        return View(self.pages.currentIndex())

    def show_view(self, number: int) -> None:
        """Show a view, by its number in `View`."""
        focused = self.focusWidget()
        if number == self.view == View.SETTINGS:  # the same key shows the other page
            self.settings.turn_page()
        if number != self.view and focused is not None and self.pages.isAncestorOf(focused):
            # Qt would focus the first knob of the view, and the digits would type into it.
            self.setFocus(Qt.FocusReason.OtherFocusReason)
        self.pages.setCurrentIndex(number)
        self.foot.tabs.show_view(self.view)
        self.settings.show_status(self.status, self._clock())
        self._share_height()
        if self.scope.isVisible():
            self._column.activate()  # the picture has its size at once, and is drawn once
            self.scope.advance(self.status, self._blocks, self._clock())

    # Up to thirty times a second

    def frame(self) -> None:
        """What the timer calls: what is watched moves each time, what is read only now and then."""
        before = self.status
        now = self._watch()
        if now - self._values_at >= KNOB_SECONDS:
            self.show_values(now)
        words = self._frames % FRAMES_PER_WORDS == 0
        if words or _tells_more(before, self.status):
            self._read(now)
        if self._frames % FRAMES_PER_BINDINGS == 0:
            self.show_bindings()
        self._frames += 1
        milliseconds = 1000 // self.pace.follow(self.status.engine)
        if milliseconds != self._timer.interval():
            self._timer.setInterval(milliseconds)

    def look(self) -> None:
        """Polls the session and lets every part repaint what changed in it."""
        now = self._watch()
        self.show_values(now)
        self._read(now, whole=True)
        self.show_bindings()

    def _watch(self) -> float:
        """What has to move smoothly: picture and meters. Returns the time."""
        now = self._clock()
        status = self.asker.get("status", self._transport.status, self.status)
        none: tuple[Block, ...] = ()
        blocks = self._blocks = self.asker.get("recent blocks", self._transport.recent_blocks, none)
        ended = self.status.control.learning != status.control.learning
        self.status = status
        silence = (0.0, 0.0)
        self.bar.meter.show_peaks(
            status.audio.peak if status.audio.running else silence, status.audio.limited, now
        )
        if self.scope.isVisible():
            self.scope.advance(status, blocks, now)
        if ended:
            self.show_bindings()
        if ended or status.control.learning is not None:
            self.board.show_learning(status.control.learning, now)
        return now

    def _read(self, now: float, whole: bool = False) -> None:
        """What is there in words and numbers. whole: also the views that cannot be seen now."""
        status = self.status
        if self.stage.show_status(status):
            self._order_tabs()
        self.bar.show_status(status, self.stop_press.asks)
        self.stack.show_status(status)
        if whole or self.view is View.SETTINGS:
            self.settings.show_status(status, now)
        self.devices.show_files(status, self._now)
        following = self.files.following(status)
        self.foot.following.show_next("" if following is None else following[0], self.next_press.asks)
        self.board.show_inapplicable(idle_reasons(status, self._now))
        self.board.show_starts(status.patch_values)
        self._show_changes()
        view = self.bar.view
        why = view.word.why
        self._place_notices()
        said = view.said(why)
        reason, _, remedy = why.partition("; ")
        if said == why:
            self.notices.show_status(status, "", why, now)
        elif said == reason:  # the remedy alone found no room
            self.notices.show_status(status, remedy[:1].upper() + remedy[1:], reason, now)
        else:
            self.notices.show_status(status, why, "", now)
        if status.control.touched != self._touched:
            self._touched = status.control.touched
            located = self.board.seen(self._touched[0]) if self._touched else None
            if located is not None:
                located.setFocus(Qt.FocusReason.OtherFocusReason)
        question = status.control.question
        self.question.show(question, None if question is None else self.board.seen(question.target))

    def _show_changes(self) -> None:
        """Show what is on its way: on the tiles, and on the picture of the sound."""
        plays = self.status.engine.plays
        moved = [name for name, lfo in self._lfos.items() if lfo.on]
        self.changes.look(self.status, self._blocks if plays else (), self._now, moved)
        self.board.show_changes(self.changes)
        self.scope.show_marks(self.changes.marks)
        self.noise_path.show_blocks(self._blocks if plays else (), self.status.frame)
        slots = self.tiles["noise_length"]
        if isinstance(slots, SlotsStrip):
            slots.show_slot(slot_of(self.status, self._blocks) if plays else None)

    def show_values(self, now: float) -> None:
        """Turn the knobs to what is set. One that begins to turn is seen in the next frame."""
        snapshot = self.asker.get("values", self._transport.snapshot, self._now)
        if snapshot is not None:
            self._now = snapshot
            heard = self.status.heard if self.status.engine.plays else None
            self.scenes.show_values(snapshot)
            self.board.show_hardware(self.status.control.hardware)
            if self.board.show_values(snapshot, heard):
                self._values_at = now

    def show_bindings(self) -> None:
        none: Mapping[str, str] = {}
        bindings = self.asker.get("bindings", self._transport.bindings, none)
        self.scenes.show_bindings(bindings)
        no_lfos: Mapping[str, Lfo] = {}
        self._lfos = self.asker.get("LFOs", self._transport.lfos, no_lfos)
        self.board.show_bindings(bindings, self._lfos)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._share_height()
        for overlay in (self.keys, self.zones):
            overlay.setGeometry(self.rect())
        super().resizeEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask first if a person closes the window while it plays or records; not if the program does."""
        if event.spontaneous() and not self.may_close():
            event.ignore()
            return
        self._timer.stop()
        super().closeEvent(event)
