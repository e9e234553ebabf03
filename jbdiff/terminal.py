"""Output and paths of the library's commands: names printed unchanged on any terminal, and `~` in any path."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from rich.console import Console


def plain_console(stderr: bool = False) -> Console:
    """Return a console without markup and emoji, because file names may hold `[/b]` and `:smile:`."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def at_home(value: Any) -> Any:
    """Return a path, or a list of them, with `~` as the home folder; anything else as it is.

    The shell does the same, but not behind an equals sign and not on Windows. Raises typer.BadParameter if no home is
    known.
    """
    if isinstance(value, list):
        return [at_home(item) for item in value]
    if not isinstance(value, Path):
        return value
    try:
        return value.expanduser()
    except RuntimeError as error:
        raise typer.BadParameter(f"{value}: no home folder is known here; give the whole path") from error


def named_folder(text: str) -> Path:
    """Return the path of a folder. An empty text would mean the current folder; typer.BadParameter refuses it."""
    if not text.strip():
        raise typer.BadParameter("the path is empty; give a folder, or . for the current one")
    return Path(text)


def with_home(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command whose paths may begin with `~`."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        command(*arguments, **{name: at_home(value) for name, value in options.items()})

    return run
