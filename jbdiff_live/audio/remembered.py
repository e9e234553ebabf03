"""Open a device that the last session chose. It may be gone, or have another number.

Blocks on the sound system, for some seconds at most if it hangs.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

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
