"""The map of one controller: a TOML file that a person can edit, and its immutable form.

Threads: none of its own. Reading and writing block on the disk, so threads that receive messages must not do it.

If a line of a file cannot be used, `read_map` names it and leaves it out. The other lines count, and the bad line stays
in the file. A file that is not TOML, or whose head is wrong, raises `MapError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import msgspec
import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from jbdiff_live.binding import (
    HIGHEST_CC,
    HIGHEST_CHANNEL,
    HIGHEST_PROGRAM,
    Binding,
    BindingKind,
    TakeoverMode,
    binding_table,
)
from jbdiff_live.control.cv import CvChannel, is_channel
from jbdiff_live.control.outgoing.lights import NO_LIGHTS, Lights, Shows, read_lights
from jbdiff_live.patch_text import MOST_DIGITS, PatchError, read_plain, read_text
from jbdiff_live.system.files import replace_file

FORMAT = 1


class MapError(ValueError):
    """An error in a map file. The text names the file and the remedy."""


@dataclass(frozen=True)
class ControllerMap:
    """The map of one controller.

    inputs: parts of the names of its MIDI inputs. bindings: what its controls do. silent: targets that none of its
    controls moves, even if a patch suggests one. takeover: its takeover mode; None uses the program's. plain: CCs that
    it sends from plain knobs, although MIDI gives them another meaning. programs: names of patches by program, 1 to
    128. path: the file. lights: the messages that show values on it. cv: settings of the channels of a sound input, by
    channel from 1.
    """

    name: str
    inputs: tuple[str, ...]
    bindings: tuple[Binding, ...] = ()
    silent: frozenset[str] = frozenset()
    takeover: TakeoverMode | None = None
    plain: frozenset[int] = frozenset()
    programs: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    path: Path | None = None
    lights: Lights = NO_LIGHTS
    cv: Mapping[int, CvChannel] = field(default_factory=lambda: MappingProxyType({}))

    def without(self, target: str) -> ControllerMap:
        return replace(self, bindings=tuple(b for b in self.bindings if b.target != target))


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The layout of the file. msgspec checks the types against it."""

    format: int
    name: str
    inputs: list[str]
    source: str = ""
    takeover: str | None = None
    note_channel: int | None = None
    plain: list[int] = []
    bindings: dict[str, str | list[str]] = {}
    programs: dict[str, str] = {}
    outputs: list[str] = []
    shows: str = Shows.SET.value
    feedback: dict[str, str] = {}
    cv: dict[str, CvChannel] = {}


def read_map(path: Path) -> tuple[ControllerMap, list[str]]:
    """Return the map in a file and the problems of single lines. Raises MapError if the file cannot be used."""
    document = _parse(path)
    try:
        file = msgspec.convert(document.unwrap(), _File)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        place = where.strip("`").removeprefix("$").removeprefix(".")
        known = ", ".join(f.name for f in msgspec.structs.fields(_File))
        hint = f"; known: {known}" if "unknown field" in what else ""
        raise MapError(f"{path}: {place + ': ' if place else ''}{what[0].lower()}{what[1:]}{hint}") from error
    if file.format != FORMAT:
        raise MapError(f"{path}: format = {file.format}: this jbdiff-live reads format {FORMAT}")
    wrong: list[str] = []
    bindings, silent = [], []
    for target, texts in file.bindings.items():
        found = _bindings(target, texts, file.note_channel)
        bindings += [b for b in found if isinstance(b, Binding)]
        wrong += [
            f"{path}: [bindings] {words}; the line is left out" for words in found if isinstance(words, str)
        ]
        if texts == []:
            silent.append(target)
    takeover = _takeover(path, file.takeover, wrong)
    plain = frozenset(number for number in file.plain if 0 <= number <= HIGHEST_CC)
    programs = {int(text): name for text, name in file.programs.items() if _is_program(text)}
    lights = read_lights(
        file.outputs, file.shows, file.feedback, lambda words: wrong.append(f"{path}: {words}")
    )
    cv = {int(text): channel for text, channel in file.cv.items() if is_channel(text)}
    wrong += [
        f"{path}: [cv] {text}: write the number of a channel, 1 to {HIGHEST_CHANNEL}"
        for text in file.cv
        if not is_channel(text)
    ]
    wrong += [
        f"{path}: [programs] {text[:20]}: MIDI has programs 1 to {HIGHEST_PROGRAM}"
        for text in file.programs
        if not _is_program(text)
    ]
    return (
        ControllerMap(
            file.name, tuple(file.inputs), tuple(bindings), frozenset(silent), takeover, plain,
            MappingProxyType(programs), path, lights, MappingProxyType(cv),
        ),
        wrong,
    )  # fmt: skip


