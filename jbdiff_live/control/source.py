"""The events and the status of a control source, and the protocol of a source.

Threads: a source calls its handler on its own thread (MIDI: rtmidi's callback thread, one per input). Events
are immutable. Nothing here blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from jbdiff_live.binding import CLOCK_WORDS, HIGHEST_14, note_name
from jbdiff_live.status import ControlStatus


class EventKind(Enum):
    CC = "CC"
    NOTE = "note"
    PROGRAM = "program"
    BEND = "pitch bend"
    PRESSURE = "pressure"
    KEY_PRESSURE = "key pressure"
    CLOCK = "MIDI"  # start, continue and stop
    CV = "CV"
    GATE = "gate"
    OSC = "OSC"
    KEY = "key"


@dataclass(frozen=True)
class ControlEvent:
    """One message.

    device: the input's name. channel: 1 to 16. number: 0 to 127 of the CC, note or key; 0 for pitch bend and channel
    pressure; 1 to 128 for a program, as most devices show it; the place in `CLOCK_WORDS` for `EventKind.CLOCK`.
    value: 0 to 127; 0 to 16383 for pitch bend, CV and OSC. on: false for a note-off, for a note-on with velocity 0,
    and when a gate or key ends. time: seconds of `time.monotonic`. name: the OSC address or the key, whose
    checksum is `number`. For CV and gates `number` is the channel of the sound input, from 1.
    """

    device: str
    kind: EventKind
    channel: int
    number: int
    value: int
    on: bool = True
    time: float = 0.0
    name: str = ""

    def text(self) -> str:
        """Return the message as the window shows it: "CC 74 = 91 (ch 1)"."""
        if self.kind is EventKind.CLOCK:
            return f"MIDI {CLOCK_WORDS[self.number]}"
        if self.kind is EventKind.CV:
            return f"CV {self.number} = {self.value / HIGHEST_14:.2f}"
        if self.kind is EventKind.OSC:
            return f"OSC {self.name} = {self.value / HIGHEST_14:.2f}"
        if self.kind in (EventKind.GATE, EventKind.KEY):
            return f"{self.kind.value} {self.name or self.number} {'on' if self.on else 'off'}"
        if self.kind is EventKind.PROGRAM:
            return f"program {self.number} (ch {self.channel})"
        if self.kind is EventKind.NOTE:
            what = f"{self.value}" if self.on else "off"
            return f"note {note_name(self.number)} {what} (ch {self.channel})"
        name = {
            EventKind.CC: f"CC {self.number}",
            EventKind.KEY_PRESSURE: f"pressure {note_name(self.number)}",
        }
        return f"{name.get(self.kind, self.kind.value)} = {self.value} (ch {self.channel})"


EventHandler = Callable[[ControlEvent], object]


class ControlSource(Protocol):
    """A source of control events, such as MIDI. It is made with its handler, which it calls on a thread of its own."""

    def start(self) -> None:
        """Begin to listen. If a device is missing, `status().problem` says so; nothing is raised."""
        ...

    def stop(self) -> None:
        """End its threads and close its ports. May be called twice."""
        ...

    def status(self) -> ControlStatus: ...
