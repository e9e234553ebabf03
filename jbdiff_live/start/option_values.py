"""What the text of an option stands for. A text without sense ends the program, and a sentence names the option."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeVar

import typer

from jbdiff_live.system.takes_folder import TAKE_SOUNDS

T = TypeVar("T")
E = TypeVar("E", bound=Enum)


def parsed(parse: Callable[[str], T], text: str, option: str) -> T:
    """Return what `parse` makes of an option. After a ValueError, the program names the option and ends."""
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def one_of(kind: type[E], text: str, option: str) -> E:
    """Return the member of an enum that an option names."""
    try:
        return kind(text)
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise typer.BadParameter(f"{text!r}; choose one of {known}", param_hint=option) from None


def input_pair(text: str) -> tuple[int, ...]:
    """Return the channels of `--input-channels`: "3" or "3,4"."""
    parts = [part.strip() for part in text.split(",")]
    if not 1 <= len(parts) <= 2 or not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise typer.BadParameter(
            f"{text!r}: give one or two channels, such as 3 or 3,4", param_hint="--input-channels"
        )
    return tuple(int(part) for part in parts)


def take_sound(text: str) -> str:
    """Return the sound of a take that `--take` names."""
    if text not in TAKE_SOUNDS:
        raise typer.BadParameter(f"{text!r}; choose one of {', '.join(TAKE_SOUNDS)}", param_hint="--take")
    return text
