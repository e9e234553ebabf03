"""Load a stack beside the music, and do no work twice.

Threads: `load` belongs to the loader's thread, `beginning` to that of `Beginnings`, `rest` to the engine. `clear`
belongs to the session, after the others have ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from jbdiff_live.block import Preparing
from jbdiff_live.engine.voices.load import FADE_FRAMES, load_voice
from jbdiff_live.engine.voices.shelf import KnownBeginnings, VoiceShelf
from jbdiff_live.engine.voices.sources import FileSource
from jbdiff_live.engine.voices.voice import StackVoice
from jbdiff_live.stack_choice import StackChoice

if TYPE_CHECKING:
    from jbdiff.stream.state import LevelBeginning


class _Replaced(Exception):
    """Another choice replaced the one that is being loaded."""


class LoadsBeside:
    """Makes voices while another one plays.

    take_turns: waits until the processor is free. files_read(keep_going): waits for sound files that are being read.
    """

    def __init__(
        self,
        threads: int | None,
        take_turns: Callable[[], object],
        files_read: Callable[[Callable[[], bool]], None],
    ) -> None:
        """threads: the model's threads on a CPU; None chooses."""
        self._threads = threads
        self._take_turns = take_turns
        self._files_read = files_read
        self._shelf, self._known = VoiceShelf(), KnownBeginnings()

    def load(
        self,
        choice: StackChoice,
        playing: StackVoice | None,
        context_file: Callable[[], FileSource | None],
        until: float,
        report: Callable[[Preparing], None],
        keep_going: Callable[[], bool],
    ) -> StackVoice | None:
        """Return a voice for the choice, which knows how to begin from the context file, if there is one.

        The weights of `playing` are used again, if it plays the same stack. None if `keep_going` turned false. until:
        the second of `time.monotonic` after which no file is waited for. Raises as `load_voice`.
        """
        shared = playing.stack if playing is not None and playing.asked.stack == choice.stack else None
        voice = None if shared is None else self._shelf.take(choice, shared)
        if voice is not None:
            voice.ready_again(choice, FADE_FRAMES)
        else:
            voice = load_voice(
                choice,
                report,
                keep_going,
                threads=self._threads,
                shared=shared,
                only_in_time=True,
                take_turns=self._take_turns,
            )
        # The stack of a patch takes over with the patch's sound, which may still be on its way from the disk.
        self._files_read(lambda: keep_going() and time.monotonic() < until)
        file = context_file()
        if voice is not None and playing is not None and file is not None and file is not playing.began_from:
            try:
                voice.knows = (file, self._known.of(voice, file, lambda: self._wait_turn(keep_going)))
            except _Replaced:
                return None
        return voice

    def _wait_turn(self, keep_going: Callable[[], bool]) -> None:
        """Wait as `take_turns`. Raises _Replaced if the choice is no longer wanted: the next one is waiting."""
        self._take_turns()
        if not keep_going():
            raise _Replaced

    def beginning(self, key: tuple[StackVoice, FileSource]) -> Mapping[int, LevelBeginning]:
        """Return the voice's beginning from the file."""
        return self._known.of(*key, self._take_turns)

    def rest(self, voice: StackVoice, playing: StackVoice) -> None:
        """Keep a voice that gave way to `playing`: it may be asked for again."""
        self._shelf.put(voice, playing.stack)

    def clear(self) -> None:
        """Free the memory."""
        self._shelf.clear()
        self._known.clear()
