"""Weight files: what loads, and what is refused in words."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from toys import FIXTURES, write_toy_stack

from jbdiff.codecs.vqvae import VQVAE
from jbdiff.config import (
    STACKS,
    V1,
    BandCodecConfig,
    DetailConfig,
    FewStepsConfig,
    JointDenoiserConfig,
    LevelConfig,
    SpectralFinisherConfig,
    StackConfig,
    UNetConfig,
    VQVAEConfig,
    stack_from_dict,
    stack_to_dict,
)
from jbdiff.networks.unet import UNet
from jbdiff.stacks.stack import CheckpointError, Stack, known_stacks, load_stack, save_stack
from jbdiff.stacks.v1_layout import unet_duplicate_keys, unet_key_map, unet_tensors, v1_role, vqvae_tensors
from jbdiff.stacks.weight_files import load_into, read_checkpoint


def full_keys(name: str, prefix: str) -> dict[str, list[int]]:
    """Keys and shapes of a full-size file, as recorded from the published layout."""
    keys = {}
    for line in (FIXTURES / f"full_keys_{name}.txt").read_text().splitlines():
        key, shape, _ = line.split("\t")
        if key.startswith(prefix):
            keys[key.removeprefix(prefix)] = json.loads(shape)
    return keys


def save_toy(folder: Path, stack: Stack, source: dict[str, str] | None = None) -> Path:
    return save_stack(folder, stack.config, stack.codec, stack.denoisers, source, finisher=stack.finisher)


def test_full_size_unet_has_the_published_layout() -> None:
    with torch.device("meta"):
        ours = {name: list(tensor.shape) for name, tensor in UNet(UNetConfig()).state_dict().items()}
    theirs = full_keys("jb_level2", "diffusion.net.")
    names = unet_key_map(UNetConfig())
    assert {names[name]: shape for name, shape in ours.items()} == {
        name: shape for name, shape in theirs.items() if name not in unet_duplicate_keys()
    }
    for duplicate, original in unet_duplicate_keys().items():
        assert theirs[duplicate] == theirs[original]


def test_full_size_vqvae_has_the_published_layout() -> None:
    with torch.device("meta"):
        ours = {name: list(tensor.shape) for name, tensor in VQVAE(VQVAEConfig()).state_dict().items()}
    assert ours == full_keys("vqvae", "")
    assert ours == full_keys("jb_level2", "vqvae.")


def test_the_vqvae_inside_a_level_file_is_the_official_one() -> None:
    inside = vqvae_tensors(read_checkpoint(FIXTURES / "jb_level0.ckpt"))
    official = vqvae_tensors(read_checkpoint(FIXTURES / "vqvae.pth.tar"))
    assert inside.keys() == official.keys()
    assert all(torch.equal(inside[name], official[name]) for name in inside)


def test_a_saved_stack_loads_again(tmp_path: Path, toy_stack: Stack) -> None:
    folder = save_toy(tmp_path / "saved", toy_stack, source={"made": "by a test"})
    again = load_stack(folder)
    assert again.config == toy_stack.config
    assert again.source == {"made": "by a test"}
    assert again.levels == (2, 1, 0)
    old, new = toy_stack.denoisers[1].state_dict(), again.denoisers[1].state_dict()
    assert all(new[name].dtype == torch.float32 for name in new)
    assert all(torch.equal(new[name], old[name].half().float()) for name in new)
    assert not any(parameter.requires_grad for parameter in again.codec.parameters())


def test_identity_tells_stacks_apart_and_stays_the_same(toy_folder: Path, toy_stack: Stack, tmp_path) -> None:
    assert load_stack(toy_folder).identity == toy_stack.identity
    other = save_toy(tmp_path / "x", toy_stack)
    assert load_stack(other).identity != toy_stack.identity


@pytest.mark.parametrize("stack", STACKS.values(), ids=lambda stack: stack.name)
def test_stack_sizes_survive_json(stack: StackConfig) -> None:
    assert stack_from_dict(json.loads(json.dumps(stack_to_dict(stack)))) == stack


def test_stacks_without_an_anchor_are_described_as_ever() -> None:
    """A saved stream asks for its stack's identity, which is made from this text."""
    told = LevelConfig(2, JointDenoiserConfig(detail=DetailConfig()), 192, steps=12, guidance=1.5)
    told = dataclasses.replace(told, few=FewStepsConfig())
    codec = BandCodecConfig(latent_channels=400, detail_bands=75, match_rounds=8)
    pocket = StackConfig("pocket", codec, (told,), SpectralFinisherConfig())

    def digest(stack: StackConfig) -> str:
        return hashlib.sha256(json.dumps(stack_to_dict(stack), sort_keys=True).encode()).hexdigest()

    # Of 0b68d21, which knew of no anchors and no samplers.
    assert digest(V1) == "41360dc086839e2a5fe487f42e0e042da52e67dafbdc36df806153d907071c9f"
    assert digest(pocket) == "db200902d807daefc1a07acdf6414d4cdf0fbeaddccc7331357583f769d552fc"
    anchored = dataclasses.replace(told, denoiser=dataclasses.replace(told.denoiser, anchor=True))
    others = (
        anchored,
        dataclasses.replace(told, sampler="deis_3"),
        dataclasses.replace(told, guidance_interval=(0.0, 0.6)),
    )
    for level in others:
        stack = dataclasses.replace(pocket, levels=(level,))
        assert digest(stack) != digest(pocket)
        assert stack_from_dict(json.loads(json.dumps(stack_to_dict(stack)))) == stack


