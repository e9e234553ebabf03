"""Who goes first among the threads of the instrument: sound and knobs, then the engine, then what is loaded.

On Linux only, where threads have a nice value of their own. The threads that torch computes with have that of the
thread that they are started by.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

# Where the process goes before other programs (`audio/priority.py`), the model's threads stand this far behind the
# others of it, and still before other programs. They may take all cores there are, and who holds the interpreter's
# lock, which a sound or a knob may wait for, is to get one before them.
ENGINE_NICE = -7
LOADER_STEP = 12  # a fifteenth of the engine's share where both compete


def behind_sound() -> None:
    """Called by the engine's thread on itself, before it computes."""
    _stand(lambda nice: max(nice, ENGINE_NICE))


def behind_engine() -> None:
    """Called by the loader's thread on itself."""
    _stand(lambda nice: max(nice, ENGINE_NICE) + LOADER_STEP)


def _stand(wanted: Callable[[int], int]) -> None:
    if platform.system() != "Linux":
        return
    thread = threading.get_native_id()
    try:
        os.setpriority(os.PRIO_PROCESS, thread, wanted(os.getpriority(os.PRIO_PROCESS, thread)))
    except OSError:
        log.debug("this thread keeps its priority", exc_info=True)
