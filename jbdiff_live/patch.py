"""A patch: values, control bindings and the choice of a stack, in a TOML file that a person can edit.

Threads: none of its own. The window's thread, the command line's and that of program changes read and write patches.
May block on the disk. A `Patch` is immutable.
"""

from __future__ import annotations

import difflib
import logging
import os
import platform
import re
import site
import sysconfig
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import msgspec
import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.binding import Binding, binding_table
from jbdiff_live.parameters import (
    ACTIONS_BY_NAME,
    BY_NAME,
    FUNCTIONS_BY_NAME,
    Origin,
    ParameterSnapshot,
    ParameterStore,
)
from jbdiff_live.patch_lfo import read_lfo, update_lfos
from jbdiff_live.patch_text import PatchError, read_plain, read_text
from jbdiff_live.stack_choice import StackChoice

log = logging.getLogger(__name__)

FORMAT = 1
PROGRAMS = 128  # of MIDI; most devices count them from 1
PARTS = ("levels", "finisher", "hop", "steps")  # the head's keys that say something about a stack

Plain = bool | int | float | str  # a value as a person writes it


__all__ = [
    "Patch",
    "PatchError",
    "factory_patches",
    "load_patch",
    "patch_programs",
    "save_patch",
    "user_patches_folder",
]


@dataclass(frozen=True)
class Patch:
    """A preset. A parameter that it does not name keeps its value when the patch is applied.

    `choice` says which stack plays, with which of its parts; None leaves what plays. `context` is a sound that the
    music begins from; None leaves what is there. In the file it may be written relative to the patch. `program`, 1 to
    128, is the MIDI program change that loads it. `lfos` are all that there are while the patch plays, by parameter.
    """

    name: str
    description: str = ""
    values: Mapping[str, Plain] = field(default_factory=lambda: MappingProxyType({}))
    bindings: tuple[Binding, ...] = ()
    choice: StackChoice | None = None
    format: int = FORMAT
    context: Path | None = None
    program: int | None = None
    lfos: Mapping[str, Lfo] = field(default_factory=lambda: MappingProxyType({}))

    def apply(self, store: ParameterStore) -> ParameterSnapshot:
        """Sets all values in one swap. The bindings are a suggestion: `ControlMap.suggest(patch.bindings)`."""
        return store.set_many({n: BY_NAME[n].parse(v) for n, v in self.values.items()}, Origin.PATCH)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The file's layout, for msgspec to check the types against."""

    format: int
    name: str
    description: str = ""
    stack: str | None = None
    levels: list[int] | None = None
    finisher: bool | None = None
    hop: int | None = None
    steps: int | None = None
    context: str = ""
    program: int | None = None
    values: dict[str, bool | int | float | str] = {}
    bindings: dict[str, str | list[str]] = {}
    lfo: dict[str, dict[str, object]] = {}


_HEAD = frozenset(field.name for field in msgspec.structs.fields(_File)) - {"values", "bindings", "lfo"}

# ---------------------------------------------------------------------- reading


def load_patch(path: Path) -> Patch:
    """The patch in a file. PatchError names the line or key that is wrong, and the remedy."""
    plain = read_plain(path)
    version = plain.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise PatchError(
            f"{path}: format = {version}: this jbdiff-live reads up to {FORMAT}; update it, or save the patch "
            "with the version you have"
        )
    try:
        file = msgspec.convert(plain, _File)
    except msgspec.ValidationError as error:
        message = _type_error(str(error), plain)
        line = _line(path, message.partition(":")[0])
        raise PatchError(f"{path}{line}: {message}") from error
    if file.format < 1:
        raise PatchError(f"{path}: format = {file.format}: write format = {FORMAT}")
    if file.program is not None and not 1 <= file.program <= PROGRAMS:
        raise PatchError(
            f"{path}{_line(path, 'program')}: program = {file.program}: MIDI has programs 1 to {PROGRAMS}"
        )
    values = {name: _value(path, name, value) for name, value in file.values.items()}
    bindings = [b for name, texts in file.bindings.items() for b in _bindings(path, name, texts)]
    return Patch(
        file.name,
        file.description,
        MappingProxyType(values),
        tuple(bindings),
        _choice(path, file),
        file.format,
        _sound(path, file.context) if file.context else None,
        file.program,
        MappingProxyType(_lfos(path, file)),
    )


def _lfos(path: Path, file: _File) -> dict[str, Lfo]:
    try:
        return {name: read_lfo(name, table) for name, table in file.lfo.items()}
    except ValueError as error:
        raise PatchError(f"{path}: {error}") from error


