"""The shared part of `jbdiff bench` and the benchmark scripts: find the stack, measure, write the result."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from jbdiff.bench.measure import BenchResult, append, measure, random_stack
from jbdiff.config import STACKS
from jbdiff.heap import keep_freed_memory
from jbdiff.stacks.stack import Stack, load_stack


def find_stack(name: str, random: bool) -> Stack:
    """Return the stack of this name or folder; with `random`, random weights of a named stack's sizes.

    Raises CheckpointError, or ValueError if no sizes are known under the name.
    """
    if not random:
        return load_stack(name)
    if name not in STACKS:
        raise ValueError(f"no sizes known for {name!r}; random weights can be had for: {', '.join(STACKS)}")
    return random_stack(STACKS[name])


def run_bench(
    name: str,
    random: bool,
    log: Path | None,
    json_file: Path | None,
    *,
    report: Callable[[str], None],
    device: str,
    dtype: torch.dtype,
    blocks: int,
    steps: int | None,
    repeats: int,
    levels: Sequence[int] | None,
    finisher: bool | None,
    hop: int | None,
    graphs: bool,
    compiled: bool,
) -> BenchResult:
    """Measure once, write the result to `log` and `json_file` if they are given, and return it.

    If `finisher` is None, the stack's finisher is used if it has one. Raises what `find_stack`, `measure` and writing
    files raise.
    """
    keep_freed_memory()
    stack = find_stack(name, random)
    result = measure(
        stack,
        device=device,
        dtype=dtype,
        levels=levels,
        finisher=stack.finisher is not None if finisher is None else finisher,
        blocks=blocks,
        steps=steps,
        repeats=repeats,
        hop_tokens=hop,
        graphs=graphs,
        compiled=compiled,
        report=report,
    )
    if json_file is not None:
        json_file.write_text(json.dumps(result.to_dict(), indent=2) + "\n", encoding="utf-8")
    if log is not None:
        append(log, result)
    return result
