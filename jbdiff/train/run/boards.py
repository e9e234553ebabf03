"""Boards on which a run can be watched: TensorBoard if it is installed, and Weights & Biases on request.

Only the first process writes.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Board(Protocol):
    """Receives figures, sounds and pictures of a step."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write figures by name."""

    def sound(self, step: int, name: str, audio: NDArray[np.float32], sample_rate: int) -> None:
        """Write a mono sound `[frames]` within -1..1."""

    def picture(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """Write an RGB picture `[height, width, 3]`."""

    def close(self) -> None:
        """Finish writing; nothing may be written afterwards."""


class TensorBoard:
    """Event files in `folder`; `tensorboard --logdir` of it or of any folder above shows them.

    `step`: the step at which the run goes on. Values of an interrupted part after that step are left out of the curves.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """As `Board.scalars`."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def sound(self, step: int, name: str, audio: NDArray[np.float32], sample_rate: int) -> None:
        """As `Board.sound`: mono `[frames]` within -1..1."""
        self._writer.add_audio(name, audio[None], step, sample_rate)

    def picture(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """As `Board.picture`: RGB `[height, width, 3]`."""
        self._writer.add_image(name, image, step, dataformats="HWC")

    def close(self) -> None:
        """As `Board.close`."""
        self._writer.close()


class Wandb:
    """A run on Weights & Biases, in the project "jbdiff", with the name of the run's folder."""

    def __init__(self, folder: Path) -> None:
        import wandb

        self._wandb = wandb
        self._run: Any = wandb.init(project="jbdiff", name=folder.name, dir=str(folder))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """As `Board.scalars`."""
        self._run.log({**values, "step": step})

    def sound(self, step: int, name: str, audio: NDArray[np.float32], sample_rate: int) -> None:
        """As `Board.sound`: mono `[frames]` within -1..1."""
        self._run.log({name: self._wandb.Audio(audio, sample_rate=sample_rate), "step": step})

    def picture(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """As `Board.picture`: RGB `[height, width, 3]`."""
        self._run.log({name: self._wandb.Image(image), "step": step})

    def close(self) -> None:
        """As `Board.close`."""
        self._run.finish()


def check_boards(wandb: bool) -> None:
    """Raise ValueError if a board is wanted that is not installed; called before any work is done."""
    if wandb and importlib.util.find_spec("wandb") is None:
        raise ValueError("--wandb needs the package of that name: pip install wandb, or leave the flag out")


def open_boards(folder: Path, step: int, wandb: bool) -> list[Board]:
    """Return the boards of a run that goes on from `step`.

    Without TensorBoard, `metrics.jsonl` still has the figures.
    """
    known = importlib.util.find_spec("tensorboard") is not None
    boards: list[Board] = [TensorBoard(folder / "tensorboard", step)] if known else []
    return [*boards, Wandb(folder)] if wandb else boards
