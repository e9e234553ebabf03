"""LFOs as a patch writes them: `[lfo.noise_step]` with shape, rate or bars, depth, offset and on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomlkit
from tomlkit.items import Table

from jbdiff_live.beat.modulation import Lfo, Shape
from jbdiff_live.parameters import BY_NAME, nearest_hint

KEYS = ("shape", "rate", "bars", "depth", "offset", "on")


def read_lfo(name: str, table: Mapping[str, Any]) -> Lfo:
    """Return the LFO of one table. ValueError gives the problem and the remedy."""
    where = f"[lfo.{name}]"
    if name not in BY_NAME:
        raise ValueError(f"{where}: no such parameter; {nearest_hint(name, list(BY_NAME))}")
    given: dict[str, Any] = {}
    for key, value in table.items():
        if key not in KEYS:
            raise ValueError(f"{where} {key}: no such setting; {nearest_hint(key, list(KEYS))}")
        given[key] = _value(where, key, value)
    if "rate" in given and "bars" in given:
        raise ValueError(
            f"{where}: has rate and bars; keep rate for Hz, or bars for the length of a cycle in bars"
        )
    try:
        return Lfo(**given)
    except ValueError as error:
        raise ValueError(f"{where} {error}") from error


def _value(where: str, key: str, value: Any) -> Any:
    if key == "shape":
        shapes = [shape.value for shape in Shape]
        if value not in shapes:
            raise ValueError(f"{where} shape = {value!r}: needs one of {', '.join(shapes)}")
        return Shape(value)
    if key == "on":
        if not isinstance(value, bool):
            raise ValueError(f"{where} on = {value!r}: needs true or false")
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{where} {key} = {value!r}: needs a number, without quotation marks")
    return float(value)


def lfo_table(lfo: Lfo) -> dict[str, str | float | bool]:
    """Return the lines of one LFO, in the form that `read_lfo` takes. The line `on` is left out if the LFO is on."""
    speed = {"rate": lfo.rate} if lfo.bars is None else {"bars": lfo.bars}
    table: dict[str, str | float | bool] = {"shape": lfo.shape.value, **speed, "depth": lfo.depth}
    if lfo.offset:
        table["offset"] = lfo.offset
    return table if lfo.on else {**table, "on": False}


def update_lfos(document: tomlkit.TOMLDocument, lfos: Mapping[str, Lfo]) -> None:
    """Write all LFOs into a patch's document. Comments beside lines that stay are kept."""
    old = document.get("lfo")
    if not lfos:
        document.pop("lfo", None)
        return
    tables = old if isinstance(old, Table) else tomlkit.table(is_super_table=True)
    if tables is not old:
        document["lfo"] = tables
    for name in [name for name in tables if name not in lfos]:
        del tables[name]
    for name, lfo in lfos.items():
        lines = lfo_table(lfo)
        if not isinstance(tables.get(name), Table):
            tables[name] = tomlkit.table()
        table = tables[name]
        for key in [key for key in table if key not in lines]:
            del table[key]
        for key, value in lines.items():
            if key not in table or table[key] != value:
                table[key] = value
