"""The anchor of a stream: a style and a clock that the music keeps, block by block.

A stream that begins after a context takes the style and the tempo of the context. A stream that begins from nothing
takes one of the real styles that the network keeps; the seed chooses it. Both stay until the stream gets another
context or is reset. The knobs turn them, and the beat moves on with every token.

A network follows a style only roughly, and the next window continues the error. So the style of what was played is
measured with every block, and the anchor exaggerates what is missing. Loudness has no input of its own: if a part of
the spectrum grows louder, the anchor asks for lower levels there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.codecs.bands import SEMITONES, TREBLE_BANDS
from jbdiff.codecs.tempo import estimated_place, estimated_tempo
from jbdiff.diffusion.schedules import alpha_beta
from jbdiff.networks.anchor import (
    BANK,
    BEATS,
    LOUDNESS_UNIT,
    MEAN_BANDS,
    MEANS,
    STYLE_FEATURES,
    Anchor,
    measured_loudness,
    measured_style,
)
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.stacks.stack import Stack
from jbdiff.stream.settings import BlockSettings
from jbdiff.stream.state import AnchorState

USUAL_TEMPO = 117.45  # beats a minute, if neither a context nor the settings give a tempo
# A knob at its end moves a style by so many of its spreads.
BRIGHTNESS, MOTION = 1.0, 1.5
# How strongly the anchor exaggerates what is missing, over so many windows, and its limit in spreads.
PULL, PULL_WINDOWS, MOST_PULL = 2.0, 4, 3.0
# If a part is 6 dB too loud, the anchor asks for levels that are so many spreads lower. Measured with pocket over 8
# minutes after a held-out piece: the spectral centroid of ten seconds spreads by .42 octaves, and the pulse is .62.
# With a pull of 10 over 3 windows (and PULL 3) they are .69 octaves and .53, with PULL 4 .47 and .63.
LOUDNESS_PULL = 6.0
PITCHED = (SEMITONES + TREBLE_BANDS) // MEAN_BANDS  # groups of bands that lie on a scale; strokes follow them
# Limit of the tempo change by which the stream catches up with an outer clock. The beat of pocket then moves by a
# seventh of a beat in a window, and the stream corrects half a beat in 8 s.
MOST_BEND = 0.04
# Sigmas at which the network predicts a context, to find where in the bar it ends.
ASKED_LEVELS = (0.75, 0.9)


class StreamAnchor:
    """The anchor of one level, block by block. Holds no state: `AnchorState` goes in and comes out."""

    def __init__(self, network: JointDenoiser, tokens_per_minute: float, decibels: Tensor) -> None:
        """`decibels` `[channels]` are those of one unit of each latent."""
        if network.anchor is None:
            raise ValueError("this network was made without an anchor")
        self._network, self._rate = network, tokens_per_minute
        self._condition = network.anchor
        self._slope = _slope(self._condition.mean.device)
        self._moving = torch.arange(STYLE_FEATURES, device=self._slope.device) >= MEANS
        self._decibels = decibels[: network.config.latent_channels].to(self._slope)
        # Loudness, in its units, of one spread of each mean level.
        per_band = self._decibels.reshape(MEANS, MEAN_BANDS).mean(1)
        self._loudness = self._condition.spread[:MEANS] * per_band / LOUDNESS_UNIT

    def begun(self, context: Tensor | None, pause: Callable[[], object] = lambda: None) -> AnchorState:
        """The anchor of a stream that begins after a context `[1, n, c]`, or after nothing.

        `pause` runs before each longer piece of work.
        """
        if context is None or context.shape[1] < 2:
            return AnchorState(None, None, 0.0, None)
        tempo = estimated_tempo(context[0], self._rate)
        style = self.style_of(context)
        beat = self._found_beat(context, tempo / self._rate, style, pause) if tempo else None
        return AnchorState(style, None, tempo, beat)

    def style_of(self, context: Tensor) -> Tensor:
        """Style in the network's units, and loudness, of latents `[1, n, c]`: `[1, STYLE_FEATURES + MEANS]`."""
        bands = context[..., : self._network.config.latent_channels]
        style = self._condition.standard(measured_style(bands))
        return torch.cat([style, measured_loudness(bands, self._decibels)], 1)

    def settled(self, state: AnchorState, settings: BlockSettings, context: Tensor | None) -> AnchorState:
        """The state with a style, and with a beat if there is a tempo.

        The beat is estimated from the onsets of the context `[1, n, c]` alone, since a block has no time for more.
        """
        if state.style is None:
            chosen = torch.Generator().manual_seed(settings.noise().nearest_seed)
            number = int(torch.randint(BANK, (), generator=chosen))
            state = replace(state, style=self._condition.bank[number : number + 1])
        per_token = self.per_token(state, settings)
        if not per_token:
            return replace(state, beat=None)  # found anew when a tempo is asked for again
        beat = state.beat
        if beat is None:
            beat = 0.0 if context is None else estimated_place(context[0], per_token)
        # Which beat of the bar it is, onsets hardly say, so whole beats are put right at once.
        return replace(state, beat=(beat + round(_behind(beat, settings))) % BEATS)

    def per_token(self, state: AnchorState, settings: BlockSettings) -> float:
        """Beats a token, more or fewer while an outer clock is ahead or behind; 0 without a clock."""
        steady = self.steady(state, settings)
        if not steady or state.beat is None:
            return steady
        behind = _behind(state.beat, settings)
        bend = (behind - round(behind)) / (steady * self._network.config.window_tokens)
        return steady * (1 + min(MOST_BEND, max(-MOST_BEND, bend)))

    def steady(self, state: AnchorState, settings: BlockSettings) -> float:
        """Beats a token of the tempo alone; 0 without a clock."""
        tempo = settings.tempo
        if tempo is None:
            tempo = state.tempo or USUAL_TEMPO
        return tempo / self._rate

    def for_window(
        self, state: AnchorState, settings: BlockSettings, held: int, style: Tensor | None = None
    ) -> Anchor:
        """The anchor that the network gets for a window that begins `held` tokens before the next token.

        style: `[1, STYLE_FEATURES + MEANS]` as `style_of` gives it, instead of the stream's own; for a block after
        another context.
        """
        style = state.style if style is None else style
        assert style is not None
        style, loudness = style.split([STYLE_FEATURES, MEANS], 1)
        brighter = settings.brightness * BRIGHTNESS * self._slope
        target = style + brighter + settings.motion * MOTION * self._moving
        if state.played is not None:
            played, loud = state.played.split([STYLE_FEATURES, MEANS], 1)
            missing = PULL * (target - played)
            # More motion is louder strokes, and is meant to be.
            softer = loudness + brighter[:MEANS] * self._loudness - loud
            missing[:, :MEANS] += LOUDNESS_PULL * (1 - abs(settings.motion)) * softer
            target = target + settings.anchor * missing.clamp(-MOST_PULL, MOST_PULL)
        per_token = self.per_token(state, settings)

        def row(value: float) -> Tensor:
            return torch.tensor([value], device=style.device)

        known = torch.tensor([settings.anchor > 0], device=style.device)
        return Anchor(target, known, row(state.beat or 0.0), row(per_token)).at(-held)

    def earlier(self, state: AnchorState, settings: BlockSettings, tokens: int) -> AnchorState:
        """The state as it was so many tokens before the next one; the measured style stays."""
        if state.beat is None:
            return state
        return replace(state, beat=(state.beat - tokens * self.steady(state, settings)) % BEATS)

    def moved(self, state: AnchorState, settings: BlockSettings, history: Tensor, tokens: int) -> AnchorState:
        """The state after so many tokens, which are the end of a history `[1, c, n]`."""
        if state.beat is not None:
            state = replace(state, beat=(state.beat + tokens * self.per_token(state, settings)) % BEATS)
        window = self._network.config.window_tokens
        if history.shape[2] < window:
            return state
        newest = self.style_of(history[..., -window:].transpose(1, 2))
        if state.played is None:
            return replace(state, played=newest)
        share = min(1.0, tokens / (PULL_WINDOWS * window))
        return replace(state, played=state.played + share * (newest - state.played))

    def _found_beat(
        self, context: Tensor, per_token: float, style: Tensor, pause: Callable[[], object]
    ) -> float:
        """Place in the bar, 0..4, of the token after a context.

        The onsets leave eight places; the one is taken at which the network predicts the context best.
        """
        network, patch = self._network, self._network.config.patch
        bands = context[..., : network.config.latent_channels]
        window = min(network.config.window_tokens, bands.shape[1] // patch * patch)
        if not window:
            return 0.0
        place = estimated_place(bands[0], per_token)
        beats = (place + torch.arange(2 * BEATS, device=bands.device) / 2) % BEATS
        rows = len(beats)
        anchor = Anchor(
            style[:, :STYLE_FEATURES].expand(rows, -1),
            torch.ones(rows, dtype=torch.bool, device=bands.device),
            beats,
            torch.full_like(beats, per_token),
        )
        wrong = torch.zeros(rows, device=bands.device)
        generator = torch.Generator().manual_seed(0)
        for start in range(bands.shape[1] % window, bands.shape[1], window):
            clean = bands[:, start : start + window].transpose(1, 2)
            prepared = network.prepare_context(None, None, rows, anchor.at(start - bands.shape[1]))
            for level in ASKED_LEVELS:
                pause()
                sigma = torch.full((rows,), level, device=bands.device)
                noise = torch.randn(clean.shape, generator=generator).to(clean)
                alpha, beta = alpha_beta(sigma[0])
                v = network((alpha * clean + beta * noise).expand(rows, -1, -1), sigma, prepared)
                wrong += (v - (alpha * noise - beta * clean)).square().mean((1, 2))
        return float(beats[int(wrong.argmin())])


def _behind(beat: float, settings: BlockSettings) -> float:
    """Beats by which a stream at `beat` is behind an outer clock, -2 to 2; 0 without one."""
    if settings.beat is None:
        return 0.0
    return (settings.beat - beat + BEATS / 2) % BEATS - BEATS / 2


def stream_anchor(stack: Stack, network: JointDenoiser, level: int) -> StreamAnchor:
    """The anchor of a level. Raises ValueError if its network takes none, or if its codec has no bands."""
    if not isinstance(stack.codec, BandCodec):
        raise ValueError(f"anchors are of bands; the codec of stack {stack.config.name!r} has none")
    rate = stack.config.sample_rate / stack.codec.hop(level)
    return StreamAnchor(network, 60 * rate, stack.codec.analysis.spread)


def _slope(device: torch.device) -> Tensor:
    """Direction of brighter styles `[STYLE_FEATURES]`: less of the lowest bands, more of the highest."""
    slope = torch.zeros(STYLE_FEATURES, device=device)
    slope[:PITCHED] = torch.linspace(-1, 1, PITCHED)
    return slope
