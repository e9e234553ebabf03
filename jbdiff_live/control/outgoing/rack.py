"""Measures of the music as MIDI messages for a rack: CCs that follow a measure, notes that start with it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from jbdiff_live.binding import HIGHEST_14, HIGHEST_CC, BindingKind
from jbdiff_live.control.outgoing.feedback import FINE, message_of
from jbdiff_live.modular.movement import Moment
from jbdiff_live.modular.sends import MidiSend

MIDDLE = 0.5
VELOCITY = 100


class RackMessages:
    """Builds the messages for one thread. Only changes become messages."""

    def __init__(self, sends: Iterable[MidiSend]) -> None:
        self._sends = tuple(sends)
        self._sent: dict[MidiSend, int] = {}

    def due(self, moment: Moment) -> list[bytes]:
        """Return the messages for this moment. A note starts when its measure rises above the middle."""
        messages: list[bytes] = []
        for send in self._sends:
            share = moment[send.measure]
            kind = send.control.kind
            if kind is BindingKind.NOTE:
                value = VELOCITY if share > MIDDLE else 0
            else:
                value = round(share * (HIGHEST_14 if kind in FINE else HIGHEST_CC))
            before = self._sent.get(send, 0 if kind is BindingKind.NOTE else None)
            if value != before:
                self._sent[send] = value
                messages += message_of(send.control, send.control.channel or 1, value)
        return messages
