"""Training of one U-Net level of a stack with a VQ-VAE: level 2 from noise, levels 1 and 0 from the level below.

Levels 1 and 0 use no noise: in training, as in playing, they start from the sound of the level below, encoded again.
Audio is encoded in each step, with a codec that does not change.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from jbdiff.codecs.vqvae import VQVAE
from jbdiff.config import LevelConfig, StackConfig, UNetConfig
from jbdiff.geometry import Geometry
from jbdiff.networks.unet import UNet
from jbdiff.stacks.stack import Stack
from jbdiff.stream.window import sample_window
from jbdiff.train.modules.conditions import corrupt
from jbdiff.train.modules.denoiser import SAMPLES
from jbdiff.train.modules.objective import v_loss
from jbdiff.train.modules.stage import Demo, StageTraining, as_array
from jbdiff.train.run.schedule import Budget

DEMO_STEPS = 50  # most steps of a demo; the published level 2 takes 250
DEMO_WINDOWS = 4


def unet_config(level: LevelConfig) -> UNetConfig:
    """Return the sizes of a level's U-Net. Raises ValueError if its denoiser is of another kind."""
    if not isinstance(level.denoiser, UNetConfig):
        raise ValueError(f"level {level.level} has no U-Net; choose a stack of U-Nets")
    return level.denoiser


class UNetTraining(StageTraining):
    """Trains one level on v (`objective.v_loss`); contexts are sometimes missing, short or noisy, as in playing.

    Batches are audio `[b, 1, context + window]` in samples. `config` is the stack's, with the sizes of this level.
    """

    def __init__(
        self,
        codec: VQVAE,
        config: StackConfig,
        level: int,
        budget: Budget,
        rate: float,
        seed: int,
        bf16: bool,
    ) -> None:
        super().__init__(budget, rate, seed, bf16)
        self.stack_config, self.level_config = config, config.level(level)
        geometry = Geometry(config)
        self.past, self.window = geometry.context_samples(level), geometry.window_samples(level)
        self.coarser = level + 1 if level < 2 else None
        if self.coarser is not None:
            geometry.tokens(self.window, self.coarser)
        self.network = UNet(unet_config(self.level_config))
        self.begin_average()
        self.demo_audio: Tensor | None = None
        self.codec: VQVAE
        # The codec is not part of the module, so that checkpoints do not hold it.
        object.__setattr__(self, "codec", codec.requires_grad_(False).eval())

    def on_fit_start(self) -> None:
        """Move the codec, which is no part of the module, to the device of the run."""
        self.codec.to(self.device)

    def adopt(self, network: torch.nn.Module) -> None:
        """Take over trained weights."""
        self.network.load_state_dict(network.state_dict())
        self.begin_average()

    @property
    def learns(self) -> UNet:
        """The U-Net that is trained."""
        return self.network

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW for all weights of the U-Net."""
        return torch.optim.AdamW(
            self.network.parameters(), lr=self.rate, betas=(0.9, 0.99), weight_decay=0.01
        )

    @torch.no_grad()
    def pairs(self, audio: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return the window's latents and their noise, `[b, c, t]` each, and the context `[b, n, c]`.

        audio: `[b, 1, context + window]`. At levels 1 and 0, the encoded sound of the level below takes the place of
        noise.
        """
        level, target = self.level_config.level, audio[..., self.past :]
        x = self.codec.encode(target, level)
        context = self.codec.encode(audio[..., : self.past], level).transpose(1, 2)
        if self.coarser is None:
            return x, torch.randn(x.shape, generator=generator).to(x), context
        return x, self.codec.encode(self.lossy(target), level), context

    def lossy(self, audio: Tensor) -> Tensor:
        """Return audio `[b, 1, n]` after the codec's round trip at the level below."""
        assert self.coarser is not None
        return self.codec.decode(self.codec.encode(audio, self.coarser), self.coarser)

    def training_step(self, audio: Tensor, batch_number: int) -> Tensor:
        """Return the loss of v, a scalar, on audio `[b, 1, context + window]`."""
        generator = self.chance()
        x, noise, context = self.pairs(audio, generator)
        context, drop = corrupt(context, generator, 1)
        sigmas = torch.rand(len(x), generator=generator).to(x)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            loss = v_loss(self.network, x, context, sigmas, noise, drop)
        self.log("loss", loss.detach(), prog_bar=True)
        return loss

    def validation_step(self, audio: Tensor, batch_number: int) -> None:
        """Log held-out losses of the average on audio `[b, 1, context + window]`, with and without context."""
        x, noise, context = self.pairs(audio, torch.Generator().manual_seed(batch_number))
        # Sigmas are the middles of equal parts of 0..1, so that all noise levels occur, and the same ones each time.
        sigmas = ((torch.arange(len(x)) + 0.5) / len(x)).to(x)
        for name, dropped in (("heldout_v", False), ("heldout_v_without_context", True)):
            drop = torch.full((len(x),), dropped, device=x.device)
            loss = v_loss(cast(UNet, self.average.network), x, context, sigmas, noise, drop)
            self.log(name, loss, prog_bar=not dropped, sync_dist=True)

    def demo(self) -> Demo:
        """Return sounds `[n]`: held-out context, its true continuation, and `SAMPLES` continuations by the average.

        At level 2 the samples differ in their noise. At the other levels, whose start is the level below ("given"),
        they differ in how much of it they keep.
        """
        if self.demo_audio is None:
            return {}
        audio = self.demo_audio.to(self.device)
        pieces = {"context": audio[..., : self.past], "truth": audio[..., self.past :]}
        if self.coarser is None:
            samples = {
                f"sample{n + 1}": self._continuation(audio, self.seed + n, 0.0) for n in range(SAMPLES)
            }
        else:
            pieces["given"] = self.lossy(audio[..., self.past :])
            usual = self.level_config.init_strength
            kept = [usual * n / (SAMPLES - 1) for n in range(SAMPLES)]
            samples = {f"sample_keeping_{k:.2f}": self._continuation(audio, 0, k) for k in kept}
        return {name: as_array(piece[0, 0]) for name, piece in (pieces | samples).items()}

    def _continuation(self, audio: Tensor, seed: int, kept: float) -> Tensor:
        """Return generated sound `[1, 1, n]`, as long as the part of `audio` after the context, window by window."""
        level = self.level_config
        average = {level.level: cast(UNet, self.average.network)}
        config = replace(self.stack_config, levels=(level,), finisher=None)
        stack = Stack(config, self.codec, average, identity="in training")
        generator, made = torch.Generator().manual_seed(seed), audio[..., : self.past]
        while made.shape[2] + self.window <= audio.shape[2]:
            place = made.shape[2]
            init, shape = None, (1, self.codec.latent_channels, level.window_tokens)
            noise = torch.randn(shape, generator=generator).to(audio)
            if self.coarser is not None:
                below = self.lossy(audio[..., place : place + self.window])
                init = noise = self.codec.encode(below, level.level)
            context = self.codec.encode(made[..., -self.past :], level.level).transpose(1, 2)
            new = sample_window(
                stack,
                level.level,
                noise,
                context,
                steps=min(DEMO_STEPS, level.steps),
                guidance=level.guidance,
                init=init,
                strength=kept,
            )[1]
            made = torch.cat([made, new], 2)
        return made[..., self.past :]
