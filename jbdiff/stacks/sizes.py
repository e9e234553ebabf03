"""The sizes in a stack's description: whether a network and a stream can have them. No torch."""

from __future__ import annotations

import dataclasses
import math
from typing import get_type_hints

from jbdiff.config import StackConfig

LOWEST_RATE, HIGHEST_RATE = 1_000, 2_000_000  # Hz
MOST_TOKENS = 1 << 16  # of a window
MOST_STEPS = 100_000
MOST = 10**9  # of any size
PLAIN: dict[object, tuple[type, ...]] = {int: (int,), float: (int, float), bool: (bool,), str: (str,)}


def check_sizes(config: StackConfig) -> None:
    """Raise ValueError, with the name of the field, on a size of a wrong type or outside what can be played."""
    _check(config, "stack")
    if not config.levels:
        raise ValueError("stack.levels is empty; a stack has one level at least")
    if not LOWEST_RATE <= config.sample_rate <= HIGHEST_RATE:
        raise ValueError(f"sample_rate {config.sample_rate} is outside {LOWEST_RATE}..{HIGHEST_RATE}")
    for level in config.levels:
        for name, most in (("window_tokens", MOST_TOKENS), ("steps", MOST_STEPS)):
            if not 1 <= (value := getattr(level, name)) <= most:
                raise ValueError(f"{name} {value} of level {level.level} is outside 1..{most}")


def _check(value: object, where: str) -> None:
    """Check the types and the finiteness of all numbers in a dataclass, and in those inside it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = get_type_hints(type(value))
        for field in dataclasses.fields(value):
            item, hint = getattr(value, field.name), hints[field.name]
            kinds = PLAIN.get(hint)
            if kinds is not None and (
                not isinstance(item, kinds) or (isinstance(item, bool) and hint is not bool)
            ):
                raise ValueError(f"{where}.{field.name} is {item!r}; it takes {hint.__name__}")
            _check(item, f"{where}.{field.name}")
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            _check(item, f"{where}[{index}]")
    elif isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= MOST):
        raise ValueError(f"{where} is {value}; numbers go to {MOST}")
