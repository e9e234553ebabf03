"""A stack as a voice: knobs in, numpy blocks out. The only file here that touches torch.

Threads: a voice belongs to one thread at a time: to the loader until it is handed over, then to the engine.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jbdiff_live.block import Audio, Generated, KeepGoing, Rung
from jbdiff_live.engine.knobs import NewestKnobs, turned
from jbdiff_live.engine.progress import Progress
from jbdiff_live.engine.sources import FileSource, Mono
from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.stack_choice import StackChoice, StackParts, StackPlaying

if TYPE_CHECKING:
    import torch

    from jbdiff.stacks.stack import Stack
    from jbdiff.stream.state import LevelBeginning
    from jbdiff.stream.stream import BlockSettings, BlockStream, StreamBlock

log = logging.getLogger(__name__)

CHANNELS = 2
SAMPLE_RATE = 44_100
IN_FLOAT32 = "half precision cannot hold what this stack computes: it plays in float32, which takes longer"
LOOP_RESAMPLE = 0.85  # kept of the last window where it is looped: enough to stay in time, and it moves on
TIMES_KEPT = 16  # blocks over which the slowest counts

# How often torch's threads on Linux look whether the others are ready before they go to sleep; read when torch is
# imported. Measured with pocket on two cores, a block at the 99th percentile: one thread .87 to 1.1 s; two .62 s, or
# 4.3 s when another program takes a core and each waits for the other; with 1000, two .78 s and 1.13 s.
SPINS = "1000"
_waits_are_short = False
_importing = threading.Lock()  # two threads that import torch at once may see half of it


@dataclass(frozen=True)
class Sources:
    """What the knobs may continue or resample besides the instrument's own sound."""

    context_file: FileSource | None = None
    init_file: FileSource | None = None
    live: Callable[[int], Mono | None] = lambda frames: None


def block_settings(snapshot: ParameterSnapshot, steps: int | None = None) -> BlockSettings:
    """What one block reads from the knobs; an offline render of the same snapshot takes the same.

    steps: of the coarsest level, None for the stack's own.
    """
    from jbdiff.config import NoiseStyle
    from jbdiff.stream.stream import BlockSettings, FinisherSettings

    return BlockSettings(
        seed=int(snapshot["seed"]),
        noise_style=NoiseStyle(snapshot.choice("noise_style")),
        noise_step=snapshot["noise_step"],
        hold=snapshot.on("hold"),
        reroll=snapshot.counts["reroll"],
        home=snapshot.counts["home"],
        **_noise_settings(snapshot),
        resample=snapshot["resample"],
        guidance=snapshot["guidance"],
        steps=steps,
        anchor=snapshot["anchor"],
        tempo=_tempo(snapshot),
        brightness=snapshot["brightness"],
        motion=snapshot["motion"],
        memory=snapshot["memory"],
        finisher=FinisherSettings(
            on=snapshot.on("finisher_on"),
            strength=snapshot["finisher_strength"],
            seed=int(snapshot["finisher_seed"]),
            noise_style=NoiseStyle(snapshot.choice("finisher_style")),
            noise_step=snapshot["finisher_step"],
        ),
    )


def _noise_settings(snapshot: ParameterSnapshot) -> dict[str, Any]:
    """The register, the second seed, and the presses that older logs of takes do not have."""
    return {
        "advance": snapshot.counts.get("advance", 0),
        "noise_length": int(snapshot["noise_length"]),
        "noise_mutation": snapshot["noise_mutation"],
        "write": snapshot.counts.get("write", 0),
        "erase": snapshot.counts.get("erase", 0),
        "seed_b": int(snapshot["seed_b"]),
        "seed_morph": snapshot["seed_morph"],
    }


def _tempo(snapshot: ParameterSnapshot) -> float | None:
    """As `BlockSettings` has it: 0 is no clock, None the context's."""
    clock = snapshot.choice("clock")
    if clock == "tempo":
        return snapshot["tempo"]
    return None if clock == "context" else 0.0


