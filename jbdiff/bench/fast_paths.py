"""Faster ways to run a network, each behind one switch. `checks.py` compares each with float32.

    step = quick_step(lambda x, sigma: GuidedModel(net, context, 4.0)(x, sigma), FASTPATHS["bfloat16"], device)

A step is the function that samplers call: x `[b, c, t]`, sigma `[b]` -> v `[b, c, t]`, float32 in and out. Everything
here wraps networks from outside; their code does not change.
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
    """One fast path.

    - `bound`: largest error of a step against exact float32: the root mean square of the difference over that of
      float32's own change to x.
    - `autocast`: networks run under autocast in this type. `weights`: all weights have this type.
    - `tokens`: channels innermost (`networks/channels_last.py`), for U-Nets and waveform finishers.
    - `compile`: torch.compile with fixed shapes. `graph`: each step replays one CUDA graph.
    - `tf32`: products and convolutions round their inputs to 10 bits.
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
        """Whether the path runs on this device: graphs and TF32 need CUDA, the rest runs anywhere."""
        return device.type == "cuda" or not (self.graph or self.tf32)

    def takes(self, net: nn.Module) -> bool:
        """Whether this network can run on the path."""
        return not self.tokens or has_token_form(net)


# Half precision keeps 10 bits, bfloat16 keeps 7. Their errors are about 0.0005 and 0.004 an operation and add up over
# about a hundred layers. A path that only reorders float32 sums has errors near 1e-6 an operation.
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
    """Keeps a small part in float32, because sines of large angles lose their phase in fewer bits."""

    def __init__(self, inner: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.inner, self.dtype = inner, dtype

    def forward(self, sigma: Tensor) -> Tensor:
        out: Tensor = self.inner(sigma.float()).to(self.dtype)
        return out


def in_type(net: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return a copy of a network with its weights in `dtype`, except for the embedding of the noise level."""
    if dtype == torch.float32:
        return net
    twin = copy.deepcopy(net).to(dtype)
    for name in ("time_embedding", "timestep_embed"):
        if hasattr(net, name):
            setattr(twin, name, _InFloat32(copy.deepcopy(getattr(net, name)), dtype))
    return twin


def quickened(net: nn.Module, path: FastPath) -> nn.Module:
    """Return the network in the type and form of the path, compiled if the path says so."""
    quick = token_major(net, path.weights) if path.tokens else in_type(net, path.weights)
    if path.compile:
        # Only the network is compiled, not the whole step: guidance makes its tensors outside, and every sampler can
        # use it.
        quick.compile(dynamic=False)
    return quick


def quick_step(step: Step, path: FastPath, device: torch.device) -> Step:
    """Return a step with the path's types, autocast and graph around it. `step` uses a network from `quickened`."""

    def plain(x: Tensor, sigma: Tensor) -> Tensor:
        with autocast(device, path.autocast):
            return step(x if path.tokens else x.to(path.weights), sigma).float()

    return Recorded(plain, device, cuda_recorder) if path.graph else plain


@contextlib.contextmanager
def precision(path: FastPath) -> Iterator[None]:
    """Set the path's precision for the whole process; set it back afterwards."""
    with exact_float32():
        if path.tf32:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        yield
