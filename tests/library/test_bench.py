"""Benchmarks: the parts are there, operations are counted right, results survive JSON. Nothing about speed."""

from __future__ import annotations

import dataclasses
import importlib.machinery
import importlib.util
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from toys import write_toy_stack
from typer.testing import CliRunner

from jbdiff.bench import v1 as bench_v1
from jbdiff.bench.checks import check_paths, relative_error
from jbdiff.bench.fast_paths import FASTPATHS, FastPath
from jbdiff.bench.measure import (
    BenchError,
    BenchResult,
    Blocks,
    append,
    comparison,
    facts,
    markdown,
    measure,
    random_stack,
    read_log,
    result_from_dict,
    table,
)
from jbdiff.bench.predict import Accelerator, Plan, need, stack_without_weights
from jbdiff.bench.workloads import workloads
from jbdiff.cli import app
from jbdiff.config import StackConfig
from jbdiff.guidance import GuidedModel
from jbdiff.machine import DeviceError, commit, count_operations
from jbdiff.networks.attention import attend
from jbdiff.stacks.stack import Stack
from jbdiff.stream.stream import BlockStream

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def result(toy_stack: Stack) -> BenchResult:
    return measure(toy_stack, finisher=True, blocks=2, steps=1, repeats=2)


def test_every_part_of_a_block_has_its_row(result: BenchResult, toy_stack: Stack) -> None:
    names = [part.name for part in result.parts]
    for level in (2, 1, 0):
        for part in ("encode", "context", "guided step", "decode"):
            assert f"level {level}: {part}" in names
    assert "finisher step" in names and "copy out" in names
    rows = table(result)
    assert [row[0] for row in rows[1:]] == names
    assert len({len(row) for row in rows}) == 1
    calls = {part.name: part.per_block for part in result.parts}
    # Windows of 16 tokens at hops 128, 32, 8: one, four and sixteen of them in a block.
    assert [calls[f"level {level}: guided step"] for level in (2, 1, 0)] == [1, 4, 16]
    assert calls["level 2: encode"] == 0 and calls["level 1: encode"] == 1


def test_parts_name_what_they_count(result: BenchResult) -> None:
    for part in result.parts:
        assert part.fastest > 0 and part.seconds >= part.fastest
        if part.name != "copy out":
            assert part.operations > 0
            assert part.of_matmul(result.ceiling) > 0
    assert result.blocks is not None and len(result.blocks.seconds) == 2
    assert result.blocks.steps == {"level 2": 1, "level 1": 1, "level 0": 1, "finisher": 1}
    text = markdown(facts(result))
    for figure in ("GFLOP/s", "GB/s", "p50, p99, max", "real-time factor", "peak memory, resident"):
        assert figure in text


def test_percentiles_and_real_time_factor() -> None:
    blocks = Blocks(2.0, {}, tuple(float(n) for n in range(1, 101)))
    assert (blocks.percentile(0.5), blocks.percentile(0.99), blocks.percentile(1.0)) == (50, 99, 100)
    assert Blocks(2.0, {}, (0.5, 0.5)).real_time == 4.0


@torch.inference_mode()
def test_operations_of_known_layers() -> None:
    x = torch.randn(3, 10, 16)
    linear = torch.nn.Linear(16, 8)
    assert count_operations(lambda: linear(x)) == 2 * 3 * 10 * 16 * 8
    convolution = torch.nn.Conv1d(16, 8, 5, padding=2)
    assert count_operations(lambda: convolution(x.transpose(1, 2))) == 2 * 3 * 10 * 16 * 5 * 8
    depthwise = torch.nn.Conv1d(16, 16, 3, groups=16)
    assert count_operations(lambda: depthwise(x.transpose(1, 2))) == 2 * 3 * 8 * 3 * 16
    # Fused attention, which torch's own counter leaves out on CPUs: scores and what they weigh.
    query, key = torch.randn(2, 4, 32, 8), torch.randn(2, 4, 64, 8)
    attend = count_operations(lambda: F.scaled_dot_product_attention(query, key, key))
    assert attend == 2 * (2 * 2 * 4 * 32 * 64 * 8)


