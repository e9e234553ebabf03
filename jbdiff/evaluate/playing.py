"""Plays a stack as the instrument does: a `BlockStream` with the stack's own steps and guidance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from jbdiff.diffusion.noise import NoiseStyle
from jbdiff.stacks.stack import Stack
from jbdiff.stream.stream import BlockSettings, BlockStream

NOISE_STEP = 0.3  # the start value of the instrument's knob Noise


@dataclass(frozen=True)
class Player:
    """Plays the stack of `stream`, with its finisher if the stream has one.

    If `steps` is None, the stack's own count.
    """

    stream: BlockStream
    steps: int | None = None

    @property
    def sample_rate(self) -> int:
        """Frames a second."""
        return self.stream.sample_rate

    @property
    def block(self) -> int:
        """Samples of one block."""
        return self.stream.block_frames

    @property
    def latency(self) -> int:
        """Samples of silence at the beginning of the stream."""
        return self.stream.latency_frames

    def settings(self, seed: int) -> BlockSettings:
        """Return settings with this seed and all knobs at their start values."""
        return BlockSettings(
            seed=seed,
            noise_style=NoiseStyle.WALK,
            noise_step=NOISE_STEP,
            guidance=self.stream.stack.config.level(self.stream.levels[0]).guidance,
            steps=self.steps,
        )

    def begin(self, context: Tensor | None) -> None:
        """Reset the stream; it then plays after a mono context `[n]`, or after nothing."""
        self.stream.reset()
        if context is not None:
            self.stream.set_context(context[None, None])

    def go_on(self, settings: BlockSettings, blocks: int, init: Tensor | None = None) -> Tensor:
        """Play the next blocks `[channels, blocks * block]`. Each block gets its own part of a mono init `[n]`."""
        made = []
        for number in range(blocks):
            given = None if init is None else init[None, None, : (number + 1) * self.block]
            made.append(self.stream.step(settings, init=given).audio[0])
        return torch.cat(made, 1)

    def play(
        self, context: Tensor | None, samples: int, settings: BlockSettings, init: Tensor | None = None
    ) -> Tensor:
        """Reset the stream and play `[channels, samples]`, without the silence at the beginning of a stream."""
        self.begin(context)
        blocks = -(-(samples + self.latency) // self.block)
        return self.go_on(settings, blocks, init)[:, self.latency : self.latency + samples].clone()

    def endless(self, context: Tensor, settings: BlockSettings) -> Iterator[Tensor]:
        """Reset the stream and yield blocks `[channels, n]` without end; the silence at the beginning is cut off."""
        self.begin(context)
        silent = self.latency
        while True:
            audio = self.go_on(settings, 1)[:, silent:]
            silent = max(0, silent - self.block)
            yield audio


def make_player(stack: Stack, finisher: bool, steps: int | None = None) -> Player:
    """Return a player of a stack, with or without its finisher. If `steps` is None, the stack's own count is used."""
    return Player(BlockStream(stack, finisher=finisher), steps)
