"""The command that measures the delay from an output to an input. Main thread."""

from __future__ import annotations

import sys

from jbdiff_live.audio.live.delays import LOOPBACK, Delays
from jbdiff_live.audio.live.loopback import measure
from jbdiff_live.audio.sink import DeviceError
from jbdiff_live.block import SAMPLE_RATE
from jbdiff_live.system.patch_folders import user_file


def measure_and_keep(output: str | None, name: str | None) -> int:
    """Measure, print the delay, keep it for this pair of devices, and return the exit status."""
    if name is None:
        print("jbdiff-live: --measure-loopback needs an input; name it with --input", file=sys.stderr)
        return 2
    try:
        out, came, seconds = measure(output, name, SAMPLE_RATE)
        Delays(user_file(LOOPBACK)).keep(out, came, seconds)
    except (DeviceError, OSError) as error:
        print(f"jbdiff-live: {error}", file=sys.stderr)
        return 2
    print(
        f"{came} comes {seconds * 1000:.1f} ms late after {out}. This is kept, and made up for from now on."
    )
    return 0
