"""Prepare every libjack of this process: it prints nothing, and it starts no thread while no server runs. Linux.

PortAudio uses the system's libjack, and rtmidi's wheel brings its own. The caller (sound device, MIDI) shows a missing
server in words. Any thread; nothing happens at import.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import socket
import threading
from pathlib import Path

SYSTEM_LIBRARY = "libjack.so.0"
SERVER_FOLDER = "/dev/shm"  # where jack2's servers have their sockets
FAULTY_VERSIONS = b"1.9."  # jack2, see `_allow_threads`; PipeWire's libjack is 3, jack1's 0.125

_lock = threading.Lock()


def prepare_jack() -> None:
    """Silence every libjack, and keep it from starting threads if no server runs.

    Call this before each call that may open a JACK client. PortAudio's start and its list of devices do that too.
    Without a server, no client can be opened in this process until the next call finds one.
    """
    if platform.system() != "Linux":
        return
    with _lock:  # look and act together: the last look counts when two threads are here
        running = _server_may_run()
        for library in (SYSTEM_LIBRARY, *_loaded()):
            jack = _hushed(library)
            if jack is not None:
                _allow_threads(jack, running)


def jack_library() -> str:
    """Return the libjack that this process uses already, or else the system's, for `ctypes.CDLL`. Linux."""
    return next(iter(_loaded()), SYSTEM_LIBRARY)


def _loaded() -> list[str]:
    maps = Path("/proc/self/maps").read_text(errors="replace")
    return sorted({line.split(maxsplit=5)[5].strip() for line in maps.splitlines() if "libjack" in line})


@functools.cache
def _hushed(library: str) -> ctypes.CDLL | None:
    """Return a libjack that prints nothing; it would print a message for every missing server at each call."""
    try:
        jack = ctypes.CDLL(library)
    except OSError:  # no JACK here: nothing to silence
        return None
    # The callback may come from JACK's own threads, where Python must not run. So it is a C function that takes a
    # string and changes nothing.
    nothing = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p)
    for setter in (jack.jack_set_error_function, jack.jack_set_info_function):
        setter.argtypes = [ctypes.c_void_p]
        setter.restype = None
        setter(nothing)
    return jack


def _version(jack: ctypes.CDLL) -> bytes:
    if not hasattr(jack, "jack_get_version_string"):  # an old jack1
        return b""
    jack.jack_get_version_string.restype = ctypes.c_char_p
    return jack.jack_get_version_string() or b""


def _allow_threads(jack: ctypes.CDLL, allowed: bool) -> None:
    """Let a libjack start threads, or refuse them.

    jack2 starts a thread for its messages before it looks for the server, and stops it again if there is none. We look
    for a server every second, so that is a thread every second. jack2 waits about one second for the thread to begin.
    Then it frees the thread's object, although the thread still comes. On a very busy machine the late thread calls a
    method of the freed object, and the process ends with SIGSEGV (1.9.12 to 1.9.22, JackMessageBuffer::Create). If the
    thread cannot be created, jack2 goes on without it. If a server runs, threads are needed, and that one starts only
    with the first client.
    """
    if not _version(jack).startswith(FAULTY_VERSIONS):
        return
    # A C function again, because Python would wait for the interpreter's lock inside libjack's lock, and rtmidi takes
    # them in the other order. Like pthread_create it returns 0 for success; getpid ignores arguments and never does.
    refuse = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p)
    jack.jack_set_thread_creator.argtypes = [ctypes.c_void_p]
    jack.jack_set_thread_creator.restype = None
    jack.jack_set_thread_creator(None if allowed else refuse)


def _server_may_run() -> bool:
    """Return False if it is certain that no jack2 server of this user runs. It looks where jack2's clients look."""
    name = os.environ.get("JACK_DEFAULT_SERVER", "default").replace("/", "_").replace("\\", "_")
    user = "" if "JACK_PROMISCUOUS_SERVER" in os.environ else f"_{os.geteuid()}"
    with socket.socket(socket.AF_UNIX) as knock:
        knock.setblocking(False)  # a server that hangs must not hold us
        try:
            knock.connect(f"{SERVER_FOLDER}/jack_{name}{user}_0")
        except (FileNotFoundError, ConnectionRefusedError):  # never there; killed, and its socket is left
            return False
        except OSError:
            return True
    return True
