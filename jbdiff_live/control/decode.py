"""Decode MIDI messages into movements of controls: 14-bit pairs and (N)RPN become one control each.

No threads and no clock of its own; the caller's lock protects it. mido knows no 14-bit pairs and no NRPN.

A registered or non-registered parameter is addressed with two CCs (101 and 100, or 99 and 98) and moved
with CC 6 and 38. While a channel has an address, its CC 6 and 38 belong to that parameter. Otherwise they are
ordinary CCs.
"""

from __future__ import annotations

from dataclasses import dataclass

from jbdiff_live.binding import FINE_OFFSET, HIGHEST_14, BindingKind
from jbdiff_live.control.pairs import FULL_7, FULL_14, Pair, Value
from jbdiff_live.control.source import ControlEvent, EventKind

DATA_COARSE, DATA_FINE, DATA_UP, DATA_DOWN = 6, 38, 96, 97
ADDRESSES = {  # CC -> which parameters, and which half of the address
    99: (BindingKind.NRPN, 0),
    98: (BindingKind.NRPN, 1),
    101: (BindingKind.RPN, 0),
    100: (BindingKind.RPN, 1),
}
NO_PARAMETER = HIGHEST_14  # the address 127, 127: data entry goes nowhere
FIRST_MODE_CC = 120  # channel mode messages
ALL_SOUND_OFF, ALL_NOTES_OFF = 120, 123

_KINDS = {
    EventKind.CC: BindingKind.CC,
    EventKind.NOTE: BindingKind.NOTE,
    EventKind.PROGRAM: BindingKind.PROGRAM,
    EventKind.BEND: BindingKind.BEND,
    EventKind.PRESSURE: BindingKind.PRESSURE,
    EventKind.KEY_PRESSURE: BindingKind.KEY_PRESSURE,
    EventKind.CLOCK: BindingKind.CLOCK,
    EventKind.CV: BindingKind.CV,
    EventKind.GATE: BindingKind.GATE,
    EventKind.OSC: BindingKind.OSC,
    EventKind.KEY: BindingKind.KEY,
}
_FINE = frozenset({EventKind.BEND, EventKind.CV, EventKind.OSC})  # have 14 bits


@dataclass(frozen=True, slots=True)
class Reading:
    """The position of a control. value: 0 to `full` (127 or 16383). on: false when a note, gate or key ends.

    name: the OSC address or the key.
    """

    kind: BindingKind
    number: int
    channel: int
    value: int
    full: int = FULL_7
    on: bool = True
    name: str = ""

    @property
    def position(self) -> float:
        """Return the place in the control's travel, 0 to 1."""
        return self.value / self.full

    @property
    def seven_bits(self) -> int:
        """Return the value as 0 to 127."""
        return self.value if self.full == FULL_7 else self.value >> 7

    @property
    def high(self) -> bool:
        """True if the control stands above its middle."""
        return self.seven_bits > FULL_7 // 2


def is_panic(event: ControlEvent) -> bool:
    """Return True for "all sound off", and for "all notes off" with value 0, which a device sends when it stops."""
    if event.kind is not EventKind.CC:
        return False
    return event.number == ALL_SOUND_OFF or (event.number == ALL_NOTES_OFF and event.value == 0)


class _Address:
    """The parameter that data entry moves on one channel."""

    def __init__(self) -> None:
        self.kind = BindingKind.NRPN
        self._halves: dict[BindingKind, list[int | None]] = {
            BindingKind.NRPN: [None, None],
            BindingKind.RPN: [None, None],
        }

    def take(self, number: int, value: int) -> None:
        self.kind, half = ADDRESSES[number]
        self._halves[self.kind][half] = value

    @property
    def number(self) -> int | None:
        high, low = self._halves[self.kind]
        if high is None or low is None or high << 7 | low == NO_PARAMETER:
            return None
        return high << 7 | low


Place = tuple[str, int, BindingKind, int]  # device, channel, kind, number of a control


