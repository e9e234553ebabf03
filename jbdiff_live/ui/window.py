"""The window: joins the parts, looks at the session up to thirty times a second, turns wishes into its calls.

Thread: Qt's, and only Qt's: it polls `Transport.status()` and never waits for another thread.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import QVBoxLayout, QWidget

from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.block import Block
from jbdiff_live.parameters import (
    OF_THE_ANCHOR,
    OF_THE_FINISHER,
    OF_THE_MEMORY,
    OF_THE_SCENES,
    PARAMETERS,
    ParameterSnapshot,
)
from jbdiff_live.stage_word import stage_word
from jbdiff_live.status import Status, Transport
from jbdiff_live.ui import keys
from jbdiff_live.ui.asking import Asker
from jbdiff_live.ui.drawing.scope import Scope
from jbdiff_live.ui.files import FileDesk
from jbdiff_live.ui.noise_reasons import noise_reasons
from jbdiff_live.ui.overlay import DropZones, KeysOverlay
from jbdiff_live.ui.pace import Pace
from jbdiff_live.ui.question import QuestionMenu
from jbdiff_live.ui.rows.devices import DeviceRow
from jbdiff_live.ui.rows.health import HealthStrip
from jbdiff_live.ui.rows.notices import NoticeLine
from jbdiff_live.ui.rows.pickers import Picker
from jbdiff_live.ui.rows.stack_picker import StackPicker
from jbdiff_live.ui.rows.transport_bar import PLAYING, TransportBar
from jbdiff_live.ui.scenes.strip import SceneStrip
from jbdiff_live.ui.tiles.panel import KnobsPanel
from jbdiff_live.ui.tiles.tile import Tile
from jbdiff_live.ui.wishes import PlayersWishes

KNOB_SECONDS = 0.06  # between two pictures of a knob that is swept from elsewhere: every second frame
FRAMES_PER_WORDS = 3  # what is read rather than watched: ten times a second, or five where time is short
FRAMES_PER_BINDINGS = 12  # bindings change seldom: asked for now and then, and whenever learning ends


def without_finisher(status: Status) -> str:
    """Why the finisher's knobs do nothing; empty where they do, or where that is not known yet."""
    stack = status.stack
    if stack.finisher or stack.parts is None:
        return ""
    return "it is left out under Stack" if stack.parts.finisher else "this stack has no finisher"


def form_reasons(status: Status, now: ParameterSnapshot | None) -> Mapping[str, str]:
    """Why each knob of form and style does nothing; empty if it does something, or if that is not known yet."""
    parts = status.stack.parts
    if parts is not None and not parts.anchor:
        reasons = dict.fromkeys(OF_THE_ANCHOR, "this stack cannot be held to an anchor")
    else:
        reasons = dict.fromkeys(OF_THE_ANCHOR, "")
        reasons |= _unused(now)
    forgets = parts is not None and not parts.memory
    return reasons | dict.fromkeys(OF_THE_MEMORY, "this stack has no memory" if forgets else "")


def _unused(now: ParameterSnapshot | None) -> dict[str, str]:
    """Why a knob of the anchor does nothing at other knobs' values."""
    reasons: dict[str, str] = {}
    if now is not None:
        if now["anchor"] == 0:
            reasons |= dict.fromkeys(("brightness", "motion"), "Anchor is at 0")
        if now.choice("clock") != "tempo":
            reasons["tempo"] = f"Clock is at {now.choice('clock')}"
    return reasons


def _tells_more(before: Status, now: Status) -> bool:
    """Return True if something happened that has to be read at once."""
    return (
        stage_word(before) != stage_word(now)
        or before.recorder.recording != now.recorder.recording
        or before.control.learning != now.control.learning
    )


MODIFIERS = (Qt.Key.Key_Shift, Qt.Key.Key_Control, Qt.Key.Key_Alt, Qt.Key.Key_AltGr, Qt.Key.Key_Meta)


