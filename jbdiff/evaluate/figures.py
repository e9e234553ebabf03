"""A figure (a number and its bounds), and the table, the JSON file and the page of many figures. No torch."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from jbdiff.out_path import link_problem
from jbdiff.untyped import JsonDict
from jbdiff.whole_file import replace_text

FIGURES, PAGE = "figures.json", "figures.md"  # files of a result
OF_MADE = {"frechet", "statistics", "memory", "seams"}
PICTURES = {
    "tones.png": {"tones"},
    "music.png": {"music"},
    "continuations.png": OF_MADE,
    "ends.png": {"drift"},
    "drift.png": {"drift"},
    "knobs.png": {"knobs"},
}
"""Each picture of a result, and the sections that draw it."""


@dataclass(frozen=True)
class Figure:
    """One number. `low` and `high` bound it, both included; without bounds it cannot pass or fail.

    `value` is None if it was not measured.
    """

    section: str
    name: str
    value: float | None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    note: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the value is within its bounds; None without bounds or without a value."""
        if self.value is None or (self.low is None and self.high is None):
            return None
        return (self.low is None or self.value >= self.low) and (self.high is None or self.value <= self.high)

    @property
    def bound(self) -> str:
        """The bounds in words, such as "at most 1.4"; empty without bounds."""
        if self.low is not None and self.high is not None:
            return f"{_short(self.low)} to {_short(self.high)}"
        if self.low is not None:
            return f"at least {_short(self.low)}"
        return "" if self.high is None else f"at most {_short(self.high)}"

    def as_dict(self) -> JsonDict:
        """Return the fields and `passed`, by name, for JSON."""
        return {
            "section": self.section,
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "low": self.low,
            "high": self.high,
            "passed": self.passed,
            "note": self.note,
        }


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(figures: Sequence[Figure], title: str) -> Table:
    """Return a table of all figures for the terminal, with a line between sections."""
    shown = Table("", "figure", "value", "bound", "", "note", title=title)
    marks = {True: Text("pass", "green"), False: Text("FAIL", "red"), None: Text("")}
    before = ""
    for figure in figures:
        if before and figure.section != before:
            shown.add_section()
        head, before = ("" if figure.section == before else figure.section), figure.section
        value = "-" if figure.value is None else f"{_short(figure.value)} {figure.unit}".strip()
        shown.add_row(head, figure.name, value, figure.bound, marks[figure.passed], figure.note)
    return shown


def write_json(path: Path, about: JsonDict, figures: Sequence[Figure], curves: JsonDict) -> None:
    """Write one JSON file: the entries of `about` at the top level, then figures, totals and curves."""
    passes = [figure.passed for figure in figures]
    content = about | {
        "passed": passes.count(True),
        "failed": passes.count(False),
        "figures": [figure.as_dict() for figure in figures],
        "curves": curves,
    }
    replace_text(path, json.dumps(content, indent=2, allow_nan=False))


def check_out(out: Path, read: Mapping[str, Path | None]) -> None:
    """Check the folder for a result: it is new, empty, or holds an earlier result, which is then replaced.

    `read`: the folders of sounds that are read, by the name of their option; none of them may hold `out`. Raises
    ValueError with the remedy, OSError if `out` cannot be read.
    """
    for option, folder in read.items():
        # Path.resolve raises an error for links that lead in a circle; realpath leaves them to whoever opens them
        if folder is not None and Path(os.path.realpath(out)).is_relative_to(os.path.realpath(folder)):
            raise ValueError(
                f"{out} lies in the folder of {option}, and what is written would be read as music the next time; "
                "give a folder elsewhere"
            )
    if problem := link_problem(out):
        raise ValueError(problem)
    if not out.exists() or _is_result(out / FIGURES):
        return
    if any(not path.name.startswith(".") for path in out.iterdir()):
        raise ValueError(
            f"{out} holds files that are no earlier result, and some could be replaced; give a new folder"
        )


def _is_result(path: Path) -> bool:
    """Return whether a file holds figures that `jbdiff evaluate` has written."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and {"identity", "sections", "figures"} <= content.keys()


def write_page(path: Path, about: JsonDict, figures: Sequence[Figure]) -> None:
    """Write the figures as a Markdown page that shows the pictures of its folder."""
    marks = {True: "pass", False: "**fail**", None: ""}
    passes = [figure.passed for figure in figures]
    lines = [
        f"# {about['stack']}, judged",
        "",
        f"Written by `jbdiff evaluate` at commit {about['commit']}, on {about['machine']}. Stack "
        f"`{about['identity'][:12]}`, {about['steps']} steps, guidance {about['guidance']:g}, "
        f"{'with' if about['finisher'] else 'without'} its finisher. {passes.count(True)} bounds are kept, "
        f"{passes.count(False)} are not.",
        "",
        "| | figure | value | bound | | note |",
        "|---|---|---|---|---|---|",
    ]
    before = ""
    for figure in figures:
        head, before = ("" if figure.section == before else figure.section), figure.section
        value = "-" if figure.value is None else f"{_short(figure.value)} {figure.unit}".strip()
        cells = (head, figure.name, value, figure.bound, marks[figure.passed], figure.note)
        lines.append("| " + " | ".join(cells) + " |")
    for picture, sections in PICTURES.items():
        if sections & set(about["sections"]) and (path.parent / picture).exists():
            lines += ["", f"![{picture.removesuffix('.png')}]({picture})"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