class Decoder:
    """Decodes the messages of all devices. Its memory grows with the number of controls, not of messages."""

    def __init__(self) -> None:
        self._addresses: dict[tuple[str, int], _Address] = {}
        self._pairs: dict[Place, Pair] = {}
        self._open: dict[Place, Pair] = {}  # pairs with a half that waits for the other half
        self._last: dict[Place, int] = {}  # 14-bit values of parameters, for "one up" and "one down"

    def forget(self, device: str) -> None:
        """Forget a device that was unplugged. Its next message begins without history."""
        self._addresses = {place: a for place, a in self._addresses.items() if place[0] != device}
        self._pairs = {place: pair for place, pair in self._pairs.items() if place[0] != device}
        self._open = {place: pair for place, pair in self._open.items() if place[0] != device}
        self._last = {place: value for place, value in self._last.items() if place[0] != device}

    def feed(
        self, event: ControlEvent, pairs: frozenset[int] = frozenset(), plain: frozenset[int] = frozenset()
    ) -> list[Reading]:
        """Return the readings that the message completes, oldest first. An address or half a pair completes none.

        pairs: CCs of this device that have a fine half. plain: CCs that this device sends from plain knobs,
        although MIDI gives them another meaning.
        """
        if event.kind is not EventKind.CC:
            full = FULL_14 if event.kind in _FINE else FULL_7
            kind = _KINDS[event.kind]
            return [Reading(kind, event.number, event.channel, event.value, full, event.on, event.name)]
        number = event.number
        if number >= FIRST_MODE_CC:
            return []
        if number not in plain:
            if number in ADDRESSES:
                self._addresses.setdefault((event.device, event.channel), _Address()).take(
                    number, event.value
                )
                return []
            address = self._addresses.get((event.device, event.channel))
            if address is not None and address.number is not None and number in _DATA:
                return self._data(event, address.kind, address.number)
        readings = [Reading(BindingKind.CC, number, event.channel, event.value)]
        for coarse in (number, number - FINE_OFFSET):
            if coarse in pairs:
                place = (event.device, event.channel, BindingKind.CC14, coarse)
                readings += self._half(place, number == coarse, event)
        return readings

    def addressed(self, event: ControlEvent) -> bool:
        """Return True if a registered or non-registered parameter is addressed on the event's channel."""
        address = self._addresses.get((event.device, event.channel))
        return address is not None and address.number is not None

    def settle(self, now: float) -> list[tuple[str, Reading]]:
        """Return the readings, with their device, of halves whose other half did not come in time."""
        found = []
        for place, pair in list(self._open.items()):
            found += [(place[0], self._reading(place, value)) for value in pair.settle(now)]
            if not pair.waits:
                del self._open[place]
        return found

    def _half(self, place: Place, coarse: bool, event: ControlEvent) -> list[Reading]:
        pair = self._pairs.setdefault(place, Pair())
        values = pair.coarse(event.value, event.time) if coarse else pair.fine(event.value, event.time)
        if pair.waits:
            self._open[place] = pair
        else:
            self._open.pop(place, None)
        return [self._reading(place, value) for value in values]

    def _data(self, event: ControlEvent, kind: BindingKind, number: int) -> list[Reading]:
        place = (event.device, event.channel, kind, number)
        if event.number in (DATA_COARSE, DATA_FINE):
            return self._half(place, event.number == DATA_COARSE, event)
        last = self._last.get(place)
        if last is None:
            return []  # the value is not known, so a step cannot change it
        value = min(FULL_14, max(0, last + (1 if event.number == DATA_UP else -1)))
        return [self._reading(place, (value, FULL_14))]

    def _reading(self, place: Place, value: Value) -> Reading:
        if value[1] == FULL_14:
            self._last[place] = value[0]
        return Reading(place[2], place[3], place[1], *value)


_DATA = frozenset((DATA_COARSE, DATA_FINE, DATA_UP, DATA_DOWN))
