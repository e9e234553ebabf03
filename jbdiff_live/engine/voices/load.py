"""From a choice to a voice that is warmed up, or to the reason why there is none.

Threads: the engine's for the first stack, the loader's for the others. Both block on the disk and on the model, and ask
`keep_going` between steps.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from jbdiff_live.block import CHANNELS, SAMPLE_RATE, Rung
from jbdiff_live.engine.block_settings import eased
from jbdiff_live.engine.voices.handover import FADE_SECONDS
from jbdiff_live.engine.voices.torch_setup import StreamOptions, device_options, exact_options, set_up_torch
from jbdiff_live.engine.voices.voice import IN_FLOAT32, StackVoice
from jbdiff_live.stack_choice import StackChoice

if TYPE_CHECKING:
    from jbdiff.stacks.stack import Stack
    from jbdiff.stream.stream import BlockStream

log = logging.getLogger(__name__)

# A warm-up is broken off when a block would take so many times the time that it lasts, after so many seconds.
HOPELESS = 4.0
HOPELESS_AFTER_SECONDS = 2.0
CLICKS_SECONDS = 6  # two windows and more of what ships


class StackTooSlow(RuntimeError):
    """A stack that cannot keep up on this machine. `seconds` a block, against the `duration` it lasts."""

    def __init__(self, choice: StackChoice, seconds: float, duration: float) -> None:
        super().__init__(
            f"{choice.text}: a block takes about {seconds:.2g} s and lasts {duration:.2g} s, so it cannot keep up "
            "here; choose fewer levels, leave the finisher out, or render it with `jbdiff sample`"
        )
        self.seconds, self.duration = seconds, duration


def load_voice(
    choice: StackChoice,
    report: Callable[[str], None],
    keep_going: Callable[[], bool],
    *,
    threads: int | None = None,
    shared: Stack | None = None,
    only_in_time: bool = False,
    take_turns: Callable[[], object] = lambda: None,
) -> StackVoice | None:
    """A stack, loaded and warmed up; None when `keep_going` turned false on the way.

    take_turns: waits before a step until the processor is free; not called where the steps are a GPU's.
    shared: the same stack, loaded before: its modules are used, and nothing is read. only_in_time: raises
    StackTooSlow where a block takes longer than it lasts; else only where that is hopeless. Also raises
    CheckpointError, and ValueError where the stack lacks what is asked for or runs at another rate.
    """
    report("loading torch")
    device = set_up_torch(threads)
    from jbdiff.stacks.stack import load_stack
    from jbdiff.stream.stream import StreamError

    report(f"loading {choice.stack}")
    stack = load_stack(choice.stack, device=device) if shared is None else _shared(shared)
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

    blocks = 2 if shared is None else 1  # the first one sets libraries up
    most = HOPELESS if not only_in_time else 1.0
    options, note = device_options(stack, device), ""
    stream = _stream(stack, choice, device, options)
    try:
        seconds = _warm_up(stream, choice, report, in_turn, most, blocks)
    except StreamError as error:
        if (exact := exact_options(options)) is None:
            raise
        log.warning("%s: %s; loading it in float32", choice.text, error)
        report(note := IN_FLOAT32)
        stream = _stream(stack, choice, device, exact)
        seconds = _warm_up(stream, choice, report, in_turn, most, blocks)
    if seconds is None:
        return None
    fade_frames = round(FADE_SECONDS * SAMPLE_RATE) if only_in_time else 0
    voice = StackVoice(stream, choice, seconds, fade_frames, note)
    if only_in_time and shared is None:  # else the anchor is handed on
        voice.context_seconds = _context_seconds(voice, _clock(stream))
    return voice if keep_going() else None


def _stream(stack: Stack, choice: StackChoice, device: str, options: StreamOptions) -> BlockStream:
    """The parts of the stack that the choice names, as a stream. options: of `device_options`."""
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
    """On a CPU it is the loading thread's own time that counts, since the stack that still plays takes its share of
    the machine.
    """
    return time.thread_time if stream.device.type == "cpu" else time.perf_counter


def _context_seconds(voice: StackVoice, clock: Callable[[], float]) -> float:
    """What the voice takes to go on from another one's sound. That has a beat: to find it is most of the work."""
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


def _shared(stack: Stack) -> Stack:
    """The same modules as a stack that stays where it is.

    A stream moves its stack to its device; even where there is nothing to move, that writes to the very tensors
    that the engine is reading.
    """
    from jbdiff.stacks.stack import Stack

    class Shared(Stack):
        def to(self, device: object) -> Stack:
            return self

    return Shared(**vars(stack))


def _warm_up(
    stream: BlockStream,
    choice: StackChoice,
    report: Callable[[str], None],
    keep_going: Callable[[], bool],
    most: float,
    blocks: int,
) -> float | None:
    """Seconds that a block takes, the last of `blocks`; one more where that is too slow.

    What a GPU needs to record and to compile is done before. None when interrupted; StackTooSlow where a
    block takes more than `most` times its duration.
    """
    from jbdiff.stream.stream import BlockSettings, StreamInterrupted

    clock = _clock(stream)
    duration = stream.block_frames / stream.sample_rate
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

    if stream.graphs:
        report("recording blocks for the GPU; the first time this takes some minutes")
        settings = BlockSettings(steps=choice.steps)
        try:
            stream.settle(settings, on_step=lambda done, of: keep_going())
            # A rung of the ladder takes other numbers of steps, and is wanted when there is no time to record them.
            for rung in list(Rung)[1 : Rung.REPEAT]:
                stream.step(eased(settings, rung, stream), on_step=lambda done, of: keep_going())
        except StreamInterrupted:
            return None
    taken: list[float] = []
    while len(taken) < blocks or (len(taken) == blocks and taken[-1] > most * duration):
        report(f"warming up, block {len(taken) + 1}")
        began = clock()
        try:
            stream.step(BlockSettings(steps=choice.steps), on_step=watch)
        except StreamInterrupted:
            return None
        taken.append(clock() - began)
    seconds = min(taken[blocks - 1 :])
    if seconds > most * duration:
        raise StackTooSlow(choice, seconds, duration)
    stream.reset()
    return seconds
