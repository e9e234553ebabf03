"""Which stacks there are to choose from. Any thread; reads a few small files."""

from __future__ import annotations

import logging
import threading

from jbdiff_live.engine.voices.torch_setup import import_library
from jbdiff_live.stack_choice import StackParts

log = logging.getLogger(__name__)


LISTING_SECONDS = 10.0


class Catalogue:
    """The stacks that can be found, looked for on a thread of its own the first time.

    Threads: `stacks` and `close` belong to the session; `look` to whichever thread may wait for it.
    """

    def __init__(self) -> None:
        self._known: tuple[StackParts, ...] = ()  # swapped whole
        self._thread: threading.Thread | None = None

    def stacks(self) -> tuple[StackParts, ...]:
        """Return what is known. The first call only begins to look; a later one looks for new stacks."""
        if self._known:
            self._known = find_stacks() or self._known  # reads a few small files
        elif self._thread is None:
            self._thread = threading.Thread(target=self.look, name="stack lister", daemon=True)
            self._thread.start()
        return self._known

    def look(self) -> None:
        """Look for stacks, unless some are known. Imports torch the first time, which takes a second or two."""
        self._known = self._known or find_stacks()

    def close(self) -> None:
        """Wait for the thread, some seconds at most."""
        if self._thread is not None:
            self._thread.join(LISTING_SECONDS)


def find_stacks() -> tuple[StackParts, ...]:
    """Every stack that can be found. Imports torch the first time, which takes a second or two."""
    import_library()
    from jbdiff.geometry import Geometry
    from jbdiff.stacks.stack import CheckpointError, known_stacks, read_manifest

    found = []
    try:
        folders = known_stacks()
    except OSError as error:  # a folder that may not be read must not keep the others from playing
        log.warning("looking for stacks: %s", error)
        folders = {}
    for name, folder in folders.items():
        try:
            config = read_manifest(folder).config
        except (CheckpointError, OSError):  # shown all the same: choosing it tells what is wrong
            found.append(StackParts(name, (), False))
            continue
        levels = tuple(sorted((level.level for level in config.levels), reverse=True))
        coarsest = config.level(levels[0])
        token = Geometry(config).hop(levels[0]) / config.sample_rate
        found.append(
            StackParts(
                name,
                levels,
                config.finisher is not None,
                coarsest.window_tokens,
                token,
                config.anchored,
                config.remembering,
            )
        )
    return tuple(found)
