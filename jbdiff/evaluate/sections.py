"""The sections of an evaluation that share the same continuations. Each function returns its figures.

A continuation is the sound that the stack plays after the context of a held-out track. It is compared with the track's
own continuation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from jbdiff.evaluate.amounts import Amounts
from jbdiff.evaluate.figures import Figure
from jbdiff.evaluate.material import Piece, read_sounds
from jbdiff.evaluate.metrics.features import KINDS, describe_windows, windows
from jbdiff.evaluate.metrics.frechet import Distances, distances
from jbdiff.evaluate.metrics.memorisation import Nearness, nearness, note_levels
from jbdiff.evaluate.metrics.seams import places, ranks, spread_of_difference
from jbdiff.evaluate.metrics.statistics import STATISTICS, Table, over_time, tempo_wander
from jbdiff.evaluate.playing import Player
from jbdiff.evaluate.yardsticks import round_trip

MOST_TIMES_FLOOR = 1.4


@dataclass(frozen=True)
class Continued:
    """A piece and the stack's continuation of it, `audio` `[channels, n]`, as long as the original."""

    piece: Piece
    audio: Tensor


def continue_pieces(
    player: Player, pieces: Sequence[Piece], report: Callable[[str], None]
) -> list[Continued]:
    """Continue every piece, each with its own seed. `report` receives the progress."""
    made = []
    for seed, piece in enumerate(pieces):
        audio = player.play(piece.context, piece.original.shape[1], player.settings(seed))
        made.append(Continued(piece, audio))
        report(f"  continued {seed + 1} of {len(pieces)}: {piece.name}")
    return made


def frechet_figures(
    player: Player, made: Sequence[Continued], amounts: Amounts
) -> tuple[list[Figure], Distances]:
    """Return the Fréchet distance of the continuations, with its floor.

    For comparison, also that of the codec alone and of white noise.
    """
    rate, length = player.sample_rate, int(amounts.feature * player.sample_rate)

    def features(sound: Tensor) -> Tensor:
        return describe_windows(windows(sound, length), rate)

    originals = [one.piece.original.mean(0) for one in made]
    level = torch.stack([sound.square().mean() for sound in originals]).mean().sqrt()
    chance = torch.Generator().manual_seed(0)
    noise = [level * torch.randn(len(sound), generator=chance) for sound in originals]
    whole = [torch.nn.functional.pad(sound, (0, -len(sound) % length)) for sound in originals]
    coded = [round_trip(player.stream.stack, sound)[: len(sound)] for sound in whole]
    coded = [
        torch.nn.functional.pad(one, (0, len(sound) - len(one)))
        for one, sound in zip(coded, originals, strict=True)
    ]
    sets = {"played": [one.audio.mean(0) for one in made], "codec alone": coded, "white noise": noise}
    found = distances(
        [features(sound) for sound in originals],
        {name: [features(sound) for sound in sounds] for name, sounds in sets.items()},
        KINDS,
        amounts.splits,
    )
    section = "Fréchet distance"
    spread = f"{amounts.splits} splits by track, six orders each; spread"
    figures = [
        Figure(section, "floor: held-out thirds", found.floor, note=f"{spread} {found.floor_spread:.3g}")
    ]
    for name, value in found.of.items():
        figures.append(Figure(section, name, value, note=f"spread {found.spread[name]:.3g}"))
    for name in found.of:
        high = MOST_TIMES_FLOOR if name == "played" else None
        figures.append(Figure(section, f"{name}, in floors", found.ratio(name), high=high))
    return figures, found


def joined(tables: Sequence[Table]) -> Table:
    """Return one table with the values of all tables, one after another."""
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def original_tables(pieces: Sequence[Piece], sample_rate: int, stretch: float) -> list[Table]:
    """Return the statistics over time of each piece's own continuation. `stretch`: seconds."""
    return [over_time(piece.original, sample_rate, stretch) for piece in pieces]