def test_a_result_survives_json(result: BenchResult) -> None:
    assert result_from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_a_log_grows_and_compares(result: BenchResult, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    other = dataclasses.replace(result, parts=result.parts[1:], blocks=None, commit="abc")
    append(log, result)
    append(log, other)
    runs = read_log(log)
    assert runs == [result, other]
    rows = comparison(runs)
    assert len({len(row) for row in rows}) == 1
    first = next(row for row in rows if row[0] == result.parts[0].name)
    assert first[1] and not first[2]


@pytest.mark.parametrize("line", ["{", "{}", '{"format": 99}', '{"format": 1}', "[1]"])
def test_a_broken_log_is_answered_in_words(line: str, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(line + "\n")
    with pytest.raises(BenchError, match="line 1"):
        read_log(log)


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit(tmp_path) is None


def test_no_cuda_is_said_in_words(toy_stack: Stack) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(DeviceError, match="no CUDA device"):
        measure(toy_stack, device="cuda")


def test_predictions_grow_with_steps_and_shrink_with_rates(toy_config: StackConfig) -> None:
    stack = stack_without_weights(toy_config)
    counted: dict[str, int] = {}
    whole, again = (need(stack, Plan(16, (2, 1, 1), 0), counted) for _ in range(2))
    assert whole == again and whole.block_seconds == pytest.approx(16 * 128 / 44_100)
    more = need(stack, Plan(16, (3, 1, 1), 0))
    finished = need(stack, Plan(16, (2, 1, 1), 1))
    assert whole.operations < more.operations and whole.operations < finished.operations
    slow = Accelerator("slow", tflops=1e-3, tbytes=1e9)
    assert whole.seconds(slow, 0.5) == pytest.approx(whole.operations / 0.5e9)
    assert whole.seconds(Accelerator("narrow", 1e9, 1e-3), 0.5) == pytest.approx(whole.moved_bytes / 1e9)


def test_predictions_agree_with_what_is_counted_where_it_runs(toy_stack: Stack) -> None:
    settings = Plan(16, (2, 1, 1), 1).settings()
    run = BlockStream(toy_stack, finisher=True)
    counted = sum(
        part.per_block * count_operations(part.run) for part in workloads(run, settings) if part.per_block
    )
    assert need(stack_without_weights(toy_stack.config), Plan(16, (2, 1, 1), 1)).operations == counted


@torch.inference_mode()
def test_attention_in_half_precision_stays_near_the_fused_one() -> None:
    query, key, value = (torch.randn(1, 2, n, 16) for n in (24, 40, 40))
    exact = F.scaled_dot_product_attention(query, key, value)
    assert torch.equal(attend(query, key, value), exact)
    half = attend(*(one.bfloat16() for one in (query, key, value)))
    assert half.dtype == torch.bfloat16 and relative_error(half.float(), exact, torch.zeros(())) < 2e-2


@pytest.mark.parametrize("switch", ["keep_freed_memory", "share_one_heap"])
def test_memory_is_kept_where_the_c_library_can(switch: str) -> None:
    # In a process of its own: the switch cannot be taken back.
    code = f"from jbdiff.heap import {switch}; print({switch}())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    glibc = sys.platform == "linux" and bool(platform.libc_ver()[0] == "glibc")
    assert done.stdout.strip() == str(glibc)


# The command


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy_config) -> Path:
    monkeypatch.setenv("JBDIFF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    write_toy_stack(tmp_path / "home" / "toy", toy_config)
    return tmp_path


def run(*arguments: object):
    return CliRunner().invoke(app, ["bench", *(str(argument) for argument in arguments)])


def test_command_measures_writes_and_compares(home: Path) -> None:
    log, file = home / "log.jsonl", home / "run.json"
    common = ("--stack", "toy", "--steps", 1, "--blocks", 1, "--repeats", 1)
    for more in ((), ("--levels", "2", "--no-finisher", "--dtype", "bfloat16", "--json", file)):
        done = run(*common, "--log", log, *more)
        assert done.exit_code == 0, done.output
        assert "guided step" in done.output and "real-time factor" in done.output
    kept = result_from_dict(json.loads(file.read_text()))
    assert kept.dtype == "bfloat16" and not any("level 1" in part.name for part in kept.parts)
    shown = run("--compare", log)
    assert shown.exit_code == 0 and "the last 2 runs" in shown.output and "finisher step" in shown.output


def test_the_stack_that_ships_is_measured() -> None:
    """Its codec has more channels than its denoiser works on."""
    done = run("--blocks", 0, "--repeats", 1, "--steps", 4, "--no-finisher")
    assert done.exit_code == 0 and "level 2: student step" in done.output, done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--stack", "nowhere"), "no stack 'nowhere'"),
        (("--stack", "nowhere", "--random"), "random weights can be had for"),
        (("--compare", "none.jsonl"), "none.jsonl"),
        (("--compare", "."), ". is no file; give a log that --log wrote"),
        (("--stack", "toy", "--levels", "1"), "invents and has to play"),
    ],
)
def test_mistakes_are_answered_in_words(home: Path, monkeypatch, arguments, message: str) -> None:
    monkeypatch.chdir(home)
    done = run(*arguments)
    assert done.exit_code == 1
    assert message in done.output.replace("\n", " ") and "Traceback" not in done.output


