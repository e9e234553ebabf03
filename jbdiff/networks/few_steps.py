"""A student that goes in a few long steps where its denoiser takes dozens of short ones with two branches.

The student is the denoiser itself plus additions of low rank to its matrices (LoRA, Hu et al. 2021), differences of
its small tensors, and a condition that tells it the guidance scale (Meng et al. 2023) and the length of the step.
Additions are a file of their own, an eighth of the denoiser's at rank 32, and are merged into plain matrices when a
stack is loaded: playing costs nothing more. `guidance.JumpingModel` plays it, `train/distil_module.py` trains it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from jbdiff.config import FewStepsConfig
from jbdiff.networks.joint_denoiser import JointDenoiser, JumpCondition

CONDITION = "jump."  # where a network keeps its JumpCondition
# The detail follows the finished bands, and a plan sets their means: both are the denoiser's own.
AS_THEY_ARE = (CONDITION, "detail.", "plan_inputs.")


def _key(name: str) -> str:
    """A parameter's name as the name of another: those have no dots."""
    return name.replace(".", "/")


class Additions(nn.Module):
    """All that a student has and its denoiser has not; begins as no difference at all.

    down `[rank, in]` and up `[out, rank]` of every matrix where the two are smaller than the matrix, and the whole
    difference of every other parameter.
    """

    def __init__(self, denoiser: JointDenoiser, config: FewStepsConfig) -> None:
        super().__init__()
        self.config = config
        self.down, self.up, self.whole = nn.ParameterDict(), nn.ParameterDict(), nn.ParameterDict()
        for name, weight in denoiser.named_parameters():
            if name.startswith(AS_THEY_ARE):
                continue
            if weight.ndim == 2 and config.rank * sum(weight.shape) < weight.numel():
                rows, columns = weight.shape
                self.down[_key(name)] = torch.randn(config.rank, columns) * columns**-0.5
                self.up[_key(name)] = torch.zeros(rows, config.rank)
            else:
                self.whole[_key(name)] = torch.zeros(weight.shape)
        self.condition = JumpCondition(denoiser.config.width)

    def merged(self, denoiser: JointDenoiser) -> dict[str, Tensor]:
        """The student's parameters by name, as a `JointDenoiser` with jumps has them; gradients reach the additions."""
        student = {}
        for name, weight in denoiser.named_parameters():
            key = _key(name)
            if key in self.whole:
                student[name] = weight + self.whole[key]
            elif key in self.down:
                student[name] = weight + self.up[key] @ self.down[key]
        return student | {CONDITION + name: value for name, value in self.condition.named_parameters()}


def with_jumps(denoiser: JointDenoiser) -> JointDenoiser:
    """A copy that takes jumps, and does not yet do anything with them."""
    return _filled(denoiser, dict(denoiser.named_parameters()))


def merge(denoiser: JointDenoiser, additions: Additions) -> JointDenoiser:
    """The student as a network of its own, in evaluation mode, its weights fixed."""
    with torch.no_grad():
        return _filled(denoiser, additions.merged(denoiser)).eval().requires_grad_(False)


def _filled(denoiser: JointDenoiser, parameters: Mapping[str, Tensor]) -> JointDenoiser:
    network = JointDenoiser(denoiser.config, jumps=True)
    buffers = {name: value for name, value in denoiser.state_dict().items() if name not in parameters}
    own = network.state_dict()
    network.load_state_dict(own | buffers | {name: value.detach() for name, value in parameters.items()})
    return network.to(next(denoiser.parameters()).device)
