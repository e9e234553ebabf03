"""The player's takes: what the take browser may ask (`jbdiff_live.browse.takes.TakeShelf`).

Threads: the window's. Each wish blocks on the disk for a moment; long work runs as a job on a thread of its own. Any
thread may read `job` and `playing`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from jbdiff_live.browse.takes import MUSIC_PLAYS, ExportWish, Job, Mark, Playing, TakeFacts
from jbdiff_live.record.shelf import again, notes
from jbdiff_live.record.shelf.export import Measure, export
from jbdiff_live.record.shelf.jobs import ThreadJob
from jbdiff_live.record.shelf.levels import Levels
from jbdiff_live.record.shelf.listing import Takes
from jbdiff_live.record.shelf.pack import pack
from jbdiff_live.record.shelf.piece import write_piece
from jbdiff_live.record.shelf.reader import Resampled, TakeReader
from jbdiff_live.record.shelf.trim import trim
from jbdiff_live.record.shelf.wave import TakeWave
from jbdiff_live.record.take import TakeError, open_take
from jbdiff_live.shown import shown

CLOSE_SECONDS = 8.0


class Listening(Protocol):
    """What plays takes for listening: `jbdiff_live.audio.listening.takes.TakeListening`."""

    rate: int
    channels: int

    @property
    def seconds(self) -> float | None: ...
    def play(self, sounds: Sequence[Resampled], name: str, seconds: float) -> None: ...
    def seek(self, seconds: float) -> None: ...
    def loop(self, begin: float | None, end: float) -> None: ...
    def choose(self, number: int) -> None: ...
    def turn_down(self, decibels: Sequence[float]) -> None: ...
    def stop(self) -> None: ...


class TakeDesk:
    """parent: the folder of takes. plays: True while the music plays. moved: told of a take's new folder, or None.

    draw: starts to draw the picture of a new take. render: the command that renders a take again.
    """

    def __init__(
        self,
        parent: Path,
        listening: Listening,
        measure: Measure,
        plays: Callable[[], bool],
        moved: Callable[[Path, Path | None], object] = lambda old, new: None,
        draw: Callable[[Path], object] = lambda folder: None,
        render: Callable[[Path], Sequence[str]] = again.command,
    ) -> None:
        self._parent, self._listening, self._measure = parent, listening, measure
        self._plays, self._moved, self._draw, self._render = plays, moved, draw, render
        self._takes = Takes()
        self._levels = Levels(measure, lambda: not plays())
        self._job: ThreadJob | None = None
        self._open: tuple[Path, ...] = ()  # the takes that are listened to
        self._sounding = 0

    # ------------------------------------------------------------------ the list

    def list(self) -> tuple[TakeFacts, ...]:
        """Return all takes, newest first. Those without a level are measured meanwhile."""
        found = self._takes.list(self._parent)
        busy = self._job is not None and not self._job.state.ended
        self._levels.want(
            [] if busy else [facts.folder for facts in found if facts.level is None and not facts.fixed]
        )
        return found

    def look_in(self, folder: Path) -> None:
        """List the takes of another folder from now on."""
        self._parent = folder

    def facts(self, folder: Path) -> TakeFacts:
        return self._takes.facts(folder)

    def marks(self, folder: Path) -> Sequence[Mark]:
        return notes.all_marks(open_take(folder))

    def wave(self, folder: Path) -> TakeWave:
        return TakeWave(open_take(folder))

    # ------------------------------------------------------------------ notes

    def put_marks(self, folder: Path, marks: Sequence[Mark]) -> None:
        notes.set_marks(folder, marks)

    def tag(self, folder: Path, tags: Sequence[str]) -> None:
        notes.set_tags(folder, tags)

    def rename(self, folder: Path, name: str) -> Path:
        """Give a take another name. RuntimeError while a job works on a take."""
        self._must_be_idle()
        self._close_sound(folder)
        new = notes.rename(folder, name)
        self._moved(folder, new)
        return new

    def let_go(self, folder: Path) -> None:
        """Close what is open of a take, because it goes into the trash. TakeError while it is recorded."""
        self._must_be_idle()
        facts = self._takes.facts(folder)
        if facts.recorded:
            raise TakeError(f"{shown(folder.name)}: {facts.fixed}")
        self._close_sound(folder)

    def gone(self, folder: Path) -> None:
        self._moved(folder, None)

    # ------------------------------------------------------------------ jobs

    @property
    def job(self) -> Job | None:
        return self._job

    def trim(self, folder: Path, begin: int, end: int) -> Job:
        """Make a new take of the frames from `begin` to `end`."""

        def work(job: ThreadJob) -> tuple[str, Path | None]:
            new = trim(folder, begin, end, job.step)
            self._draw(new)
            return f"the chosen part is now a take of its own: {shown(new.name)}", new

        return self._begin(f"trimming {shown(folder.name)}", work)

    def export(self, folder: Path, wish: ExportWish) -> Job:
        take = open_take(folder)

        def work(job: ThreadJob) -> tuple[str, Path | None]:
            return export(take, wish, self._measure, job.step), wish.path

        return self._begin(f"exporting {shown(wish.path.name)}", work)

    def pack(self, folder: Path) -> Job:
        """Turn the sound of a take into FLAC. TakeError while it is recorded or not repaired."""
        take = open_take(folder)
        if why := notes.fixed(take):
            raise TakeError(f"{shown(folder.name)}: {why}")
        self._close_sound(folder)
        return self._begin(f"packing {shown(folder.name)}", lambda job: (pack(take, job.step), None))

    def render_again(self, folder: Path) -> Job:
        """Render a take again. It waits while the music plays: both need the processor."""
        command = self._render(folder)
        return self._begin(
            f"rendering {shown(folder.name)} again",
            lambda job: again.render_again(job, command, self._plays),
        )

    def piece(self, folder: Path, begin: int, end: int) -> Path:
        return write_piece(open_take(folder), begin, end)

    def _begin(self, words: str, work: Callable[[ThreadJob], tuple[str, Path | None]]) -> Job:
        self._must_be_idle()
        self._levels.close()  # it goes on when the list is asked for again
        self._job = ThreadJob(words, work)
        return self._job

    def _must_be_idle(self) -> None:
        job = self._job
        if job is not None and not job.state.ended:
            raise RuntimeError(f"still {job.state.words}; wait for it, or cancel it")

    # ------------------------------------------------------------------ listening

    def listen(self, folders: Sequence[Path], seconds: float) -> None:
        """Play a take, or two at the same place. RuntimeError while the music plays."""
        if self._plays():
            raise RuntimeError(MUSIC_PLAYS)
        self.stop()
        sounds: list[Resampled] = []
        try:
            for folder in folders:
                reader = TakeReader(open_take(folder))
                sounds.append(Resampled(reader, self._listening.rate, self._listening.channels))
        except (TakeError, OSError):
            for sound in sounds:
                sound.close()
            raise
        self._open, self._sounding = tuple(folders), 0
        self._listening.play(sounds, shown(folders[0].name), seconds)

    def seek(self, seconds: float) -> None:
        self._listening.seek(seconds)

    def loop(self, begin: float | None, end: float = 0.0) -> None:
        self._listening.loop(begin, end)

    def choose(self, number: int) -> None:
        self._sounding = number
        self._listening.choose(number)

    def match_levels(self, on: bool) -> None:
        """Turn the louder take down to the quieter one. RuntimeError if one is not measured yet."""
        levels = [self._takes.facts(folder).level for folder in self._open]
        if not on:
            self._listening.turn_down([0.0] * len(self._open))
            return
        measured = [level.lufs for level in levels if level is not None and level.lufs is not None]
        if len(measured) < len(levels):
            missing = [f for f, level in zip(self._open, levels, strict=True) if level is None]
            self._levels.want(missing)
            why = "is still being measured; once more in a moment" if missing else "is silent"
            raise RuntimeError(f"one of the takes {why}")
        self._listening.turn_down([min(measured) - lufs for lufs in measured])

    def stop(self) -> None:
        self._listening.stop()
        self._open = ()

    def playing(self) -> Playing | None:
        seconds = self._listening.seconds
        return None if seconds is None else Playing(self._open, self._sounding, seconds)

    def _close_sound(self, folder: Path) -> None:
        if folder in self._open:
            self.stop()

    def close(self) -> None:
        """End the job, the measuring and the listening. TimeoutError if a job does not end."""
        self._levels.close()
        job = self._job
        if job is not None:
            job.cancel()
            if not job.wait(CLOSE_SECONDS):
                raise TimeoutError(f"{job.state.words}: it does not end")
