"""The output of `--list` and `--bindings`: devices, patches, parameters, and the use of each control."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jbdiff_live.control_view import BindingRow
from jbdiff_live.parameters import PARAMETERS, Parameter
from jbdiff_live.shown import printable

if TYPE_CHECKING:
    from jbdiff_live.session import Session


@contextmanager
def reader_may_go() -> Iterator[None]:
    """Let the reader of a pipe, such as `head`, stop reading: the rest is printed nowhere, without a word."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more when it ends, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_all(session: Session) -> None:
    """Print devices, patches and parameters."""
    for title, names in (
        ("sound outputs", session.audio_devices()),
        ("sound inputs", session.input_devices()),
        ("MIDI inputs", session.midi_inputs()),
    ):
        print(f"{title}:", *map(printable, names or ["none"]), sep="\n  ")
    programs = session.patch_programs()
    patches = [
        f"{printable(name):<15} {_program_text(programs.get(name))}".rstrip() for name in session.patches()
    ]
    print("patches:", *(patches or ["none"]), sep="\n  ")
    print("parameters, for --set:", *map(describe, PARAMETERS), sep="\n  ")


def describe(parameter: Parameter) -> str:
    """Return one line of help: name, range or choices, moment at which a change acts, and purpose."""
    if parameter.choices:
        values = " | ".join(parameter.choices)
    elif parameter.toggle:
        values = "on | off"
    else:
        values = f"{parameter.low:g} to {parameter.high:g}{parameter.unit and ' ' + parameter.unit}"
    default = parameter.text(parameter.default)
    return (
        f"{parameter.name:<15} {values:<34} {default:<8} {parameter.takes_effect.value:<11} {parameter.help}"
    )


def binding_lines(rows: Sequence[BindingRow]) -> list[str]:
    """Return the table of bindings as text: for each input its controls, their targets, and who made the binding."""
    lines = []
    for device, group in itertools.groupby(rows, lambda row: row.device):
        lines.append(f"{printable(device)}:")
        lines += [f"  {row.control:<32} {row.label:<16} {row.target:<18} {row.source}" for row in group]
    return lines


def _program_text(program: int | None) -> str:
    return "" if program is None else f"program {program}"
