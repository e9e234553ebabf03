"""The stacks to choose from. Any thread; reads a few small files."""

from __future__ import annotations

import logging
import threading

from jbdiff_live.engine.voices.torch_setup import import_library
from jbdiff_live.stack_choice import StackParts

log = logging.getLogger(__name__)


LISTING_SECONDS = 10.0


class Catalogue:
    """The stacks that were found. The first search runs on a thread of its own.

    Threads: `stacks` and `close` belong to the session; `look` to a thread that may wait for it.
    """

    def __init__(self) -> None:
        self._known: tuple[StackParts, ...] = ()  # swapped whole
        self._thread: threading.Thread | None = None

    def stacks(self) -> tuple[StackParts, ...]:
        """Return the stacks found so far. The first call only begins the search; later calls search again."""
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
    """Find every stack. Imports torch the first time, which takes a second or two."""
    import_library()
    from jbdiff.geometry import Geometry
    from jbdiff.stacks.stack import CheckpointError, known_stacks, read_manifest

    found = []
    try:
        folders = known_stacks()
    except OSError as error:  # an unreadable folder must not hide the others
        log.warning("looking for stacks: %s", error)
        folders = {}
    for name, folder in folders.items():
        try:
            config = read_manifest(folder).config
        except (CheckpointError, OSError):  # it stays in the list: choosing it gives the error
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
                coarsest.steps,
            )
        )
    return tuple(found)
