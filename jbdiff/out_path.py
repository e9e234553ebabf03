"""The check of `--out`, before a command begins its work: a problem is answered at once, and nothing is replaced."""

from __future__ import annotations

from pathlib import Path


def link_problem(out: Path) -> str:
    """Return why nothing can be written at `out` if it is a link that leads nowhere; else an empty text."""
    if out.is_symlink() and not out.exists():
        return f"{out} is there already: a link that leads nowhere; remove it, or give another name"
    return ""


def file_problem(out: Path, overwrite: bool) -> str:
    """Return why no file can be written at `out`, with the remedy; empty if it can.

    overwrite: a file that is there may be replaced, but not a link that leads nowhere.
    """
    if problem := link_problem(out):
        return problem
    if out.is_dir():
        return f"{out} is a folder; give another name"
    if out.exists() and not overwrite:
        return f"{out} is there already; give another name, or --overwrite to replace it"
    return ""


def folder_problem(out: Path) -> str:
    """Return why `out` cannot become a new folder, with the remedy; empty if it is free, or an empty folder."""
    if problem := link_problem(out):
        return problem
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        return f"{out} is there already; give a new folder, or empty that one"
    return ""
