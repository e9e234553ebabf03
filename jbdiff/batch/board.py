"""The progress of a batch: bars with the time left on a terminal, plain lines elsewhere. One thread."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

FIRST_SHARE = 0.02  # of all work, before a time is shown


class Board:
    """Shows how far a batch is. weights: of all requests that are to be made, in any unit of work."""

    def __init__(self, console: Console, weights: Sequence[float]) -> None:
        self._console = console
        self._weights = list(weights)
        self._shares = [0.0] * len(self._weights)  # 0..1 of each
        self._ended = 0
        self._began = time.monotonic()
        self._rows: dict[int, TaskID] = {}
        self._bars: Progress | None = None
        if console.is_terminal:
            columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
            self._bars = Progress(*columns, TimeRemainingColumn(), console=console)
            self._all = self._bars.add_task(f"all {len(self._weights)}", total=sum(self._weights))

    def __enter__(self) -> Board:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        console = self._console if self._bars is None else self._bars.console
        console.print(line, soft_wrap=True)

    def progress(self, number: int, name: str, share: float) -> None:
        """Show a request as begun, and how much of it is done, 0 to 1."""
        self._shares[number] = share
        if self._bars is None:
            return
        if number not in self._rows:
            self._rows[number] = self._bars.add_task(name, total=1.0)
        self._bars.update(self._rows[number], completed=share)
        self._bars.update(self._all, completed=self._done())

    def ended(self, number: int, line: str) -> None:
        """Show the end of a request by a line with its number and the time that is left."""
        self._shares[number] = 1.0
        self._ended += 1
        if self._bars is not None:
            if number in self._rows:
                self._bars.remove_task(self._rows.pop(number))
            self._bars.update(self._all, completed=self._done())
        left = "" if self._bars is not None else self._left()
        self.say(f"{self._ended}/{len(self._weights)} {line}{left}")

    def _done(self) -> float:
        return sum(weight * share for weight, share in zip(self._weights, self._shares, strict=True))

    def _left(self) -> str:
        """Return the time left for the rest, at the speed so far. The first pieces are too few for an estimate."""
        done, of = self._done(), sum(self._weights)
        if done < FIRST_SHARE * of or self._ended == len(self._weights):
            return ""
        seconds = (time.monotonic() - self._began) * (of - done) / done
        return f"; {_duration(seconds)} left"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
