"""Predicts the time of the full-size stack on GPUs that are not here, from counted operations.

    print(markdown(predictions(V1)))

Nothing is computed: tensors are on torch's "meta" device, which only has shapes. A prediction assumes that the device
reaches a given share of its maker's rate. Only a run on the device shows the real share (`scripts/gpu_bench`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from jbdiff.bench.measure import Rows
from jbdiff.bench.workloads import workloads
from jbdiff.config import StackConfig
from jbdiff.machine import count_operations
from jbdiff.stacks.kinds import build_codec, build_denoiser, build_finisher
from jbdiff.stacks.stack import Stack
from jbdiff.stream.stream import BlockSettings, BlockStream, FinisherSettings, LevelSettings

GOAL_SECONDS = 0.150  # from a control to its sound


@dataclass(frozen=True)
class Accelerator:
    """One GPU with its maker's figures, not measured: dense bfloat16 products with float32 sums, and memory."""

    name: str
    tflops: float
    tbytes: float  # a second


ACCELERATORS = (
    Accelerator("H100 SXM", 989.0, 3.35),
    Accelerator("H200", 989.0, 4.8),
    Accelerator("RTX 4090", 165.0, 1.008),
)
SHARES = (0.2, 0.4)
WHOLE_WINDOWS = ("context", "step")  # parts that work on whole windows, whatever the length of a block


@dataclass(frozen=True)
class Plan:
    """Settings of a prediction: length of a block in tokens of the coarsest level, and steps of each part."""

    hop: int
    steps: tuple[int, int, int]
    finisher: int  # 0: off

    def __str__(self) -> str:
        last = f", finisher {self.finisher}" if self.finisher else ", no finisher"
        return ", ".join(map(str, self.steps)) + last

    def settings(self) -> BlockSettings:
        """Return the plan's steps as settings of a block."""
        counts = dict(zip((2, 1, 0), self.steps, strict=True))
        levels = {level: LevelSettings(steps=count) for level, count in counts.items()}
        return BlockSettings(levels=levels, finisher=FinisherSettings(steps=max(1, self.finisher)))


# First the steps of the first implementation, then fewer steps, then blocks of 279, 139 and 46 ms.
PLANS = (
    Plan(768, (250, 24, 10), 125),
    Plan(768, (50, 12, 6), 10),
    Plan(768, (8, 1, 1), 4),
    Plan(96, (8, 1, 1), 0),
    Plan(48, (8, 1, 1), 0),
    Plan(16, (8, 1, 1), 0),
    Plan(48, (4, 1, 1), 0),
    Plan(48, (8, 1, 1), 1),
)


@dataclass(frozen=True)
class Need:
    """The needs of one block: its length, operations, and bytes of weights that are read, in bfloat16."""

    block_seconds: float
    operations: int
    moved_bytes: int

    def seconds(self, on: Accelerator, share: float) -> float:
        """Return the seconds at `share` (0..1) of the maker's rate, or at the memory's full rate if that is slower."""
        return max(self.operations / (share * on.tflops * 1e12), self.moved_bytes / (on.tbytes * 1e12))


def stack_without_weights(config: StackConfig) -> Stack:
    """Return a stack of these sizes on the "meta" device."""
    with torch.device("meta"):
        levels = {level.level: build_denoiser(level.denoiser) for level in config.levels}
        finisher = None if config.finisher is None else build_finisher(config.finisher)
        stack = Stack(config, build_codec(config.codec), levels, "none", finisher)
    for module in stack.modules():
        module.eval().requires_grad_(False)
    return stack


@torch.inference_mode()
def need(stack: Stack, plan: Plan, counted: dict[str, int] | None = None) -> Need:
    """Return the needs of one block of this plan with a full context.

    `stack` has no weights (`stack_without_weights`). `counted`: keeps the operations of parts that work on whole
    windows from plan to plan.
    """
    counted = {} if counted is None else counted
    stream = BlockStream(stack, device="meta", finisher=plan.finisher > 0, hop_tokens=plan.hop)
    operations = moved = 0
    for part in workloads(stream, plan.settings()):
        if part.name != "copy out" and part.per_block:
            whole = part.name if part.name.endswith(WHOLE_WINDOWS) else f"{part.name}, {plan.hop}"
            if whole not in counted:
                counted[whole] = count_operations(part.run)
            operations += part.per_block * counted[whole]
            moved += part.per_block * part.moved_bytes // 2  # counted for float32; bfloat16 has half
    return Need(stream.geometry.seconds(stream.block_frames), operations, moved)


def predictions(config: StackConfig) -> Rows:
    """Return a row for every plan: its operations, and its seconds on every accelerator at every share."""
    heads = ["block", "steps of levels 2, 1, 0", "operations a block"]
    heads += [f"{gpu.name}, {share:.0%}" for gpu in ACCELERATORS for share in SHARES]
    rows = [heads]
    stack, counted = stack_without_weights(config), dict[str, int]()
    for plan in PLANS:
        found = need(stack, plan, counted)
        seconds = [found.seconds(gpu, share) for gpu in ACCELERATORS for share in SHARES]
        rows.append(
            [
                f"{1e3 * found.block_seconds:.0f} ms",
                str(plan),
                f"{found.operations / 1e12:.3g} T",
                *(
                    f"{1e3 * value:.3g} ms" + (" *" if value > found.block_seconds else "")
                    for value in seconds
                ),
            ]
        )
    return rows


def explanation() -> str:
    """Return a text that explains the table and its limits."""
    rates = "; ".join(f"{gpu.name} {gpu.tflops:g} TFLOP/s and {gpu.tbytes:g} TB/s" for gpu in ACCELERATORS)
    return (
        "Operations are counted by torch.utils.flop_counter on tensors without values, for a block whose context is "
        "full: denoisers with both branches, codec and finisher. Predicted seconds of a block are those operations at "
        f"{' and '.join(f'{share:.0%}' for share in SHARES)} of the rate that the maker states for dense bfloat16 "
        f"products with float32 sums, or the time in which the weights of every call are read once, where that is "
        f"longer: {rates}. None of it was measured: launches, norms and all that is no product are only in the "
        "share, and where a step takes a millisecond its hundreds of launches take longer, unless they are recorded "
        "as a graph (`graphs` of `BlockStream`). "
        "A star marks a block that takes longer than it plays. Every block costs a whole window of each level that is "
        "longer than the block, and a whole call of the finisher, however short the block. For "
        f"{1e3 * GOAL_SECONDS:.0f} ms from a control to its sound, a block's length and the time it takes have to fit "
        "into them together with the device's own delay: a knob that just missed a block waits for one to be "
        "made while another plays. What an H100 really took is in gpu.md: far longer, for the number of its kernels."
    )
