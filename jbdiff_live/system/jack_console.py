"""Silence libjack, which prints a message for every missing server at each call.

The caller (sound device, MIDI) shows a missing server in words. Any thread; nothing happens at import.
"""

from __future__ import annotations

import ctypes
import functools
import platform
from pathlib import Path

SYSTEM_LIBRARY = "libjack.so.0"


def hush_jack() -> None:
    """Silence every libjack of this process: PortAudio uses the system's, rtmidi's wheel brings its own."""
    if platform.system() != "Linux":
        return
    for library in (SYSTEM_LIBRARY, *_loaded()):
        _hush(library)


def jack_library() -> str:
    """Return the libjack that this process uses already, or else the system's, for `ctypes.CDLL`. Linux."""
    return next(iter(_loaded()), SYSTEM_LIBRARY)


def _loaded() -> list[str]:
    maps = Path("/proc/self/maps").read_text(errors="replace")
    return sorted({line.split(maxsplit=5)[5].strip() for line in maps.splitlines() if "libjack" in line})


@functools.cache
def _hush(library: str) -> None:
    try:
        jack = ctypes.CDLL(library)
    except OSError:  # no JACK here: nothing to silence
        return
    # The callback may come from JACK's own threads, where Python must not run. So it is a C function that takes a
    # string and changes nothing.
    nothing = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p)
    for setter in (jack.jack_set_error_function, jack.jack_set_info_function):
        setter.argtypes = [ctypes.c_void_p]
        setter.restype = None
        setter(nothing)
