"""A running average of weights. The average, not the last state, is tried out, exported and played."""

from __future__ import annotations

import copy

import torch
from torch import nn


class WeightAverage(nn.Module):
    """Exponential moving average of a network's weights and buffers.

    At first the decay is small, `(1 + n) / (10 + n)`, so that the random start is soon forgotten. Integer buffers are
    copied. The average is part of the training state, so a resumed run has it too.
    """

    updates: torch.Tensor

    def __init__(self, network: nn.Module, decay: float = 0.999) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average one step towards the network's present weights."""
        count = int(self.updates) + 1
        self.updates.fill_(count)
        keep = min(self.decay, (1 + count) / (10 + count))
        own, new = self.network.state_dict(), network.state_dict()
        for name, value in own.items():
            if value.dtype.is_floating_point:
                value.lerp_(new[name].to(value.dtype), 1 - keep)
            else:
                value.copy_(new[name])

    def train(self, mode: bool = True) -> WeightAverage:
        """Stay in evaluation mode, because the average is never trained itself."""
        return super().train(False)
