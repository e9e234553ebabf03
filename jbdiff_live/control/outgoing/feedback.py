"""Feedback: the messages that make the lights and motors of a controller show the values.

No thread and no clock of its own; the control map's lock protects it. A received message is never sent on: all output
is made from values.

- A control that a hand moves is left alone until `HOLD_SECONDS` after its last message: a motor must not pull at the
  hand. If the control then stands somewhere else than its value, the value is sent.
- A button may light up by itself while it is pressed, so its light is sent again after each message.
- A control that shows the value itself has taken over: the next touch moves the value from where it is.
- A controller gets at most `MOST_MESSAGES` at a time. The next calls send the rest, in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jbdiff_live.binding import FINE_OFFSET, HIGHEST_14, HIGHEST_CC, TRIGGERS, Binding, BindingKind
from jbdiff_live.control.decode import Place, Reading
from jbdiff_live.control.desk import DeviceTable
from jbdiff_live.control.outgoing.lights import Shown, Shows
from jbdiff_live.control.response import position_of
from jbdiff_live.parameters import BY_NAME, ParameterSnapshot

HOLD_SECONDS = 0.3
MOST_MESSAGES = 8  # at a time, once in 20 ms: less than half of what a MIDI cable carries
FINE = frozenset({BindingKind.CC14, BindingKind.NRPN, BindingKind.BEND})

Placed = Callable[[str, int, Binding, float, float], None]  # device, channel, binding, position, travel


@dataclass(frozen=True)
class Views:
    """The values to show. set and heard: the set and the heard values. states: on or off by name, as "record"."""

    set: ParameterSnapshot
    heard: ParameterSnapshot
    states: Mapping[str, bool] = field(default_factory=dict)


class Feedback:
    """placed: called for each control that feedback has moved to its value."""

    def __init__(self, placed: Placed) -> None:
        self._placed = placed
        self._moved: dict[Place, float] = {}  # when a hand last moved a control
        self._shown: dict[Place, int] = {}  # what a control shows, as far as is known
        self._channels: dict[tuple[str, BindingKind, int], int] = {}  # channel of a control's last message
        self._next: dict[str, int] = {}  # index of the light that is sent first

    def forget(self, device: str) -> None:
        """Send everything again: the controller came back, or must show other values. Controls in a hand wait."""
        self._shown = {place: v for place, v in self._shown.items() if place[0] != device}

    def moved(self, device: str, reading: Reading, now: float) -> None:
        """Note that a control moved, or that a button was pressed or released."""
        place = (device, reading.channel, reading.kind, reading.number)
        self._channels[device, reading.kind, reading.number] = reading.channel
        self._moved[place] = now
        self._shown[place] = round(reading.position * _full(reading.kind))

    def due(self, device: str, table: DeviceTable, views: Views, now: float) -> list[bytes]:
        """Return the messages to send to a controller now."""
        lights = table.lights
        values = views.heard if table.shows is Shows.HEARD else views.set
        sent: list[bytes] = []
        first = self._next.get(device, 0)
        for step in range(len(lights)):
            index = (first + step) % len(lights)
            sent += self._one(device, lights[index], values, views.states, now)
            if len(sent) >= MOST_MESSAGES:
                self._next[device] = index + 1
                break
        return sent

    def _one(
        self,
        device: str,
        shown: Shown,
        values: ParameterSnapshot,
        states: Mapping[str, bool],
        now: float,
    ) -> list[bytes]:
        """Return the messages of one light; none while it shows the right value, or a hand is on it."""
        value = _value(shown, values, states)
        if value is None:
            return []
        control, own = shown.control, shown.light.own
        channel = control.channel or self._channels.get((device, control.kind, control.number), 1)
        place = (device, channel, control.kind, control.number)
        if own and (control.encoding is not None or _is_button(control)):
            if self._moved.pop(place, None) is not None:
                self._shown.pop(place, None)  # after a step or a press, its state is not known
        elif now - self._moved.get(place, float("-inf")) < HOLD_SECONDS:
            return []
        if self._shown.get(place) == value:
            return []
        self._shown[place] = value
        parameter = BY_NAME.get(shown.target)
        if own and parameter is not None and control.encoding is None and not _is_button(control):
            travel = parameter.to_normal(values[parameter.name])
            self._placed(device, channel, control, value / _full(control.kind), travel)
        return message_of(control, channel, value)


def _is_button(control: Binding) -> bool:
    """Return True for a control that a hand presses, and whose own light follows the hand meanwhile."""
    parameter = BY_NAME.get(control.target)
    return control.button or control.kind in TRIGGERS or parameter is None or parameter.toggle


def _full(kind: BindingKind) -> int:
    """Return the highest value of a control: 127, or 16383 if it is fine."""
    return HIGHEST_14 if kind in FINE else HIGHEST_CC


def _value(shown: Shown, values: ParameterSnapshot, states: Mapping[str, bool]) -> int | None:
    """Return the value for a light: 0 to 127, or 0 to 16383 if it is fine. None if there is nothing to show."""
    parameter, light = BY_NAME.get(shown.target), shown.light
    if parameter is None:
        state = states.get(shown.target)
        return None if state is None else light.on if state else light.off
    if parameter.toggle:
        return light.on if values.on(parameter.name) else light.off
    travel = parameter.to_normal(values[parameter.name])
    if light.own:  # the control stands where it would set this value
        travel = position_of(shown.control, travel)
    if shown.control.kind in FINE:
        return round(travel * HIGHEST_14)
    return round(light.off + travel * (light.on - light.off))


def message_of(control: Binding, channel: int, value: int) -> list[bytes]:
    """Return the MIDI messages that a control would send. value: 0 to 127, or 0 to 16383 if it is fine."""
    here, coarse, fine = channel - 1, value >> 7, value & 127
    match control.kind:
        case BindingKind.NOTE:
            return [bytes((0x90 | here, control.number, value))]
        case BindingKind.BEND:
            return [bytes((0xE0 | here, fine, coarse))]
        case BindingKind.CC14:
            pairs = [(control.number, coarse), (control.number + FINE_OFFSET, fine)]
        case BindingKind.NRPN:
            pairs = [(99, control.number >> 7), (98, control.number & 127), (6, coarse), (38, fine)]
        case _:
            pairs = [(control.number, value)]
    return [bytes((0xB0 | here, number, half)) for number, half in pairs]
