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


PICTURE = re.compile(r"\]\(([\w./-]+\.png)\)")
MOST_BYTES = 6_000_000  # of the pictures of the views


def test_every_picture_that_a_page_shows_is_there_and_every_picture_of_a_view_is_shown() -> None:
    shown = {(page.parent / name).resolve() for page in PAGES for name in PICTURE.findall(page.read_text())}
    assert not [picture for picture in shown if not picture.exists()]
    views = {picture.resolve() for picture in (ROOT / "docs" / "views").glob("*.png")}
    assert views <= shown
    assert sum(picture.stat().st_size for picture in views) < MOST_BYTES
    page = (ROOT / "docs" / "views" / "README.md").read_text()
    pictures = PICTURE.findall(page)
    assert len([name for name in pictures if name.startswith("sheet-")]) == 6 * 2  # states and looks
    assert len([name for name in pictures if name.endswith("-960x540.png")]) == 3 * 6 * 2


def examples() -> list[tuple[str, str]]:
    """The heading and the code of each example."""
    parts = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8").split("\n## ")[1:]
    return [(part.split("\n", 1)[0], code) for part in parts for code in EXAMPLE.findall(part)]


def test_every_part_of_extending_has_an_example() -> None:
    assert len(examples()) == len((ROOT / "docs" / "extending.md").read_text().split("\n## ")) - 1 >= 6


@pytest.mark.parametrize(("heading", "code"), examples(), ids=[heading for heading, _ in examples()])
def test_example_runs(heading: str, code: str) -> None:
    exec(compile(code, heading, "exec"), {"__name__": "example"})
