"""Open a device that the last session chose. It may be gone, or have another number.

Blocks on the sound system, for some seconds at most if it hangs.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection

from jbdiff_live.audio.switch import AudioSwitch

log = logging.getLogger(__name__)

# ALSA numbers its cards in the order in which they were found: "Scarlett 2i2: USB Audio (hw:1,0)".
NUMBER = re.compile(r" \(hw:\d+,\d+\)$")


def open_remembered(open_device: Callable[[str], object], name: str) -> str:
    """Open a device by its name, or else without ALSA's number. Return why both failed; empty if one opened."""
    reason = ""
    for text in dict.fromkeys((name, NUMBER.sub("", name))):
        try:
            open_device(text)
            return ""
        except (OSError, RuntimeError, ValueError) as error:
            log.info("%s", error)
            reason = reason or str(error)
    return reason


def open_sound(
    audio: AudioSwitch,
    input_device: str | None,
    device: str | None,
    remembered: Collection[str],
    say: Callable[[str], None],
) -> None:
    """Open input and output. If a device of the last session is gone, say so, and open the default output.

    remembered: which of "input_device" and "device" the last session named, not this start.
    """
    if input_device and "input_device" not in remembered:
        audio.listen(input_device)
    elif input_device and (reason := open_remembered(audio.listen, input_device)):
        say(f"The last session's sound input does not open ({reason}): no input is open.")
    if device is not None and "device" in remembered:
        reason = open_remembered(audio.open, device)
        if not reason:
            return
        say(f"The last session's sound output does not open ({reason}): the system's default plays.")
        device = None
    audio.open(device, fall_back=True)
