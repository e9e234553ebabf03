"""Original files to a stack folder: what is written, what is refused, and what it costs."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from toys import FIXTURES
from typer.testing import CliRunner

from jbdiff.cli import app
from jbdiff.config import StackConfig
from jbdiff.stacks.convert import convert, plan, write_tensors
from jbdiff.stacks.stack import CheckpointError, Stack, known_stacks, load_stack

ORIGINALS = ("jb_level2.ckpt", "jb_level1.ckpt", "jb_level0.ckpt", "dd.ckpt", "vqvae.pth.tar")


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    folder = tmp_path / "originals"
    folder.mkdir()
    for name in ORIGINALS:
        shutil.copy(FIXTURES / name, folder)
    return folder


def same_weights(a: Stack, b: Stack) -> bool:
    pairs = zip(a.modules(), b.modules(), strict=True)
    return all(
        torch.equal(x, y)
        for left, right in pairs
        for x, y in zip(left.state_dict().values(), right.state_dict().values(), strict=True)
    )


def test_original_files_become_the_same_stack(originals: Path, toy_config, toy_stack: Stack) -> None:
    lines: list[str] = []
    partial = originals.parent / "new.partial"
    partial.mkdir()
    (partial / "mine").touch()
    folder = convert(plan([originals], {}, toy_config), originals.parent / "new", report=lines.append)
    assert (partial / "mine").exists(), "a folder of somebody, whatever its name"
    stack = load_stack(folder)
    assert same_weights(stack, toy_stack)
    assert stack.source["level1"]["file"] == "jb_level1.ckpt" and len(stack.source["level1"]["sha256"]) == 64
    assert len(lines) == 5 and not any("warning" in line for line in lines)
    assert sorted(p.name for p in folder.iterdir()) == [
        "codec.safetensors", "config.json", "finisher.safetensors",
        "level0.safetensors", "level1.safetensors", "level2.safetensors",
    ]  # fmt: skip


def test_each_tensor_is_written_once(originals: Path, toy_config: StackConfig) -> None:
    folder = convert(plan([originals], {}, toy_config), originals.parent / "new")
    assert (folder / "level2.safetensors").stat().st_size < (originals / "jb_level2.ckpt").stat().st_size
    tensors = load_file(folder / "level2.safetensors")
    assert (folder / "level2.safetensors").stat().st_size < 4 * sum(
        t.numel() for t in tensors.values()
    ) + 50_000


def test_part_of_a_set_is_a_stack_too(originals: Path, toy_config: StackConfig) -> None:
    sources = [originals / "jb_level2.ckpt", originals / "vqvae.pth.tar"]
    stack = load_stack(convert(plan(sources, {}, toy_config), originals.parent / "two"))
    assert stack.levels == (2,) and stack.finisher is None
    alone = load_stack(convert(plan(sources[:1], {}, toy_config), originals.parent / "one"))
    assert same_weights(stack, alone)


def test_a_stack_of_ours_is_converted_again(originals: Path, toy_config: StackConfig) -> None:
    first = convert(plan([originals], {}, toy_config), originals.parent / "first")
    second = convert(plan([first], {}), originals.parent / "second", dtype=torch.float16)
    assert (second / "level2.safetensors").stat().st_size < 0.6 * (
        first / "level2.safetensors"
    ).stat().st_size
    assert load_stack(second).levels == (2, 1, 0)
    content = bytearray((first / "level1.safetensors").read_bytes())
    content[-9] ^= 1
    (first / "level1.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"level1\.safetensors .*has changed"):
        convert(plan([first], {}), originals.parent / "third")


def test_what_is_written_is_what_the_library_reads(tmp_path: Path) -> None:
    tensors = {
        "a": torch.randn(3, 5).t(),
        "scalar": torch.tensor(2.5),
        "whole": torch.tensor([1, 2, 3]),
        "empty": torch.zeros(0, 4),
    }
    write_tensors(tmp_path / "x.safetensors", tensors, torch.float32)
    again = load_file(tmp_path / "x.safetensors")
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[key], tensors[key]) for key in tensors)
    with safe_open(tmp_path / "x.safetensors", "pt") as handle:
        assert handle.get_slice("a").get_shape() == [5, 3]


# Refusals. Nothing is left behind.


def refused(what, originals: Path, match: str) -> None:
    with pytest.raises(CheckpointError, match=match):
        convert(what(), originals.parent / "new")
    assert not (originals.parent / "new").exists()
    assert not list(originals.parent.glob("*new*"))


@pytest.mark.parametrize("name", ORIGINALS)
def test_truncated_files_are_refused(originals: Path, toy_config, name: str) -> None:
    path = originals / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(lambda: plan([originals], {}, toy_config), originals, f"{name}.* is cut short or damaged|damaged")


def test_a_flipped_bit_is_refused(originals: Path, toy_config: StackConfig) -> None:
    path = originals / "dd.ckpt"
    with zipfile.ZipFile(path) as archive:
        weights = max(archive.infolist(), key=lambda info: info.file_size)
    content = bytearray(path.read_bytes())
    content[weights.header_offset + 200 + weights.file_size // 2] ^= 0x10
    path.write_bytes(content)
    refused(lambda: plan([originals], {}, toy_config), originals, r"dd\.ckpt is damaged: .*checksum")


def test_swapped_levels_are_refused(originals: Path, toy_config: StackConfig) -> None:
    roles = {"level2": originals / "jb_level1.ckpt", "level1": originals / "jb_level2.ckpt"}
    refused(lambda: plan([], roles, toy_config), originals, "says it is level 1, and level 2 is needed")


def test_mislabelled_kinds_are_refused(originals: Path, toy_config: StackConfig) -> None:
    for role, name, match in (
        ("level2", "vqvae.pth.tar", "is a Jukebox VQ-VAE; a Jukebox Diffusion level checkpoint is needed"),
        ("level2", "dd.ckpt", "is a finisher .* a Jukebox Diffusion level checkpoint is needed"),
        ("codec", "dd.ckpt", "is a finisher .* a Jukebox VQ-VAE is needed"),
        ("finisher", "jb_level0.ckpt", "of level 0; a finisher checkpoint is needed"),
    ):
        roles = {"level2": originals / "jb_level2.ckpt", "codec": originals / "vqvae.pth.tar"}
        roles |= {role: originals / name}
        refused(lambda roles=roles: plan([], roles, toy_config), originals, match)


def test_a_published_file_under_anothers_name_is_told_by_its_hash(originals: Path, toy_config, monkeypatch):
    from jbdiff.stacks import convert as module
    from jbdiff.stacks.weight_files import file_sha256

    known = dataclasses.replace(
        module.PUBLISHED[0], role="level0", sha256=file_sha256(originals / "jb_level2.ckpt")
    )
    monkeypatch.setattr(module, "PUBLISHED", (known,))
    refused(
        lambda: plan([originals], {}, toy_config), originals, "published file of level0, and level2 is needed"
    )


def test_wrong_sizes_are_refused(originals: Path) -> None:
    refused(lambda: plan([originals], {}), originals, "have another shape, such as .* is needed")


def test_values_that_are_not_finite_are_refused(originals: Path, toy_config: StackConfig) -> None:
    path = originals / "jb_level2.ckpt"
    content = torch.load(path, weights_only=True)
    key = next(name for name in content["state_dict"] if name.startswith("diffusion.net.blocks.2"))
    content["state_dict"][key].view(-1)[3] = float("nan")
    torch.save(content, path)
    refused(lambda: plan([originals], {}, toy_config), originals, r"jb_level2\.ckpt: .* not finite")


class Hostile:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


def test_a_file_that_would_run_code_is_refused(originals: Path, toy_config: StackConfig) -> None:
    trap = originals.parent / "trap"
    torch.save({"state_dict": {"a": torch.zeros(1)}, "callbacks": Hostile(trap)}, originals / "dd.ckpt")
    refused(lambda: plan([originals], {}, toy_config), originals, "run code")
    assert not trap.exists()


def test_a_folder_in_use_is_left_alone(originals: Path, toy_config: StackConfig) -> None:
    with pytest.raises(CheckpointError, match="is there already"):
        convert(plan([originals], {}, toy_config), originals)
    assert len(list(originals.iterdir())) == len(ORIGINALS)


def test_unclear_and_missing_files_are_named(originals: Path, toy_config: StackConfig) -> None:
    shutil.copy(originals / "jb_level2.ckpt", originals / "level2_again.ckpt")
    with pytest.raises(CheckpointError, match="two files for level2"):
        plan([originals], {}, toy_config)
    with pytest.raises(CheckpointError, match="no file or folder"):
        plan([originals / "nothing"], {}, toy_config)
    with pytest.raises(CheckpointError, match="at least one level"):
        plan([originals / "vqvae.pth.tar"], {}, toy_config)
    nameless = originals.parent / "epoch=1-step=2.ckpt"
    shutil.copy(originals / "jb_level1.ckpt", nameless)
    assert plan([nameless], {}, toy_config).files["level1"] == nameless


def test_the_command_converts(originals: Path, toy_config: StackConfig, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("JBDIFF_HOME", str(originals.parent / "home"))
    first = convert(plan([originals], {}, toy_config), originals.parent / "first")
    arguments = ["convert", str(first), "--name", "mine", "--dtype", "float16"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert load_stack(originals.parent / "home" / "mine").levels == (2, 1, 0)
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1 and "is there already" in again.output.replace("\n", " ")


GENERATE = """
import sys, torch
from jbdiff.config import FinisherConfig
from jbdiff.networks.dance_finisher import Finisher
with torch.device("meta"):
    shapes = {k: v.shape for k, v in Finisher(FinisherConfig()).state_dict().items()}
