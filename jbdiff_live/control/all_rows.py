"""The whole table of bindings, also of those that are not in use, with what the player should know of each.

No thread of its own; the control map's lock protects it. Pure: it reads the desk and the shelf.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from jbdiff_live.binding import Binding, BindingKind, TakeoverMode, label
from jbdiff_live.control.controller_map import ControllerMap
from jbdiff_live.control.desk import EVERYWHERE, PANIC, MapDesk
from jbdiff_live.control.names import family, family_of, matches
from jbdiff_live.control_view import BindingRow

NO_CONTROL = "no control"
NOT_CONNECTED = "the controller is not connected"


def all_rows(desk: MapDesk, usual: TakeoverMode) -> tuple[BindingRow, ...]:
    """Return every binding of every controller and of the patch. usual: takeover where nothing else is said.

    A controller that is not connected appears if the player has a map of it.
    """
    rows = [row for row in desk.rows() if row.source == "always"]
    for device in desk.devices:
        rows += _of_controller(desk, device, usual)
    rows += [_row(EVERYWHERE, b, "patch", usual, desk.suggested) for b in desk.suggested if desk.waits(b)]
    rows += [
        replace(row, unused=NOT_CONNECTED)
        for own in desk.shelf.own
        if not any(matches(device, own.inputs) for device in desk.devices)
        for row in _own(own, own.name, usual)
    ]
    return tuple(rows)


def _of_controller(desk: MapDesk, device: str, usual: TakeoverMode) -> Iterator[BindingRow]:
    own, used = desk.shelf.find(device), desk.table(device).bindings
    yield from _own(own, device, usual)
    idle = []  # behind those in use
    for binding in desk.suggested:
        if binding in own.bindings or family_of(binding.kind) is not family(device):
            continue
        unused = "" if binding in used else _why_unused(desk, device, binding)
        row = _row(device, binding, "patch", own.takeover or usual, used)
        if unused:
            idle.append(replace(row, unused=unused, conflict=""))
        else:
            yield row
    yield from idle


def _own(own: ControllerMap, device: str, usual: TakeoverMode) -> Iterator[BindingRow]:
    for binding in own.bindings:
        yield _row(device, binding, "map", own.takeover or usual, own.bindings)
    for target in sorted(own.silent):
        yield BindingRow(device, target, label(target), NO_CONTROL, "map")


def _row(
    device: str, binding: Binding, source: str, usual: TakeoverMode, others: tuple[Binding, ...]
) -> BindingRow:
    moved = dict.fromkeys(
        label(b.target) for b in others if b.target != binding.target and b.overlaps(binding)
    )
    usual = TakeoverMode.JUMP if binding.kind is BindingKind.CV else usual
    return BindingRow(
        device,
        binding.target,
        label(binding.target),
        binding.control,
        source,
        binding,
        (binding.takeover or usual).value,
        f"also moves {', '.join(moved)}" if moved else "",
    )


def _why_unused(desk: MapDesk, device: str, binding: Binding) -> str:
    own = desk.shelf.find(device)
    if binding not in desk.usable:
        return (
            "a note needs a channel"
            if binding.kind is BindingKind.NOTE
            else f"this message always means {label(PANIC)}"
        )
    if binding.target in own.silent:
        return f"the map keeps {binding.control} away"
    mine = [b.control for b in own.bindings if b.target == binding.target]
    if mine:
        return f"the map uses {', '.join(mine)}"
    taken = [label(b.target) for b in own.bindings if b.overlaps(binding)]
    return f"in the map this control moves {', '.join(taken)}"
