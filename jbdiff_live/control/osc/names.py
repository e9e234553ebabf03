"""What an OSC message does, and which messages report changes. Pure: no socket, no thread, no clock.

| address | argument | does |
|---|---|---|
| `/jbdiff/<parameter>` | the value, or the word of a list | sets it |
| `/jbdiff/<parameter>/normal` | 0 to 1 | sets it by a knob's travel |
| `/jbdiff/cv/<channel>` | `low` or `high` | stores the channel's present voltage as that end of its span |
| `/jbdiff/<action or function>` | none, or above 0 | does it; 0 is a released button, and does nothing |

Every other address may be learned, like a control of a MIDI controller: it sends 0 to 1.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping

from jbdiff_live.binding import HIGHEST_14, checksum
from jbdiff_live.control.names import OSC_SENDERS
from jbdiff_live.control.osc.packets import Argument, BadPacketError, Call
from jbdiff_live.control.source import ControlEvent, EventKind
from jbdiff_live.parameters import (
    ACTIONS_BY_NAME,
    BY_NAME,
    FUNCTIONS_BY_NAME,
    Origin,
    Parameter,
    ParameterSnapshot,
    ParameterStore,
)

ROOT = "/jbdiff/"
NORMAL = "normal"
CV = "cv"


class UnknownAddressError(KeyError):
    """No parameter, action or binding has this address."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address

    @property
    def words(self) -> str:
        """The error with a hint. To find the hint takes milliseconds, so ask for it only if it is shown."""
        near = difflib.get_close_matches(self.address, _ADDRESSES, 1)
        hint = f"did you mean {near[0]}?" if near else f"learn it, or send to {ROOT}<parameter>"
        return f"nothing has the address {self.address}; {hint}"


_ADDRESSES = [ROOT + name for name in (*BY_NAME, *ACTIONS_BY_NAME, *FUNCTIONS_BY_NAME)]
_ADDRESSES += [f"{ROOT}{name}/{NORMAL}" for name in BY_NAME]


def no_voltages(channel: int, end: str) -> None:
    """Raise ValueError: no input carries voltages."""
    raise ValueError(f"CV {channel}: nothing comes in; open an input with --cv-in")


class OscNames:
    """Acts on messages, and remembers which values the other side has, so that only changes are sent."""

    def __init__(
        self,
        store: ParameterStore,
        perform: Callable[[str], None],
        handle: Callable[[ControlEvent], object],
        calibrate: Callable[[int, str], object] = no_voltages,
    ) -> None:
        """perform: does a function of the session. handle: takes the message of a free address; returns True if used.

        calibrate: stores a channel's present voltage as its "low" or "high" end; raises ValueError.
        """
        self._store = store
        self._perform = perform
        self._handle = handle
        self._calibrate = calibrate
        self._known: dict[str, float] = {}  # values and counts that the other side has
        self._sent: dict[str, Argument] = {}  # measured values that the other side has

    def act(self, call: Call, now: float, from_receiver: bool) -> None:
        """Do what a message says. Raises ValueError or KeyError, with the reason, if it cannot be used.

        from_receiver: True if the sender is also the receiver. It then knows the value that it sent.
        """
        if not call.address.startswith(ROOT):
            self._play(call, now)
            return
        name, _, form = call.address.removeprefix(ROOT).partition("/")
        parameter = BY_NAME.get(name)
        if parameter is not None and form in ("", NORMAL):
            value, exact = _value(parameter, call, normal=form == NORMAL)
            self._store.set(name, value, Origin.OSC)
            if from_receiver and exact:
                self._known[name] = value
            elif from_receiver:
                self._known.pop(name, None)  # send the resulting value back
        elif name == CV:
            _calibrate(self._calibrate, form, call)
        elif name in ACTIONS_BY_NAME and not form:
            if _pressed(call):
                snapshot = self._store.trigger(name, Origin.OSC)
                if from_receiver:
                    self._known[name] = snapshot.counts[name]
        elif name in FUNCTIONS_BY_NAME and not form:
            if _pressed(call):
                self._perform(name)
        else:
            raise UnknownAddressError(call.address)

    def _play(self, call: Call, now: float) -> None:
        position = round(min(1.0, max(0.0, _number(call))) * HIGHEST_14)
        event = ControlEvent(
            OSC_SENDERS, EventKind.OSC, 1, checksum(call.address), position, position > 0, now, call.address
        )
        if not self._handle(event):
            raise UnknownAddressError(call.address)

    def forget(self) -> None:
        """Forget what the other side has: `news` then returns everything."""
        self._known, self._sent = {}, {}

    def news(self, snapshot: ParameterSnapshot, measured: Mapping[str, Argument]) -> list[Call]:
        """Return the messages for what the other side does not know. An action is sent as a count that grows.

        measured: what is sent beside the parameters, by the rest of its address.
        """
        calls = []
        for name, value in snapshot.values.items():
            if self._known.get(name) != value:
                self._known[name] = value
                calls += _told(BY_NAME[name], value)
        for name, count in snapshot.counts.items():
            if self._known.get(name, 0) != count:
                self._known[name] = count
                calls.append(Call(ROOT + name, (count,)))
        for name, argument in measured.items():
            if self._sent.get(name) != argument:
                self._sent[name] = argument
                calls.append(Call(ROOT + name, (argument,)))
        return calls


def _told(parameter: Parameter, value: float) -> list[Call]:
    """Return a value in both forms. A list's entry goes as its word, a switch or counter as a whole number."""
    plain = parameter.plain(value)
    return [
        Call(ROOT + parameter.name, (int(plain) if isinstance(plain, bool) else plain,)),
        Call(f"{ROOT}{parameter.name}/{NORMAL}", (parameter.to_normal(value),)),
    ]


def _value(parameter: Parameter, call: Call, normal: bool) -> tuple[float, bool]:
    """Return the value that a message sets, and whether it is the sent one: it may have been rounded or limited."""
    if len(call.arguments) == 1 and isinstance(call.arguments[0], str) and not normal:
        return parameter.parse(call.arguments[0]), True
    number = _number(call)
    value = parameter.from_normal(number) if normal else parameter.clamp(number)
    return value, abs((parameter.to_normal(value) if normal else value) - number) < 1e-6


def _number(call: Call) -> float:
    if len(call.arguments) != 1:
        raise BadPacketError(f"{call.address}: {len(call.arguments)} arguments; send one number")
    argument = call.arguments[0]
    if not isinstance(argument, (bool, int, float)):
        raise BadPacketError(f"{call.address}: {argument!r} is no number")
    try:
        number = float(argument)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadPacketError(f"{call.address}: {argument!r} is not a finite number")
    return number


def _calibrate(calibrate: Callable[[int, str], object], channel: str, call: Call) -> None:
    """Store a channel's present voltage as an end of its span."""
    if not channel.isdecimal() or call.arguments not in (("low",), ("high",)):
        raise BadPacketError(f"{call.address}: send low or high to {ROOT}{CV}/3, for channel 3")
    calibrate(int(channel), str(call.arguments[0]))


def _pressed(call: Call) -> bool:
    """Return True if a message presses a button: it has no argument, or one above 0."""
    return not call.arguments or _number(call) > 0
