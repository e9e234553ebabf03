"""The interface of every codec: of the Jukebox VQ-VAE, the band codec, and any further one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from torch import Tensor, nn


class Codec(Protocol):
    """Audio to normalised latents and back, at one or more levels.

    Latents of a codec are *normalised* for diffusion: their mean is about 0, and their variance is 1 or below.
    `encode` and `decode` work on whole tokens: time in samples is a multiple of `hop(level)`.
    """

    sample_rate: int  # Hz
    latent_channels: int
    levels: tuple[int, ...]

    def parameters(self) -> Iterator[nn.Parameter]:
        """The weights."""
        ...

    def hop(self, level: int) -> int:
        """Samples per token of `level`."""
        ...

    def encode(self, audio: Tensor, level: int) -> Tensor:
        """Mono audio `[batch, 1, samples]` to normalised latents `[batch, channels, samples / hop]`."""
        ...

    def decode(self, latents: Tensor, level: int, first: int | Tensor = 0) -> Tensor:
        """Normalised latents `[batch, channels, tokens]` to mono audio `[batch, 1, tokens * hop]`.

        first: number of the first token, counted from the beginning of the sound. A codec with oscillators needs it to
        decode a piece exactly as it would decode it inside the whole sound. Other codecs ignore it.
        """
        ...

    def decoder_margin(self, level: int) -> int:
        """Number of tokens on each side that change a decoded sample. Chunks of a decode must overlap by so many."""
        ...


@runtime_checkable
class Quantises(Protocol):
    """A codec whose decoder reads latents through a codebook."""

    def quantise(self, latents: Tensor, level: int) -> Tensor:
        """Normalised latents `[b, c, t]` moved onto the nearest codes."""
        ...
