"""What one movement of a control does to the values: buttons, switches, encoders, and knobs with takeover.

No thread of its own; the control map's lock protects it, and is held while the store is written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from jbdiff_live.binding import TRIGGERS, Binding, BindingKind, TakeoverMode
from jbdiff_live.control.decode import Reading
from jbdiff_live.control.relative import steps
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

Hand = tuple[str, int, Binding]  # device, channel, binding


class Player:
    """Applies one movement of a control. perform: does a session's function, such as "play"; must not block."""

    def __init__(self, store: ParameterStore, perform: Callable[[str], None]) -> None:
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
                self._act(binding.target, origin_of(reading))
        elif binding.encoding is not None:
            self._turn(parameter, steps(binding.encoding, reading.value))
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
        """Note that a control has followed its value by itself, by a motor or a ring of lights."""
        self._takeovers.setdefault((device, channel, binding), Takeover()).placed(position, travel)

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
                found[name] = Ghost(takeover.position, takeover.holds(travel))
        return found

    # ------------------------------------------------------------------ kinds of control

    def _act(self, target: str, origin: Origin) -> None:
        if target in ACTIONS_BY_NAME:
            self._store.trigger(target, origin)
        else:
            self._perform(target)

    def _turn(self, parameter: Parameter, count: int) -> None:
        """Turn by an endless encoder: one step is one entry, one count, or 1/127 of the travel."""
        now = self._store.snapshot[parameter.name]
        if parameter.toggle:
            value = float(count > 0)
        elif parameter.choices or parameter.integer:
            value = now + count
        else:
            value = parameter.from_normal(parameter.to_normal(now) + count * STEP)
        self._store.set(parameter.name, value, Origin.MIDI)

    def _gate(self, hand: Hand, on: bool, quiet: bool) -> None:
        """Keep a switch on while a note is held. The end of a note whose start was not received changes nothing."""
        if on == (hand in self._held) or (on and quiet):
            return
        self._held ^= {hand}
        self._store.set(hand[2].target, float(on), Origin.MIDI)

    def _strike(self, parameter: Parameter, binding: Binding, reading: Reading) -> None:
        """Apply a press: a button steps a switch or list; a note with a velocity binding sets the value."""
        if binding.velocity:
            value = value_at(parameter, reading.value, reading.full)
        else:
            value = (self._store.snapshot[parameter.name] + 1) % (len(parameter.choices) or 2)
        self._store.set(parameter.name, value, origin_of(reading))

    def _switch(
        self, device: str, parameter: Parameter, binding: Binding, reading: Reading, quiet: bool
    ) -> None:
        """Move a switch when the position passes the middle. The first position changes nothing."""
        takeover = self._takeover(device, reading, binding)
        before, takeover.position = takeover.position, reading.position
        if not quiet and reading.high != (before is not None and before > 0.5):
            self._store.set(parameter.name, float(reading.high), origin_of(reading))

    def _follow(
        self, device: str, parameter: Parameter, binding: Binding, reading: Reading, mode: TakeoverMode
    ) -> None:
        """Move a value by a knob. Takeover decides whether the value follows."""
        takeover = self._takeover(device, reading, binding)
        self._last[parameter.name] = (device, reading.channel, binding)
        position, near = reading.position, max(1 / reading.full, NEAR)
        if parameter.choices:  # each entry has its share of the travel
            position, near = parameter.to_normal(value_at(parameter, reading.value, reading.full)), 0.0
        travel = parameter.to_normal(self._store.snapshot[parameter.name])
        new = takeover.move(mode, position, travel, near)
        if new is not None:
            after = self._store.set(parameter.name, parameter.from_normal(new), origin_of(reading))
            takeover.wrote(parameter.to_normal(after[parameter.name]))

    def _takeover(self, device: str, reading: Reading, binding: Binding) -> Takeover:
        return self._takeovers.setdefault((device, reading.channel, binding), Takeover())


def origin_of(reading: Reading) -> Origin:
    """Return the origin of changes by this control."""
    return ORIGINS.get(reading.kind, Origin.MIDI)


def value_at(parameter: Parameter, value: int, full: int) -> float:
    """Return the value for a control at `value` of 0 to `full` (127 or 16383). 0 gives low, `full` gives high.

    A list gets an equal share of the travel for each entry; a switch is on from the middle up.
    """
    if parameter.toggle:
        return float(value > full // 2)
    if parameter.choices:
        return float(value * len(parameter.choices) // (full + 1))
    return parameter.from_normal(value / full)
