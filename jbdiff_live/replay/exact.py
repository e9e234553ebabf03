"""Whether a replay can be expected to give the same samples, by the facts of both machines. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from jbdiff_live.replay.options import ReplayOptions

NAMES = {
    "device": "the device",
    "processor": "the processor",
    "kernels": "the processor's instruction set",
    "dtype": "the precision",
    "threads": "the number of threads",
    "torch": "torch",
}


def differences(
    there: Mapping[str, object], here: Mapping[str, object], options: ReplayOptions
) -> tuple[str, ...]:
    """Return the reasons why the samples may differ; none: they are the same. there, here: facts of the machines."""
    found = [] if options.same_sound else ["the options ask for another sound"]
    if not there:
        return (*found, "the take does not say on which machine it was made")
    for name, words in NAMES.items():
        if there.get(name) != here.get(name):
            found.append(f"{words} is {here.get(name)!s} here, and was {there.get(name)!s} for the take")
    return tuple(found)
