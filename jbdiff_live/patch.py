"""A patch: values, control bindings and the choice of a stack, in a TOML file that a person can edit.

Threads: none of its own. The window's thread, the command line's and that of program changes read and write patches.
May block on the disk. A `Patch` is immutable.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import msgspec
import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from jbdiff_live.beat.line import Unit
from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.binding import HIGHEST_PROGRAM, Binding, binding_table
from jbdiff_live.parameters import (
    ACTIONS_BY_NAME,
    BY_NAME,
    FUNCTIONS_BY_NAME,
    Origin,
    ParameterSnapshot,
    ParameterStore,
    nearest_hint,
)
from jbdiff_live.patch_lfo import read_lfo, update_lfos
from jbdiff_live.patch_text import PatchError, read_plain, read_text
from jbdiff_live.scenes.in_patch import read_scenes, update_scenes
from jbdiff_live.scenes.scene import NO_SCENES, Scenes
from jbdiff_live.stack_choice import StackChoice
from jbdiff_live.system.files import replace_file
from jbdiff_live.system.patch_folders import FACTORY, factory_folder

log = logging.getLogger(__name__)

FORMAT = 1
DECIMALS = {"tempo": 2}  # that a file holds; nobody hears more of a tapped tempo
PARTS = ("levels", "finisher", "hop", "steps")  # keys of the file's head that choose parts of a stack

STAGE_KNOBS = 8  # the most that the stage view has room for

Plain = bool | int | float | str  # a value as a person writes it


__all__ = [
    "Patch",
    "PatchError",
    "factory_patches",
    "load_patch",
    "patch_programs",
    "save_patch",
]


@dataclass(frozen=True)
class Patch:
    """A preset. A parameter that it does not name keeps its value when the patch is applied.

    `choice` is the stack and the parts of it that play. None keeps the stack that plays. `context` is the sound file
    that the music begins from, and `init` the one that Init plays at *file*. None keeps the present one. The file may
    hold their paths relative to the patch.
    `program`, 1 to 128, is the MIDI program change that loads the patch. `lfos` holds every LFO, by parameter; the
    patch removes all others. The same holds for `scenes`. `stage` names the knobs of the stage view, at most
    `STAGE_KNOBS`; it is empty for the usual ones. `tags` are words by which the browser finds the patch.
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
    scenes: Scenes = NO_SCENES
    stage: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    init: Path | None = None

    @cached_property
    def numbers(self) -> Mapping[str, float]:
        """The values as the store holds them."""
        return {name: BY_NAME[name].parse(value) for name, value in self.values.items()}

    def apply(self, store: ParameterStore, hold: Unit | None = None) -> ParameterSnapshot:
        """Set all values in one swap. The bindings are a suggestion: `ControlMap.suggest(patch.bindings)`.

        hold: what the values wait for; None follows the knob Hold changes.
        """
        return store.set_many(self.numbers, Origin.PATCH, hold)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The layout of the file. msgspec checks the types against it."""

    format: int
    name: str
    description: str = ""
    stack: str | None = None
    levels: list[int] | None = None
    finisher: bool | None = None
    hop: int | None = None
    steps: int | None = None
    context: str = ""
    init: str = ""
    program: int | None = None
    values: dict[str, bool | int | float | str] = {}
    bindings: dict[str, str | list[str]] = {}
    lfo: dict[str, dict[str, object]] = {}
    scene: list[dict[str, object]] = []
    stage: list[str] = []
    tags: list[str] = []


_HEAD = frozenset(field.name for field in msgspec.structs.fields(_File)) - {
    "values",
    "bindings",
    "lfo",
    "scene",
}

# ---------------------------------------------------------------------- reading


def load_patch(path: Path) -> Patch:
    """Read the patch in a file. PatchError names the wrong line or key, and the remedy."""
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
    if file.program is not None and not 1 <= file.program <= HIGHEST_PROGRAM:
        raise PatchError(
            f"{path}{_line(path, 'program')}: program = {file.program}: MIDI has programs 1 to {HIGHEST_PROGRAM}"
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
        sound_path(path, file.context) if file.context else None,
        file.program,
        MappingProxyType(_lfos(path, file)),
        _scenes(path, file),
        _stage(path, file.stage),
        tuple(dict.fromkeys(" ".join(tag.split()) for tag in file.tags if tag.strip())),
        sound_path(path, file.init, "init") if file.init else None,
    )


def _stage(path: Path, names: list[str]) -> tuple[str, ...]:
    """Return the knobs of the stage view. PatchError: too many, named twice, unknown, or no knob that turns."""
    turning = [name for name, one in BY_NAME.items() if not one.toggle and not one.choices]
    line = _line(path, "stage")
    for name in names:
        if name not in turning:
            raise PatchError(f"{path}{line}: stage: no knob {name!r}; {nearest_hint(name, turning)}")
        if names.count(name) > 1:
            raise PatchError(f"{path}{line}: stage: {name} twice; name each knob once")
    if len(names) > STAGE_KNOBS:
        raise PatchError(f"{path}{line}: stage: {len(names)} knobs; the stage has room for {STAGE_KNOBS}")
    return tuple(names)


def _lfos(path: Path, file: _File) -> dict[str, Lfo]:
    try:
        return {name: read_lfo(name, table) for name, table in file.lfo.items()}
    except ValueError as error:
        raise PatchError(f"{path}: {error}") from error


def _scenes(path: Path, file: _File) -> Scenes:
    try:
        return read_scenes(file.scene)
    except ValueError as error:
        raise PatchError(f"{path}: {error}") from error


def sound_path(path: Path, written: str, key: str = "context") -> Path:
    """Return the path of a patch's sound: relative to the patch, unless it is absolute or begins with `~`.

    A name that begins with "factory:" is one of the instrument's own sounds, wherever it is installed.
    """
    factory = factory_folder()
    if written.startswith(FACTORY) and factory is not None:
        return factory / written.removeprefix(FACTORY)
    try:
        return path.resolve().parent / Path(written).expanduser()
    except RuntimeError as error:
        raise PatchError(
            f"{path}{_line(path, key)}: {key} = {written!r}: no home folder is known here; write the whole path"
        ) from error


def _choice(path: Path, file: _File) -> StackChoice | None:
    """Return the stack that the patch asks for. PatchError: it names parts, but no stack."""
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
    """Return ", line 4" for a key in the file's head, and "" for a key that is not there."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.lstrip().startswith("["):
            break
        if re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return f", line {number}"
    return ""


