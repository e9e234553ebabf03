"""The lights of a controller: the `[feedback]` lines of its map, and their immutable form. Pure.

| in `[feedback]` | message |
|---|---|
| `gain = "own"` | the message that Gain's control sends; for motor faders, and for encoders with a ring of lights |
| `hold = "own on 60 off 12"` | the same with these two values; for a button with a light in colours |
| `hold = "ch 1 note C-2 on 1 off 0"` | another message; for a light that is no part of the control |
| `all = "own"` | "own" for every target that has a control and no line of its own |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from jbdiff_live.binding import Binding, BindingKind, label

ALL = "all"
OWN = "own"
SHOWN = frozenset({BindingKind.CC, BindingKind.CC14, BindingKind.NRPN, BindingKind.BEND, BindingKind.NOTE})
_LIGHT = re.compile(
    r"(?P<control>.+?)(?:\s+on\s+(?P<on>\d{1,3}))?(?:\s+off\s+(?P<off>\d{1,3}))?", re.IGNORECASE
)


class Shows(Enum):
    """Which value a controller shows while a change waits for the next block."""

    SET = "set"  # the value that was set
    HEARD = "heard"  # the value of the audible block


@dataclass(frozen=True)
class Light:
    """How one value is shown. own: by its own control's message, which a motor may follow. on, off: for a switch."""

    own: bool = True
    on: int = 127
    off: int = 0


@dataclass(frozen=True)
class Shown:
    """A target, and the control whose message shows it. The control itself may be bound to another target."""

    target: str
    control: Binding
    light: Light


@dataclass(frozen=True)
class Lights:
    """All lights of one controller. outputs: parts of its MIDI outputs' names, if they differ from the inputs'."""

    outputs: tuple[str, ...] = ()
    shows: Shows = Shows.SET
    own: Mapping[str, Light] = field(default_factory=lambda: MappingProxyType({}))  # by target, or `ALL`
    other: tuple[Shown, ...] = ()

    @property
    def any(self) -> bool:
        """Return True if anything is sent to the controller."""
        return bool(self.own or self.other)

    def of(self, bindings: Iterable[Binding]) -> tuple[Shown, ...]:
        """Return what a controller with these bindings shows."""
        listed = {shown.target for shown in self.other}
        found = []
        for binding in bindings:
            light = self.own.get(binding.target)
            if light is None and binding.target not in listed:
                light = self.own.get(ALL)
            if light is not None and binding.kind in SHOWN:
                found.append(Shown(binding.target, binding, light))
        return (*found, *self.other)


NO_LIGHTS = Lights()


def read_lights(
    outputs: Sequence[str], shows: str, table: Mapping[str, str], complain: Callable[[str], None]
) -> Lights:
    """Return the lights that a map describes. complain: called with the reason for each line that cannot be used."""
    own: dict[str, Light] = {}
    other = []
    for target, text in table.items():
        try:
            control, light = _read(target, text)
        except (ValueError, KeyError) as error:
            complain(f"[feedback] {target}: {error.args[0]}; the line is left out")
            continue
        if control is None:
            own[target] = light
        else:
            other.append(Shown(target, control, light))
    known = {each.value: each for each in Shows}
    if shows not in known:
        complain(f"shows = {shows!r}: choose one of {', '.join(known)}")
    return Lights(tuple(outputs), known.get(shows, Shows.SET), MappingProxyType(own), tuple(other))


def _read(target: str, text: str) -> tuple[Binding | None, Light]:
    if target != ALL:
        label(target)
    match = _LIGHT.fullmatch(text.strip())
    assert match is not None  # the pattern fits every text that is not empty
    on, off = (int(match[name] or default) for name, default in (("on", 127), ("off", 0)))
    if on > 127 or off > 127:
        raise ValueError(f"{text!r}: values go from 0 to 127")
    light = Light(own=match["control"].lower() == OWN, on=on, off=off)
    if light.own:
        return None, light
    if target == ALL:
        raise ValueError(f"{text!r}: write {OWN!r}, which is each target's own control")
    # A light may show a value that its control cannot move. So it is parsed like an action's, which may be any control.
    control = Binding.parse("panic", match["control"])
    if control.kind not in SHOWN:
        raise ValueError(f"{control.control} cannot be sent; write a CC, an NRPN, pitch bend or a note")
    return control, light
