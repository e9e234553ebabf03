"""PortAudio as a whole: load it, list devices, and start it again so that it sees new devices.

Threads: any. Every call holds one lock, because opening, closing and restarting PortAudio may not overlap. A call
usually blocks for a tenth of a second, but for ever if a sound server hangs. So every call to a server runs in
`patiently`, on a thread of its own. That thread is abandoned after some seconds.

PortAudio lists devices once, when it is initialised. It sees a later device only after it was terminated and
initialised again. That closes every stream, so it is done only while none is open. After the death of a JACK server
two calls are fatal (measured, PortAudio 19.6 with jackd2 1.9.21). Stopping the stream hangs, and `Pa_Terminate` ends
the process with a failed assertion. So a dead JACK stream is abandoned and its memory kept. A PortAudio that has used
JACK is never terminated: a fresh copy of the library takes its place.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import logging
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from jbdiff_live.audio.sink import DeviceError
from jbdiff_live.system.for_ever import keep_for_ever
from jbdiff_live.system.libjack import prepare_jack

log = logging.getLogger(__name__)

JACK = "JACK Audio Connection Kit"

ANSWER_SECONDS = 5.0  # a Bluetooth device took two seconds to open (measured)
NO_ANSWER = "the sound system does not answer; restart its sound server (PulseAudio, PipeWire, JACK)"

T = TypeVar("T")

_lock = threading.RLock()
_counting = threading.Lock()  # guards the three below, also while a call hangs and keeps the lock above
_open_streams = 0
_abandoned = False  # True if a stream is left that cannot be closed
_pinned: list[object] = []  # libraries that libjack's threads call into: ctypes never unloads what it loaded
_stale = False  # True if the list of devices is out of date


@dataclass(frozen=True)
class Device:
    """A device with PortAudio's present number. The number is valid until the next `refresh`."""

    index: int
    name: str  # "hostapi: name", as a person sees it
    host: str
    channels: int
    default_rate: int


def library() -> Any:  # Any: sounddevice has no types
    """Return the sounddevice module. DeviceError if PortAudio is not installed or does not start."""
    prepare_jack()
    try:
        import sounddevice
    except Exception as error:  # OSError without PortAudio, PortAudioError when it does not start
        raise DeviceError(
            f"no sound library: {error}; install PortAudio (Debian, Ubuntu: apt-get install libportaudio2)"
        ) from error
    if not _pinned:
        _pinned.append(ctypes.CDLL(sounddevice._libname))
        atexit.unregister(sounddevice._exit_handler)
        atexit.register(_at_exit)
    return sounddevice


def mixer_library() -> Any:  # Any: rtmixer has no types
    """Return the rtmixer module, whose callback is in C. DeviceError as for `library`."""
    library()
    import rtmixer

    return rtmixer


@contextlib.contextmanager
def calling(what: str) -> Iterator[Any]:  # Any: sounddevice has no types
    """Hold the lock and give sounddevice. Turn every error into a DeviceError that names `what`.

    DeviceError also if another call hangs and keeps the lock.
    """
    if not _lock.acquire(timeout=ANSWER_SECONDS):
        raise DeviceError(f"{what}: {NO_ANSWER}")
    try:
        sounddevice = library()
        try:
            yield sounddevice
        except (sounddevice.PortAudioError, OSError, ValueError) as error:
            raise DeviceError(f"{what}: {error}") from error
    finally:
        _lock.release()


def patiently(what: str, call: Callable[[], T], late: Callable[[T], object] = lambda result: None) -> T:
    """Return the result of `call`. It runs as in `calling`, on a thread of its own.

    DeviceError if the sound system does not answer within `ANSWER_SECONDS`. The thread is then abandoned and ends when
    the server answers. `late` gets the late result, so that it can be closed.
    """
    answered = threading.Event()
    deciding = threading.Lock()  # answer or timeout, whichever is first
    given_up = False
    result: list[T] = []
    error: list[BaseException] = []

    def run() -> None:
        try:
            with calling(what):
                result.append(call())
        except BaseException as raised:  # handed to the caller
            error.append(raised)
        with deciding:
            answered.set()
            too_late = given_up
        if too_late and result:
            late(result[0])

    threading.Thread(target=run, name="sound system call", daemon=True).start()
    answered.wait(ANSWER_SECONDS)
    with deciding:
        given_up = not answered.is_set()
    if given_up:
        raise DeviceError(f"{what}: {NO_ANSWER}")
    if error:
        raise error[0]
    return result[0]


