"""The training job of `jbdiff train plan`: level 3, from folders of sound to a Lightning run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from jbdiff.config import PlannerConfig
from jbdiff.stream.planning import load_planner
from jbdiff.train.jobs.codec import load_codec
from jbdiff.train.jobs.sounds import latent_clips, settled
from jbdiff.train.latents.latents import Varied
from jbdiff.train.modules.plan import CellBatches, PlanTraining, cell_lines
from jbdiff.train.run.run import Batches, RunSettings, fit, prepare_folder

VALIDATION_ROWS = 16


@dataclass(frozen=True)
class PlanJob:
    """The options of a planner training. `codec`: a weights file or the name of a stack. `start`: weights, or None."""

    data: Path
    heldout: Path | None
    codec: Path | str
    batch: int
    levels: int
    rate: float
    start: Path | None
    seed: int
    bf16: bool


def train_plan(settings: RunSettings, job: PlanJob) -> None:
    """Run a planner training to its end. The bars come from `bars.py`."""
    codec = load_codec(job.codec)
    begun = load_planner(job.start) if job.start is not None and not settings.resume else None
    config = settings.sized(begun.config if begun else PlannerConfig())
    prepare_folder(settings, {"kind": "plan", "level": 3, "job": asdict(job), "plan": asdict(config)})
    cache = settled(settings, job.seed)
    training, heldout = latent_clips(job.data, job.heldout, codec, cache, settings.mixes)
    lines, held = cell_lines(training, config), cell_lines(heldout, config, (0.0,))
    module = PlanTraining(config, settings.budget(), job.rate, job.levels, job.seed, job.bf16)
    if begun is not None:
        module.adopt(begun)
    elif not settings.resume:
        module.begin_with(lines)
    vary = Varied(codec.analysis)
    batches = Batches(
        lambda first, count: CellBatches(lines, config, job.batch, job.seed, first, count, vary),
        lambda first, count: CellBatches(held, config, VALIDATION_ROWS, 12345, first, count),
        settings.round_steps,
        validations=4,
    )
    fit(module, batches, settings, codec.sample_rate, clip=1.0)
