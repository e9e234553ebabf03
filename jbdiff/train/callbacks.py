"""What happens beside a training run: metrics as JSON lines, weights on disk, demos to hear and see."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import lightning.pytorch as pl
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from jbdiff.train.average import WeightAverage
from jbdiff.train.pictures import write_spectrogram
from jbdiff.train.schedule import Budget

Demo = dict[str, NDArray[np.float32]]
"""Name -> mono audio `[frames]`."""


class Trained(Protocol):
    """What the callbacks ask of a training module."""

    average: WeightAverage
    budget: Budget
    step_count: int


def save_weights(network: nn.Module, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """A safetensors file, replaced whole: a reader never sees half of it."""

    def stored(tensor: Tensor) -> Tensor:
        return tensor.detach().cpu().to(dtype if tensor.is_floating_point() else tensor.dtype).contiguous()

    partial = path.with_suffix(".part")
    save_file({name: stored(tensor) for name, tensor in network.state_dict().items()}, partial)
    os.replace(partial, path)


class RunLog(pl.Callback):
    """`metrics.jsonl`, and a line of text now and then where no progress bar can be drawn."""

    def __init__(self, folder: Path, every: int = 20) -> None:
        self.path, self.every, self.started = folder / "metrics.jsonl", every, time.monotonic()

    def _write(self, module: Any, metrics: dict[str, Any]) -> None:
        values = {name: round(float(value), 5) for name, value in metrics.items() if "epoch" not in name}
        row = {
            "step": module.step_count,
            "minutes": round((time.monotonic() - self.started) / 60, 3),
        } | values
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if not sys.stderr.isatty():
            print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if pl_module.step_count % self.every == 0:
            self._write(pl_module, {k: v for k, v in trainer.callback_metrics.items() if "heldout" not in k})

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self._write(pl_module, {k: v for k, v in trainer.callback_metrics.items() if "heldout" not in k})

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self._write(pl_module, {k: v for k, v in trainer.callback_metrics.items() if "heldout" in k})


class SaveAverage(pl.Callback):
    """After every round: the averaged weights as `weights.safetensors`; ends the run when its budget is spent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.is_global_zero:
            save_weights(pl_module.average.network, self.folder / "weights.safetensors")
        if pl_module.budget.progress(pl_module.step_count) >= 1:
            trainer.should_stop = True


class Demos(pl.Callback):
    """Every so many minutes, and at the end: WAV files and spectrogram pictures of what the average makes."""

    def __init__(self, folder: Path, minutes: float, sample_rate: int) -> None:
        self.folder, self.minutes, self.sample_rate = folder / "demos", minutes, sample_rate
        self.last = time.monotonic()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        due = time.monotonic() - self.last >= self.minutes * 60
        if trainer.is_global_zero and (due or trainer.should_stop):
            self.last = time.monotonic()
            self.folder.mkdir(exist_ok=True)
            with torch.no_grad():
                demo: Demo = pl_module.demo()
            for name, audio in demo.items():
                path = self.folder / f"{pl_module.step_count:07d}_{name}"
                soundfile.write(path.with_suffix(".wav"), np.clip(audio, -1, 1), self.sample_rate)
            picture = self.folder / f"{pl_module.step_count:07d}.png"
            write_spectrogram(picture, demo, self.sample_rate)
