"""libjack tells the console about every server that is not there, each time it is asked; this stops that.

What is missing is shown by whoever asked (sound device, MIDI), in words. Any thread; nothing happens at import.
"""

from __future__ import annotations

import ctypes
import functools
import platform
from pathlib import Path

SYSTEM_LIBRARY = "libjack.so.0"


def hush_jack() -> None:
    """Silences every libjack of this process: PortAudio uses the system's, rtmidi's wheel brings its own."""
    if platform.system() != "Linux":
        return
    maps = Path("/proc/self/maps").read_text(errors="replace")
    loaded = {line.split(maxsplit=5)[5].strip() for line in maps.splitlines() if "libjack" in line}
    for library in (SYSTEM_LIBRARY, *sorted(loaded)):
        _hush(library)


@functools.cache
def _hush(library: str) -> None:
    try:
        jack = ctypes.CDLL(library)
    except OSError:  # no JACK here: nothing to silence
        return
    # The callback may come from JACK's own threads, where Python must not run: a C function that takes a
    # string and does nothing with it will do.
    nothing = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p)
    for setter in (jack.jack_set_error_function, jack.jack_set_info_function):
        setter.argtypes = [ctypes.c_void_p]
        setter.restype = None
        setter(nothing)
