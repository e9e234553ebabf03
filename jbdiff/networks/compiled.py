"""The compiled networks of a stack: made once, and shared by all its streams.

To compile a network takes a minute. So the first stream that needs one makes it.
"""

from __future__ import annotations

import threading

import torch
from torch import nn

from jbdiff.networks.channels_last import Compiler, has_token_form, token_major


class CompiledNetworks:
    """Networks with channels innermost, by the network that they stand for and by dtype. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = (
            threading.Lock()
        )  # of two streams that are made at once, one compiles and the other waits
        self._made: dict[tuple[nn.Module, torch.dtype], nn.Module] = {}

    def __len__(self) -> int:
        return len(self._made)

    def networks(self) -> tuple[nn.Module, ...]:
        """Return those that were made so far."""
        return tuple(self._made.values())

    def of(self, net: object, dtype: torch.dtype, compiler: Compiler) -> nn.Module | None:
        """Return the compiled form of a network, with weights in `dtype`. None if it has no such form.

        compiler: compiles a network in place; called the first time only. See `channels_last.py`.
        """
        if not has_token_form(net):
            return None
        with self._lock:
            if (net, dtype) not in self._made:
                quick = token_major(net, dtype)
                compiler(quick)
                self._made[net, dtype] = quick
            return self._made[net, dtype]
