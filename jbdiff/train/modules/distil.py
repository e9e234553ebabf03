"""Training of a student of few steps: one of its steps learns to reach the result of many steps of the teacher.

A trajectory is the path of the guided denoiser from a start in `NODES` steps, exactly as in the instrument. Take any
two of its places x at angles a > b (sigma * pi / 2). There is one v whose single step of v-DDIM leads from the first to
the second: v = (cos(a - b) x_a - x_b) / sin(a - b). It is progressive distillation's target (Salimans & Ho 2022,
appendix G) for a step of any length. One trajectory teaches every step of the grids of 1, 2, 3 and 4 steps.

Starts are those of the instrument: mostly noise, one step from the noise of the window before; sometimes a window
that is partly kept; sometimes the beginning of the window is known. The end of a trajectory is the context of the next.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.config import FewStepsConfig, JointDenoiserConfig
from jbdiff.data.clips import Stretches
from jbdiff.diffusion.samplers import sample_deis_3, sample_vddim
from jbdiff.diffusion.schedules import alpha_beta, linear_sigmas, noised
from jbdiff.guidance import GUIDANCE_RESCALE, GuidedModel, JumpingModel
from jbdiff.networks.anchor import Anchor
from jbdiff.networks.echoes import Echo, echo_of
from jbdiff.networks.few_steps import Additions, merge, with_jumps
from jbdiff.networks.joint_denoiser import JointDenoiser, Jump
from jbdiff.train.modules.conditions import anchor_of, blurred, corrupt, echoes_in_training, walked
from jbdiff.train.modules.denoiser import GUIDANCE_INTERVAL
from jbdiff.train.modules.rollouts import MOST_WINDOWS, TIRED_CHANCE, exploded
from jbdiff.train.modules.stage import Demo, StageTraining, as_array
from jbdiff.train.run.schedule import Budget
from jbdiff.untyped import JsonDict

# Third order; about as exact as 50 steps of v-DDIM; the steps of grids of 1, 2, 3, 4 coincide with them.
NODES = 12
GRIDS = (1, 2, 3, 4)
# A single step can only be roughly right. Its large errors must not outweigh those of four steps, which players use.
GRID_WEIGHTS = {1: 0.25, 2: 0.5, 3: 0.75, 4: 1.0}
KEPT_CHANCE, KNOWN_CHANCE, ALONE_CHANCE = 0.3, 0.2, 0.06
USUAL_GUIDANCE, USUAL_CHANCE = (1.0, 3.0), 0.6


@dataclass(frozen=True)
class Start:
    """The start of a trajectory: x and its noise `[b, c, window]`, sigmas `[NODES + 1]`, and the conditioning.

    `known`: clean latents and noise `[b, c, n]` each, of the beginning of the window, which is held. `context`
    `[b, n, c]`. `anchor` and `echo` are None for networks that do not take them.
    """

    x: Tensor
    noise: Tensor
    sigmas: Tensor
    context: Tensor | None
    known: tuple[Tensor, Tensor] | None
    anchor: Anchor | None = None
    echo: Echo | None = None


class Jumps(nn.Module):
    """A network with jumps and its preparation of the context in one call, so that its parameters can be replaced."""

    def __init__(self, network: JointDenoiser) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        x: Tensor,
        sigma: Tensor,
        context: Tensor | None,
        jump: Jump,
        times: int,
        anchor: Anchor | None = None,
        echo: Echo | None = None,
    ) -> Tensor:
        """Return v `[b * times, c, t]` of x in that shape, at sigma `[b * times]`.

        `times` rows of x share each row of context `[b, n, c]`, anchor and echo.
        """
        prepared = self.network.prepare_context(context, None, len(x) // times, anchor, echo).repeat(times)
        return cast(Tensor, self.network(x, sigma, prepared, jump=jump))


def jump_target(x: Tensor, after: Tensor, sigma: Tensor, sigma_after: Tensor) -> Tensor:
    """Return the v `[b, c, t]` that leads x at sigma to `after` at sigma_after in one step of v-DDIM.

    x and after are `[b, c, t]`; the sigmas broadcast against them.
    """
    angle = (sigma - sigma_after) * math.pi / 2
    return (angle.cos() * x - after) / angle.sin()


def grid_jumps(grids: tuple[int, ...] = GRIDS) -> tuple[list[int], list[int], list[float]]:
    """Return the first nodes, the last nodes and the loss weights of all steps of the grids."""
    jumps = [
        (step * NODES // steps, (step + 1) * NODES // steps, GRID_WEIGHTS[steps])
        for steps in grids
        for step in range(steps)
    ]
    first, last, weights = zip(*jumps, strict=True)
    return list(first), list(last), list(weights)


class DistilTraining(StageTraining):
    """Trains additions to a denoiser that does not change itself. The average of the additions is exported."""

    def __init__(
        self,
        config: JointDenoiserConfig,
        few: FewStepsConfig,
        budget: Budget,
        rate: float,
        seed: int,
        bf16: bool,
        history: int | None = None,
    ) -> None:
        """Make the additions and their average. `rate`: highest learning rate.

        `history`: tokens before a window from which echoes may come, at least the context; None: the context alone.
        """
        super().__init__(budget, rate, seed, bf16)
        self.config, self.few = config, few
        self.history = max(config.context_tokens, history or 0)
        # It has jumps, so that the student's parameters can be put into the same network.
        self.jumps = Jumps(JointDenoiser(config, jumps=True)).requires_grad_(False)
        self.student = Additions(self.teacher, few)
        self.begin_average()
        self.guidance = 1.5
        self.pieces: dict[str, Tensor] = {}
        self._demo: tuple[BandCodec, Tensor, JointDenoiser] | None = None

    @property
    def teacher(self) -> JointDenoiser:
        """The denoiser; its weights do not change."""
        return self.jumps.network

    def adopt(self, denoiser: JointDenoiser) -> None:
        """Take over the weights of the teacher; to be called before the first step."""
        self.jumps = Jumps(with_jumps(denoiser)).requires_grad_(False)

    def go_on_from(self, additions: Additions) -> None:
        """Take over the additions of another run, of this denoiser or of an earlier state of it."""
        self.student.load_state_dict(additions.state_dict())
        self.begin_average()

    def show_with(self, codec: BandCodec, latents: Tensor, denoiser: JointDenoiser) -> None:
        """Set the codec, held-out latents `[tokens, channels]`, and the denoiser with its detail, for demos.

        They are not part of the module, so that checkpoints do not hold them.
        """
        object.__setattr__(self, "_demo", (codec, latents, denoiser))

    @property
    def learns(self) -> Additions:
        """The student's additions, which are trained."""
        return self.student

    def on_save_checkpoint(self, checkpoint: JsonDict) -> None:
        """Add the step count and the pieces that are being continued to a checkpoint."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["pieces"] = self.pieces

    def on_load_checkpoint(self, checkpoint: JsonDict) -> None:
        """Take the step count and the pieces from a checkpoint."""
        super().on_load_checkpoint(checkpoint)
        self.pieces = dict(checkpoint["pieces"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW for the additions, without weight decay."""
        return torch.optim.AdamW(self.student.parameters(), lr=self.rate, betas=(0.9, 0.98), weight_decay=0.0)

    # One step

    def training_step(self, batch: Stretches, batch_number: int) -> Tensor:
        """Return the loss, a scalar, on stretches `[b, context + window or more, c]`; rows begin with this real music.

        Only the bands are used.
        """
        batch = batch._replace(latents=batch.latents[..., : self.config.latent_channels])
        generator = self.chance(self.device)
        guidance = self._any_guidance(generator)
        begun = self._begun(batch, generator)
        start = self._start(begun, generator)
        places = self.trajectory(start, guidance)
        self._move_on(begun, start, places[-1])
        loss, usual = self._loss(start, places, guidance)
        self.log("loss", loss.detach(), prog_bar=True)
        self.log("loss_four", usual)
        return loss

    def _any_guidance(self, generator: torch.Generator) -> float:
        usual, place = torch.rand(2, generator=generator, device=generator.device).tolist()
        low, high = USUAL_GUIDANCE if usual < USUAL_CHANCE else self.few.guidance
        return float(low + (high - low) * place)

    def _begun(self, batch: Stretches, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the rows to continue, by name.

        They hold the history `[b, past, c]`, the noise of its last window and of the next one `[b, c, window]`, a
        window that may be kept (the real one or the row's last own one) `[b, window, c]`, the parts of the anchor,
        tokens a bar, and how many windows were made.
        """
        past, window = self.history, self.config.window_tokens
        stretch, device = batch.latents, generator.device
        shape = (2, len(stretch), stretch.shape[2], window)
        before, fresh = torch.randn(shape, generator=generator, device=device).to(stretch)
        tired = torch.rand(len(stretch), generator=generator, device=device).to(stretch) < TIRED_CHANCE
        rows = {
            "context": stretch[:, :past],
            "before": before,
            "noise": fresh,
            "kept": stretch[:, past : past + window],
            "made": torch.zeros(len(stretch), dtype=torch.long, device=stretch.device),
            "bars": batch.bars[:, 1].to(stretch),
            **anchor_of(self.teacher, batch, past, past - self.config.context_tokens).rows(),
        }
        kept = rows.keys() - {"noise", "kept"}
        if self.pieces.keys() != kept or self.pieces["context"].shape != rows["context"].shape:
            return rows
        old = {name: value.to(stretch.device) for name, value in self.pieces.items()}
        old["noise"] = walked(old["before"], fresh, generator)
        old["kept"] = old["context"][:, -window:]
        new = tired | (old["made"] >= MOST_WINDOWS) | exploded(old["kept"])
        return {
            name: torch.where(new.reshape(-1, *[1] * (value.ndim - 1)), value, old[name].to(value.dtype))
            for name, value in rows.items()
        }

    def _start(self, rows: dict[str, Tensor], generator: torch.Generator) -> Start:
        """Return a start as the instrument may have it, with random steps, resample, hop and context."""
        window, patch = self.config.window_tokens, self.config.patch
        history, noise, device = rows["context"], rows["noise"], generator.device
        context = history[:, -self.config.context_tokens :]
        chances = torch.rand(5, generator=generator, device=device).tolist()
        known, held = None, 0
        if chances[0] < KNOWN_CHANCE:
            held = int(1 + 3 * chances[3]) * window // 4 // patch * patch
        if held:
            known = (context[:, -held:].transpose(1, 2), rows["before"][..., -held:])
            context = history[:, -self.config.context_tokens - held : -held]
        top = 1.0
        if chances[1] < KEPT_CHANCE:
            top = 0.1 + 0.9 * chances[4]
        sigmas = linear_sigmas(NODES, top)
        # At sigma 1 nothing of the kept window remains.
        x = noised(rows["kept"].transpose(1, 2), noise, sigmas[0]) if top < 1 else noise
        if known is not None:
            x = torch.cat([noised(*known, sigmas[0]), x[..., : window - held]], 2)
            noise = torch.cat([known[1], noise[..., : window - held]], 2)
        seen, _ = corrupt(context, generator, patch)
        anchor = None
        if self.teacher.anchor is not None:
            anchor = blurred(Anchor.from_rows(rows).at(-held), generator)
        echo = echoes_in_training(self.config, history, rows["bars"], generator, held)
        return Start(x, noise, sigmas, None if chances[2] < ALONE_CHANCE else seen, known, anchor, echo)

    @torch.no_grad()
    def trajectory(self, start: Start, guidance: float) -> list[Tensor]:
        """Return x of the guided denoiser at each of the start's sigmas, `[b, c, t]` each; the last one is clean."""
        places: list[Tensor] = []
        with torch.autocast(start.x.device.type, torch.bfloat16, enabled=self.bf16):
            model = GuidedModel(
                self.teacher,
                start.context,
                guidance,
                len(start.x),
                both_branches=True,
                rescale=GUIDANCE_RESCALE,
                interval=GUIDANCE_INTERVAL,
                anchor=start.anchor,
                echo=start.echo,
                device=start.x.device,
            )

            def predict(x: Tensor, sigma: Tensor) -> Tensor:
                places.append(x)
                v = model(x, sigma).float()
                if start.known is None:
                    return v
                alpha, beta = alpha_beta(sigma[0])
                clean, noise = start.known
                return torch.cat([alpha * noise - beta * clean, v[..., clean.shape[2] :]], 2)

            last = sample_deis_3(predict, start.x, start.sigmas)
        return [*places, last]

    def _loss(self, start: Start, places: list[Tensor], guidance: float) -> tuple[Tensor, Tensor]:
        """Return two scalars: the weighted mean squared error of v over all grids, and that of the finest grid."""
        first, last, weights = grid_jumps()
        batch, times = len(start.x), len(first)
        device = start.x.device
        # A row that has exploded on its way teaches nothing.
        lost = exploded(places[-1])
        places = [place.masked_fill(lost[:, None, None], 0.0) for place in places]

        def rows(nodes: list[int]) -> Tensor:
            return torch.stack([places[node] for node in nodes], 1).flatten(0, 1)

        x, after = rows(first), rows(last)
        sigma, sigma_after = (start.sigmas[nodes].repeat(batch).to(device) for nodes in (first, last))
        target = jump_target(x, after, sigma[:, None, None], sigma_after[:, None, None])
        jump = Jump(torch.full_like(sigma, guidance), sigma - sigma_after)
        parameters = {f"network.{name}": value for name, value in self.student.merged(self.teacher).items()}
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            given = (x, sigma, start.context, jump, times, start.anchor, start.echo)
            v = functional_call(self.jumps, parameters, given)
        held = 0 if start.known is None else start.known[0].shape[2]
        error = F.mse_loss(v.float()[..., held:], target[..., held:], reduction="none").mean((1, 2))
        error = error.reshape(batch, times).masked_fill(lost[:, None], 0.0)
        weight = torch.tensor(weights, device=device)
        return (error * weight).mean() / weight.mean(), error.detach()[:, -GRIDS[-1] :].mean()

    def _move_on(self, rows: dict[str, Tensor], start: Start, clean: Tensor) -> None:
        """Append the window `clean` to the history of the rows, and keep its noise as the noise before."""
        held = 0 if start.known is None else start.known[0].shape[2]
        new = clean[..., held:].transpose(1, 2).to(rows["context"].dtype)
        self.pieces = {
            **Anchor.from_rows(rows).at(new.shape[1]).rows(),
            "context": torch.cat([rows["context"], new], 1)[:, -self.history :],
            "bars": rows["bars"],
            "before": start.noise,
            "made": rows["made"] + 1,
        }

    # Held-out music

    def validation_step(self, batch: Stretches, batch_number: int) -> None:
        """Log the mean squared distance of the student's windows to the teacher's, from the same noise and context."""
        past, window = self.history, self.config.window_tokens
        batch = batch._replace(latents=batch.latents[..., : self.config.latent_channels])
        stretch = batch.latents
        generator = torch.Generator().manual_seed(batch_number)
        shape = (len(stretch), self.config.latent_channels, window)
        noise = torch.randn(shape, generator=generator).to(stretch)
        begin = past - self.config.context_tokens
        anchor = None if self.teacher.anchor is None else anchor_of(self.teacher, batch, past, begin)
        echo = None
        if self.config.echo_channels:
            echo = echo_of(stretch[:, :past], batch.bars[:, 1].to(stretch), window)
        start = Start(noise, noise, linear_sigmas(NODES), stretch[:, begin:past], None, anchor, echo)
        wanted = self.trajectory(start, self.guidance)[-1]
        student = merge(self.teacher, cast(Additions, self.average.network))
        for steps in (4, 2, 1):
            made = played(
                student, start.context, noise, steps, self.guidance, self.few.guidance, anchor, echo
            )
            self.log(f"heldout_{steps}", F.mse_loss(made, wanted), prog_bar=steps == 4)

    def demo(self) -> Demo:
        """Return two sounds `[n]`: held-out music, and its context followed by the student's continuation.

        The student uses its largest number of steps. Empty if there is nothing to show.
        """
        if self._demo is None:
            return {}
        codec, latents, whole = self._demo
        codec, past = codec.to(self.device), self.config.context_tokens
        student = merge(whole.to(self.device), cast(Additions, self.average.network))
        made = latents[None, :past].to(self.device)
        generator = torch.Generator().manual_seed(self.seed)
        shape = (1, self.config.latent_channels, self.config.window_tokens)
        while made.shape[1] < len(latents):
            noise = torch.randn(shape, generator=generator).to(self.device)
            before = Stretches(made[:, -past:], torch.zeros(1, 2, device=self.device))
            anchor = None if student.anchor is None else anchor_of(student, before, past)
            steps, reach = self.few.most_steps, self.few.guidance
            new = played(student, made[:, -past:], noise, steps, self.guidance, reach, anchor)
            made = torch.cat([made, student.with_detail(new).transpose(1, 2)], 1)

        def sound(tokens: Tensor) -> NDArray[np.float32]:
            return as_array(codec.decode(tokens.T[None].to(self.device))[0, 0])

        return {"original": sound(latents), "continued": sound(made[0, : len(latents)])}


@torch.no_grad()
def played(
    student: JointDenoiser,
    context: Tensor | None,
    noise: Tensor,
    steps: int,
    guidance: float,
    reach: tuple[float, float],
    anchor: Anchor | None = None,
    echo: Echo | None = None,
) -> Tensor:
    """Return a window `[b, c, t]` that a student makes from noise of that shape; parameters as in `JumpingModel`."""
    sigmas = linear_sigmas(steps)
    model = JumpingModel(
        student, context, guidance, sigmas, reach, len(noise), anchor=anchor, echo=echo, device=noise.device
    )
    return sample_vddim(model, noise, sigmas)
