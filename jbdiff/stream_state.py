"""Everything a stream remembers between blocks, as one immutable value that can be kept as bytes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from jbdiff.noise import NoiseRegister

FORMAT = 1


class StreamError(RuntimeError):
    """The stream cannot go on, or a saved state does not fit; says why and what to do."""


@dataclass(frozen=True)
class LevelState:
    """What one level carries from block to block. Tensors are never written in place."""

    context: Tensor | None  # [1, n, c] latents the next block is conditioned on; None is the null context
    history: Tensor  # [1, c, n] own latents, newest last: left context of the decoder, and resample's init
    tail: Tensor  # [1, 1, fade] what followed the last block in its own decode
    register: NoiseRegister

    def fits(self, other: LevelState, context_tokens: int) -> bool:
        """Whether this state can take the place of `other`: one stream, one set of sizes."""
        channels = other.history.shape[1]
        context = self.context
        noise = self.register.current
        return (
            self.tail.shape == other.tail.shape
            and self.history.shape == (1, channels, self.history.shape[-1])
            and self.register.stream == other.register.stream
            and self.register.shape == other.register.shape
            and (noise is None or noise.shape == other.register.shape)
            and (context is None or context.shape == (1, context.shape[1], channels))
            and (context is None or context.shape[1] <= context_tokens)
        )


@dataclass(frozen=True)
class StreamState:
    """A stream between two blocks: `BlockStream.save` gives it, `restore` takes it back bit-exactly."""

    identity: str  # of the stack
    block_index: int  # of the next block
    levels: Mapping[int, LevelState]

    def to_bytes(self) -> bytes:
        """As a safetensors file whose metadata hold the numbers."""
        tensors: dict[str, Tensor] = {}
        registers: dict[str, dict[str, Any]] = {}
        for number, level in self.levels.items():
            prefix = f"level{number}."
            parts = {"history": level.history, "tail": level.tail, "context": level.context}
            parts["noise"] = level.register.current
            tensors |= {prefix + name: _plain(part) for name, part in parts.items() if part is not None}
            registers[str(number)] = {
                item.name: getattr(level.register, item.name)
                for item in dataclasses.fields(level.register)
                if item.name != "current"
            }
        facts = {
            "format": FORMAT,
            "identity": self.identity,
            "block_index": self.block_index,
            "registers": registers,
        }
        return save(tensors, metadata={"stream_state": json.dumps(facts)})

    @classmethod
    def from_bytes(cls, content: bytes) -> StreamState:
        """The state that `to_bytes` wrote. Raises StreamError for anything else."""
        try:
            tensors = load(content)
            # A safetensors file opens with the length of its JSON header; the library gives no metadata.
            length = int.from_bytes(content[:8], "little")
            header = json.loads(content[8 : 8 + length])
            facts = json.loads(header["__metadata__"]["stream_state"])
            if facts["format"] != FORMAT:
                raise StreamError(
                    f"the saved state has format {facts['format']!r}; this version reads {FORMAT}"
                )
            levels = {}
            for number, register in facts["registers"].items():
                prefix = f"level{number}."
                levels[int(number)] = LevelState(
                    context=tensors.get(prefix + "context"),
                    history=tensors[prefix + "history"],
                    tail=tensors[prefix + "tail"],
                    register=NoiseRegister(**register, current=tensors.get(prefix + "noise")),
                )
            return cls(str(facts["identity"]), int(facts["block_index"]), levels)
        except (SafetensorError, KeyError, TypeError, ValueError, UnicodeDecodeError) as error:
            raise StreamError(
                f"these bytes are no saved stream state ({error!r}); start a fresh one"
            ) from error


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()
