"""The Jukebox VQ-VAE: codec of the v1 stack. Module names give the official checkpoint's keys.

Dhariwal et al. 2020, "Jukebox: A Generative Model for Music", section 3 and table 4: one separate
encoder, decoder and codebook per level. Only what sampling and training of the denoisers need is here;
the codebook is never updated.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jbdiff.config import VQVAEConfig


class ResidualConv(nn.Module):
    """x + conv1x1(relu(dilated conv3(relu(x)))); the length in time stays the same."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.ReLU(),
            nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation),
            nn.ReLU(),
            nn.Conv1d(width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[b, c, t]` to the same shape."""
        out: Tensor = x + self.model(x)
        return out


class ResidualStack(nn.Module):
    """`depth` residual convolutions whose dilation grows by `growth`, or shrinks when reversed."""

    def __init__(self, width: int, depth: int, growth: int, reverse: bool) -> None:
        super().__init__()
        dilations = [growth**k for k in range(depth)]
        if reverse:
            dilations.reverse()
        self.model = nn.Sequential(*(ResidualConv(width, dilation) for dilation in dilations))

    def forward(self, x: Tensor) -> Tensor:
        """`[b, c, t]` to the same shape."""
        out: Tensor = self.model(x)
        return out


class Downward(nn.Module):
    """`halvings` strided convolutions, each with a residual stack, then a projection to `out_channels`."""

    def __init__(
        self, config: VQVAEConfig, in_channels: int, halvings: int, width: int, depth: int, out_channels: int
    ) -> None:
        super().__init__()
        stride = config.stride
        stages: list[nn.Module] = []
        for index in range(halvings):
            stages.append(
                nn.Sequential(
                    nn.Conv1d(width if index else in_channels, width, 2 * stride, stride, stride // 2),
                    ResidualStack(width, depth, config.dilation_growth, reverse=False),
                )
            )
        stages.append(nn.Conv1d(width, out_channels, 3, padding=1))
        self.model = nn.Sequential(*stages)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, in, t]` to `[b, out, t / stride ** n]`."""
        out: Tensor = self.model(x)
        return out


class Upward(nn.Module):
    """The mirror of `Downward`: projection, then residual stacks and transposed convolutions."""

    def __init__(self, config: VQVAEConfig, doublings: int, width: int, depth: int) -> None:
        super().__init__()
        stride, channels = config.stride, config.latent_channels
        stages: list[nn.Module] = [nn.Conv1d(channels, width, 3, padding=1)]
        for index in range(doublings):
            last = index == doublings - 1
            stages.append(
                nn.Sequential(
                    ResidualStack(width, depth, config.dilation_growth, config.reverse_decoder_dilation),
                    nn.ConvTranspose1d(width, channels if last else width, 2 * stride, stride, stride // 2),
                )
            )
        self.model = nn.Sequential(*stages)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, in, t]` to `[b, out, t * stride ** n]`."""
        out: Tensor = self.model(x)
        return out


class Encoder(nn.Module):
    """Audio `[b, 1, samples]` to raw latents `[b, channels, samples / hop]` of one level."""

    def __init__(self, config: VQVAEConfig, level: int) -> None:
        super().__init__()
        width, depth = config.width * config.multipliers[level], config.depth * config.multipliers[level]
        channels = config.latent_channels
        self.level_blocks = nn.ModuleList(
            Downward(config, channels if index else 1, halvings, width, depth, channels)
            for index, halvings in enumerate(config.downs[: level + 1])
        )

    def forward(self, audio: Tensor) -> Tensor:
        """Audio `[b, 1, n]` to raw latents `[b, c, n / hop]`."""
        for block in self.level_blocks:
            audio = block(audio)
        return audio


class Decoder(nn.Module):
    """Raw latents `[b, channels, tokens]` of one level to audio `[b, 1, tokens * hop]`."""

    def __init__(self, config: VQVAEConfig, level: int) -> None:
        super().__init__()
        width, depth = config.width * config.multipliers[level], config.depth * config.multipliers[level]
        self.level_blocks = nn.ModuleList(
            Upward(config, doublings, width, depth) for doublings in config.downs[: level + 1]
        )
        self.out = nn.Conv1d(config.latent_channels, 1, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        """Raw latents `[b, c, t]` to audio `[b, 1, t * hop]`."""
        for block in reversed(self.level_blocks):
            latents = block(latents)
        out: Tensor = self.out(latents)
        return out


class Codebook(nn.Module):
    """`codebook_size` vectors `k`; nearest-neighbour lookup both ways."""

    k: Tensor

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("k", torch.zeros(size, channels))

    def nearest(self, latents: Tensor) -> Tensor:
        """Raw latents `[b, c, t]` to indices `[b, t]` (int64), by squared distance."""
        x = latents.transpose(1, 2)
        # |x - k|^2 in this order of operations, so that ties and near-ties are decided as in the recorded results.
        distance = (x**2).sum(-1, keepdim=True) - 2 * (x @ self.k.t()) + (self.k**2).sum(-1)
        return distance.argmin(-1)

    def lookup(self, codes: Tensor) -> Tensor:
        """Indices `[b, t]` to raw latents `[b, c, t]`."""
        return F.embedding(codes, self.k).transpose(1, 2)


class Bottleneck(nn.Module):
    """One codebook per level; named as in the official file."""

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__()
        self.level_blocks = nn.ModuleList(
            Codebook(config.codebook_size, config.latent_channels) for _ in config.downs
        )


class VQVAE(nn.Module):
    """A `Codec` over three levels. `encode` returns normalised latents that lie on the codebook.

    They are normalised by the mean and the unbiased standard deviation of all values of the level's codebook.
    """

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = config.sample_rate
        self.latent_channels = config.latent_channels
        self.levels = tuple(range(len(config.downs)))
        self.encoders = nn.ModuleList(Encoder(config, level) for level in self.levels)
        self.decoders = nn.ModuleList(Decoder(config, level) for level in self.levels)
        self.bottleneck = Bottleneck(config)

    def hop(self, level: int) -> int:
        """Samples per token of a level: 8, 32, 128 with the published sizes."""
        return self.config.hop(level)

    def codebook(self, level: int) -> Codebook:
        """The codebook of a level."""
        book = self.bottleneck.level_blocks[level]
        assert isinstance(book, Codebook)
        return book

    def normalise(self, raw: Tensor, level: int) -> Tensor:
        """Return raw latents `[...]` normalised, in the same shape."""
        k = self.codebook(level).k
        return (raw - k.mean()) / k.std()

    def denormalise(self, latents: Tensor, level: int) -> Tensor:
        """Return normalised latents `[...]` as raw ones, in the same shape."""
        k = self.codebook(level).k
        return latents * k.std() + k.mean()

    def encode_raw(self, audio: Tensor, level: int) -> Tensor:
        """Mono audio `[b, 1, n]` to latents before quantisation and normalisation `[b, c, n / hop]`."""
        hop = self.hop(level)
        if audio.ndim != 3 or audio.shape[1] != 1:
            raise ValueError(f"the codec takes mono audio [batch, 1, samples], not {tuple(audio.shape)}")
        if audio.shape[2] % hop:
            raise ValueError(f"{audio.shape[2]} samples are not whole tokens of {hop}; pad or trim first")
        out: Tensor = self.encoders[level](audio)
        return out

    def encode_codes(self, audio: Tensor, level: int) -> Tensor:
        """Mono audio `[b, 1, n]` to code indices `[b, n / hop]`."""
        return self.codebook(level).nearest(self.encode_raw(audio, level))

    def encode(self, audio: Tensor, level: int) -> Tensor:
        """Mono audio `[b, 1, n]` to normalised, quantised latents `[b, c, n / hop]`."""
        return self.normalise(self.codebook(level).lookup(self.encode_codes(audio, level)), level)

    def quantise(self, latents: Tensor, level: int) -> Tensor:
        """Normalised latents moved onto the nearest codes, still normalised `[b, c, t]`."""
        codes = self.codebook(level).nearest(self.denormalise(latents, level))
        return self.normalise(self.codebook(level).lookup(codes), level)

    def decode_raw(self, raw: Tensor, level: int) -> Tensor:
        """Raw latents `[b, c, t]` to audio `[b, 1, t * hop]`, without quantisation."""
        out: Tensor = self.decoders[level](raw)
        return out

    def decode_codes(self, codes: Tensor, level: int) -> Tensor:
        """Indices `[b, t]` to audio `[b, 1, t * hop]`."""
        return self.decode_raw(self.codebook(level).lookup(codes), level)

    def decode(self, latents: Tensor, level: int, first: int | Tensor = 0) -> Tensor:
        """Normalised latents `[b, c, t]`, quantised on the way, to audio `[b, 1, t * hop]`."""
        return self.decode_codes(self.codebook(level).nearest(self.denormalise(latents, level)), level)

    def decoder_margin(self, level: int) -> int:
        """Tokens on one side that can change a decoded sample, followed back from the output layer.

        A transposed convolution of width 2 * stride reaches one input step further; a residual stack
        reaches the sum of its dilations; the two plain convolutions reach one step each.
        """
        config = self.config
        depth = config.depth * config.multipliers[level]
        stack_reach = sum(config.dilation_growth**k for k in range(depth))
        reach = 1
        for doublings in config.downs[: level + 1]:
            for _ in range(doublings):
                reach = -(-reach // config.stride) + 1 + stack_reach
            reach += 1
        return reach