def _is_program(text: str) -> bool:
    """Return True if a text is the number of a MIDI program."""
    return len(text) <= MOST_DIGITS and text.isdecimal() and 1 <= int(text) <= HIGHEST_PROGRAM


def _parse(path: Path) -> tomlkit.TOMLDocument:
    try:
        read_plain(path)  # raises first for files that would break tomlkit
        return tomlkit.parse(read_text(path))
    except PatchError as error:
        raise MapError(str(error)) from error
    except (TOMLKitError, ValueError, RecursionError) as error:
        raise MapError(f"{path}: not TOML ({error})") from error


def _takeover(path: Path, text: str | None, wrong: list[str]) -> TakeoverMode | None:
    if text is None:
        return None
    try:
        return TakeoverMode(text)
    except ValueError:
        known = ", ".join(mode.value for mode in TakeoverMode)
        wrong.append(f"{path}: takeover = {text!r}: choose one of {known}")
        return None


def _bindings(target: str, texts: str | list[str], note_channel: int | None) -> list[Binding | str]:
    """Return a binding for each text, or the reason why the text is not a binding."""
    found: list[Binding | str] = []
    for text in [texts] if isinstance(texts, str) else texts:
        try:
            binding = Binding.parse(target, text)
            if binding.kind is BindingKind.NOTE and binding.channel is None:
                if note_channel is None:
                    found.append(
                        f"{target}: {text!r} would listen to every keyboard; write 'ch 10 {text}', or note_channel = "
                        "10 at the top of the file"
                    )
                    continue
                binding = replace(binding, channel=note_channel)
        except (ValueError, KeyError) as error:
            found.append(f"{target}: {error.args[0]}")
            continue
        found.append(binding)
    return found


# ---------------------------------------------------------------------- writing


def write_map(path: Path, new: ControllerMap) -> None:
    """Write a map: the whole file or nothing. Comments, order and lines that could not be read stay.

    It starts from the file that the map was read from. So the player's copy of a ready map keeps its notes.
    Raises OSError if the disk refuses, MapError if the file at the path is not a map.
    """
    document = tomlkit.document()
    if path.exists():
        document = _parse(path)
    elif new.path is not None and new.path.exists():
        document = _parse(new.path)
    head: dict[str, object] = {"format": FORMAT, "name": new.name, "inputs": list(new.inputs)}
    for key, value in head.items():
        if key not in document or document[key] != value:
            document[key] = value
    table = document.get("bindings")
    if not isinstance(table, Table):
        table = tomlkit.table()
        document["bindings"] = table
    for number, channel in new.cv.items():
        spans = document.setdefault("cv", tomlkit.table())
        if spans.get(str(number)) != channel.plain():
            spans[str(number)] = tomlkit.item(channel.plain())
    note_channel = document.get("note_channel")
    entries: dict[str, str | list[str]] = {
        **{target: [] for target in new.silent},
        **binding_table(new.bindings),
    }
    for target in list(table):
        old = _bindings(target, table[target], note_channel)
        readable = [b for b in old if isinstance(b, Binding)]
        if target not in entries and (readable or not old):
            del table[target]
    for target, texts in entries.items():
        wanted = [Binding.parse(target, t) for t in ([texts] if isinstance(texts, str) else texts)]
        if target not in table or _bindings(target, table[target], note_channel) != wanted:
            table[target] = texts
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, tomlkit.dumps(document))