def statistic_figures(
    made: Sequence[Continued], original: Sequence[Table], sample_rate: int, stretch: float
) -> list[Figure]:
    """Return the means of all statistics of the continuations; notes give those of `original_tables` for comparison."""
    played = [over_time(one.audio, sample_rate, stretch) for one in made]
    own, held = joined(played), joined(original)
    figures = []
    for statistic in STATISTICS:
        values, others = own[statistic.name], held[statistic.name]
        section = "rhythm" if statistic.name in ("pulse", "onsets") else "sound"
        note = f"held out {others.mean():.3g} (spread {others.std():.2g})"
        figures.append(Figure(section, statistic.name, float(values.mean()), statistic.unit, note=note))
    wander = [
        100 * float(np.mean([tempo_wander(table["beat"]) for table in set_])) for set_ in (played, original)
    ]
    note = f"from {stretch:g} s to {stretch:g} s; held out {wander[1]:.3g} %"
    figures.append(Figure("rhythm", "wander of the beat", wander[0], "%", note=note))
    return sorted(figures, key=lambda figure: figure.section)


def memory_figures(
    made: Sequence[Continued],
    training: Path,
    sample_rate: int,
    amounts: Amounts,
    report: Callable[[str], None],
) -> tuple[list[Figure], Nearness]:
    """Return how near continuations, and held-out music for comparison, come to the training music.

    `training`: the folder of the training music. Raises what `read_sounds` raises.
    """
    levels = [
        note_levels(sound.mono, sample_rate)
        for sound in read_sounds(training, sample_rate, amounts.training_tracks, report)
    ]
    report(f"  compared with {len(levels)} training tracks")
    played, held = [one.audio.mean(0) for one in made], [one.piece.original.mean(0) for one in made]
    found = nearness(played, held, levels, sample_rate)
    figures = []
    # The smallest plain distances belong to the plainest sounds, so their percentile has no bound.
    rows = (
        ("distance to training, median", found.distance(50.0), True),
        ("distance to training, nearest twentieth", found.distance(5.0), False),
        ("relative distance to training, nearest twentieth", found.relative(5.0), True),
    )
    for name, (own, other, error), bounded in rows:
        low, note = None, f"held out {other:.3f}"
        if bounded:
            low, note = other - error, f"{note}, less a standard error of {error:.3f}"
        figures.append(Figure("memory", name, own, low=low, note=note))
    return figures, found


def seam_figures(player: Player, made: Sequence[Continued]) -> list[Figure]:
    """Return the mean ranks of jumps at two kinds of seam: between windows of the coarsest level, and between blocks.

    The bounds come from held-out music at the same places of its bars, where it has no seams.
    """
    hop = player.stream.geometry.hop(player.stream.levels[0])
    figures = []
    for name, late in (("windows meet", 0), ("blocks are joined", player.latency)):
        own: list[Tensor] = []
        without: list[Tensor] = []
        for one in made:
            both = one.audio.mean(0), one.piece.original.mean(0)
            length = min(map(len, both))
            seams = places(player.block - late % player.block, player.block, length, hop)
            if len(seams):
                for sound, found in zip(both, (own, without), strict=True):
                    found.append(ranks(sound[:length], seams, hop, hop))
        rank = torch.cat(own) if own else torch.zeros(0)
        expected = float(torch.cat(without).mean()) if without else 0.5
        spread = spread_of_difference(own, without)
        figures.append(
            Figure(
                "seams", f"mean rank where {name}", float(rank.mean()) if len(rank) else None,
                low=expected - spread, high=expected + spread,
                note=f"{len(rank)} places; {expected:.2f} in held-out music, which has none",
            )
        )  # fmt: skip
    return figures


def speed_figures(player: Player, context: Tensor, blocks: int, threads: int) -> list[Figure]:
    """Return the time of a block with one thread, and with `threads` threads, after a mono context `[n]`."""
    figures = []
    for count in sorted({1, threads}):
        torch.set_num_threads(count)
        player.begin(context)
        player.go_on(player.settings(0), 1)  # the first one prepares buffers
        started = time.perf_counter()
        player.go_on(player.settings(0), blocks)
        seconds = (time.perf_counter() - started) / blocks
        name = "1 thread" if count == 1 else f"{count} threads"
        long = player.block / player.sample_rate
        figures.append(Figure("speed", f"{name}: time for a window of {long:.2f} s", seconds, "s"))
        figures.append(Figure("speed", f"{name}: times real time", long / seconds))
    torch.set_num_threads(threads)
    return figures