@pytest.mark.parametrize("interval", [[0.6, 0.3], [-0.1, 0.5], [0.5, 1.1]])
def test_guidance_pulls_between_noise_levels_that_there_are(interval: list[float]) -> None:
    values = stack_to_dict(V1)
    values["levels"][0]["guidance_interval"] = interval
    with pytest.raises(ValueError, match=r"noise levels are 0\.\.1"):
        stack_from_dict(values)


def test_a_stack_is_saved_whole_or_not_at_all(tmp_path: Path, toy_stack: Stack) -> None:
    with pytest.raises(ValueError, match=r"'level0', 'finisher'\], and \['codec'\] were given"):
        save_stack(tmp_path / "half", toy_stack.config, toy_stack.codec, {})
    assert not (tmp_path / "half").exists()


def test_unknown_fields_and_kinds_are_refused() -> None:
    values = stack_to_dict(V1)
    with pytest.raises(ValueError, match="no field colour"):
        stack_from_dict(values | {"colour": "red"})
    with pytest.raises(ValueError, match="unknown codec kind 'wax'"):
        stack_from_dict(values | {"codec": {"kind": "wax"}})


def test_stacks_are_found_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy_config) -> None:
    monkeypatch.setenv("JBDIFF_HOME", str(tmp_path))
    write_toy_stack(tmp_path / "mine", toy_config)
    assert known_stacks()["mine"] == tmp_path / "mine"
    assert load_stack("mine").config == toy_config
    with pytest.raises(CheckpointError, match=r"known: .*mine"):
        load_stack("yours")


def test_a_folder_of_original_files_needs_no_description(tmp_path: Path, monkeypatch, toy_config) -> None:
    monkeypatch.setattr("jbdiff.stacks.stack.V1", toy_config)
    for level in (2, 1):
        shutil.copy(FIXTURES / f"jb_level{level}.ckpt", tmp_path)
    stack = load_stack(tmp_path)
    assert stack.levels == (2, 1)
    assert isinstance(stack.codec, VQVAE)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("epoch=543-step=705000.ckpt", "level0"),
        ("epoch=4938-step=400000_vqvae_add.ckpt", "level2"),
        ("jb_level1.ckpt", "level1"),
        ("vqvae.pth.tar", "codec"),
        ("dd.ckpt", "finisher"),
        ("epoch=1-step=2.ckpt", None),
    ],
)
def test_original_files_are_told_apart_by_name(name: str, role: str | None) -> None:
    assert v1_role(Path(name)) == role


# Refusals


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no file .*nothing\.ckpt"):
        read_checkpoint(tmp_path / "nothing.ckpt")


