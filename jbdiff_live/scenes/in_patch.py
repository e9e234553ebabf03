"""Scenes as a patch writes them: `[[scene]]` with slot, name, program and leaves_out, and `[scene.values]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import tomlkit
from tomlkit.items import AoT, Table

from jbdiff_live.binding import HIGHEST_PROGRAM
from jbdiff_live.parameters import BY_NAME, SCENES, nearest_hint
from jbdiff_live.scenes.scene import (
    LONGEST_NAME,
    NEVER,
    NO_SCENES,
    USUALLY_LEFT_OUT,
    Scene,
    Scenes,
    group_of,
    groups_in_use,
    held_by_scenes,
)

KEYS = ("slot", "name", "program", "leaves_out", "values")

# ---------------------------------------------------------------------- reading


def read_scenes(tables: Sequence[Mapping[str, Any]]) -> Scenes:
    """Return the scenes of a file. ValueError names the wrong scene and key, and the remedy."""
    found: dict[int, Scene] = {}
    for place, table in enumerate(tables, 1):
        slot = _slot(place, table, found)
        where = f"[[scene]] {slot}"
        scene = _scene(where, table)
        for other, old in found.items():
            if scene.program is not None and old.program == scene.program:
                raise ValueError(f"{where} program = {scene.program}: scene {other} has it; give another one")
        found[slot] = scene
    return tuple(found.get(number, empty) for number, empty in enumerate(NO_SCENES, 1))


def _slot(place: int, table: Mapping[str, Any], found: Mapping[int, Scene]) -> int:
    """Return the number of a scene: its slot, or else the first free one."""
    slot = table.get("slot")
    if slot is None:
        free = [number for number in range(1, SCENES + 1) if number not in found]
        if not free:
            raise ValueError(f"[[scene]] number {place} of the file: a patch has {SCENES} scenes; remove one")
        return free[0]
    if type(slot) is not int or not 1 <= slot <= SCENES:
        raise ValueError(f"[[scene]] slot = {slot!r}: needs a number from 1 to {SCENES}")
    if slot in found:
        raise ValueError(f"[[scene]] slot = {slot}: another scene has it; give each scene a slot of its own")
    return slot


def _scene(where: str, table: Mapping[str, Any]) -> Scene:
    for key in table:
        if key in BY_NAME:
            raise ValueError(f"{where} {key}: belongs below [scene.values]; move the line there")
        if key not in KEYS:
            raise ValueError(f"{where} {key}: no such setting; {nearest_hint(key, list(KEYS))}")
    leaves_out = _groups(where, table.get("leaves_out", sorted(USUALLY_LEFT_OUT)))
    return Scene(
        _name(where, table.get("name", "")),
        MappingProxyType(_values(where, table.get("values", {}), leaves_out)),
        leaves_out,
        _program(where, table.get("program")),
    )


def _name(where: str, name: object) -> str:
    if not isinstance(name, str):
        raise ValueError(f'{where} name = {name!r}: needs text, such as "calm"')
    return scene_name(name)


def scene_name(text: str) -> str:
    """Return a name in one line of at most `LONGEST_NAME` letters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LONGEST_NAME]


def _program(where: str, program: object) -> int | None:
    if program is None:
        return None
    if type(program) is not int or not 1 <= program <= HIGHEST_PROGRAM:
        raise ValueError(f"{where} program = {program!r}: MIDI has programs 1 to {HIGHEST_PROGRAM}")
    return program


def _groups(where: str, names: object) -> frozenset[str]:
    if not isinstance(names, (list, frozenset)) or not all(isinstance(name, str) for name in names):
        raise ValueError(f'{where} leaves_out = {names!r}: needs a list of groups, such as ["output"]')
    for name in names:
        if name not in groups_in_use():
            raise ValueError(
                f"{where} leaves_out {name!r}: no such group; {nearest_hint(name, [*groups_in_use()])}"
            )
    return frozenset(names)