def devices(kind: str) -> list[Device]:
    """Return the devices for `kind` "input" or "output", the default one first."""
    with calling("listing sound devices") as sounddevice:
        hosts = sounddevice.query_hostapis()
        # If a JACK server runs, somebody wants the sound to go through it.
        order = sorted(range(len(hosts)), key=lambda n: hosts[n]["name"] != JACK)
        first = [hosts[n][f"default_{kind}_device"] for n in order]
        found = []
        for index, info in enumerate(sounddevice.query_devices()):
            channels = int(info[f"max_{kind}_channels"])
            if channels > 0:
                host = hosts[info["hostapi"]]["name"]
                short = host.replace(JACK, "JACK").replace("Windows ", "")
                rate = int(info["default_samplerate"])
                found.append(Device(index, f"{short}: {info['name']}", host, channels, rate))
    default = next((index for index in first if index >= 0), -1)
    return sorted(found, key=lambda device: (device.index != default, device.index))


def find_device(name: str | None, kind: str) -> Device:
    """Return the device with that name, or with a name that contains it. None is the default device."""
    known = devices(kind)
    if not known:
        raise DeviceError(f"there is no sound {kind} device on this machine")
    if name is None:
        return known[0]
    for matches in (
        lambda device: device.name == name,
        lambda device: device.name.lower().split(": ", 1)[-1] == name.lower(),
        lambda device: name.lower() in device.name.lower(),
    ):
        for device in known:
            if matches(device):
                return device
    raise DeviceError(f"no sound {kind} {name!r}; there are: {', '.join(d.name for d in known)}")


def best_rate(device: Device, kind: str, channels: int, wanted: int) -> int:
    """Return `wanted` if the device supports it, else the device's default rate."""
    with calling(device.name) as sounddevice:
        check = getattr(sounddevice, f"check_{kind}_settings")
        try:
            check(device=device.index, channels=channels, dtype="float32", samplerate=wanted)
        except (sounddevice.PortAudioError, ValueError):
            return device.default_rate
    return wanted


def stream_opened() -> None:
    global _open_streams
    with _counting:
        _open_streams += 1


def stream_closed() -> None:
    global _open_streams
    with _counting:
        _open_streams -= 1


def lost_one() -> None:
    """Record that a device died: the list of devices is out of date, and a JACK server may be dead."""
    global _stale
    with _counting:
        _stale = True


def abandon(stream: object) -> None:
    """Keep the memory of a stream that cannot be closed, see above.

    If its server goes on, the stream plays too: its callback uses the memory until the process ends.
    """
    global _abandoned
    keep_for_ever(stream)
    with _counting:
        _abandoned = True
    lost_one()
    stream_closed()


def refresh() -> bool:
    """Let PortAudio look for devices again. Return False if an open stream prevents it.

    A PortAudio that knows a JACK server is replaced only after that server was lost. Each replacement leaves one
    client behind in a living server.
    """
    global _stale
    if "sounddevice" not in sys.modules:
        return False
    with calling("looking for sound devices") as sounddevice:
        if _open_streams:
            return False
        if not _knows_jack(sounddevice):
            with contextlib.suppress(sounddevice.PortAudioError):  # already down after a failed start
                sounddevice._terminate()
            sounddevice._initialized = 0
            sounddevice._initialize()
        elif _stale:
            _replace(sounddevice)
        _stale = False
    return True


def _knows_jack(sounddevice: Any) -> bool:  # Any: sounddevice has no types
    try:
        return any(host["name"] == JACK for host in sounddevice.query_hostapis())
    except sounddevice.PortAudioError:
        return False


def _replace(sounddevice: Any) -> None:  # Any: sounddevice has no types
    """Load a second copy of the PortAudio library and point sounddevice at it (Linux, for JACK)."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    paths = [Path(line.split()[-1]) for line in maps if "libportaudio" in line and "(deleted)" not in line]
    if not paths:
        raise DeviceError("the JACK server went away; start jbdiff-live again to reach a new one")
    handle, copy = tempfile.mkstemp(prefix="libportaudio-", suffix=".so")
    os.close(handle)
    try:
        shutil.copyfile(paths[0], copy)
        _pinned.append(ctypes.CDLL(copy))
        sounddevice._lib = sounddevice._ffi.dlopen(copy)
    finally:
        os.unlink(copy)  # the mapping stays
    sounddevice._initialized = 0
    sounddevice._initialize()


def _at_exit() -> None:
    """End PortAudio as sounddevice would, unless that could hang. The process's end frees every client too."""
    import sounddevice

    if _open_streams or _abandoned or _knows_jack(sounddevice):
        return
    while sounddevice._initialized > 0:
        sounddevice._terminate()
