"""`jbdiff evaluate`, whole: reads, plays, measures; writes figures and pictures as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile
import torch
from torch import Tensor

from jbdiff.bench_machine import commit, this_machine
from jbdiff.checkpoints import Stack
from jbdiff.evaluate.amounts import Amounts
from jbdiff.evaluate.anchor_knobs import anchor_curves
from jbdiff.evaluate.drift import ENDS, drift_figures, play_long
from jbdiff.evaluate.fewsteps import few_figures
from jbdiff.evaluate.figures import Figure, write_json, write_page
from jbdiff.evaluate.knobs import BLOCKS, knob_curves, knob_figures, make_cells, seeds
from jbdiff.evaluate.material import read_pieces
from jbdiff.evaluate.playing import Player, make_player
from jbdiff.evaluate.sections import (
    Continued,
    continue_pieces,
    frechet_figures,
    memory_figures,
    seam_figures,
    speed_figures,
    statistic_figures,
)
from jbdiff.evaluate.show import write_curves, write_drift
from jbdiff.evaluate.statistics import Table
from jbdiff.evaluate.yardsticks import codec_figures
from jbdiff.train.pictures import write_spectrogram
from jbdiff.train.provenance import data_digest

SHOWN_PIECES, SHOWN_SECONDS = 3, 10.0
SEEDS_OF_FEW = 2  # of each context
LONG_SEED = 1000  # of the long run; continuations take the first numbers


@dataclass(frozen=True)
class Job:
    """What is judged, by what, and where the result goes. `steps` None: the stack's own."""

    stack: Stack
    heldout: Path
    training: Path | None
    out: Path
    amounts: Amounts
    finisher: bool
    steps: int | None = None
    threads: int = 1


class Report:
    """Figures and curves so far. Each addition is written at once: a run that is broken off keeps what it had."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path, self.about = path, about
        self.figures: list[Figure] = []
        self.curves: dict[str, Any] = {}

    def add(self, figures: Sequence[Figure], **curves: Any) -> None:
        self.figures += figures
        self.curves |= curves
        write_json(self.path, self.about, self.figures, self.curves)


def about(job: Job) -> dict[str, Any]:
    """Which stack, which code, which sounds, which machine."""
    config = job.stack.config
    folders = {"heldout": job.heldout} | ({"training": job.training} if job.training else {})
    return {
        "stack": config.name,
        "identity": job.stack.identity,
        "levels": list(job.stack.levels),
        "finisher": job.finisher,
        "steps": job.steps if job.steps is not None else config.level(job.stack.levels[0]).steps,
        "guidance": config.level(job.stack.levels[0]).guidance,
        "commit": commit(),
        "data_sha256": {name: data_digest(folder) for name, folder in folders.items()},
        "machine": str(this_machine()),
        "amounts": vars(job.amounts),
    }


@torch.inference_mode()
def evaluate_stack(job: Job, say: Callable[[str], None]) -> list[Figure]:
    """All figures; `figures.json`, sounds and pictures are in `job.out`. `say` is told what is done next.

    Raises ValueError where there is too little to judge by, and what `material` raises on folders.
    """
    torch.set_num_threads(job.threads)
    job.out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    player, amounts = make_player(job.stack, job.finisher, job.steps), job.amounts
    rate = player.sample_rate
    report = Report(job.out / "figures.json", about(job))
    say("reading held-out tracks")
    least = (BLOCKS + 1 + player.latency // player.block) * player.block  # what a knob needs of an init
    context = player.stream.geometry.context_samples(player.stream.levels[0])
    pieces = read_pieces(
        job.heldout, rate, amounts.pieces, context,
        max(int(amounts.continuation * rate), least), int(amounts.middle * rate), say,
    )  # fmt: skip
    say("codec")
    figures, details = codec_figures(job.stack, pieces)
    report.add(figures, codec=details)
    say("few steps")
    report.add(
        few_figures(job.stack, [piece.context for piece in pieces[: amounts.cells]], SEEDS_OF_FEW, say)
    )
    say("continuations")
    made = continue_pieces(player, pieces, say)
    figures, _ = frechet_figures(player, made, amounts)
    report.add(figures)
    figures, held = statistic_figures(made, rate, amounts.stretch)
    report.add(figures)
    show_pieces(job.out, made, rate)
    say("memory")
    if job.training is None:
        report.add([Figure("memory", "distance to training", None, note="not measured without --training")])
    else:
        figures, near = memory_figures(made, job.training, rate, amounts, say)
        report.add(figures, memory={name: values.tolist() for name, values in vars(near).items()})
    report.add(seam_figures(player, made))
    say(f"{amounts.minutes:g} minutes without a break")
    figures, drift = run_long(job, player, made[0].piece.context, held, say)
    report.add(figures, drift=drift)
    say("knobs")
    cells = make_cells(pieces, amounts.cells)
    curves = knob_curves(player, cells, say) + anchor_curves(player, cells, say)
    say("  seed")
    report.add(
        knob_figures(curves, *seeds(player, cells, amounts.seeds)),
        knobs=[{"knob": c.name, "what": c.what, "places": c.places, "rows": c.rows.tolist()} for c in curves],
    )
    write_curves(job.out / "knobs.png", curves)
    say("speed")
    report.add(speed_figures(player, pieces[0].context, amounts.timed_blocks, job.threads))
    write_page(job.out / "figures.md", report.about, report.figures)
    say(f"done in {(time.perf_counter() - started) / 60:.1f} minutes")
    return report.figures


def show_pieces(out: Path, made: Sequence[Continued], sample_rate: int) -> None:
    """Sounds and pictures of the first continuations, each beside the original."""
    count = int(SHOWN_SECONDS * sample_rate)
    shown = {}
    for number, one in enumerate(made[:SHOWN_PIECES]):
        soundfile.write(out / f"piece{number}.wav", one.audio.clamp(-1, 1).T.numpy(), sample_rate)
        shown[f"{one.piece.name}: how it goes on"] = one.piece.original.mean(0)[:count].numpy()
        shown[f"{one.piece.name}: what is played"] = one.audio.mean(0)[:count].numpy()
    write_spectrogram(out / "continuations.png", shown, sample_rate)


def run_long(
    job: Job, player: Player, context: Tensor, held: Table, say: Callable[[str], None]
) -> tuple[list[Figure], dict[str, Any]]:
    """The figures of a long run, and its statistics over time; pictures of those, and of its two ends."""
    rate, minutes = player.sample_rate, job.amounts.minutes
    # Short runs have shorter stretches, so that an end has three of them.
    stretch = min(job.amounts.stretch, minutes * 60 / ENDS / 3)
    run = play_long(player, context, int(minutes * 60 * rate), stretch, LONG_SEED, say)
    write_drift(job.out / "drift.png", run.table, held, stretch)
    count = min(int(SHOWN_SECONDS * rate), run.audio.shape[1])
    mono = run.audio.mean(0)
    ends = {"beginning": mono[:count], "end": mono[-count:]}
    write_spectrogram(job.out / "ends.png", ends, rate)
    for name, audio in (("beginning", run.audio[:, : 3 * count]), ("end", run.audio[:, -3 * count :])):
        soundfile.write(job.out / f"{name}.wav", audio.clip(-1, 1).T, rate)
    figures = drift_figures(run.table, held, minutes)
    return figures, {"seconds": stretch} | {name: values.tolist() for name, values in run.table.items()}