def _sound(path: Path, written: str) -> Path:
    """The sound that a patch names: beside it, unless the name is a whole path or begins with `~`."""
    try:
        return path.resolve().parent / Path(written).expanduser()
    except RuntimeError as error:
        raise PatchError(
            f"{path}{_line(path, 'context')}: context = {written!r}: no home folder is known here; write the whole path"
        ) from error


def _choice(path: Path, file: _File) -> StackChoice | None:
    """The stack that the patch asks for. Parts without a stack are refused: they are those of a stack."""
    parts = [name for name in PARTS if getattr(file, name) is not None]
    if file.stack is None:
        if parts:
            raise PatchError(
                f"{path}{_line(path, parts[0])}: {parts[0]} without a stack; add its name above, such as "
                'stack = "pocket"'
            )
        return None
    try:
        levels = None if file.levels is None else tuple(file.levels)
        finisher = True if file.finisher is None else file.finisher
        return StackChoice(file.stack, levels, finisher, file.hop, file.steps)
    except ValueError as error:
        key = next((name for name in PARTS if name in str(error)), "levels") if file.stack else "stack"
        raise PatchError(f"{path}{_line(path, key)}: {error}") from error


def _line(path: Path, key: str) -> str:
    """ ", line 4" where a key of the file's head stands; nothing where it does not."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.lstrip().startswith("["):
            break
        if re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return f", line {number}"
    return ""


def _document(path: Path) -> tomlkit.TOMLDocument:
    """A file with its comments and its order, to write it again."""
    read_plain(path)  # what it refuses would break tomlkit
    try:
        return tomlkit.parse(read_text(path))
    except (TOMLKitError, ValueError, RecursionError) as error:
        raise PatchError(f"{path}: not TOML ({error}); mend it, or save under another name") from error


def _type_error(message: str, plain: Mapping[str, object]) -> str:
    """msgspec's message in a player's words: "Expected `str`, got `int` - at `$.name`"."""
    what, _, where = message.partition(" - at ")
    place = where.strip("`").removeprefix("$.").removeprefix("$").replace("[...]", " (a value in it)")
    if "unknown field" in what:
        known = [f.name for f in msgspec.structs.fields(_File)]
        unknown = [key for key in plain if key not in known]
        near = difflib.get_close_matches(unknown[0], known, 1) if unknown else []
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        # A parameter's own name is no misspelling of another word.
        for names, table in ((BY_NAME, "values"), (ACTIONS_BY_NAME, "bindings")):
            if unknown and unknown[0] in names:
                return f"{unknown[0]}: belongs below [{table}]; move the line there"
        return f"unknown key {', '.join(unknown)}; {hint}"
    if "missing required field" in what:
        return f"{what[0].lower()}{what[1:]}; add it at the top"
    return f"{place}: {what[0].lower()}{what[1:]}"


def _value(path: Path, name: str, value: Plain) -> Plain:
    if name in _HEAD:
        raise PatchError(f"{path}: [values] {name}: belongs at the top, above [values]; move the line there")
    if name not in BY_NAME:
        raise PatchError(f"{path}: [values] {name}: no such parameter; {_nearest(name, list(BY_NAME))}")
    parameter = BY_NAME[name]
    try:
        return parameter.plain(parameter.parse(value))
    except ValueError as error:
        raise PatchError(f"{path}: [values] {error}") from error


def _bindings(path: Path, name: str, texts: str | list[str]) -> list[Binding]:
    known = [*BY_NAME, *ACTIONS_BY_NAME, *FUNCTIONS_BY_NAME]
    if name not in known:
        raise PatchError(f"{path}: [bindings] {name}: no such parameter or action; {_nearest(name, known)}")
    try:
        return [Binding.parse(name, text) for text in ([texts] if isinstance(texts, str) else texts)]
    except ValueError as error:
        raise PatchError(f"{path}: [bindings] {name}: {error}") from error


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


# ---------------------------------------------------------------------- writing


def save_patch(path: Path, patch: Patch) -> None:
    """Writes a patch, whole or not at all. Comments and order of a file already there are kept, and its program where
    the patch has none.

    PatchError: the disk refuses, or a file is there that is no TOML.
    """
    path = path.resolve()  # through a link: the file it points to is replaced, not the link
    document = _document(path) if path.exists() else tomlkit.document()
    head: dict[str, object] = {"format": FORMAT, "name": patch.name, "description": patch.description}
    if patch.context is not None:
        head["context"] = _written(patch.context, path.parent)
    if patch.program is not None:
        head["program"] = patch.program
    for key, value in {**head, **_written_choice(patch.choice)}.items():
        if value is None:
            document.pop(key, None)
        elif key not in document or document[key] != value:
            document[key] = value
    _update(document, "values", patch.values)
    _update(document, "bindings", binding_table(patch.bindings))
    update_lfos(document, patch.lfos)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, tomlkit.dumps(document))
    except OSError as error:
        raise PatchError(
            f"{path}: cannot be written ({error.strerror}); free some space or choose another folder"
        ) from error
    except UnicodeEncodeError as error:
        raise PatchError(
            f"{path}: a name in it is not UTF-8 ({error.object[:200]!r}); rename that file, then save again"
        ) from error


def _written_choice(choice: StackChoice | None) -> dict[str, str | list[int] | bool | int | None]:
    """The head's lines of a choice; None for those that are left out, since they say nothing."""
    if choice is None:
        return dict.fromkeys(("stack", *PARTS))
    return {
        "stack": choice.stack,
        "levels": None if choice.levels is None else list(choice.levels),
        "finisher": None if choice.finisher else False,
        "hop": choice.hop,
        "steps": choice.steps,
    }


