"""A voice's state between two blocks, for the time machine. Engine thread; no torch until a state is compacted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from jbdiff_live.engine.voices.file_player import DrySpot
from jbdiff_live.engine.voices.sources import FileSource
from jbdiff_live.engine.voices.voice import StackVoice

if TYPE_CHECKING:
    from jbdiff.stream.keeping.kept import KeptState
    from jbdiff.stream.state import StreamState


@dataclass(frozen=True)
class SavedVoice:
    """The state of one voice. state: as the stream gave it, or compacted.

    position: frames of the music so far. began_from: the file that the music had begun from. resets: the count of the
    action that resets the context. files: where the files that move along began. dry: what the file in the output
    played last.
    """

    voice: StackVoice
    state: StreamState | KeptState
    position: int
    began_from: FileSource | None
    resets: int
    nbytes: int = 0
    files: Mapping[str, tuple[FileSource, int]] = field(default_factory=dict)
    dry: DrySpot | None = None

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
