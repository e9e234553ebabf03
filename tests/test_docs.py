"""The pages that people read: every file that they name is there, and the examples of docs/extending.md run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FILE = re.compile(r"(?<![\w/.~-])(?:jbdiff|jbdiff_live|tests|scripts|docs|patches)/[\w./*-]*[\w*]")
EXAMPLE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
MADE = ("docs/judged/", "scripts/requirements")  # names of several files, or of files that a script writes


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = sorted(set(FILE.findall(page.read_text(encoding="utf-8"))))
    lacking = [
        name for name in named if not name.startswith(MADE) and not any(ROOT.glob(name.removesuffix("/*")))
    ]
    assert not lacking


def examples() -> list[tuple[str, str]]:
    """The heading and the code of each example."""
    parts = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8").split("\n## ")[1:]
    return [(part.split("\n", 1)[0], code) for part in parts for code in EXAMPLE.findall(part)]


def test_every_part_of_extending_has_an_example() -> None:
    assert len(examples()) == len((ROOT / "docs" / "extending.md").read_text().split("\n## ")) - 1 >= 6


@pytest.mark.parametrize(("heading", "code"), examples(), ids=[heading for heading, _ in examples()])
def test_example_runs(heading: str, code: str) -> None:
    exec(compile(code, heading, "exec"), {"__name__": "example"})
