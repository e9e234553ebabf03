"""Endless encoders: what a step is in each encoding, and how to tell an encoder from a knob.

No threads, no clock.

| encoding | one up, two up | one down, two down |
|---|---|---|
| two's complement | 1, 2 | 127, 126 |
| offset 64 | 65, 66 | 63, 62 |
| sign bit | 1, 2 | 65, 66 |
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from jbdiff_live.binding import Encoding

FASTEST = 15  # most steps in one message while an encoder is being recognised
MOST_MESSAGES = 24  # after so many messages, a control that is not clearly an encoder counts as a knob
SAME = 3  # an encoder that is turned steadily repeats itself; a knob does not
SAME_AT_TOP = 8  # but some knobs repeat 127 when they are turned on at the end of their travel
FAR = 40  # a knob does not jump so far and back

_STEPS: Mapping[Encoding, Callable[[int], int]] = {
    Encoding.TWOS_COMPLEMENT: lambda value: value if value < 64 else value - 128,
    Encoding.OFFSET_64: lambda value: value - 64,
    Encoding.SIGN_BIT: lambda value: value if value < 64 else 64 - value,
}


def steps(encoding: Encoding, value: int) -> int:
    """Return the steps of an encoder's message: above 0 is up, below 0 is down."""
    return _STEPS[encoding](value)


class Recognition:
    """Watches the values of one CC until it is clear what sends them."""

    def __init__(self) -> None:
        self._values: list[int] = []

    @property
    def values(self) -> tuple[int, ...]:
        return tuple(self._values)

    def feed(self, value: int) -> Encoding | bool:
        """Return the encoding of an encoder, True for a knob or button, False while it is not clear."""
        self._values.append(value)
        if not any(_plausible(encoding, value) for encoding in Encoding):
            return True
        if self._repeats() or self._goes_both_ways():
            return next(iter(encodings_of(self._values)), True)
        return len(self._values) >= MOST_MESSAGES

    def _repeats(self) -> bool:
        many = SAME_AT_TOP if self._values[-1] == 127 else SAME
        return len(self._values) >= many and len(set(self._values[-many:])) == 1

    def _goes_both_ways(self) -> bool:
        far = sum(abs(a - b) > FAR for a, b in zip(self._values, self._values[1:], strict=False))
        return far >= 1 and len(self._values) > SAME and bool(encodings_of(self._values))


def encodings_of(values: Collection[int]) -> list[Encoding]:
    """Return encodings in which every value is a small step, the commoner first. Turns one way may fit two."""
    return [e for e in Encoding if all(_plausible(e, value) for value in values)]


def _plausible(encoding: Encoding, value: int) -> bool:
    return 1 <= abs(steps(encoding, value)) <= FASTEST
