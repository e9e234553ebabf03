"""One training run on Lightning: a folder with the state, the averaged weights, the metrics and the demos."""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, Dataset

from jbdiff.data.clips import first_process
from jbdiff.train.run.boards import Board, check_boards, open_boards
from jbdiff.train.run.callbacks import Demos, Progress, RunLog, SaveAverage, SharedClock, trained
from jbdiff.train.run.provenance import config_toml, provenance
from jbdiff.train.run.schedule import PROCESS_STRIDE
from jbdiff.train.run.settings import RunSettings
from jbdiff.untyped import JsonDict

__all__ = ["Batches", "MakeBatches", "RunSettings", "fit", "prepare_folder"]

MakeBatches = Callable[[int, int], Dataset[Any]]
"""(number of the first batch, how many) -> those batches."""


ABOUT, OPTIONS = "run.json", "config.toml"  # files of a run, beside its state and its weights
WORKER_SECONDS = 60.0  # most time for a batch; a worker that takes longer counts as hung


class Batches(pl.LightningDataModule):
    """Rounds of numbered batches. Each round begins with the batch whose number is the step count.

    `workers`: number of forked processes that draw batches ahead; the batches and their order stay the same. If the
    data is `resident` on the device, batches are drawn in the training process.
    """

    def __init__(
        self, training: MakeBatches, heldout: MakeBatches, round_steps: int, validations: int
    ) -> None:
        super().__init__()
        self.training, self.heldout = training, heldout
        self.round_steps, self.validations = round_steps, validations
        self.workers = 0

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the batches of the next round."""
        assert self.trainer is not None
        module = trained(self.trainer.lightning_module)
        done, limit = module.step_count, module.budget.steps
        count = self.round_steps if limit is None else max(1, min(self.round_steps, limit - done))
        # Each process of a distributed run draws its own batches, from its own stretch of numbers.
        first = done + self.trainer.global_rank * PROCESS_STRIDE
        batches = self.training(first, count)
        if not self.workers or getattr(batches, "resident", None) is not None:
            return DataLoader(batches, batch_size=None)
        return DataLoader(
            batches,
            batch_size=None,
            num_workers=self.workers,
            # forked processes share the mapped cache; other methods would copy it
            multiprocessing_context="fork",
            timeout=WORKER_SECONDS,
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the held-out batches, the same ones each time."""
        return DataLoader(self.heldout(0, self.validations), batch_size=None)


def prepare_folder(settings: RunSettings, about: JsonDict) -> None:
    """Make the run's folder and write `run.json` and `config.toml`: sizes, data and code of the run.

    `about` holds the kind, the job, and under the kind's name the sizes. Raises FileExistsError if the folder holds
    another run or a `config.toml` that no run wrote, FileNotFoundError if there is no state to resume, ValueError if a
    board is wanted that is not installed.
    """
    check_boards(settings.wandb)
    if not first_process():
        return
    if settings.state.exists() and not settings.resume:
        raise FileExistsError(
            f"{settings.out} already holds a run; give --resume to go on, or another folder"
        )
    if not (settings.out / ABOUT).exists() and (settings.out / OPTIONS).exists():  # of the user, who wrote it
        raise FileExistsError(
            f"{settings.out / OPTIONS} would be replaced by the options of this run; give another folder for --out"
        )
    if settings.resume and not settings.state.exists():
        raise FileNotFoundError(
            f"no training state {settings.state}; start anew, or from the shipped weights with --from-shipped"
        )
    about = about | provenance(about.get("job", {}))
    settings.out.mkdir(parents=True, exist_ok=True)
    plain = {name: str(v) if isinstance(v, Path) else v for name, v in asdict(settings).items()}
    del plain["given"], plain["sizes"]
    (settings.out / ABOUT).write_text(json.dumps({"settings": plain} | about, indent=2, default=str))
    if settings.given:
        (settings.out / OPTIONS).write_text(
            config_toml(settings.given, about.get(about.get("kind", ""))), encoding="utf-8"
        )


def fit(
    module: pl.LightningModule,
    batches: Batches,
    settings: RunSettings,
    sample_rate: int,
    clip: float | None = None,
    loose: bool = False,
) -> None:
    """Train until the budget is spent; a resumed run goes on from its last round.

    `clip`: largest gradient norm, for modules whose optimisation Lightning runs. `loose`: True if some backward passes
    use only a part of the weights, which training in several processes has to know. Raises RuntimeError, with its
    cause, if training fails.
    """
    torch.set_num_threads(settings.threads)
    batches.workers = settings.workers
    quieten()
    step = 0
    if settings.resume:
        step = int(torch.load(settings.state, map_location="cpu", weights_only=True, mmap=True)["step_count"])
    boards = open_boards(settings.out, step, settings.wandb) if first_process() else []
    try:
        trainer = make_trainer(settings, boards, sample_rate, clip)
        if loose and trainer.world_size > 1 and settings.strategy in ("auto", "ddp"):
            with_unused = replace(settings, strategy="ddp_find_unused_parameters_true")
            trainer = make_trainer(with_unused, boards, sample_rate, clip)
        state = str(settings.state) if settings.resume else None
        if settings.judge_ends and not settings.resume:
            began = time.monotonic()
            trainer.validate(module, datamodule=batches, verbose=False)
            # The measurement after the last step takes as long as this one, and must fit into the budget.
            trained(module).budget.spare((time.monotonic() - began) / 60)
        trainer.fit(module, datamodule=batches, ckpt_path=state, weights_only=True)
        if settings.judge_ends:
            trainer.validate(module, datamodule=batches, verbose=False)
    except (OSError, ValueError) as error:
        raise RuntimeError(f"training in {settings.out} broke off: {error}") from error
    finally:
        for board in boards:
            board.close()


def quieten() -> None:
    """Silence Lightning's warnings about things that are intended."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # Batches are drawn from memory in a millisecond, so workers and long epochs would bring nothing.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*number of training batches.*")
    # The average is meant to stay in evaluation mode, and a run's folder holds its cache and its description.
    warnings.filterwarnings("ignore", message=".*in eval mode at the start.*")
    warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
    warnings.filterwarnings("ignore", message=".*treespec.*")


def make_trainer(
    settings: RunSettings, boards: list[Board], sample_rate: int, clip: float | None
) -> pl.Trainer:
    """Return Lightning's trainer with the run's machine, rounds and callbacks."""
    keep = ModelCheckpoint(
        settings.out,
        filename="last",
        save_top_k=1,
        every_n_epochs=1,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    bar = sys.stderr.isatty()
    return pl.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.nodes,
        strategy=settings.strategy,
        # Each process draws its own batches by number. An additional sampler would leave half of them out.
        use_distributed_sampler=False,
        max_epochs=-1,
        logger=False,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=settings.validate_every_rounds,
        limit_val_batches=settings.validations,
        reload_dataloaders_every_n_epochs=1,
        enable_model_summary=False,
        enable_progress_bar=bar,
        gradient_clip_val=clip,
        callbacks=[
            SharedClock(),
            RunLog(settings.out, boards),
            SaveAverage(settings.out),
            Demos(settings.out, settings.demo_minutes, sample_rate, boards),
            keep,
            *([Progress()] if bar else []),
        ],
    )
