"""No folder, class or function grows past what a reader takes in at once."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("jbdiff",)

MODULES = 20  # of one folder
CLASS_LINES = 250
FUNCTION_LINES = 60
# Functions that may be longer, each with its reason.
LONGER = {
    "jbdiff/cli.py sample": "a command: one line and its help for each of its options",
    "jbdiff/cli.py evaluate": "a command: one line and its help for each of its options",
    "jbdiff/train/run/settings.py run_options": "the options that all training commands share, one after the other",
}


def lengths(path: Path) -> Iterator[tuple[str, int, int]]:
    """Every class and function of a file as (place, its lines, lines that it may have)."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            assert node.end_lineno is not None
            most = CLASS_LINES if isinstance(node, ast.ClassDef) else FUNCTION_LINES
            place = f"{path.relative_to(ROOT).as_posix()} {node.name}"
            yield place, node.end_lineno - node.lineno + 1, most


@functools.cache
def too_long(package: str) -> dict[str, int]:
    return {
        place: lines
        for path in sorted((ROOT / package).rglob("*.py"))
        for place, lines, most in lengths(path)
        if lines > most
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_classes_and_functions_are_short(package: str) -> None:
    assert {place: lines for place, lines in too_long(package).items() if place not in LONGER} == {}


def test_each_exception_is_needed() -> None:
    assert set(LONGER) <= {place for package in PACKAGES for place in too_long(package)}


@pytest.mark.parametrize("package", PACKAGES)
def test_folders_are_small(package: str) -> None:
    folders = [ROOT / package, *(path for path in (ROOT / package).rglob("*") if path.is_dir())]
    counts = {folder.relative_to(ROOT).as_posix(): len(list(folder.glob("*.py"))) for folder in folders}
    assert {folder: count for folder, count in counts.items() if count > MODULES} == {}
