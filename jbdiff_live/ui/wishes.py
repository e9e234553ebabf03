"""What the player asks for in the window, turned into calls of the session. Thread: Qt's.

A call that the session refuses becomes a message (`Asker`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox, QWidget

from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.control_view import Waiting
from jbdiff_live.parameters import BY_NAME
from jbdiff_live.status import EngineState, Status, Transport
from jbdiff_live.ui.asking import Asker
from jbdiff_live.ui.bindings.dialog import BindingsDialog
from jbdiff_live.ui.browser.dialog import Browser
from jbdiff_live.ui.files import FileDesk
from jbdiff_live.ui.overlay import KeysOverlay
from jbdiff_live.ui.rows.notices import NoticeLine
from jbdiff_live.ui.rows.stack_picker import StackPicker
from jbdiff_live.ui.rows.transport_bar import TransportBar
from jbdiff_live.ui.scenes.strip import SceneStrip
from jbdiff_live.ui.tiles.panel import KnobsPanel
from jbdiff_live.ui.tiles.tile import Tile
from jbdiff_live.ui.twice import Twice
from jbdiff_live.ui.views.foot import FootRow
from jbdiff_live.ui.views.stage import StageView

NEXT = "next patch"  # what a hint answers
GETTING_READY = (EngineState.LOADING, EngineState.WARMING)  # nothing sounds that a press could end


class PlayersWishes(QWidget):
    """The wishes of a window. The window that inherits makes the parts below, and shows what came of a wish."""

    _transport: Transport
    _clock: Callable[[], float]  # seconds
    status: Status
    asker: Asker
    notices: NoticeLine
    panel: KnobsPanel
    stage: StageView
    foot: FootRow
    bar: TransportBar
    scenes: SceneStrip
    keys: KeysOverlay
    files: FileDesk
    stack: StackPicker
    stop_press: Twice
    next_press: Twice

    @abstractmethod
    def look(self) -> None:
        """Poll the session and let every part repaint what changed in it."""
        ...

    @abstractmethod
    def show_values(self, now: float) -> None:
        """Turn the knobs to what is set. now: seconds."""
        ...

    @abstractmethod
    def show_bindings(self) -> None: ...

    @cached_property
    def bindings(self) -> BindingsDialog:
        """The table of all bindings; made when it is asked for."""
        return BindingsDialog(self, self._transport, self.asker, self.bar)

    @cached_property
    def browser(self) -> Browser:
        """The browser of patches and sounds; made when it is asked for."""
        return Browser(self, self._transport, self.asker, self.files.browse_patch, self._clock)

    def open_browser(self) -> None:
        self.browser.open_browser()

    def open_bindings(self) -> None:
        self.bindings.open_table()

    def dressed(self) -> None:
        """Draw everything anew, after a change of the look."""
        for name in ("bindings", "browser"):  # made again, in the new colours and letters, when it is opened
            dialog: QWidget | None = self.__dict__.pop(name, None)
            if dialog is not None:
                dialog.close()
                dialog.deleteLater()
        self.notices.dress_anew()
        for widget in self.findChildren(QWidget):
            widget.update()
        self.look()

    def set_parameter(self, name: str, value: float) -> None:
        label = BY_NAME[name].label if name in BY_NAME else name
        if self.asker.ask(label, self._transport.set_parameter, name, value):
            self.notices.succeed("slip")
        self.show_values(self._clock())

    def answer_slip(self, why: str) -> None:
        """Say why what a hand did to a tile changed nothing, such as a value that cannot be set."""
        self.notices.hint("slip", why)
        self.look()

    def set_lfo(self, name: str, lfo: Lfo | None) -> None:
        """Give a knob an LFO, or take it away."""
        self.asker.ask("LFO", self._transport.set_lfo, name, lfo)
        self.show_bindings()

    def flip(self, name: str) -> None:
        """Switches a toggle over."""
        snapshot = self._transport.snapshot()
        self.set_parameter(name, 0.0 if snapshot.on(name) else 1.0)

    def trigger(self, action: str) -> None:
        """Do an action of the parameter table, or load the next patch.

        If changes of the patch are not saved, the first press asks and a second one within seconds loads.
        """
        if action == "next_patch":
            if not self.status.undo.modified or self.next_press.press():
                self.next_press.forget()
                self.notices.succeed(NEXT)
                self.files.load_following()
            elif (following := self.files.following(self.status)) is not None:
                patch = self.status.patch or "The patch"
                self.notices.hint(
                    NEXT, f"{patch} has changes that are not saved. Once more loads {following[0]}."
                )
            self.look()
            return
        self.asker.ask(action, self._transport.trigger, action)
        self.show_values(self._clock())

    def jump(self, function: str) -> None:
        """Let the time machine go "back", "far_back" or "forward"."""
        self.asker.ask(function, self._transport.jump, function)
        self.look()

    def prepare(self) -> None:
        """Load the model while the player looks around, so that the first start sounds at once. Find all stacks."""
        self.asker.ask("load the model", self._transport.prepare)
        self.stack.find_stacks()

    def start_stop(self) -> None:
        """Start, or stop. While music sounds, the first press asks and a second one within seconds stops.

        A press that waits for the beat or bar asks nothing, because a second press takes it back.
        """
        if self.asker.get("play", lambda: self._transport.holds("play"), False):
            return
        if not self.status.engine.plays:
            self.asker.ask("start", self._transport.start)
        elif self.status.engine.state in GETTING_READY or self.stop_press.press():
            self.stop_press.forget()
            self.asker.ask("stop", self._transport.stop)
        self.look()

    def may_close(self) -> bool:
        """Ask the player if closing would end music, a take, or work on a take. Return True if the window may close."""
        recording, plays = self.status.recorder.recording, self.status.engine.plays
        job = self.asker.get("work on takes", lambda: self._transport.takes().job, None)
        work = "" if job is None or job.state.ended else job.state.words
        if not recording and not plays and not work:
            return True
        doing = "recording" if recording else "playing" if plays else work
        what = "The take ends here and is kept." if recording else "The music ends here." if plays else ""
        if work:
            what += f" The work ends unfinished: {work}. A rendering goes on when you ask for it again."
        answer = QMessageBox.question(
            self,
            "Close jbdiff-live?",
            f"Close while {doing}? {what.strip()}",
            QMessageBox.StandardButton.Close | QMessageBox.StandardButton.Cancel,
            QMessageBox.StandardButton.Cancel,
        )
        return answer == QMessageBox.StandardButton.Close

    def record(self) -> None:
        if self.asker.get("record", lambda: self._transport.holds("record"), False):
            return
        if self.status.recorder.recording:
            self.asker.ask("record", self._transport.stop_recording)
        else:
            self.asker.ask("record", self._transport.start_recording)
        self.look()

    def escape(self) -> None:
        """Close what lies over the window, else cancel learning, else dismiss the message, else let go of a knob."""
        if self.keys.isVisible():
            self.keys.hide()
        elif self.status.control.learning is not None or self.status.control.waiting is not Waiting.NOTHING:
            self.learn("")
        elif not self.notices.dismiss():
            self.setFocus(Qt.FocusReason.OtherFocusReason)

    def learn(self, name: str) -> None:
        """Wait for a control for `name`; an empty name stops waiting."""
        self.asker.ask("learn", self._transport.learn, name or None)
        self.look()

    def learn_focused(self) -> None:
        focused = self.focusWidget()
        functions = {self.bar.start: "play", self.bar.record: "record", **self.scenes.functions}
        if isinstance(focused, Tile) and focused.learnable:
            self.learn("" if focused.learning else focused.name)
        elif focused in functions:
            self.learn(functions[focused])
        else:
            self.notices.hint("learn", "Learn: focus a knob first. Click it, or press Alt and its number.")
            self.look()

    def learn_row(self) -> None:
        """Learns the knobs one after the other, from the focused one on; in the middle of it, skips one."""
        if self.status.control.learning is not None:
            self.asker.ask("learn", self._transport.skip_learning)
        else:
            tiles = self.stage.rings if self.stage.isVisible() else self.panel.order
            names = [tile.name for tile in tiles]
            focused = self.focusWidget()
            first = names.index(focused.name) if isinstance(focused, Tile) and focused.name in names else 0
            self.asker.ask("learn", self._transport.learn_row, names[first:])
        self.look()

    def await_control(self, what: str, wish: Callable[[], None]) -> None:
        """Wait for a control to be touched. A second call stops waiting."""
        if self.status.control.waiting is Waiting.NOTHING:
            self.asker.ask(what, wish)
        else:
            self.asker.ask(what, self._transport.learn, None)
        self.look()

    def unbind(self, name: str) -> None:
        self.asker.ask("unbind", self._transport.unbind, name)
        self.show_bindings()
