"""Names of sound devices to choose from. Blocks on the sound system, for some seconds at most if it hangs."""

from __future__ import annotations

from jbdiff_live.audio import portaudio
from jbdiff_live.audio.sink import DeviceError


def names_or_reason(kind: str) -> tuple[list[str], str]:
    """Return device names for "input" or "output", the default first, and the reason if the list is empty.

    A name is "host API: name". The reason is empty when there are names.
    """

    def names() -> list[str]:
        portaudio.refresh()
        return [device.name for device in portaudio.devices(kind)]

    try:
        found = portaudio.patiently(f"listing sound {kind}s", names)
    except DeviceError as error:
        return [], str(error)
    return found, "" if found else f"this machine has no sound {kind}"
