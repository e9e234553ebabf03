"""Train a stack on a folder of tracks within a given time: the work of `jbdiff train own`.

It prepares the tracks (`tracks.py`) and runs the training jobs of denoiser, student and finisher one after the other.
Then it exports a stack into the player's own folder and writes a page about it (`page.py`). If a training was
interrupted, the same command goes on with it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.data.clips import Clips, Report, drawn_from
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.networks.spectral_finisher import SpectralFinisher
from jbdiff.stacks.stack import Stack, few_role, load_stack, read_manifest, user_directory
from jbdiff.train.jobs.denoiser import DenoiserJob, train_denoiser
from jbdiff.train.jobs.distil import DistilJob, train_distil
from jbdiff.train.jobs.export import StackParts, export_stack
from jbdiff.train.jobs.finisher import FinisherJob, train_finisher
from jbdiff.train.jobs.sounds import latent_clips, sound_clips
from jbdiff.train.own.page import PAGE, TrackFacts, figures, write_page
from jbdiff.train.own.progress import Progress, check_writable, claimed, safe_name, spent_minutes, work_folder
from jbdiff.train.own.tracks import Chosen, Track, choose, lay_out
from jbdiff.train.run.alone import alone
from jbdiff.train.run.run import RunSettings
from jbdiff.train.run.schedule import in_words

DENOISER, STUDENT, FINISHER = "denoiser", "student", "finisher"
SHARES = {DENOISER: 0.7, STUDENT: 0.2, FINISHER: 0.1}  # shares of the training time
LEAST_SHARE = 0.02  # least share of the whole time, for a stage that begins when no time is left
# Half of the default of each command, because these weights are already trained.
RATES = {DENOISER: 4e-4, STUDENT: 5e-4, FINISHER: 1e-3}
FINISHER_SECONDS = 1.5
MIXES = 3  # mixes of each track in a folder of stems
# Steps between saved states for each minute of a stage, and their maximum. A stage can only end with a round.
ROUNDS_A_MINUTE, MOST_ROUND_STEPS, VALIDATED_STEPS = 3, 100, 300
SHORT_MINUTES = 30.0  # a shorter stage uses a single batch of held-out music for each measurement
CACHE = "cache"


@dataclass(frozen=True)
class OwnJob:
    """The options of a training on own tracks: folder, minutes in all, name of the result, stack to start from.

    `bpm` is the tempo of tracks without a `track.json`. An interrupted training is resumed if it exists; `resume` makes
    it an error if it does not.
    """

    folder: Path
    minutes: float
    name: str | None = None
    stack: str = "pocket"
    bpm: float | None = None
    demo_minutes: float = 10.0
    overwrite: bool = False
    resume: bool = False
    accelerator: str = "auto"
    threads: int = 1
    seed: int = 0
    licence: str = ""


@dataclass(frozen=True)
class BatchSizes:
    """Windows or stretches a step for each stage; `levels`: noise levels of each window of the denoiser."""

    denoiser: int = 6
    levels: int = 4
    student: int = 6
    finisher: int = 4


def batch_sizes(accelerator: str) -> BatchSizes:
    """Return the batch sizes for this machine. For a CUDA card they depend on its memory."""
    if accelerator == "cpu" or not torch.cuda.is_available():
        return BatchSizes()
    gigabytes = torch.cuda.get_device_properties(0).total_memory / 1e9
    return BatchSizes(80, 8, 48, 24) if gigabytes >= 38 else BatchSizes(24, 8, 16, 8)


def train_own(job: OwnJob, report: Report = print) -> Path:
    """Train, export, and write the page; returns the folder of the stack.

    Raises OSError and ValueError, with the remedy, if folder, name or tracks cannot be used; RuntimeError if training
    fails on its way.
    """
    job = replace(job, folder=Path(os.path.realpath(job.folder)))
    base = load_stack(job.stack)
    if not isinstance(base.codec, BandCodec) or not isinstance(base.denoisers.get(2), JointDenoiser):
        raise ValueError(f"stack {job.stack!r} cannot be trained on: give --stack pocket or one made from it")
    name = safe_name(job.folder, job.name)
    trainings = work_folder(name).parent
    check_writable(trainings)
    with alone(trainings, f".{name}.lock", "another --name"):
        return _train_alone(job, base, name, report)


def _train_alone(job: OwnJob, base: Stack, name: str, report: Report) -> Path:
    """Do `train_own` for a name that no other process trains now."""
    out, work = user_directory() / name, work_folder(name)
    progress = claimed(job.folder, job.stack, name, job.minutes, job.overwrite, job.resume)
    if progress.finished:
        report(f"{name} is finished: {out / PAGE}. --overwrite trains it again from the beginning.")
        report(f"To train on from it: --stack {name} --name {name}-2")
        return out
    training = OwnTraining(job, base, work, progress, report)
    try:
        training.run_stages()
    except (KeyboardInterrupt, SystemExit):
        report("interrupted; the same command goes on")
        raise
    finally:
        training.record()
    training.export(name, out)
    return out


class OwnTraining:
    """One training, from the preparation to the export. `progress` is written to disk after each stage."""

    def __init__(self, job: OwnJob, base: Stack, work: Path, progress: Progress, report: Report) -> None:
        network, codec = base.denoisers.get(2), base.codec
        if not isinstance(codec, BandCodec) or not isinstance(network, JointDenoiser):
            raise ValueError(
                f"stack {job.stack!r} cannot be trained on: give --stack pocket or one made from it"
            )
        self.config, self.codec = network.config, codec
        self.job, self.base, self.work, self.progress, self.report = job, base, work, progress, report
        self.sizes = batch_sizes(job.accelerator)
        # A process that was killed could not record its last stage, so the minutes come from the runs themselves.
        spent = sum(spent_minutes(work / stage) for stage in SHARES)
        self._used_before, self._begun = max(progress.used, spent), time.monotonic()

    def used(self) -> float:
        """Return the minutes of all runs of the command together, without the time between them."""
        return self._used_before + (time.monotonic() - self._begun) / 60

    def record(self) -> None:
        """Write the progress, with the minutes used so far, to disk."""
        self.progress.used = self.used()
        self.progress.write(self.work)

    def run_stages(self) -> None:
        """Prepare the data for the stages that are not done yet, and run these stages."""
        if set(self.progress.done) >= set(self.progress.stages) != set():
            return
        config, codec = self.config, self.codec
        frames = (config.context_tokens + config.window_tokens) * codec.hop(2)
        frames = max(frames, drawn_from(round(FINISHER_SECONDS * codec.sample_rate)))
        chosen = choose(self.job.folder, frames / codec.sample_rate + 0.01, self.job.bpm, self.report)
        count, minutes = len(chosen.tracks), chosen.seconds / 60
        self.report(f"{count} tracks, {minutes:.1f} minutes; {len(chosen.left_out)} files left out")
        data = self.prepare(chosen, (config.context_tokens + config.window_tokens) * codec.hop(2))
        self.progress.stages = [stage for stage in SHARES if stage != FINISHER or chosen.stereo]
        self.progress.stems = chosen.stems
        self.progress.left_out = [list(pair) for pair in chosen.left_out]
        self.record()
        if not chosen.stereo:
            self.report("all tracks are mono: the finisher stays as it is")
        for number, stage in enumerate(self.progress.stages, 1):
            if stage in self.progress.done:
                continue
            settings = self.settings(stage)
            shown = in_words(60 * max(0.0, self.job.minutes - self.used()))
            self.report(
                f"[{number} of {len(self.progress.stages)}] {stage}: {settings.minutes:.1f} minutes, "
                f"{shown} left in all; demos will lie in {self.work / stage / 'demos'}"
            )
            self.train(stage, settings, data)
            self.progress.done.append(stage)
            self.record()

    def prepare(self, chosen: Chosen, shortest: int) -> Path:
        """Encode all tracks and estimate their bars into the caches of the stages. Return the folder to train on."""
        data = self.job.folder
        places: dict[str, Track] = {}
        if not chosen.stems:
            data = self.work / "tracks"
            places = lay_out(chosen, data)
        cache, codec = self.work / CACHE, self.codec
        torch.set_num_threads(self.job.threads)
        training, heldout = latent_clips(data, None, codec, cache, MIXES, shortest)
        if chosen.stereo:
            stereo, rate = cache / "stereo", codec.sample_rate
            sound_clips(data, None, stereo, rate, mixes=MIXES, channels=2, report=self.report)
        per_second = codec.sample_rate / codec.hop(2)
        facts = self._facts(training, "training", per_second, cache / "latents", places)
        if heldout.names != training.names:
            facts += self._facts(heldout, "held out", per_second, cache / "latents_heldout", places)
        self.progress.tracks = [asdict(fact) for fact in facts]
        for fact in facts:
            self.report(f"  {fact.name}: {fact.bar_in_words()}, {fact.use}")
        return data

    def _facts(
        self, clips: Clips, use: str, rate: float, cache: Path, places: dict[str, Track]
    ) -> list[TrackFacts]:
        """Return the facts about these clips for the page."""
        facts = []
        for name, length, bar in zip(clips.names, clips.lengths, clips.bars, strict=True):
            shown = Path(name).name
            if name in places:
                shown = str(places[name].path.relative_to(self.job.folder))
            facts.append(TrackFacts(shown, length / rate, abs(bar) / rate, bar > 0, use))
        return facts

    def settings(self, stage: str) -> RunSettings:
        """Return the settings for the run of a stage."""
        planned, spent = self.planned(stage), spent_minutes(self.work / stage)
        round_steps = max(2, min(MOST_ROUND_STEPS, round(ROUNDS_A_MINUTE * planned)))
        run = self.work / stage
        return RunSettings(
            run,
            minutes=planned,
            minutes_before=spent,
            threads=self.job.threads,
            resume=(run / "last.ckpt").exists(),
            round_steps=round_steps,
            validate_every_rounds=max(3, VALIDATED_STEPS // round_steps),
            demo_minutes=self.job.demo_minutes,
            mixes=MIXES,
            accelerator=self.job.accelerator,
            devices="1",
            judge_ends=True,
            validations=1 if planned < SHORT_MINUTES else None,
        )

    def planned(self, stage: str) -> float:
        """Return the minutes of a stage: its share of the time left when it first begins.

        A resumed stage keeps them.
        """
        if stage not in self.progress.plans:
            missing = [other for other in self.progress.stages if other not in self.progress.done]
            left = max(self.job.minutes - self.used(), LEAST_SHARE * self.job.minutes)
            share = SHARES[stage] / sum(SHARES[other] for other in missing)
            self.progress.plans[stage] = left * share
            self.record()
        return self.progress.plans[stage]

    def weights(self, stage: str) -> Path:
        """Return the path of the weights that the run of a stage writes."""
        return self.work / stage / "weights.safetensors"

    def train(self, stage: str, settings: RunSettings, data: Path) -> None:
        """Run one stage with its job of `jbdiff train`."""
        job, stack, sizes, rate = self.job, self.job.stack, self.sizes, RATES[stage]
        if stage == DENOISER:
            train_denoiser(
                settings,
                DenoiserJob(
                    data,
                    None,
                    stack,
                    sizes.denoiser,
                    sizes.levels,
                    rate,
                    stack,
                    seed=job.seed,
                    bf16=settings.bf16,
                ),
            )
        elif stage == STUDENT:
            start, teacher = self.student_start(), self.weights(DENOISER)
            train_distil(
                settings,
                DistilJob(
                    data, None, stack, teacher, start, sizes.student, rate, job.seed, bf16=settings.bf16
                ),
            )
        else:
            started = stack if isinstance(self.base.finisher, SpectralFinisher) else None
            train_finisher(
                settings,
                FinisherJob(
                    data,
                    None,
                    stack,
                    self.weights(DENOISER),
                    started,
                    sizes.finisher,
                    FINISHER_SECONDS,
                    rate,
                    job.seed,
                    bf16=settings.bf16,
                ),
            )

    def student_start(self) -> Path | None:
        """Write the weights of the stack's student as a run's; return their path, or None without a student."""
        few, folder = self.base.config.level(2).few, self.base.folder
        if few is None or folder is None:
            return None
        start = self.work / "student-start"
        start.mkdir(exist_ok=True)
        shutil.copyfile(
            read_manifest(folder).entries[few_role(2)].path,
            start / "weights.safetensors",
        )
        (start / "run.json").write_text(json.dumps({"distill": asdict(few)}), encoding="utf-8")
        return start / "weights.safetensors"

    def export(self, name: str, out: Path) -> None:
        """Write the stack and its page into `out`; remove the caches, which can be made again."""
        finisher: Path | str | None = None
        if FINISHER in self.progress.done:
            finisher = self.weights(FINISHER)
        elif isinstance(self.base.finisher, SpectralFinisher):
            finisher = self.job.stack
        parts = StackParts(self.job.stack, self.weights(DENOISER), self.weights(STUDENT), finisher)
        source = {"licence": self.job.licence or "not stated", "trained_from": self.base.config.name}
        export_stack(parts, out, name, source)
        music = "--heldout" if self.progress.stems else "--music"
        command = (
            f"jbdiff evaluate --stack {name} {music} {shlex.quote(str(self.job.folder))} --out judged-{name}"
        )
        judged = {stage: figures(self.work / stage) for stage in self.progress.done}
        write_page(out / PAGE, name, self.base.config.name, self.progress, judged, command, self.used())
        self.progress.finished = True
        self.record()
        shutil.rmtree(self.work / CACHE, ignore_errors=True)
        self.report(f"wrote the stack {name} into {out}; the window shows it under Stack")
        self.report(f"what was used, and losses before and after: {out / PAGE}")
        self.report(f"judge it: {command}")
