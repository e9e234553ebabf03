"""The name of a device: whatever torch cannot use here is refused in words, before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rich.console import Console
from toys import write_toy_stack
from typer.testing import CliRunner

from jbdiff.batch.command import BatchJob, run_batch
from jbdiff.batch.request import BatchError
from jbdiff.cli import app
from jbdiff.config import StackConfig
from jbdiff.machine import DeviceError, usable_device

NONE_HERE = (
    "",
    "foo",
    "cuda:x",
    "meta",
    "hip",
    "vulkan",
    *(() if torch.cuda.is_available() else ("cuda", "cuda:99")),
)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy_config: StackConfig) -> Path:
    monkeypatch.setenv("JBDIFF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "300")
    write_toy_stack(tmp_path / "home" / "toy", toy_config)
    (tmp_path / "mine.wav").write_bytes(b"a sound that is looked at later")
    return tmp_path


@pytest.mark.parametrize("device", NONE_HERE)
def test_a_device_that_is_not_there_is_refused_with_the_remedy(device: str) -> None:
    with pytest.raises(DeviceError, match="use --device cpu"):
        usable_device(device)


def test_the_processor_is_always_there() -> None:
    assert usable_device("cpu") == usable_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("device", ["foo", "meta"])
@pytest.mark.parametrize("command", ["sample", "finish", "bench"])
def test_every_command_refuses_it(command: str, device: str, home: Path) -> None:
    out = home / "a.wav"
    arguments = {
        "sample": ["--out", str(out), "--seconds", "0.1"],
        "finish": [str(home / "mine.wav"), "--out", str(out)],
        "bench": [],
    }[command]
    result = CliRunner().invoke(app, [command, *arguments, "--stack", "toy", "--device", device])
    assert result.exit_code == 1 and "use --device cpu" in result.output, (result.output, result.exception)
    assert sorted(path.name for path in home.iterdir()) == ["home", "mine.wav"]


def test_a_list_is_not_begun_on_it(home: Path) -> None:
    listed = home / "night.toml"
    listed.write_text('format = 1\n[[piece]]\nname = "dawn"\nstack = "toy"\nseconds = 0.1\n')
    with pytest.raises(BatchError, match="use --device cpu"):
        run_batch(BatchJob(listed, jobs=1, device="foo"), Console(quiet=True))
