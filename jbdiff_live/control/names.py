"""Names of controllers: what a controller is, the lasting part of a MIDI port's name, and the numbers of equal ones.

All functions are pure.

The systems put numbers into the names of ports, and give other numbers when a controller comes back:

| system | port | lasting name |
|---|---|---|
| ALSA | `nanoKONTROL2:nanoKONTROL2 MIDI 1 20:0` | `nanoKONTROL2:nanoKONTROL2 MIDI 1` |
| JACK, a2jmidid | `a2j:nano [20] (capture): nano MIDI 1` | `a2j:nano (capture): nano MIDI 1` |
| JACK, PipeWire | `Midi-Bridge:nano 3:(capture_0) nano MIDI 1` | `Midi-Bridge:nano:(capture_0) nano MIDI 1` |
| JACK, two clients of a name | `Box-01:knobs` | `Box:knobs` |
| Windows | `2- nanoKONTROL2 3` | `nanoKONTROL2` |

The second of two equal controllers is called `… #2`. They share one map.
"""

from __future__ import annotations

import platform
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from enum import Enum

from jbdiff_live.binding import BindingKind

_LINUX = (
    r" \d+:\d+$",  # ALSA: client and port
    r" \[\d+\](?= \()",  # a2jmidid: ALSA's client
    r" \d+(?=:\()",  # PipeWire: its node
    r"-\d\d(?=:)",  # JACK: another client of that name
)
_WINDOWS = (r"^\d+- ", r" \d+$")

# Controllers that are no MIDI inputs.
KEYBOARD = "computer keyboard"
OSC_SENDERS = "OSC"  # all of them together
CV_INPUT = "CV in "  # and the name of the sound input


class Family(Enum):
    """What a controller is, by what it sends."""

    MIDI = "MIDI"
    CV = "CV"
    OSC = "OSC"
    KEYS = "keys"


_FAMILIES = {
    BindingKind.CV: Family.CV,
    BindingKind.GATE: Family.CV,
    BindingKind.OSC: Family.OSC,
    BindingKind.KEY: Family.KEYS,
}

Port = tuple[str, int]  # the system's name, and which of the ports of exactly that name, from 0


def family_of(kind: BindingKind) -> Family:
    return _FAMILIES.get(kind, Family.MIDI)


def family(device: str) -> Family:
    """Return what a controller is, by its name."""
    if device == OSC_SENDERS:
        return Family.OSC
    if device == KEYBOARD:
        return Family.KEYS
    return Family.CV if device.startswith(CV_INPUT) else Family.MIDI


def numbered(ports: Iterable[str]) -> list[Port]:
    """Return each port with its number among ports of the same name, because some systems number nothing."""
    seen: Counter[str] = Counter()
    found = []
    for port in ports:
        found.append((port, seen[port]))
        seen[port] += 1
    return found


def index_of(port: Port, ports: Sequence[str]) -> int:
    """Return a port's index in the system's list. Raises ValueError if it has gone."""
    try:
        return numbered(ports).index(port)
    except ValueError:
        raise ValueError(f"{port[0]} is not there any more") from None


def lasting(port: str) -> str:
    """Return the part of a port's name that stays the same when the controller comes back."""
    for pattern in _WINDOWS if platform.system() == "Windows" else _LINUX:
        port = re.sub(pattern, "", port)
    return port


def free_name(port: str, used: Collection[str]) -> str:
    """Return the lasting name of a port, with "#2" and so on if an equal controller has it already."""
    base, count = lasting(port), 1
    name = base
    while name in used:
        count += 1
        name = f"{base} #{count}"
    return name


def model(name: str) -> str:
    """Return the name that equal controllers share: "Box:knobs" for "Box:knobs #2"."""
    return re.sub(r" #\d+$", "", name)


def place(name: str) -> int:
    """Return which of several equal controllers it is, from 0: 1 for "Box:knobs #2"."""
    return int(name.rpartition(" #")[2]) - 1 if name != model(name) else 0


def matches(port: str, names: Iterable[str]) -> bool:
    """Return True if one of the names is a part of the port's name. Upper and lower case are equal."""
    return any(name.lower() in port.lower() for name in names)
