"""`jbdiff render` with takes in its list: rendered again in processes of this machine, and on a Ray cluster."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from replay_rig import Recorded
from rich.console import Console
from small_stacks import write_small_stack

from jbdiff.batch.command import BatchJob, run_batch
from jbdiff.batch.parcels import FOLDER
from jbdiff_live.record.take import Take, open_take
from jbdiff_live.stack_choice import StackChoice

HEAD = "format = 1\n"
WHOLE = '[[take]]\npath = "{take}"\nout = "again/whole"\n'
PART = '[[take]]\npath = "{take}"\nname = "part"\nto = 0.4\n'
PIECE = """
[[piece]]
name = "piece"
stack = "./small"
levels = "2"
finisher = false
steps = 1
seconds = 0.2
"""


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Take:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("night")
    stack = write_small_stack(folder / "small")
    rig = Recorded(StackChoice(str(stack), (2,), finisher=False, hop=64), folder)
    return rig.recorded(14, {4: lambda: rig.set(seed=7)})


def engine(folder: Path) -> np.ndarray:
    return soundfile.read(folder / "engine.wav", dtype="float32")[0]


def rendered(take: Take, text: str, ray: str | None = None) -> tuple[Path, str]:
    """Make a list in a folder of its own. Return that folder, and what the command said."""
    folder = take.folder.parent / ("there" if ray else "here")
    folder.mkdir()
    (folder / "small").symlink_to(take.folder.parent / "small")
    (folder / "night.toml").write_text(text.format(take=take.folder))
    said = StringIO()
    summary = run_batch(BatchJob(folder / "night.toml", jobs=1, ray=ray), Console(file=said, width=200))
    assert (summary.made, summary.failures) == (text.count("[["), []), said.getvalue()
    return folder, said.getvalue()


def test_takes_of_a_list_are_the_same_samples(take: Take) -> None:
    folder, said = rendered(take, HEAD + PIECE + WHOLE + PART)
    assert np.array_equal(engine(folder / "again" / "whole"), engine(take.folder))
    assert np.array_equal(engine(folder / "part"), engine(take.folder)[: round(0.4 * 44_100)])
    assert open_take(folder / "part").info.closed_cleanly and (folder / "piece.wav").exists()
    assert "part: 0.4 s of a take, the same samples" in said


def test_takes_of_a_list_are_the_same_samples_on_a_cluster(
    take: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="ray is not installed; `pip install 'jbdiff-live[ray]'`")
    monkeypatch.setenv(FOLDER, str(tmp_path / "machine"))
    # A busy machine starts a process in minutes, and Ray gives up after one.
    monkeypatch.setenv("RAY_worker_register_timeout_seconds", "600")
    monkeypatch.setenv("RAY_agent_register_timeout_ms", "600000")
    folder, _ = rendered(take, HEAD + WHOLE, "local")
    assert np.array_equal(engine(folder / "again" / "whole"), engine(take.folder))
