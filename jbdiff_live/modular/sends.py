"""Sends to a rack, as a person writes them: "envelope=CV 3", "gate=ch 1 note C3". Shared and immutable."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jbdiff_live.binding import HIGHEST_CHANNEL, Binding, BindingKind
from jbdiff_live.modular.movement import Measure

SOUND_CHANNELS = 2  # the first channels of an output carry the music
_CV = re.compile(r"CV\s*(?P<channel>\d{1,3})(?:\s+(?P<low>[-+.\d]+):(?P<high>[-+.\d]+))?", re.IGNORECASE)
MIDI_KINDS = frozenset(
    {BindingKind.CC, BindingKind.CC14, BindingKind.NRPN, BindingKind.BEND, BindingKind.NOTE}
)


@dataclass(frozen=True)
class CvSend:
    """A measure on a channel of the sound output, from 1. low, high: samples for 0 and 1; 1.0 is full scale."""

    measure: Measure
    channel: int
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class MidiSend:
    """A measure as the message of a control. A note is struck when the measure rises above the middle."""

    measure: Measure
    control: Binding


def parse_send(text: str) -> CvSend | MidiSend:
    """Parse a send such as "envelope=CV 3 0:0.5" or "novelty=ch 2 CC 20". ValueError shows how to write one."""
    what, equals, where = text.partition("=")
    known = {measure.value: measure for measure in Measure}
    if not equals or what.strip() not in known:
        raise ValueError(
            f"{text!r}: write WHAT=WHERE, such as envelope=CV 3; WHAT is one of {', '.join(known)}"
        )
    measure, where = known[what.strip()], where.strip()
    match = _CV.fullmatch(where)
    if match is not None:
        return _cv_send(measure, text, match)
    try:
        control = Binding.parse("panic", where)  # an action takes every control
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}; or 'CV 3' for a channel of the sound output") from error
    if control.kind not in MIDI_KINDS:
        raise ValueError(f"{text!r}: {control.control} cannot be sent; write a CC, NRPN, pitch bend or note")
    return MidiSend(measure, control)


def _cv_send(measure: Measure, text: str, match: re.Match[str]) -> CvSend:
    channel = int(match["channel"])
    if not SOUND_CHANNELS < channel <= HIGHEST_CHANNEL:
        raise ValueError(
            f"{text!r}: channels 1 and 2 carry the sound; CV goes to channels 3 to {HIGHEST_CHANNEL}"
        )
    try:
        low, high = float(match["low"] or 0.0), float(match["high"] or 1.0)
    except ValueError:
        raise ValueError(f"{text!r}: LOW:HIGH are two numbers, such as 0:0.5") from None
    if not (-1 <= low <= 1 and -1 <= high <= 1):
        raise ValueError(f"{text!r}: LOW and HIGH are samples, from -1 to 1")
    return CvSend(measure, channel, low, high)
