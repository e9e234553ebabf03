"""Learning: decides which control the player means. No threads, no clock; event times are passed in.

The rule, for a rig where other things send messages as well:

- a button counts at once, if the target takes one: a note, a program change, MIDI start and stop;
- for a continuous target, a note is learned when it ends: its velocity then moves the target. If the key is
  pressed harder meanwhile, its pressure is learned, because pressure always begins with a note;
- a CC that was never received before learning began counts at its first message: somebody just touched it;
- any other control must move MOVED steps of 127 away from its position when learning began. A CV-to-MIDI
  converter jitters by one or two steps. These never add up, because the starting point stays;
- the fine half of a pair never counts by itself: its value runs through its whole range while the knob barely
  moves. A fine half is CC n + 32 within PAIR_SECONDS after CC n, on the same device and channel;
- once a CC counts, its partner (n and n + 32) has PAIR_SECONDS to follow. If it comes, the control is a
  14-bit pair. If the same CC comes again first, or the time runs out, it is a plain CC;
- to unlearn or locate, where any control will do, the second message of a control that was at rest counts. So does
  an encoder, which may send the same number again and again;
- a registered or non-registered parameter is one control, although it uses several CCs;
- channel mode messages (CC 120 to 127) and addresses (CC 98 to 101) are never learned;
- bank select (CC 0 and 32), data entry (CC 6 and 38), increment and decrement (CC 96 and 97) are learned only if the
  controller's map says that they are plain knobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from jbdiff_live.binding import FINE_OFFSET, BindingKind
from jbdiff_live.control.decode import (
    ADDRESSES,
    DATA_COARSE,
    DATA_DOWN,
    DATA_FINE,
    DATA_UP,
    FIRST_MODE_CC,
    Place,
    Reading,
)
from jbdiff_live.control.source import ControlEvent, EventKind

MOVED = 4  # steps of 127
STILL_SECONDS = 1.0  # a control that sent nothing for so long is at rest
TURNED_SECONDS = 0.5  # two messages in so short a time, after that rest, come from a hand
PAIR_SECONDS = 0.12  # controllers send both halves back to back; JACK and USB add a few ms each
RESERVED = {
    0: "selects a bank of sounds",
    32: "selects a bank of sounds",
    DATA_COARSE: "is data entry",
    DATA_FINE: "is data entry",
    DATA_UP: "is data increment",
    DATA_DOWN: "is data decrement",
}
PARAMETERS = frozenset({BindingKind.NRPN, BindingKind.RPN})
BUTTONS = frozenset({EventKind.PROGRAM, EventKind.CLOCK, EventKind.GATE, EventKind.KEY})
REST = {
    BindingKind.BEND: 64,
    BindingKind.PRESSURE: 0,
    BindingKind.KEY_PRESSURE: 0,
}  # positions that these controls return to when the hand lets go


@dataclass(frozen=True)
class Gesture:
    """The touched control. number: the coarse CC of a 14-bit pair. values: the received values of a plain CC."""

    device: str
    channel: int
    kind: BindingKind
    number: int
    velocity: bool = False
    values: tuple[int, ...] = ()
    name: str = ""  # for an OSC address or a key


@dataclass(frozen=True)
class Answer:
    """The result of one message for learning.

    taken: True if learning used the message, so that it moves nothing. complaint: why a control is refused.
    """

    gesture: Gesture | None = None
    taken: bool = False
    complaint: str = ""


NOTHING = Answer()


def place_of(device: str, reading: Reading) -> Place:
    """Return the control that a reading belongs to."""
    return device, reading.channel, reading.kind, reading.number


class Learner:
    """Learns one control at a time. The caller's lock protects it."""

    def __init__(self) -> None:
        self.listening = False
        self._buttons: bool | None = None
        self._ignored: frozenset[Place] = frozenset()
        self._start: dict[Place, int] = {}
        self._last_seen: dict[Place, float] = {}  # time of each control's last message
        self._woke: dict[Place, float] = {}  # time of the first message after a rest
        self._touched: ControlEvent | None = None  # a CC that counts, waiting for its partner
        self._struck: ControlEvent | None = None  # a note that is held, for a continuous target
        self._coarse_seen: dict[tuple[str, int, int], float] = {}
        self._refused: dict[tuple[str, int, int], int] = {}

    def begin(
        self,
        positions: Mapping[Place, int],
        buttons: bool | None,
        ignored: frozenset[Place] = frozenset(),
        last_seen: Mapping[Place, float] = MappingProxyType({}),
    ) -> None:
        """Listen for a control, from these positions (0 to 127) on. last_seen: second of each control's last message.

        buttons: True if the target takes a button, False if it takes a position, None if any control will do.
        ignored: controls that do not count.
        """
        self.end()
        self.listening = True
        self._buttons, self._ignored = buttons, ignored
        self._start, self._last_seen, self._woke = dict(positions), dict(last_seen), {}

    def end(self) -> None:
        self.listening = False
        self._start, self._coarse_seen, self._refused = {}, {}, {}
        self._touched = self._struck = None

    def settle(self, now: float) -> Gesture | None:
        """Return the touched CC as a plain CC if its partner did not come in time."""
        touched = self._touched
        if touched is None or now - touched.time <= PAIR_SECONDS:
            return None
        self._touched = None
        return _plain(touched)

    def hear(self, event: ControlEvent, readings: Sequence[Reading], plain: frozenset[int]) -> Answer:
        """Take a message and its readings. plain: CCs that this controller sends from plain knobs."""
        if any(place_of(event.device, reading) in self._ignored for reading in readings):
            return NOTHING
        for reading in readings:
            self._time(place_of(event.device, reading), event.time)
        late = self.settle(event.time)
        if late is not None:
            same = (event.device, event.channel, event.kind, event.number) == (
                late.device, late.channel, EventKind.CC, late.number,
            )  # fmt: skip
            return Answer(late, same)
        if event.kind is EventKind.CC:
            return self._cc(event, readings, plain)
        if self._touched is not None:
            return NOTHING
        if event.kind is EventKind.NOTE:
            return self._note(event)
        if event.kind in BUTTONS:
            return NOTHING if self._buttons is False or not event.on else self._moved(event.device, readings)
        if event.kind is EventKind.OSC:  # an OSC address may be a button or a fader: its first message counts
            return self._moved(event.device, readings)
        return NOTHING if self._buttons else self._moved(event.device, readings)

    def hear_late(self, device: str, reading: Reading) -> Gesture | None:
        """Take a reading that is complete because its time ran out."""
        if not self.listening or reading.kind not in PARAMETERS or place_of(device, reading) in self._ignored:
            return None
        return self._moved(device, (reading,)).gesture

    # ------------------------------------------------------------------ kinds of control

    def _note(self, event: ControlEvent) -> Answer:
        gesture = Gesture(
            event.device, event.channel, BindingKind.NOTE, event.number, self._buttons is False
        )  # fmt: skip
        if self._buttons is not False:
            return Answer(gesture, True) if event.on else NOTHING
        struck = self._struck
        if event.on:
            self._struck = struck or event
            return Answer(taken=True)
        if struck is None or (struck.device, struck.channel, struck.number) != (
            event.device, event.channel, event.number,
        ):  # fmt: skip
            return NOTHING
        return Answer(gesture, True)

    def _moved(self, device: str, readings: Sequence[Reading]) -> Answer:
        """Take a control that is not a CC. It counts when it has moved; a button counts at once."""
        for reading in readings:
            place = place_of(device, reading)
            if reading.kind is BindingKind.CV:  # a voltage is always present: start from the first one
                self._start.setdefault(place, reading.seven_bits)
            start = self._start.get(place, REST.get(reading.kind))
            if start is None or abs(reading.seven_bits - start) >= MOVED or self._turned(place):
                gesture = Gesture(device, reading.channel, reading.kind, reading.number, name=reading.name)
                return Answer(gesture, True)
        return NOTHING

    def _cc(self, event: ControlEvent, readings: Sequence[Reading], plain: frozenset[int]) -> Answer:
        if event.number not in plain:
            if event.number >= FIRST_MODE_CC or event.number in ADDRESSES:
                return NOTHING
            parameters = [r for r in readings if r.kind in PARAMETERS]
            if parameters:
                return self._moved(event.device, parameters)
            if not readings:
                return NOTHING  # half of a parameter's value
            if event.number in RESERVED:
                return self._reserved(event)
        touched = self._touched
        if touched is not None:
            return self._after(touched, event)
        if not self._counts(event):
            return NOTHING
        if event.number >= 2 * FINE_OFFSET or self._buttons is None:  # has no partner, or needs none
            return Answer(_plain(event), True)
        self._touched = event
        return Answer(taken=True)

    def _after(self, touched: ControlEvent, event: ControlEvent) -> Answer:
        """Take a CC that comes while a touched one waits for its partner."""
        if (event.device, event.channel) != (touched.device, touched.channel):
            return NOTHING
        if event.number == touched.number:
            return Answer(_plain(touched, event.value), True)
        if abs(event.number - touched.number) == FINE_OFFSET:
            coarse = min(event.number, touched.number)
            return Answer(Gesture(event.device, event.channel, BindingKind.CC14, coarse), True)
        return NOTHING

    def _reserved(self, event: ControlEvent) -> Answer:
        """Complain about a reserved CC only when its value changes: a single message just selects a bank."""
        where = (event.device, event.channel, event.number)
        if self._refused.setdefault(where, event.value) == event.value:
            return NOTHING
        return Answer(
            complaint=f"CC {event.number} {RESERVED[event.number]} and is not learned; if a knob of {event.device} "
            f"sends it, write plain = [{event.number}] into the map of that controller"
        )

    def _counts(self, event: ControlEvent) -> bool:
        where = (event.device, event.channel, event.number)
        if event.number < FINE_OFFSET:
            self._coarse_seen[where] = event.time
        elif event.number < 2 * FINE_OFFSET:
            coarse = self._coarse_seen.get((event.device, event.channel, event.number - FINE_OFFSET))
            if coarse is not None and event.time - coarse <= PAIR_SECONDS:
                return False
        place = (event.device, event.channel, BindingKind.CC, event.number)
        start = self._start.get(place)
        return start is None or abs(event.value - start) >= MOVED or self._turned(place)

    def _time(self, place: Place, now: float) -> None:
        """Note a control's message. The first one after a rest may be a drift; a hand sends a second one soon."""
        last = self._last_seen.get(place)
        self._last_seen[place] = now
        if last is None or now - last >= STILL_SECONDS:
            self._woke[place] = now

    def _turned(self, place: Place) -> bool:
        """Return True if a control is turned by a hand, where any control will do."""
        woke, now = self._woke.get(place), self._last_seen.get(place)
        return (
            self._buttons is None
            and woke is not None
            and now is not None
            and 0 < now - woke <= TURNED_SECONDS
        )


def _plain(event: ControlEvent, *more: int) -> Gesture:
    return Gesture(
        event.device, event.channel, BindingKind.CC, event.number, values=(event.value, *more)
    )  # fmt: skip
