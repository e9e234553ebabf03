"""Turns the results of runs into a stack folder that plays: fp16 safetensors and their description."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from jbdiff.checkpoints import save_stack
from jbdiff.config import POCKET, JointDenoiserConfig
from jbdiff.jointdenoiser import JointDenoiser
from jbdiff.train.commands import fitted, load_codec, load_denoiser

POCKET_SOURCE: dict[str, Any] = {
    "licence": "CC0-1.0",
    "data": "96 minutes rendered by scripts/render_data, seeds 1000 to 1119; held out: seeds 9000 to 9005",
    "sources": {
        "sonic-pi-samples": "CC0 one-shots and loops, without loop_amen, loop_amen_full and loop_breakbeat",
        "fluid-soundfont-gm": "FluidR3 GM by Frank Wen, MIT",
        "Faust patches and synthetic drums": "scripts/render_data/sounds.py, written for this project",
    },
}


def export_stack(
    codec_weights: Path, denoiser_weights: Path | None, out: Path, name: str, source: Mapping[str, Any]
) -> Path:
    """A playable stack in `out`; without denoiser weights the denoiser is untrained (for trying a codec out).

    Files are replaced one by one, description last, each whole: `load_stack` refuses the moment between.
    """
    codec = load_codec(codec_weights)
    level = POCKET.level(2)
    if denoiser_weights is None:
        denoiser = JointDenoiser(fitted(cast(JointDenoiserConfig, level.denoiser), codec.config))
    else:
        denoiser = load_denoiser(denoiser_weights)
    if denoiser.config.all_channels != codec.latent_channels:
        raise ValueError(
            f"the denoiser works on {denoiser.config.all_channels} channels, the codec gives "
            f"{codec.latent_channels}; export runs that belong together"
        )
    level = replace(level, denoiser=denoiser.config, window_tokens=denoiser.config.window_tokens)
    stack = replace(POCKET, name=name, codec=codec.config, levels=(level,))
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        made = save_stack(Path(folder), stack, codec, {2: denoiser}, source)
        files = sorted(made.iterdir(), key=lambda path: path.suffix == ".json")
        for file in files:
            file.chmod(0o644)
            os.replace(file, out / file.name)
    return out
