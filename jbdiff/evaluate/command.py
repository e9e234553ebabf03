"""Run `jbdiff evaluate`: read sounds, play, measure. Each section's figures and pictures are written when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import soundfile
import torch
from torch import Tensor

from jbdiff.audio.figures import write_spectrogram
from jbdiff.audio.writing import sound_name
from jbdiff.data.digest import data_digest
from jbdiff.evaluate.amounts import SECTIONS, Amounts
from jbdiff.evaluate.anchor_knobs import anchor_curves
from jbdiff.evaluate.drift import ENDS, drift_figures, play_long
from jbdiff.evaluate.excerpts import Bars, Excerpt, read_excerpts, read_music
from jbdiff.evaluate.fewsteps import few_figures
from jbdiff.evaluate.figures import FIGURES, PAGE, Figure, write_json, write_page
from jbdiff.evaluate.judged import judge_excerpts
from jbdiff.evaluate.knobs import BLOCKS, knob_curves, knob_figures, make_cells, seeds
from jbdiff.evaluate.material import Piece, read_pieces
from jbdiff.evaluate.metrics.statistics import Table
from jbdiff.evaluate.metrics.tones import SETUP, judge_installed
from jbdiff.evaluate.plan_section import plan_section
from jbdiff.evaluate.playing import Player, make_player
from jbdiff.evaluate.sections import (
    Continued,
    continue_pieces,
    frechet_figures,
    joined,
    memory_figures,
    original_tables,
    seam_figures,
    speed_figures,
    statistic_figures,
)
from jbdiff.evaluate.show import write_constant_q, write_curves, write_drift
from jbdiff.evaluate.tone_section import OTHER_MUSIC, RENDERED, Standard, tone_section
from jbdiff.evaluate.yardsticks import codec_figures
from jbdiff.machine import commit, this_machine
from jbdiff.stacks.stack import Stack
from jbdiff.stream.planning import load_planner
from jbdiff.untyped import JsonDict

SHOWN_PIECES, SHOWN_SECONDS = 3, 10.0
SEEDS_OF_FEW = 2  # seeds for each context of the section few-steps
LONG_SEED = 1000  # seed of the long run; continuations use the seeds from 0 upwards


@dataclass(frozen=True)
class Job:
    """The stack to judge, the sounds to judge it by, and the folder for the result.

    `heldout` and `music` may each be None if no section of `sections` needs them. `music_from` is the second of each
    music file at which its context begins. If `steps` is None, the stack's own number of steps is used.
    """

    stack: Stack
    heldout: Path | None
    training: Path | None
    out: Path
    amounts: Amounts
    finisher: bool
    steps: int | None = None
    threads: int = 1
    sections: tuple[str, ...] = SECTIONS
    music: Path | None = None
    music_from: float = 0.0
    planner: Path | None = None  # weights of level 3, for the section plan


class Report:
    """Figures and curves so far. Each addition is written at once: a run that is broken off keeps what it had."""

    def __init__(self, path: Path, about: JsonDict) -> None:
        self.path, self.about = path, about
        self.figures: list[Figure] = []
        self.curves: JsonDict = {}

    def add(self, figures: Sequence[Figure], **curves: Any) -> None:
        """Add figures, and curves by name (values that JSON can hold), and write the file again."""
        self.figures += figures
        self.curves |= curves
        write_json(self.path, self.about, self.figures, self.curves)


def about(job: Job) -> JsonDict:
    """Return what the result was made with: stack, commit, digests of the sounds, machine, sections, amounts."""
    config = job.stack.config
    folders = {"heldout": job.heldout, "training": job.training, "music": job.music}
    return {
        "stack": config.name,
        "identity": job.stack.identity,
        "levels": list(job.stack.levels),
        "finisher": job.finisher,
        "steps": job.steps if job.steps is not None else config.level(job.stack.levels[0]).steps,
        "guidance": config.level(job.stack.levels[0]).guidance,
        "commit": commit(),
        "data_sha256": {name: data_digest(folder) for name, folder in folders.items() if folder is not None},
        "machine": str(this_machine()),
        "sections": list(job.sections),
        "amounts": vars(job.amounts),
    }


@torch.inference_mode()
def evaluate_stack(job: Job, say: Callable[[str], None]) -> list[Figure]:
    """Run the sections of a job and return all figures; `figures.json`, sounds and pictures are in `job.out`.

    `say` receives a line of text before each stage. Raises ValueError if there is too little material, and OSError if a
    folder does not exist.
    """
    torch.set_num_threads(job.threads)
    job.out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    evaluation = Evaluation(job, say)
    evaluation.report.add([])  # from here on the folder is known to be a result, also after an interruption
    for name in job.sections:
        say(name)
        evaluation.run(name)
    report = evaluation.report
    write_page(job.out / PAGE, report.about, report.figures)
    say(f"done in {(time.perf_counter() - started) / 60:.1f} minutes")
    return report.figures


class Evaluation:
    """Runs sections by name. Material that several sections share is made when the first of them needs it."""

    def __init__(self, job: Job, say: Callable[[str], None]) -> None:
        self.job, self.say, self.amounts = job, say, job.amounts
        self.player = make_player(job.stack, job.finisher, job.steps)
        self.rate = self.player.sample_rate
        self.report = Report(job.out / FIGURES, about(job))
        self.bars = Bars(self.amounts.tone_context, self.amounts.tone_bars, self.amounts.tone_least_bars)
        # The music is read now, so that a folder without music fails at the start and not after a quarter of an hour.
        self.music = self._read_music() if "music" in job.sections else []
        self.pieces = self._read_pieces() if set(job.sections) - {"music", "tones", "plan"} else []
        self.planner = None if job.planner is None else load_planner(job.planner)

    def run(self, name: str) -> None:
        """Run one section of `SECTIONS` and add its figures to the report."""
        getattr(self, f"_{name.replace('-', '_')}")()

    def _read_music(self) -> list[Excerpt]:
        assert self.job.music is not None
        count, start = self.amounts.pieces, self.job.music_from
        return read_music(self.job.music, self.rate, count, start, self.bars, self.say)

    def _read_pieces(self) -> list[Piece]:
        assert self.job.heldout is not None
        player, amounts = self.player, self.amounts
        self.say("reading held-out tracks")
        # samples that the knob of resample needs as init
        least = (BLOCKS + 1 + player.latency // player.block) * player.block
        return read_pieces(
            self.job.heldout,
            self.rate,
            amounts.pieces,
            player.stream.geometry.context_samples(player.stream.levels[0]),
            max(int(amounts.continuation * self.rate), least),
            int(amounts.middle * self.rate),
            self.say,
        )

    @cached_property
    def made(self) -> list[Continued]:
        """What the stack plays after the context of each piece. Computed once."""
        self.say("continuations")
        made = continue_pieces(self.player, self.pieces, self.say)
        show_pieces(self.job.out, made, self.rate)
        return made

    @cached_property
    def originals(self) -> list[Table]:
        """Statistics over time of how each piece itself goes on. Computed once."""
        return original_tables(self.pieces, self.rate, self.amounts.stretch)

    def _codec(self) -> None:
        figures, details = codec_figures(self.job.stack, self.pieces)
        self.report.add(figures, codec=details)

    def _few_steps(self) -> None:
        contexts = [piece.context for piece in self.pieces[: self.amounts.cells]]
        self.report.add(few_figures(self.job.stack, contexts, SEEDS_OF_FEW, self.say))

    def _excerpts(self) -> list[Excerpt]:
        assert self.job.heldout is not None
        count = min(self.amounts.tone_pieces, self.amounts.pieces)
        return read_excerpts(self.job.heldout, self.rate, count, self.bars, self.say)

    def _tones(self) -> None:
        self._judge(self._excerpts(), RENDERED)

    def _plan(self) -> None:
        self.report.add(plan_section(self.player, self._excerpts(), self.planner, self.say))

    def _music(self) -> None:
        self._judge(self.music, OTHER_MUSIC)

    def _judge(self, excerpts: Sequence[Excerpt], standard: Standard) -> None:
        """Judge the notes of excerpts; write the first sounds and a picture of the pieces."""
        name = standard.section
        if not excerpts:
            note = f"not judged: no track holds {self.bars.context_seconds:g} s and {self.bars.least} bars"
            self.report.add([Figure(name, "notes", None, note=note)])
            return

        def keep(number: int, played: Tensor) -> None:
            if number < SHOWN_PIECES:
                path = self.job.out / f"{name}{number}.wav"
                soundfile.write(sound_name(path), played.clamp(-1, 1).T.numpy(), self.rate)

        pieces = judge_excerpts(self.player, excerpts, self.say, keep)
        write_constant_q(self.job.out / f"{name}.png", pieces, self.rate)
        self.report.add(tone_section(pieces, standard), **{name: [piece.as_dict() for piece in pieces]})
        if not judge_installed():
            self.say(f"  notes were not judged, for want of a transcriber; {SETUP} installs it")

    def _frechet(self) -> None:
        figures, _ = frechet_figures(self.player, self.made, self.amounts)
        self.report.add(figures)

    def _statistics(self) -> None:
        self.report.add(statistic_figures(self.made, self.originals, self.rate, self.amounts.stretch))

    def _memory(self) -> None:
        training = self.job.training
        if training is None:
            note = "not measured without --training"
            self.report.add([Figure("memory", "distance to training", None, note=note)])
            return
        figures, near = memory_figures(self.made, training, self.rate, self.amounts, self.say)
        self.report.add(figures, memory={name: values.tolist() for name, values in vars(near).items()})

    def _seams(self) -> None:
        self.report.add(seam_figures(self.player, self.made))

    def _drift(self) -> None:
        self.say(f"{self.amounts.minutes:g} minutes without a break")
        held = joined(self.originals)
        figures, drift = run_long(self.job, self.player, self.pieces[0].context, held, self.say)
        self.report.add(figures, drift=drift)

    def _knobs(self) -> None:
        cells = make_cells(self.pieces, self.amounts.cells)
        curves = knob_curves(self.player, cells, self.say) + anchor_curves(self.player, cells, self.say)
        self.say("  seed")
        self.report.add(
            knob_figures(curves, *seeds(self.player, cells, self.amounts.seeds)),
            knobs=[
                {"knob": c.name, "what": c.what, "places": c.places, "rows": c.rows.tolist()} for c in curves
            ],
        )
        write_curves(self.job.out / "knobs.png", curves)

    def _speed(self) -> None:
        context = self.pieces[0].context
        self.report.add(speed_figures(self.player, context, self.amounts.timed_blocks, self.job.threads))


def show_pieces(out: Path, made: Sequence[Continued], sample_rate: int) -> None:
    """Write the sounds of the first continuations, and one picture of them beside the originals."""
    count = int(SHOWN_SECONDS * sample_rate)
    shown = {}
    for number, one in enumerate(made[:SHOWN_PIECES]):
        soundfile.write(sound_name(out / f"piece{number}.wav"), one.audio.clamp(-1, 1).T.numpy(), sample_rate)
        shown[f"{one.piece.name}: how it goes on"] = one.piece.original.mean(0)[:count].numpy()
        shown[f"{one.piece.name}: what is played"] = one.audio.mean(0)[:count].numpy()
    write_spectrogram(out / "continuations.png", shown, sample_rate)


def run_long(
    job: Job, player: Player, context: Tensor, held: Table, say: Callable[[str], None]
) -> tuple[list[Figure], JsonDict]:
    """Play the long run; return its drift figures, and its statistics over time as lists by name.

    Also writes a picture of the statistics, and sounds and pictures of the run's beginning and end.
    `context`: mono `[n]`. `held`: statistics of held-out music.
    """
    rate, minutes = player.sample_rate, job.amounts.minutes
    # Short runs have shorter stretches, so that the beginning and the end have three stretches each.
    stretch = min(job.amounts.stretch, minutes * 60 / ENDS / 3)
    run = play_long(player, context, int(minutes * 60 * rate), stretch, LONG_SEED, say)
    write_drift(job.out / "drift.png", run.table, held, stretch)
    count = min(int(SHOWN_SECONDS * rate), run.audio.shape[1])
    mono = run.audio.mean(0)
    ends = {"beginning": mono[:count], "end": mono[-count:]}
    write_spectrogram(job.out / "ends.png", ends, rate)
    for name, audio in (("beginning", run.audio[:, : 3 * count]), ("end", run.audio[:, -3 * count :])):
        soundfile.write(sound_name(job.out / f"{name}.wav"), audio.clip(-1, 1).T, rate)
    figures = drift_figures(run.table, held, minutes)
    return figures, {"seconds": stretch} | {name: values.tolist() for name, values in run.table.items()}
