"""The shared part of all training stages."""

from __future__ import annotations

from abc import ABC, abstractmethod

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jbdiff.train.run.average import WeightAverage
from jbdiff.train.run.callbacks import Demo as Demo
from jbdiff.train.run.schedule import PROCESS_STRIDE, Budget, schedule_rate
from jbdiff.untyped import JsonDict


def as_array(audio: Tensor) -> NDArray[np.float32]:
    """Return a tensor `[...]` of any device as a float32 numpy array of the same shape."""
    return np.asarray(audio.detach().float().cpu().numpy(), np.float32)


class StageTraining(pl.LightningModule, ABC):
    """Counts steps, also over interrupted runs; sets the learning rate; keeps the average of the trained weights.

    A stage defines `learns`, and calls `begin_average` as soon as that network exists.
    """

    average: WeightAverage

    def __init__(self, budget: Budget, rate: float, seed: int, bf16: bool) -> None:
        super().__init__()
        self.budget, self.rate, self.seed, self.bf16 = budget, rate, seed, bf16
        self.step_count = 0

    @property
    @abstractmethod
    def learns(self) -> nn.Module:
        """The part whose weights are averaged, exported and played."""

    def begin_average(self) -> None:
        """Start a new average from the present weights.

        A stage calls this before the first step, and whenever weights come in from outside, so that no old weights
        remain.
        """
        self.average = WeightAverage(self.learns)

    def chance(self, device: torch.device | str = "cpu") -> torch.Generator:
        """Return the random generator of this step and process.

        An interrupted and resumed run draws the same numbers.
        """
        number = self.step_count + self.global_rank * PROCESS_STRIDE
        return torch.Generator(device).manual_seed(self.seed * 1_000_003 + number)

    def on_save_checkpoint(self, checkpoint: JsonDict) -> None:
        """Add the step count to a checkpoint."""
        checkpoint["step_count"] = self.step_count

    def on_load_checkpoint(self, checkpoint: JsonDict) -> None:
        """Take the step count from a checkpoint."""
        self.step_count = int(checkpoint["step_count"])

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Set the learning rate of this step. Raises ValueError if its gradients are no numbers.

        One such step would spoil all weights. The state of the round before is on disk then.
        """
        gradients = [
            p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None
        ]
        if gradients and not torch.stack([gradient.abs().max() for gradient in gradients]).isfinite().all():
            raise ValueError(
                f"the gradients of step {self.step_count} are no numbers; go on from the last saved state with "
                "--resume and a lower --rate"
            )
        schedule_rate(optimizer, self.budget, self.step_count, self.rate)

    def on_train_batch_end(self, outputs: object, batch: object, batch_idx: int) -> None:
        """Count the step and update the average. A stage that optimizes by hand overrides this."""
        self.took_step()

    def took_step(self) -> None:
        """Count one step and update the average with the new weights."""
        self.step_count += 1
        self.average.update(self.learns)
