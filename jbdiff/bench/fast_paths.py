"""Faster ways to run a network, each behind one switch, each held against float32 by `checks.py`.

    step = quick_step(lambda x, sigma: GuidedModel(net, context, 4.0)(x, sigma), FASTPATHS["bfloat16"], device)

A step is what samplers call: x `[b, c, t]`, sigma `[b]` -> v `[b, c, t]`, float32 in and out. Everything here
wraps from outside; the networks know nothing of it.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jbdiff.machine import autocast, exact_float32
from jbdiff.networks.channels_last import has_token_form, token_major
from jbdiff.stream.cuda_graphs import Recorded, cuda_recorder

Step = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class FastPath:
    """One way. `bound` is how far a step may be from exact float32: root mean square of the difference over that
    of float32's own change to x.

    autocast: networks run under autocast in this type. weights: networks are kept in this type altogether.
    tokens: channels innermost (`networks/channels_last.py`), for U-Nets and waveform finishers.
    compile: torch.compile, shapes fixed.
    graph: one CUDA graph a step, replayed. tf32: products and convolutions round their inputs to 10 bits.
    """

    name: str
    bound: float
    autocast: torch.dtype = torch.float32
    weights: torch.dtype = torch.float32
    tokens: bool = False
    compile: bool = False
    graph: bool = False
    tf32: bool = False

    def runs_on(self, device: torch.device) -> bool:
        """Graphs and TF32 are CUDA's; the rest runs anywhere."""
        return device.type == "cuda" or not (self.graph or self.tf32)

    def takes(self, net: nn.Module) -> bool:
        """Whether this network can be run so."""
        return not self.tokens or has_token_form(net)


# Half precision keeps 10 bits, bfloat16 keeps 7: errors of about 0.0005 and 0.004 an operation, which pile up over
# some hundred layers. What only reorders float32 sums stays near 1e-6 an operation.
EXACT, TEN_BITS, SEVEN_BITS = 1e-3, 3e-2, 2e-1
FASTPATHS: dict[str, FastPath] = {
    path.name: path
    for path in (
        FastPath("float32", EXACT),
        FastPath("tf32", TEN_BITS, tf32=True),
        FastPath("autocast bfloat16", SEVEN_BITS, autocast=torch.bfloat16),
        FastPath("autocast float16", TEN_BITS, autocast=torch.float16),
        FastPath("bfloat16", SEVEN_BITS, weights=torch.bfloat16),
        FastPath("float16", TEN_BITS, weights=torch.float16),
        FastPath("float32 graph", EXACT, graph=True),
        FastPath("bfloat16 graph", SEVEN_BITS, weights=torch.bfloat16, graph=True),
        FastPath("float16 graph", TEN_BITS, weights=torch.float16, graph=True),
        FastPath("float32 tokens", EXACT, tokens=True),
        FastPath("float32 compiled", EXACT, compile=True),
        FastPath("tf32 tokens compiled graph", TEN_BITS, tokens=True, compile=True, graph=True, tf32=True),
        FastPath(
            "float16 tokens compiled graph",
            TEN_BITS,
            weights=torch.float16,
            tokens=True,
            compile=True,
            graph=True,
        ),
    )
}


class _InFloat32(nn.Module):
    """A small part that stays in float32: sines of large angles lose their phase in fewer bits."""

    def __init__(self, inner: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.inner, self.dtype = inner, dtype

    def forward(self, sigma: Tensor) -> Tensor:
        out: Tensor = self.inner(sigma.float()).to(self.dtype)
        return out


def in_type(net: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of a denoiser or finisher with its weights in `dtype`, but for the embedding of the noise level."""
    if dtype == torch.float32:
        return net
    twin = copy.deepcopy(net).to(dtype)
    for name in ("time_embedding", "timestep_embed"):
        if hasattr(net, name):
            setattr(twin, name, _InFloat32(copy.deepcopy(getattr(net, name)), dtype))
    return twin


def quickened(net: nn.Module, path: FastPath) -> nn.Module:
    """The network as the path wants it: in another type or form, compiled, or as it is."""
    quick = token_major(net, path.weights) if path.tokens else in_type(net, path.weights)
    if path.compile:
        # Not the whole step: guidance makes its tensors outside, and one network serves steps of any sampler.
        quick.compile(dynamic=False)
    return quick


def quick_step(step: Step, path: FastPath, device: torch.device) -> Step:
    """A step over a network that `quickened` gave, with what the path does around it: types, autocast, graph."""

    def plain(x: Tensor, sigma: Tensor) -> Tensor:
        with autocast(device, path.autocast):
            return step(x if path.tokens else x.to(path.weights), sigma).float()

    return Recorded(plain, device, cuda_recorder) if path.graph else plain


@contextlib.contextmanager
def precision(path: FastPath) -> Iterator[None]:
    """What the path sets for the whole process, set back afterwards."""
    with exact_float32():
        if path.tf32:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        yield
