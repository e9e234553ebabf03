"""What a batch makes: a request is one piece or one take, with the digest of all that determines its samples.

A request is made in a folder of work, and its files then move to their places. Workers get it by pickling.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from jbdiff.sample_command import SampleJob

Report = Callable[[int, int], None]  # (done, of), in any unit


class BatchError(RuntimeError):
    """A batch that cannot begin or go on; the message gives the cause and the remedy."""


@dataclass(frozen=True)
class Piece:
    """One seed of a piece of the list.

    out: the file to make. targets: the names of all its files, with stems and pictures. identity: of its stack.
    """

    out: Path
    digest: str
    job: SampleJob
    identity: str
    targets: tuple[str, ...]
    seconds: float
    stack_files: tuple[Path, ...] = ()

    def inputs(self) -> dict[str, tuple[Path, ...]]:
        """Return the files that are read, by role: stack, context, init."""
        found = {"stack": self.stack_files}
        for role, path in (("context", self.job.context), ("init", self.job.init)):
            if path is not None:
                found[role] = (path,)
        return found

    def moved(self, folders: Mapping[str, Path]) -> Piece:
        """Return the piece with its inputs in other folders, by role. The names of the files stay."""
        job, at = self.job, folders
        context = None if job.context is None else at["context"] / job.context.name
        init = None if job.init is None else at["init"] / job.init.name
        return replace(self, job=replace(job, stack=str(at["stack"]), context=context, init=init))


@dataclass(frozen=True)
class Take:
    """A take of the instrument, to be rendered again into the folder `out`.

    options: of `jbdiff-live replay`. files: of the take, without its sound. stacks: the files of each stack, by its
    name in the log; the one without a name gives its finisher. edits: a file of edits, or None.
    """

    out: Path
    digest: str
    folder: Path
    options: tuple[str, ...]
    files: tuple[Path, ...]
    stacks: Mapping[str, tuple[Path, ...]]
    edits: Path | None
    seconds: float

    @property
    def targets(self) -> tuple[str, ...]:
        """The name of the folder that is made."""
        return (self.out.name,)

    def inputs(self) -> dict[str, tuple[Path, ...]]:
        """Return the files that are read, by role."""
        found = {"take": self.files} | {f"stack {name}": files for name, files in self.stacks.items()}
        return found | ({} if self.edits is None else {"edits": (self.edits,)})

    def moved(self, folders: Mapping[str, Path]) -> Take:
        """Return the take with its inputs in other folders, by role."""
        stacks = {
            name: tuple(folders[f"stack {name}"] / file.name for file in files)
            for name, files in self.stacks.items()
        }
        edits = None if self.edits is None else folders["edits"] / self.edits.name
        return replace(self, folder=folders["take"], stacks=stacks, edits=edits)


Request = Piece | Take


@dataclass(frozen=True)
class Outcome:
    """The end of one request. files: names in its folder of work. error: empty if it went well."""

    files: tuple[str, ...] = ()
    error: str = ""
    said: str = ""  # a few words for the user: length and peak
    seconds: float = 0.0  # of work
    machine: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # facts about its inputs


def digest_of(content: Mapping[str, object]) -> str:
    """Return the SHA-256 of a table of plain values, in hexadecimal. The order of keys does not matter."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=repr).encode()).hexdigest()
