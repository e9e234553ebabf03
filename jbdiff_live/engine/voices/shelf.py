"""What a reload need not do twice: voices that played, ready to play again, and the beginnings of sounds.

Threads: the engine puts a voice onto the shelf, the loader's thread takes it. Beginnings are asked for by the loader's
thread and by the thread that prepares a beginning. The locks are never held during longer work.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from jbdiff_live.engine.voices.sources import FileSource
from jbdiff_live.engine.voices.voice import StackVoice
from jbdiff_live.stack_choice import StackChoice

if TYPE_CHECKING:
    from jbdiff.stacks.stack import Stack
    from jbdiff.stream.state import LevelBeginning

MOST_VOICES = 2  # with the one that plays, three lengths of block; on a GPU each holds its recorded graphs
MOST_BEGINNINGS = 12  # a set of patches; pocket's have up to 3 MB


class VoiceShelf:
    """The voices that played last. Their stack is the one that plays, so they hold no weights of their own.

    A voice from the shelf needs no warm-up: its networks ran, and the time of its blocks is known.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._voices: list[StackVoice] = []  # oldest first

    def put(self, voice: StackVoice, playing: Stack) -> None:
        """Keep a voice that has faded out. Voices of another stack than `playing` are let go."""
        with self._lock:
            kept = [other for other in (*self._voices, voice) if other.stack is playing]
            self._voices = kept[-MOST_VOICES:]

    def take(self, choice: StackChoice, playing: Stack) -> StackVoice | None:
        """Return the voice that would play this choice, and forget it here; None if there is none."""
        with self._lock:
            for voice in self._voices:
                if voice.stack is playing and voice.plays(choice):
                    self._voices.remove(voice)
                    return voice
        return None

    def clear(self) -> None:
        with self._lock:
            self._voices = []


class KnownBeginnings:
    """The newest beginnings, by the end of the sound and by the parts that measured it.

    To encode a sound and to find its beat takes longer than to make a block. A patch that is loaded again has the same
    sound, read once more from its file.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[object, ...], Mapping[int, LevelBeginning]] = OrderedDict()

    def of(
        self, voice: StackVoice, file: FileSource, take_turns: Callable[[], object]
    ) -> Mapping[int, LevelBeginning]:
        """Return `voice.beginning_of(file, take_turns)`, measured at most once."""
        tail = file.tail(voice.beginning_frames)
        key = (*voice.measured_by, len(tail), hashlib.blake2b(tail.tobytes()).digest())
        with self._lock:
            if (known := self._known.get(key)) is not None:
                self._known.move_to_end(key)
                return known
        found = voice.beginning_of(file, take_turns)
        with self._lock:
            self._known[key] = found
            while len(self._known) > MOST_BEGINNINGS:
                self._known.popitem(last=False)
        return found

    def clear(self) -> None:
        with self._lock:
            self._known.clear()
