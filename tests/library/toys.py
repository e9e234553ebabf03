"""Where the recorded files lie, a stack folder made of them, and training from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor
from typer.testing import CliRunner

from jbdiff.config import StackConfig, stack_to_dict
from jbdiff.stacks.weight_files import file_sha256

FIXTURES = Path(__file__).parent / "fixtures"


def train(*words: object) -> str:
    """What `jbdiff train ...` says; it must go well."""
    from jbdiff.train.cli import app

    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.output


def write_toy_stack(folder: Path, config: StackConfig) -> Path:
    """A stack folder over the recorded v1 files."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {"codec": "vqvae.pth.tar"} | {f"level{n.level}": f"jb_level{n.level}.ckpt" for n in config.levels}
    if config.finisher is not None:
        names["finisher"] = "dd.ckpt"
    files = {}
    for role, name in names.items():
        (folder / name).symlink_to(FIXTURES / name)
        files[role] = {"file": name, "sha256": file_sha256(FIXTURES / name)}
    content = {"format": 1, "name": "toy", "stack": stack_to_dict(config), "files": files, "source": {}}
    (folder / "config.json").write_text(json.dumps(content))
    return folder


class LivelyDenoiser(torch.nn.Module):
    """v = -x + a trace of the context: what comes out is as varied as the noise that goes in.

    The recorded U-Nets have random weights and settle on one or two codes, which would let a test of
    the decoder's edges pass whatever the edges do.
    """

    def forward(
        self, x: Tensor, sigma: Tensor, context: Tensor | None = None, drop: Tensor | None = None
    ) -> Tensor:
        if context is None:
            return -x
        trace = torch.tanh(context.mean(dim=1))[:, :, None]
        return -x + (trace if drop is None else trace * (~drop[:, None, None]))