# Fast paths


PLAIN = [path for path in FASTPATHS.values() if not path.compile and path.runs_on(torch.device("cpu"))]


def test_fast_paths_stay_near_float32(toy_stack: Stack) -> None:
    for name, net in (("level 2", toy_stack.denoisers[2]), ("finisher", toy_stack.finisher)):
        paths = [path for path in PLAIN if "float16" not in path.name or "bfloat16" in path.name]
        checks = list(check_paths(name, net, paths, seed=torch.seed() % 2**31, repeats=1))
        assert len(checks) == len(paths)
        assert all(check.passed for check in checks), [check for check in checks if not check.passed]


def test_a_path_that_breaks_its_bound_is_found(toy_stack: Stack) -> None:
    strict = FastPath("strict", 1e-9, autocast=torch.bfloat16)
    (check,) = check_paths("level 2", toy_stack.denoisers[2], [strict], seed=1, repeats=1)
    assert not check.passed and check.reason is None
    x = torch.randn(2, 3)
    assert not relative_error(torch.full_like(x, float("nan")), 2 * x, x) <= 1.0


def test_paths_of_another_device_say_so(toy_stack: Stack) -> None:
    (check,) = check_paths("level 2", toy_stack.denoisers[2], [FASTPATHS["float32 graph"]], seed=1, repeats=1)
    assert not check.passed and check.reason == "not on cpu"


@torch.inference_mode()
def test_held_null_branch_is_exact_where_both_are_run(toy_stack: Stack) -> None:
    net, context = toy_stack.denoisers[2], torch.randn(1, 32, 64)
    both = GuidedModel(net, context, 3.0)
    held = GuidedModel(net, context, 3.0, null_every=2)
    x, sigma = torch.randn(1, 64, 16), torch.tensor([0.5])
    assert torch.equal(held(x, sigma), both(x, sigma))
    assert torch.allclose(held(x, sigma), both(x, sigma), atol=1e-4)  # same x: what is held still holds
    moved = x + 0.1
    assert torch.equal(held(moved, sigma), both(moved, sigma))
    with pytest.raises(ValueError, match="null_every"):
        GuidedModel(net, context, 3.0, null_every=0)


def test_random_stacks_repeat(toy_stack: Stack) -> None:
    config = dataclasses.replace(toy_stack.config, levels=toy_stack.config.levels[:1], finisher=None)
    first, second = random_stack(config), random_stack(config)
    for one, other in zip(first.denoisers[2].parameters(), second.denoisers[2].parameters(), strict=True):
        assert torch.equal(one, other)
    assert first.codec.codebook(2).k.std() > 0.5


def script(name: str):
    """A script of ours as a module; they have no suffix."""
    loader = importlib.machinery.SourceFileLoader(name, str(ROOT / "scripts" / name))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_seams_rank_high_only_where_a_click_was_planted() -> None:
    seams = script("measure_seams")
    sound = torch.randn(60_000, generator=torch.Generator().manual_seed(0)).cumsum(0) * 0.01
    places = seams.places(4_000, 4_000, len(sound), 64)
    smooth = seams.ranks(sound, places, 64, 64)
    assert len(smooth) == 14 and 0.2 < smooth.mean() < 0.8
    clicked = sound.clone()
    clicked[places] += 0.2
    assert seams.ranks(clicked, places, 64, 64).min() > 0.99


def test_recorded_figures_add_up_to_the_recorded_total() -> None:
    full = bench_v1.first_window(bench_v1.DEFAULT_STEPS)
    assert abs(full / (2 * 98_304 / 44_100) - 1990) < 10


def test_gpu_bench_runs_on_the_cpu_and_goes_on(tmp_path: Path) -> None:
    script = [sys.executable, ROOT / "scripts" / "gpu_bench"]
    done = subprocess.run([*script, "--carry", tmp_path / "site"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "safetensors").is_dir()
    command = [*script, "--device", "cpu", "--size", "toy", "--site", tmp_path / "site", "--out", tmp_path]
    command += ["--only", "paths unet"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for _ in range(2):  # the second finds all done
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        kept = json.loads((tmp_path / "gpu_bench.json").read_text())
        checks = [found["key"] for found in kept["findings"] if found["kind"] == "check"]
        assert checks.count("paths unet: autocast bfloat16") == 1 and not kept["unfinished"]
    late = subprocess.run([*command[:-1], "paths joint", "--minutes", "0"], capture_output=True, text=True)
    assert "Not finished in the time given: paths joint" in late.stdout