def _written(sound: Path, folder: Path) -> str:
    """A sound's path as the patch writes it: relative when it lies with the patch, so that both can move."""
    sound = sound.resolve()
    return sound.relative_to(folder).as_posix() if sound.is_relative_to(folder) else str(sound)


def _update(document: tomlkit.TOMLDocument, name: str, entries: Mapping[str, object]) -> None:
    table = document.get(name)
    if not isinstance(table, Table):
        table = tomlkit.table()
        document[name] = table
    for key in [key for key in table if key not in entries]:
        del table[key]
    for key, value in entries.items():
        # An equal value stays as it was typed; True == 1 for Python, and not for a person.
        if key not in table or table[key] != value or isinstance(value, bool):
            table[key] = value


def replace_file(path: Path, text: str) -> None:
    """Writes beside the file and renames, so that a crash leaves the old one or the new one."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, path.stat().st_mode & 0o777 if path.exists() else 0o644)
        os.replace(name, path)
    except (OSError, UnicodeEncodeError):
        Path(name).unlink(missing_ok=True)
        raise


# ---------------------------------------------------------------------- where patches are


def factory_patches() -> Mapping[str, Path]:
    """The patches that come with the instrument, by name, from a checkout or from an installed package."""
    here = Path(__file__).resolve().parent
    folders = [
        here.parent / "patches",  # a checkout
        Path(sysconfig.get_path("data")) / "share" / "jbdiff-live" / "patches",  # an installed wheel
        Path(site.getuserbase()) / "share" / "jbdiff-live" / "patches",  # pip install --user
    ]
    for folder in folders:
        found = {path.stem: path for path in sorted(folder.glob("*.toml"))}
        if found:
            return MappingProxyType(found)
    return MappingProxyType({})


def patch_programs(patches: Mapping[str, Path]) -> Mapping[str, int]:
    """The programs of those patches that have one, by the patch's name. Files that cannot be read have none: loading
    them tells what is wrong.
    """
    found = {}
    for name, path in patches.items():
        try:
            program = read_plain(path).get("program")
        except PatchError as error:
            log.info("program of patch %s: %s", name, error)
            continue
        if type(program) is int and 1 <= program <= PROGRAMS:
            found[name] = program
    return MappingProxyType(found)


def own_patches(folder: Path | None) -> Mapping[str, Path]:
    """The patches in a folder, by name; none if there is no folder or it cannot be read."""
    if folder is None:
        return MappingProxyType({})
    try:
        found = {path.stem: path for path in sorted(folder.glob("*.toml")) if path.is_file()}
    except OSError as error:
        log.warning("patches in %s cannot be listed: %s", folder, error)
        return MappingProxyType({})
    return MappingProxyType(found)


def user_patches_folder() -> Path | None:
    """Where the player's own patches are kept; it may not exist yet. None for a user without a home folder."""
    try:
        if platform.system() == "Darwin":
            base = Path.home() / "Library" / "Application Support"
        elif platform.system() == "Windows":
            base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
        else:
            base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    except RuntimeError as error:  # a user that the system's list of users lacks
        log.info("no own patches: %s", error)
        return None
    return base / "jbdiff-live" / "patches"
