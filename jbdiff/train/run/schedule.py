"""The progress of a run, the time left, and the learning rate that follows from the progress."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.optim import Optimizer

# Batches and noise are numbered. Each process of a distributed run has its own range of numbers, of this size.
PROCESS_STRIDE = 1_000_000_000
MOST_SPARED = 0.1  # of the time left


@dataclass
class Budget:
    """The end of a run: a number of steps, a number of minutes, or both, and the first one to come counts.

    Steps count from the very beginning, over interrupted runs. Minutes count this run only. If several processes train
    together, `agreed` holds the minutes of the first one, so that all end at the same step. Raises ValueError if
    neither steps nor minutes are given.
    """

    steps: int | None = None
    minutes: float | None = None
    started: float = field(default_factory=time.monotonic)
    agreed: float | None = None
    _begun: tuple[int, float] | None = None  # first step of this run, and when it was taken

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise ValueError("a run needs an end: give --steps or --minutes")

    def own_minutes(self) -> float:
        """Return the minutes of this process's own clock."""
        return (time.monotonic() - self.started) / 60

    def progress(self, step: int) -> float:
        """Return the progress: 0 at the start, 1 when the run is over."""
        by_steps = step / self.steps if self.steps else 0.0
        gone = self.own_minutes() if self.agreed is None else self.agreed
        return max(by_steps, gone / self.minutes if self.minutes else 0.0)

    def spare(self, minutes: float) -> None:
        """End the run so many minutes earlier, for other work, but not by more than a tenth of the time left.

        A measurement before the first step is slow if the machine is busy just then. The training must not pay for it.
        """
        if self.minutes is not None:
            left = max(0.0, self.minutes - self.own_minutes())
            self.minutes = max(1e-3, self.minutes - min(minutes, MOST_SPARED * left))

    def begin(self, step: int) -> None:
        """Note the time before the first step of this run, which has number `step`."""
        self._begun = (step, time.monotonic())

    def seconds_left(self, step: int) -> float | None:
        """Return the estimated time to the end; None if the run ends by steps and has not taken any yet."""
        ends = [] if self.minutes is None else [(self.minutes - self.own_minutes()) * 60]
        if self.steps is not None and self._begun is not None and step > self._begun[0]:
            first, began = self._begun
            ends.append((time.monotonic() - began) / (step - first) * (self.steps - step))
        return max(0.0, min(ends)) if ends else None


def in_words(seconds: float) -> str:
    """Return a time in words: 48s, 12:05 or 3:07:30."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def learning_rate_scale(progress: float, step: int, warmup: int = 100, decay_from: float = 0.6) -> float:
    """Return the factor of the learning rate, 0..1: it rises over `warmup` steps, stays at 1, then falls to 0.05.

    It falls linearly from progress `decay_from` to the end of the run.
    """
    rise = min(1.0, (step + 1) / warmup)
    fall = 1.0 if progress <= decay_from else max(0.0, 1 - (progress - decay_from) / (1 - decay_from))
    return rise * (0.05 + 0.95 * fall)


def schedule_rate(optimizer: Optimizer, budget: Budget, step: int, rate: float) -> None:
    """Set the learning rate of an optimizer for this step of a run. `rate`: highest learning rate."""
    scale = learning_rate_scale(budget.progress(step), step)
    for group in optimizer.param_groups:
        group["lr"] = rate * scale
