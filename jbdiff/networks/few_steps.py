"""A student that takes a few long steps. Its denoiser, the teacher, takes dozens of short ones with two branches.

The student is the denoiser plus additions of low rank to its matrices (LoRA, Hu et al. 2021) and differences of its
small tensors. Two further inputs are the guidance scale (Meng et al. 2023) and the length of the step. The additions
have a file of their own; at rank 32 it is an eighth of the denoiser's. They are merged into plain matrices when a
stack is loaded, so playing costs nothing more. `guidance.JumpingModel` plays it, `train/modules/distil.py` trains it.
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
    """A parameter's name without dots, because the name of a parameter may hold none."""
    return name.replace(".", "/")


class Additions(nn.Module):
    """The differences between a student and its denoiser. Untrained, they are zero.

    For a matrix: down `[rank, in]` and up `[out, rank]`, if both together are smaller than the matrix. For every other
    parameter: the whole difference.
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
        """Return the student's parameters `[...]` by name, as in a `JointDenoiser` with jumps.

        Gradients reach the additions.
        """
        student = {}
        for name, weight in denoiser.named_parameters():
            key = _key(name)
            if key in self.whole:
                student[name] = weight + self.whole[key]
            elif key in self.down:
                student[name] = weight + self.up[key] @ self.down[key]
        return student | {CONDITION + name: value for name, value in self.condition.named_parameters()}


def with_jumps(denoiser: JointDenoiser) -> JointDenoiser:
    """A copy of the denoiser that takes jumps and does not use them yet."""
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
