"""How far a run is, and the learning rate that follows from it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Budget:
    """A run ends at a number of steps, after some minutes, or at whichever comes first.

    Steps count from the very beginning, over broken-off runs; minutes count this run alone.
    """

    steps: int | None = None
    minutes: float | None = None
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise ValueError("a run needs an end: give --steps or --minutes")

    def progress(self, step: int) -> float:
        """0 at the start, 1 when the run is over."""
        by_steps = step / self.steps if self.steps else 0.0
        by_time = (time.monotonic() - self.started) / 60 / self.minutes if self.minutes else 0.0
        return max(by_steps, by_time)


def learning_rate_scale(progress: float, step: int, warmup: int = 100, decay_from: float = 0.6) -> float:
    """Linear warm-up, then level, then linearly down to a twentieth over the last part of the run."""
    rise = min(1.0, (step + 1) / warmup)
    fall = 1.0 if progress <= decay_from else max(0.0, 1 - (progress - decay_from) / (1 - decay_from))
    return rise * (0.05 + 0.95 * fall)
