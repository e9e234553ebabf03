"""A Ray cluster on this machine makes the samples of one process. Ray is an extra, so this may be skipped."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from batch_rig import run, sounds, ten
from rich.console import Console

from jbdiff.batch.command import BatchJob, run_batch
from jbdiff.batch.parcels import FOLDER

# A busy machine starts a process in minutes, and Ray gives up after one.
SLOW_START = {"RAY_worker_register_timeout_seconds": "600", "RAY_agent_register_timeout_ms": "600000"}

pytest.importorskip("ray", reason="ray is not installed; `pip install 'jbdiff-live[ray]'`")


def test_two_workers_of_a_local_cluster_make_the_samples_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path / "machine"))  # what is sent to the cluster lies there
    for variable, value in SLOW_START.items():
        monkeypatch.setenv(variable, value)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    run(ten(tmp_path / "one"))
    said = StringIO()
    summary = run_batch(BatchJob(ten(tmp_path / "two"), jobs=2, ray="local"), Console(file=said, width=200))
    assert (summary.made, summary.failures) == (10, []), said.getvalue()
    assert "10 to make; 2 at once on Ray" in said.getvalue()
    assert sounds(tmp_path / "two") == sounds(tmp_path / "one")
    assert not (tmp_path / "two" / "night.rendering").exists()
    assert not list((tmp_path / "machine" / "work").iterdir())
