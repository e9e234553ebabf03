"""The session of this start: which file it is, what is read of it, and when it is saved. Main thread.

Order: `open_kept`, `over`, `resume`, `keep`, `arrived`, `close`. A session that cannot be used ends no start: it
becomes a sentence that the player reads. A file that `--session` names by mistake does: it would be written over.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from jbdiff_live import __version__
from jbdiff_live.kept.content import Content, Ports, SessionError, WindowPlace
from jbdiff_live.kept.file import SessionFile
from jbdiff_live.shown import shown
from jbdiff_live.system.patch_folders import user_folder
from jbdiff_live.system.takes_folder import takes_folder

if TYPE_CHECKING:
    from jbdiff_live.desks.session_desk import SessionMoment
    from jbdiff_live.session import Session

log = logging.getLogger(__name__)

LAST = "last"  # the name of the session that every start with a window uses
AGAIN = "Changes of this start are not kept; save your patch with Ctrl+S."


class KeptSession:
    """What a start knows of its session. Without a file, nothing is read and nothing is kept."""

    def __init__(self, file: SessionFile | None = None) -> None:
        self._file = file
        self._content = Content()
        self._backup = (
            ""  # a word: the old file is kept under a name with it before the first change is written
        )
        self._orderly = True  # whether the mark of this start may go when it ends
        self.words: list[str] = []

    # ------------------------------------------------------------------ reading

    def read(self, safe: bool) -> None:
        """Lock the file and read it. safe: leave its content out."""
        file = self._file
        assert file is not None
        try:
            if not file.lock():
                self._file = None
                self._say(
                    "Another jbdiff-live is open and keeps the session. This one starts without it and keeps nothing: "
                    "save your patch with Ctrl+S, or start with --session and a file name for a session of its own."
                )
                return
        except OSError as error:
            self._file = None
            self._say(f"The session cannot be kept: {shown(file.path.parent)} ({error.strerror}). {AGAIN}")
        if safe or (file.crashed and file.path.exists()):
            self._leave_out(safe, file)
            return
        try:
            found = file.read()
            if found is None:
                return
            self._content, wrong = found
        except SessionError as error:
            self._put_aside(file, f"The last session cannot be used: {error}.", "This start begins anew.")
            return
        if wrong:
            self._put_aside(file, f"Parts of the last session cannot be used: {'; '.join(wrong)}.", "")
        if self._file is not None:
            self._begin(file)

    def _leave_out(self, safe: bool, file: SessionFile) -> None:
        """Start in safe mode. The old session stays until the player changes something."""
        why = (
            "Safe mode: your last session is not loaded."
            if safe
            else "The last start ended before it had a window or sound. So your last session is not loaded (safe "
            "mode)."
        )
        if not file.path.exists():
            self._say("Safe mode: there is no last session.")
            return
        self._backup = "before-safe-mode"
        self._say(
            f"{why} The next usual start loads it. If you change something now, the old session is kept under another "
            f"name in {shown(file.path.parent)}."
        )

    def _put_aside(self, file: SessionFile, why: str, then: str) -> None:
        if self._file is None:  # another program or the disk keeps it as it is
            self._say(f"{why} {then}".strip())
            return
        aside = file.put_aside("unreadable")
        if aside is None:
            self._file = None
            file.unlock()
            self._say(f"{why} It cannot be renamed, so it stays at {shown(file.path)}. {AGAIN}")
        else:
            self._say(f"{why} {then} It is kept as {shown(aside)}.".replace("  ", " "))

    def _begin(self, file: SessionFile) -> None:
        try:
            file.begin()
        except OSError as error:
            log.info("no mark of this start: %s", error)

    def _say(self, sentence: str) -> None:
        self.words.append(sentence)

    # ------------------------------------------------------------------ using it

    @property
    def place(self) -> WindowPlace | None:
        return self._content.window

    def over(self, ports: Ports, named: frozenset[str]) -> tuple[Ports, frozenset[str]]:
        """Return the ports of the session, with those that the command line named in their place.

        Also return the names of the ports that come from the session.
        """
        kept = self._content.ports
        if kept is None:
            return ports, frozenset()
        own = frozenset(Ports.__struct_fields__) - named
        values = {name: getattr(kept if name in own else ports, name) for name in Ports.__struct_fields__}
        return Ports(**values), own

    def to_keep(self, chosen: Ports) -> Ports:
        """Return the ports that the session keeps. Nobody wants silence at the next start: "null" is not among them."""
        kept = self._content.ports
        return chosen if chosen.device != "null" else replace(chosen, device=kept.device if kept else None)

    def takes_folder(self, named: Path | None) -> Path:
        """Return the folder for takes: named by the command line, or by an earlier start, or the usual one."""
        folders = self._content.folders
        kept = folders.takes if folders is not None else ""
        if named is None and kept:
            if Path(kept).is_dir():
                return Path(kept)
            self._say(f"The folder for takes is gone ({shown(kept)}): takes go into {takes_folder()}.")
        return named or takes_folder()

    def without_ports(self, why: object) -> None:
        """Record that the session's ports cannot be used."""
        log.info("the session's ports: %s", why)
        self._content = replace(self._content, ports=None)
        self._say(f"The last session's devices and ports cannot be used ({why}): the usual ones are open.")

    def resume(self, session: Session) -> bool:
        """Bring back the patch with its unsaved changes, and the folders. Return False if there is no patch to play.

        Music is not started.
        """
        from jbdiff_live.kept.patch_part import played_from

        part, desk = self._content.patch, session.session_desk
        desk.folders = self._content.folders or desk.folders
        own, used = desk.folders.own, desk.folder("own")
        if own and used != Path(own):
            self._say(
                f"The folder of your own patches is gone ({shown(own)}): they are looked for in {used}."
            )
        desk.place = self._content.window
        if part is None:
            return False
        try:
            played, left_out = played_from(part)
            desk.resume(played)
        except Exception as error:  # whatever a session holds, the player gets an instrument
            log.warning("the session's patch", exc_info=error)
            if self._file is not None:
                self._put_aside(self._file, f"The last session's patch cannot be used: {error}.", "")
            return False
        if left_out:
            self._say(
                f"The last session names what this jbdiff-live does not know. Left out: {', '.join(left_out[:9])}."
            )
        return True

    def keep(self, session: Session) -> None:
        """Show what there is to say, and begin to save the session."""
        from jbdiff_live.kept.keeper import Keeper

        for sentence in self.words:
            session.session_desk.say(sentence)
        file = self._file
        if file is None:
            return

        def look() -> SessionMoment:
            if session.audio.frames_heard > 0:
                file.arrived()
            return session.session_desk.look()

        keeper = Keeper(look, file.write, first_change=self._back_up if self._backup else None)
        session.session_desk.keeper = keeper
        keeper.start()

    def _back_up(self) -> None:
        """Keep the session that was left out under another name. OSError: it cannot be renamed."""
        if self._file is not None and self._file.path.exists() and self._file.put_aside(self._backup) is None:
            raise OSError(0, "the old session cannot be renamed")

    def arrived(self) -> None:
        """Record that the window is there, or that sound was heard."""
        if self._file is not None:
            self._file.arrived()

    def failed(self) -> None:
        """Record that the start ended by an error of the program, so that the next one leaves the session out."""
        self._orderly = False

    def close(self, session: Session | None) -> None:
        """Save once more, and let another program have the session."""
        if session is not None and session.session_desk.keeper is not None:
            session.session_desk.keeper.close()
        if self._file is not None:
            if self._orderly:
                self._file.arrived()
            self._file.unlock()


def open_kept(windowed: bool, safe: bool, named: str | None) -> KeptSession:
    """Return the session of this start, read.

    windowed: a window opens; without one, and without a name, no session is used. named: the text of --session.
    ValueError: it names a file that is no session. Nothing else here ends a start.
    """
    if named is None and not windowed:
        return KeptSession()
    if named is None or named == LAST:
        folder = user_folder()
        if folder is None:
            kept = KeptSession()
            kept.words.append(f"The session cannot be kept: no home folder is known here. {AGAIN}")
            return kept
        path = folder / "sessions" / f"{LAST}.json"
    else:
        if Path(named).name in ("", ".."):
            raise ValueError(f"{shown(named)!r} is a folder; give --session the name of a file")
        path = Path(named).expanduser().absolute()
        path = path if path.suffix == ".json" else path.with_name(f"{path.name}.json")
    file = SessionFile(path, __version__)
    if named is not None and named != LAST and not file.is_ours:
        raise ValueError(f"{shown(path)} is no session, and stays as it is; give --session another name")
    kept = KeptSession(file)
    kept.read(safe)
    return kept
