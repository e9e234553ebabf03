"""The page that `jbdiff train own` writes beside its stack: tracks that were used or left out, and losses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jbdiff.networks.anchor import BEATS
from jbdiff.train.own.progress import Progress
from jbdiff.train.run.schedule import in_words

PAGE = "training.md"
HELDOUT = "heldout_"
# Figures that the page explains. All others appear under their own name.
MEANINGS = {
    "heldout_v": "denoiser: error of v, with context, anchor and echoes",
    "heldout_v_without_echoes": "denoiser: the same without echoes",
    "heldout_v_without_anchor": "denoiser: the same without anchor",
    "heldout_v_without_context": "denoiser: the same with nothing before the window",
    "heldout_v_detail": "denoiser: error of the detail",
    "heldout_4": "student: distance to the denoiser, 4 steps",
    "heldout_2": "student: distance to the denoiser, 2 steps",
    "heldout_1": "student: distance to the denoiser, 1 step",
    "heldout_middle": "finisher: spectrum of the middle",
    "heldout_middle_unfinished": "finisher: the same without a finisher",
    "heldout_side": "finisher: spectrum of the side",
    "heldout_coherence": "finisher: coherence of side and middle",
}


@dataclass(frozen=True)
class TrackFacts:
    """Facts about a track for the page. `bar`: seconds, 0 if unknown. `steady`: beats keep their place.

    `use`: "training" or "held out".
    """

    name: str
    seconds: float
    bar: float
    steady: bool
    use: str

    def bar_in_words(self) -> str:
        """Return the bar and its tempo as words for the page."""
        if not self.bar:
            return "no bar found"
        tempo = f"bar {self.bar:.2f} s, {60 * BEATS / self.bar:.1f} beats a minute"
        return tempo if self.steady else f"{tempo} if it has four; beat not steady"


def figures(run: Path) -> dict[str, tuple[float, float]]:
    """Return every held-out figure of a run by name: before its first step and after its last one."""
    found: dict[str, tuple[float, float]] = {}
    for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:  # the last line of a process that was killed
            continue
        for name, value in row.items():
            if name.startswith(HELDOUT):
                found[name] = (found.get(name, (value, value))[0], value)
    return found


def write_page(
    path: Path,
    name: str,
    base: str,
    progress: Progress,
    judged: Mapping[str, Mapping[str, tuple[float, float]]],
    command: str,
    minutes: float,
) -> None:
    """Write the page as Markdown. `judged`: figures of each stage. `command`: the command that evaluates the stack."""
    held = any(track["use"] == "held out" for track in progress.tracks)
    lines = [
        f"# {name}",
        "",
        f"Trained from the stack *{base}* in {in_words(60 * minutes)} (asked for: {in_words(60 * progress.minutes)}), "
        f"on {sum(track['seconds'] for track in progress.tracks) / 60:.1f} minutes of music.",
        "",
        "## Losses before and after",
        "",
        "Of the held-out tracks; lower is better."
        if held
        else "There was one track alone, so these are losses on the music that was trained on; lower is better.",
        "",
        "| figure | before | after |",
        "|---|---|---|",
    ]
    for stage in judged.values():
        lines += [f"| {MEANINGS.get(key, key)} | {a:.4f} | {b:.4f} |" for key, (a, b) in stage.items()]
    lines += [
        "",
        "The student's distance is to the new denoiser. The old student was made for the old one.",
        "Losses say little about sound. Listen, and judge the stack by what it plays:",
        "",
        "```",
        command,
        "```",
        "",
        "## Tracks",
        "",
        "| track | length | bar | use |",
        "|---|---|---|---|",
    ]
    for row in progress.tracks:
        fact = TrackFacts(**row)
        lines.append(
            f"| {escaped(fact.name)} | {in_words(fact.seconds)} | {fact.bar_in_words()} | {fact.use} |"
        )
    lines += ["", "## Left out", ""]
    if progress.left_out:
        lines += ["| file | reason |", "|---|---|"]
        lines += [f"| {escaped(file)} | {escaped(reason)} |" for file, reason in progress.left_out]
    else:
        lines.append("Nothing.")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="replace")


def escaped(text: str) -> str:
    """Return text for one cell of a Markdown table, without bars and line breaks."""
    return text.replace("|", "\\|").replace("\n", " ")
