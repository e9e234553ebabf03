"""A stream's state in little memory, for a log of many states. Bit-exact.

Most of a state is the sound so far: the next block adds some tokens at its end and drops as many at its beginning. So a
kept state cuts its tensors into pieces of one block, and shares the pieces that it has in common with the state before.
All pieces lie on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from jbdiff.stream.state import StreamState
from jbdiff.stream.stream import BlockStream
from jbdiff.untyped import JsonDict

BY_TOKENS = {"context": 1, "memory": 1, "history": 2, "past_noise": 2}  # parts of a level: axis of time
BY_FRAMES = {"lower": 2, "mono": 2}
SAME_SOUND = {"context": "history", "history": "context"}  # they often end with the same latents


@dataclass(frozen=True)
class _KeptTensor:
    """One tensor. pieces: bytes with time first, oldest piece first. axis: of time."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    axis: int
    pieces: tuple[bytes, ...]

    def tensor(self) -> Tensor:
        """Return the tensor on the CPU, with the shape it had."""
        raw = bytearray().join(self.pieces)
        if not raw:
            return torch.zeros(self.shape, dtype=self.dtype)
        first = [self.shape[self.axis], *(n for i, n in enumerate(self.shape) if i != self.axis)]
        flat = torch.frombuffer(raw, dtype=self.dtype)
        return flat.reshape(first).movedim(0, self.axis).contiguous()


@dataclass(frozen=True)
class KeptState:
    """One state. nbytes: bytes of the pieces that it does not share with the state before."""

    tensors: Mapping[str, _KeptTensor]
    facts: JsonDict
    nbytes: int

    def state(self) -> StreamState:
        """Return the state, on the CPU."""
        return StreamState.from_parts(
            {name: kept.tensor() for name, kept in self.tensors.items()}, self.facts
        )


def piece_lengths(stream: BlockStream) -> Mapping[str, int]:
    """Return the steps of time that a block adds to each part of the stream's state, for `keep`."""
    lengths = {"finisher.mono": stream.block_frames}
    for stage in stream.stages:
        lengths |= {f"level{stage.level}.{part}": stage.tokens for part in BY_TOKENS}
        lengths[f"level{stage.level}.lower"] = stream.block_frames
    return lengths


def keep(state: StreamState, lengths: Mapping[str, int], before: KeptState | None = None) -> KeptState:
    """Copy a state to the CPU. Share the pieces that `before`, the state one block earlier, also has.

    lengths: of `piece_lengths`. Parts without a length are kept whole.
    """
    tensors, facts = state.parts()
    kept: dict[str, _KeptTensor] = {}
    added = 0
    for name, tensor in tensors.items():
        level, _, part = name.rpartition(".")
        axis = BY_TOKENS.get(part, BY_FRAMES.get(part, 0)) if name in lengths else 0
        pieces = _cut(tensor, axis, lengths.get(name, tensor.shape[0]))
        older = None if before is None else before.tensors.get(name)
        twin = kept.get(f"{level}.{SAME_SOUND.get(part, '')}")
        known = [() if each is None else each.pieces for each in (older, twin)]
        shared = tuple(_shared(piece, place - len(pieces), *known) for place, piece in enumerate(pieces))
        added += sum(len(own) for own, piece in zip(shared, pieces, strict=True) if own is piece)
        kept[name] = _KeptTensor(tuple(tensor.shape), tensor.dtype, axis, shared)
    return KeptState(kept, facts, added)


def _cut(tensor: Tensor, axis: int, length: int) -> list[bytes]:
    """Cut a tensor along its time into pieces of `length`, counted from its end. The first may be shorter."""
    if not tensor.numel():
        return []
    first = tensor.detach().movedim(axis, 0).cpu().clone(memory_format=torch.contiguous_format)
    rows = first.flatten().view(torch.uint8).reshape(len(first), -1).numpy()
    begin = len(rows) % length
    edges = [*([0] if begin else []), *range(begin, len(rows), length)]
    return [rows[start:end].tobytes() for start, end in zip(edges, [*edges[1:], len(rows)], strict=True)]


def _shared(piece: bytes, place: int, older: tuple[bytes, ...], twin: tuple[bytes, ...]) -> bytes:
    """Return an equal piece that is kept already, or `piece` itself. place: from the end, -1 for the last.

    The state before holds it one piece later, or at the same place if nothing moved.
    """
    for pieces, at in ((older, place + 1), (older, place), (twin, place)):
        if -len(pieces) <= at < 0 and pieces[at] == piece:
            return pieces[at]
    return piece
