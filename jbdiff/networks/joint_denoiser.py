"""The denoiser of the pocket stack: a transformer in which the window attends to itself and to the context before it.

Latents become patches of a few tokens. Context patches attend only to each other and do not depend on the noise
level. So they are computed once per block (`prepare_context`). Window patches attend to the context and to each
other. Attention gets the distance in time in two ways: rotary angles (Su et al. 2021), and a learned bias for every
distance and head (as in T5, Raffel et al. 2020). The bias finds "one bar ago" early in training. The noise level
enters through adaptive layer norms (Peebles & Xie 2023).

Neighbouring bands and tokens have nearly equal levels, so the latents of a patch lie close to far fewer dimensions
than they have numbers. The prediction of a Gaussian of the same covariance is computed, not learned. Along each
principal axis of variance p, the best linear estimate of v from the noisy z is
alpha * beta * (1 - p) / (alpha^2 * p + beta^2) * z,
and the rest of v has the variance p / (alpha^2 * p + beta^2). The network predicts only that rest, in units of its
deviation (the preconditioning of Karras et al. 2022, one axis at a time). So it need not carry 400 numbers of noise
through 256 of width.

At the end, a small convolution over bands and tokens corrects v. Its inputs are the noisy window and the
transformer's estimate of the clean one. It works the same way at every pitch and in every token. So it soon learns
that a tone is a line that continues, which patches learn slowly (docs/model.md has the gain).

The network denoises the bands of a codec alone. If the codec has detail channels after them, `with_detail` adds
the mean detail to finished bands (`detail.py`).

A network with echoes also sees what was played some bars ago at the same place of the bar (`echoes.py`), and takes a
plan of the window (`plan.py`).

A network with an anchor takes the style of the piece and the place in the bar, which do not drift as its own
context does (`anchor.py`).

A network with `jumps` also takes the guidance scale and the distance to the next noise level. A student of few steps
needs both (`few_steps.py`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jbdiff.config import JointDenoiserConfig
from jbdiff.diffusion.schedules import SIGMA_FEATURES, alpha_beta, sigma_features
from jbdiff.networks.anchor import Anchor, AnchorCondition, no_anchor
from jbdiff.networks.detail import DetailNet
from jbdiff.networks.echoes import HINTS, Echo, EchoLines, EchoPatches, no_echo
from jbdiff.networks.plan import PlanInputs, moved

JUMP_FEATURES = 4


@dataclass(frozen=True)
class PreparedContext:
    """Keys and values of the context for every layer, `[b, heads, patches, width / heads]` each.

    If the network gets an anchor: its additions to the noise level, `[b, width]`, and to the patches of a window,
    `[b, window patches, width]`. If the network has echoes: the echoes, and the mean of the context `[b, c, 1]`.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    style: Tensor | None = None
    clock: Tensor | None = None
    mean: Tensor | None = None
    echo: Echo | None = None

    @property
    def patches(self) -> int:
        """Patches of the context."""
        return self.keys[0].shape[2]

    def repeat(self, times: int) -> PreparedContext:
        """Every row `times` times over: several noise levels share one context in training."""
        echo = None if self.echo is None else self.echo.repeat(times)
        return self._each(lambda t: t.repeat_interleave(times, 0), echo)

    def first(self, rows: int) -> PreparedContext:
        """The first rows of the batch alone."""
        return self._each(lambda t: t[:rows], None if self.echo is None else self.echo.first(rows))

    def _each(self, change: Callable[[Tensor], Tensor], echo: Echo | None) -> PreparedContext:
        """Return the context with every tensor changed by `change`, and with this echo."""
        style, clock, mean = (None if t is None else change(t) for t in (self.style, self.clock, self.mean))
        keys, values = (tuple(map(change, tensors)) for tensors in (self.keys, self.values))
        return PreparedContext(keys, values, style, clock, mean, echo)


@dataclass(frozen=True)
class Jump:
    """Guidance scale `[b]` of one step of a student, and the fall of sigma over that step, `[b]`, 0..1."""

    guidance: Tensor
    length: Tensor


