"""Where a stack may be written: into a new folder, or over a stack. Files of anything else stay."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from toys import write_toy_stack
from typer.testing import CliRunner

pytest.importorskip("lightning")

from test_train import CODEC, DENOISER

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.config import POCKET, StackConfig
from jbdiff.stacks.stack import load_stack
from jbdiff.train.cli import app
from jbdiff.train.jobs.export import StackParts, export_stack
from jbdiff.train.run.callbacks import save_weights


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run of a toy codec."""
    level = dataclasses.replace(POCKET.levels[0], denoiser=DENOISER, window_tokens=16)
    toy = dataclasses.replace(POCKET, codec=CODEC, levels=(level,))
    monkeypatch.setattr("jbdiff.train.jobs.export.POCKET", toy)
    folder = tmp_path / "run"
    folder.mkdir()
    save_weights(BandCodec(CODEC), folder / "weights.safetensors")
    (folder / "run.json").write_text(json.dumps({"codec": dataclasses.asdict(CODEC)}))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_folder_of_a_run_is_no_place_for_a_stack(run: Path) -> None:
    before = files(run)
    for place in (run, run / "run.json"):
        with pytest.raises(ValueError, match=r"holds something else than a stack .*; give a new folder"):
            export_stack(StackParts(run / "weights.safetensors"), place, "toy", {})
    assert files(run) == before


def test_a_stack_is_replaced_and_other_files_beside_it_stay(run: Path) -> None:
    parts, out = StackParts(run / "weights.safetensors"), run.parent / "toy"
    export_stack(parts, out, "toy", {})
    (out / "mine.safetensors").write_bytes(b"weights of somebody")
    assert load_stack(export_stack(parts, out, "again", {})).config.name == "again"
    assert (out / "mine.safetensors").read_bytes() == b"weights of somebody"


def test_the_command_replaces_a_stack_only_when_that_is_asked_for(
    toy_config: StackConfig, tmp_path: Path
) -> None:
    write_toy_stack(tmp_path / "toy", toy_config)
    before = files(tmp_path / "toy")
    done = CliRunner().invoke(app, ["export", "--base", "pocket", "--out", str(tmp_path / "toy")])
    assert done.exit_code == 1 and "--overwrite to replace it" in done.output, done.output
    assert files(tmp_path / "toy") == before
