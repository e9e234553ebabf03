"""Several processes train one model: different batches, the same weights, one writer. A real run of two processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("lightning")

# Lightning starts this file once more for the second process.
SCRIPT = """
import hashlib, json, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from jbdiff.config import BandCodecConfig
from jbdiff.train.run import callbacks
from jbdiff.train.modules.codec import CodecTraining
from jbdiff.train.jobs.codec import CodecJob, train_codec
from jbdiff.train.run.settings import RunSettings

folder, sounds = Path(sys.argv[1]), Path(sys.argv[2])
seen = {"batches": [], "minutes": [], "steps": [], "writes": 0}
plain_step, plain_save = CodecTraining.training_step, callbacks.save_weights

def step(self, audio, number):
    result = plain_step(self, audio, number)
    seen["rank"] = self.global_rank
    seen["batches"].append(hashlib.sha256(audio.numpy().tobytes()).hexdigest())
    seen["minutes"].append(self.budget.agreed)
    weights = torch.cat([p.detach().flatten() for p in self.parameters()])  # the critic's too
    seen["steps"].append(hashlib.sha256(weights.numpy().tobytes()).hexdigest())
    average = torch.cat([p.flatten() for p in self.average.network.parameters()])
    seen["average"] = hashlib.sha256(average.numpy().tobytes()).hexdigest()
    return result

def save(*given):
    seen["writes"] += 1
    plain_save(*given)

CodecTraining.training_step, callbacks.save_weights = step, save
settings = RunSettings(folder / "run", steps=4, round_steps=2, validate_every_rounds=1, demo_minutes=1000,
                       accelerator="cpu", devices="2", strategy="ddp")
sizes = BandCodecConfig(decoder_channels=8, decoder_blocks=1, local_channels=2)
train_codec(settings, CodecJob(sounds, None, 2, 0.4, 1e-3, True, None, 0, False), sizes)
(folder / f"rank{seen['rank']}.json").write_text(json.dumps(seen))
"""


def test_two_processes_train_one_model(tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    rng = np.random.default_rng(0)
    for name in "ab":
        noise = 0.2 * rng.standard_normal(60_000)
        soundfile.write(tmp_path / "sounds" / f"{name}.wav", noise, 44_100)
    (tmp_path / "train.py").write_text(SCRIPT)
    alone = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "train.py"), str(tmp_path), str(tmp_path / "sounds")],
        env=os.environ | alone,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert len(first["batches"]) == len(second["batches"]) == 4
    assert len({*first["batches"], *second["batches"]}) == 8, "no batch is drawn twice"
    assert first["steps"] == second["steps"] and len(set(first["steps"])) == 4
    assert first["average"] == second["average"]
    assert first["minutes"] == second["minutes"] and None not in first["minutes"], "one clock for both"
    assert (first["writes"], second["writes"]) == (2, 0)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == [2, 4]
