"""The widgets of the take view, how they lie, and the keys and buttons of each deed. Thread: Qt's. Nothing blocks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QVBoxLayout, QWidget

from jbdiff_live.ui.browser.detail import Action
from jbdiff_live.ui.browser.lines import NameLine
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.grey.words import WhyGrey
from jbdiff_live.ui.takeview.answers import HINT
from jbdiff_live.ui.takeview.deeds import TakeDeeds
from jbdiff_live.ui.takeview.slots import Grip, Slot
from jbdiff_live.ui.takeview.wave import WaveView

ZOOM = 0.7
STEPS = (("", 1.0), ("Shift+", 0.1), ("Ctrl+", 10.0))  # of the arrow keys, in seconds
Key = tuple[Action | None, str, Callable[[], object]]  # button, key, what it does


class TakeParts(TakeDeeds):
    """The view that inherits calls `_make`, `_lay_out` and `_connect` in this order."""

    def _make(self) -> None:
        self.title, self.about, self.place, self.line = QLabel(), QLabel(), QLabel(), QLabel(HINT)
        self.name = NameLine()
        self.wave = WaveView()
        self.play, self.loop, self.set_mark = (
            Action("Play", "Space"),
            Action("Loop", "L"),
            Action("Mark", "V"),
        )
        self.other, self.switch = Action("Compare…", "C"), Action("A/B", "B")
        self.match = Action("Same level", "M")
        self.context, self.init = Slot("Continue it", "Enter"), Slot("Resample it", "Ctrl+Enter")
        self.grip = Grip(self.sound_file)
        self.cut, self.write, self.again = (
            Action("Trim", "T"),
            Action("Export…", "E"),
            Action("Render again", "R"),
        )
        self.new_name, self.tags = Action("Rename", "F2"), Action("Tags", "G")
        self.favourite, self.folder = Action("Favourite", "Ctrl+F"), Action("Open folder", "O")
        self.to_flac, self.to_trash = Action("To FLAC", "K"), Action("To the trash", "Ctrl+T")
        self.progress, self.cancel = QProgressBar(), Action("Cancel", "X")
        for button in (self.loop, self.match):
            button.setCheckable(True)
        self.progress.setAccessibleName("Progress")
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.work, self.reasons = QLabel(), WhyGrey()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 12, 8)
        column.setSpacing(6)
        for label, size in (
            (self.title, 19),
            (self.about, 13),
            (self.place, 15),
            (self.line, 13),
            (self.work, 13),
        ):
            label.setFont(theme.font(size, label is self.title))
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.about.setWordWrap(True)
        self.line.setWordWrap(True)
        column.addLayout(_row(self.title, None, self.place))
        column.addWidget(self.name)
        column.addWidget(self.about)
        column.addWidget(self.wave, 1)
        column.addLayout(_row(self.play, self.loop, self.set_mark, None, self.other, self.switch, self.match))
        column.addLayout(_row(self.context, self.init, self.grip, None, self.cut, self.write, self.again))
        column.addLayout(
            _row(self.new_name, self.tags, self.favourite, self.folder, None, self.to_flac, self.to_trash)
        )
        column.addWidget(self.reasons)
        column.addLayout(_row(self.work, self.progress, self.cancel))
        column.addWidget(self.line)

    def _keys(self) -> list[Key]:
        player, wave = self.player, self.wave
        keys: list[Key] = [
            (self.play, "Space", lambda: self.do(player.play, "")),
            (self.loop, "L", lambda: self.do(player.loop, "")),
            (self.set_mark, "V", self.add_mark),
            (None, "N", self.name_mark),
            (None, "Del", self.remove_mark),
            (None, ",", lambda: self.next_mark(False)),
            (None, ".", lambda: self.next_mark(True)),
            (self.other, "C", self.choose_other),
            (self.switch, "B", lambda: self.do(player.switch, "")),
            (self.match, "M", lambda: self.do(player.match, "")),
            (self.context, "Return", lambda: self.use("context")),
            (self.init, "Ctrl+Return", lambda: self.use("init")),
            (self.cut, "T", self.trim),
            (self.write, "E", self.export),
            (self.again, "R", self.render_again),
            (self.new_name, "F2", self.rename),
            (self.tags, "G", self.tag),
            (self.favourite, "Ctrl+F", self.mark_favourite),
            (self.folder, "O", self.open_folder),
            (self.to_flac, "K", self.pack),
            (self.to_trash, "Ctrl+T", self.trash),
            (self.cancel, "X", self.cancel_job),
            (None, "[", lambda: self._edge(0)),
            (None, "]", lambda: self._edge(1)),
            (None, "+", lambda: wave.zoom(ZOOM)),
            (None, "=", lambda: wave.zoom(ZOOM)),
            (None, "-", lambda: wave.zoom(1 / ZOOM)),
            (None, "0", wave.fit),
            (None, "Home", lambda: self.seek(0.0)),
            (None, "End", lambda: self.seek(player.length)),
            (None, "Ctrl+P", lambda: self._transport.trigger("panic")),
        ]
        for modifier, step in STEPS:
            keys.append((None, f"{modifier}Left", lambda step=step: self.seek(player.at - step)))  # type: ignore[misc]
            keys.append((None, f"{modifier}Right", lambda step=step: self.seek(player.at + step)))  # type: ignore[misc]
        return keys

    def _connect(self) -> None:
        for button, sequence, deed in self._keys():
            self._bind(button, sequence, deed)
        for slot, role in ((self.context, "context"), (self.init, "init")):
            slot.dropped.connect(lambda path, role=role: self.use(role, path))
        self.wave.sought.connect(self.seek)
        self.wave.part_changed.connect(lambda: self.player.choose_part(self.wave.part))

    def _bind(self, button: Action | None, sequence: str, deed: Callable[[], object]) -> None:
        if button is not None:
            button.clicked.connect(lambda _=False: deed())
        for name in {sequence, sequence.replace("Return", "Enter")}:
            shortcut = QShortcut(QKeySequence(name), self)
            shortcut.activated.connect(lambda: self._pressed(button, deed))

    def _pressed(self, button: Action | None, deed: Callable[[], object]) -> None:
        """Do what a key asks for. A key of a grey button gives the reason; Enter on a focused button presses it."""
        if self._named is not None:
            if button is self.context:
                self.use_name()
            return
        focused = self.focusWidget()
        if button is self.context and isinstance(focused, Action):
            focused.click()
        elif button is not None and not button.isEnabled():
            self.refuse(button.why)
        else:
            deed()

    @abstractmethod
    def seek(self, seconds: float) -> None:
        """Move the playhead, and what sounds."""
        ...

    def _edge(self, number: int) -> None:
        """Set the beginning (0) or the end (1) of the chosen part to the playhead."""
        edges = list(self.wave.part or (0.0, self.player.length))
        edges[number] = self.player.at
        part = (edges[0], edges[1]) if edges[0] < edges[1] else None
        self.wave.choose_part(part)
        self.player.choose_part(part)
        if part is None:
            self.answer("no part is chosen: the end must come after the beginning")


def _row(*parts: QWidget | None) -> QHBoxLayout:
    """Return a row of widgets; None is room between them."""
    row = QHBoxLayout()
    row.setSpacing(6)
    for part in parts:
        if part is None:
            row.addStretch(1)
        else:
            row.addWidget(part, 1 if isinstance(part, QProgressBar) else 0)
    return row
