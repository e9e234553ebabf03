"""libjack starts no thread while no server runs: one that begins late would end the process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from servers import JackServer

from jbdiff_live.control.midi.clients import api_names

pytestmark = pytest.mark.skipif("UNIX_JACK" not in api_names(), reason="rtmidi has no JACK here")

# As on a machine that is too busy: libjack hears that its thread was made, but the thread begins after the call.
BEGIN_LATE = """
import ctypes
import sys

from jbdiff_live.audio import portaudio
from jbdiff_live.audio.sink import DeviceError
from jbdiff_live.control.midi.clients import DEVICE_ERRORS
from jbdiff_live.control.midi.out_ports import RtOutPorts
from jbdiff_live.system import libjack

late = []


@ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 4)
def only_promise(thread, attributes, start, argument):
    late.append((start, argument))
    return 0


libjack.prepare_jack()  # loads the system's, if there is one
for library in libjack._loaded():
    ctypes.CDLL(library).jack_set_thread_creator(only_promise)
try:
    found = RtOutPorts("UNIX_JACK").list() if sys.argv[1] == "midi" else portaudio.devices("output")
    assert sys.argv[1] == "sound" and not any(device.host == portaudio.JACK for device in found), found
except (DeviceError, *DEVICE_ERRORS) as error:
    print(error)
print(f"{len(late)} late", flush=True)
for start, argument in late:
    thread = ctypes.c_ulong()
    start_now = ctypes.CDLL(None).pthread_create
    start_now(ctypes.byref(thread), None, ctypes.c_void_p(start), ctypes.c_void_p(argument))
    ctypes.CDLL(None).pthread_join(thread, None)
"""


def ends_well(what: str, server_name: str) -> None:
    """Look for MIDI outputs ("midi") or sound devices ("sound"). What was freed holds garbage, so its use shows."""
    env = {**os.environ, "JACK_DEFAULT_SERVER": server_name, "JACK_NO_START_SERVER": "1"}
    done = subprocess.run(
        [sys.executable, "-c", BEGIN_LATE, what], env={**env, "MALLOC_PERTURB_": "165"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.returncode}: {done.stdout}{done.stderr}"
    assert done.stdout.splitlines()[-1] == "0 late"


@pytest.mark.parametrize("what", ["midi", "sound"])
def test_a_machine_too_busy_to_begin_threads_ends_nothing(what: str) -> None:
    ends_well(what, "no-such-server")


def test_a_server_that_was_killed_counts_as_none(jack: JackServer) -> None:
    """Its socket stays in the file system."""
    jack.kill()
    ends_well("midi", jack.name)
