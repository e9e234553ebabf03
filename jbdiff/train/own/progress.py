"""The progress of a training of `jbdiff train own`, and the rules for its name.

Each training has its own folder beside the player's stacks. `own.json` in that folder holds the progress.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import unicodedata
from dataclasses import asdict, dataclass, field
from pathlib import Path

from jbdiff.stacks.stack import known_stacks, user_directory
from jbdiff.untyped import JsonDict
from jbdiff.whole_file import replace_text

FILE = "own.json"
TRAININGS = "own-training"  # in the player's folder; no stack may have this name


@dataclass
class Progress:
    """Progress of one training. `folder`, `stack`: from its options. `minutes`: in all; `used`: so far.

    `plans`: minutes of each stage that has begun. `tracks`, `left_out`: rows for the page.
    """

    folder: str
    stack: str
    minutes: float
    used: float = 0.0
    stages: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    plans: dict[str, float] = field(default_factory=dict)
    tracks: list[JsonDict] = field(default_factory=list)
    left_out: list[list[str]] = field(default_factory=list)
    stems: bool = False
    finished: bool = False

    def write(self, work: Path) -> None:
        """Write the progress into a folder. The file is replaced as a whole, so a reader never sees half of it."""
        replace_text(work / FILE, json.dumps(asdict(self), indent=2))


def read_progress(work: Path) -> Progress | None:
    """Return the progress in a folder, or None if there is none. Raises ValueError if it cannot be read."""
    path = work / FILE
    if not path.is_file():
        return None
    try:
        return Progress(**json.loads(path.read_text(encoding="utf-8")))
    except (UnicodeDecodeError, json.JSONDecodeError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged: {error}; remove the folder {work}, or give another --name"
        ) from error


def work_folder(name: str) -> Path:
    """Return the folder for the runs of the training of this name."""
    return user_directory() / TRAININGS / name


def safe_name(folder: Path, name: str | None) -> str:
    """Return the given name of the stack, or one made from the folder's name.

    Raises ValueError if it is not allowed.
    """
    if name is None:
        return _safe(Path(os.path.realpath(folder)).name) or "own"
    if name != _safe(name) or name == TRAININGS:
        proposed = _safe(name) if name != TRAININGS else "own"
        raise ValueError(
            f"--name {name!r} cannot name a stack: use letters, digits, '-', '_' and '.', "
            f"such as {proposed or 'own'!r}"
        )
    return name


def _safe(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", plain).strip("-.")[:64]


def claimed(folder: Path, stack: str, name: str, minutes: float, overwrite: bool, resume: bool) -> Progress:
    """Return the training to resume, or a new one under a free name; its folder exists afterwards.

    With `overwrite`, the name may belong to another stack or training, but not to a stack that ships. With `resume`, a
    training must exist. Raises OSError or ValueError, with the remedy.
    """
    work, stacks = work_folder(name), known_stacks()
    own, progress = user_directory() / name, read_progress(work)
    asked = os.path.realpath(folder), stack
    mine = progress is not None and (progress.folder, progress.stack) == asked
    if progress is not None and mine and not (progress.finished and overwrite):
        # If the stack was removed, it is written again.
        progress.finished = progress.finished and own.is_dir()
        if not progress.finished and minutes != progress.minutes:
            scale, plans = minutes / progress.minutes, progress.plans.items()
            # A stage that has not taken a step gets its share of the time that is left.
            progress.plans = {
                stage: scale * planned for stage, planned in plans if spent_minutes(work / stage)
            }
            progress.minutes = minutes
        return progress
    if resume:
        raise FileNotFoundError(
            f"no training of {asked[0]!r} from {stack!r} under the name {name!r} to go on with; leave --resume out"
        )
    if name in stacks and stacks[name].resolve() != own.resolve():
        raise FileExistsError(f"{name!r} is a stack that ships; give another --name")
    if name == stack:
        raise ValueError(f"the stack {name!r} is what the training starts from; give another --name")
    # A training that failed before its first stage, perhaps because of a mistyped folder, does not occupy its name.
    begun = progress if progress is not None and progress.plans else None
    if (own.exists() or begun is not None) and not overwrite:
        of = f", of {begun.folder!r}" if begun is not None else ""
        raise FileExistsError(
            f"the name {name!r} is taken by another stack or training{of}; "
            "give another --name, or --overwrite to replace that one"
        )
    if progress is not None:
        shutil.rmtree(work)
    elif work.is_dir() and any(work.iterdir()):
        raise FileExistsError(
            f"{str(work)!r} holds files of something else; remove them, or give another --name"
        )
    new = Progress(*asked, minutes)
    for place in (work, user_directory()):
        check_writable(place)
    new.write(work)
    return new


def check_writable(folder: Path) -> None:
    """Make the folder. Raises OSError, with the remedy, if no file can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"cannot write into {str(folder)!r} ({error.strerror}): allow it, or set JBDIFF_HOME to another folder"
        ) from error


def spent_minutes(run: Path) -> float:
    """Return the training minutes of a run, summed over its parts; the clock in `metrics.jsonl` starts anew in each."""
    path = run / "metrics.jsonl"
    if not path.is_file():
        return 0.0
    total = last = 0.0
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            minutes = float(json.loads(line)["minutes"])
        except (json.JSONDecodeError, KeyError):  # the last line of a process that was killed
            continue
        if minutes < last:
            total += last
        last = minutes
    return total + last
