"""The stages of a level and the whole stream as the contract sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from contract import UNITS, Part, Reach
from contract_parts import CPU, ignore, noise
from torch import Tensor

from jbdiff.stacks.stack import Stack
from jbdiff.stream.execution import Execution
from jbdiff.stream.level import LevelBlock, LevelStage
from jbdiff.stream.settings import BlockSettings
from jbdiff.stream.state import StreamState
from jbdiff.stream.stream import BlockStream


class Generating(Part[StreamState]):
    """A part that invents. Its reach is the context that its next block reads, in tokens."""

    one_multiple = "The noise of a block is drawn for all of it, and its tokens are denoised together."

    def __init__(self, settings: BlockSettings) -> None:
        self.settings = settings

    def probe(self) -> Tensor:
        return noise(2, self.context_channels, (self.reach.before + 5) * self.place)

    @property
    def context_channels(self) -> int:
        """Channels of the context: 1 if it is sound."""
        return 1

    def respond(self, x: Tensor) -> Tensor:
        """Rows of the context are zero; that of its newest token is the next block."""
        made = self.after_context(x).flatten()
        rows = torch.zeros(x.shape[2] // self.place, len(made))
        rows[-1] = made
        return rows

    def after_context(self, x: Tensor) -> Tensor:
        """Latents of the block that follows a context."""
        raise AssertionError("a generating part plays after a context")

    @property
    def probed(self) -> Sequence[int]:
        """Beside the end of the declared reach, in its middle and at its beginning."""
        newest = self.reach.before + 4
        return (0, 3, newest - self.reach.before, newest - self.reach.before // 2, newest)

    @property
    def watched(self) -> range:
        return range(self.reach.before + 4, self.reach.before + 5)

    def to_bytes(self, state: StreamState) -> bytes:
        return state.to_bytes()

    def from_bytes(self, content: bytes) -> StreamState:
        return StreamState.from_bytes(content)


class StageOfLevel(Generating):
    """The stage of one level, with a delay of the codec's margin and one fade: its sound is a decode of the whole."""

    clean = False

    def __init__(
        self, stack: Stack, level: int, settings: BlockSettings, hop_tokens: int | None = None
    ) -> None:
        super().__init__(settings)
        self.stack, self.level = stack, level
        hop, margin = stack.codec.hop(level), stack.codec.decoder_margin(level)
        tokens = stack.config.level(level).window_tokens if hop_tokens is None else hop_tokens
        self.stage = LevelStage(
            stack,
            level,
            Execution(CPU),
            block_frames=tokens * hop,
            token_multiplier=1,
            delay_tokens=margin + -(-512 // hop),
        )
        self.latency = self.stage.latency_frames
        self.reach = Reach(stack.config.level(level).context_tokens - 1, 0)

    @property
    def context_channels(self) -> int:
        return self.stack.codec.latent_channels

    def fresh(self) -> StreamState:
        return StreamState("", 0, {self.level: self.stage.fresh_state()})

    def step(self, state: StreamState, x: Tensor) -> tuple[Tensor, StreamState]:
        made = self.made(state, x)
        return made.audio, replace(state, block_index=state.block_index + 1, levels={self.level: made.state})

    def made(self, state: StreamState, x: Tensor) -> LevelBlock:
        """The stage's next block."""
        raise AssertionError("a stage makes blocks")

    def whole(self, x: Tensor, states: Sequence[StreamState]) -> Tensor:
        """One decode of all latents that the stage made."""
        histories = [state.levels[self.level].history[..., -self.stage.tokens :] for state in states]
        return self.stack.codec.decode(torch.cat(histories, 2), self.level)

    def after_context(self, x: Tensor) -> Tensor:
        state = self.fresh()
        own = replace(state.levels[self.level], context=x.transpose(1, 2))
        _, after = self.step(replace(state, levels={self.level: own}), self.signal(0)[..., : self.unit])
        return after.levels[self.level].history[..., -self.stage.tokens :]


class InventStage(StageOfLevel):
    """The coarsest level. Its input is one number a block, which takes the place of the seed; NaN is a context."""

    unit = 1

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"stage of level {self.level} that invents"

    def signal(self, seed: int) -> Tensor:
        return torch.full((1, 1, UNITS), float(seed))

    def made(self, state: StreamState, x: Tensor) -> LevelBlock:
        own, bad = state.levels[self.level], bool(x.isnan().any())
        context = torch.full((1, 1, self.stage.block_frames), torch.nan) if bad else None
        settings = replace(self.settings, seed=0 if bad else int(x))
        return self.stage.invent(own, settings, None, context, ignore, state.block_index)


class CleanStage(StageOfLevel):
    """A finer level. Its input is the sound of the level above."""

    restored_after = (1,)

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"stage of level {self.level} that cleans"

    @property
    def unit(self) -> int:  # type: ignore[override]
        return self.stage.block_frames

    def signal(self, seed: int) -> Tensor:
        return 0.2 * noise(seed, 1, UNITS * self.unit)

    def made(self, state: StreamState, x: Tensor) -> LevelBlock:
        return self.stage.clean(state.levels[self.level], self.settings, x, ignore, state.block_index)


class WholeStream(Generating):
    """A stream. Its input is one number a block, which takes the place of the seed; NaN is a context."""

    unit = 1
    no_whole = (
        "What a level plays is its next context. `StageOfLevel` holds each level to a decode of the whole."
    )

    def __init__(
        self, name: str, stream: BlockStream, settings: BlockSettings, beginning: Tensor | None = None
    ) -> None:
        """beginning: sound `[1, 1, n]` that the stream begins after."""
        super().__init__(settings)
        self.name, self.stream = name, stream
        self.beginning = None if beginning is None else stream.prepare_context(beginning)
        self.hop = stream.geometry.hop(stream.levels[0])
        self.reach = Reach(stream.beginning_frames // self.hop - 1, 0)

    @property
    def place(self) -> int:
        return self.hop

    def signal(self, seed: int) -> Tensor:
        return torch.full((1, 1, UNITS), float(seed))

    def fresh(self) -> StreamState:
        self.stream.reset()
        if self.beginning is not None:
            self.stream.set_context(self.beginning)
        return self.stream.save()

    def step(self, state: StreamState, x: Tensor) -> tuple[Tensor, StreamState]:
        self.stream.restore(state)
        bad = bool(x.isnan().any())
        context = torch.full((1, 1, self.stream.window_frames), torch.nan) if bad else None
        settings = replace(self.settings, seed=0 if bad else int(x))
        return self.stream.step(settings, context=context).audio, self.stream.save()

    def after_context(self, x: Tensor) -> Tensor:
        self.stream.reset()
        self.stream.set_context(x)
        self.stream.step(self.settings)
        state, first = self.stream.save().levels, self.stream.stages[0]
        return state[first.level].history[..., -first.tokens :]