def eased(settings: BlockSettings, rung: Rung, stream: BlockStream) -> BlockSettings:
    """The same settings with less work: a rung's, and all that the rungs above it leave out."""
    from jbdiff.stream.stream import LevelSettings

    if rung is Rung.FULL:
        return settings
    coarsest, *finer = stream.levels
    full = stream.step_counts(settings)
    loop = rung is Rung.LOOP

    def fewer(part: str) -> int:
        return max(1, math.ceil(full[part] / stream.windows[part] / 2))

    steps = {level: fewer(f"level{level}") for level in finer}
    if loop or rung >= Rung.NO_LEVEL_0:
        steps |= {0: 0} if 0 in finer else {}
    if loop or rung >= Rung.NO_LEVEL_1:
        steps |= {1: 0} if 1 in finer else {}
    levels = {
        level: replace(settings.levels.get(level, LevelSettings()), steps=n) for level, n in steps.items()
    }
    finisher = settings.finisher
    if "finisher" in full:
        finisher = replace(finisher, steps=1 if rung >= Rung.QUICK_FINISHER else fewer("finisher"))
    return replace(
        settings,
        steps=1 if loop else fewer(f"level{coarsest}"),
        resample=max(settings.resample, LOOP_RESAMPLE) if loop else settings.resample,
        levels={**settings.levels, **levels},
        finisher=finisher,
    )


def _shares(block: StreamBlock, stream: BlockStream, settings: BlockSettings) -> Mapping[Rung, float]:
    """What each rung costs of the full block that was just made, best first; only rungs that leave something out."""
    full = stream.step_counts(settings)
    seconds = dict(block.part_seconds)
    rest = max(0.0, sum(block.seconds.values()) - sum(seconds.values()))
    whole = rest + sum(seconds.values())
    shares = {Rung.FULL: 1.0}
    for rung in list(Rung)[1 : Rung.REPEAT]:
        counts = stream.step_counts(eased(settings, rung, stream))
        cost = rest + sum(seconds[part] * counts[part] / full[part] for part in seconds if full[part])
        if cost < 0.98 * min(shares.values()) * whole:
            shares[rung] = cost / whole
    return shares


