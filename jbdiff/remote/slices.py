"""One slice of training on a rented GPU machine: the stages one after another, each with its share of the minutes.

Every stage is a `jbdiff train` command of its own. It ends when its time is over, and its last complete round counts.
The parcel in `out` (`parcel.py`) is written anew after every stage, so that little is lost if the machine ends early.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from jbdiff.data.clips import Report
from jbdiff.machine import commit, this_machine
from jbdiff.remote.parcel import WEIGHTS, Parcel, Row, fold, read_parcel, unfold, write_parcel
from jbdiff.remote.stages import SHARES, Order, prepare, stage_words
from jbdiff.untyped import JsonDict

LOSSES = {
    "codec": ("loss", "heldout_spectral"),
    "denoiser": ("loss", "heldout_v"),
    "finisher": ("middle", "heldout_middle"),
    "distill": ("loss", "heldout_4"),
}
LAST_SECONDS = 25.0  # reserved for the parcel with its states
# Reserved of a stage's share for its last round and its files. After the first stage, the measured time is used.
ENDING_SECONDS = 5.0
LEAST_SECONDS, LEAST_TOY_SECONDS = 30.0, 5.0  # a stage with less time is not begun
# Seconds, or a part of its share, by which a stage may be late, because its last round has to end.
GRACE = 20.0, 0.2
DONE, STOPPED, FAILED, NO_TIME = "done", "stopped", "failed", "no time"

Run = Callable[[Sequence[str], float, float, Path], str]
"""Words after `jbdiff train`, seconds until it should end by itself, and until it is made to, file for what it says
-> DONE, STOPPED or FAILED.
"""


def take_slice(
    order: Order, run: Run, clock: Callable[[], float] = time.monotonic, report: Report = print
) -> Parcel:
    """Train for `order.minutes`, write a parcel into `order.out`, and return it.

    Raises ValueError if the order cannot be carried out. A stage that fails becomes a row of the history.
    """
    ends = clock() + 60 * order.minutes - min(LAST_SECONDS, 6 * order.minutes)
    data = order.packed / "data"
    if not data.is_dir():
        raise ValueError(f"no {str(data)!r}; make it with scripts/gpu_train pack, and bring it along")
    order.work.mkdir(parents=True, exist_ok=True)
    parcel = taken_up(order)
    heard, sent_commit = packed_facts(order.packed)
    device = "cuda" if order.accelerator == "gpu" else "cpu"
    parcel = replace(
        parcel,
        slice=parcel.slice + 1,
        heard=max(parcel.heard, heard),
        commit=commit() or sent_commit,
        machine={name: str(value) for name, value in asdict(this_machine(device)).items()},
    )
    parcel = kept(order, parcel)
    began = clock()
    mixes, finisher = prepare(order, ends - began, report)
    report(f"sounds are ready after {clock() - began:.0f} s, {ends - clock():.0f} s left for the stages")
    course = _Course(order, run, clock, report, parcel, ends, mixes, finisher, order.workers)
    for place, stage in enumerate(order.stages):
        course.stage(stage, order.stages[place + 1 :])
    parcel = fold(order.work, order.out, course.parcel, order.room)
    write_parcel(order.work, parcel)
    for name in parcel.left_out:
        report(f"state left out, no room for it: {name}; the next slice starts from the weights")
    return parcel


@dataclass
class _Course:
    """The progress of a slice. `ending` (seconds) and `workers` are adapted to this machine after each stage."""

    order: Order
    run: Run
    clock: Callable[[], float]
    report: Report
    parcel: Parcel
    ends: float
    mixes: int
    finisher: bool
    workers: int
    ending: float = ENDING_SECONDS

    def left(self) -> float:
        return self.ends - self.clock()

    def stage(self, stage: str, later: Sequence[str]) -> None:
        """Run a stage in its share of the time that is left for it and the later stages."""
        order, left = self.order, self.left()
        share = left * SHARES[stage] / sum(SHARES[name] for name in (stage, *later))
        if share < (LEAST_TOY_SECONDS if order.toy else LEAST_SECONDS):
            self.report(f"{stage}: no time left for it")
            self.parcel = with_row(self.parcel, Row(self.parcel.slice, stage, NO_TIME, 0.0))
            return
        self.report(f"{stage}: {share:.0f} s of {left:.0f}")
        first_step, words = stage_words(order, stage, self.mixes, self.finisher, self.parcel)
        rows_before, began = len(metrics(order.work / stage)), self.clock()
        log = order.work / f"{stage}.log"
        outcome = self._trained(stage, words, share, not later, rows_before, log)
        seconds = self.clock() - began
        row = told(order.work / stage, self.parcel.slice, stage, outcome, seconds, first_step, rows_before)
        self.report(f"{stage}: {outcome} after {seconds:.0f} s, {row.steps} steps")
        if outcome == FAILED:
            said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
            self.report("  " + "\n  ".join(said))
        teacher = self.parcel.stages.get("denoiser")
        self.parcel = kept(order, with_row(self.parcel, row))
        if stage == "distill" and (order.work / stage / WEIGHTS).is_file():
            name = order.stack if teacher is None else teacher.weights.sha256
            student = replace(self.parcel.stages[stage], teacher=name)
            self.parcel = replace(self.parcel, stages=self.parcel.stages | {stage: student})

    def _trained(
        self, stage: str, words: list[str], share: float, last: bool, rows_before: int, log: Path
    ) -> str:
        """Run a stage and return its outcome.

        If it ends before its first row of metrics, it runs again without workers, and so do all later stages.
        """
        training, began = max(share - self.ending, share / 2), self.clock()
        limit = self.left() if last else min(self.left(), share + max(GRACE[0], GRACE[1] * share))
        outcome = self.run([*words, "--workers", str(self.workers)], training, limit, log)
        if outcome == DONE:
            self.ending = max(ENDING_SECONDS, self.clock() - began - training)
        elif self.workers and not metrics(self.order.work / stage)[rows_before:]:
            self.report(f"{stage}: {outcome} before its first row; from here on without workers")
            self.workers = 0
            again = min(training, self.left() - self.ending)
            if outcome == FAILED and again > LEAST_SECONDS:
                outcome = self.run([*words, "--workers", "0"], again, self.left(), log)
        return outcome


def kept(order: Order, parcel: Parcel) -> Parcel:
    """Write and return the parcel of the stages so far, without states, which take seconds to write."""
    made = fold(order.work, order.out, parcel, order.room, states=False)
    write_parcel(order.work, made)
    return made


def taken_up(order: Order) -> Parcel:
    """Return the newer of two parcels: that of this machine's working folder, and the one that was sent.

    The sent parcel is unfolded into the working folder if it is the newer one.
    """
    here, sent = read_parcel(order.work), read_parcel(order.packed / "state")
    return here if here.slice >= sent.slice else unfold(order.packed / "state", order.work)


def packed_facts(packed: Path) -> tuple[int, str]:
    """Return how many tracks of the collection have been sent so far, and the commit that packed them."""
    path = packed / "packed.json"
    if not path.is_file():
        return 0, ""
    known = json.loads(path.read_text(encoding="utf-8"))
    return int(known["heard"]), str(known["commit"] or "")


def with_row(parcel: Parcel, row: Row) -> Parcel:
    """Return the parcel with one more row of history."""
    return replace(parcel, history=(*parcel.history, row))


def metrics(folder: Path) -> list[JsonDict]:
    """Return the rows of a run's metrics.jsonl. An incomplete last row is dropped."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]


