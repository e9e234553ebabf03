"""A link that leads nowhere in the place of `--out`: every command refuses it before it begins its work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from jbdiff.cli import app
from jbdiff.train.cli import app as train_app
from jbdiff_live.start.command import app as live_app

# What each command needs besides --out. Nothing of it exists: a command that began its work would say so.
NEEDED = {
    "convert": ("missing.ckpt",),
    "evaluate": ("--heldout", "missing"),
    "fetch": (),
    "finish": ("missing.wav",),
    "sample": ("--stack", "missing"),
    "train blend": ("--denoiser-weights", "missing"),
    "train codec": ("--data", "missing"),
    "train denoiser": ("--data", "missing"),
    "train distill": ("--data", "missing"),
    "train export": ("--codec-weights", "missing"),
    "train finisher": ("--data", "missing"),
    "train plan": ("--data", "missing"),
    "replay": ("missing",),
}


def with_out(command: Any, name: str = "") -> Iterator[str]:
    """Find the commands with an option `--out`. Typer has classes of its own for commands and groups."""
    if any("--out" in parameter.opts for parameter in command.params):
        yield name
    if hasattr(command, "list_commands"):
        context = typer.Context(command)
        for inner in command.list_commands(context):
            yield from with_out(command.get_command(context, inner), f"{name} {inner}".strip())


def found() -> set[str]:
    apps = {"": app, "train": train_app, " ": live_app}
    return {
        name.strip() for group, each in apps.items() for name in with_out(typer.main.get_command(each), group)
    }


def test_every_command_with_out_is_tried() -> None:
    assert found() == set(NEEDED)


@pytest.mark.parametrize("command", NEEDED)
def test_a_link_that_leads_nowhere_is_refused_at_once(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JBDIFF_HOME", str(tmp_path / "home"))
    out = tmp_path / "out.wav"
    out.symlink_to(tmp_path / "gone")
    which = live_app if command == "replay" else app
    result = CliRunner().invoke(which, [*command.split(), *NEEDED[command], "--out", str(out)])
    assert result.exit_code in (1, 2)
    assert "a link that leads nowhere; remove it, or give another name" in result.output.replace("\n", " ")
    assert out.is_symlink() and [path.name for path in tmp_path.iterdir()] == ["out.wav"]


def test_a_link_is_not_replaced_by_a_benchmark_either(tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    out.symlink_to(tmp_path / "gone")
    result = CliRunner().invoke(app, ["bench", "--stack", "missing", "--json", str(out), "--overwrite"])
    assert result.exit_code == 1 and "leads nowhere" in result.output.replace("\n", " ")
    assert out.is_symlink()
