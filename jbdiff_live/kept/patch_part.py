"""A patch as it is played, to a session file and back. What a file names and the program no longer knows is left out.

Threads: none of its own; no disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.binding import HIGHEST_PROGRAM, Binding, binding_table
from jbdiff_live.kept.content import PatchPart
from jbdiff_live.parameters import BY_NAME
from jbdiff_live.patch import STAGE_KNOBS, Patch, sound_path, written_sound
from jbdiff_live.patch_lfo import lfo_table, read_lfo
from jbdiff_live.patch_text import PatchError
from jbdiff_live.scenes.in_patch import read_scenes, scene_table
from jbdiff_live.scenes.scene import Kept
from jbdiff_live.stack_choice import StackChoice


@dataclass(frozen=True)
class Played:
    """A patch as it is played. patch: with the played values, bindings, LFOs, scenes, stack and context in it.

    file: the patch file that it came from, or None. init: the sound file for Init; empty without one.
    """

    patch: Patch
    file: Path | None = None
    active_scene: int | None = None
    init: str = ""

    @property
    def scenes(self) -> Kept:
        active = self.active_scene
        known = active is not None and 1 <= active <= len(self.patch.scenes)
        return Kept(self.patch.scenes, active if known else None)


def part_of(played: Played) -> PatchPart:
    """Return a played patch as a session file holds it."""
    patch = played.patch
    choice = patch.choice
    return PatchPart(
        name=patch.name,
        file=_path_text(played.file),
        description=patch.description,
        program=patch.program,
        stage=patch.stage,
        tags=patch.tags,
        values=dict(patch.values),
        bindings=binding_table(patch.bindings),
        lfo={name: lfo_table(lfo) for name, lfo in patch.lfos.items()},
        scene=[scene_table(n, scene) for n, scene in enumerate(patch.scenes, 1) if scene is not None],
        active_scene=played.active_scene,
        stack=None if choice is None else choice.stack,
        levels=None if choice is None else choice.levels,
        finisher=choice is None or choice.finisher,
        hop=None if choice is None else choice.hop,
        steps=None if choice is None else choice.steps,
        context=_path_text(patch.context),
        init=_path_text(Path(played.init) if played.init else None),
    )


def _path_text(path: Path | None) -> str:
    """Return a path for the file; empty if it is no text and so could not be written."""
    text = "" if path is None else written_sound(path, None)
    try:
        text.encode()
    except UnicodeEncodeError:
        return ""
    return text


def played_from(part: PatchPart) -> tuple[Played, list[str]]:
    """Return the patch of a session file, and what was left out of it because it cannot be used, in words."""
    out: list[str] = []
    values = {}
    for name, value in part.values.items():
        try:
            values[name] = BY_NAME[name].plain(BY_NAME[name].parse(value))
        except (KeyError, ValueError):
            out.append(f"value {name}")
    program = part.program
    init = _path(part.init, "init", out)
    patch = Patch(
        part.name,
        part.description,
        MappingProxyType(values),
        tuple(_bindings(part.bindings, out)),
        _choice(part, out),
        context=_path(part.context, "context", out),
        program=program if program is not None and 1 <= program <= HIGHEST_PROGRAM else None,
        lfos=MappingProxyType(_lfos(part.lfo, out)),
        scenes=_scenes(part.scene, out).scenes,
        stage=_stage(part.stage),
        tags=part.tags,
        init=init,
    )
    file = _path(part.file, "patch file", out)
    return Played(patch, file, part.active_scene, "" if init is None else str(init)), out


def _stage(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in dict.fromkeys(names) if name in BY_NAME)[:STAGE_KNOBS]


def _bindings(table: Mapping[str, str | list[str]], out: list[str]) -> list[Binding]:
    found = []
    for target, texts in table.items():
        for text in [texts] if isinstance(texts, str) else texts:
            try:
                found.append(Binding.parse(target, text))
            except (KeyError, ValueError):
                out.append(f"binding of {target}")
    return found


def _lfos(tables: Mapping[str, Mapping[str, Any]], out: list[str]) -> dict[str, Lfo]:
    found = {}
    for name, table in tables.items():
        try:
            found[name] = read_lfo(name, table)
        except (TypeError, ValueError):
            out.append(f"LFO of {name}")
    return found


def _scenes(tables: list[dict[str, Any]], out: list[str]) -> Kept:
    kept = Kept()
    for table in tables:
        try:
            for number, scene in enumerate(read_scenes([_without_unknown(table)]), 1):
                kept = kept if scene is None else kept.put(number, scene)
        except (TypeError, ValueError):
            out.append(f"scene {table.get('slot', '')}".strip())
    return kept


def _without_unknown(table: dict[str, Any]) -> dict[str, Any]:
    """Return a scene's table without parameters that the program no longer has."""
    values = table.get("values")
    if not isinstance(values, dict):
        return table
    return {**table, "values": {name: value for name, value in values.items() if name in BY_NAME}}


def _choice(part: PatchPart, out: list[str]) -> StackChoice | None:
    if part.stack is None:
        return None
    folder = any(mark in part.stack for mark in "/\\~")  # a stack in a folder of its own
    try:
        if folder and not Path(part.stack).expanduser().is_dir():
            raise ValueError(f"no folder {part.stack}")
        return StackChoice(part.stack, part.levels, part.finisher, part.hop, part.steps)
    except (OSError, RuntimeError, ValueError):
        out.append(f"stack {part.stack}")
        return None


def _path(text: str, what: str, out: list[str]) -> Path | None:
    """Return a path of the file; None if it is empty, or no path."""
    if not text:
        return None
    try:
        if "\0" in text:
            raise ValueError("a path with a zero in it")
        return sound_path(Path("session.json"), text)
    except (PatchError, OSError, ValueError):
        out.append(what)
        return None