class StackVoice:
    """A stream played by the knobs. `asked` is the choice it was made for.

    Sources named by the knobs but missing fall back to the stream's own sound, and `complaint` says so. A block in
    half precision that is not finite is made again in float32, as are all that follow, and `complaint` says that too.
    """

    def __init__(
        self,
        stream: BlockStream,
        asked: StackChoice,
        block_seconds: float,
        fade_frames: int,
        note: str = "",
    ) -> None:
        """note: what stands in `complaint` while there is nothing else to complain of."""
        self.asked = asked
        self.complaint = self._note = note
        self.playing = StackPlaying(
            stack=asked.stack,
            levels=stream.levels,
            finisher=stream.channels > 1,
            identity=stream.stack.identity,
            latency_frames=stream.latency_frames,
            parts=StackParts(
                asked.stack,
                stream.stack.levels,
                stream.stack.finisher is not None,
                stream.stack.config.level(stream.levels[0]).window_tokens,
                stream.geometry.hop(stream.levels[0]) / stream.sample_rate,
                anchor=stream.stack.config.anchored,
                memory=stream.stack.config.remembering,
            ),
            hop=None if stream.block_frames == stream.window_frames else asked.hop,
            steps=asked.steps,
            fade_frames=fade_frames,
        )
        self.position = 0  # frames made since the music began: where files that move along stand
        self._stream = stream
        self._context_frames = stream.geometry.context_samples(stream.levels[0])
        self._seconds = deque([block_seconds], maxlen=TIMES_KEPT)
        self._only_warmed_up = True  # no block was played yet: the warm-up's time is all that is known
        self._progress = Progress()
        self._shares: Mapping[Rung, float] = {Rung.FULL: 1.0}  # of a full block's time, best rung first
        self.context_seconds = 0.0  # that `continue_from` takes, where it was measured
        self.began_from: FileSource | None = None
        # What the loader found of a file that the voice is to begin from when it takes over.
        self.knows: tuple[FileSource, Mapping[int, LevelBeginning]] | None = None
        self._settings: BlockSettings | None = None  # of the last block

    @property
    def stack(self) -> Stack:
        """The loaded modules; another voice of the same stack may share them."""
        return self._stream.stack

    @property
    def block_frames(self) -> int:
        return self._stream.block_frames

    @property
    def latency_frames(self) -> int:
        return self._stream.latency_frames

    @property
    def block_seconds(self) -> float:
        """The slowest of the last blocks; at first, what the warm-up took."""
        return max(self._seconds)

    @property
    def rung_seconds(self) -> Mapping[Rung, float]:
        """Seconds that a block usually takes on each rung that this stack has, by the parts of the last full one."""
        full = float(np.median(self._seconds))
        return {rung: share * full for rung, share in self._shares.items()}

    def plays(self, choice: StackChoice) -> bool:
        """Whether the choice would sound like this voice."""
        own = self.playing
        return (
            choice.stack == own.stack
            and (own.parts.levels if choice.levels is None else choice.levels) == own.levels
            and (choice.finisher and own.parts.finisher) == own.finisher
            and (None if choice.hop == own.parts.window else choice.hop) == own.hop
            and choice.steps == own.steps
        )

    def reset(self) -> None:
        """Forgets what was played."""
        self._stream.reset()
        self.position = 0

    def forget(self) -> None:
        """Begin anew with the next block, without a gap: from the context file, if there is one, else from nothing."""
        self._stream.forget()
        self.began_from = None

    def beginning_of(
        self, context_file: FileSource, take_turns: Callable[[], object]
    ) -> Mapping[int, LevelBeginning]:
        """What the end of a file is to this stack, for `begin_from`; any thread, while blocks are made. `take_turns`
        waits until the processor is free.
        """
        tail = _tensor(context_file.tail(self._stream.beginning_frames))
        pause = take_turns if self._stream.device.type == "cpu" else lambda: None
        return self._stream.prepare_context(tail, pause=pause)

    def known_of(self, context_file: FileSource) -> Mapping[int, LevelBeginning] | None:
        """What the loader found of that file; None where it looked at none, or at another."""
        return None if self.knows is None or self.knows[0] is not context_file else self.knows[1]

    def begin_from(
        self, context_file: FileSource | None, beginning: Mapping[int, LevelBeginning] | None
    ) -> None:
        """The next block continues that file; None lets the music go on as it is."""
        self.began_from = context_file
        if beginning is not None:
            self._stream.set_context(beginning)

    def goes_on_from(self, before: StackVoice) -> None:
        """Takes the place of another voice: files stand where they stood, and none is begun from anew."""
        self.position = before.position
        self.began_from = before.began_from

    def continue_from(self, heard: Audio, before: StackVoice | None = None, frames: int = 0) -> None:
        """Conditions the next block on what was heard, `[frames, channels]`: as much of its end as it takes. A voice
        `before` of the same stack, which made it and `frames` more, hands its style, beat and memory on.
        """
        mono = heard[-self._stream.beginning_frames :].mean(axis=1, dtype=np.float32)
        if not len(mono):
            return
        carried = None
        if before is not None and before._settings is not None and self._goes_with(before):
            carried = before._stream.carried(before._settings, frames)
        self._stream.set_context(self._stream.prepare_context(_tensor(mono), carried))

    def _goes_with(self, other: StackVoice) -> bool:
        """Whether the other one plays the same stack."""
        return self.playing.identity == other.playing.identity

    def next_block(
        self,
        snapshot: ParameterSnapshot,
        sources: Sources,
        keep_going: KeepGoing,
        rung: Rung = Rung.FULL,
        turning: NewestKnobs | None = None,
    ) -> Generated | None:
        """One block from the knobs as they stand; None when `keep_going` turned false between steps.

        turning: those that are read anew for every step; None: the snapshot's.
        """
        from jbdiff.stream.stream import StreamInterrupted

        settings = eased(block_settings(snapshot, self.playing.steps), rung, self._stream)
        began = time.perf_counter()
        self.complaint = self._note
        frames = self.block_frames
        context = self._from(snapshot.choice("context_source"), sources.context_file, "context",
                             self.position, self._context_frames, sources)  # fmt: skip
        init = None
        if settings.resample > 0 and rung is not Rung.LOOP:  # a loop is of the own sound
            # A whole window: what is before the block only helps the encoder at its beginning.
            init = self._from(snapshot.choice("init_source"), sources.init_file, "init",
                              self.position + frames, self._stream.window_frames, sources)  # fmt: skip
        try:
            block = self._step(
                settings,
                init=init,
                context=context,
                on_step=lambda done, of: keep_going(self._progress.step(done, of)),
                turning=turning,
            )
        except StreamInterrupted:
            return None
        self.position += frames
        self._settings = settings
        samples = block.audio[0].float().cpu().numpy().T
        if samples.shape[1] == 1:
            samples = np.repeat(samples, CHANNELS, axis=1)
        if rung is Rung.FULL:
            if self._only_warmed_up:
                self._only_warmed_up = False
                self._seconds.clear()
            self._seconds.append(time.perf_counter() - began)
            self._shares = _shares(block, self._stream, settings)
            self._progress.end()
        return Generated(
            np.ascontiguousarray(samples, dtype=np.float32),
            str(block.noise),
            self.playing,
            turned=turned(snapshot, block.guidance, block.finisher_strength),
            read_at=None if turning is None else turning.read_at,
        )

    def _step(self, settings: BlockSettings, **how: Any) -> StreamBlock:
        """The stream's next block; in float32 from then on where half precision overflowed. Raises StreamInterrupted,
        and StreamError where float32 does not help.
        """
        import torch

        from jbdiff.stream.stream import StreamError

        self._progress.begin()
        try:
            return self._stream.step(settings, **how)
        except StreamError as error:
            if self._stream.dtype == torch.float32:
                raise
            log.warning("%s; going on in float32", error)
        self._stream = self._stream.in_float32()
        self.complaint = self._note = IN_FLOAT32
        self._progress.begin()
        return self._stream.step(settings, **how)

    def _from(
        self, source: str, file: FileSource | None, role: str, end: int, frames: int, sources: Sources
    ) -> torch.Tensor | None:
        """Audio of a source as [1, 1, frames], or None for the stream's own."""
        if source == "own":
            return None
        samples: Mono | None = None
        if source == "live":
            samples = sources.live(frames)
        elif file is not None:
            samples = file.window(end, frames)
        if samples is None:
            missing = "no live input is open" if source == "live" else f"no {role} file is loaded"
            self.complaint = f"{role} source is {source!r}, but {missing}: using the instrument's own sound"
            return None
        return _tensor(samples)


