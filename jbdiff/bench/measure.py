"""Measures the time of a stack's parts and of whole blocks; keeps results as JSON and compares them with earlier ones.

    result = measure(load_stack("pocket"), blocks=20)
    print(markdown(table(result)))
    append(Path("bench.jsonl"), result)

Times are wall times until the device has finished. Compare them with the ceiling of the same run (`machine.py`).
There are no bounds here, only numbers.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from jbdiff.bench.workloads import copy_out, played_as, steps_of, workloads
from jbdiff.config import StackConfig
from jbdiff.machine import (
    Ceiling,
    Machine,
    ceiling,
    commit,
    count_operations,
    device_bytes,
    random_weights,
    resident_bytes,
    settled,
    this_machine,
    time_calls,
    usable_device,
)
from jbdiff.stacks.kinds import build_codec, build_denoiser, build_finisher
from jbdiff.stacks.stack import Stack
from jbdiff.stream.stream import BlockSettings, BlockStream, FinisherSettings, LevelSettings
from jbdiff.untyped import JsonDict, JsonTable

FORMAT = 1
Rows = list[list[str]]  # the first row holds the headings


class BenchError(ValueError):
    """A benchmark file that cannot be read, or a measurement that this machine or stack cannot do."""


@dataclass(frozen=True)
class Part:
    """One part of a block. `seconds`: median call; `fastest`: fastest call. Operations and bytes are of one call."""

    name: str
    per_block: int  # calls a block; 0 if only an init or a context sound needs the part
    seconds: float
    fastest: float
    repeats: int
    operations: int = 0
    moved_bytes: int = 0  # least bytes that have to move: weights, input and output, once each

    def of_matmul(self, limits: Ceiling) -> float:
        """Return the operations a second of the fastest call, as a share of the machine's ceiling."""
        return self.operations / self.fastest / 1e9 / limits.matmul_gflops

    def of_copy(self, limits: Ceiling) -> float:
        """Return the bytes a second of the fastest call, as a share of the machine's ceiling.

        It can be above 1 if the data fits into a cache.
        """
        return self.moved_bytes / self.fastest / 1e9 / limits.copy_gbytes


@dataclass(frozen=True)
class Blocks:
    """Times of whole blocks, one after another, from settings to samples in main memory."""

    block_seconds: float  # of sound
    steps: Mapping[str, int]  # denoising steps a window of each part
    seconds: tuple[float, ...]  # of work, one entry per block

    def percentile(self, share: float) -> float:
        """Return the shortest time in seconds within which `share` (0..1) of the blocks were done."""
        return sorted(self.seconds)[max(0, math.ceil(share * len(self.seconds)) - 1)]

    @property
    def real_time(self) -> float:
        """Seconds of sound for each second of work. Above 1 is faster than real time."""
        return self.block_seconds * len(self.seconds) / sum(self.seconds)


@dataclass(frozen=True)
class BenchResult:
    """The result of one run: one stack on one device."""

    stack: str
    identity: str
    device: str
    dtype: str
    when: str  # UTC, ISO 8601
    commit: str | None
    machine: Machine
    ceiling: Ceiling
    parts: tuple[Part, ...]
    blocks: Blocks | None
    resident_bytes: int | None
    device_bytes: int | None
    way: str = ""  # how it was played: recorded, compiled
    format: int = field(default=FORMAT)

    def to_dict(self) -> JsonDict:
        """Return all fields by name, for JSON; `result_from_dict` reads them back."""
        return dataclasses.asdict(self)


def result_from_dict(values: JsonTable) -> BenchResult:
    """Return the result of `BenchResult.to_dict`, also after JSON.

    Raises BenchError if the values are anything else.
    """
    try:
        if values["format"] != FORMAT:
            raise BenchError(f"benchmark format {values['format']!r}; this version reads {FORMAT}")
        fields = dict(values)
        fields["machine"], fields["ceiling"] = Machine(**fields["machine"]), Ceiling(**fields["ceiling"])
        fields["parts"] = tuple(Part(**part) for part in fields["parts"])
        if fields["blocks"] is not None:
            blocks = dict(fields["blocks"])
            fields["blocks"] = Blocks(**{**blocks, "seconds": tuple(blocks["seconds"])})
        return BenchResult(**fields)
    except (KeyError, TypeError) as error:
        raise BenchError(f"this is no benchmark result: {error!r}") from error


def append(log: Path, result: BenchResult) -> None:
    """Append a result to a benchmark log as one line."""
    with log.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(result.to_dict()) + "\n")


