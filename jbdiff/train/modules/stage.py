"""What the training of every stage does alike."""

from __future__ import annotations

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
    """A tensor on any device as float32 numpy."""
    return np.asarray(audio.detach().float().cpu().numpy(), np.float32)


class StageTraining(pl.LightningModule):
    """Counts its steps, over broken-off runs as well; lowers the learning rate over the run; averages what it learns.

    A stage says what `learns`, and makes the first average when that is there: `begin_average`.
    """

    average: WeightAverage

    def __init__(self, budget: Budget, rate: float, seed: int, bf16: bool) -> None:
        super().__init__()
        self.budget, self.rate, self.seed, self.bf16 = budget, rate, seed, bf16
        self.step_count = 0

    @property
    def learns(self) -> nn.Module:
        """The part whose weights are averaged, exported and played."""
        raise NotImplementedError

    def begin_average(self) -> None:
        """Before the first step, and wherever weights are put in from outside: nothing of others is left in it."""
        self.average = WeightAverage(self.learns)

    def chance(self, device: torch.device | str = "cpu") -> torch.Generator:
        """The random numbers of this step and this process, the same in a run that was broken off and resumed."""
        number = self.step_count + self.global_rank * PROCESS_STRIDE
        return torch.Generator(device).manual_seed(self.seed * 1_000_003 + number)

    def on_save_checkpoint(self, checkpoint: JsonDict) -> None:
        checkpoint["step_count"] = self.step_count

    def on_load_checkpoint(self, checkpoint: JsonDict) -> None:
        self.step_count = int(checkpoint["step_count"])

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        schedule_rate(optimizer, self.budget, self.step_count, self.rate)

    def on_train_batch_end(self, outputs: object, batch: object, batch_idx: int) -> None:
        self.took_step()

    def took_step(self) -> None:
        self.step_count += 1
        self.average.update(self.learns)
