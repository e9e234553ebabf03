"""A voice's state between two blocks, for the time machine. Engine thread; no torch until a state is compacted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from jbdiff_live.block import Audio, StoredDry, StoredState
from jbdiff_live.engine.voices.file_player import Began, DrySpot
from jbdiff_live.engine.voices.sources import FileSource
from jbdiff_live.engine.voices.voice import StackVoice
from jbdiff_live.stack_choice import StackPlaying

if TYPE_CHECKING:
    from jbdiff.stream.keeping.kept import KeptState
    from jbdiff.stream.state import StreamState


@dataclass(frozen=True)
class SavedVoice:
    """The state of one voice. state: as the stream gave it, or compacted.

    position: frames of the music so far. began_from: the file that the music had begun from. resets: the count of the
    action that resets the context. heard: the stacks' sound before the next block, in pieces; out: the same with the
    file in it. files: where the files that move along began. dry: what the file in the output played last.
    """

    voice: StackVoice
    state: StreamState | KeptState
    position: int
    began_from: FileSource | None
    resets: int
    heard: tuple[Audio, ...] = ()
    out: tuple[Audio, ...] = ()
    nbytes: int = 0
    files: Began = field(default_factory=dict)
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

    @property
    def stack(self) -> StackPlaying:
        """The stack that plays."""
        return self.voice.playing

    def stored(self) -> StoredState:
        """As `jbdiff_live.block.Storable.stored`."""
        same = all(music is sound for music, sound in zip(self.heard, self.out, strict=True))
        out = () if same else self.out
        spot = self.dry
        dry = None if spot is None else StoredDry(spot.file.samples, spot.place, spot.gain)
        return StoredState(self.whole.to_bytes(), self.position, self.resets, self.heard, out, dry)
