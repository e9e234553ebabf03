"""The columns of the table of bindings: what each shows of a line, and what the player may put there. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from jbdiff_live.beat.line import Unit
from jbdiff_live.binding import WITHOUT_CHANNEL, Bend, Binding, TakeoverMode
from jbdiff_live.control_view import BindingRow
from jbdiff_live.parameters import BY_NAME, NEVER_HELD

ALL_CHANNELS = "all"
AS_MAP = "as the map says"
WHOLE = "all of it"
NO, YES = "no", "yes"
AS_KNOB = "as Hold changes"
FROM_TO = re.compile(r"(-?\d+(?:\.\d+)?)\s*(?:to|…|\.\.|–)\s*(-?\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Column:
    """One column. shown: the text of a line. choices: what may be chosen; empty if nothing, None for free text.

    put: returns the binding with a text that was chosen or typed. It raises ValueError that says what is wrong.
    """

    title: str
    help: str
    shown: Callable[[BindingRow], str]
    choices: Callable[[Binding], tuple[str, ...] | None] = lambda binding: ()
    put: Callable[[Binding, str], Binding] = lambda binding, text: binding


def _channel(row: BindingRow) -> str:
    binding = row.binding
    if binding is None or binding.kind in WITHOUT_CHANNEL:
        return ""
    return ALL_CHANNELS if binding.channel is None else str(binding.channel)


def _channels(binding: Binding) -> tuple[str, ...]:
    if binding.kind in WITHOUT_CHANNEL:
        return ()
    return (ALL_CHANNELS, *map(str, range(1, 17)))


def _put_channel(binding: Binding, text: str) -> Binding:
    return replace(binding, channel=None if text == ALL_CHANNELS else int(text))


def _range(row: BindingRow) -> str:
    binding = row.binding
    if binding is None or not binding.has_range:
        return ""
    parameter = BY_NAME[binding.target]
    low, high = binding.span or (parameter.low, parameter.high)
    return f"{low:g} to {high:g}{parameter.unit and ' ' + parameter.unit}"


def _put_range(binding: Binding, text: str) -> Binding:
    parameter = BY_NAME[binding.target]
    found = FROM_TO.match(text.strip())
    if text.strip() in ("", WHOLE):
        return replace(binding, span=None)
    if found is None:
        raise ValueError(
            f"{text!r}: write two values, such as {parameter.low:g} to {parameter.high:g}, or nothing for all of it"
        )
    span = float(found[1]), float(found[2])
    return replace(binding, span=None if span == (parameter.low, parameter.high) else span)


def _with_range(binding: Binding, choices: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return choices if binding.has_range else ()


def _takeovers(binding: Binding) -> tuple[str, ...]:
    takes_over = binding.has_range and binding.encoding is None and not binding.velocity
    return (AS_MAP, *(mode.value for mode in TakeoverMode)) if takes_over else ()


def _holds(binding: Binding) -> tuple[str, ...]:
    return () if binding.target in NEVER_HELD else (AS_KNOB, *(unit.value for unit in Unit))


def _hold(row: BindingRow) -> str:
    binding = row.binding
    if binding is None or binding.target in NEVER_HELD:
        return "never" if row.target in NEVER_HELD else ""
    return AS_KNOB if binding.hold is None else binding.hold.value


COLUMNS: tuple[Column, ...] = (
    Column("Moves", "the knob, the action or the function that the control is for", lambda row: row.label),
    Column(
        "Control",
        "what the controller sends",
        lambda row: row.control if row.binding is None else row.binding.counted_control,
    ),
    Column("Controller", "the input that it comes from", lambda row: row.device),
    Column("Ch", "the MIDI channel that counts", _channel, _channels, _put_channel),
    Column(
        "Range",
        "the values at both ends of the control; empty is the whole range",
        _range,
        lambda binding: _with_range(binding, None),
        _put_range,
    ),
    Column(
        "Curve",
        "slow: finer at the start of the travel; fast: finer at its end",
        lambda row: row.binding.bend.value if row.binding is not None and row.binding.has_range else "",
        lambda binding: _with_range(binding, tuple(bend.value for bend in Bend)),
        lambda binding, text: replace(binding, bend=Bend(text)),
    ),
    Column(
        "Inverted",
        "the control works the other way round",
        lambda row: (
            (YES if row.binding.inverted else NO)
            if row.binding is not None and row.binding.has_travel
            else ""
        ),
        lambda binding: (NO, YES) if binding.has_travel else (),
        lambda binding, text: replace(binding, inverted=text == YES),
    ),
    Column(
        "Takeover",
        "what happens if the control stands elsewhere than the value",
        lambda row: row.takeover if row.binding is not None and _takeovers(row.binding) else "",
        _takeovers,
        lambda binding, text: replace(binding, takeover=None if text == AS_MAP else TakeoverMode(text)),
    ),
    Column(
        "Lands on",
        "the beat or bar on which its changes take effect; the knob Hold changes says it for all others",
        _hold,
        _holds,
        lambda binding, text: replace(binding, hold=None if text == AS_KNOB else Unit(text)),
    ),
    Column("From", "the controller's own map, or the patch", lambda row: row.source),
    Column(
        "Note", "what else the control moves, or why it is not in use", lambda row: row.unused or row.conflict
    ),
)


def editable(row: BindingRow) -> bool:
    """Return True if the line's binding can be changed: it is in use."""
    return row.binding is not None and not row.unused


def in_words(row: BindingRow) -> str:
    """The whole line as one sentence, for a screen reader and the line below the table."""
    found = [f"{column.title}: {text}" for column in COLUMNS if (text := column.shown(row))]
    return "; ".join(found)
