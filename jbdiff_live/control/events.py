"""What a control source says, and the protocol of a source.

Threads: a source calls its handler on its own thread (MIDI: rtmidi's callback thread, one per input). Events
are immutable. Nobody here blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from jbdiff_live.status import ControlStatus

# C3 is note 60, as the pads and the live sets of most players have it; C1 (36) is then the first pad.
NOTE_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
LOWEST_OCTAVE = -2


class EventKind(Enum):
    CC = "CC"
    NOTE = "note"
    PROGRAM = "program"


@dataclass(frozen=True)
class ControlEvent:
    """One message. `channel` is 1..16, `number` and `value` 0..127, `time` in seconds of `time.monotonic`.

    `on` is meant for notes: false for a note-off, and for a note-on with velocity 0. A program change has its program
    for a number, 1..128 as most devices show it (one more than the byte), and no value.
    """

    device: str
    kind: EventKind
    channel: int
    number: int
    value: int
    on: bool = True
    time: float = 0.0

    def text(self) -> str:
        """The message as the window shows it: "CC 74 = 91 (ch 1)"."""
        if self.kind is EventKind.PROGRAM:
            return f"program {self.number} (ch {self.channel})"
        if self.kind is EventKind.NOTE:
            what = f"{self.value}" if self.on else "off"
            return f"note {note_name(self.number)} {what} (ch {self.channel})"
        return f"CC {self.number} = {self.value} (ch {self.channel})"


EventHandler = Callable[[ControlEvent], None]


class ControlSource(Protocol):
    """Something that is turned. It is made with its handler, which it calls on a thread of its own."""

    def start(self) -> None:
        """Begins to listen; what is missing becomes `status().problem`, never an exception."""
        ...

    def stop(self) -> None:
        """Ends its threads and closes its ports. May be called twice."""
        ...

    def status(self) -> ControlStatus: ...


def note_name(number: int) -> str:
    """ "C3" for 60."""
    return f"{NOTE_NAMES[number % 12]}{number // 12 + LOWEST_OCTAVE}"
