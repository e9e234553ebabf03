"""What one movement of a control does to the values: buttons, switches, encoders, and knobs with takeover.

No thread of its own; the control map's lock protects it, and is held while the store is written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from jbdiff_live.beat.line import Unit
from jbdiff_live.binding import TRIGGERS, Binding, BindingKind, TakeoverMode
from jbdiff_live.control.decode import Reading
from jbdiff_live.control.relative import steps
from jbdiff_live.control.response import position_of, travel_of
from jbdiff_live.control.takeover import Takeover
from jbdiff_live.control_view import Ghost
from jbdiff_live.parameters import ACTIONS_BY_NAME, BY_NAME, Origin, Parameter, ParameterStore

STEP = 1 / 127  # of the travel, for one step of an encoder
NEAR = 1 / 512  # of the travel: the ends of some hardware are never quite reached
BUTTONS = TRIGGERS
ORIGINS = {
    BindingKind.OSC: Origin.OSC,
    BindingKind.CV: Origin.CV,
    BindingKind.GATE: Origin.CV,
    BindingKind.KEY: Origin.KEY,
}  # every other kind comes by MIDI

Perform = Callable[[str, Unit | None], None]  # a function of the session, and what its control waits for
Hand = tuple[str, int, Binding]  # device, channel, binding


class Player:
    """Applies one movement of a control. perform: does a session's function, such as "play"; must not block."""

    def __init__(self, store: ParameterStore, perform: Perform) -> None:
        self._store = store
        self._perform = perform
        self._takeovers: dict[Hand, Takeover] = {}
        self._held: set[Hand] = set()  # gates that are on
        self._last: dict[str, Hand] = {}  # parameter -> the control that was turned last

    def play(
        self, device: str, reading: Reading, binding: Binding, mode: TakeoverMode, pressed: bool, quiet: bool
    ) -> None:
        """Do what a binding does with a reading.

        pressed: True if a button was pressed. quiet: True if a switch must not change, because the controller only
        reports its position.
        """
        parameter = BY_NAME.get(binding.target)
        if parameter is None:
            if pressed:
                self._act(binding, origin_of(reading))
        elif binding.encoding is not None:
            self._turn(parameter, binding, steps(binding.encoding, reading.value))
        elif binding.gate:
            self._gate((device, reading.channel, binding), reading.on, quiet)
        elif reading.kind in BUTTONS or binding.button:
            if pressed:
                self._strike(parameter, binding, reading)
        elif parameter.toggle:
            self._switch(device, parameter, binding, reading, quiet)
        else:
            self._follow(device, parameter, binding, reading, mode)

    def let_go(self, device: str, channel: int, bindings: Collection[Binding]) -> None:
        """Note that a control moved without moving its values: it must take them over again."""
        for binding in bindings:
            takeover = self._takeovers.get((device, channel, binding))
            if takeover is not None:
                takeover.arm()

    def placed(self, device: str, channel: int, binding: Binding, position: float, travel: float) -> None:
        """A control follows the values by itself (a motor, a ring of lights) and now stands at its value."""
        takeover = self._takeovers.setdefault((device, channel, binding), Takeover())
        takeover.placed(position, position_of(binding, travel))

    def forget(self, device: str) -> None:
        """Make the controls of a controller take over again: its bindings changed, or it came or went.

        A gate that it held ends, because nobody would send its end.
        """
        for hand in [hand for hand in self._held if hand[0] == device]:
            self._gate(hand, False, False)
        self._takeovers = {hand: t for hand, t in self._takeovers.items() if hand[0] != device}
        self._last = {name: hand for name, hand in self._last.items() if hand[0] != device}

    def ghosts(self) -> dict[str, Ghost]:
        """Return the position of the hardware, by parameter."""
        found = {}
        for name, hand in self._last.items():
            takeover = self._takeovers.get(hand)
            if takeover is not None and takeover.position is not None:
                travel = BY_NAME[name].to_normal(self._store.snapshot[name])
                taken = takeover.holds(position_of(hand[2], travel))
                found[name] = Ghost(travel_of(hand[2], takeover.position), taken)
        return found

    # ------------------------------------------------------------------ kinds of control

    def _act(self, binding: Binding, origin: Origin) -> None:
        if binding.target in ACTIONS_BY_NAME:
            self._store.trigger(binding.target, origin, binding.hold)
        else:
            self._perform(binding.target, binding.hold)

    def _turn(self, parameter: Parameter, binding: Binding, count: int) -> None:
        """An encoder without ends: one step is one entry, one count, or 1/127 of its travel."""
        now = self._store.snapshot[parameter.name]
        up = -count if binding.inverted else count
        if parameter.toggle:
            value = float(up > 0)
        elif parameter.choices or parameter.integer:
            low, high = binding.span or (parameter.low, parameter.high)
            value = min(high, max(low, now + up))
        else:
            position = position_of(binding, parameter.to_normal(now)) + count * STEP
            value = parameter.from_normal(travel_of(binding, min(1.0, max(0.0, position))))
        self._store.set(parameter.name, value, Origin.MIDI, binding.hold)

    def _gate(self, hand: Hand, on: bool, quiet: bool) -> None:
        """Keep a switch on while a note is held. The end of a note whose start was not received changes nothing."""
        if on == (hand in self._held) or (on and quiet):
            return
        self._held ^= {hand}
        self._store.set(hand[2].target, float(on), Origin.MIDI, hand[2].hold)

    def _strike(self, parameter: Parameter, binding: Binding, reading: Reading) -> None:
        """Apply a press: a button steps a switch or list; a note with a velocity binding sets the value."""
        if binding.velocity:
            value = _value_of(parameter, binding, reading)
        else:
            value = (self._store.snapshot[parameter.name] + 1) % (len(parameter.choices) or 2)
        self._store.set(parameter.name, value, origin_of(reading), binding.hold)

    def _switch(
        self, device: str, parameter: Parameter, binding: Binding, reading: Reading, quiet: bool
    ) -> None:
        """Move a switch when the position passes the middle. The first position changes nothing."""
        takeover = self._takeover(device, reading, binding)
        before, takeover.position = takeover.position, reading.position
        if not quiet and reading.high != (before is not None and before > 0.5):
            on = reading.high != binding.inverted
            self._store.set(parameter.name, float(on), origin_of(reading), binding.hold)

    def _follow(
        self, device: str, parameter: Parameter, binding: Binding, reading: Reading, mode: TakeoverMode
    ) -> None:
        """Move a value by a knob. Takeover decides whether the value follows."""
        takeover = self._takeover(device, reading, binding)
        self._last[parameter.name] = (device, reading.channel, binding)
        position, near = reading.position, max(1 / reading.full, NEAR)
        if parameter.choices:  # each entry has its share of the travel
            position, near = parameter.to_normal(value_at(parameter, reading.value, reading.full)), 0.0
        place = position_of(binding, parameter.to_normal(self._store.snapshot[parameter.name]))
        new = takeover.move(mode, position, place, near)
        if new is not None:
            value = parameter.from_normal(travel_of(binding, new))
            after = self._store.set(parameter.name, value, origin_of(reading), binding.hold)
            takeover.wrote(position_of(binding, parameter.to_normal(after[parameter.name])))

    def _takeover(self, device: str, reading: Reading, binding: Binding) -> Takeover:
        return self._takeovers.setdefault((device, reading.channel, binding), Takeover())


def origin_of(reading: Reading) -> Origin:
    """Return the origin of changes by this control."""
    return ORIGINS.get(reading.kind, Origin.MIDI)


def _value_of(parameter: Parameter, binding: Binding, reading: Reading) -> float:
    """Return the parameter's value for a reading, in the binding's range."""
    if parameter.toggle or parameter.choices:
        value = reading.full - reading.value if binding.inverted else reading.value
        return value_at(parameter, value, reading.full)
    return parameter.from_normal(travel_of(binding, reading.position))


def value_at(parameter: Parameter, value: int, full: int) -> float:
    """Return the value for a control at `value` of 0 to `full` (127 or 16383). 0 gives low, `full` gives high.

    A list gets an equal share of the travel for each entry; a switch is on from the middle up.
    """
    if parameter.toggle:
        return float(value > full // 2)
    if parameter.choices:
        return float(value * len(parameter.choices) // (full + 1))
    return parameter.from_normal(value / full)
