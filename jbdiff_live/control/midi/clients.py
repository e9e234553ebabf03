"""Clients of the MIDI system: open and close them, and explain a missing system.

Threads: the MIDI watcher's, and any that lists the inputs. Opening a client may wait for the system.
"""

from __future__ import annotations

import logging
import platform
from pathlib import Path

import rtmidi

from jbdiff_live.control.midi.jack_reader import QUEUE_MESSAGES
from jbdiff_live.system.libjack import prepare_jack

log = logging.getLogger(__name__)

CLIENT_NAME = "jbdiff-live"
# ALSA's loop-back, and the outputs of programs like this one: these are no controllers.
IGNORED = ("midi through", CLIENT_NAME)
ALSA_SEQUENCER = Path("/dev/snd/seq")
DEVICE_ERRORS = (rtmidi.RtMidiError, OSError, RuntimeError, ValueError)


def api_names() -> dict[str, int]:
    """Return the MIDI systems that this build of rtmidi knows, by name."""
    compiled = rtmidi.get_compiled_api()
    names = [name for name in dir(rtmidi) if name.startswith("API_")]
    return {n.removeprefix("API_"): getattr(rtmidi, n) for n in names if getattr(rtmidi, n) in compiled}


def open_client(api: str | None, name: str) -> rtmidi.MidiIn:
    """Open a client of the MIDI system. ValueError: the API is not built in. RtMidiError: it does not run."""
    return rtmidi.MidiIn(api_of(api), name, queue_size_limit=QUEUE_MESSAGES)


def api_of(api: str | None) -> int:
    """Return rtmidi's number of a MIDI system. Raises ValueError for one that is not built in."""
    known = api_names()
    if api is not None and api not in known:
        raise ValueError(f"no MIDI API {api!r} in this build of rtmidi; there are: {', '.join(known)}")
    if api is None and platform.system() == "Linux" and not ALSA_SEQUENCER.exists():
        api = "UNIX_JACK"
    prepare_jack()
    return rtmidi.API_UNSPECIFIED if api is None else known[api]


def no_midi(api: str | None, error: Exception) -> str:
    """Return the reason for missing MIDI, and the remedy."""
    if isinstance(error, ValueError):
        return str(error)
    if platform.system() != "Linux":
        return f"no MIDI ({error}): connect a controller and start again"
    if api == "LINUX_ALSA":
        return (
            "no MIDI: this Linux has not loaded its MIDI driver; type `sudo modprobe snd-seq` in a terminal and start "
            "again, or start with --midi-api UNIX_JACK"
        )
    if api == "UNIX_JACK":
        return "no MIDI: no JACK server is running; start one, or leave --midi-api out"
    return (
        "no MIDI: controllers cannot be used, because this Linux has not loaded its MIDI driver; type "
        "`sudo modprobe snd-seq` in a terminal and start again. Keys and mouse play everything meanwhile"
    )


def ignored(port: str) -> bool:
    """Return True if this port does not belong to a controller."""
    return port.lower().startswith(IGNORED)


def shut(client: rtmidi.MidiIn | rtmidi.MidiOut, name: str) -> None:
    """Close a client. If its server or device has gone, the error goes into the log."""
    try:
        if isinstance(client, rtmidi.MidiIn):
            client.cancel_callback()
        client.close_port()
        client.delete()
    except DEVICE_ERRORS as error:
        log.info("closing MIDI %s: %s", name, error)