def set_up_torch(threads: int | None) -> str:
    """Imports torch, which takes a second or two the first time, and says which device there is.

    threads: those of the model on a CPU; None takes half the cores, since window, feeder and recorder need the
    others, but two at least where their waits are short (`SPINS`).
    """
    import_library()
    import torch

    cores = os.cpu_count() or 2
    least = min(2, cores) if _waits_are_short else 1
    torch.set_num_threads(threads or max(least, cores // 2))
    return "cuda" if torch.cuda.is_available() else "cpu"


def device_options(stack: Stack, device: str) -> dict[str, Any]:
    """How a `BlockStream` of this stack is best played there: on CUDA recorded, U-Nets and waveform finishers compiled
    and in half precision.
    """
    import torch

    from jbdiff.networks.channels_last import has_token_form

    if device != "cuda":
        return {}
    half = any(has_token_form(net) for net in stack.denoisers.values())
    return {"graphs": True, "compiled": half, "dtype": torch.float16 if half else torch.float32}


def share_one_heap() -> None:
    """Keeps small what the process holds of memory that its threads have freed; before any of them is started."""
    from jbdiff.heap import share_one_heap

    share_one_heap()


def exact_options(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """The same options in float32; None where they are that already."""
    import torch

    exact = {**options, "dtype": torch.float32}
    return None if options.get("dtype", torch.float32) == torch.float32 else exact


def import_library() -> None:
    """Imports what reads and plays stacks, and torch with it; any thread. Where torch was not there before, this
    process is an instrument: its threads wait shortly, and memory that they free is kept, as clearing pages anew for
    every block takes time, and not always the same.
    """
    global _waits_are_short
    with _importing:
        if sys.platform == "linux" and "torch" not in sys.modules:
            from jbdiff.heap import keep_freed_memory

            keep_freed_memory()
            os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
            _waits_are_short = True
        import jbdiff.stacks.stack
        import jbdiff.stream.stream  # noqa: F401


def _tensor(mono: Mono) -> torch.Tensor:
    """The one place where [frames] turns into [batch, channels, time]."""
    import torch

    return torch.from_numpy(np.array(mono, np.float32))[None, None]
