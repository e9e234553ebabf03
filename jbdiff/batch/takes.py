"""Takes of a list. The instrument renders them again: `python -m jbdiff_live replay`, as a process of its own.

The library knows nothing of the instrument. So it starts its command, and reads the progress from its output. The
result is a take too: a folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from jbdiff.batch.paths import KeyProblem, at_folder, out_folder
from jbdiff.batch.request import BatchError, Report, Take, digest_of
from jbdiff.child import end_child
from jbdiff.stacks.facts import StackFacts, stack_facts
from jbdiff.stacks.stack import CheckpointError
from jbdiff.stacks.weight_files import file_sha256
from jbdiff.untyped import JsonDict, JsonTable

INFO, EVENTS = "take.json", "events.jsonl"
RECORDED = (
    ".wav",
    ".flac",
    ".png",
)  # at the top of a take: its sound and picture, which a replay does not read
INPUT = "input"  # but for the sound of this name, with stems
COMMAND = ("-m", "jbdiff_live", "replay")
# Options of `jbdiff-live replay` -> the kinds of their values. True gives a flag without a value.
OPTIONS: dict[str, tuple[type, ...]] = {
    "steps": (int,),
    "levels": (str,),
    "full": (bool,),
    "stems": (bool,),
    "rate": (int,),
    "from_block": (int,),
    "from": (int, float),
    "to": (int, float),
    "other_weights": (bool,),
    "threads": (int,),
}
TAKE_KEYS = ("path", "name", "out", "finisher", "edits", "stack", *OPTIONS)
END_SECONDS = 10.0  # for a replay to close its files when it is stopped


def read_take(table: JsonTable, folder: Path) -> Take:
    """Return the take of a table of the list. folder: that of the list. Raises KeyProblem."""
    path = table.get("path")
    if not isinstance(path, str) or not path:
        raise KeyProblem(
            "path", f'path = {path!r}; write the folder of a take, such as path = "takes/monday"'
        )
    take = at_folder("path", path, folder)
    try:
        info = json.loads((take / INFO).read_text(encoding="utf-8"))
        seconds = float(info.get("frames", 0)) / float(info["sample_rate"])
        stems = table.get("stems") is True
        files = tuple(f for f in sorted(take.rglob("*")) if f.is_file() and _is_read(f, take, stems))
        hashes = {file.relative_to(take).as_posix(): file_sha256(file) for file in files}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise KeyProblem("path", f"{take} is no take ({error!r}); name a folder with a {INFO}") from error
    stacks, identities = _stacks(table, take, info, folder)
    words = [word for key in OPTIONS if key in table for word in _words(key, table[key])]
    edits, finisher = _edits(table, folder), _text(table, "finisher")
    if finisher not in ("", "none", "own"):
        facts = _facts("finisher", _stack_at(finisher, folder))
        stacks, identities = {**stacks, "": facts.files}, [*identities, facts.identity]
    elif finisher:
        words += ["--finisher", finisher]
    out = out_folder(table, folder)
    content = {
        "take": hashes,
        "options": words,
        "edits": None if edits is None else file_sha256(edits),
        "stacks": identities,
        "finisher": finisher,
    }
    length = max(_length(table, seconds), 1.0)
    return Take(out, digest_of(content), take, tuple(words), files, stacks, edits, length)


def _length(table: JsonTable, seconds: float) -> float:
    """Return about how many of a take's seconds are rendered, by its keys `from` and `to`."""
    return min(float(table.get("to", seconds)), seconds) - float(table.get("from", 0.0))


def _is_read(file: Path, take: Path, stems: bool) -> bool:
    recorded = file.parent == take and file.suffix.lower() in RECORDED
    return not recorded or (stems and file.stem.partition("-")[0] == INPUT)


