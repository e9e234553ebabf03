"""The browser of patches, sounds and takes: a list with a search line, and what can be done with the chosen entry.

It needs no mouse: letters search, arrows choose, and each button has a key. The music and the window go on beside it.

Thread: Qt's. While it is open, the session is asked for its status a few times a second, and for the list every two
seconds. Each wish is one call of the session.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import PurePath

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QHideEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLabel, QListView, QVBoxLayout, QWidget

from jbdiff_live.browse.entry import Entry, Kind
from jbdiff_live.browse.takes import job_text
from jbdiff_live.status import Status, Transport
from jbdiff_live.ui.asking import Asker
from jbdiff_live.ui.browser.deeds import HINT, Deeds
from jbdiff_live.ui.browser.detail import Action, Detail
from jbdiff_live.ui.browser.lines import NameLine, SearchLine
from jbdiff_live.ui.browser.model import EntriesModel, EntryRow
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.twice import Twice

LOOK_MS, LOOKS_PER_LIST = 250, 8
WIDEST, HIGHEST = 1240, 760
FILTERS: tuple[tuple[str, Callable[[Entry], bool]], ...] = (  # the buttons above the list, and what they show
    ("All", lambda entry: True),
    ("Patches", lambda entry: entry.kind is Kind.PATCH),
    ("Sounds", lambda entry: entry.kind is Kind.SOUND),
    ("Takes", lambda entry: entry.kind is Kind.TAKE),
    ("Favourites", lambda entry: entry.favourite),
    ("Own", lambda entry: not entry.factory),
)
NO_FILE = "use Save as first"


def sheet() -> str:
    """Return the style sheet in the colours that the window wears now."""
    return f"""
QLineEdit {{ background: {theme.PANEL.name()}; border: 1px solid {theme.LINE.name()}; border-radius: 6px;
    padding: 5px 8px; }}
