"""Fetch the messages of one JACK MIDI input. Linux only, like JACK MIDI here.

rtmidi would call Python on JACK's own real-time thread. That thread then waits for the interpreter's lock, and the
whole graph waits for it. Measured with the window and the model (scripts/soak): 51 late callbacks in 30 s. Each loses a
period's messages, and with a synchronous server a period of everybody's sound. So rtmidi keeps the messages in its own
queue, in C, and a thread of ours fetches them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import rtmidi

QUEUE_MESSAGES = 4096  # between two looks; a fast controller sends some tens in a period
LOOK_SECONDS = 0.002

Packet = tuple[list[int], float]  # bytes, seconds since the previous message


class JackReader:
    """Runs from construction until `stop`, which waits for its thread.

    `on_message`, and `on_look` after each look, run on that thread and must not block.
    """

    def __init__(
        self, client: rtmidi.MidiIn, on_message: Callable[[Packet], None], on_look: Callable[[], None]
    ) -> None:
        self._client = client
        self._on_message = on_message
        self._on_look = on_look
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="midi reader", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop. Afterwards the client is not used any more."""
        self._stop.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            while (packet := self._client.get_message()) is not None:
                self._on_message(packet)
            self._on_look()
