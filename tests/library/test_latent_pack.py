"""Latents as small files: what goes in comes out within a step, and trains a denoiser."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from toys import train
from typer.testing import CliRunner

pytest.importorskip("lightning")

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.codecs.bands import CHANNELS
from jbdiff.config import BandCodecConfig, JointDenoiserConfig
from jbdiff.data.clips import Clips, ClipWriter
from jbdiff.networks.anchor import MEANS
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.train.cli import app
from jbdiff.train.latents.latent_pack import STEP, is_packed, pack_latents, packed, unpack, unpacked

PLAIN = BandCodecConfig(decoder_channels=8, decoder_blocks=1, local_channels=2)
DETAILED = dataclasses.replace(PLAIN, latent_channels=CHANNELS + 16, detail_bands=4)
PART = 16_000  # of latents of 1200 tokens that take 50 000


def codec(config: BandCodecConfig = PLAIN) -> BandCodec:
    torch.manual_seed(0)
    return BandCodec(config).eval()


def latents(length: int, seed: int, channels: int = CHANNELS) -> np.ndarray:
    """Something that moves as music does: little from one token to the next."""
    steps = np.random.default_rng(seed).standard_normal((length, channels))
    return np.cumsum(0.1 * steps, 0).astype(np.float16)


def clips(folder: Path, lengths: tuple[int, ...], first: int = 0, channels: int = CHANNELS) -> Clips:
    """Clips of a bar of 16 tokens, every other one of none, whose names say which mix of what they are."""
    writer = ClipWriter(folder, "float16", (channels,))
    for number, length in enumerate(lengths, first):
        writer.add(f"/somewhere/else/track{number} mix {number % 2}", latents(length, number, channels))
    return writer.finish([], bars=[16.0 * (number % 2) for number, _ in enumerate(lengths, first)])


def pack(
    tmp_path: Path, config: BandCodecConfig = PLAIN, part_bytes: int = PART
) -> tuple[list[Clips], list[Path]]:
    """Two training collections and a held-out one in `tmp_path / "packed"`."""
    made = [
        clips(tmp_path / "one", (200, 300, 250, 150), 0, config.latent_channels),
        clips(tmp_path / "two", (220, 90), 10, config.latent_channels),
        clips(tmp_path / "held", (180, 160), 20, config.latent_channels),
    ]
    return made, pack_latents(made[:2], made[2], codec(config), tmp_path / "packed", part_bytes)


def by_name(found: Clips) -> dict[str, tuple[np.ndarray, float]]:
    return {name: (found.clip(i).astype(np.float32), found.bars[i]) for i, name in enumerate(found.names)}


def test_what_was_packed_comes_back_within_a_step() -> None:
    bands = latents(500, 0)
    found = unpack(packed(bands), np.random.default_rng(0))
    assert found.shape == bands.shape and found.dtype == np.float16
    error = found.astype(np.float32) - bands.astype(np.float32)
    assert np.abs(error).max() <= STEP * 1.05
    # Rounding and noise of the same width: as good as the steps allow, and around nothing.
    assert error.std() == pytest.approx(STEP / 6**0.5, rel=0.05) and abs(error.mean()) < STEP / 100
    assert len(packed(bands)) < bands.nbytes / 3


def test_a_fall_from_one_end_to_the_other_comes_back() -> None:
    """Changes of more than a byte holds."""
    bands = np.full((6, CHANNELS), 11.9, np.float32)
    bands[::2] = -11.9
    bands[4] = -100.0  # further than any latent: cut
    found = unpack(packed(bands), np.random.default_rng(0)).astype(np.float32)
    assert np.abs(found - np.clip(bands, -12, 12)).max() <= STEP


def test_packed_clips_are_all_there_with_their_bars(tmp_path: Path) -> None:
    (one, two, held), _ = pack(tmp_path)
    assert is_packed(tmp_path / "packed") and not is_packed(tmp_path / "one")
    training, heldout = unpacked(tmp_path / "packed", codec(), tmp_path / "cache")
    assert len(training) == 6 and len(heldout) == 2
    found = by_name(training) | by_name(heldout)
    for source in (one, two, held):
        for index, name in enumerate(source.names):
            back, bar = found[name.rsplit("/", 1)[1]]  # the folders of another machine are left out
            assert bar == source.bars[index]
            assert back.shape == (source.lengths[index], CHANNELS)
            assert np.abs(back - source.clip(index).astype(np.float32)).max() <= 1.05 * STEP
    assert set(by_name(heldout)) == {"track20 mix 0", "track21 mix 1"}


def test_no_part_is_larger_than_allowed(tmp_path: Path) -> None:
    _, parts = pack(tmp_path)
    assert len(parts) > 2 and parts == sorted(parts)
    sizes = [path.stat().st_size for path in parts]
    assert max(sizes) <= PART and min(sizes[:-1]) > PART / 3
    _, whole = pack(tmp_path / "again", part_bytes=10 * PART)
    assert len(whole) == 1


def test_more_parts_may_be_added(tmp_path: Path) -> None:
    made, parts = pack(tmp_path)
    (few := tmp_path / "few").mkdir()
    for path in (tmp_path / "packed" / "packed.json", *parts[:2]):
        (few / path.name).write_bytes(path.read_bytes())
    first = unpacked(few, codec(), tmp_path / "cache")[0]
    for path in parts[2:]:
        (few / path.name).write_bytes(path.read_bytes())
    training, heldout = unpacked(few, codec(), tmp_path / "cache")
    assert len(first) < len(training) == 6 and len(heldout) == len(made[2])


def test_a_cache_of_the_same_parts_is_used_again(tmp_path: Path) -> None:
    pack(tmp_path)
    first = unpacked(tmp_path / "packed", codec(), tmp_path / "cache")
    paths = sorted((tmp_path / "cache").glob("*/data.raw"))
    before = [path.stat().st_mtime_ns for path in paths]
    again = unpacked(tmp_path / "packed", codec(), tmp_path / "cache")
    assert len(paths) == 2 and [path.stat().st_mtime_ns for path in paths] == before
    for one, other in zip(first, again, strict=True):
        assert one.names == other.names and one.bars == other.bars
        assert np.array_equal(one.array, other.array)
    # A run that was broken off while it wrote is no cache.
    (tmp_path / "cache" / "latents_unpacked" / "index.json").unlink()
    assert len(unpacked(tmp_path / "packed", codec(), tmp_path / "cache")[0]) == 6
    assert paths[0].stat().st_mtime_ns != before[0]


def test_latents_of_another_codec_are_refused(tmp_path: Path) -> None:
    pack(tmp_path)
    other = codec()
    other.analysis.mean[3] += 1
    with pytest.raises(ValueError, match="another codec made the latents"):
        unpacked(tmp_path / "packed", other, tmp_path / "cache")
    other.analysis.mean[3] -= 1
    with torch.no_grad():
        next(other.synthesis.parameters()).add_(1)  # what decodes them may change freely
    assert len(unpacked(tmp_path / "packed", other, tmp_path / "cache")[0]) == 6


def test_a_folder_without_held_out_latents_says_what_to_do(tmp_path: Path) -> None:
    made, _ = pack(tmp_path)
    pack_latents(made[:1], made[2].only([]), codec(), tmp_path / "bare", PART)
    with pytest.raises(ValueError, match=r"no clips in .*pack training and held-out"):
        unpacked(tmp_path / "bare", codec(), tmp_path / "cache")


# Training

TOY = """
steps = 2
round-steps = 2
batch = 2
devices = "1"
accelerator = "cpu"
bf16 = false
[denoiser]
levels = 2
[denoiser.sizes]
window_tokens = 16
context_tokens = 32
width = 16
depth = 1
heads = 2
[distill.sizes]
rank = 2
"""
SIZES = JointDenoiserConfig(window_tokens=16, context_tokens=32, width=16, depth=1, heads=2, anchor=True)


def weights(folder: Path, module: torch.nn.Module, part: str, config: object) -> Path:
    """As a run writes them."""
    folder.mkdir()
    save_file(module.state_dict(), folder / "weights.safetensors")
    (folder / "run.json").write_text(json.dumps({part: dataclasses.asdict(config)}))  # type: ignore[call-overload]
    return folder / "weights.safetensors"


def test_a_denoiser_and_its_student_train_on_packed_latents(tmp_path: Path) -> None:
    pack(tmp_path)
    (tmp_path / "toy.toml").write_text(TOY)
    given = weights(tmp_path / "codec", codec(), "codec", PLAIN)
    common = ("--config", tmp_path / "toy.toml", "--data", tmp_path / "packed", "--codec-weights", given)
    run = tmp_path / "runs" / "level2"
    train("denoiser", *common, "--out", run)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 2 and np.isfinite(rows[-1]["loss"])
    made = load_file(run / "weights.safetensors")
    assert len(made["anchor.bank"].unique(dim=0)) > 1 and bool((made["anchor.spread"][:MEANS] > 0.05).all())
    assert list((run / "demos").glob("*.wav"))
    train(
        "distill",
        *common,
        "--denoiser-weights",
        run / "weights.safetensors",
        "--out",
        tmp_path / "runs" / "few",
    )
    assert (tmp_path / "runs" / "few" / "weights.safetensors").is_file()
    assert len(list((tmp_path / "runs" / "cache").iterdir())) == 2, "both have unpacked them once"


def test_a_denoiser_with_detail_goes_on_from_its_weights_on_packed_bands(tmp_path: Path) -> None:
    from jbdiff.train.jobs.denoiser import fitted

    pack(tmp_path, DETAILED)
    (tmp_path / "toy.toml").write_text(TOY)
    config = fitted(SIZES, DETAILED)
    given = weights(tmp_path / "codec", codec(DETAILED), "codec", DETAILED)
    start = weights(tmp_path / "start", JointDenoiser(config), "denoiser", config)
    common = ("--config", tmp_path / "toy.toml", "--data", tmp_path / "packed", "--codec-weights", given)
    run = tmp_path / "runs" / "level2"
    train("denoiser", *common, "--denoiser-weights", start, "--out", run)
    before, after = load_file(start), load_file(run / "weights.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and not any(name.startswith("detail.") for name in changed)
    assert list((run / "demos").glob("*.wav"))
    train(
        "distill",
        *common,
        "--denoiser-weights",
        run / "weights.safetensors",
        "--out",
        tmp_path / "runs" / "few",
    )
    # Without weights to start from there is no detail to learn from.
    refused = CliRunner().invoke(
        app, [str(w) for w in ("denoiser", *common, "--out", tmp_path / "runs" / "fresh")]
    )
    assert refused.exit_code == 1 and "--denoiser-weights" in refused.output
