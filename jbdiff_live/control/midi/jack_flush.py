"""Ends system exclusive messages that were broken off, on JACK's MIDI inputs. Linux only, as JACK MIDI is
there.

rtmidi's JACK input joins everything that follows an unfinished system exclusive message (F0 without F7) to that
message. It gives none of it until an F7 comes. A controller that is unplugged in the middle of a dump leaves its
input deaf. So an output of ours sends a single F7 to our inputs every `FLUSH_SECONDS`. It ends such a message; rtmidi
then gives all of it, and the messages inside count (`MidiInput`). Otherwise a single F7 means nothing.

Threads: made and closed on the watcher's; `tick` and `came_back` are called by the readers. Nothing blocks:
rtmidi waits for ever when JACK takes nothing from its queue, so no F7 is sent before the last one came
back.
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
        self.fresh = True  # until `retry`: no input was connected to it yet
        self._lock = threading.Lock()
        self._under_way = False
        self._sent = time.monotonic()

    def came_back(self) -> None:
        """An F7 was received: JACK is alive, and the next one may be sent."""
        self._under_way = False

    def retry(self) -> None:
        """Allow one more, though the last one did not come back: it may have been sent before a port was connected."""
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
