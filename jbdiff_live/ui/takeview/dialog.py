"""The view of one take: its wave with playhead, part and marks; listening, comparing, and what can be done with it.

It needs no mouse: each button has a key. The music and the window go on beside it.

Thread: Qt's. While it is open, the session is asked for the audible place thirty times a second, and for the rest four
times a second. Each wish is one call of the session. Long work is a job of the session, and goes on after closing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent, QHideEvent
from PySide6.QtWidgets import QWidget

from jbdiff_live.browse.entry import Entry
from jbdiff_live.browse.takes import MUSIC_PLAYS, Job, JobState, Mark, TakeFacts, Wave, clock_text, job_text
from jbdiff_live.status import Status, Transport
from jbdiff_live.ui.asking import REFUSALS, Asker, reason
from jbdiff_live.ui.browser.detail import Action
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.takeview.answers import HINT
from jbdiff_live.ui.takeview.listen import Player
from jbdiff_live.ui.takeview.parts import TakeParts
from jbdiff_live.ui.takeview.wave import Lane
from jbdiff_live.ui.twice import Twice

FRAME_MS, FRAMES_PER_LOOK = 33, 8
NO_DEVICE = "no sound device is open; choose one in the settings (F4)"
NO_OTHER = "choose a take to compare with first"


class TakeView(TakeParts):
    """Made for one opening; `open_take` shows it."""

    def __init__(
        self,
        window: QWidget,
        transport: Transport,
        asker: Asker,
        entry: Entry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._transport, self._asker = transport, asker
        self.shelf = transport.takes()
        self.entry = entry
        self.facts = TakeFacts(entry.path, entry.name)
        self.marks = []
        self._logged: list[Mark] = []
        self.player = Player(self.shelf)
        self.trash_press = Twice(clock)
        self._named: Callable[[str], object] | None = None
        self._status = Status()
        self._frames = 0
        self._waves: list[Wave] = []
        self._job_said: Job | None = self.shelf.job  # whose end is said, or was before this view
        self.setWindowTitle("Take")
        self.setAccessibleName("View of a take")
        self._make()
        self._lay_out()
        self._connect()
        self._timer = QTimer(self)
        self._timer.setInterval(FRAME_MS)
        self._timer.timeout.connect(self.frame)

    # ------------------------------------------------------------------ the player

    def open_take(self, window: QWidget) -> None:
        """Show the view, a little smaller than the window."""
        self.resize(window.width() - 20, window.height() - 20)
        self.show_take(self.entry.path)
        self._timer.start()
        self.show()
        self.wave.setFocus(Qt.FocusReason.OtherFocusReason)

    def show_take(self, folder: Path) -> None:
        self.wave_closed()
        self.facts = self.shelf.facts(folder)
        self.player.open(self.facts)
        self._logged = self._read_marks()
        self.marks = []
        self._open_waves()
        self.wave.show_marks((), self.facts.rate)
        self.read_list()
        self.look()

    def _read_marks(self) -> list[Mark]:
        """Return the logged marks. Reads the whole log, so it is done once."""
        try:
            return [mark for mark in self.shelf.marks(self.facts.folder) if mark.logged]
        except REFUSALS as error:
            self.refuse(reason(error))
            return []

    def _open_waves(self, fit: bool = True) -> None:
        shown = (self.facts,) if self.player.other is None else (self.facts, self.player.other)
        try:
            for facts in shown:
                self._waves.append(self.shelf.wave(facts.folder))
        except REFUSALS as error:
            self.refuse(reason(error))
        lanes = [Lane(wave, facts.rate) for wave, facts in zip(self._waves, shown, strict=False)]
        self.wave.show_lanes(lanes, fit)

    def wave_closed(self) -> None:
        for wave in self._waves:
            wave.close()
        self._waves.clear()
        self.wave.show_lanes((), fit=False)

    def seek(self, seconds: float) -> None:
        self.player.seek(seconds)
        self._show_place(follow=True)

    def compare(self, other: TakeFacts | None) -> None:
        words = HINT if other is None else f"B is {other.name}; B switches at the same place"
        if self.do(lambda: self.player.compare(other), words):
            self.wave_closed()
            self._open_waves(fit=False)
            self.wave.fit()
            self.look()

    # ------------------------------------------------------------------ what is shown

    def frame(self) -> None:
        """What the timer calls: the playhead moves each time, the rest is looked at now and then."""
        plays = self.player.look()
        self._show_place(plays)
        self.wave.grow()
        self._frames += 1
        if self._frames % FRAMES_PER_LOOK == 0:
            self.look()

    def _show_place(self, follow: bool) -> None:
        self.wave.show_place(self.player.at, follow)
        self.place.setText(f"{clock_text(self.player.at, True)} / {clock_text(self.player.length, True)}")

    def look(self) -> None:
        """Show what the session has now."""
        self._status = self._asker.get("status", self._transport.status, self._status)
        self.facts = self.shelf.facts(self.facts.folder)
        marks = sorted([*self._logged, *self.facts.marks])
        if marks != self.marks:
            self.marks = marks
            self.wave.show_marks(marks, self.facts.rate)
        self._show_facts()
        self._offer()
        self._show_job()
        self._show_place(follow=False)

    def read_list(self) -> None:
        """Look whether the take is a favourite."""
        library: Sequence[Entry] = self._asker.get("list of takes", self._transport.library, ())
        self.entry = next((entry for entry in library if entry.path == self.facts.folder), self.entry)

    def _show_facts(self) -> None:
        facts = self.facts
        wide = max(200, self.width() - 260)
        self.title.setText(theme.metrics(19, True).elidedText(facts.name, Qt.TextElideMode.ElideMiddle, wide))
        self.title.setToolTip(facts.name)
        star = "★ " if self.entry.favourite else ""
        tags = f"; tags: {', '.join(facts.tags)}" if facts.tags else ""
        other = "" if self.player.other is None else f"; B: {self.player.other.name}"
        problem = facts.problem or self.wave.problem or self._status.library.problem
        self.about.setText(f"{star}{facts.text}{tags}{other}" + (f"\n{problem}" if problem else ""))

    def _offer(self) -> None:
        player, facts, status = self.player, self.facts, self._status
        plays = player.playing is not None
        deaf = ""
        if status.engine.sounds:
            deaf = MUSIC_PLAYS
        elif status.audio.nowhere:
            deaf = NO_DEVICE
        self.play.offer("Stop" if plays else "Play", "" if plays else deaf)
        self.loop.setChecked(player.looping)
        self.match.setChecked(player.matched)
        alone = NO_OTHER if player.other is None else ""
        self.switch.offer(f"A/B: {'AB'[player.sounding]}", alone)
        self.match.offer("Same level", alone)
        self.wave.show_sounding(player.sounding)
        for button, text in ((self.set_mark, "Mark"), (self.new_name, "Rename"), (self.tags, "Tags")):
            button.offer(text, facts.fixed)
        self.cut.offer("Trim", facts.fixed)
        packed = facts.sound is not None and facts.sound.suffix == ".flac"
        self.to_flac.offer("To FLAC", facts.fixed or ("it is FLAC already" if packed else ""))
        self.favourite.offer("No favourite" if self.entry.favourite else "Favourite")
        self.to_trash.offer("Once more" if self.trash_press.asks else "To the trash")
        named = ((button.called.partition(":")[0], button.why) for button in self.findChildren(Action))
        self.reasons.show_reasons(named)

    def _show_job(self) -> None:
        job = self.shelf.job
        state = JobState(ended=True) if job is None else job.state
        for part in (self.progress, self.work, self.cancel):
            part.setVisible(not state.ended)
        if not state.ended:
            self.progress.setRange(0, 1000 if state.waits or state.part is not None else 0)
            self.progress.setValue(round((state.part or 0) * 1000))
            self.work.setText(job_text(state))
            if job is self._job_said:  # it began before this view
                self._job_said = None
        elif job is not self._job_said:
            self._job_said = job
            if state.problem:
                self.refuse(f"{state.words}: {state.problem}")
            else:
                self.answer(state.words)

    # ------------------------------------------------------------------ closing

    def reject(self) -> None:
        """Esc: give up the text that is typed, else the chosen part, else close."""
        if self._named is not None:
            self.end_name()
            self.answer(HINT)
        elif self.wave.part is not None:
            self.wave.choose_part(None)
            self.player.choose_part(None)
        else:
            super().reject()

    def closeEvent(self, event: QCloseEvent) -> None:
        self.done(0)

    def hideEvent(self, event: QHideEvent) -> None:
        """What is listened to ends with the view."""
        self._timer.stop()
        if self.player.playing is not None:
            self._asker.ask("listen", self.player.stop)
        self.wave_closed()
        super().hideEvent(event)
