"""What both programs do before anything else: streams that can be written to, and a folder to work in. No torch."""

from __future__ import annotations

import os
import sys


def begin(name: str) -> None:
    """Make standard output safe to print to, and end the program if its folder is gone.

    name: of the program, for the message. A character that a stream's encoding lacks becomes a question mark: a file
    name must not end the concert. A stream that was closed by whoever started the program (`>&-`) leads nowhere.
    """
    for stream in ("stdin", "stdout", "stderr"):
        if getattr(sys, stream) is None:
            setattr(sys, stream, open(os.devnull, "r" if stream == "stdin" else "w"))  # noqa: SIM115  # until the end
    for written in (sys.stdout, sys.stderr):
        if hasattr(written, "reconfigure"):
            written.reconfigure(errors="replace")
    try:
        os.getcwd()
    except OSError:
        # torch would end the process in the middle of a start, with a message about one of its libraries
        print(
            f"{name}: the folder that you are in is gone; change to another one, such as cd ~",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