class MainWindow(PlayersWishes):
    """The whole instrument on screen. `transport` is all it knows of the rest."""

    def __init__(self, transport: Transport, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._transport = transport
        self._clock = clock
        self._frames = 0
        self._values_at = float("-inf")
        self.pace = Pace()
        self.status = Status()
        self._now: ParameterSnapshot | None = None
        self._touched: tuple[str, ...] = ()  # what the control moves that was located last
        self.setWindowTitle("jbdiff-live")
        self.setMinimumSize(1180, 640)
        self.setAcceptDrops(True)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)  # a click beside the knobs lets go of the focused one

        self.notices = NoticeLine()
        self.asker = Asker(self.notices)
        self.question = QuestionMenu(self, transport, self.asker)
        self.files = FileDesk(self, transport, self.asker, self.look)
        self.patch = Picker("PATCH", self.files.fill_patches)
        self.stack = StackPicker(transport, self.asker)
        self.bar = TransportBar(self.patch, self.stack)
        self.scope = Scope()
        self.health = HealthStrip()
        self.scenes = SceneStrip(transport, self.asker)
        self.panel = KnobsPanel([p for p in PARAMETERS if p.name not in OF_THE_SCENES])
        self.devices = DeviceRow(transport, self.asker, self.files.browse_sound, self.open_bindings)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 12, 14, 12)
        column.setSpacing(8)
        for part in (self.bar, self.notices, self.scope, self.health, self.scenes, self.panel, self.devices):
            column.addWidget(part, 1 if part is self.scope else 0)
        self.keys = KeysOverlay(self, keys.rows())
        self.zones = DropZones(self)
        self.tiles: dict[str, Tile] = {**self.panel.tiles, **self.scenes.tiles, "panic": self.bar.panic}
        self._connect()
        self._order_tabs()

        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.frame)
        self._timer.start(1000 // self.pace.frames_per_second)
        self.look()

    def _connect(self) -> None:
        for tile in self.tiles.values():
            tile.set_asked.connect(self.set_parameter)
            tile.triggered.connect(self.trigger)
            tile.learn_asked.connect(self.learn)
            tile.unbind_asked.connect(self.unbind)
            tile.lfo_asked.connect(self.set_lfo)
            tile.refused.connect(lambda why: self.notices.refuse("typed", why))
        self.bar.start.pressed.connect(self.start_stop)
        self.bar.record.pressed.connect(self.record)
        keys.install(
            self,
            {
                "start_stop": lambda _: self.start_stop(),
                "record": lambda _: self.record(),
                "escape": lambda _: self.escape(),
                "hold": lambda _: self.flip("hold"),
                "mute": lambda _: self.flip("mute"),
                **self.action_deeds(),
                **self.scenes.deeds(),
                "learn": lambda _: self.learn_focused(),
                "learn_row": lambda _: self.learn_row(),
                "unlearn": lambda _: self.await_control("unlearn", self._transport.unlearn),
                "locate": lambda _: self.await_control("locate", self._transport.locate),
                "bindings": lambda _: self.open_bindings(),
                "focus": lambda key: self.focus_number(int(key[-1])),
                "load_patch": lambda _: self.files.browse_patch(),
                "save_patch": lambda _: self.files.save_patch(),
                "full_screen": lambda _: self.toggle_full_screen(),
                "show_keys": lambda _: self.toggle_keys(),
            },
        )

    def _order_tabs(self) -> None:
        """Knobs first, then what is used between pieces."""
        order: list[QWidget] = [
            *self.panel.order, *self.scenes.order, self.bar.start, self.bar.record, self.bar.panic,
            self.patch, self.stack, self.devices.output, self.devices.input, self.devices.midi,
            self.devices.context, self.devices.init,
        ]  # fmt: skip
        for before, after in itertools.pairwise(order):
            QWidget.setTabOrder(before, after)

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
        self._read(now)
        self.show_bindings()

    def _watch(self) -> float:
        """What has to move smoothly: picture and meters. Returns the time."""
        now = self._clock()
        status = self.asker.get("status", self._transport.status, self.status)
        none: tuple[Block, ...] = ()
        blocks = self.asker.get("recent blocks", self._transport.recent_blocks, none)
        ended = self.status.control.learning != status.control.learning
        self.status = status
        self.health.show_peaks(status, now)
        self.scope.advance(status, blocks, now)
        if ended:
            self.show_bindings()
        if ended or status.control.learning is not None:
            for name, tile in self.tiles.items():
                tile.show_learning(name == status.control.learning)
                if tile.learning:
                    tile.pulse(now)
        return now

    def _read(self, now: float) -> None:
        """What is there in words and numbers."""
        status = self.status
        self.bar.show_status(status)
        self.health.show_status(status, now)
        self.devices.show_status(status)
        self.scenes.refresh(status)
        self.panel.show_inapplicable(dict.fromkeys(OF_THE_FINISHER, without_finisher(status)))
        self.panel.show_inapplicable(form_reasons(status, self._now))
        self.panel.show_inapplicable(noise_reasons(self._now))
        view = self.bar.view
        details = "" if view.fits(view.word.why) else view.word.why
        self.notices.show_status(status, details)
        if status.control.touched != self._touched:
            self._touched = status.control.touched
            located = self.tiles.get(self._touched[0]) if self._touched else None
            if located is not None:
                located.setFocus(Qt.FocusReason.OtherFocusReason)
        question = status.control.question
        self.question.show(question, None if question is None else self.tiles.get(question.target))

    def show_values(self, now: float) -> None:
        """Turn the knobs to what is set. One that begins to turn is seen in the next frame."""
        snapshot = self.asker.get("values", self._transport.snapshot, self._now)
        if snapshot is not None:
            self._now = snapshot
            heard = self.status.heard if self.status.engine.state in PLAYING else None
            self.panel.show_hardware(self.status.control.hardware)
            self.scenes.show_values(snapshot, self.status.control.hardware)
            if self.panel.show_values(snapshot, heard):
                self._values_at = now

    def show_bindings(self) -> None:
        none: Mapping[str, str] = {}
        bindings = self.asker.get("bindings", self._transport.bindings, none)
        self.scenes.show_bindings(bindings)
        no_lfos: Mapping[str, Lfo] = {}
        lfos = self.asker.get("LFOs", self._transport.lfos, no_lfos)
        for name, tile in self.tiles.items():
            tile.show_binding(bindings.get(name, ""))
            tile.show_lfo(lfos.get(name))

    # The window itself

    def focus_number(self, number: int) -> None:
        if number <= len(self.panel.numbered):
            self.panel.numbered[number - 1].setFocus(Qt.FocusReason.ShortcutFocusReason)

    def toggle_full_screen(self) -> None:
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    def toggle_keys(self) -> None:
        self.keys.hide() if self.keys.isVisible() else self.keys.cover()

    # Drag and drop

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            self.zones.cover()
            self.zones.aim(event.position().x())
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        self.zones.aim(event.position().x())
        event.acceptProposedAction()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.zones.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        role = self.zones.aim(event.position().x())
        self.zones.hide()
        files = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if files:
            event.acceptProposedAction()
            self.files.load_sound(role, Path(files[0]))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.text() == "?":
            self.toggle_keys()
        elif event.isAutoRepeat() or not self._press(event):
            super().keyPressEvent(event)

    def _press(self, event: QKeyEvent) -> bool:
        """Press a key that the window does not use itself. Return whether the player bound it to something."""
        if event.key() in MODIFIERS:
            return False
        key = QKeySequence(event.keyCombination()).toString()
        return bool(key) and self.asker.get("key", lambda: self._transport.press_key(key), False)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.setFocus(Qt.FocusReason.MouseFocusReason)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Parts grow with the window, and their letters with them; the picture takes the rest."""
        height = self.height()
        for part, share, least, most in (
            (self.bar, 0.092, 64, 112),
            (self.health, 0.078, 56, 86),
            (self.scenes, 0.115, 86, 140),
            (self.panel, 0.262, 186, 330),
            (self.devices, 0.056, 42, 62),
        ):
            part.setFixedHeight(int(min(most, max(least, height * share))))
        for overlay in (self.keys, self.zones):
            overlay.setGeometry(self.rect())
        super().resizeEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        # Qt would focus the first knob, and the number keys would type into it instead of choosing a knob.
        self.setFocus(Qt.FocusReason.OtherFocusReason)
        super().showEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        self._timer.stop()
        super().closeEvent(event)
