"""The codec of the pocket stack: levels of semitone bands one way (`bands.py`), a bank of carriers back
(`carrier_bank.py`). Implements `jbdiff.codecs.codec.Codec` with the one level 2.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from jbdiff.codecs.bands import CHANNELS, QUARTERS, BandAnalysis
from jbdiff.codecs.carrier_bank import BankSynthesis
from jbdiff.codecs.level_matching import BandMatching
from jbdiff.config import BandCodecConfig


class BandCodec(nn.Module):
    """The band codec: analysis and synthesis.

    Latents have a standard deviation of 0.5. Neighbouring bands have nearly the same level, so a deviation of 1 would
    fix the melody in the first of twelve steps. At 0.5 a linear schedule spreads the decisions over its steps.
    """

    def __init__(self, config: BandCodecConfig) -> None:
        super().__init__()
        bands = CHANNELS + QUARTERS * config.detail_bands
        if config.latent_channels != bands:
            raise ValueError(f"the analysis has {bands} bands, not {config.latent_channels}")
        self.config = config
        self.sample_rate = config.sample_rate
        self.latent_channels = config.latent_channels
        self.levels: tuple[int, ...] = (2,)
        self.analysis = BandAnalysis(config)
        self.synthesis = BankSynthesis(config)
        self.matching = BandMatching(config, self.analysis) if config.match_rounds else None

    def hop(self, level: int) -> int:
        """Samples per token."""
        self._check_level(level)
        return self.config.hop_length

    def encode(self, audio: Tensor, level: int = 2) -> Tensor:
        """Mono audio `[b, 1, samples]` to latents `[b, channels, samples / hop]`.

        Raises ValueError when the audio is not mono or not a whole number of tokens.
        """
        hop = self.hop(level)
        if audio.ndim != 3 or audio.shape[1] != 1:
            raise ValueError(f"the codec takes mono audio [batch, 1, samples], got {list(audio.shape)}")
        if audio.shape[2] == 0 or audio.shape[2] % hop:
            raise ValueError(f"{audio.shape[2]} samples are not a whole number of tokens of {hop}; pad first")
        return cast(Tensor, self.analysis(audio[:, 0]))

    def decode(
        self, latents: Tensor, level: int = 2, first: int | Tensor = 0, mean_detail: bool = False
    ) -> Tensor:
        """Latents `[b, channels, t]` to mono audio `[b, 1, t * hop]`.

        first: number of the first token, counted from the beginning of the sound; one for all rows, or `[b]`. Carriers
        and noise depend on this place in time. mean_detail: True if the detail was predicted from the bands
        (`JointDenoiser.with_detail`) and not measured. The sound then follows it less.
        """
        self._check_level(level)
        if latents.ndim != 3 or latents.shape[1] != self.latent_channels:
            raise ValueError(
                f"expected latents [batch, {self.latent_channels}, t], got {list(latents.shape)}"
            )
        numbers = torch.as_tensor(first, device=latents.device).reshape(-1, 1)
        levels = self.analysis.levels(latents)
        audio = self.synthesis(latents[:, :CHANNELS], levels[..., :CHANNELS], numbers)
        if self.matching is not None:
            audio = self.matching(audio, levels, numbers, mean_detail)
        return cast(Tensor, audio[:, None])

    def decoder_margin(self, level: int) -> int:
        """Number of tokens on one side by which chunks of a decode must overlap, computed from the layers."""
        self._check_level(level)
        own = self.synthesis.margin
        return own if self.matching is None else self.matching.margin(own)

    def _check_level(self, level: int) -> None:
        if level not in self.levels:
            raise ValueError(f"this codec has only level 2, not {level}")
