"""The pocket codec at toy size: whole tokens in, the same length out, chunks like the whole."""

from __future__ import annotations

import math

import pytest
import torch

from jbdiff.config import FrameCodecConfig
from jbdiff.framecodec import FrameCodec

TOY = FrameCodecConfig(
    hop_length=64,
    window_length=256,
    short_window_length=64,
    synthesis_window_length=128,
    frames_per_token=2,
    latent_channels=6,
    encoder_channels=16,
    encoder_blocks=1,
    decoder_channels=16,
    decoder_blocks=2,
    clock_period=4,
)


@pytest.fixture
def codec() -> FrameCodec:
    torch.manual_seed(0)
    return FrameCodec(TOY).eval().requires_grad_(False)


@pytest.mark.parametrize("tokens", [1, 5, 40])
def test_every_token_is_one_hop_of_samples(codec: FrameCodec, tokens: int) -> None:
    latents = codec.encode(torch.randn(2, 1, tokens * 64), 2)
    assert latents.shape == (2, 6, tokens)
    assert codec.decode(latents, 2).shape == (2, 1, tokens * 64)


def test_chunks_with_margin_sound_like_the_whole(codec: FrameCodec) -> None:
    margin, period = codec.decoder_margin(2), TOY.clock_period
    latents = torch.randn(1, 6, 4 * margin)
    whole = codec.decode(latents, 2)
    first, last = margin, 2 * margin
    assert first % period == 0
    chunk = codec.decode(latents[..., first - margin : last + margin], 2)
    inside = chunk[..., margin * 64 : (margin + last - first) * 64]
    torch.testing.assert_close(inside, whole[..., first * 64 : last * 64], atol=1e-5, rtol=1e-4)


def test_less_than_the_margin_is_heard(codec: FrameCodec) -> None:
    """The margin is no larger than one turn of the clock more than what really reaches a sample."""
    margin = codec.decoder_margin(2)
    latents = torch.randn(1, 6, 4 * margin)
    changed = latents.clone()
    changed[..., 2 * margin] += 3.0
    difference = (codec.decode(latents, 2) - codec.decode(changed, 2)).abs()[0, 0].reshape(-1, 64).amax(1)
    heard = difference.nonzero()[:, 0] - 2 * margin
    assert -margin <= int(heard.min()) and int(heard.max()) <= margin
    assert max(-int(heard.min()), int(heard.max())) > margin - TOY.clock_period - 1


def test_the_encoder_does_not_hear_polarity(codec: FrameCodec) -> None:
    audio = torch.randn(1, 1, 1280)
    torch.testing.assert_close(codec.encode(audio, 2), codec.encode(-audio, 2))


def test_silence_and_loud_latents_stay_finite(codec: FrameCodec) -> None:
    assert codec.encode(torch.zeros(1, 1, 640), 2).isfinite().all()
    assert codec.decode(torch.full((1, 6, 10), 1e3), 2).isfinite().all()


def test_training_standardises_latents(codec: FrameCodec) -> None:
    codec.train()
    latents = codec.encode(torch.randn(4, 1, 6400), 2)
    torch.testing.assert_close(latents.mean((0, 2)), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.std((0, 2)), torch.ones(6), atol=0.02, rtol=0)


def test_wrong_shapes_are_refused_with_words(codec: FrameCodec) -> None:
    with pytest.raises(ValueError, match="mono"):
        codec.encode(torch.zeros(1, 2, 640), 2)
    with pytest.raises(ValueError, match="whole number of tokens"):
        codec.encode(torch.zeros(1, 1, 641), 2)
    with pytest.raises(ValueError, match="only level 2"):
        codec.decode(torch.zeros(1, 6, 4), 1)
    with pytest.raises(ValueError, match="expected latents"):
        codec.decode(torch.zeros(1, 5, 4), 2)


def test_a_held_tone_can_move_on_in_phase(codec: FrameCodec) -> None:
    """Same latent in every token, yet not the same sound in every token: the clock turns."""
    audio = codec.decode(torch.ones(1, 6, 40), 2)[0, 0].reshape(40, 64)
    assert not torch.allclose(audio[20], audio[21], atol=1e-4)
    torch.testing.assert_close(audio[20], audio[20 + TOY.clock_period], atol=1e-5, rtol=1e-4)
    assert math.isfinite(float(audio.abs().max()))