def told(
    folder: Path, number: int, stage: str, outcome: str, seconds: float, first_step: int, rows_before: int
) -> Row:
    """Return the history row of a stage of this slice from its metrics."""
    rows = metrics(folder)[rows_before:]
    loss, heldout = LOSSES[stage]
    losses = [row[loss] for row in rows if loss in row]
    judged = [row[heldout] for row in rows if heldout in row]
    step = rows[-1]["step"] if rows else first_step
    speed = None
    if rows:
        minutes = rows[-1]["minutes"] - rows[0]["minutes"]
        taken, minutes = (step - rows[0]["step"], minutes) if minutes else (step - first_step, seconds / 60)
        speed = round(taken / (60 * minutes), 3)
    ends = [(values[0], values[-1]) if values else (None, None) for values in (losses, judged)]
    return Row(
        slice=number,
        stage=stage,
        outcome=outcome,
        seconds=round(seconds, 1),
        step=step,
        steps=step - first_step,
        steps_a_second=speed,
        loss_first=ends[0][0],
        loss_last=ends[0][1],
        heldout_first=ends[1][0],
        heldout_last=ends[1][1],
    )


def table(parcel: Parcel) -> str:
    """Return the history of all slices as text, one line per stage."""
    heads = (
        "slice stage outcome seconds steps steps/s loss-first loss-last held-out-first held-out-last".split()
    )
    rows = [heads]
    for row in parcel.history:
        numbers = (row.loss_first, row.loss_last, row.heldout_first, row.heldout_last)
        rows.append(
            [str(row.slice), row.stage, row.outcome.replace(" ", "-"), f"{row.seconds:.0f}", str(row.steps)]
            + ["" if row.steps_a_second is None else f"{row.steps_a_second:.2f}"]
            + ["" if value is None or math.isnan(value) else f"{value:.4f}" for value in numbers]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    )
