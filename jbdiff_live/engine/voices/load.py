"""Load a choice: the result is a warmed-up voice, or an error with the reason.

Threads: the engine's for the first stack, the loader's for the others. Both block on the disk and on the model, and ask
`keep_going` between steps.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from jbdiff_live.block import CHANNELS, SAMPLE_RATE, Preparing, Rung
from jbdiff_live.engine.block_settings import eased
from jbdiff_live.engine.timing.ladder import HOPELESS
from jbdiff_live.engine.voices.handover import FADE_SECONDS
from jbdiff_live.engine.voices.torch_setup import StreamOptions, device_options, exact_options, set_up_torch
from jbdiff_live.engine.voices.voice import IN_FLOAT32, StackVoice
from jbdiff_live.stack_choice import StackChoice

if TYPE_CHECKING:
    from jbdiff.stacks.stack import Stack
    from jbdiff.stream.stream import BlockSettings, BlockStream

log = logging.getLogger(__name__)

FADE_FRAMES = round(FADE_SECONDS * SAMPLE_RATE)
HOPELESS_AFTER_SECONDS = 2.0  # a warm-up is broken off after this time if a block is hopelessly slow
CLICKS_SECONDS = 6  # two windows and more of what ships


class StackTooSlow(RuntimeError):
    """A stack too slow for this machine: a block takes `seconds` and lasts `duration`."""

    def __init__(self, choice: StackChoice, seconds: float, duration: float) -> None:
        super().__init__(
            f"{choice.text}: a block takes about {seconds:.2g} s and lasts {duration:.2g} s, so it cannot keep up "
            "here; close other programs and try again, choose fewer levels, leave the finisher out, or render it with "
            "`jbdiff sample`"
        )
        self.seconds, self.duration = seconds, duration


def load_voice(
    choice: StackChoice,
    report: Callable[[Preparing], None],
    keep_going: Callable[[], bool],
    *,
    threads: int | None = None,
    shared: Stack | None = None,
    only_in_time: bool = False,
    cheaper: bool = True,
    take_turns: Callable[[], object] = lambda: None,
) -> StackVoice | None:
    """Load a stack and warm it up. None if `keep_going` turned false meanwhile.

    take_turns: waits before a step until the processor is free; not called if the steps run on a GPU.
    shared: the same stack, loaded before; its modules are used, and no file is read. only_in_time: StackTooSlow is
    raised if a block takes longer than its duration. Without it only a hopelessly slow stack raises. cheaper: a stack
    is hopelessly slow only if its cheaper blocks are too: the machine may be busy. CheckpointError: a file is missing
    or bad. ValueError: the stack lacks a part of the choice, or runs at another rate.
    """
    report(Preparing("loading the model: libraries"))
    device = set_up_torch(threads)
    from jbdiff.stacks.stack import load_stack
    from jbdiff.stream.stream import StreamError

    report(Preparing(f"loading the model: {choice.stack}"))
    stack = load_stack(choice.stack, device=device) if shared is None else shared
    if stack.config.sample_rate != SAMPLE_RATE:
        raise ValueError(
            f"stack {choice.stack!r} runs at {stack.config.sample_rate} Hz; the instrument plays "
            f"{SAMPLE_RATE} Hz stacks"
        )
    if not keep_going():
        return None

    def in_turn() -> bool:
        if device == "cpu":
            take_turns()
        return keep_going()

    blocks = 2 if shared is None else 1  # the first block sets libraries up
    most = HOPELESS if not only_in_time else 1.0
    options, note = device_options(stack, device), ""
    warm = partial(_warm_up, cheaper=cheaper and not only_in_time)
    stream = _stream(stack, choice, device, options)
    try:
        seconds = warm(stream, choice, report, in_turn, most, blocks)
    except StreamError as error:
        if (exact := exact_options(options)) is None:
            raise
        log.warning("%s: %s; loading it in float32", choice.text, error)
        report(Preparing(note := IN_FLOAT32, warming=True))
        stream = _stream(stack, choice, device, exact)
        seconds = warm(stream, choice, report, in_turn, most, blocks)
    if seconds is None:
        return None
    voice = StackVoice(stream, choice, seconds[Rung.FULL], FADE_FRAMES if only_in_time else 0, note)
    for rung in list(seconds)[1:]:
        voice.times.note_cheaper(rung, seconds[rung])
    if only_in_time and shared is None:  # voices of one stack hand on the anchor, which is quick
        voice.context_seconds = _context_seconds(voice, _clock(stream))
    return voice if keep_going() else None


def load_to_render(
    choice: StackChoice, threads: int | None, shared: Stack | None, finisher_of: str | None, fade_frames: int
) -> StackVoice:
    """Load a stack for a render, which may take as long as it takes, so nothing is warmed up.

    shared: as in `load_voice`. finisher_of: a stack whose finisher plays in place of the stack's own. Raises as
    `load_voice`, but never StackTooSlow.
    """
    device = set_up_torch(threads)
    from jbdiff.stacks.stack import load_stack, with_finisher_of

    stack = load_stack(choice.stack, device=device) if shared is None else shared
    if finisher_of is not None and shared is None:
        stack = with_finisher_of(stack, load_stack(finisher_of, device=device))
    options = device_options(stack, device)
    return StackVoice(_stream(stack, choice, device, options), choice, 1.0, fade_frames)


def _stream(stack: Stack, choice: StackChoice, device: str, options: StreamOptions) -> BlockStream:
    """Make a stream of the stack's parts that the choice names. options: from `device_options`."""
    from jbdiff.stream.stream import BlockStream

    return BlockStream(
        stack,
        device=device,
        levels=choice.levels,
        finisher=choice.finisher and stack.finisher is not None,
        hop_tokens=choice.hop,
        **options,
    )


