"""Training of the band codec's synthesis: with spectral losses, and with a discriminator if one is wanted."""

from __future__ import annotations

from typing import cast

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.config import BandCodecConfig
from jbdiff.train.modules.losses import (
    SpectrogramDiscriminator,
    adversarial_loss,
    discriminator_loss,
    feature_loss,
    spectral_loss,
)
from jbdiff.train.modules.stage import Demo, StageTraining, as_array
from jbdiff.train.run.schedule import Budget

EDGE = 8  # tokens at each end without a loss, because their windows reach beyond the stretch
LAST_NUMBER = 1 << 18  # stretches are decoded at a random place within 50 minutes


class CodecTraining(StageTraining):
    """Trains the synthesis to reproduce the analysed sound from noisy latents; a denoiser's latents are noisy too.

    The analysis is fixed, so that a denoiser may be trained before, after or at the same time.
    """

    def __init__(
        self, config: BandCodecConfig, budget: Budget, rate: float, rivalry: bool, seed: int, bf16: bool
    ) -> None:
        super().__init__(budget, rate, seed, bf16)
        self.automatic_optimization = False
        self.config = config
        self.codec = BandCodec(config)
        self.discriminator = SpectrogramDiscriminator() if rivalry else None
        self.begin_average()
        self.demo_audio: Tensor | None = None

    def adopt(self, codec: BandCodec) -> None:
        """Take over a codec's weights and standardisation; to be called before the first step."""
        self.codec.load_state_dict(codec.state_dict())
        self.begin_average()

    @property
    def learns(self) -> BandCodec:
        """The codec that is trained."""
        return self.codec

    def configure_optimizers(self) -> torch.optim.Optimizer | list[torch.optim.Optimizer]:
        """Return the optimizer of the synthesis; with a discriminator, also the optimizer of that."""
        learnt = self.codec.synthesis.parameters()
        optimizer = torch.optim.AdamW(learnt, lr=self.rate, betas=(0.8, 0.98), weight_decay=0.01)
        if self.discriminator is None:
            return optimizer
        rival = torch.optim.AdamW(self.discriminator.parameters(), lr=self.rate, betas=(0.5, 0.9))
        return [optimizer, rival]

    def training_step(self, audio: Tensor, batch_number: int) -> Tensor:
        """Train on audio `[b, 1, n]` and return the loss, a scalar. Both optimizers take their step here."""
        given = self.optimizers()
        optimizers = cast(list[LightningOptimizer], given if isinstance(given, list) else [given])
        generator = self.chance()
        with torch.no_grad():
            latents = self.codec.encode(audio)
        level = self.config.latent_noise * torch.rand(len(audio), 1, 1, generator=generator)
        noise = level * torch.randn(latents.shape, generator=generator)
        first = torch.randint(LAST_NUMBER, (len(audio),), generator=generator).to(audio.device)
        with torch.autocast(audio.device.type, torch.bfloat16, enabled=self.bf16):
            output = self.codec.decode(latents + noise.to(latents), first=first).float()
        audio, output = self._inside(audio), self._inside(output)
        loss = spectral = spectral_loss(output, audio)
        if self.discriminator is not None:
            loss = loss + self._rivalry(audio, output, optimizers[1])
        optimizers[0].zero_grad()
        self.manual_backward(loss)
        self.clip_gradients(optimizers[0].optimizer, gradient_clip_val=1.0, gradient_clip_algorithm="norm")
        optimizers[0].step()
        self.took_step()
        self.log("loss", spectral.detach(), prog_bar=True)
        return loss.detach()

    def on_train_batch_end(self, outputs: object, batch: object, batch_idx: int) -> None:
        """Do nothing: `training_step` runs the optimizers itself and counts the step."""

    def _inside(self, audio: Tensor) -> Tensor:
        edge = EDGE * self.config.hop_length
        return audio[..., edge:-edge] if audio.shape[2] > 4 * edge else audio

    def _rivalry(self, audio: Tensor, output: Tensor, optimizer: LightningOptimizer) -> Tensor:
        """Train the discriminator on this batch; return the synthesis's loss against it, a scalar."""
        assert self.discriminator is not None
        with torch.autocast(audio.device.type, torch.bfloat16, enabled=self.bf16):
            real = self.discriminator(audio)
            apart = discriminator_loss(real, self.discriminator(output.detach()))
        optimizer.zero_grad()
        self.manual_backward(apart)
        self.clip_gradients(optimizer.optimizer, gradient_clip_val=5.0, gradient_clip_algorithm="norm")
        optimizer.step()
        self.discriminator.requires_grad_(False)
        with torch.autocast(audio.device.type, torch.bfloat16, enabled=self.bf16):
            fake = self.discriminator(output)
            owed = 0.1 * adversarial_loss(fake) + feature_loss(real, fake)
        self.discriminator.requires_grad_(True)
        self.log("discriminator", apart.detach(), prog_bar=True)
        return owed

    def validation_step(self, audio: Tensor, batch_number: int) -> None:
        """Log the spectral loss of the averaged codec's round trip on held-out audio `[b, 1, n]`."""
        codec = cast(BandCodec, self.average.network)
        output = codec.decode(codec.encode(audio))
        self.log("heldout_spectral", spectral_loss(output, audio), prog_bar=True, sync_dist=True)

    def demo(self) -> Demo:
        """Return held-out audio, and the same after the averaged codec's round trip, `[n]` each."""
        codec = cast(BandCodec, self.average.network)
        assert self.demo_audio is not None
        audio = self.demo_audio.to(self.device)
        decoded = codec.decode(codec.encode(audio))
        return {"original": as_array(audio[0, 0]), "decoded": as_array(decoded[0, 0])}
