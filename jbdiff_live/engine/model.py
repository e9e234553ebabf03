"""The model as a block generator: knobs in, numpy blocks out. The only file here that touches torch.

Engine thread only, but for the `*_file` attributes: those hold immutable sources that the session swaps
whole, and the engine reads each once per block.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from jbdiff_live.block import Generated
from jbdiff_live.engine.sources import FileSource, Mono
from jbdiff_live.parameters import ParameterSnapshot

if TYPE_CHECKING:
    import torch

    from jbdiff.stream import BlockStream

log = logging.getLogger(__name__)


class ModelGenerator:
    """Plays a stack through `jbdiff.stream.BlockStream`. torch is imported in `prepare`, not before.

    `stack_name` is a shipped stack or a folder of checkpoints. `live(frames)` gives the newest frames of the
    live input as mono, or None where there is no input. Sources named by the knobs but missing fall back to
    the stream's own sound, and `complaint` says so.
    """

    channels = 2
    sample_rate = 44_100

    def __init__(
        self,
        stack_name: str = "pocket",
        live: Callable[[int], Mono | None] = lambda frames: None,
        threads: int | None = None,
    ) -> None:
        self.stack_name = stack_name
        self.block_frames = 0
        self.context_file: FileSource | None = None
        self.init_file: FileSource | None = None
        self.complaint = ""
        self.stack_identity = ""
        self._live = live
        self._threads = threads
        self._stream: BlockStream | None = None
        self._started_from: FileSource | None = None
        self._context_frames = 0
        self._block = 0

    def prepare(self, report: Callable[[str], None]) -> None:
        """Imports torch, loads the stack, runs one block to warm up and forgets it again."""
        if self._stream is not None:
            self.reset()
            return
        report("loading torch")
        import torch

        from jbdiff.checkpoints import load_stack
        from jbdiff.stream import BlockSettings, BlockStream

        # Half the cores: window, feeder and recorder need the others. With every core taken, torch's threads
        # wait for one another and a block takes ten times as long (measured on two cores).
        torch.set_num_threads(self._threads or max(1, (os.cpu_count() or 2) // 2))
        device = "cuda" if torch.cuda.is_available() else "cpu"
        report(f"loading {self.stack_name}")
        stack = load_stack(self.stack_name, device=device)
        if stack.config.sample_rate != self.sample_rate:
            raise ValueError(
                f"stack {self.stack_name!r} runs at {stack.config.sample_rate} Hz; the instrument plays "
                f"{self.sample_rate} Hz stacks"
            )
        self.stack_identity = stack.identity
        stream = BlockStream(stack, device=device)
        self.block_frames = stream.block_frames
        self._context_frames = stream.block_frames * stack.config.levels[0].context_windows
        for turn in (1, 2):
            report(f"warming up, block {turn} of 2")
            stream.step(BlockSettings())
        self._stream = stream
        self.reset()

    def next_block(self, snapshot: ParameterSnapshot, keep_going: Callable[[], bool]) -> Generated | None:
        """One block from the knobs as they stand; None when `keep_going` turned false between steps."""
        from jbdiff.config import NoiseStyle
        from jbdiff.stream import BlockSettings, StreamInterrupted

        stream = self._ready()
        if self.context_file is not self._started_from:
            self._begin_from_file()
        settings = BlockSettings(
            seed=int(snapshot["seed"]),
            noise_style=NoiseStyle(snapshot.choice("noise_style")),
            noise_step=snapshot["noise_step"],
            hold=snapshot.on("hold"),
            reroll=snapshot.counts["reroll"],
            home=snapshot.counts["home"],
            resample=snapshot["resample"],
            guidance=snapshot["guidance"],
        )
        self.complaint = ""
        end = (self._block + 1) * self.block_frames
        context = self._from(snapshot.choice("context_source"), self.context_file, "context",
                             end - self.block_frames, self._context_frames)  # fmt: skip
        init = None
        if snapshot["resample"] > 0:
            init = self._from(snapshot.choice("init_source"), self.init_file, "init", end, self.block_frames)
        try:
            block = stream.step(settings, init=init, context=context, on_step=lambda *_: keep_going())
        except StreamInterrupted:
            return None
        self._block += 1
        samples = block.audio[0].float().cpu().numpy().T
        if samples.shape[1] == 1:
            samples = np.repeat(samples, self.channels, axis=1)
        return Generated(np.ascontiguousarray(samples, dtype=np.float32), str(block.noise))

    def reset(self) -> None:
        """Forgets what was played; the context file, if there is one, is where it begins again."""
        self._block = 0
        self._ready().reset()
        self._begin_from_file()

    def close(self) -> None:
        self._stream = None

    def _ready(self) -> BlockStream:
        if self._stream is None:
            raise RuntimeError("the model is not loaded; call prepare() first")
        return self._stream

    def _begin_from_file(self) -> None:
        self._started_from = self.context_file
        if self.context_file is not None:
            self._ready().set_context(_tensor(self.context_file.tail(self._context_frames)))

    def _from(
        self, source: str, file: FileSource | None, role: str, end: int, frames: int
    ) -> torch.Tensor | None:
        """Audio of a source as [1, 1, frames], or None for the stream's own."""
        if source == "own":
            return None
        samples: Mono | None = None
        if source == "live":
            samples = self._live(frames)
        elif file is not None:
            samples = file.window(end, frames)
        if samples is None:
            missing = "no live input is open" if source == "live" else f"no {role} file is loaded"
            self.complaint = f"{role} source is {source!r}, but {missing}: using the instrument's own sound"
            return None
        return _tensor(samples)


def _tensor(mono: Mono) -> torch.Tensor:
    """The one place where [frames] turns into [batch, channels, time]."""
    import torch

    return torch.from_numpy(np.array(mono, np.float32))[None, None]
