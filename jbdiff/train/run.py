"""One training run on Lightning: a folder with the state, the averaged weights, the metrics and the demos."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, Dataset

from jbdiff.train.callbacks import Demos, RunLog, SaveAverage
from jbdiff.train.schedule import Budget

MakeBatches = Callable[[int, int], Dataset[Any]]
"""(number of the first batch, how many) -> those batches."""


@dataclass(frozen=True)
class RunSettings:
    """How a run goes on and ends. A round is `round_steps` batches; state is saved after each."""

    out: Path
    minutes: float | None = None
    steps: int | None = None
    threads: int = 1
    resume: bool = False
    round_steps: int = 100
    validate_every_rounds: int = 3
    demo_minutes: float = 10.0
    accelerator: str = "auto"
    devices: str = "auto"

    def budget(self) -> Budget:
        return Budget(self.steps, self.minutes)

    @property
    def state(self) -> Path:
        return self.out / "last.ckpt"


class Batches(pl.LightningDataModule):
    """Rounds of numbered batches: each round starts where the step count stands."""

    def __init__(
        self, training: MakeBatches, heldout: MakeBatches, round_steps: int, validations: int
    ) -> None:
        super().__init__()
        self.training, self.heldout = training, heldout
        self.round_steps, self.validations = round_steps, validations

    def train_dataloader(self) -> DataLoader[Any]:
        assert self.trainer is not None
        module: Any = self.trainer.lightning_module
        done, limit = module.step_count, module.budget.steps
        count = self.round_steps if limit is None else max(1, min(self.round_steps, limit - done))
        # Each process of a distributed run draws its own batches, from its own stretch of numbers.
        first = done + self.trainer.global_rank * 1_000_000_000
        return DataLoader(self.training(first, count), batch_size=None)

    def val_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.heldout(0, self.validations), batch_size=None)


def prepare_folder(settings: RunSettings, about: dict[str, Any]) -> None:
    """Makes the run's folder and writes `run.json`. Raises FileExistsError rather than mix two runs."""
    if settings.state.exists() and not settings.resume:
        raise FileExistsError(
            f"{settings.out} already holds a run; give --resume to go on, or another folder"
        )
    if settings.resume and not settings.state.exists():
        raise FileNotFoundError(
            f"no training state {settings.state}; start anew, or from the shipped weights with --from-shipped"
        )
    settings.out.mkdir(parents=True, exist_ok=True)
    plain = {name: str(v) if isinstance(v, Path) else v for name, v in asdict(settings).items()}
    (settings.out / "run.json").write_text(json.dumps({"settings": plain} | about, indent=2, default=str))


def fit(
    module: pl.LightningModule,
    batches: Batches,
    settings: RunSettings,
    sample_rate: int,
    clip: float | None = None,
) -> None:
    """Trains until the budget is spent; a broken-off run goes on from its last round.

    `clip`: greatest gradient norm, for modules that leave optimisation to Lightning.
    """
    torch.set_num_threads(settings.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # Batches are drawn from memory in a millisecond: workers and long epochs would gain nothing.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*number of training batches.*")
    # The average is meant to stay in evaluation mode, and a run's folder holds its cache and its description.
    warnings.filterwarnings("ignore", message=".*in eval mode at the start.*")
    warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
    warnings.filterwarnings("ignore", message=".*treespec.*")
    keep = ModelCheckpoint(
        settings.out,
        filename="last",
        save_top_k=1,
        every_n_epochs=1,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    trainer = pl.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        max_epochs=-1,
        logger=False,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=settings.validate_every_rounds,
        reload_dataloaders_every_n_epochs=1,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
        gradient_clip_val=clip,
        callbacks=[
            RunLog(settings.out),
            SaveAverage(settings.out),
            Demos(settings.out, settings.demo_minutes, sample_rate),
            keep,
        ],
    )
    state = str(settings.state) if settings.resume else None
    trainer.fit(module, datamodule=batches, ckpt_path=state, weights_only=True)