torch.manual_seed(0)
state = {p + k: torch.randn(s) * 0.02 for p in ("diffusion.", "diffusion_ema.") for k, s in shapes.items()}
torch.save({"state_dict": state, "epoch": 1, "optimizer_states": []}, sys.argv[1])
"""
CONVERT = """
import sys, torch
from pathlib import Path
from jbdiff.config import V1
from jbdiff.stacks.convert import Plan, convert
import dataclasses
torch.set_num_threads(1)
config = dataclasses.replace(V1, codec=V1.codec, levels=())
source = Path(sys.argv[1])
convert(Plan(config, {"codec": source.parent / "vqvae.pt", "finisher": source}), Path(sys.argv[2]), report=print)
"""


@pytest.mark.full
def test_a_full_size_finisher_converts_in_little_memory(tmp_path: Path) -> None:
    from jbdiff.codecs.vqvae import VQVAE
    from jbdiff.config import VQVAEConfig

    source = tmp_path / "dd.ckpt"
    subprocess.run([sys.executable, "-c", GENERATE, str(source)], check=True)
    torch.save({"model": VQVAE(VQVAEConfig()).state_dict()}, tmp_path / "vqvae.pt")
    assert source.stat().st_size > 1.7e9
    # A process measures itself: RUSAGE_CHILDREN here would give the greater need of the one that made the file.
    code = CONVERT + "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, str(source), str(tmp_path / "new")],
        check=True,
        capture_output=True,
        text=True,
    )
    unit = 1 if sys.platform == "darwin" else 1024
    peak = int(done.stdout.split()[-1]) * unit
    print(
        f"{source.stat().st_size / 1e9:.2f} GB: {time.perf_counter() - began:.1f} s, peak {peak / 1e9:.2f} GB"
    )
    assert peak < 2.5e9
    assert json.loads((tmp_path / "new" / "config.json").read_text())["files"]["finisher"]["sha256"]


def test_a_stack_of_bands_with_a_student_keeps_all_its_parts(tmp_path: Path) -> None:
    shipped = known_stacks()["pocket"]
    stack = load_stack(convert(plan([shipped], {}), tmp_path / "copy", name="pocket"))
    assert set(stack.few) == {2} and stack.finisher is not None
    wanted = load_stack("pocket").few[2].state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in stack.few[2].state_dict().items())


def test_a_missing_file_is_named_with_its_own_part(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no file .*nowhere\.ckpt for level2"):
        plan([], {"level2": tmp_path / "nowhere.ckpt"})
