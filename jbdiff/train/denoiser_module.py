"""Training of the joint denoiser: v-objective, context that is sometimes missing, short, or not quite clean."""

from __future__ import annotations

from typing import Any, cast

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from jbdiff.config import JointDenoiserConfig
from jbdiff.framecodec import FrameCodec
from jbdiff.guidance import GuidedModel
from jbdiff.jointdenoiser import JointDenoiser
from jbdiff.sampling import sample_vddim
from jbdiff.schedules import alpha_beta
from jbdiff.train.average import WeightAverage
from jbdiff.train.schedule import Budget, learning_rate_scale

CONTEXT_NOISE = 0.25
DROP_CHANCE = 0.12
SHORT_CHANCE = 0.2


class DenoiserTraining(pl.LightningModule):
    """Each window is noised at several levels at once: they share the context, which is worked through once."""

    def __init__(
        self, config: JointDenoiserConfig, budget: Budget, rate: float, levels: int, seed: int, bf16: bool
    ) -> None:
        super().__init__()
        self.config, self.budget, self.rate = config, budget, rate
        self.levels, self.seed, self.bf16 = levels, seed, bf16
        self.network = JointDenoiser(config)
        self.average = WeightAverage(self.network)
        self.step_count = 0
        self.guidance, self.sampler_steps = 1.5, 12
        self._demo: tuple[FrameCodec, Tensor] | None = None

    def adopt(self, network: JointDenoiser) -> None:
        """Starts from trained weights."""
        self.network.load_state_dict(network.state_dict())
        self.average = WeightAverage(self.network)

    def show_with(self, codec: FrameCodec, latents: Tensor) -> None:
        """What demos start from: a codec, and latents `[tokens, channels]` of held-out audio.

        Kept out of the module's own weights, so that checkpoints hold no codec.
        """
        object.__setattr__(self, "_demo", (codec, latents))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["step_count"] = self.step_count

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.step_count = int(checkpoint["step_count"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        matrices = [p for p in self.network.parameters() if p.ndim >= 2]
        others = [p for p in self.network.parameters() if p.ndim < 2]
        groups = [{"params": matrices, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=self.rate, betas=(0.9, 0.98))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_number: int) -> Tensor:
        window, context = batch
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step_count)
        context, drop = corrupt(context, generator, self.config.patch)
        loss = self._loss(self.network, window, context, drop, generator, self.levels)
        self.log("loss", loss.detach(), prog_bar=True)
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        scale = learning_rate_scale(self.budget.progress(self.step_count), self.step_count)
        for group in optimizer.param_groups:
            group["lr"] = self.rate * scale

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.step_count += 1
        self.average.update(self.network)

    def _loss(
        self,
        network: JointDenoiser,
        window: Tensor,
        context: Tensor,
        drop: Tensor,
        generator: torch.Generator,
        levels: int,
    ) -> Tensor:
        """Mean squared error of v over `levels` noise levels a window, spread evenly over 0..1."""
        rows = window.shape[0] * levels
        # One draw a window from each of `levels` equal parts: less noise in the loss than free draws.
        part = torch.arange(levels).repeat(window.shape[0])
        sigma = ((part + torch.rand(rows, generator=generator)) / levels).to(window)
        x = window.repeat_interleave(levels, 0)
        noise = torch.randn(x.shape, generator=generator).to(window)
        alpha, beta = alpha_beta(sigma[:, None, None])
        with torch.autocast(window.device.type, torch.bfloat16, enabled=self.bf16):
            prepared = network.prepare_context(context, drop, window.shape[0]).repeat(levels)
            v = network(alpha * x + beta * noise, sigma, prepared)
        return F.mse_loss(v.float(), alpha * noise - beta * x)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_number: int) -> None:
        window, context = batch
        network = cast(JointDenoiser, self.average.network)
        for name, dropped in (("heldout_v", False), ("heldout_v_without_context", True)):
            drop = torch.full((len(window),), dropped, device=window.device)
            generator = torch.Generator().manual_seed(batch_number)
            self.log(name, self._loss(network, window, context, drop, generator, 4), prog_bar=not dropped)

    def demo(self) -> dict[str, Any]:
        """Held-out context followed by its own continuation, against the true one."""
        if self._demo is None:
            return {}
        codec, latents = self._demo
        network = cast(JointDenoiser, self.average.network)
        window, past = self.config.window_tokens, self.config.context_tokens
        made = latents[None, :past].to(self.device)
        generator = torch.Generator().manual_seed(self.seed)
        while made.shape[1] < len(latents):
            model = GuidedModel(network, made[:, -past:], self.guidance, device=self.device)
            noise = torch.randn(1, self.config.latent_channels, window, generator=generator).to(self.device)
            new = sample_vddim(model, noise, torch.linspace(1, 0, self.sampler_steps + 1))
            made = torch.cat([made, new.transpose(1, 2)], 1)
        codec = codec.to(self.device)

        def heard(tokens: Tensor) -> Any:
            return codec.decode(tokens.T[None].to(self.device))[0, 0].float().cpu().numpy()

        return {"original": heard(latents), "continued": heard(made[0, : len(latents)])}


def corrupt(context: Tensor, generator: torch.Generator, patch: int) -> tuple[Tensor, Tensor]:
    """Context `[b, n, c]` as the live instrument will have it, and which rows drop it, `[b]`.

    Noise at a random level up to CONTEXT_NOISE keeps autoregression from drifting on its own small errors; a
    fifth of the batches has a shorter past.
    """
    batch, length, _ = context.shape
    level = CONTEXT_NOISE * torch.rand(batch, 1, 1, generator=generator)
    context = context + (level * torch.randn(context.shape, generator=generator)).to(context)
    if torch.rand((), generator=generator) < SHORT_CHANCE:
        keep = int(torch.randint(1, length // patch + 1, (), generator=generator)) * patch
        context = context[:, length - keep :]
    drop = torch.rand(batch, generator=generator) < DROP_CHANCE
    return context, drop.to(context.device)
