"""What happens beside a training run: one clock, metrics, weights on disk, demos to hear and see."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

import lightning.pytorch as pl
import numpy as np
import soundfile
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from jbdiff.audio.figures import mel_image
from jbdiff.audio.pictures import png
from jbdiff.train.run.average import WeightAverage
from jbdiff.train.run.boards import Board
from jbdiff.train.run.schedule import Budget, in_words
from jbdiff.untyped import JsonDict

Demo = dict[str, NDArray[np.float32]]
"""Name -> audio `[frames]`, or `[frames, 2]` of stereo."""


Boards = Sequence[Board]


class Trained(Protocol):
    """What the callbacks ask of a training module."""

    average: WeightAverage
    budget: Budget
    step_count: int
    device: torch.device

    def demo(self) -> Demo:
        """Sounds to keep, by name; none if there is nothing to show."""
        ...


def trained(module: pl.LightningModule) -> Trained:
    """The module that a callback belongs to: Lightning knows only its own type of it."""
    return cast(Trained, module)


def save_weights(network: nn.Module, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """A safetensors file, replaced whole: a reader never sees half of it."""

    def stored(tensor: Tensor) -> Tensor:
        return tensor.detach().cpu().to(dtype if tensor.is_floating_point() else tensor.dtype).contiguous()

    partial = path.with_suffix(".part")
    save_file({name: stored(tensor) for name, tensor in network.state_dict().items()}, partial)
    os.replace(partial, path)


class SharedClock(pl.Callback):
    """Where several processes train together, the first one's clock counts for all: learning rate and end follow it."""

    def _agree(self, trainer: pl.Trainer, module: Trained) -> None:
        if trainer.world_size > 1:
            minutes = torch.tensor(module.budget.own_minutes(), device=module.device)
            module.budget.agreed = float(trainer.strategy.broadcast(minutes))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._agree(trainer, trained(pl_module))
        module = trained(pl_module)
        module.budget.begin(module.step_count)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        self._agree(trainer, trained(pl_module))


class Progress(TQDMProgressBar):
    """The round's bar, with the time that is left of the whole run."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> JsonDict:
        items: JsonDict = dict(super().get_metrics(trainer, pl_module))
        module = trained(pl_module)
        left = module.budget.seconds_left(module.step_count)
        return items if left is None else items | {"left": in_words(left)}


class RunLog(pl.Callback):
    """`metrics.jsonl` and the boards, and a line of text now and then where no progress bar can be drawn."""

    def __init__(self, folder: Path, boards: Boards, every: int = 20) -> None:
        self.path, self.boards, self.every = folder / "metrics.jsonl", boards, every
        self.started = time.monotonic()

    def _write(self, module: Trained, metrics: JsonDict) -> None:
        values = {name: round(float(value), 5) for name, value in metrics.items() if "epoch" not in name}
        row = {
            "step": module.step_count,
            "minutes": round((time.monotonic() - self.started) / 60, 3),
        } | values
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        for board in self.boards:
            board.scalars(module.step_count, values)
        if not sys.stderr.isatty():
            left = module.budget.seconds_left(module.step_count)
            shown = row | ({} if left is None else {"left": in_words(left)})
            print("  ".join(f"{name} {value}" for name, value in shown.items()), flush=True)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        if trained(pl_module).step_count % self.every == 0:
            self._of_training(trainer, trained(pl_module))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._of_training(trainer, trained(pl_module))

    def _of_training(self, trainer: pl.Trainer, module: Trained) -> None:
        if trainer.is_global_zero:
            self._write(module, {k: v for k, v in trainer.callback_metrics.items() if "heldout" not in k})

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self._write(
                trained(pl_module), {k: v for k, v in trainer.callback_metrics.items() if "heldout" in k}
            )


class SaveAverage(pl.Callback):
    """After every round: the averaged weights as `weights.safetensors`; ends the run when its budget is spent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = trained(pl_module)
        if trainer.is_global_zero:
            save_weights(module.average.network, self.folder / "weights.safetensors")
        over = module.budget.progress(module.step_count) >= 1
        if trainer.strategy.reduce_boolean_decision(over, all=False):
            trainer.should_stop = True


class Demos(pl.Callback):
    """Every so many minutes, and at the end: sounds and mel pictures of what the average makes, as files and on the
    boards. With infinite minutes there are none at all.
    """

    def __init__(self, folder: Path, minutes: float, sample_rate: int, boards: Boards) -> None:
        self.folder, self.minutes, self.sample_rate = folder / "demos", minutes, sample_rate
        self.boards, self.last = boards, time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        due = time.monotonic() - self.last >= self.minutes * 60
        wanted = due or (trainer.should_stop and self.minutes != math.inf)
        if trainer.is_global_zero and wanted:
            self.last = time.monotonic()
            with torch.no_grad():
                demo = trained(pl_module).demo()
            if demo:
                self._show(trained(pl_module).step_count, demo)

    def _show(self, step: int, demo: Demo) -> None:
        self.folder.mkdir(exist_ok=True)
        for name, audio in demo.items():
            clipped = np.clip(audio, -1, 1)
            soundfile.write(self.folder / f"{step:07d}_{name}.wav", clipped, self.sample_rate)
            for board in self.boards:
                board.sound(step, f"demo/{name}", _mono(clipped), self.sample_rate)
        image = mel_image({name: _mono(audio) for name, audio in demo.items()}, self.sample_rate)
        (self.folder / f"{step:07d}.png").write_bytes(png(image))
        for board in self.boards:
            board.picture(step, "demo", image)


def _mono(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """`[frames]` of `[frames]` or `[frames, channels]`."""
    return audio if audio.ndim == 1 else audio.mean(axis=1)