def _stacks(
    table: JsonTable, take: Path, info: JsonTable, folder: Path
) -> tuple[dict[str, tuple[Path, ...]], list[str]]:
    """Return the files of each stack that plays in a take, by the name in its log, and their identities.

    A stack that is not found is left out; the replay says so if it needs it.
    """
    names = [str(info.get("stack", "")), *_logged_stacks(take / EVENTS)]
    given = _text(table, "stack")
    found: dict[str, tuple[Path, ...]] = {}
    identities = []
    for name in dict.fromkeys(name for name in names if name):
        if given:
            facts = _facts("stack", _stack_at(given, folder))
        else:
            try:
                facts = stack_facts(name)
            except (CheckpointError, OSError):
                continue
        found[name] = facts.files
        identities.append(facts.identity)
    return found, identities


def _logged_stacks(log: Path) -> Iterator[str]:
    """Yield the name of each stack that takes over in a log."""
    if not log.is_file():
        return
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if '"stack"' in line:
                with contextlib.suppress(ValueError, AttributeError):
                    yield str(json.loads(line).get("stack", ""))


def _facts(key: str, name: str) -> StackFacts:
    try:
        return stack_facts(name)
    except (CheckpointError, OSError) as error:
        raise KeyProblem(key, str(error)) from error


def _stack_at(name: str, folder: Path) -> str:
    inside = folder / name
    return str(inside) if inside.is_dir() else name


def _text(table: JsonTable, key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise KeyProblem(key, f"{key} = {value!r}; it takes a text")
    return value


def _edits(table: JsonTable, folder: Path) -> Path | None:
    name = _text(table, "edits")
    if not name:
        return None
    path = at_folder("edits", name, folder)
    if not path.is_file():
        raise KeyProblem("edits", f"edits {path} is not there; paths are relative to the list's folder")
    return path


def _words(key: str, value: object) -> list[str]:
    """Return the words of the command line for an option."""
    kinds = OPTIONS[key]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise KeyProblem(key, f"{key} = {value!r}; it takes {' or '.join(kind.__name__ for kind in kinds)}")
    flag = "--" + key.replace("_", "-")
    if isinstance(value, bool):
        return [flag] if value else []
    return [flag, str(value)]


def replay(
    take: Take, folder: Path, report: Report, environment: Mapping[str, str]
) -> tuple[tuple[str, ...], str]:
    """Render a take again into a folder. Return the names of its files there, and a few words about them.

    Raises BatchError with the last line that the command wrote.
    """
    target = folder / take.out.name
    command = [sys.executable, *COMMAND, str(take.folder), "--out", str(target), *take.options]
    for name, files in take.stacks.items():
        command += ["--stack", f"{name}={files[0].parent}"] if name else ["--finisher", str(files[0].parent)]
    if take.edits is not None:
        command += ["--edits", str(take.edits)]
    last: JsonDict = {}
    with (
        tempfile.TemporaryFile() as said,
        _running([*command, "--progress", "json"], said, environment) as going,
    ):
        assert going.stdout is not None
        for line in going.stdout:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                last = json.loads(line)
                report(int(last["done"]), int(last["of"]))
        code = going.wait()
        said.seek(0)
        lines = [line for line in said.read().decode(errors="replace").splitlines() if re.search(r"\w", line)]
    if code != 0:
        reason = lines[-1].strip() if lines else f"the command ended with {code}"
        raise BatchError(reason.removeprefix("jbdiff-live: "))
    made = tuple(file.relative_to(folder).as_posix() for file in sorted(target.rglob("*")) if file.is_file())
    if not made:
        raise BatchError(f"the replay wrote nothing; is {take.folder} a take of this version?")
    exact = ", the same samples" if isinstance(last, dict) and last.get("exact") else ""
    return made, f"{_made_seconds(target, take.seconds):.1f} s of a take{exact}"


def _made_seconds(folder: Path, planned: float) -> float:
    """Return the length of the take in a folder; the planned one if it does not say."""
    try:
        info = json.loads((folder / INFO).read_text(encoding="utf-8"))
        return float(info["frames"]) / float(info["sample_rate"])
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return planned


@contextlib.contextmanager
def _running(
    command: list[str], said: IO[bytes], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """Run a command, and end it when the block ends, however that is."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True, encoding="utf-8",
        errors="replace", env={**os.environ, **environment},
    )  # fmt: skip
    try:
        yield process
    finally:
        end_child(process, END_SECONDS)
