"""A stream that is held to a style and a beat: heard, chosen, turned, carried along, saved and put back."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from jbdiff.codecs.bands import CHANNELS
from jbdiff.codecs.tempo import estimated_place
from jbdiff.config import BandCodecConfig, FewStepsConfig, JointDenoiserConfig, LevelConfig, StackConfig
from jbdiff.diffusion.samplers import sample_deis_3, sample_unipc, sample_vddim
from jbdiff.networks.anchor import BANK, BEATS, MEANS, MOTIONS, STYLE_FEATURES, Anchor
from jbdiff.networks.few_steps import with_jumps
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.stacks.kinds import build_codec
from jbdiff.stacks.stack import Stack
from jbdiff.stream.anchor import (
    BRIGHTNESS,
    MOST_PULL,
    MOTION,
    PULL_WINDOWS,
    USUAL_TEMPO,
    StreamAnchor,
)
from jbdiff.stream.state import AnchorState
from jbdiff.stream.stream import BlockSettings, BlockStream, StreamState

WINDOW, PAST, HOP = 32, 192, 512  # a context of 2.2 s: long enough for a tempo
RATE = 60 * 44_100 / HOP  # tokens a minute
DECIBELS = 10.0  # of one unit of a latent


def small_stack(anchor: bool = True, sampler: str = "vddim", few: bool = False) -> Stack:
    """Random weights; what begins at zero does not stay there."""
    sizes = JointDenoiserConfig(
        window_tokens=WINDOW, context_tokens=PAST, width=16, depth=1, heads=2, line_channels=2, anchor=anchor
    )
    student = FewStepsConfig(most_steps=2) if few else None
    level = LevelConfig(
        2, sizes, WINDOW, context_windows=PAST // WINDOW, steps=3, sampler=sampler, few=student
    )
    config = StackConfig(
        "mini", BandCodecConfig(decoder_channels=8, decoder_blocks=1, local_channels=2), (level,)
    )
    torch.manual_seed(0)
    codec = build_codec(config.codec)
    codec.analysis.spread.fill_(DECIBELS)
    denoiser = JointDenoiser(sizes)
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        if denoiser.anchor is not None:
            styles = 1 + torch.rand(200, STYLE_FEATURES)
            denoiser.anchor.set_statistics(styles, torch.rand(200, MEANS))
    students = {2: with_jumps(denoiser)} if few else {}
    stack = Stack(config, codec, {2: denoiser}, "mini", few=students)
    for module in stack.modules():
        module.eval().requires_grad_(False)
    return stack


@pytest.fixture(scope="module")
def stack() -> Stack:
    return small_stack()


def kicks(bpm: float, seconds: float = 3.0, seed: int = 0) -> Tensor:
    """Bursts of noise on every beat, `[1, 1, n]`; the last one a quarter of a beat before the end."""
    frames = round(seconds * 44_100)
    beats = torch.arange(-frames, 0) / 44_100 * bpm / 60 + 0.25
    noise = torch.randn(frames, generator=torch.Generator().manual_seed(seed))
    return (0.3 * noise * torch.exp(-(beats % 1) * 60 / bpm * 40))[None, None]


def held(stream: BlockStream) -> AnchorState:
    state = stream.save().levels[2].anchor
    assert state is not None
    return state


def steps(stream: BlockStream, count: int = 1, **knobs: Any) -> Tensor:
    """What so many blocks sound like, `[1, 1, n]`."""
    return torch.cat([stream.step(BlockSettings(**knobs)).audio for _ in range(count)], 2)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Anchor]:
    """Every anchor that a network is told of, block by block: of the branch that hears it."""
    seen: list[Anchor] = []
    plain = JointDenoiser.prepare_context

    def spy(
        self: JointDenoiser,
        context: Any,
        drop: Any,
        batch: int,
        anchor: Anchor | None = None,
        echo: Any = None,
    ) -> Any:
        if anchor is not None:
            seen.append(anchor.each(lambda part: part[:1]))
        return plain(self, context, drop, batch, anchor, echo)

    monkeypatch.setattr(JointDenoiser, "prepare_context", spy)
    return seen


# State


@pytest.mark.parametrize("hops", [(16, None), (None, 16)], ids=["longer", "shorter"])
@pytest.mark.parametrize("later", [0, 4096])
def test_a_stream_with_other_blocks_takes_style_and_beat_over(
    stack: Stack, hops: tuple[int | None, int | None], later: int
) -> None:
    """At the place in the sound where it goes on, which may lie before the end of what the other one made."""
    before, after = (BlockStream(stack, hop_tokens=hop) for hop in hops)
    before.set_context(kicks(140))
    knobs = BlockSettings(seed=5, tempo=133.3)
    sound = torch.cat([before.step(knobs).audio for _ in range(4)], 2)
    heard = sound[..., : sound.shape[2] - later]
    after.set_context(after.prepare_context(heard, before.carried(knobs, later)))
    old, new = held(before), held(after)
    assert new.style is old.style and new.played is old.played and new.tempo == old.tempo
    assert old.beat is not None and new.beat is not None
    # Sound leaves `latency_frames` after its place in the latents.
    behind = (before.latency_frames + later) / 44_100 / 60 * 133.3
    assert (old.beat - new.beat - behind + 2) % 4 - 2 == pytest.approx(0, abs=0.01)
    context = after.save().levels[2].context
    own = BlockStream(stack).prepare_context(heard)[2].context
    assert context is not None and own is not None and torch.equal(context, own)


def test_anchors_of_a_stream_that_knows_none_are_found_in_the_sound(stack: Stack) -> None:
    stream = BlockStream(stack)
    stream.set_context(stream.prepare_context(kicks(140), {}))
    assert held(stream).tempo == pytest.approx(140, rel=0.03)


def test_a_reset_stream_plays_the_same_again(stack: Stack) -> None:
    stream = BlockStream(stack)
    first = steps(stream, 4, seed=3, tempo=120)
    stream.reset()
    assert held(stream) == AnchorState(None, None, 0.0, None)
    assert torch.equal(steps(stream, 4, seed=3, tempo=120), first)


# Style


def test_a_stream_keeps_the_style_of_its_context(stack: Stack) -> None:
    stream = BlockStream(stack)
    stream.set_context(kicks(140))
    heard = held(stream).style
    stage = stream.stages[0]
    context = stage.encode_context(kicks(140))
    assert context is not None and stage.steering.anchor is not None and heard is not None
    assert torch.equal(heard, stage.steering.anchor.style_of(context))
    steps(stream, 3)
    assert torch.equal(held(stream).style, heard)  # type: ignore[arg-type]
    stream.set_context(0.1 * kicks(140))
    other = held(stream)
    assert not torch.allclose(other.style, heard)  # type: ignore[arg-type]
    assert other.played is None, "of another piece nothing was played yet"


def test_without_a_context_the_seed_chooses_a_real_style(stack: Stack) -> None:
    chosen = []
    for seed in (1, 2, 3, 1):
        stream = BlockStream(stack)
        steps(stream, seed=seed)
        style = held(stream).style
        assert style is not None
        bank = stack.denoisers[2].anchor.bank  # type: ignore[union-attr]
        assert int((bank == style).all(1).sum()) == 1 and len(bank) == BANK
        chosen.append(style)
        steps(stream, seed=seed + 1)
        assert torch.equal(held(stream).style, style), "another seed is another noise, not another piece"  # type: ignore[arg-type]
    assert torch.equal(chosen[0], chosen[3])
    assert not torch.equal(chosen[0], chosen[1]) and not torch.equal(chosen[1], chosen[2])


def test_a_context_for_one_block_lends_its_style(stack: Stack, told: list[Anchor]) -> None:
    stream = BlockStream(stack)
    stream.set_context(kicks(140))
    own = held(stream).style
    assert own is not None
    for context in (None, 0.1 * kicks(100), 0.1 * kicks(100)[..., : 4 * HOP], None):
        stream.step(BlockSettings(anchor=1e-9), context=context)  # so little that nothing pulls
    plain, lent, short, after = (anchor.style for anchor in told[-4:])
    assert torch.allclose(plain, own[:, :STYLE_FEATURES], atol=1e-4)
    assert not torch.allclose(lent, plain, atol=0.1)
    assert torch.allclose(short, plain, atol=1e-4), "a few tokens have no style worth taking"
    assert torch.allclose(after, plain, atol=1e-4) and torch.equal(held(stream).style, own)  # type: ignore[arg-type]


# The beat


def test_the_beat_goes_on_and_comes_round(stack: Stack, told: list[Anchor]) -> None:
    stream = BlockStream(stack)
    for block in range(1, 8):
        steps(stream, tempo=120)
        expected = (block * WINDOW * 120 / RATE) % BEATS
        assert held(stream).beat == pytest.approx(expected, abs=1e-9)
        assert float(told[-1].tempo) == pytest.approx(120 / RATE)
        assert float(told[-1].beat) == pytest.approx((block - 1) * WINDOW * 120 / RATE % BEATS, abs=1e-5)
    assert 7 * WINDOW * 120 / RATE > BEATS, "or it would not have come round"
    before = held(stream).beat
    assert before is not None
    steps(stream, tempo=90)
    assert held(stream).beat == pytest.approx((before + WINDOW * 90 / RATE) % BEATS)


def test_a_tempo_of_0_stops_the_clock(stack: Stack, told: list[Anchor]) -> None:
    stream = BlockStream(stack)
    steps(stream, tempo=120)
    steps(stream, tempo=0)
    assert held(stream).beat is None and float(told[-1].tempo) == 0
    assert bool(told[-1].known), "the style is told all the same"
    steps(stream, tempo=120)
    assert held(stream).beat is not None and float(told[-1].tempo) > 0
    assert not torch.equal(steps(BlockStream(stack), tempo=0), steps(BlockStream(stack), tempo=120))


@pytest.mark.parametrize("bpm", [100.0, 140.0])
def test_without_a_tempo_that_of_the_context_is_taken(stack: Stack, told: list[Anchor], bpm: float) -> None:
    stream = BlockStream(stack)
    steps(stream)
    assert float(told[-1].tempo) * RATE == pytest.approx(USUAL_TEMPO)
    stream.set_context(kicks(bpm))
    assert held(stream).tempo == pytest.approx(bpm, rel=0.02)
    steps(stream)
    assert float(told[-1].tempo) * RATE == pytest.approx(held(stream).tempo)
    steps(stream, tempo=80)
    assert float(told[-1].tempo) * RATE == pytest.approx(80)
    steps(stream)
    assert float(told[-1].tempo) * RATE == pytest.approx(held(stream).tempo)
    stream.set_context(0 * kicks(bpm))
    assert held(stream).tempo == 0


def test_a_beat_that_is_found_lies_where_the_onsets_are(stack: Stack, told: list[Anchor]) -> None:
    stream = BlockStream(stack)
    stream.set_context(kicks(140))
    context = stream.stages[0].encode_context(kicks(140))
    assert context is not None
    heard = held(stream)
    assert heard.tempo == pytest.approx(140, rel=0.02)
    place = estimated_place(context[0], heard.tempo / RATE)
    assert abs(place - 0.25) < 0.1
    steps(stream, tempo=140)
    beat = float(told[-1].beat)
    assert 0 <= beat < BEATS and min((beat - place) % 0.5, (place - beat) % 0.5) < 1e-4
    assert beat == heard.beat
    found = held(stream).beat
    assert found == pytest.approx((beat + WINDOW * 140 / RATE) % BEATS, abs=1e-4)


@pytest.mark.parametrize("truth", [0.0, 1.0, 1.5, 3.0])
def test_of_the_possible_beats_the_network_chooses(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, truth: float
) -> None:
    """A network that is as wrong as the beat that it is told."""
    anchor = StreamAnchor(stack.denoisers[2], RATE, torch.full((CHANNELS,), DECIBELS))  # type: ignore[arg-type]
    per_token = 140 / RATE
    context = 0.1 * torch.randn(1, 4 * WINDOW + 7, CHANNELS, generator=torch.Generator().manual_seed(0))
    windows = []

    class Knows:
        config = stack.denoisers[2].config

        def prepare_context(self, context: Any, drop: Any, rows: int, anchor: Anchor) -> Anchor:
            windows.append(anchor.beat[0])
            self.first = truth - (4 * WINDOW - WINDOW * ((len(windows) - 1) % 4)) * per_token
            return anchor

        def __call__(self, x: Tensor, sigma: Tensor, prepared: Anchor) -> Tensor:
            far = ((prepared.beat - self.first + BEATS / 2) % BEATS - BEATS / 2).abs()
            return 100 * far[:, None, None].expand_as(x)

    monkeypatch.setattr(anchor, "_network", Knows())
    monkeypatch.setattr("jbdiff.stream.anchor.estimated_place", lambda bands, per_token: 0.5)
    monkeypatch.setattr("jbdiff.stream.anchor.estimated_tempo", lambda bands, rate: 140.0)
    state = anchor.begun(context)
    assert state.beat == truth and len(windows) == 4


def test_a_clock_that_is_turned_on_takes_the_beat_of_what_was_played(stack: Stack) -> None:
    stream = BlockStream(stack)
    stream.set_context(kicks(140))
    steps(stream, tempo=0)
    assert held(stream).beat is None
    context = stream.save().levels[2].context
    assert context is not None
    steps(stream, tempo=140)
    expected = (estimated_place(context[0], 140 / RATE) + WINDOW * 140 / RATE) % BEATS
    assert held(stream).beat == pytest.approx(expected, abs=1e-4)


# Knobs


def test_every_knob_is_heard(stack: Stack) -> None:
    plain = steps(BlockStream(stack), 2)
    for knob in ({"brightness": 0.5}, {"motion": -0.5}, {"anchor": 0.0}, {"anchor": 0.5}, {"tempo": 100}):
        assert not torch.allclose(steps(BlockStream(stack), 2, **knob), plain, atol=1e-5), knob
    assert torch.equal(steps(BlockStream(stack), 2), plain)


def test_without_an_anchor_brightness_and_motion_are_not_heard(stack: Stack) -> None:
    plain = steps(BlockStream(stack), 2, anchor=0.0)
    assert torch.equal(steps(BlockStream(stack), 2, anchor=0.0, brightness=1.0, motion=1.0), plain)


def of_style(level: float) -> Tensor:
    return torch.cat([torch.full((1, STYLE_FEATURES), level), torch.zeros(1, MEANS)], 1)


@pytest.fixture
def anchor(stack: Stack) -> StreamAnchor:
    return StreamAnchor(stack.denoisers[2], RATE, torch.full((CHANNELS,), DECIBELS))  # type: ignore[arg-type]


def test_brightness_tilts_the_levels_and_motion_is_of_all_that_moves(anchor: StreamAnchor) -> None:
    state = AnchorState(of_style(0.0), None, 0.0, None)

    def parts(**knobs: float) -> tuple[Tensor, ...]:
        told = anchor.for_window(state, BlockSettings(tempo=0, **knobs), 0)  # type: ignore[arg-type]
        return told.style[0].split([MEANS, 2 * MOTIONS])

    means, moving = parts(brightness=1.0)
    pitched = means[:-1]  # strokes lie on no scale
    assert not moving.any() and float(means[-1]) == 0
    assert (
        (pitched.diff() > 0).all() and float(pitched[0]) == -BRIGHTNESS and float(pitched[-1]) == BRIGHTNESS
    )
    assert torch.equal(parts(brightness=-1.0)[0], -means)
    still, moving = parts(motion=0.5)
    assert not still.any() and (moving == 0.5 * MOTION).all()


def test_what_is_missing_is_told_more_of_but_not_without_end(anchor: StreamAnchor) -> None:
    def pulled(played: float, firm: float = 1.0) -> Tensor:
        state = AnchorState(of_style(0.0), of_style(played), 0.0, None)
        return anchor.for_window(state, BlockSettings(tempo=0, anchor=firm), 0).style

    assert not pulled(0.0).any()
    assert (pulled(0.2) < 0).all() and (pulled(-0.2) > 0).all()
    torch.testing.assert_close(pulled(0.4), 2 * pulled(0.2))
    torch.testing.assert_close(pulled(0.2, 0.5), pulled(0.2) / 2)
    assert (pulled(1e6) == -MOST_PULL).all() and (pulled(-1e6) == MOST_PULL).all()
    assert not pulled(1e6, 0.0).any()


def test_what_is_too_loud_is_told_of_lower_levels(anchor: StreamAnchor) -> None:
    loud = of_style(0.0)
    loud[:, STYLE_FEATURES] = 1.0  # 6 dB too much at the bottom
    state = AnchorState(of_style(0.0), loud, 0.0, None)
    told = anchor.for_window(state, BlockSettings(tempo=0), 0).style[0]
    assert float(told[0]) < 0 and not told[1:].any()
    moving = anchor.for_window(state, BlockSettings(tempo=0, motion=1.0), 0).style[0]
    assert float(moving[0]) == 0, "more motion is louder strokes"


def test_what_was_played_is_measured_slowly(anchor: StreamAnchor) -> None:
    generator = torch.Generator().manual_seed(0)
    history = torch.randn(1, CHANNELS, WINDOW + 20, generator=generator)
    state, settings = AnchorState(of_style(0.0), None, 0.0, None), BlockSettings(tempo=0)
    assert anchor.moved(state, settings, history[..., : WINDOW - 1], 16).played is None
    first = anchor.moved(state, settings, history, 16).played
    newest = anchor.style_of(history[..., -WINDOW:].transpose(1, 2))
    assert first is not None and torch.equal(first, newest)
    after = anchor.moved(dataclasses.replace(state, played=of_style(0.0)), settings, history, 16).played
    torch.testing.assert_close(after, of_style(0.0) + 16 / (PULL_WINDOWS * WINDOW) * (newest - of_style(0.0)))


# In a stream of any kind


def test_short_hops_are_told_of_the_whole_window(stack: Stack, told: list[Anchor]) -> None:
    stream = BlockStream(stack, hop_tokens=16)
    stream.set_context(kicks(140))
    kept = stream.stages[0].held
    assert kept == 8
    audio = steps(stream, tempo=120)
    for block in range(6):
        before = held(stream).beat
        audio = torch.cat([audio, steps(stream, tempo=120)], 2)
        assert before is not None
        window = before - min(kept, 16 * (block + 1)) * 120 / RATE
        assert float(told[-1].beat) == pytest.approx(window, abs=1e-5)
        assert held(stream).beat == pytest.approx((before + 16 * 120 / RATE) % BEATS)
    assert audio.shape == (1, 1, 7 * 16 * HOP) and audio.isfinite().all()
    assert held(stream).played is not None


@pytest.mark.parametrize("tokens", [0, 1, 2, 3, 5, 30, 100, 300])
def test_any_length_of_context_has_an_anchor(stack: Stack, tokens: int) -> None:
    stream = BlockStream(stack)
    stream.set_context(kicks(140, 4.0)[..., : tokens * HOP])
    assert (held(stream).style is None) == (tokens < 2)
    assert steps(stream, 2, tempo=120).isfinite().all()
    assert held(stream).style is not None


def test_a_stack_without_an_anchor_heeds_none_of_it() -> None:
    plain = small_stack(anchor=False)
    stream = BlockStream(plain)
    expected = steps(stream, 2)
    assert stream.save().levels[2].anchor is None
    for knob in ({"brightness": 0.5}, {"motion": -0.5}, {"anchor": 0.0}, {"tempo": 100}, {"tempo": 0}):
        assert torch.equal(steps(BlockStream(plain), 2, **knob), expected), knob
    stream.set_context(kicks(140))
    assert stream.save().levels[2].anchor is None
    assert StreamState.from_bytes(stream.save().to_bytes()).levels[2].anchor is None
    with pytest.raises(ValueError, match="without an anchor"):
        StreamAnchor(plain.denoisers[2], RATE, torch.ones(CHANNELS))  # type: ignore[arg-type]


def test_a_student_is_told_as_well(told: list[Anchor]) -> None:
    taught = small_stack(few=True)
    plain = steps(BlockStream(taught), steps=2)
    assert told and float(told[-1].tempo) * RATE == pytest.approx(USUAL_TEMPO)
    for knob in ({"brightness": 0.5}, {"motion": -0.5}, {"tempo": 100}):
        assert not torch.allclose(steps(BlockStream(taught), steps=2, **knob), plain, atol=1e-5), knob


# The level's sampler


def test_a_level_is_sampled_as_it_says_unless_another_is_asked_for() -> None:
    own = small_stack(sampler="deis_3")
    assert BlockStream(own).stages[0].denoise.sampler is sample_deis_3
    assert BlockStream(own, sampler=sample_unipc).stages[0].denoise.sampler is sample_unipc
    assert BlockStream(small_stack()).stages[0].denoise.sampler is sample_vddim
    sounds = [steps(BlockStream(own, sampler=sampler)) for sampler in (None, sample_deis_3, sample_vddim)]
    assert torch.equal(sounds[0], sounds[1]) and not torch.allclose(sounds[0], sounds[2], atol=1e-4)
    with pytest.raises(ValueError, match="no sampler 'magic'; known"):
        BlockStream(small_stack(sampler="magic"))
