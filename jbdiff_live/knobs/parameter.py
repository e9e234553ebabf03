"""One parameter: its range, the curve of its knob, and its texts. Immutable, shared by all threads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from jbdiff_live.travel import even_position, even_value


class TakesEffect(Enum):
    """The moment at which a change of a parameter reaches the sound."""

    NOW = "now"  # after the ring: gain, mute
    NEXT_STEP = "next step"  # read inside the block that is being made
    NEXT_BLOCK = "next block"  # read when a block is begun
    RELOAD = "reload"


class Curve(Enum):
    """How a knob's 0..1 travel maps onto the range."""

    LINEAR = "linear"
    SQUARED = "squared"  # finer at the low end
    EVEN = "even"  # of Noise: equal turns of the knob make equal audible differences


SWITCH_WORDS = {"on": True, "off": False, "true": True, "false": False, "yes": True, "no": False}


@dataclass(frozen=True)
class Parameter:
    """One value that a player can turn. `choices` makes it a list, `integer` a counter, `toggle` a switch."""

    name: str
    label: str
    low: float
    high: float
    default: float
    takes_effect: TakesEffect = TakesEffect.NEXT_BLOCK
    unit: str = ""
    curve: Curve = Curve.LINEAR
    integer: bool = False
    toggle: bool = False
    choices: tuple[str, ...] = ()
    help: str = ""
    silent_at_low: bool = False  # the lowest position of a level in dB is silence

    @property
    def both_ways(self) -> bool:
        """True if the range reaches as far below 0 as above."""
        return self.low == -self.high

    def clamp(self, value: float) -> float:
        """Return the nearest value that the parameter can hold. NaN raises ValueError."""
        if not math.isfinite(value):
            raise ValueError(f"{self.name} = {value!r} is not a finite number")
        value = min(self.high, max(self.low, float(value)))
        return float(round(value)) if self.integer or self.toggle or self.choices else value

    def from_normal(self, normal: float) -> float:
        """Return the value for a knob position 0..1."""
        position = min(1.0, max(0.0, float(normal)))
        if self.curve is Curve.SQUARED:
            position *= position
        elif self.curve is Curve.EVEN:
            position = even_value(position)
        return self.clamp(self.low + position * (self.high - self.low))

    def to_normal(self, value: float) -> float:
        """Return the knob position 0..1 of a value: the inverse of `from_normal`, except for rounding."""
        position = (self.clamp(value) - self.low) / (self.high - self.low)
        if self.curve is Curve.EVEN:
            return even_position(position)
        return math.sqrt(position) if self.curve is Curve.SQUARED else position

    def parse(self, value: object) -> float:
        """Read a value of a patch or command line: a number, a bool or "on" for a toggle, a name for a choice."""
        if isinstance(value, str):
            if value in self.choices:
                return float(self.choices.index(value))
            if self.toggle and value.lower() in SWITCH_WORDS:
                return float(SWITCH_WORDS[value.lower()])
            known = "on or off" if self.toggle else "a number, without quotation marks"
            known = f"one of {', '.join(self.choices)}" if self.choices else known
            raise ValueError(f"{self.name} = {value[:100]!r}: needs {known}")
        if isinstance(value, bool) and not self.toggle:
            raise ValueError(f"{self.name} = {value!r}: needs a number")
        if not isinstance(value, (bool, int, float)):
            raise ValueError(f"{self.name} = {value!r}: needs a number")
        try:
            number = float(value)
        except OverflowError:  # a number of hundreds of digits; the message does not show it
            raise ValueError(f"{self.name} is outside {self.low:g} to {self.high:g}") from None
        if not math.isfinite(number) or not self.low <= number <= self.high:
            raise ValueError(f"{self.name} = {value!r} is outside {self.low:g} to {self.high:g}")
        return self.clamp(number)

    def plain(self, value: float) -> float | int | bool | str:
        """Return the value as a person writes it in a patch: the inverse of `parse`."""
        if self.choices:
            return self.choices[int(value)]
        if self.toggle:
            return bool(value)
        return int(value) if self.integer else float(value)

    def text(self, value: float) -> str:
        """Return the value as the window shows it."""
        plain = self.plain(value)
        if isinstance(plain, bool):
            return "on" if plain else "off"
        if isinstance(plain, str):
            return plain
        if isinstance(plain, int):
            return f"{plain}{self.unit and ' ' + self.unit}"
        if self.silent_at_low and value <= self.low:
            return "-inf dB"
        digits = 1 if self.unit else 2
        return f"{round(plain, digits) + 0.0:.{digits}f}{self.unit and ' ' + self.unit}"  # + 0.0: no "-0.00"