QLineEdit:focus {{ border: 2px solid {theme.ACCENT.name()}; }}
QListView {{ background: {theme.BACKGROUND.name()}; border: none; }}
QPushButton:disabled {{ color: {theme.FAINT.name()}; }}
QPushButton:checked {{ background: {theme.ACCENT_DEEP.name()}; border: 1px solid {theme.ACCENT.name()}; }}
"""


class Browser(Deeds):
    """Made once; `open_browser` shows it. from_elsewhere: asks for a file with the system's dialog, and loads it."""

    def __init__(
        self,
        window: QWidget,
        transport: Transport,
        asker: Asker,
        from_elsewhere: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(window)
        self._window = window
        self._transport = transport
        self._asker = asker
        self._from_elsewhere = from_elsewhere
        self._status = Status()
        self._all: Sequence[Entry] = ()
        self._looks = 0
        self._named: Callable[[str], None] | None = None  # what the name that is typed is for
        self._clock = clock
        self.view: QWidget | None = None  # of a take, while it is open
        self.trash_press = Twice(clock)
        self.setWindowTitle("Patches, sounds and takes")
        self.setAccessibleName("Browser of patches, sounds and takes")
        self.model = EntriesModel()
        self.list = QListView()
        self.list.setModel(self.model)
        self.list.setItemDelegate(EntryRow(self.list))
        self.list.setAccessibleName("Patches, sounds and takes")
        self.list.setDragEnabled(True)
        self.list.setUniformItemSizes(True)
        self.list.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.search, self.name = SearchLine(self.list), NameLine()
        self.detail = Detail()
        self.playing, self.work, self.line = QLabel(), QLabel(), QLabel(HINT)
        self.save, self.save_as = Action("Save", "Ctrl+S"), Action("Save as…", "Ctrl+Shift+S")
        self.revert, self.elsewhere = Action("Revert", "Ctrl+R"), Action("File…", "Ctrl+O")
        self.filters = [Action(name, "") for name, _ in FILTERS]
        self._lay_out()
        self._connect()
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._tick)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 10, 12, 10)
        column.setSpacing(8)
        head = QHBoxLayout()
        head.addWidget(self.search, 1)
        head.addWidget(self.name, 1)
        for button in self.filters:
            button.setCheckable(True)
            button.setMinimumWidth(58)
            head.addWidget(button)
        self.filters[0].setChecked(True)
        column.addLayout(head)
        middle = QHBoxLayout()
        middle.setSpacing(14)
        middle.addWidget(self.list, 5)
        middle.addWidget(self.detail, 4)
        column.addLayout(middle, 1)
        foot = QHBoxLayout()
        self.playing.setFont(theme.font(15, True))
        self.playing.setTextFormat(Qt.TextFormat.PlainText)
        foot.addWidget(self.playing, 1)
        for button in (self.save, self.save_as, self.revert, self.elsewhere):
            foot.addWidget(button)
        column.addLayout(foot)
        for label in (self.work, self.line):
            label.setFont(theme.font(13))
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
            column.addWidget(label)

    def _connect(self) -> None:
        detail = self.detail
        keys: tuple[tuple[Action | None, tuple[str, ...], Callable[[], None]], ...] = (
            (detail.load, ("Return", "Enter"), self.load),
            (detail.arm, ("Ctrl+Return", "Ctrl+Enter"), self.arm),
            (detail.listen, ("Ctrl+L",), self.listen),
            (detail.favourite, ("Ctrl+F",), self.mark),
            (detail.rename, ("F2",), self.rename),
            (detail.trash, ("Ctrl+T",), self.trash),
            (self.save, ("Ctrl+S",), self.save_own),
            (self.save_as, ("Ctrl+Shift+S",), self.save_new),
            (self.revert, ("Ctrl+R",), self.go_back),
            (self.elsewhere, ("Ctrl+O",), self._from_elsewhere),
            (None, ("Ctrl+P",), lambda: self._transport.trigger("panic")),
        )
        for button, sequences, deed in keys:
            if button is not None:
                button.clicked.connect(lambda _=False, deed=deed: deed())
            for sequence in sequences:
                shortcut = QShortcut(QKeySequence(sequence), self)
                shortcut.setAutoRepeat(False)
                shortcut.activated.connect(lambda button=button, deed=deed: self._pressed(button, deed))
        for button in self.filters:
            button.clicked.connect(lambda _=False, chosen=button: self._filter(chosen))
        self.search.textChanged.connect(lambda _: self.look())
        self.list.doubleClicked.connect(lambda _: self.load())
        self.list.selectionModel().currentChanged.connect(lambda *_: self._choose())
        self.list.setFocusPolicy(Qt.FocusPolicy.ClickFocus)

    def _pressed(self, button: Action | None, deed: Callable[[], None]) -> None:
        """Do what a key asks for. A key of a grey button gives the reason; Enter on a focused button presses it."""
        if self._named is not None:
            if button is self.detail.load:
                self._use_name()
            return
        focused = self.focusWidget()
        if button is self.detail.load and isinstance(focused, Action):
            focused.click()
        elif button is not None and not button.isEnabled():
            self.refuse(button.why)
        else:
            deed()

    # ------------------------------------------------------------------ the player

    def open_browser(self) -> None:
        """Show the browser; a second call closes it."""
        if self.isVisible():
            self.close()
            return
        room = self._window.size()
        self.resize(min(WIDEST, room.width() - 20), min(HIGHEST, room.height() - 20))
        self.setStyleSheet(sheet())
        self.detail.wear()
        self.answer(HINT)
        self.search.clear()
        self.read_list()
        self.look()
        self._timer.start()
        self.show()
        self.search.setFocus(Qt.FocusReason.OtherFocusReason)
        here = next((n for n, entry in enumerate(self.model.rows) if self.model.plays(entry)), 0)
        if self.model.rows:
            self.list.setCurrentIndex(self.model.index(here))

    def open_take(self, entry: Entry) -> None:
        """Open the view of a take. It brings pyqtgraph, which takes a moment, so it is imported here."""
        from jbdiff_live.ui.takeview.dialog import TakeView

        view = TakeView(self, self._transport, self._asker, entry, self._clock)
        view.setStyleSheet(sheet())
        view.finished.connect(lambda _: self._after_take())
        self.view = view
        view.open_take(self._window)

    def _after_take(self) -> None:
        self.view = None
        self.read_list()
        self.look()

    # ------------------------------------------------------------------ inside

    @property
    def chosen(self) -> Entry | None:
        row = self.list.currentIndex().row()
        return self.model.rows[row] if 0 <= row < len(self.model.rows) else None

    def _tick(self) -> None:
        self._looks += 1
        if self._looks % LOOKS_PER_LIST == 0:
            self.read_list()
        self.look()

    def read_list(self) -> None:
        """Ask the session for the list."""
        self._all = self._asker.get("list of patches", self._transport.library, self._all)

    def look(self) -> None:
        """Show what the session has now. The chosen entry stays chosen."""
        armed = self._status.library.armed
        self._status = status = self._asker.get("status", self._transport.status, self._status)
        if armed and not status.library.armed:
            self.answer(
                f"{armed} is loaded" if PurePath(status.patch_file).stem == armed else "no patch is armed"
            )
        fits = next(f for (_, f), button in zip(FILTERS, self.filters, strict=True) if button.isChecked())
        found = [entry for entry in self._all if fits(entry) and entry.matches(self.search.text())]
        before = self.chosen
        if self.model.show(found, status.patch_file, status.library.armed) and self.model.rows:
            keys = [entry.key for entry in self.model.rows]
            self.list.setCurrentIndex(
                self.model.index(keys.index(before.key) if before and before.key in keys else 0)
            )
        self._tell()

    def _choose(self) -> None:
        self.trash_press.forget()
        self._tell()

    def _tell(self) -> None:
        """Show the chosen entry and the patch that plays."""
        entry, status = self.chosen, self._status
        plays = entry is not None and self.model.plays(entry)
        armed = entry is not None and self.model.armed(entry)
        self.detail.show_entry(entry, status, plays, armed, self.trash_press.asks)
        changed = " (changed)" if status.undo.modified else ""
        self.playing.setText(f"Plays: {status.patch or 'no patch'}{changed}")
        own = any(
            self.model.path_of(other) == status.patch_file and not other.factory and other.kind is Kind.PATCH
            for other in self._all
        )
        self._show_job()
        self.save.offer("Save", "" if own else NO_FILE)
        self.revert.offer("Revert", "" if status.undo.modified else "nothing has changed")
        self.detail.show_reasons((self.save, self.revert))

    def _show_job(self) -> None:
        """Show the work on a take. It goes on after the take's view is closed."""
        takes = any(entry.kind is Kind.TAKE for entry in self._all)
        job = self._asker.get("job", lambda: self._transport.takes().job, None) if takes else None
        words = "" if job is None else job_text(job.state)
        self.work.setText(f"{words}. Open a take to see it, or to cancel it." if words else "")
        self.work.setVisible(bool(words))

    def _filter(self, chosen: Action) -> None:
        for button in self.filters:
            button.setChecked(button is chosen)
        self.search.setFocus(Qt.FocusReason.OtherFocusReason)
        self.look()

    def reject(self) -> None:
        """Esc: give up the name that is typed, else close."""
        if self._named is not None:
            self._end_name()
            self.answer(HINT)
        else:
            super().reject()

    def hideEvent(self, event: QHideEvent) -> None:
        """What is listened to ends with the browser."""
        self._timer.stop()
        if self.view is not None:
            self.view.close()
        if self._status.library.listening:
            self._asker.ask("listen", self._transport.listen_to, None)
        super().hideEvent(event)
