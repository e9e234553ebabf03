"""Training of the spectral finisher: decodes of the codec go in, the stereo sound that was encoded should come out.

With a detail network the decodes are made as in playing: from the bands and their mean detail.
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

EDGE = 24  # tokens at either end that are not judged: decodes and frames reach outside
LATENT_NOISE = 0.15  # greatest deviation: what the denoiser leaves is not clean either
SIDE_SCALES = (512, 2048, 8192)
COHERENCE_SIZE, TILE = 2048, (12, 8)  # bins and frames over which sides are compared with the middle
SIDE_FLOOR = 3e-3


class FinisherTraining(StageTraining):
    """The codec is fixed. Middle and side are judged by their spectra, the side also by how much it goes with the
    middle: neither the side that a part leans to nor the phases of a diffuse sound can be guessed.
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
        """detail: gives the detail of the decodes; None: they have the detail of the sound itself."""
        super().__init__(budget, rate, seed, bf16)
        self.config = config
        self.network = SpectralFinisher(config)
        self.begin_average()
        self.demo_audio: Tensor | None = None
        # Kept out of the module's own weights, so that checkpoints hold no codec.
        object.__setattr__(self, "_codec", codec.eval().requires_grad_(False))
        object.__setattr__(self, "_detail", detail)

    @property
    def codec(self) -> BandCodec:
        return cast(BandCodec, self._codec).to(self.device)

    def adopt(self, network: SpectralFinisher) -> None:
        """Starts from trained weights."""
        self.network.load_state_dict(network.state_dict())
        self.begin_average()

    @property
    def learns(self) -> SpectralFinisher:
        return self.network

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.network.parameters(), lr=self.rate, betas=(0.9, 0.98), weight_decay=0.01
        )

    def training_step(self, stereo: Tensor, batch_number: int) -> Tensor:
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
        """What the codec makes of the sound's middle `[b, 1, n]`, from latents with some noise on them."""
        latents = self.codec.encode(stereo.mean(1, keepdim=True))
        level = LATENT_NOISE * torch.rand(len(stereo), 1, 1, generator=generator).to(latents)
        latents = latents + level * torch.randn(latents.shape, generator=generator).to(latents)
        # One place in time for all: rows whose long frames stand elsewhere would be decoded one by one.
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
        """Held-out sound, its decode, and the finished decode, which is stereo."""
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
    """Below this a side is not worth much, at windows of any size."""
    return float(SIDE_FLOOR * (size / 1024) ** 0.5)


def coherence(side: Tensor, middle: Tensor) -> tuple[Tensor, Tensor]:
    """How much a side `[b, n]` goes with a middle in tiles of bins and frames, 0 (diffuse) to 1 (leans), and how loud
    it is there; both `[b, tiles, tiles]`.
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
