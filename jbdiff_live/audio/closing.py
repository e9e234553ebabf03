"""Close an output device, also one that hangs or whose sound server has died."""

from __future__ import annotations

from typing import Any

from jbdiff_live.audio import portaudio
from jbdiff_live.audio.sink import DeviceError


def let_go(
    name: str,
    host: str,
    mixer: Any,  # Any: rtmixer has no types
    ring: object,
    dead: bool,
    hangs: bool,
) -> None:
    """Close a mixer. One that hangs, or died under JACK, is abandoned, since closing it would hang.

    ring: the ring that the mixer's callback reads; it must live as long as the callback. DeviceError: a living device
    cannot be closed.
    """
    dead = dead or hangs or not _answers(name, host, mixer)
    if hangs or (dead and host == portaudio.JACK):
        portaudio.abandon((mixer, ring))
        return
    if dead:
        portaudio.lost_one()
    try:
        portaudio.patiently(f"cannot close {name}", mixer.close)
    except DeviceError:
        if not dead:
            raise
    finally:
        portaudio.stream_closed()


def _answers(name: str, host: str, mixer: Any) -> bool:  # Any: rtmixer has no types
    """Return True if the device still lives. A stopped JACK stream is started for the test, on silence.

    Closing a stream whose server has died, or died and returned, ends the process with a failed assertion.
    """
    if host != portaudio.JACK or mixer.active:
        return True

    def knock() -> None:
        mixer.start()
        mixer.stop()

    try:
        portaudio.patiently(name, knock)
    except DeviceError:
        return False
    return True
