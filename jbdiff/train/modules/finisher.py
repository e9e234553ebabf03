"""Training of the spectral finisher: its input is a decode of the codec, its target the stereo sound that was encoded.

With a detail network, decodes are made as in playing: from the bands and their mean detail.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.codecs.bands import CHANNELS
from jbdiff.config import SpectralFinisherConfig
from jbdiff.networks.detail import DetailNet
from jbdiff.networks.spectral_finisher import IMAGE_POINTS, SpectralFinisher
from jbdiff.train.modules.codec import LAST_NUMBER
from jbdiff.train.modules.losses import magnitude, spectral_loss
from jbdiff.train.modules.stage import Demo, StageTraining, as_array
from jbdiff.train.run.schedule import Budget

EDGE = 24  # tokens at each end without a loss, because decodes and frames reach beyond the stretch
LATENT_NOISE = 0.15  # largest deviation of the noise on latents; a denoiser's latents are not clean either
SIDE_SCALES = (512, 2048, 8192)
# window in samples; bins and frames of a tile that compares side and middle
COHERENCE_SIZE, TILE = 2048, (12, 8)
SIDE_FLOOR = 3e-3


class FinisherTraining(StageTraining):
    """Trains a finisher for a codec that does not change.

    Middle and side have spectral losses. The side also has a loss for its coherence with the middle. The network can
    guess neither whether a part leans to the left or to the right, nor the phases of a diffuse sound.
    """

    def __init__(
        self,
        config: SpectralFinisherConfig,
        codec: BandCodec,
        budget: Budget,
        rate: float,
        seed: int,
        bf16: bool,
        detail: DetailNet | None = None,
    ) -> None:
        """Make the network and its average. `rate`: highest learning rate.

        `detail`: makes the detail of the decodes; if it is None, they have the detail of the sound itself.
        """
        super().__init__(budget, rate, seed, bf16)
        self.config = config
        self.network = SpectralFinisher(config)
        self.begin_average()
        self.demo_audio: Tensor | None = None
        # The codec is not part of the module, so that checkpoints do not hold it.
        object.__setattr__(self, "_codec", codec.eval().requires_grad_(False))
        object.__setattr__(self, "_detail", detail)

    @property
    def codec(self) -> BandCodec:
        """The codec, on the device of this module."""
        return cast(BandCodec, self._codec).to(self.device)

    def adopt(self, network: SpectralFinisher) -> None:
        """Take over trained weights."""
        self.network.load_state_dict(network.state_dict())
        self.begin_average()

    @property
    def learns(self) -> SpectralFinisher:
        """The finisher that is trained."""
        return self.network

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW for all weights of the finisher."""
        return torch.optim.AdamW(
            self.network.parameters(), lr=self.rate, betas=(0.9, 0.98), weight_decay=0.01
        )

    def training_step(self, stereo: Tensor, batch_number: int) -> Tensor:
        """Return the loss, a scalar, on stereo audio `[b, 2, n]`."""
        generator = self.chance()
        decoded = self._decoded(stereo, generator)
        image = torch.randn(len(stereo), 1, IMAGE_POINTS, generator=generator).to(stereo)
        with torch.autocast(stereo.device.type, torch.bfloat16, enabled=self.bf16):
            made = self.network(decoded, image)
        losses = self._losses(made, stereo)
        for name, loss in losses.items():
            self.log(name, loss.detach(), prog_bar=name == "middle")
        return torch.stack(list(losses.values())).sum()

    @torch.no_grad()
    def _decoded(self, stereo: Tensor, generator: torch.Generator) -> Tensor:
        """Return the codec's decode `[b, 1, n]` of the middle of stereo audio, from latents with some noise."""
        latents = self.codec.encode(stereo.mean(1, keepdim=True))
        level = LATENT_NOISE * torch.rand(len(stereo), 1, 1, generator=generator).to(latents)
        latents = latents + level * torch.randn(latents.shape, generator=generator).to(latents)
        # All rows have the same place in time. Otherwise their long frames would differ and rows be decoded one by one.
        first = int(torch.randint(LAST_NUMBER, (), generator=generator))
        detail = cast("DetailNet | None", self._detail)
        if detail is not None:
            bands = latents[:, :CHANNELS]
            latents = torch.cat([bands, detail.to(self.device)(bands)], 1)
        return self.codec.decode(latents, first=first, mean_detail=detail is not None).float()

    def _losses(self, made: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        edge = EDGE * self.codec.config.hop_length
        made, wanted = made.float()[..., edge:-edge], wanted[..., edge:-edge]
        middle, side = made.mean(1, keepdim=True), (made[:, :1] - made[:, 1:]) / 2
        true_middle, true_side = wanted.mean(1, keepdim=True), (wanted[:, :1] - wanted[:, 1:]) / 2
        apart = [
            F.l1_loss(
                (magnitude(side[:, 0], size) + _floor(size)).log(),
                (magnitude(true_side[:, 0], size) + _floor(size)).log(),
            )
            for size in SIDE_SCALES
        ]
        own, _ = coherence(side[:, 0], middle[:, 0])
        true, loud = coherence(true_side[:, 0], true_middle[:, 0])
        together = ((own - true).abs() * loud).sum() / loud.sum().clamp_min(1e-6)
        return {
            "middle": spectral_loss(middle, true_middle),
            "side": torch.stack(apart).mean(),
            "coherence": 0.5 * together,
        }

    def validation_step(self, stereo: Tensor, batch_number: int) -> None:
        """Log held-out losses of the averaged finisher on stereo audio `[b, 2, n]`."""
        generator = torch.Generator().manual_seed(batch_number)
        decoded = self._decoded(stereo, generator)
        image = torch.randn(len(stereo), 1, IMAGE_POINTS, generator=generator).to(stereo)
        losses = self._losses(cast(SpectralFinisher, self.average.network)(decoded, image), stereo)
        for name, loss in losses.items():
            self.log(f"heldout_{name}", loss, prog_bar=name == "middle", sync_dist=True)
        edge = EDGE * self.codec.config.hop_length
        before = spectral_loss(decoded[..., edge:-edge], stereo.mean(1, keepdim=True)[..., edge:-edge])
        self.log("heldout_middle_unfinished", before, sync_dist=True)

    def demo(self) -> Demo:
        """Return held-out sound `[n, 2]`, its decode `[n]`, and the finished decode `[n, 2]`."""
        assert self.demo_audio is not None
        stereo = self.demo_audio.to(self.device)
        decoded = self._decoded(stereo, torch.Generator().manual_seed(0))
        image = torch.randn(1, 1, IMAGE_POINTS, generator=torch.Generator().manual_seed(self.seed)).to(stereo)
        with torch.no_grad():
            finished = cast(SpectralFinisher, self.average.network)(decoded, image)
        return {
            "original": as_array(stereo[0].T),
            "decoded": as_array(decoded[0, 0]),
            "finished": as_array(finished[0].T),
        }


def _floor(size: int) -> float:
    """Return the amplitude below which a side counts little, for a window of this size."""
    return float(SIDE_FLOOR * (size / 1024) ** 0.5)


def coherence(side: Tensor, middle: Tensor) -> tuple[Tensor, Tensor]:
    """Return the coherence of a side and a middle `[b, n]` in tiles of bins and frames, and how loud the side is there.

    Coherence is 0 for a diffuse sound and 1 for one that leans to a side. Both results are `[b, tiles, tiles]`.
    """
    window = torch.hann_window(COHERENCE_SIZE, device=side.device)

    def spectra(audio: Tensor) -> Tensor:
        return torch.stft(audio, COHERENCE_SIZE, COHERENCE_SIZE // 4, window=window, return_complex=True)

    a, b = spectra(side), spectra(middle)
    cross = a * b.conj()
    together = torch.complex(_tiled(cross.real), _tiled(cross.imag))
    own, other = _tiled(a.abs() ** 2), _tiled(b.abs() ** 2)
    share = (together.real**2 + together.imag**2 + 1e-12).sqrt() / (own * other + 1e-12).sqrt()
    loud = (own.sqrt() / _floor(COHERENCE_SIZE)).clamp(max=1.0)
    return share, loud


def _tiled(values: Tensor) -> Tensor:
    return F.avg_pool2d(values[:, None], TILE)[:, 0]
