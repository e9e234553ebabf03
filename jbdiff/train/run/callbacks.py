"""Callbacks of a training run: a shared clock, metrics, saved weights, and demos as sounds and pictures."""

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
from jbdiff.audio.writing import sound_name
from jbdiff.train.run.average import WeightAverage
from jbdiff.train.run.boards import Board
from jbdiff.train.run.schedule import Budget, in_words
from jbdiff.untyped import JsonDict

Demo = dict[str, NDArray[np.float32]]
"""Name -> audio `[frames]`, or `[frames, 2]` of stereo."""


Boards = Sequence[Board]


class Trained(Protocol):
    """The attributes of a training module that the callbacks use."""

    average: WeightAverage
    budget: Budget
    step_count: int
    device: torch.device

    def demo(self) -> Demo:
        """Return sounds `[frames]` or `[frames, 2]` by name; empty if there is nothing to show."""
        ...


def trained(module: pl.LightningModule) -> Trained:
    """Return the module as our own type; Lightning only knows the type `LightningModule`."""
    return cast(Trained, module)


def save_weights(network: nn.Module, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write a network's weights as a safetensors file, floating-point tensors as `dtype`.

    The file is replaced as a whole, so a reader never sees half of it.
    """

    def stored(tensor: Tensor) -> Tensor:
        return tensor.detach().cpu().to(dtype if tensor.is_floating_point() else tensor.dtype).contiguous()

    partial = path.with_suffix(".part")
    save_file({name: stored(tensor) for name, tensor in network.state_dict().items()}, partial)
    os.replace(partial, path)


class SharedClock(pl.Callback):
    """Shares the clock of the first process with all others, so that learning rate and end are the same in all."""

    def _agree(self, trainer: pl.Trainer, module: Trained) -> None:
        if trainer.world_size > 1:
            minutes = torch.tensor(module.budget.own_minutes(), device=module.device)
            module.budget.agreed = float(trainer.strategy.broadcast(minutes))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Share the first process's minutes and begin the budget."""
        self._agree(trainer, trained(pl_module))
        module = trained(pl_module)
        module.budget.begin(module.step_count)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Share the first process's minutes before each step."""
        self._agree(trainer, trained(pl_module))


class Progress(TQDMProgressBar):
    """The progress bar of a round, with the time left of the whole run."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> JsonDict:
        """Return the figures of the bar, with the time left of the run under "left"."""
        items: JsonDict = dict(super().get_metrics(trainer, pl_module))
        module = trained(pl_module)
        left = module.budget.seconds_left(module.step_count)
        return items if left is None else items | {"left": in_words(left)}


class RunLog(pl.Callback):
    """Writes `metrics.jsonl` and the boards; prints lines of text if no progress bar can be drawn."""

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
        """Write the figures of training at every `every`-th step."""
        if trained(pl_module).step_count % self.every == 0:
            self._of_training(trainer, trained(pl_module))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the figures of training at the end of each round."""
        self._of_training(trainer, trained(pl_module))

    def _of_training(self, trainer: pl.Trainer, module: Trained) -> None:
        if trainer.is_global_zero:
            self._write(module, {k: v for k, v in trainer.callback_metrics.items() if "heldout" not in k})

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the held-out figures."""
        if trainer.is_global_zero:
            self._write(
                trained(pl_module), {k: v for k, v in trainer.callback_metrics.items() if "heldout" in k}
            )


class SaveAverage(pl.Callback):
    """Writes the average as `weights.safetensors` after every round; ends the run when its budget is spent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the average; end the run if its budget is spent."""
        module = trained(pl_module)
        if trainer.is_global_zero:
            save_weights(module.average.network, self.folder / "weights.safetensors")
        over = module.budget.progress(module.step_count) >= 1
        if trainer.strategy.reduce_boolean_decision(over, all=False):
            trainer.should_stop = True


class Demos(pl.Callback):
    """Writes demos of the average every `minutes` minutes and at the end, as files and on the boards.

    A demo is sounds and their mel pictures. With infinite minutes there are no demos at all.
    """

    def __init__(self, folder: Path, minutes: float, sample_rate: int, boards: Boards) -> None:
        self.folder, self.minutes, self.sample_rate = folder / "demos", minutes, sample_rate
        self.boards, self.last = boards, time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make a demo if its time has come, or if the run ends."""
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
            soundfile.write(sound_name(self.folder / f"{step:07d}_{name}.wav"), clipped, self.sample_rate)
            for board in self.boards:
                board.sound(step, f"demo/{name}", _mono(clipped), self.sample_rate)
        image = mel_image({name: _mono(audio) for name, audio in demo.items()}, self.sample_rate)
        (self.folder / f"{step:07d}.png").write_bytes(png(image))
        for board in self.boards:
            board.picture(step, "demo", image)


def _mono(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return mono `[frames]` of audio `[frames]` or `[frames, channels]`."""
    return audio if audio.ndim == 1 else audio.mean(axis=1)
