"""Training of the joint denoiser on v. Its context is sometimes missing, short, noisy or its own output."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.config import POCKET, JointDenoiserConfig
from jbdiff.data.clips import Stretches
from jbdiff.diffusion.samplers import sample_vddim
from jbdiff.diffusion.schedules import alpha_beta, noised
from jbdiff.guidance import GUIDANCE_RESCALE, GuidedModel
from jbdiff.networks.anchor import Anchor, no_anchor
from jbdiff.networks.echoes import Echo, echo_of
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.train.modules.conditions import anchor_of, blurred, coin, corrupt, echoes_in_training, walked
from jbdiff.train.modules.plans import place_in_bar, plan_in_training, with_plans
from jbdiff.train.modules.rollouts import Continue, Next, Rollouts
from jbdiff.train.modules.stage import Demo, StageTraining, as_array
from jbdiff.train.run.schedule import Budget
from jbdiff.untyped import JsonDict

# From this share of a run on, most steps continue the average's own output (`rollouts.py`). Their noise is a step from
# the noise of the window before. The live instrument works like this nearly all the time. A network that never meets
# its own noise again in training treats it as music and plays it louder, by 2 dB a block.
ROLL_FROM, ROLL_CHANCE, ROLL_STEPS = 0.25, 0.7, 6
# Half of these windows are made with guidance, because guidance has errors of its own.
ROLL_GUIDED_CHANCE, ROLL_GUIDANCE = 0.5, (1.0, 2.5)
# With echoes, most of these windows start from the real window, noised to a level in this range, in fewer steps.
REAL_CHANCE, REAL_LEVELS, REAL_STEPS = 0.75, (0.4, 0.95), 4
GUIDANCE_INTERVAL = POCKET.level(2).guidance_interval
# Levels are drawn as u ** 0.75, so low ones are rarer: at the lowest levels only the grain of each band is left to
# learn.
LEVEL_POWER = 0.75
SAMPLES = 3  # in a demo


class DenoiserTraining(StageTraining):
    """Trains a joint denoiser. Each window is noised at several levels, which share one pass over the context.

    With `lines_only` only the last convolution learns, at a fraction of the cost; the transformer does not change. With
    `plan_only` only the inputs of the plan learn; without a plan the network then behaves as before.
    """

    def __init__(
        self,
        config: JointDenoiserConfig,
        budget: Budget,
        rate: float,
        levels: int,
        seed: int,
        bf16: bool,
        lines_only: bool = False,
        history: int | None = None,
        plan_only: bool = False,
    ) -> None:
        """Make the network and its average. `rate`: highest learning rate. `levels`: noise levels of each window.

        `history`: tokens before a window from which echoes may come, at least the context; None: the context alone.
        Raises ValueError if `plan_only` is set and the network has no plan.
        """
        super().__init__(budget, rate, seed, bf16)
        self.config, self.levels, self.lines_only = config, levels, lines_only
        self.history = max(config.context_tokens, history or 0)
        self.network = JointDenoiser(config)
        if lines_only:
            self.network.requires_grad_(False)
            self.network.lines.requires_grad_(True)
        self.plan_only = plan_only
        if plan_only:
            if self.network.plan_inputs is None:
                raise ValueError(
                    "a network without a plan has nothing to learn for it; give the size plan = true"
                )
            self.network.requires_grad_(False)
            self.network.plan_inputs.requires_grad_(True)
        self.begin_average()
        self.rollouts = Rollouts(self.history, config.window_tokens)
        self.guidance, self.sampler_steps = 1.5, 12
        self._demo: tuple[BandCodec, Tensor] | None = None

    def adopt(self, network: JointDenoiser) -> None:
        """Take over trained weights; they may lack the detail, anchor, echoes or plan of this network."""
        own = self.network.state_dict()
        parts = ("detail.", "anchor.", "echo_", "plan_inputs.")
        missing = {name: value for name, value in own.items() if name.startswith(parts)}
        self.network.load_state_dict(missing | network.state_dict())
        self.begin_average()

    def begin_with(self, covariance: Tensor) -> None:
        """Set the covariance `[patch * c, patch * c]` of clean patches, before the first step.

        See `JointDenoiser.set_statistics`.
        """
        self.network.set_statistics(covariance)
        self.begin_average()

    def begin_detail_with(self, bands: Tensor, detail: Tensor) -> None:
        """Set statistics of clean bands and detail `[n, c, t]` each, before the first step.

        See `DetailNet.set_statistics`.
        """
        assert self.network.detail is not None
        self.network.detail.set_statistics(bands, detail)
        self.begin_average()

    def begin_anchor_with(self, styles: Tensor, loudness: Tensor) -> None:
        """Set styles `[n, STYLE_FEATURES]` and loudness `[n, MEANS]` of real music, before the first step.

        See `AnchorCondition.set_statistics`.
        """
        assert self.network.anchor is not None
        self.network.anchor.set_statistics(styles, loudness)
        self.begin_average()

    def show_with(self, codec: BandCodec, latents: Tensor) -> None:
        """Set the codec and the held-out latents `[tokens, channels]` for demos.

        They are not part of the module, so that checkpoints hold no codec.
        """
        object.__setattr__(self, "_demo", (codec, latents))

    @property
    def learns(self) -> JointDenoiser:
        """The denoiser that is trained."""
        return self.network

    def on_save_checkpoint(self, checkpoint: JsonDict) -> None:
        """Add the step count and the rollouts to a checkpoint."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["rollouts"] = self.rollouts.state

    def on_load_checkpoint(self, checkpoint: JsonDict) -> None:
        """Take the step count and the rollouts from a checkpoint."""
        super().on_load_checkpoint(checkpoint)
        self.rollouts.state = dict(checkpoint.get("rollouts", {}))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW for the weights that learn, with weight decay on matrices only."""
        learnt = [p for p in self.network.parameters() if p.requires_grad]
        matrices = [p for p in learnt if p.ndim >= 2]
        others = [p for p in learnt if p.ndim < 2]
        groups = [{"params": matrices, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=self.rate, betas=(0.9, 0.98))

    @property
    def rolling(self) -> bool:
        """Whether the run now continues its own output, for which it needs longer stretches."""
        return not self.plan_only and self.budget.progress(self.step_count) > ROLL_FROM

    def training_step(self, batch: Stretches, batch_number: int) -> Tensor:
        """Return the loss, a scalar, on stretches `[b, history + n * window, c]`.

        If n is 1, the window is learnt after real music. If n is more, rows are continued over the windows.
        """
        generator = self.chance(self.device)
        stretch, bars = batch.latents, batch.bars[:, 1]
        past, window = self.history, self.config.window_tokens
        history, target, before = stretch[:, :past], stretch[:, past : past + window], None
        anchor = anchor_of(self.network, batch, past, past - self.config.context_tokens)
        longer = stretch.shape[1] > past + window and not self.plan_only
        if longer and coin(ROLL_CHANCE, generator):
            rolled = self.rollouts.advance(stretch, bars, anchor, self._continuing(generator), generator)
            history, target, before, anchor = rolled.context, rolled.target, rolled.before, rolled.anchor
            bars = self.rollouts.state["bars"]
        echo = echoes_in_training(self.config, history, bars, generator)
        if echo is not None and self.config.plan:
            place, bands = place_in_bar(batch, anchor, past), self.config.latent_channels
            plan = plan_in_training(history[..., :bands], target[..., :bands], place, bars, generator)
            echo = replace(echo, plan=plan)
        context, drop = corrupt(history[:, -self.config.context_tokens :], generator, self.config.patch)
        losses = self._losses(
            self.network,
            target.transpose(1, 2),
            context,
            drop,
            blurred(anchor, generator),
            generator,
            self.levels,
            LEVEL_POWER,
            before,
            echo,
        )
        self.log("loss", losses[0].detach(), prog_bar=True)
        if len(losses) > 1:
            self.log("loss_detail", losses[1].detach())
        return torch.stack(losses).sum()

    def _continuing(self, generator: torch.Generator) -> Continue:
        """Return a function that makes the next windows `[b, window, c]` with the average.

        It takes few steps, sometimes with guidance. It starts from noise or, with echoes, mostly from the noised real
        window. The detail is 0, because contexts are used without detail.
        """
        network = cast(JointDenoiser, self.average.network)
        bands, context_tokens = network.config.latent_channels, self.config.context_tokens

        def between(low: float, high: float) -> float:
            return low + (high - low) * float(torch.rand((), generator=generator, device=generator.device))

        scale = between(*ROLL_GUIDANCE) if coin(ROLL_GUIDED_CHANCE, generator) else 1.0
        top, steps = 1.0, ROLL_STEPS
        if network.config.echo_channels and coin(REAL_CHANCE, generator):
            top, steps = between(*REAL_LEVELS), REAL_STEPS

        @torch.no_grad()
        def continued(given: Next) -> Tensor:
            context = given.context[..., :bands]
            echo = None
            if network.config.echo_channels:
                echo = echo_of(context, given.bars, self.config.window_tokens)
            sigmas = torch.linspace(top, 0, steps + 1)
            x = noised(given.real[..., :bands].transpose(1, 2), given.noise[:, :bands], sigmas[0])
            with torch.autocast(context.device.type, torch.bfloat16, enabled=self.bf16):
                model = GuidedModel(
                    network,
                    context[:, -context_tokens:],
                    scale,
                    len(context),
                    rescale=GUIDANCE_RESCALE,
                    interval=GUIDANCE_INTERVAL,
                    anchor=given.anchor if network.anchor is not None else None,
                    echo=echo,
                    device=context.device,
                )
                new = sample_vddim(lambda x, sigma: model(x, sigma).float(), x, sigmas)
            return F.pad(new.transpose(1, 2), (0, given.context.shape[2] - bands))

        return continued

    def _losses(
        self,
        network: JointDenoiser,
        window: Tensor,
        context: Tensor,
        drop: Tensor,
        anchor: Anchor,
        generator: torch.Generator,
        levels: int,
        power: float = 1.0,
        before: Tensor | None = None,
        echo: Echo | None = None,
    ) -> list[Tensor]:
        """Return mean squared errors: that of the bands' v, and that of the mean detail if there is detail.

        window: `[b, c, t]`. context: `[b, n, c]`. drop: `[b]`. Each window gets `levels` noise levels, spread over 0..1
        as u ** power. before: noise `[b, c, t]` from which the noise of this window is one step away; None: fresh
        noise.
        """
        bands = network.config.latent_channels
        rows = window.shape[0] * levels
        # Each window draws one level from each of `levels` equal parts. The loss is less noisy than with free draws.
        device = generator.device
        part = torch.arange(levels, device=device).repeat(window.shape[0])
        drawn = torch.rand(rows, generator=generator, device=device)
        sigma = (((part + drawn) / levels) ** power).to(window)
        x = window[:, :bands].repeat_interleave(levels, 0)
        noise = torch.randn(x.shape, generator=generator, device=device).to(window)
        if before is not None:
            noise = walked(before[:, :bands].repeat_interleave(levels, 0), noise, generator)
        alpha, beta = alpha_beta(sigma[:, None, None])
        noisy, target = alpha * x + beta * noise, alpha * noise - beta * x
        with torch.autocast(window.device.type, torch.bfloat16, enabled=self.bf16):
            given = anchor if network.anchor is not None else None
            prepared = network.prepare_context(context[..., :bands], drop, len(window), given, echo)
            v = network(noisy, sigma, prepared.repeat(levels))
            losses = [F.mse_loss(v.float(), target)]
            alone = self.lines_only or self.plan_only
            if network.detail is not None and window.shape[1] > bands and not alone:
                expected = network.detail(window[:, :bands])
                losses.append(F.mse_loss(expected.float(), window[:, bands:]))
        return losses

    def validation_step(self, batch: Stretches, batch_number: int) -> None:
        """Log held-out losses of the average on stretches `[b, history + window, c]`.

        They are measured with all conditions, and without each of them.
        """
        past, stretch = self.history, batch.latents
        context, window = (
            stretch[:, past - self.config.context_tokens : past],
            stretch[:, past:].transpose(1, 2),
        )
        network = cast(JointDenoiser, self.average.network)
        anchor = anchor_of(network, batch, past, past - self.config.context_tokens)
        nothing = no_anchor(len(stretch), stretch.device)
        echo = None
        if network.config.echo_channels:
            bands = stretch[:, :past, : network.config.latent_channels]
            echo = echo_of(bands, batch.bars[:, 1].to(stretch), window.shape[2])
        kinds: dict[str, tuple[bool, Anchor, Echo | None]] = {
            "heldout_v": (False, anchor, echo),
            "heldout_v_without_context": (True, nothing, None),
        }
        if network.anchor is not None:
            kinds["heldout_v_without_anchor"] = (False, nothing, echo)
        if echo is not None:
            kinds["heldout_v_without_echoes"] = (False, anchor, None)
        if echo is not None and network.config.plan:
            place, bar = (batch.bars[:, 0] + past).to(stretch), batch.bars[:, 1].to(stretch)
            for name, planned in with_plans(echo, bands, window, place, bar).items():
                kinds[f"heldout_v_{name}"] = (False, anchor, planned)
        for name, (dropped, style, sound) in kinds.items():
            drop = torch.full((len(window),), dropped, device=window.device)
            generator = torch.Generator(window.device).manual_seed(batch_number)
            losses = self._losses(network, window, context, drop, style, generator, 4, echo=sound)
            self.log(name, losses[0], prog_bar=name == "heldout_v", sync_dist=True)
            if len(losses) > 1 and name == "heldout_v":
                self.log("heldout_v_detail", losses[1], sync_dist=True)

    def demo(self) -> Demo:
        """Return sounds `[n]`: held-out context, true continuation, and `SAMPLES` generated continuations.

        One more piece joins the context and the first continuation. Empty if there is nothing to show.
        """
        if self._demo is None:
            return {}
        codec, latents = self._demo
        codec, past = codec.to(self.device), self.config.context_tokens
        network = cast(JointDenoiser, self.average.network)

        def sound(tokens: Tensor, first: int = 0) -> NDArray[np.float32]:
            audio = codec.decode(tokens.T[None].to(self.device), first=first)
            return as_array(audio[0, 0])

        pieces = {"context": sound(latents[:past]), "truth": sound(latents[past:], past)}
        for number in range(SAMPLES):
            made = continuation(
                network, latents.to(self.device), self.seed + number, self.guidance, self.sampler_steps
            )
            if not number:
                pieces["continued"] = sound(made)
            pieces[f"sample{number + 1}"] = sound(made[past:], past)
        return pieces


def continuation(network: JointDenoiser, latents: Tensor, seed: int, guidance: float, steps: int) -> Tensor:
    """Return latents `[tokens, channels]` with everything after their context generated anew, window by window."""
    window, past, device = network.config.window_tokens, network.config.context_tokens, latents.device
    made = latents[None, :past]
    generator = torch.Generator().manual_seed(seed)
    while made.shape[1] < len(latents):
        anchor = None
        if network.anchor is not None:
            before = Stretches(made[:, -past:], torch.zeros(1, 2, device=device))
            anchor = anchor_of(network, before, past)
        model = GuidedModel(
            network, made[:, -past:], guidance, interval=GUIDANCE_INTERVAL, anchor=anchor, device=device
        )
        noise = torch.randn(1, network.config.latent_channels, window, generator=generator).to(device)
        new = sample_vddim(model, noise, torch.linspace(1, 0, steps + 1))
        made = torch.cat([made, network.with_detail(new).transpose(1, 2)], 1)
    return made[0, : len(latents)]
