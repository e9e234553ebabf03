"""Ends unfinished system exclusive messages on JACK's MIDI inputs. Linux only, like JACK MIDI here.

rtmidi's JACK input joins everything that follows an unfinished system exclusive message (F0 without F7) to that
message. It passes nothing on until an F7 comes. So a controller that is unplugged during a dump blocks its input. To
end such a message, an output of ours sends a single F7 to our inputs every `FLUSH_SECONDS`. rtmidi then passes
everything on, and `MidiInput` uses the messages inside. At any other time a single F7 means nothing.

Threads: the watcher makes and closes it; the readers call `tick` and `came_back`. Nothing blocks: rtmidi waits for ever
if JACK takes nothing from its queue, so the next F7 is sent only after the last one came back.
"""

from __future__ import annotations

import threading
import time

import rtmidi

FLUSH_SECONDS = 0.02
END_OF_EXCLUSIVE = 0xF7


class JackFlush:
    """One output. `port` is its full name, for `JackWatch.connect`."""

    def __init__(self, client_name: str) -> None:
        self.client = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, client_name)
        self.client.open_virtual_port("out")
        self.port = f"{client_name}:out"
        self.fresh = True  # no input was connected to it before the first `retry`
        self._lock = threading.Lock()
        self._under_way = False
        self._sent = time.monotonic()

    def came_back(self) -> None:
        """Note that an F7 was received: JACK is alive, and the next one may be sent."""
        self._under_way = False

    def retry(self) -> None:
        """Allow one more F7, though the last did not come back: it may have been sent before a port was connected."""
        self.fresh = self._under_way = False

    def tick(self) -> None:
        """Send an F7 when it is due. Several readers may call it; one of them sends."""
        now = time.monotonic()
        if self._under_way or now - self._sent < FLUSH_SECONDS or not self._lock.acquire(blocking=False):
            return
        try:
            self._sent, self._under_way = now, True
            self.client.send_message((END_OF_EXCLUSIVE,))
        finally:
            self._lock.release()