class JumpCondition(nn.Module):
    """Layers that add a jump to the features of the noise level. Untrained, they add zero.

    Guidance as a condition is from Meng et al. 2023 (section 3.1), the length of the step from Frans et al. 2024.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(JUMP_FEATURES, width)
        self.level = nn.Linear(width, width)
        self.lines = nn.Linear(width, SIGMA_FEATURES)
        for layer in (self.level, self.lines):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, jump: Jump) -> tuple[Tensor, Tensor]:
        """The additions to the embedded noise level `[b, width]` and to its features `[b, SIGMA_FEATURES]`."""
        guidance, length = jump.guidance, jump.length
        # Each about -1..1 over a knob of 0..6 and steps from a tenth of the way to all of it.
        features = torch.stack(
            (guidance / 3 - 1, guidance.log1p() - 1, 2 * length - 1, length * guidance / 3 - 1), -1
        )
        hidden = F.silu(self.hidden(features.to(self.hidden.weight.dtype)))
        return self.level(hidden), self.lines(hidden)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn pairs of features `[b, h, n, d]` by the angles of their place, `[n, d / 2]` (rotary position)."""
    first, second = x.chunk(2, -1)
    cosine, sine = cosine.to(x.dtype), sine.to(x.dtype)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], -1)


class Block(nn.Module):
    """Self-attention and perceptron, both modulated: the noise level for the window, a constant for the context."""

    def __init__(self, width: int, heads: int, distances: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width, elementwise_affine=False)
        self.norm_perceptron = nn.LayerNorm(width, elementwise_affine=False)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.modulation = nn.Parameter(torch.zeros(6, width))
        self.distance_bias = nn.Parameter(torch.zeros(heads, distances))
        nn.init.normal_(self.project.weight, std=0.02)
        nn.init.normal_(self.narrow.weight, std=0.02)

    def forward(
        self,
        x: Tensor,
        condition: Tensor,
        angles: tuple[Tensor, Tensor],
        bias: Tensor,
        past: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x `[b, n, width]`, condition `[b or 1, 6, width]`, bias `[heads, n, past + n]` -> x, own keys, own values."""
        modulation = (self.modulation + condition)[:, :, None]
        shift, scale, gate, shift2, scale2, gate2 = modulation.unbind(1)
        batch, count, width = x.shape
        y = self.norm_attention(x) * (1 + scale) + shift
        heads = self.query_key_value(y).reshape(batch, count, 3, self.heads, width // self.heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        query, key = rotate(query, *angles), rotate(key, *angles)
        own_key, own_value = key, value
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        # Written out: the fused kernels take no bias that is being learned.
        scores = (query @ key.transpose(-1, -2)).float() * (width // self.heads) ** -0.5 + bias
        attended = (scores.softmax(-1).to(value.dtype) @ value).transpose(1, 2).reshape(batch, count, width)
        x = x + (1 + gate) * self.project(attended)
        y = self.norm_perceptron(x) * (1 + scale2) + shift2
        x = x + (1 + gate2) * self.narrow(F.gelu(self.widen(y), approximate="tanh"))
        return x, own_key, own_value


class Lines(nn.Module):
    """Correction of v from the noisy window and the transformer's estimate of the clean one, both `[b, c, t]`.

    It reaches 18 tokens and two bands to either side. Untrained, it corrects nothing.
    """

    def __init__(self, bands: int, channels: int) -> None:
        super().__init__()
        self.band = nn.Parameter(torch.zeros(channels, bands, 1))
        self.level = nn.Linear(SIGMA_FEATURES, 3 * channels)
        self.into = nn.Conv2d(2, channels, (3, 9), padding=(1, 4))
        self.along = nn.Conv2d(channels, channels, (1, 9), padding=(0, 12), dilation=(1, 3))
        self.out = nn.Conv2d(channels, 1, (3, 5), padding=(1, 2))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(cast(Tensor, self.out.bias))

    def forward(self, noisy: Tensor, clean: Tensor, level: Tensor) -> Tensor:
        """`level` are the features of sigma `[b, SIGMA_FEATURES]`."""
        first, second, gate = self.level(level)[:, :, None, None].chunk(3, 1)
        h = F.gelu(self.into(2 * torch.stack([noisy, clean], 1)) + self.band + first, approximate="tanh")
        h = h + F.gelu(self.along(h) + second, approximate="tanh")
        return cast(Tensor, self.out(h * (1 + gate))[:, 0])


class JointDenoiser(nn.Module):
    """The network: predicts v of a noisy window from the music before it; see `forward`."""

    frequencies: Tensor
    axes: Tensor
    powers: Tensor

    def __init__(self, config: JointDenoiserConfig, jumps: bool = False) -> None:
        super().__init__()
        for name, tokens in (
            ("window_tokens", config.window_tokens),
            ("context_tokens", config.context_tokens),
        ):
            if tokens % config.patch:
                raise ValueError(f"{name} {tokens} is not a multiple of the patch of {config.patch} tokens")
        self.config = config
        width, patch_width = config.width, config.patch * config.latent_channels
        self.window_patches = config.window_tokens // config.patch
        self.context_patches = config.context_tokens // config.patch
        self.distances = self.context_patches + 2 * self.window_patches
        # Principal axes of clean patches (columns) and their variances; see `set_statistics`.
        self.register_buffer("axes", torch.eye(patch_width))
        self.register_buffer("powers", torch.ones(patch_width))
        self.into_window = nn.Linear(patch_width, width)
        self.into_context = nn.Linear(patch_width, width)
        self.null_context = nn.Parameter(torch.randn(self.context_patches, width) * 0.02)
        self.context_condition = nn.Parameter(torch.zeros(1, 6, width))
        self.sigma = nn.Sequential(
            nn.Linear(SIGMA_FEATURES, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        # One modulation for all blocks, to which each adds its own constant (Chen et al. 2023, PixArt-alpha).
        self.modulate = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(width, config.heads, self.distances) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.last_modulation = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, patch_width)
        self.lines = Lines(config.latent_channels, config.line_channels)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)
        nn.init.zeros_(self.last_modulation.weight)
        nn.init.zeros_(self.last_modulation.bias)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        half = width // config.heads // 2
        self.register_buffer("frequencies", 1.0 / 1000 ** (torch.arange(half) / half), persistent=False)
        self.jump = JumpCondition(width) if jumps else None
        self.detail = None if config.detail is None else DetailNet(config.detail)
        self.anchor = AnchorCondition(width, config.patch) if config.anchor else None
        self.echo_patches: EchoPatches | None = None
        if config.echo_channels:
            bands = config.latent_channels
            self.echo_patches = EchoPatches(width, config.patch, bands)
            self.echo_lines = EchoLines(bands, config.echo_channels)
            self.echo_hint = nn.Linear(width, HINTS * patch_width)
        self.plan_inputs: PlanInputs | None = None
        if config.plan:
            if not config.echo_channels:
                raise ValueError("plan inputs need echoes: give echo_channels, or leave the plan out")
            self.plan_inputs = PlanInputs(width, config.patch, config.latent_channels, config.echo_channels)

    def forward(
        self,
        x: Tensor,
        sigma: Tensor,
        context: Tensor | PreparedContext | None = None,
        drop: Tensor | None = None,
        jump: Jump | None = None,
    ) -> Tensor:
        """Noisy window x `[b, c, t]`, sigma `[b]` in 0..1, context `[b, n, c]` -> v `[b, c, t]`.

        c is `latent_channels`: the bands. t is a multiple of the patch, up to the window; n is any length, and lies
        right before the window. Tokens that exceed the context or do not fill a patch are cut off at the far end. A
        context may hold detail channels after the bands; they are ignored. Rows whose `drop` `[b]` is True, and all
        rows when context is None, see the learned null embedding. `context` may also be what `prepare_context` gave:
        an anchor reaches the network only that way. With a `jump`, v is that of the straight way to the level where it
        ends; only networks made with `jumps` take one. Raises ValueError on shapes that do not fit.
        """
        batch, channels, tokens = x.shape
        patch, bands = self.config.patch, self.config.latent_channels
        if channels != bands or not 0 < tokens <= self.config.window_tokens or tokens % patch:
            raise ValueError(
                f"window {list(x.shape)} does not fit: [batch, {bands}, t], t a multiple of "
                f"{patch} up to {self.config.window_tokens}"
            )
        if not isinstance(context, PreparedContext):
            context = self.prepare_context(context, drop, batch)
        return self._bands_v(x, sigma, context, jump)

    def with_detail(self, bands: Tensor) -> Tensor:
        """Finished bands `[b, latent_channels, t]` and their mean detail: `[b, all_channels, t]`."""
        if self.detail is None:
            return bands
        return torch.cat([bands, self.detail(bands)], 1)

    @property
    def detail_reach(self) -> int:
        """Tokens on each side of a token that its detail depends on; 0 without a detail network."""
        return 0 if self.detail is None else self.detail.reach

    def without_detail(self) -> JointDenoiser:
        """The same network, sharing all its weights, without the detail."""
        if self.detail is None:
            return self
        view = copy.copy(self)
        view._modules = {**self._modules, "detail": None}
        view.config = replace(self.config, detail=None)
        return view

    def _bands_v(self, x: Tensor, sigma: Tensor, context: PreparedContext, jump: Jump | None) -> Tensor:
        """v of the bands `[b, latent_channels, t]`."""
        batch, channels, tokens = x.shape
        alpha, beta = alpha_beta(sigma.float())
        alpha, beta = alpha[:, None, None], beta[:, None, None]
        # In float32 also where weights are kept in half precision.
        powers, axes = self.powers.float(), self.axes.float()
        power = alpha**2 * powers + beta**2
        along = self._patches(x.transpose(1, 2)).float() @ axes
        h = self.into_window((along / power.sqrt()).to(x.dtype))
        features = sigma_features(sigma).to(x.dtype)
        embedded = self.sigma[:-1](features)
        if context.style is not None:
            embedded = embedded + context.style.to(embedded.dtype)
        if context.clock is not None:
            h = h + context.clock[:, : h.shape[1]].to(h.dtype)
        echo: Echo | None = None
        if self.echo_patches is not None:
            echo = context.echo or no_echo(batch, channels, tokens, x.device)
            h = h + self.echo_patches(echo).to(h.dtype)
        plan = None if echo is None else echo.plan
        if plan is not None and self.plan_inputs is not None:
            h = h + self.plan_inputs.patches(plan).to(h.dtype)
        if jump is not None:
            if self.jump is None:
                raise ValueError("this network was made without jumps; leave jump out")
            length, beside = self.jump(jump)
            embedded, features = embedded + length, features + beside.to(features.dtype)
        noise_level = self.sigma[-1](embedded)
        condition = self.modulate(noise_level).reshape(batch, 6, -1)
        angles = self._angles(0, h.shape[1])
        places = torch.arange(h.shape[1], device=x.device)
        past_places = torch.arange(-context.patches, h.shape[1], device=x.device)
        distance = (places[:, None] - past_places[None]) + self.window_patches
        for block, key, value in zip(self.blocks, context.keys, context.values, strict=True):
            bias = cast(Tensor, block.distance_bias)[:, distance]
            h, _, _ = block(h, condition, angles, bias, (key, value))
        shift, scale = self.last_modulation(noise_level)[:, None].chunk(2, -1)
        last = self.norm(h) * (1 + scale) + shift
        rest = self.out(last).float() * (powers / power).sqrt()
        v: Tensor = (along * (alpha * beta * (1 - powers) / power) + rest) @ axes.T
        v = v.float().reshape(batch, tokens, channels).transpose(1, 2)
        if plan is not None:
            gain = 1.0 if self.plan_inputs is None else self.plan_inputs.gains(features)
            v = moved(v, alpha * x - beta * v, plan, gain)
        clean = (alpha * x - beta * v).to(x.dtype)
        v = v.to(x.dtype) + self.lines(x, clean, features)
        if echo is None:
            return v
        hints = self.echo_hint(last).reshape(batch, -1, HINTS, self.config.patch, channels)
        hints = hints.permute(0, 2, 4, 1, 3).reshape(batch, HINTS, channels, tokens)
        mean = torch.zeros_like(x[..., :1]) if context.mean is None else context.mean
        images = (t.to(hints.dtype) for t in (x, alpha * x - beta * v, beta * x + alpha * v))
        more = None
        if plan is not None and self.plan_inputs is not None:
            more = self.plan_inputs.image(alpha * x - beta * v, plan)
        out: Tensor = v + self.echo_lines(*images, echo, hints, mean, features, more)
        return out

    @torch.no_grad()
    def set_statistics(self, covariance: Tensor) -> None:
        """Set the principal axes from the covariance of clean patches `[patch * channels] * 2`, before training."""
        powers, axes = torch.linalg.eigh(covariance.double())
        self.powers.copy_(powers.clamp_min(1e-4))
        self.axes.copy_(axes)
        # Axes of small variance are mostly noise at most noise levels: their weights begin small.
        self.into_window.weight.mul_(self.powers.clamp(max=1).sqrt())

    def prepare_context(
        self,
        context: Tensor | None,
        drop: Tensor | None,
        batch: int,
        anchor: Anchor | None = None,
        echo: Echo | None = None,
    ) -> PreparedContext:
        """Compute everything that does not depend on the noise level, once for all steps of a window.

        context: `[b, n, c]`; drop: `[b]`; echo: of the window that follows. Rows whose context is dropped keep their
        anchor and echoes. Raises ValueError on shapes that do not fit,
        and on an anchor or an echo for a network that takes none.
        """
        if self.anchor is None and anchor is not None:
            raise ValueError("this network was made without an anchor; leave it out")
        if self.echo_patches is None and echo is not None:
            raise ValueError("this network was made without echoes; leave them out")
        mean = None
        if context is None or context.shape[1] < self.config.patch:
            h = self.null_context[None].expand(batch, -1, -1)
        else:
            bands = self.config.latent_channels
            if context.shape[0] != batch or context.shape[2] not in (bands, self.config.all_channels):
                raise ValueError(f"context {list(context.shape)} does not fit: [{batch}, n, {bands} or more]")
            context = context[..., :bands]
            usable = min(
                context.shape[1] // self.config.patch * self.config.patch, self.config.context_tokens
            )
            h = self.into_context(self._patches(context[:, context.shape[1] - usable :]))
            if self.echo_patches is not None:
                mean = context.mean(1)[:, :, None]
                if drop is not None:
                    mean = mean * ~drop[:, None, None]
            if drop is not None:
                null = self.null_context[-h.shape[1] :].to(h.dtype)
                h = torch.where(drop[:, None, None], null[None], h)
        count = h.shape[1]
        style = clock = None
        if self.anchor is not None:
            if anchor is None:
                anchor = no_anchor(batch, h.device)
            h = h + self.anchor.clock(anchor, -count, 0).to(h.dtype)
            style, clock = self.anchor.style(anchor), self.anchor.clock(anchor, 0, self.window_patches)
        angles = self._angles(-count, 0)
        places = torch.arange(count, device=h.device)
        distance = (places[:, None] - places[None]).clamp(min=-self.window_patches) + self.window_patches
        keys, values = [], []
        for block in self.blocks:
            bias = cast(Tensor, block.distance_bias)[:, distance]
            h, key, value = block(h, self.context_condition, angles, bias, None)
            keys.append(key)
            values.append(value)
        return PreparedContext(tuple(keys), tuple(values), style, clock, mean, echo)

    def _patches(self, latents: Tensor) -> Tensor:
        """`[b, n, c]` to `[b, n / patch, patch * c]`."""
        batch, tokens, channels = latents.shape
        return latents.reshape(batch, tokens // self.config.patch, self.config.patch * channels)

    def _angles(self, first: int, last: int) -> tuple[Tensor, Tensor]:
        """Cosine and sine of the rotary angles of patches first..last, 0 being where the window begins."""
        angle = torch.arange(first, last, device=self.frequencies.device)[:, None] * self.frequencies
        return angle.cos(), angle.sin()