def _values(where: str, values: object, leaves_out: frozenset[str]) -> dict[str, float]:
    if not isinstance(values, Mapping):
        raise ValueError(f"{where} values = {values!r}: needs a table, [scene.values]")
    found = {}
    for name, value in values.items():
        if name in NEVER:
            raise ValueError(f"{where} {name}: no scene holds it; move it to the patch's [values]")
        if name not in BY_NAME:
            raise ValueError(f"{where} {name}: no such parameter; {nearest_hint(name, list(BY_NAME))}")
        if group_of(name) in leaves_out:
            kept = sorted(leaves_out - {group_of(name)})
            raise ValueError(
                f"{where} {name}: the scene leaves out its group, {group_of(name)}; "
                f"remove the line, or write leaves_out = {kept}"
            )
        try:
            found[name] = BY_NAME[name].parse(value)
        except ValueError as error:
            raise ValueError(f"{where} {error}") from error
    return found


# ---------------------------------------------------------------------- writing


def update_scenes(document: tomlkit.TOMLDocument, scenes: Scenes) -> None:
    """Write all scenes into a patch's document. A scene that stays keeps the comments beside its lines."""
    there = document.get("scene")
    old = _by_slot(there) if isinstance(there, AoT) else {}
    filled = {number: scene for number, scene in enumerate(scenes, 1) if scene is not None}
    if not filled:
        document.pop("scene", None)
        return
    tables = there if isinstance(there, AoT) else AoT([])
    stay = [table for number, table in old.items() if number in filled]
    for place in reversed(range(len(tables))):  # from the end, so that the places before it stay
        if not any(tables[place] is table for table in stay):
            del tables[place]
    for number, scene in filled.items():
        table = _table(old.get(number), number, scene)
        if number not in old:
            tables.append(table)
    if tables is not there:
        document["scene"] = tables


def _by_slot(tables: AoT) -> dict[int, Table]:
    """Return a file's tables by the number of their scene, as `read_scenes` counts them.

    A table whose number `read_scenes` would refuse is left out.
    """
    found: dict[int, Table] = {}
    for table in tables:
        free = (number for number in range(1, SCENES + 1) if number not in found)
        slot = table.get("slot", next(free, 0))
        if isinstance(slot, int) and 1 <= slot <= SCENES and slot not in found:
            found[int(slot)] = table
    return found


def scene_table(number: int, scene: Scene) -> dict[str, Any]:
    """Return one scene in the form that `read_scenes` takes. The values come last."""
    lines: dict[str, Any] = {"slot": number}
    if scene.name:
        lines["name"] = scene.name
    if scene.program is not None:
        lines["program"] = scene.program
    if scene.leaves_out != USUALLY_LEFT_OUT:
        lines["leaves_out"] = sorted(scene.leaves_out)
    values = {
        name: BY_NAME[name].plain(scene.values[name])
        for name in held_by_scenes(scene.leaves_out)
        if name in scene.values
    }
    return {**lines, "values": values}


def _table(old: Table | None, number: int, scene: Scene) -> Table:
    table = tomlkit.table() if old is None else old
    lines = scene_table(number, scene)
    plain = lines.pop("values")
    for key in [key for key in table if key not in lines and key != "values"]:
        del table[key]
    values = table.get("values")
    if not isinstance(values, Table):
        values = tomlkit.table()
    for key, value in lines.items():
        if key not in table or table[key] != value:
            _put_before_values(table, key, value)
    for key in [key for key in values if key not in plain]:
        del values[key]
    for key, value in plain.items():
        # An equal value stays as a person typed it. True equals 1 in Python, but not for a person.
        if key not in values or values[key] != value or isinstance(value, bool):
            values[key] = value
    if table.get("values") is not values:
        table["values"] = values
    return table


def _put_before_values(table: Table, key: str, value: object) -> None:
    """Put a line into a scene's table. A new line must stand above [scene.values], or it would belong to that."""
    if key in table or "values" not in table:
        table[key] = value
        return
    values = table["values"]
    del table["values"]
    table[key] = value
    table["values"] = values