def _document(path: Path) -> tomlkit.TOMLDocument:
    """Read a file with its comments and its order, so that it can be written again."""
    read_plain(path)  # raises first for files that would break tomlkit
    try:
        return tomlkit.parse(read_text(path))
    except (TOMLKitError, ValueError, RecursionError) as error:
        raise PatchError(f"{path}: not TOML ({error}); mend it, or save under another name") from error


def _type_error(message: str, plain: Mapping[str, object]) -> str:
    """Translate a message of msgspec, such as "Expected `str`, got `int` - at `$.name`", for the player."""
    what, _, where = message.partition(" - at ")
    place = where.strip("`").removeprefix("$.").removeprefix("$").replace("[...]", " (a value in it)")
    if "unknown field" in what:
        known = [f.name for f in msgspec.structs.fields(_File)]
        unknown = [key for key in plain if key not in known]
        hint = nearest_hint(unknown[0] if unknown else "", known)
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
        raise PatchError(f"{path}: [values] {name}: no such parameter; {nearest_hint(name, list(BY_NAME))}")
    parameter = BY_NAME[name]
    try:
        return parameter.plain(parameter.parse(value))
    except ValueError as error:
        raise PatchError(f"{path}: [values] {error}") from error


def _bindings(path: Path, name: str, texts: str | list[str]) -> list[Binding]:
    known = [*BY_NAME, *ACTIONS_BY_NAME, *FUNCTIONS_BY_NAME]
    if name not in known:
        raise PatchError(
            f"{path}: [bindings] {name}: no such parameter or action; {nearest_hint(name, known)}"
        )
    try:
        return [Binding.parse(name, text) for text in ([texts] if isinstance(texts, str) else texts)]
    except ValueError as error:
        raise PatchError(f"{path}: [bindings] {name}: {error}") from error


