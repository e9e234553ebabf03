"""The section *plan*: how different plans change the notes, on the pieces of the section *tones*.

A stack plays every piece several times: without a plan; with earlier bars as the plan; with the plan of level 3, if
weights of a planner are given; and with the true plan of the following bars, which is an upper bound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jbdiff.codecs.bands import CHANNELS
from jbdiff.evaluate.excerpts import Excerpt
from jbdiff.evaluate.figures import Figure
from jbdiff.evaluate.judged import SoundFigures, measure
from jbdiff.evaluate.metrics.tones import SETUP, ToneFigures, harmony, judge_installed
from jbdiff.evaluate.playing import Player
from jbdiff.networks.plan import CELLS, Plan, PlanSource, cell_means, cell_pool
from jbdiff.networks.planner import Planner
from jbdiff.stream.planning import PlanSettings, planned_cells

SECTION = "plan"
NONE, EARLIER, GENERATED, TRUE = "no plan", "earlier bars as the plan", "plan of level 3", "true plan"


@dataclass(frozen=True)
class Line:
    """Gives a stream the plan of each window, from cells `[n, c]` of which the first begins a bar."""

    cells: Tensor
    bar: float  # tokens
    before: float  # tokens from the beginning of that bar to the stream's first token

    def __call__(self, first: int, tokens: int) -> Plan:
        """Return the plan of the window of `tokens` tokens that begins at token `first` of the stream."""
        middle = first + self.before + torch.arange(tokens, dtype=torch.float64) + 0.5
        numbers = (middle / (self.bar / CELLS)).floor().long()[None]
        there = (numbers >= 0) & (numbers < len(self.cells))
        values = self.cells[numbers[0].clamp(0, len(self.cells) - 1)].T[None]
        return Plan(values * there[:, None], cell_pool(numbers), there.float())


def no_plan(first: int, tokens: int) -> Plan:
    """Return a plan that is marked as unknown, for a window of `tokens` tokens."""
    numbers = torch.zeros(1, tokens, dtype=torch.long)
    return Plan(torch.zeros(1, CHANNELS, tokens), cell_pool(numbers), torch.zeros(1, tokens))


def lines(player: Player, excerpt: Excerpt, planner: Planner | None, seed: int) -> dict[str, Line]:
    """Return the true plan of an excerpt and, if there is a planner, its plan after the excerpt's context, by name."""
    stream = player.stream
    level = stream.levels[0]
    hop = stream.geometry.hop(level)
    whole = torch.cat([excerpt.context, excerpt.truth], 1).mean(0)
    whole = whole[: len(whole) // hop * hop]
    bands = stream.stack.codec.encode(whole[None, None], level)[0, :CHANNELS].T
    # A context ends with a whole bar, but the stream can only begin at a whole token.
    bar, end = excerpt.bar * player.sample_rate / hop, excerpt.context.shape[1] / hop
    before = excerpt.context.shape[1] // hop - end
    cells, own = cell_means(bands, bar, 0.0), round(end / bar) * CELLS
    found = {TRUE: Line(cells[own:], bar, before)}
    if planner is not None:
        made = planned_cells(planner, cells[:own], len(cells) - own + CELLS, PlanSettings(seed))
        found[GENERATED] = Line(made, bar, before)
    return found


def plan_section(
    player: Player, excerpts: Sequence[Excerpt], planner: Planner | None, say: Callable[[str], None]
) -> list[Figure]:
    """Return a figure for each plan.

    If the stack takes no plan or notes cannot be judged, returns one figure with the reason.
    """
    if not player.stream.stack.config.remembering:
        return [Figure(SECTION, "plans", None, note="not judged: no level of this stack takes a plan")]
    if not judge_installed():
        return [Figure(SECTION, "notes", None, note=f"not judged: no transcriber; {SETUP} installs it")]
    rate = player.sample_rate
    truths = [measure(one.truth, rate, one.bar, True) for one in excerpts]
    played: dict[str, list[SoundFigures]] = {}
    try:
        for seed, excerpt in enumerate(excerpts):
            sources: dict[str, PlanSource | None] = {NONE: no_plan, EARLIER: None}
            sources |= lines(player, excerpt, planner, seed)
            for name, source in sources.items():
                player.stream.follow_plan(source)
                sound = player.play(excerpt.context.mean(0), excerpt.truth.shape[1], player.settings(seed))
                played.setdefault(name, []).append(measure(sound, rate, excerpt.bar, True))
            say(f"  planned {seed + 1} of {len(excerpts)}: {excerpt.name}")
    finally:
        player.stream.follow_plan(None)
    return [summed_up(name, sounds, truths) for name, sounds in played.items()]


def summed_up(name: str, sounds: Sequence[SoundFigures], truths: Sequence[SoundFigures]) -> Figure:
    """Return one figure: harmony with the truth. Its note gives the other figures as shares of the truth's."""

    def share(what: Callable[[SoundFigures], float | None]) -> float:
        pairs = [(what(sound), what(truth)) for sound, truth in zip(sounds, truths, strict=True)]
        known = [(own, truth) for own, truth in pairs if own is not None and truth]
        own, truth = np.mean(known, 0) if known else (float("nan"), 1.0)
        return float(own / truth)

    def tones(sound: SoundFigures) -> ToneFigures:
        assert sound.tones is not None
        return sound.tones

    alike = [
        harmony(tones(one).profile, tones(other).profile) for one, other in zip(sounds, truths, strict=True)
    ]
    note = (
        f"notes {share(lambda sound: tones(sound).notes):.3f}, "
        f"polyphony {share(lambda sound: tones(sound).polyphony):.3f}, "
        f"pulse {share(lambda sound: sound.pulse):.3f}, "
        f"change from bar to bar {share(lambda sound: sound.change[0]):.2f}, "
        f"from four bars to the next {share(lambda sound: sound.change[1]):.2f} of the truth's"
    )
    return Figure(SECTION, f"{name}: harmony with the truth", float(np.mean(alike)), note=note)
