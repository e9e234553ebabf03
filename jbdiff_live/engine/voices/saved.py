"""A voice's state between two blocks, for the time machine. Engine thread; no torch until a state is compacted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jbdiff_live.block import Audio, StoredState
from jbdiff_live.engine.voices.sources import FileSource
from jbdiff_live.engine.voices.voice import StackVoice
from jbdiff_live.stack_choice import StackPlaying

if TYPE_CHECKING:
    from jbdiff.stream.keeping.kept import KeptState
    from jbdiff.stream.state import StreamState


@dataclass(frozen=True)
class SavedVoice:
    """The state of one voice. state: as the stream gave it, or compacted.

    position: the place in files that move along. began_from: the file that the music had begun from. resets: the count
    of the action that resets the context. heard: the sound before the next block, in pieces.
    """

    voice: StackVoice
    state: StreamState | KeptState
    position: int
    began_from: FileSource | None
    resets: int
    heard: tuple[Audio, ...] = ()
    nbytes: int = 0

    def compact(self, before: SavedVoice | None) -> SavedVoice:
        """As `jbdiff_live.block.Saved.compact`."""
        from jbdiff.stream.keeping.kept import KeptState, keep
        from jbdiff.stream.state import StreamState

        if not isinstance(self.state, StreamState):
            return self
        older = None if before is None or not isinstance(before.state, KeptState) else before.state
        kept = keep(self.state, self.voice.piece_lengths, older)
        return replace(self, state=kept, nbytes=kept.nbytes)

    @property
    def whole(self) -> StreamState:
        """The state as the stream takes it."""
        from jbdiff.stream.state import StreamState

        return self.state if isinstance(self.state, StreamState) else self.state.state()

    @property
    def stack(self) -> StackPlaying:
        """The stack that plays."""
        return self.voice.playing

    def stored(self) -> StoredState:
        """As `jbdiff_live.block.Storable.stored`."""
        return StoredState(self.whole.to_bytes(), self.position, self.resets, self.heard)
