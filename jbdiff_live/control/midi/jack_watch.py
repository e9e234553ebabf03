"""Detect the end of a JACK server without a request to it. Linux only, like JACK MIDI.

rtmidi does not report the end of a server: its client keeps the last list of ports for ever. Opening a new client
would show the end. But that makes the server rebuild its graph, and holds the interpreter's lock. Every five seconds
it cost 40 to 120 ms of sound each time. So one client without ports stays open here. JACK's own thread calls its
shutdown function when the server ends. That function is C's sem_post: no Python runs in JACK's thread.

This client is never closed. libjack stops the thread of a client's notifications at any place (`pthread_cancel`,
asynchronous), also while that thread holds the lock that all clients of the library share. After that, every open and
close waits for ever (libjack 1.9.21 and 1.9.22). The thread holds the lock when any client comes or goes, so also when
we have just closed one of rtmidi's: rtmidi brings a libjack of its own, and its locks do not keep the two apart. So a
watch that nobody needs any more is kept, and the next user gets it.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading

from jbdiff_live.system.for_ever import keep_for_ever
from jbdiff_live.system.libjack import jack_library, prepare_jack

NO_START_SERVER = 1  # JackOptions
PORT_IS_INPUT = 1  # JackPortFlags
MIDI_TYPE = b"8 bit raw midi"
SEMAPHORE_BYTES = 64  # sem_t has 32 on 64-bit Linux


def watch_server(name: str) -> JackWatch:
    """Return a watch on the server that a new client would find, under this name or that of an earlier watch.

    Raises OSError if there is no server or no libjack. Any thread; the watch then belongs to it until `release`.
    """
    server = _server_name()
    with _lock:
        for watch in list(_released):
            if not watch.server_lives():
                _released.remove(watch)
            elif watch.server == server:
                _released.remove(watch)
                return watch
    return JackWatch(name, server)


def _server_name() -> str:
    return os.environ.get("JACK_DEFAULT_SERVER") or "default"


class JackWatch:
    """A watch on one server, used by one thread at a time. `watch_server` makes them."""

    def __init__(self, name: str, server: str) -> None:
        self.server = server
        prepare_jack()
        self._jack = ctypes.CDLL(jack_library())
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._ended = ctypes.create_string_buffer(SEMAPHORE_BYTES)
        keep_for_ever(self._ended)  # JACK's thread may post it until the process ends
        self._libc.sem_init(self._ended, 0, 0)
        self._jack.jack_client_open.restype = ctypes.c_void_p
        self._jack.jack_client_open.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
        self._jack.jack_on_shutdown.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        self._jack.jack_get_ports.restype = ctypes.POINTER(ctypes.c_char_p)
        self._jack.jack_get_ports.argtypes = [
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_char_p,
            ctypes.c_ulong,
        ]
        self._jack.jack_port_by_name.restype = ctypes.c_void_p
        self._jack.jack_port_by_name.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self._jack.jack_port_get_all_connections.restype = ctypes.POINTER(ctypes.c_char_p)
        self._jack.jack_port_get_all_connections.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self._jack.jack_connect.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
        self._jack.jack_free.argtypes = [ctypes.c_void_p]
        for function in (self._jack.jack_get_sample_rate, self._jack.jack_get_buffer_size):
            function.restype = ctypes.c_uint32
            function.argtypes = [ctypes.c_void_p]
        self._client = self._jack.jack_client_open(name.encode(), NO_START_SERVER, None)
        if not self._client:
            raise OSError("no JACK server is running")
        post = ctypes.cast(self._libc.sem_post, ctypes.c_void_p)
        self._jack.jack_on_shutdown(self._client, post, ctypes.cast(self._ended, ctypes.c_void_p))
        self._alive = True

    def server_lives(self) -> bool:
        """Return False after the server has ended. A new server needs a new watch."""
        if self._alive and self._libc.sem_trywait(self._ended) == 0:
            self._alive = False
        return self._alive

    def period_seconds(self) -> float:
        """Return the length of the server's period; 0 if the server has ended."""
        if not self.server_lives():
            return 0.0
        rate = self._jack.jack_get_sample_rate(self._client)
        return float(self._jack.jack_get_buffer_size(self._client) / rate) if rate else 0.0

    def connect(self, source: str, inputs: str) -> None:
        """Connect an output to every MIDI input whose full name fits the regular expression `inputs`.

        Existing connections stay. An input that disappears at this moment is left out.
        """
        if not self.server_lives():
            return
        for name in self._names(
            self._jack.jack_get_ports(self._client, inputs.encode(), MIDI_TYPE, PORT_IS_INPUT)
        ):
            self._jack.jack_connect(self._client, source.encode(), name)

    def is_connected(self, source: str, inputs: str) -> bool:
        """Return True if an output is connected to an input whose full name fits the pattern `inputs`.

        A controller that is pulled and comes back under its old name leaves our input without a connection.
        """
        port = self._jack.jack_port_by_name(self._client, source.encode()) if self.server_lives() else None
        if not port:
            return False
        names = self._names(self._jack.jack_port_get_all_connections(self._client, port))
        return any(re.match(inputs, name.decode(errors="replace")) for name in names)

    def _names(self, found: ctypes._Pointer[ctypes.c_char_p]) -> list[bytes]:
        """Copy a list of names that JACK allocated."""
        names: list[bytes] = []
        while found and (name := found[len(names)]) is not None:
            names.append(name)
        self._jack.jack_free(found)
        return names

    def release(self) -> None:
        """Give the watch up. Its client stays open for the next user; if the server has ended, it is abandoned."""
        with _lock:
            if self.server_lives():
                _released.append(self)


_lock = threading.Lock()  # guards the list
_released: list[JackWatch] = []
