"""Training of the frame codec: reconstruction first, then the decoder alone against a discriminator."""

from __future__ import annotations

from typing import Any, cast

import lightning.pytorch as pl
import torch
from torch import Tensor

from jbdiff.config import FrameCodecConfig
from jbdiff.framecodec import FrameCodec
from jbdiff.train.average import WeightAverage
from jbdiff.train.losses import (
    SpectrogramDiscriminator,
    adversarial_loss,
    discriminator_loss,
    feature_loss,
    spectral_loss,
)
from jbdiff.train.reader import SpectrumReader
from jbdiff.train.schedule import Budget, learning_rate_scale


class CodecTraining(pl.LightningModule):
    """Encoder and decoder learn to reconstruct. With `freeze` the encoder stays as it is, so that latents (and a
    denoiser trained on them) stay valid; with `rivalry` the decoder also answers to a discriminator.
    """

    def __init__(
        self,
        config: FrameCodecConfig,
        budget: Budget,
        rate: float,
        freeze: bool,
        rivalry: bool,
        seed: int,
        bf16: bool,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.config, self.budget, self.rate, self.freeze_encoder = config, budget, rate, freeze
        self.seed, self.bf16 = seed, bf16
        self.codec = FrameCodec(config)
        self.discriminator = SpectrogramDiscriminator() if rivalry else None
        self.reader = None if freeze else SpectrumReader(config)
        self.average = WeightAverage(self.codec)
        self.step_count = 0
        self.demo_audio: Tensor | None = None

    def adopt(self, codec: FrameCodec) -> None:
        """Starts from a trained codec's weights."""
        self.codec.load_state_dict(codec.state_dict())
        self.average = WeightAverage(self.codec)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["step_count"] = self.step_count

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.step_count = int(checkpoint["step_count"])

    def configure_optimizers(self) -> Any:
        learnt = list(self.codec.decoder.parameters() if self.freeze_encoder else self.codec.parameters())
        learnt += [] if self.reader is None else list(self.reader.parameters())
        optimizer = torch.optim.AdamW(learnt, lr=self.rate, betas=(0.8, 0.98), weight_decay=0.01)
        if self.discriminator is None:
            return optimizer
        rival = torch.optim.AdamW(self.discriminator.parameters(), lr=self.rate, betas=(0.5, 0.9))
        return [optimizer, rival]

    def training_step(self, audio: Tensor, batch_number: int) -> Tensor:
        given: Any = self.optimizers()
        optimizers: list[Any] = given if isinstance(given, list) else [given]
        scale = learning_rate_scale(self.budget.progress(self.step_count), self.step_count)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.rate * scale
        generator = torch.Generator(device=audio.device).manual_seed(self.seed * 1_000_003 + self.step_count)
        with torch.autocast(audio.device.type, torch.bfloat16, enabled=self.bf16):
            if self.freeze_encoder:
                self.codec.standardise.eval()
                with torch.no_grad():
                    latents = self.codec.encode(audio)
            else:
                latents = self.codec.encode(audio)
            noise = torch.randn(latents.shape, generator=generator, device=audio.device)
            noisy = latents + self.config.latent_noise * noise
            output = self.codec.decode(noisy).float()
            pitch = None if self.reader is None else self.reader.loss(noisy, audio)
        loss = spectral = spectral_loss(output, audio)
        if pitch is not None:
            loss = loss + 1.5 * pitch
            self.log("pitch", pitch.detach(), prog_bar=True)
        if self.discriminator is not None:
            loss = loss + self._rivalry(audio, output, optimizers[1])
        optimizers[0].zero_grad()
        self.manual_backward(loss)
        self.clip_gradients(optimizers[0], gradient_clip_val=1.0, gradient_clip_algorithm="norm")
        optimizers[0].step()
        self.step_count += 1
        self.average.update(self.codec)
        self.log("loss", spectral.detach(), prog_bar=True)
        return loss.detach()

    def _rivalry(self, audio: Tensor, output: Tensor, optimizer: Any) -> Tensor:
        """Trains the discriminator on this batch, then says what the decoder owes it."""
        assert self.discriminator is not None
        with torch.autocast(audio.device.type, torch.bfloat16, enabled=self.bf16):
            real = self.discriminator(audio)
            told_apart = discriminator_loss(real, self.discriminator(output.detach()))
        optimizer.zero_grad()
        self.manual_backward(told_apart)
        self.clip_gradients(optimizer, gradient_clip_val=5.0, gradient_clip_algorithm="norm")
        optimizer.step()
        self.discriminator.requires_grad_(False)
        with torch.autocast(audio.device.type, torch.bfloat16, enabled=self.bf16):
            fake = self.discriminator(output)
            owed = 0.1 * adversarial_loss(fake) + feature_loss(real, fake)
        self.discriminator.requires_grad_(True)
        self.log("discriminator", told_apart.detach(), prog_bar=True)
        return owed

    def validation_step(self, audio: Tensor, batch_number: int) -> None:
        codec = cast(FrameCodec, self.average.network)
        output = codec.decode(codec.encode(audio))
        self.log("heldout_spectral", spectral_loss(output, audio), prog_bar=True)

    def demo(self) -> dict[str, Any]:
        """Held-out audio as it was, and as the averaged codec gives it back."""
        codec = cast(FrameCodec, self.average.network)
        assert self.demo_audio is not None
        audio = self.demo_audio.to(self.device)
        decoded = codec.decode(codec.encode(audio))
        return {"original": audio[0, 0].cpu().numpy(), "decoded": decoded[0, 0].float().cpu().numpy()}
