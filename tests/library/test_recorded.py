"""Our networks and samplers give what the first implementation gave, within its deviation from itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jbdiff.audio.crossfade import Crossfade, crossfade
from jbdiff.diffusion.noise import NoiseStyle, v1_base_noise, v1_noises
from jbdiff.diffusion.samplers import sample_vddim
from jbdiff.diffusion.schedules import alpha_beta, linear_sigmas
from jbdiff.guidance import GuidedModel
from jbdiff.stacks.stack import Stack
from jbdiff.stacks.v1_layout import unet_key_map
from jbdiff.stream.window import sample_window
from jbdiff.train.modules.objective import v_loss

Recorded = Callable[[str], dict[str, Tensor]]


def assert_close(ours: Tensor, theirs: Tensor, atol: float) -> None:
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= atol


@pytest.mark.parametrize(
    ("name", "scale"),
    [("out_scale1", 1.0), ("out_scale4", 4.0), ("out_scale1p3", 1.3), ("out_scale0", 0.0)],
)
def test_unet_with_guidance(toy_stack: Stack, recorded: Recorded, name: str, scale: float) -> None:
    unet = recorded("unet")
    model = GuidedModel(toy_stack.denoisers[2], unet["embedding"], scale, batch=2)
    assert_close(model(unet["x"], unet["sigma"]), unet[name], 1e-4)


def test_unet_with_short_context(toy_stack: Stack, recorded: Recorded) -> None:
    unet = recorded("unet")
    model = GuidedModel(toy_stack.denoisers[2], unet["embedding_short"], 2.0, batch=2)
    assert_close(model(unet["x"], unet["sigma"]), unet["out_short_scale2"], 1e-4)


def test_unet_at_twice_the_length(toy_stack: Stack, recorded: Recorded) -> None:
    unet = recorded("unet")
    x = torch.cat([unet["x"], unet["x"].flip(-1)], dim=2)
    assert_close(toy_stack.denoisers[2](x, unet["sigma"], unet["embedding"]), unet["out_x2_scale1"], 1e-4)


def test_unet_time_features(toy_stack: Stack, recorded: Recorded) -> None:
    unet = recorded("unet")
    assert_close(toy_stack.denoisers[2].time_embedding(unet["sigma"]), unet["time_features"], 1e-6)


def test_unet_refuses_a_context_that_is_too_long(toy_stack: Stack) -> None:
    with pytest.raises(ValueError, match="over this denoiser's 32"):
        toy_stack.denoisers[2](torch.zeros(1, 64, 16), torch.ones(1), torch.zeros(1, 33, 64))


@pytest.mark.parametrize(("steps", "scale"), [(10, 4.0), (10, 1.0), (3, 4.0)])
def test_v_sampler(toy_stack: Stack, recorded: Recorded, steps: int, scale: float) -> None:
    file = recorded("vsampler")
    model = GuidedModel(toy_stack.denoisers[2], file["embedding"], scale, batch=2)
    sample = sample_vddim(model, file["noise"], linear_sigmas(steps))
    assert_close(sample, file[f"sample{steps}_scale{int(scale)}"], 1e-4)


def test_schedule(recorded: Recorded) -> None:
    file = recorded("vsampler")
    sigmas = linear_sigmas(10)
    alphas, betas = alpha_beta(sigmas)
    for ours, name in ((sigmas, "sigmas11"), (alphas, "alphas11"), (betas, "betas11")):
        assert_close(ours, file[name], 1e-7)


@pytest.mark.parametrize("level", [2, 1, 0])
@pytest.mark.parametrize(
    ("name", "noise", "init", "strength", "steps", "guidance"),
    [
        ("noinit10", "noise", None, 0.0, 10, 4.0),
        ("init05_10", "noise", "init", 0.5, 10, 2.0),
        ("sameinit067_7", "init", "init", 0.67, 7, 1.3),  # the upsampling case
        ("init0_4", "noise", "init", 0.0, 4, 4.0),
    ],
)
def test_sampled_window(
    toy_stack: Stack,
    recorded: Recorded,
    level: int,
    name: str,
    noise: str,
    init: str | None,
    strength: float,
    steps: int,
    guidance: float,
) -> None:
    file = recorded("jb_sample")
    latents, audio = sample_window(
        toy_stack,
        level,
        file[noise],
        file["context"],
        steps=steps,
        guidance=guidance,
        init=file[init] if init else None,
        strength=strength,
    )
    assert_close(latents, file[f"L{level}_{name}_latent"], 1e-4)
    assert_close(audio.transpose(1, 2), file[f"L{level}_{name}_audio"], 1e-5)


@pytest.mark.parametrize("level", [2, 1, 0])
def test_vqvae(toy_stack: Stack, recorded: Recorded, level: int) -> None:
    prefix = f"L{level}_"
    file = {k.removeprefix(prefix): v for k, v in recorded("vqvae").items() if k.startswith(prefix)}
    codec = toy_stack.codec
    mono = file["audio_mono"].transpose(1, 2)
    stereo = file["audio_stereo"].mean(dim=2)[:, None]
    assert torch.equal(codec.encode_codes(mono, level), file["z_mono"])
    assert torch.equal(codec.encode_codes(stereo, level), file["z_stereo"])
    assert_close(codec.encode_raw(mono, level), file["enc_raw_mono"], 1e-5)
    assert_close(codec.encode(mono, level), file["xq_norm_mono"], 1e-5)
    assert_close(codec.encode(stereo, level), file["xq_norm_stereo"], 1e-5)
    assert_close(codec.codebook(level).k.mean(), file["norm_mean"], 1e-7)
    assert_close(codec.codebook(level).k.std(), file["norm_std"], 1e-7)
    assert_close(codec.normalise(file["enc_raw_mono"], level), file["raw_norm_pre"], 1e-5)
    assert_close(codec.denormalise(file["latent"], level), file["latent_norm_post"], 1e-6)
    codes = codec.codebook(level).nearest(file["latent_norm_post"])
    assert torch.equal(codes, file["latent_post_z"])
    assert_close(codec.codebook(level).lookup(codes), file["latent_post_xq"], 1e-5)
    assert_close(codec.quantise(file["latent"], level), codec.normalise(file["latent_post_xq"], level), 1e-5)
    assert_close(codec.decode(file["latent"], level).transpose(1, 2), file["latent_decode_audio"], 1e-5)
    assert_close(codec.decode_raw(file["latent_norm_post"], level), file["latent_decode_noquant"], 1e-5)
    roundtrip = codec.decode(codec.encode(mono, level), level)
    assert_close(roundtrip.transpose(1, 2), file["roundtrip_audio"], 1e-5)
    assert_close(codec.decode_codes(file["z_mono"], level).transpose(1, 2), file["decode_z_audio"], 1e-5)


@pytest.mark.parametrize("style", [style for style in NoiseStyle if style is not NoiseStyle.REGISTER])
def test_v1_noise_is_bit_exact(recorded: Recorded, recorded_config: dict, style: NoiseStyle) -> None:
    file = recorded("noise")
    tokens = recorded_config["config"]["base_tokens"]
    assert torch.equal(v1_base_noise(4, tokens, 4242, style), file[f"base_{style.value}"])
    assert torch.equal(v1_base_noise(3, tokens, 77, style, 0.6), file[f"base_{style.value}_step0p6"])
    finisher = torch.stack(v1_noises(4, (1, 2, 256), 31337, style, 0.4))
    assert torch.equal(finisher, file[f"dd_{style.value}"])


def test_crossfades(recorded: Recorded) -> None:
    file = recorded("xfade")
    fades = file["fade_out"], file["fade_in"]
    assert torch.equal(crossfade(*fades, Crossfade.LINEAR), file["linear"])
    assert torch.equal(crossfade(*fades, Crossfade.V1_CONSTANT_POWER), file["constant_power"])


def test_training_loss_and_gradients(toy_stack: Stack, recorded: Recorded) -> None:
    file = recorded("train_loss")
    net = toy_stack.denoisers[2]
    arguments = file["x"], file["embedding"], file["sigmas"], file["noise"]
    net.requires_grad_(True)
    try:
        loss = v_loss(net, *arguments)
        loss.backward()
        gradients = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
    finally:
        net.requires_grad_(False)
        net.zero_grad(set_to_none=True)
    torch.testing.assert_close(loss.detach(), file["loss"], rtol=1e-5, atol=0)
    norm = torch.stack([g.norm() for g in gradients.values()]).norm()
    torch.testing.assert_close(norm, file["grad_norm_total"], rtol=1e-5, atol=0)
    ours = {their_name: name for name, their_name in unet_key_map(net.config).items()}
    for key in (key for key in file if key.startswith("grad:")):
        assert_close(gradients[ours[key.removeprefix("grad:")]], file[key], 1e-6)

    everyone = torch.ones(2, dtype=torch.bool)
    masked = v_loss(net, *arguments, drop=everyone)
    torch.testing.assert_close(masked, file["loss_masked"], rtol=1e-5, atol=0)
    short = v_loss(net, file["x"], file["embedding_short"], file["sigmas"], file["noise"])
    torch.testing.assert_close(short, file["loss_short"], rtol=1e-5, atol=0)


def test_training_loss_of_an_upsampling_level(toy_stack: Stack, recorded: Recorded) -> None:
    file = recorded("train_loss")
    codec = toy_stack.codec
    audio, context = file["up_audio"].transpose(1, 2), file["up_context_audio"].transpose(1, 2)
    lossy = codec.decode(codec.encode(audio, 2), 2)
    noise = codec.encode(lossy, 1)
    assert_close(noise, file["up_x_noise"], 1e-5)
    loss = v_loss(
        toy_stack.denoisers[1],
        codec.encode(audio, 1),
        codec.encode(context, 1).transpose(1, 2),
        file["up_sigmas"],
        noise,
    )
    torch.testing.assert_close(loss, file["up_loss"], rtol=1e-5, atol=0)
