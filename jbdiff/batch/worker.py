"""The main function of a worker process: receive requests, make them, send progress and outcomes.

It imports torch only after the environment is set, because torch reads the number of threads when it is loaded.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from types import FrameType


def work(connection: Connection, device: str, environment: Mapping[str, str]) -> None:
    """Make requests until the other end closes the connection."""
    os.environ.update(environment)
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C reaches the main process alone, which asks its workers to end
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    from jbdiff.batch.work import make

    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            request, folder = connection.recv()
            connection.send(make(request, folder, lambda done, of: connection.send((done, of)), device))


def _leave(number: int, frame: FrameType | None) -> None:
    """End at the next instruction: files are closed, and a replay that runs is ended too."""
    sys.exit(128 + number)
