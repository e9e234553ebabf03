"""The keys of a piece of a list: those of `jbdiff sample`, and the names that a patch has for the same values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from jbdiff.batch.paths import KeyProblem
from jbdiff.render.options import RenderOptions
from jbdiff.untyped import JsonDict, JsonTable

# Keys of the list itself.
PLAIN = ("name", "out", "stack", "context", "init", "compat")
# Keys for the coarsest level. They become the options of its table, such as level2.
COARSEST = ("steps", "guidance", "update_context")
# Keys that are written flat in a patch and on the command line -> table and option.
FLAT = {
    "noise_style": ("", "style"),
    "noise_step": ("", "step"),
    "finisher_on": ("finisher", "on"),
    "finisher_steps": ("finisher", "steps"),
    "finisher_strength": ("finisher", "strength"),
    "finisher_seed": ("finisher", "seed"),
    "finisher_style": ("finisher", "style"),
    "finisher_step": ("finisher", "step"),
}
TABLES = ("level0", "level1", "level2", "finisher")
OPTIONS = tuple(
    sorted({f.name for f in dataclasses.fields(RenderOptions)} - {"level", "finisher_seed"} | set(TABLES))
)
KEYS = (*PLAIN, "seed", *COARSEST, *FLAT, *OPTIONS)


def plain_options(table: JsonTable, coarsest: int) -> JsonDict:
    """Return the options of a table of the list by the names of `render.options`, without the keys of `PLAIN`.

    coarsest: number of the stack's coarsest level. Raises KeyProblem if two keys set the same option, and for tables
    that are none.
    """
    result: JsonDict = {}
    came_from: dict[tuple[str, str], str] = {}

    def put(table_name: str, option: str, value: object, key: str) -> None:
        other = came_from.setdefault((table_name, option), key)
        if other != key:
            raise KeyProblem(key, f"{key} and {other} set the same option; keep one of them")
        inner = result.setdefault(table_name, {}) if table_name else result
        inner[option] = value

    for key, value in table.items():
        if key in PLAIN:
            continue
        if key in TABLES and isinstance(value, Mapping):
            result.setdefault(key, {})
            for option, inner in value.items():
                put(key, option, inner, f"{key}.{option}")
        elif key == "finisher" and isinstance(value, bool):
            put("finisher", "on", value, key)
        elif key in TABLES:
            raise KeyProblem(key, f"{key} = {value!r}; {_as_table(key)}")
        elif key == "seed":
            put("", "seeds", [value], key)
        elif key == "levels" and isinstance(value, str):
            if not (value.isdigit() and value.isascii()):
                raise KeyProblem(key, f'levels = {value!r}; write them as "21" or [2, 1]')
            put("", "levels", [int(digit) for digit in value], key)
        elif key in COARSEST:
            put(f"level{coarsest}", key, value, key)
        else:
            put(*FLAT.get(key, ("", key)), value, key)
    return result


def _as_table(key: str) -> str:
    if key == "finisher":
        return "write true, false, or a table such as { steps = 20 }"
    return "write a table, such as { steps = 20 }"


def merged(defaults: JsonTable, own: JsonTable) -> JsonDict:
    """Return the options of a piece: the defaults, and its own instead of them. Tables merge option by option."""
    result: JsonDict = {
        key: dict(value) if isinstance(value, Mapping) else value for key, value in defaults.items()
    }
    for key, value in own.items():
        before = result.get(key)
        result[key] = (
            {**before, **value} if isinstance(before, dict) and isinstance(value, Mapping) else value
        )
    return result
