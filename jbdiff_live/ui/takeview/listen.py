"""The playhead of the take view: play, seek, loop, and the switch between two takes. Thread: Qt's.

Times are in seconds. While nothing plays, the playhead stands at `at`.
"""

from __future__ import annotations

from pathlib import Path

from jbdiff_live.browse.takes import Playing, TakeFacts, TakeShelf

AT_THE_END = 0.05  # seconds before the end from which playing begins anew


class Player:
    """`look` follows what sounds. The calls raise what the session refuses."""

    def __init__(self, shelf: TakeShelf) -> None:
        self._shelf = shelf
        self._folder = Path()
        self._length = 0.0
        self.other: TakeFacts | None = None
        self.at = 0.0
        self.sounding = 0
        self.looping = self.matched = False
        self.part: tuple[float, float] | None = None  # the chosen part

    def open(self, facts: TakeFacts) -> None:
        """Play this take from now on."""
        self._folder, self._length = facts.folder, facts.seconds
        self.other, self.sounding, self.matched = None, 0, False
        self.at = min(self.at, self._length)

    @property
    def folders(self) -> tuple[Path, ...]:
        return (self._folder,) if self.other is None else (self._folder, self.other.folder)

    @property
    def length(self) -> float:
        return max(self._length, 0.0 if self.other is None else self.other.seconds)

    @property
    def playing(self) -> Playing | None:
        """What sounds now, if it is this view's."""
        playing = self._shelf.playing()
        return playing if playing is not None and playing.folders == self.folders else None

    def look(self) -> bool:
        """Move the playhead to what sounds. Return True while it plays."""
        playing = self.playing
        if playing is not None:
            self.at = min(playing.seconds, self.length)
        return playing is not None

    def play(self) -> None:
        """Play from the playhead on, or stop."""
        if self.playing is not None:
            self.stop()
            return
        if self.looping and self.part is not None and not self.part[0] <= self.at < self.part[1]:
            self.at = self.part[0]
        if self.at >= self.length - AT_THE_END:
            self.at = 0.0
        self._begin()

    def _begin(self) -> None:
        self._shelf.listen(self.folders, self.at)
        if self.sounding:
            self._shelf.choose(self.sounding)
        if self.matched and self.other is not None:
            self._shelf.match_levels(True)
        self._tell_loop()

    def stop(self) -> None:
        self.look()
        self._shelf.stop()

    def seek(self, seconds: float) -> None:
        self.at = min(max(0.0, seconds), self.length)
        if self.playing is not None:
            self._shelf.seek(self.at)

    def loop(self) -> None:
        """Repeat the chosen part, or all of it if none is chosen; or end that."""
        self.looping = not self.looping
        self._tell_loop()

    def choose_part(self, part: tuple[float, float] | None) -> None:
        self.part = part
        self._tell_loop()

    def _tell_loop(self) -> None:
        if self.playing is None:
            return
        begin, end = self.part or (0.0, self.length)
        self._shelf.loop(begin if self.looping else None, end)

    # ------------------------------------------------------------------ two takes

    def compare(self, other: TakeFacts | None) -> None:
        """Play another take at the same places too, or not any more."""
        plays = self.look()
        if plays:
            self._shelf.stop()
        self.other, self.sounding, self.matched = other, 0, False
        if plays:
            self._begin()

    def switch(self) -> None:
        """Let the other take sound. ValueError without one."""
        if self.other is None:
            raise ValueError("choose a take to compare with first: C")
        self.sounding = 1 - self.sounding
        if self.playing is not None:
            self._shelf.choose(self.sounding)

    def match(self) -> None:
        """Turn the louder take down to the other, or not any more. ValueError without another one."""
        if self.other is None:
            raise ValueError("choose a take to compare with first: C")
        if self.playing is not None:
            self._shelf.match_levels(not self.matched)
        self.matched = not self.matched
