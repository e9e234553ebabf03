"""How a stream computes: device, number format, sampler, CUDA graphs and compiled networks. Not what it plays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from jbdiff.codecs.codec import Codec
from jbdiff.diffusion.samplers import Sampler
from jbdiff.networks.channels_last import Compiler, compiler_for
from jbdiff.stream.cuda_graphs import (
    Recordings,
    decode_obstacle,
    loop_obstacle,
    recorder_for,
    recordings_for,
)


@dataclass(frozen=True)
class Execution:
    """How every part of a stream computes.

    dtype: below float32, denoisers run under autocast; the sampler and the codec stay in float32.
    sampler: of every part. None takes each level's own, and v-DDIM for the finisher.
    graphs: denoising loops and decodes are recorded as CUDA graphs and replayed (`cuda_graphs.py`).
    compiled: U-Nets and the waveform finisher run compiled, with channels innermost and in `dtype` throughout
    (`networks/channels_last.py`). Without CUDA nothing is recorded or compiled; `notes` says so.
    """

    device: torch.device
    dtype: torch.dtype = torch.float32
    sampler: Sampler | None = None
    graphs: bool = False
    compiled: bool = False

    def recordings(self) -> Recordings | None:
        """Return an empty set of recordings for one part. None if nothing is, or can be, recorded."""
        return recordings_for(self.device) if self.graphs else None

    def compiler(self) -> Compiler | None:
        """Return the function that compiles a network. None if nothing is, or can be, compiled."""
        return compiler_for(self.device) if self.compiled else None

    def exact(self) -> Execution:
        """The same device and sampler in float32, without graphs and compiled networks: slow and safe."""
        return replace(self, dtype=torch.float32, graphs=False, compiled=False)

    def notes(self, sampler: Sampler, codec: Codec) -> tuple[str, ...]:
        """Sentences that say what is not recorded or compiled although it was asked for, and why.

        sampler: of the coarsest level. Loops that are too long are not named here: their length is known later.
        """
        found: list[str] = []
        if self.graphs and recorder_for(self.device) is None:
            found.append(f"nothing can be recorded on {self.device}: graphs are CUDA's")
        elif self.graphs:
            found += filter(None, (loop_obstacle(1, sampler), decode_obstacle(codec)))
        if self.compiled and self.compiler() is None:
            found.append(f"nothing is compiled on {self.device}: that is for CUDA, and needs Triton")
        return tuple(found)