def _clock(stream: BlockStream) -> Callable[[], float]:
    """Return the clock for the warm-up.

    On a CPU it is the loading thread's own time, since the stack that still plays uses a part of the machine.
    """
    return time.thread_time if stream.device.type == "cpu" else time.perf_counter


def _context_seconds(voice: StackVoice, clock: Callable[[], float]) -> float:
    """Measure the seconds for continuing another voice's sound. The sound has a beat: finding it takes longest."""
    clicks = np.zeros((CLICKS_SECONDS * SAMPLE_RATE, CHANNELS), np.float32)
    click = (
        np.random.default_rng(0).standard_normal((1_000, CHANNELS)) * np.exp(-np.arange(1_000) / 200)[:, None]
    )
    for start in range(0, len(clicks) - len(click), SAMPLE_RATE // 2):
        clicks[start : start + len(click)] = 0.3 * click
    began = clock()
    voice.continue_from(clicks)
    taken = clock() - began
    voice.reset()
    return taken


def _warm_up(
    stream: BlockStream,
    choice: StackChoice,
    report: Callable[[Preparing], None],
    keep_going: Callable[[], bool],
    most: float,
    blocks: int,
    cheaper: bool,
) -> Mapping[Rung, float] | None:
    """Warm up a stream and return the seconds of its last block. If that is too slow, one more block counts.

    A GPU's graphs are recorded and its networks compiled before. None if interrupted. StackTooSlow: a block takes
    more than `most` times its duration. cheaper: before that, the cheaper rungs are tried, and the best one that is
    quick enough is returned too.
    """
    from jbdiff.stream.stream import BlockSettings, StreamInterrupted

    settings = BlockSettings(steps=choice.steps)
    try:
        if stream.graphs:
            _record_graphs(stream, settings, report, keep_going)
        taken: list[float] = []
        duration = stream.block_frames / stream.sample_rate
        try:
            while len(taken) < blocks or (len(taken) == blocks and taken[-1] > most * duration):
                report(Preparing(f"warming up: trial block {len(taken) + 1}", warming=True))
                taken.append(_trial(stream, settings, choice, keep_going))
            seconds = min(taken[blocks - 1 :])
            if seconds > most * duration:
                raise StackTooSlow(choice, seconds, duration)
        except StackTooSlow as error:
            if not cheaper:
                raise
            found = _cheaper(stream, settings, choice, report, keep_going)
            if found is None:
                raise
            log.warning("%s; beginning with cheaper blocks (%s)", error, found[0].label)
            return {Rung.FULL: error.seconds, found[0]: found[1]}
    except StreamInterrupted:
        return None
    stream.reset()
    return {Rung.FULL: seconds}


def _record_graphs(
    stream: BlockStream,
    settings: BlockSettings,
    report: Callable[[Preparing], None],
    keep_going: Callable[[], bool],
) -> None:
    """Record blocks for a GPU. StreamInterrupted: `keep_going` turned false."""
    report(Preparing("recording blocks for the GPU; the first time this takes some minutes", warming=True))
    stream.settle(settings, on_step=lambda done, of: keep_going())
    # A rung has its own number of steps. When it is needed there is no time to record its graphs.
    for rung in list(Rung)[1 : Rung.REPEAT]:
        stream.step(eased(settings, rung, stream), on_step=lambda done, of: keep_going())


def _trial(
    stream: BlockStream, settings: BlockSettings, choice: StackChoice, keep_going: Callable[[], bool]
) -> float:
    """Make a block and return its seconds. StackTooSlow: it is hopelessly slow. StreamInterrupted: as above."""
    clock, duration = _clock(stream), stream.block_frames / stream.sample_rate
    began = clock()
    first_step = 0.0  # when it was done: the very first one sets libraries up

    def watch(done: int, of: int) -> bool:
        nonlocal first_step
        if done == 1:
            first_step = clock()
            return keep_going()
        taken = clock() - first_step
        expected = taken / (done - 1) * of
        if taken > HOPELESS_AFTER_SECONDS and expected > HOPELESS * duration:
            raise StackTooSlow(choice, expected, duration)
        return keep_going()

    stream.step(settings, on_step=watch)
    return clock() - began


def _cheaper(
    stream: BlockStream,
    settings: BlockSettings,
    choice: StackChoice,
    report: Callable[[Preparing], None],
    keep_going: Callable[[], bool],
) -> tuple[Rung, float] | None:
    """Return the best rung whose block is not hopelessly slow, and its seconds. None: all are.

    A loop is not among them: it needs sound to begin from. StreamInterrupted: `keep_going` turned false.
    """
    duration, counts = stream.block_frames / stream.sample_rate, stream.step_counts(settings)
    for rung in list(Rung)[1 : Rung.LOOP]:
        less = eased(settings, rung, stream)
        if stream.step_counts(less) == counts:
            continue
        counts = stream.step_counts(less)
        report(Preparing(f"the machine is busy: trial block, {rung.label}", warming=True))
        stream.reset()
        try:
            seconds = _trial(stream, less, choice, keep_going)
        except StackTooSlow:
            continue
        finally:
            stream.reset()
        if seconds <= HOPELESS * duration:
            return rung, seconds
    return None
