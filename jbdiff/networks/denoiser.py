"""The interface of a denoiser. Every network that has it can play."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from jbdiff.networks.anchor import Anchor
from jbdiff.networks.echoes import Echo


class Prepared(Protocol):
    """A context that a denoiser prepared once for every step of a window. Each network has its own form."""

    def first(self, rows: int) -> Prepared:
        """Return the prepared context of the first rows of the batch alone."""
        ...


class Denoiser(Protocol):
    """A network that predicts v: x `[b, c, t]`, sigma `[b]`, context `[b, n, c]` -> v `[b, c, t]`.

    sigma is 0..1; context None is the null context for every row. `drop` `[b]` (bool): True uses the learned null
    embedding instead of that row's context. A denoiser that prepares contexts also takes a prepared one.
    """

    def __call__(
        self, x: Tensor, sigma: Tensor, context: Tensor | Prepared | None = None, drop: Tensor | None = None
    ) -> Tensor:
        """Predict v `[b, c, t]`."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """The weights."""
        ...

    def buffers(self) -> Iterator[Tensor]:
        """Yield the tensors `[...]` of the network that are not weights."""
        ...


@runtime_checkable
class PreparesContext(Protocol):
    """A denoiser that can prepare its context once a window.

    The result of `prepare_context` is passed as `context` to every step, without `drop`.
    """

    def prepare_context(self, context: Tensor | None, drop: Tensor | None, batch: int) -> Prepared:
        """Prepare context `[batch, n, c]` for `batch` rows; `drop` as in `Denoiser`."""
        ...


class Conditioned(Protocol):
    """A denoiser whose preparation also takes an anchor and echoes."""

    def prepare_context(
        self,
        context: Tensor | None,
        drop: Tensor | None,
        batch: int,
        anchor: Anchor | None = None,
        echo: Echo | None = None,
    ) -> Prepared:
        """Prepare context `[batch, n, c]` as in `PreparesContext`; anchor and echo have `batch` rows too."""
        ...
