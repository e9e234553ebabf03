"""MIDI messages as events. Pure functions over mido's messages."""

from __future__ import annotations

import mido

from jbdiff_live.binding import CLOCK_WORDS
from jbdiff_live.control.source import ControlEvent, EventKind

FULL_PRESS = 127  # the value of a message without a value


def event_of(message: mido.Message, device: str, now: float) -> ControlEvent | None:
    """Return a message as an event; None for a message that no control sends."""

    def of(kind: EventKind, number: int, value: int, on: bool = True) -> ControlEvent:
        return ControlEvent(device, kind, message.channel + 1, number, value, on, now)

    match message.type:
        case "control_change":
            return of(EventKind.CC, message.control, message.value)
        case "note_on" | "note_off":
            on = message.type == "note_on" and message.velocity > 0
            return of(EventKind.NOTE, message.note, message.velocity, on)
        case "pitchwheel":
            return of(EventKind.BEND, 0, message.pitch - mido.MIN_PITCHWHEEL)
        case "aftertouch":
            return of(EventKind.PRESSURE, 0, message.value)
        case "polytouch":
            return of(EventKind.KEY_PRESSURE, message.note, message.value)
        case "program_change":
            return of(EventKind.PROGRAM, message.program + 1, 0)
        case "start" | "continue" | "stop":
            number = CLOCK_WORDS.index(message.type)
            return ControlEvent(device, EventKind.CLOCK, 1, number, FULL_PRESS, True, now)
    return None
