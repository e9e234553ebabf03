"""Cut the bytes of one MIDI input into whole messages, as a cable brings them. No thread, no clock.

Drivers give whole messages, but a bridge between two MIDI systems may pass raw bytes on. mido's parser then loses
messages: those without a status byte of their own (running status), and those with a realtime byte inside.
"""

from __future__ import annotations

from collections.abc import Iterable

import mido

EXCLUSIVE, END = 0xF0, 0xF7  # EXCLUSIVE is the first status byte that names no channel
FIRST_STATUS, FIRST_REALTIME, MOST = 0x80, 0xF8, 0xFF
REALTIME = frozenset((0xF8, 0xFA, 0xFB, 0xFC))  # clock, start, continue, stop; the others move nothing
DATA_BYTES = {
    0x80: 2,
    0x90: 2,
    0xA0: 2,
    0xB0: 2,
    0xC0: 1,
    0xD0: 1,
    0xE0: 2,
}  # of channel messages, by their kind
COMMON_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1}  # of system messages; no status runs on behind them


class MessageBytes:
    """The bytes of one input. Keeps at most one unfinished message. Bytes of system exclusive messages are dropped.

    A message that was broken off is dropped at the next status byte, so that this one counts. The rest of a system
    exclusive message may still come behind other messages. So no status runs on until its end has come.
    """

    def __init__(self) -> None:
        self._status = 0  # that the next data bytes belong to; 0: to none
        self._data: list[int] = []
        self._exclusive = False  # a system exclusive message began and has not ended

    def feed(self, data: Iterable[int]) -> list[mido.Message]:
        """Return the messages that these bytes complete, in order. A number that is no byte breaks its message off."""
        found: list[mido.Message] = []
        for byte in data:
            if not 0 <= byte <= MOST:
                self._status, self._data = 0, []
            elif byte >= FIRST_REALTIME:  # may stand between any two bytes
                if byte in REALTIME:
                    found.append(mido.Message.from_bytes([byte]))
            elif byte >= FIRST_STATUS:
                self._status, self._data = (byte if _data_bytes(byte) else 0), []
                if byte in (EXCLUSIVE, END):
                    self._exclusive = byte == EXCLUSIVE
            elif self._status:
                self._data.append(byte)
                if len(self._data) == _data_bytes(self._status):
                    found.append(mido.Message.from_bytes([self._status, *self._data]))
                    self._data = []
                    if self._status >= EXCLUSIVE or self._exclusive:
                        self._status = 0
        return found


def _data_bytes(status: int) -> int:
    """Return the number of data bytes behind a status byte; 0 if its message has none, or is dropped."""
    return COMMON_BYTES.get(status, 0) if status >= EXCLUSIVE else DATA_BYTES[status & 0xF0]
