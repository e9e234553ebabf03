"""One training at a time in a folder. Two would mix their states, weights and metrics. No torch here."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from jbdiff.file_lock import FileLock
from jbdiff.out_path import link_problem

LOCK = ".training.lock"  # a file in the folder of a run that the process which trains has locked


@contextmanager
def alone(folder: Path, name: str = LOCK, other: str = "another folder for --out") -> Iterator[None]:
    """Lock the file `name` of a folder while the `with` block runs. The folder is made if it is missing.

    The system unlocks the file when the process ends, however it ends. Of several processes of one training, only the
    first locks. `other`: what a second training may give instead, for the error. Raises BlockingIOError, with who has
    it and the remedy, if another process has it; OSError if the folder cannot be made.
    """
    from jbdiff.data.clips import first_process

    if not first_process():
        yield
        return
    if problem := link_problem(folder):
        raise FileExistsError(problem)
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    lock = FileLock(path)
    if not lock.take():
        raise BlockingIOError(
            f"another training writes into {folder} ({_holder(path)}); "
            f"wait for it, stop it with Ctrl-C, or give {other}"
        )
    if hasattr(
        os, "register_at_fork"
    ):  # workers that outlive a killed training for seconds must not keep it locked
        os.register_at_fork(after_in_child=lock.release)
    try:
        now = datetime.now().astimezone()
        path.write_text(f"process {os.getpid()} on {platform.node()} since {now:%Y-%m-%d %H:%M}\n")
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes no open file; an unlocked one does no harm
            path.unlink()
        lock.release()
        if made:
            with contextlib.suppress(OSError):  # it holds files, as it should
                folder.rmdir()


def _holder(path: Path) -> str:
    """Return who has locked the file, in the words of that process."""
    try:
        return path.read_text(errors="replace").strip() or "it has just begun"
    except OSError:
        return "it has just begun"
