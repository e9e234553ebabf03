"""How the house is kept: small folders, files, classes and functions. An exception is named here, with its reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("jbdiff", "jbdiff_live")
MODULES_IN_A_FOLDER = 20
LINES_OF_A_FILE = 450
LINES_OF_A_CLASS = 250
LINES_OF_A_FUNCTION = 60

# Longer ones, by file and name: the reason, and the most lines that it covers.
EXCEPTIONS: dict[str, tuple[int, str]] = {
    "jbdiff/cli.py sample": (95, "a command: one line and its help for each of its options"),
    "jbdiff/cli.py evaluate": (85, "a command: one line and its help for each of its options"),
    "jbdiff_live/start/command.py play": (
        205,
        "typer reads the options from one signature: three lines for each",
    ),
    "jbdiff_live/replay/command.py replay_command": (
        85,
        "a command: one line and its help for each of its options",
    ),
}


def files() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def docstring_lines(node: ast.AST) -> int:
    """How many lines the docstrings of a class or function have, with those of everything inside it."""
    count = 0
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = inner.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                count += (first.end_lineno or 0) - first.lineno + 1
    return count


def measured(path: Path) -> Iterator[tuple[str, int, int]]:
    """Each class and function of a file: how an exception names it, its lines, and the most that it may have.

    Docstrings do not count: shapes, units and errors belong there, and nobody should leave them out for a limit.
    """
    name = path.relative_to(ROOT).as_posix()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    owners: list[tuple[ast.AST, str]] = [(tree, "")]
    for parent, within in owners:
        for node in ast.iter_child_nodes(parent):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                owners.append((node, within))
                continue
            full = f"{within}.{node.name}" if within else node.name
            most = LINES_OF_A_CLASS if isinstance(node, ast.ClassDef) else LINES_OF_A_FUNCTION
            yield f"{name} {full}", (node.end_lineno or 0) - node.lineno + 1 - docstring_lines(node), most
            owners.append((node, full))


def test_no_folder_has_too_many_modules() -> None:
    folders = {path.parent for path in files()}
    counts = {
        folder.relative_to(ROOT).as_posix(): sum(path.name != "__init__.py" for path in folder.glob("*.py"))
        for folder in folders
    }
    assert not {folder: count for folder, count in counts.items() if count > MODULES_IN_A_FOLDER}


def test_no_file_is_too_long() -> None:
    lines = {path.relative_to(ROOT).as_posix(): path.read_text().count("\n") for path in files()}
    assert not {name: count for name, count in lines.items() if count > LINES_OF_A_FILE}


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_classes_and_functions_are_short(path: Path) -> None:
    long = [
        f"{name}: {lines} lines, {most} at most"
        for name, lines, usual in measured(path)
        if lines > (most := EXCEPTIONS.get(name, (usual, ""))[0])
    ]
    assert not long, "split it, or name it in EXCEPTIONS with its reason"


def test_every_exception_is_still_needed() -> None:
    needed = {name for path in files() for name, lines, most in measured(path) if lines > most}
    assert set(EXCEPTIONS) <= needed, "strike it from EXCEPTIONS"


def test_a_nested_function_is_measured_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.py"
    body = "\n".join(["            pass"] * (LINES_OF_A_FUNCTION + 1))
    path.write_text(f"class A:\n    def b(self):\n        def c():\n{body}\n")
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    assert [(name, lines > most) for name, lines, most in measured(path)] == [
        ("long.py A", False),
        ("long.py A.b", True),
        ("long.py A.b.c", True),
    ]