def read_log(log: Path) -> list[BenchResult]:
    """Return every run of a log, oldest first. Raises BenchError with the number of a line that cannot be read."""
    results = []
    if log.exists() and not log.is_file():  # a pipe would wait for ever
        raise BenchError(f"{log} is no file; give a log that --log wrote")
    for number, line in enumerate(log.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                results.append(result_from_dict(json.loads(line)))
            except ValueError as error:
                raise BenchError(f"{log}, line {number}: {error}") from error
    return results


# Measuring


def random_stack(config: StackConfig, seed: int = 0) -> Stack:
    """Return a stack of these sizes with random weights, in evaluation mode. It takes as long as a trained one."""
    generator = torch.Generator().manual_seed(seed)
    finisher = None if config.finisher is None else build_finisher(config.finisher)
    levels = {level.level: build_denoiser(level.denoiser) for level in config.levels}
    stack = Stack(config, build_codec(config.codec), levels, f"random-{seed}", finisher)
    for module in stack.modules():
        random_weights(module, generator)
        module.eval().requires_grad_(False)
    return stack


def block_settings(config: StackConfig, levels: Sequence[int], steps: int | None) -> BlockSettings:
    """Return settings with the stack's own guidance, and its own steps or `steps` in every part."""
    each = {number: LevelSettings(steps=steps) for number in levels}
    guidance = config.level(max(levels)).guidance
    return BlockSettings(guidance=guidance, levels=each, finisher=FinisherSettings(steps=steps))


@torch.inference_mode()
def measure(
    stack: Stack,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    levels: Sequence[int] | None = None,
    finisher: bool = False,
    blocks: int = 20,
    steps: int | None = None,
    settings: BlockSettings | None = None,
    repeats: int = 10,
    token_multiplier: int = 1,
    hop_tokens: int | None = None,
    graphs: bool = False,
    compiled: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> BenchResult:
    """Run every part `repeats` times by itself, then play `blocks` blocks; return all times.

    The first block is not counted. If `blocks` is 0, only parts are measured.

    - `dtype`: below float32, networks run under autocast, as in streams.
    - `steps`: replaces every part's own number of steps. `settings`: replaces all settings.
    - `graphs`, `compiled`, `hop_tokens`: as in `BlockStream`. Parts are then recorded and compiled too, and blocks are
      counted after the stream has settled.
    - `report`: receives the name of each measurement before it begins.

    Raises ValueError as `BlockStream` does.
    """
    device = usable_device(device)
    made = partial(
        BlockStream,
        stack,
        device=device,
        dtype=dtype,
        levels=levels,
        finisher=finisher,
        token_multiplier=token_multiplier,
        hop_tokens=hop_tokens,
    )
    plain = made()
    settings = block_settings(stack.config, plain.levels, steps) if settings is None else settings
    # Operations of recorded or compiled parts cannot be counted. They are the same as those of the plain parts.
    operations = {part.name: count_operations(part.run) for part in workloads(plain, settings)}
    del plain
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    stream = made(graphs=graphs, compiled=compiled)
    report("ceiling")
    limits = ceiling(device, dtype)
    return BenchResult(
        stack=stack.config.name,
        identity=stack.identity,
        device=str(device),
        dtype=str(dtype).removeprefix("torch."),
        when=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        commit=commit(),
        machine=this_machine(device),
        ceiling=limits,
        parts=_parts(stream, settings, operations, repeats, report),
        blocks=_blocks(stream, settings, blocks, graphs or compiled, report) if blocks else None,
        resident_bytes=resident_bytes(),
        device_bytes=device_bytes(device),
        way=", ".join(word for word, so in (("recorded", graphs), ("compiled", compiled)) if so),
    )


def _parts(
    stream: BlockStream,
    settings: BlockSettings,
    operations: Mapping[str, int],
    repeats: int,
    report: Callable[[str], None],
) -> tuple[Part, ...]:
    """Measure every part of a block by itself."""
    parts: list[Part] = []
    for part in workloads(stream, settings):
        report(part.name)
        seconds = time_calls(played_as(stream, part), repeats, stream.device)
        median, fastest = statistics.median(seconds), min(seconds)
        count = operations[part.name]
        parts.append(Part(part.name, part.per_block, median, fastest, repeats, count, part.moved_bytes))
    return tuple(parts)


def _blocks(
    stream: BlockStream, settings: BlockSettings, blocks: int, settle: bool, report: Callable[[str], None]
) -> Blocks:
    """Play `blocks` whole blocks after a first one that is not counted."""
    took = []
    if settle:
        report("settling")
        stream.settle(settings)
    for index in range(blocks + 1):
        report(f"block {index} of {blocks}")
        settled(stream.device)
        began = time.perf_counter()
        copy_out(stream.step(settings).audio)
        took.append(time.perf_counter() - began)
    return Blocks(stream.geometry.seconds(stream.block_frames), steps_of(stream, settings), tuple(took[1:]))


# Showing


def table(result: BenchResult) -> Rows:
    """Return a row per part: calls a block, milliseconds, share of a block, operations, shares of the ceiling."""
    whole = sum(part.per_block * part.seconds for part in result.parts)
    rows = [["part", "calls a block", "ms a call", "of the block", "operations", "of matmul", "of copy"]]
    for part in result.parts:
        rows.append(
            [
                part.name,
                str(part.per_block) if part.per_block else "0, 1 with a sound to encode",
                f"{1e3 * part.seconds:.3g}" if part.seconds < 1 else f"{1e3 * part.seconds:.0f}",
                f"{part.per_block * part.seconds / whole:.1%}",
                f"{part.operations / 1e9:.3g} G" if part.operations else "",
                f"{part.of_matmul(result.ceiling):.0%}" if part.operations else "",
                f"{part.of_copy(result.ceiling):.0%}" if part.moved_bytes else "",
            ]
        )
    return rows


def facts(result: BenchResult) -> Rows:
    """Return the facts beside the table: ceiling, block times, memory."""
    rows = [["figure", "measured"]]
    side, rate = result.ceiling.matmul_size, result.ceiling.matmul_gflops
    rows.append([f"ceiling: {result.dtype} product of side {side}", f"{rate:.0f} GFLOP/s"])
    rows.append(["ceiling: copy, bytes read and written", f"{result.ceiling.copy_gbytes:.1f} GB/s"])
    blocks = result.blocks
    if blocks is not None:
        work = sum(part.per_block * part.operations for part in result.parts)
        steps = ", ".join(f"{name} {count}" for name, count in blocks.steps.items())
        p50, p99, most = blocks.percentile(0.5), blocks.percentile(0.99), max(blocks.seconds)
        rows.append(["steps a window", steps])
        rows.append(
            [f"{len(blocks.seconds)} blocks of {blocks.block_seconds:.3f} s: p50, p99, max",
             f"{p50:.3f}, {p99:.3f}, {most:.3f} s"]
        )  # fmt: skip
        rows.append(["real-time factor: all blocks, at p99",
                     f"{blocks.real_time:.3g}, {blocks.block_seconds / p99:.3g}"])  # fmt: skip
        rows.append(["operations a block", f"{work / 1e9:.4g} G"])
    for name, count in (("resident", result.resident_bytes), (f"on {result.device}", result.device_bytes)):
        if count is not None:
            rows.append([f"peak memory, {name}", f"{count / 2**30:.2f} GiB"])
    return rows


def title(result: BenchResult) -> str:
    """Return one line that identifies the run."""
    code = f", commit {result.commit}" if result.commit else ""
    way = f", {result.way}" if result.way else ""
    return f"{result.stack} on {result.device}, {result.dtype}{way}: {result.machine}; {result.when}{code}"


def comparison(results: Sequence[BenchResult]) -> Rows:
    """Return runs side by side, oldest first: milliseconds of every part and of the blocks."""
    heads = [
        f"{run.stack}, {run.device}, {run.dtype}\n{run.when[:16]} {run.commit or ''}".strip()
        for run in results
    ]
    rows = [["ms", *heads]]
    names = list(dict.fromkeys(part.name for run in results for part in run.parts))
    for name in names:
        row = [name]
        for run in results:
            found = [part.seconds for part in run.parts if part.name == name]
            row.append(f"{1e3 * found[0]:.4g}" if found else "")
        rows.append(row)
    for name, share in (("block, p50", 0.5), ("block, p99", 0.99), ("block, max", 1.0)):
        times = [f"{1e3 * run.blocks.percentile(share):.4g}" if run.blocks else "" for run in results]
        rows.append([name, *times])
    rows.append(
        ["real-time factor", *(f"{run.blocks.real_time:.3g}" if run.blocks else "" for run in results)]
    )
    rows.append(["matmul, GFLOP/s", *(f"{run.ceiling.matmul_gflops:.0f}" for run in results)])
    rows.append(["machine", *(str(run.machine) for run in results)])
    return rows


def markdown(rows: Rows) -> str:
    """Return rows as a Markdown table."""
    lines = ["| " + " | ".join(cell.replace("\n", "; ") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])
