"""Weights between those of a denoiser run and those that it started from.

A run on new music forgets a part of the old. Weights half way between both keep nearly all of it, and have learnt most
of the new: they are often better than either (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch

from jbdiff.out_path import link_problem
from jbdiff.train.jobs.denoiser import load_denoiser
from jbdiff.train.run.callbacks import save_weights


def blend_denoisers(trained: Path, old: Path | str, share: float, out: Path) -> Path:
    """Write weights between two denoisers of one size into the folder `out`, and return their file.

    trained, old: the weights of a run or the name of a stack. share: 0..1; 0 is the old weights, 1 the trained ones.
    The folder serves `train distill` and `train export` like that of a run. Raises FileExistsError if it holds
    weights, ValueError if the sizes differ or the share is outside 0..1.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share {share} is outside 0..1")
    path = out / "weights.safetensors"
    if problem := link_problem(out) or link_problem(path):
        raise FileExistsError(problem)
    if path.exists():
        raise FileExistsError(f"{path} is there already; give another --out")
    new, before = load_denoiser(trained), load_denoiser(old)
    if new.config != before.config:
        raise ValueError(
            f"the denoisers of {trained} and {old} have other sizes; blend a run with its own start"
        )
    others = before.state_dict()
    with torch.no_grad():
        for name, value in new.state_dict().items():
            if value.is_floating_point():
                value.lerp_(others[name].to(value), 1 - share)
    out.mkdir(parents=True, exist_ok=True)
    about = {"kind": "denoiser", "denoiser": asdict(new.config), "blend": [str(trained), str(old), share]}
    (out / "run.json").write_text(json.dumps(about, indent=2, default=str), encoding="utf-8")
    save_weights(new, path)
    return path