# ---------------------------------------------------------------------- writing


def save_patch(path: Path, patch: Patch) -> None:
    """Write a patch, whole or not at all.

    A file that exists keeps its comments and its order. It also keeps its program if the patch has none.
    PatchError: the disk refuses, or the existing file is no TOML.
    """
    path = path.resolve()  # through a link: the file it points to is replaced, not the link
    document = _document(path) if path.exists() else tomlkit.document()
    head: dict[str, object] = {"format": FORMAT, "name": patch.name, "description": patch.description}
    if patch.context is not None:
        head["context"] = written_sound(patch.context, path.parent)
    if patch.init is not None:
        head["init"] = written_sound(patch.init, path.parent)
    if patch.program is not None:
        head["program"] = patch.program
    head |= {"stage": list(patch.stage) or None, "tags": list(patch.tags) or None}
    for key, value in {**head, **_written_choice(patch.choice)}.items():
        if value is None:
            document.pop(key, None)
        elif key not in document or document[key] != value:
            document[key] = value
    values = {n: round(v, DECIMALS[n]) if n in DECIMALS else v for n, v in patch.values.items()}  # type: ignore[arg-type]
    _update(document, "values", values)
    _update(document, "bindings", binding_table(patch.bindings))
    update_lfos(document, patch.lfos)
    update_scenes(document, patch.scenes)
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
    """Return the lines of the file's head for a choice. A key with None is not written."""
    if choice is None:
        return dict.fromkeys(("stack", *PARTS))
    return {
        "stack": choice.stack,
        "levels": None if choice.levels is None else list(choice.levels),
        "finisher": None if choice.finisher else False,
        "hop": choice.hop,
        "steps": choice.steps,
    }


def written_sound(sound: Path, folder: Path | None) -> str:
    """Return a sound's path for the file: relative if it lies beside the patch in `folder`, so that both can move.

    A sound of the factory is named as such, so that the program can move too.
    """
    sound = sound.resolve()
    if folder is not None and sound.is_relative_to(folder):
        return sound.relative_to(folder).as_posix()
    factory = factory_folder()
    if factory is not None and sound.is_relative_to(factory):
        return FACTORY + sound.relative_to(factory).as_posix()
    return str(sound)


def _update(document: tomlkit.TOMLDocument, name: str, entries: Mapping[str, object]) -> None:
    table = document.get(name)
    if not isinstance(table, Table):
        table = tomlkit.table()
        document[name] = table
    for key in [key for key in table if key not in entries]:
        del table[key]
    for key, value in entries.items():
        # An equal value stays as a person typed it. True equals 1 in Python, but not for a person.
        if key not in table or table[key] != value or isinstance(value, bool):
            table[key] = value


# ---------------------------------------------------------------------- where patches are


def factory_patches() -> Mapping[str, Path]:
    """Return the patches that come with the instrument, by name."""
    folder = factory_folder()
    found = [] if folder is None else sorted(folder.glob("*.toml"))
    return MappingProxyType({path.stem: path for path in found})


def patch_programs(patches: Mapping[str, Path]) -> Mapping[str, int]:
    """Return the MIDI programs of the patches that have one, by the patch's name.

    A file that cannot be read is left out. Loading it gives the error.
    """
    found = {}
    for name, path in patches.items():
        try:
            program = read_plain(path).get("program")
        except PatchError as error:
            log.info("program of patch %s: %s", name, error)
            continue
        if type(program) is int and 1 <= program <= HIGHEST_PROGRAM:
            found[name] = program
    return MappingProxyType(found)


def own_patches(folder: Path | None) -> Mapping[str, Path]:
    """Return the patches in a folder, by name. Empty if the folder is missing or cannot be read."""
    if folder is None:
        return MappingProxyType({})
    try:
        found = {path.stem: path for path in sorted(folder.glob("*.toml")) if path.is_file()}
    except OSError as error:
        log.warning("patches in %s cannot be listed: %s", folder, error)
        return MappingProxyType({})
    return MappingProxyType(found)
