"""Blended weights lie between those of a run and those that it started from."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("lightning")

from test_train import DENOISER

from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.train.jobs.blend import blend_denoisers
from jbdiff.train.jobs.denoiser import load_denoiser
from jbdiff.train.run.callbacks import save_weights


def test_blended_weights_lie_between_a_run_and_its_start(tmp_path: Path) -> None:
    paths = {}
    for seed, name in enumerate(("old", "new")):
        torch.manual_seed(seed)
        (tmp_path / name).mkdir()
        paths[name] = tmp_path / name / "weights.safetensors"
        save_weights(JointDenoiser(DENOISER), paths[name])
        (tmp_path / name / "run.json").write_text(json.dumps({"denoiser": dataclasses.asdict(DENOISER)}))
    old, new = (load_denoiser(paths[name]).state_dict() for name in ("old", "new"))
    made = load_denoiser(blend_denoisers(paths["new"], paths["old"], 0.25, tmp_path / "mixed")).state_dict()
    differ = 0
    for name, value in made.items():
        torch.testing.assert_close(value, old[name] + 0.25 * (new[name] - old[name]))
        differ += int(not torch.equal(old[name], new[name]))
    assert differ > 10
    with pytest.raises(FileExistsError, match="--out"):
        blend_denoisers(paths["new"], paths["old"], 0.25, tmp_path / "mixed")
    with pytest.raises(ValueError, match="other sizes"):
        blend_denoisers(paths["new"], "pocket", 0.25, tmp_path / "other")