@pytest.mark.parametrize("name", ["jb_level2.ckpt", "vqvae.pth.tar"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated_pytorch_files_are_refused(tmp_path: Path, name: str, share: float) -> None:
    content = (FIXTURES / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_truncated_safetensors_are_refused(tmp_path: Path, share: float) -> None:
    content = (FIXTURES / "unet.safetensors").read_bytes()
    path = tmp_path / "unet.safetensors"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match="fetch it again"):
        read_checkpoint(path)


def test_a_flipped_bit_in_an_original_file_is_refused(tmp_path: Path) -> None:
    content = bytearray((FIXTURES / "jb_level2.ckpt").read_bytes())
    with zipfile.ZipFile(FIXTURES / "jb_level2.ckpt") as archive:
        weights = max(archive.infolist(), key=lambda info: info.file_size)
    content[weights.header_offset + 200 + weights.file_size // 2] ^= 0x40
    path = tmp_path / "jb_level2.ckpt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="checksum"):
        read_checkpoint(path)


def test_a_flipped_bit_in_a_stack_is_refused(tmp_path: Path, toy_stack: Stack) -> None:
    folder = save_toy(tmp_path / "s", toy_stack)
    path = folder / "level1.safetensors"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"level1\.safetensors \(level1\) has changed"):
        load_stack(folder)


class Hostile:
    """Creates a file when it is unpickled without care."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("legacy", [True, False])
def test_a_pickle_that_would_run_code_is_refused_before_it_runs(tmp_path: Path, legacy: bool) -> None:
    trap = tmp_path / "trap"
    path = tmp_path / "jb_level2.ckpt"
    torch.save({"state_dict": Hostile(trap)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match="run code"):
        read_checkpoint(path)
    path.write_bytes(pickle.dumps(Hostile(trap)))
    with pytest.raises(CheckpointError, match=r"run code|damaged"):
        read_checkpoint(path)
    assert not trap.exists()


def test_a_file_of_the_wrong_level_is_refused(tmp_path: Path, toy_config: StackConfig) -> None:
    folder = write_toy_stack(tmp_path / "mixed", toy_config)
    description = json.loads((folder / "config.json").read_text())
    files = description["files"]
    files["level1"], files["level0"] = files["level0"], files["level1"]
    (folder / "config.json").write_text(json.dumps(description))
    with pytest.raises(CheckpointError, match=r"jb_level0\.ckpt says it is level 0, and level 1 is needed"):
        load_stack(folder)


def test_a_file_of_the_wrong_kind_is_refused(toy_unet_config: UNetConfig) -> None:
    with pytest.raises(CheckpointError, match="is a Jukebox VQ-VAE; a Jukebox Diffusion level"):
        unet_tensors(read_checkpoint(FIXTURES / "vqvae.pth.tar"), toy_unet_config)


def test_a_file_of_the_wrong_size_is_refused(tmp_path: Path, toy_config: StackConfig) -> None:
    wide = dataclasses.replace(toy_config.levels[0].denoiser, channels=(16, 32, 32, 128))
    level = dataclasses.replace(toy_config.levels[0], denoiser=wide)
    folder = write_toy_stack(tmp_path / "wide", dataclasses.replace(toy_config, levels=(level,)))
    with pytest.raises(
        CheckpointError, match=r"another shape, such as depths\.3\.down\.weight: \[64, 32, 2\]"
    ):
        load_stack(folder)


def test_missing_and_extra_tensors_are_named(tmp_path: Path, toy_stack: Stack) -> None:
    config = dataclasses.replace(toy_stack.config, levels=(), finisher=None)
    folder = save_stack(tmp_path / "s", config, toy_stack.codec, {})
    tensors = load_file(folder / "codec.safetensors")
    tensors["stranger"] = tensors.pop("decoders.0.out.bias")
    save_file(tensors, folder / "codec.safetensors")
    description = json.loads((folder / "config.json").read_text())
    description["files"]["codec"].pop("sha256")
    with pytest.raises(CheckpointError, match="no stack description"):
        (folder / "config.json").write_text(json.dumps(description))
        load_stack(folder)
    with pytest.raises(CheckpointError, match=r"lacks 1 tensors, such as decoders\.0\.out\.bias.*stranger"):
        load_into(VQVAE(config.codec), tensors, "the codec", "codec.safetensors")


@pytest.mark.parametrize("name", ["../codec.safetensors", "/etc/hostname", "a/b"])
def test_a_description_that_points_elsewhere_is_refused(tmp_path: Path, toy_config, name: str) -> None:
    folder = write_toy_stack(tmp_path / "toy", toy_config)
    description = json.loads((folder / "config.json").read_text())
    description["files"]["codec"]["file"] = name
    (folder / "config.json").write_text(json.dumps(description))
    with pytest.raises(CheckpointError, match="leads out of the folder"):
        load_stack(folder)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "stack": 3}', "\udcff"])
def test_a_broken_description_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError):
        load_stack(tmp_path)


STAND_INS = {
    "Git LFS pointer.*git lfs pull": b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12345\n",
    "is a web page": b"\n  <!DOCTYPE html><html><body>Sign in</body></html>",
    "web page": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "is a text": b'{"error": "not found"}',
    "is a gzip archive; unpack": b"\x1f\x8b\x08\x00" + bytes(100),
    "is empty": b"",
}


@pytest.mark.parametrize("name", ["weights.ckpt", "weights.safetensors", "vqvae.pth.tar"])
@pytest.mark.parametrize("words", STAND_INS)
def test_what_stands_in_the_place_of_weights_is_named(words: str, name: str, tmp_path: Path) -> None:
    """The cause and the remedy, not torch's advice to switch its check off."""
    path = tmp_path / name
    path.write_bytes(STAND_INS[words])
    with pytest.raises(CheckpointError, match=words) as caught:
        read_checkpoint(path)
    assert name in str(caught.value) and "weights_only" not in str(caught.value)


def test_a_stack_that_was_cloned_without_its_weights_says_so(tmp_path: Path) -> None:
    """Its hashes do not fit either, and that is not the cause."""
    stack = tmp_path / "pocket"
    stack.mkdir()
    for path in known_stacks()["pocket"].iterdir():
        pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12345\n"
        (stack / path.name).write_bytes(path.read_bytes() if path.suffix == ".json" else pointer)
    with pytest.raises(CheckpointError, match="Git LFS pointer"):
        load_stack(stack)


def test_a_zip_that_unpacks_to_more_than_it_is_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50_000_000))
    with pytest.raises(CheckpointError, match="zip archive, not a PyTorch file"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "\ufeff{}", '{"format": 1, "stack": ' + "9" * 5000 + "}", "[]", "null"]
)
def test_a_description_without_sense_is_an_error_with_words(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match="no stack description"):
        load_stack(tmp_path)
