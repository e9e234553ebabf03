"""A figure (a number and its bounds), and the table, the JSON file and the page of many figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from jbdiff.untyped import JsonDict


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
    path.write_text(json.dumps(content, indent=2, allow_nan=False), encoding="utf-8")


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
    for picture in ("tones.png", "music.png", "continuations.png", "ends.png", "drift.png", "knobs.png"):
        if (path.parent / picture).exists():
            lines += ["", f"![{picture.removesuffix('.png')}]({picture})"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
