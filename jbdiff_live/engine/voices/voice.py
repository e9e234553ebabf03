"""A stack as a voice: knobs in, numpy blocks out. With `torch_setup.py` the only file here that touches torch.

Threads: a voice belongs to one thread at a time: first to the loader, then to the engine.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jbdiff_live.block import CHANNELS, Audio, Generated, KeepGoing, Mono, NoiseDrawn, Rung
from jbdiff_live.engine.block_settings import NewestKnobs, block_settings, eased, rung_shares, turned
from jbdiff_live.engine.timing.block_times import BlockTimes
from jbdiff_live.engine.timing.progress import Progress
from jbdiff_live.engine.voices.file_player import Began, FilesBegan
from jbdiff_live.engine.voices.listening import Heard, Place, file_places, heard
from jbdiff_live.engine.voices.sources import FileSource, Sources
from jbdiff_live.engine.voices.torch_setup import machine_facts
from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.stack_choice import StackChoice, StackParts, StackPlaying

if TYPE_CHECKING:
    import torch

    from jbdiff.stacks.stack import Stack
    from jbdiff.stream.state import LevelBeginning, StreamState
    from jbdiff.stream.stream import BlockSettings, BlockStream, StreamBlock

log = logging.getLogger(__name__)

IN_FLOAT32 = "half precision cannot hold what this stack computes: it plays in float32, which takes longer"


class Stem(NamedTuple):
    """A level's own sound, `[frames]`. early: frames by which it comes before the whole sound."""

    sound: Mono
    early: int


class StackVoice:
    """A stream played by the knobs. `asked` is the choice it was made for.

    If a source that a knob names is missing, the stream's own sound takes its place, and `complaint` says so. A block
    in half precision that is not finite is made again in float32, and so are all later ones. `complaint` says that too.
    """

    def __init__(
        self,
        stream: BlockStream,
        asked: StackChoice,
        block_seconds: float,
        fade_frames: int,
        note: str = "",
    ) -> None:
        """note: the text of `complaint` while there is no other."""
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
                steps=stream.stack.config.level(stream.levels[0]).steps,
            ),
            hop=None if stream.block_frames == stream.window_frames else asked.hop,
            steps=asked.steps,
            fade_frames=fade_frames,
            licence=str(stream.stack.source.get("licence", "")),
        )
        self.position = 0  # frames made since the music began
        self.files = FilesBegan()  # where the files that move along began
        self._stream = stream
        self._context_frames = stream.geometry.context_samples(stream.levels[0])
        self.times = BlockTimes(block_seconds)
        self._progress = Progress()
        self.context_seconds = 0.0  # seconds of `continue_from`; 0 if not measured
        self.began_from: FileSource | None = None
        # The loader's beginning from a file, for the moment when this voice takes over.
        self.knows: tuple[FileSource, Mapping[int, LevelBeginning]] | None = None
        self._settings: BlockSettings | None = None  # of the last block
        self._last: StreamBlock | None = None

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
    def beginning_frames(self) -> int:
        """Frames of the end of a file that `beginning_of` uses."""
        return self._stream.beginning_frames

    @property
    def measured_by(self) -> tuple[object, ...]:
        """The stack, parts and precision that measure a beginning; equal ones find the same in the same sound."""
        own = self.playing
        return own.identity, own.levels, own.hop, self._stream.dtype

    @property
    def block_seconds(self) -> float:
        """Seconds of the slowest of the last blocks; at first, of the warm-up's block."""
        return self.times.slowest

    @property
    def rung_seconds(self) -> Mapping[Rung, float]:
        """Seconds that a block usually takes on each rung that this stack has, by the parts of the last full one."""
        return self.times.of_rungs

    def plays(self, choice: StackChoice) -> bool:
        """Return True if the choice would sound like this voice."""
        own = self.playing
        return (
            choice.stack == own.stack
            and (own.parts.levels if choice.levels is None else choice.levels) == own.levels
            and (choice.finisher and own.parts.finisher) == own.finisher
            and (None if choice.hop == own.parts.window else choice.hop) == own.hop
            and choice.steps == own.steps
        )

    def save(self) -> StreamState:
        """Return the stream's state before the next block. Later blocks do not change it."""
        return self._stream.save()

    def restore(self, state: StreamState, position: int, began_from: FileSource | None, files: Began) -> None:
        """Go on from a state of `save`, bit-exactly. The rest: the attributes of then, as `files.began`."""
        self._stream.restore(state)
        self.position, self.began_from, self.files.began = position, began_from, files

    def restore_what_fits(self, state: StreamState, position: int) -> tuple[str, ...]:
        """Go on from a state, also of a stack with other parts. position: the attribute of that name.

        Returns the names of the parts that begin afresh, because the state has none that fit; none: bit-exact.
        """
        self.position = position
        return self._stream.restore_what_fits(state)

    @property
    def machine(self) -> Mapping[str, str | int]:
        """Facts of the machine on which the samples depend."""
        return machine_facts(self._stream.device.type, self._stream.dtype)

    def steps_of(self, snapshot: ParameterSnapshot, rung: Rung) -> int:
        """Return the steps of the coarsest level in a block."""
        settings = eased(block_settings(snapshot, self.playing.steps), rung, self._stream)
        return self._stream.step_counts(settings)[f"level{self._stream.levels[0]}"]

    @property
    def stems(self) -> Mapping[int, Stem]:
        """The sound of each level in the last block, before the finisher."""
        stream, stems = self._stream, {} if self._last is None else self._last.stems
        late = {n: stream.latency_frames - own for n, own in stream.stem_latency_frames.items()}
        return {n: Stem(stem[0, 0].float().cpu().numpy(), late[n]) for n, stem in stems.items()}

    @property
    def piece_lengths(self) -> Mapping[str, int]:
        """As `jbdiff.stream.keeping.kept.piece_lengths`."""
        from jbdiff.stream.keeping.kept import piece_lengths

        return piece_lengths(self._stream)

    def ready_again(self, choice: StackChoice, fade_frames: int) -> None:
        """Prepare for `choice` after this voice played and faded out. The measured time of its blocks stays.

        Loader's thread; no other thread has the voice. fade_frames: of the crossfade to it.
        """
        self._stream.reset()
        self.asked, self.position, self.files = choice, 0, FilesBegan()
        self.began_from = self.knows = self._settings = None
        self.times.begin_again()
        self.context_seconds = 0.0  # the voice before it is of the same stack, and hands on what it knows
        self.playing = replace(self.playing, fade_frames=fade_frames)

    def reset(self) -> None:
        """Forget the music so far."""
        self._stream.reset()
        self.position, self.files = 0, FilesBegan()

    def forget(self) -> None:
        """Begin again with the next block, without a gap: from the context file, if any, else from nothing.

        Files begin again too.
        """
        self._stream.forget()
        self.began_from, self.files = None, FilesBegan()

    def beginning_of(
        self, context_file: FileSource, take_turns: Callable[[], object]
    ) -> Mapping[int, LevelBeginning]:
        """Return the file's end as latents of this stack, for `set_beginning`. Any thread, while blocks are made.

        take_turns: waits until the processor is free.
        """
        tail = _tensor(context_file.tail(self._stream.beginning_frames))
        pause = take_turns if self._stream.device.type == "cpu" else lambda: None
        return self._stream.prepare_context(tail, pause=pause)

    def known_beginning(self, context_file: FileSource) -> Mapping[int, LevelBeginning] | None:
        """Return the beginning that the loader found for that file; None if it looked at no file, or at another."""
        return None if self.knows is None or self.knows[0] is not context_file else self.knows[1]

    def set_beginning(
        self, context_file: FileSource | None, beginning: Mapping[int, LevelBeginning] | None
    ) -> None:
        """Let the next block continue that file. A beginning of None lets the music go on as it is."""
        self.began_from = context_file
        if beginning is not None:
            self._stream.set_context(beginning)

    def take_place_of(self, before: StackVoice) -> None:
        """Go on at another voice's place in all files. The music does not begin again from a file."""
        self.position, self.files.began = before.position, before.files.began
        self.began_from = before.began_from

    def continue_from(self, heard: Audio, before: StackVoice | None = None, frames: int = 0) -> None:
        """Condition the next block on the end of the played sound, as far as the stack needs it.

        heard: the played sound, `[frames, channels]`. before: the voice that made it and `frames` more. If it is of the
        same stack, it hands on its style, beat and memory.
        """
        mono = heard[-self._stream.beginning_frames :].mean(axis=1, dtype=np.float32)
        if not len(mono):
            return
        carried = None
        if before is not None and before._settings is not None and self._goes_with(before):
            carried = before._stream.carried(before._settings, frames)
        self._stream.set_context(self._stream.prepare_context(_tensor(mono), carried))

    def _goes_with(self, other: StackVoice) -> bool:
        """Return True if the other voice plays the same stack."""
        return self.playing.identity == other.playing.identity

    def next_block(
        self,
        snapshot: ParameterSnapshot,
        sources: Sources,
        keep_going: KeepGoing,
        rung: Rung = Rung.FULL,
        turning: NewestKnobs | None = None,
    ) -> Generated | None:
        """Make one block from the knobs. None if `keep_going` turned false between steps.

        turning: the knobs that are read at every step; None: the snapshot's values.
        """
        from jbdiff.stream.stream import StreamInterrupted

        settings = eased(block_settings(snapshot, self.playing.steps), rung, self._stream)
        began = time.perf_counter()
        self.complaint = self._note
        frames = self.block_frames
        opens = self.latency_frames  # what is new in this block sounds so many frames later
        files = file_places(snapshot, sources, self.files, self.position, self._stream.sample_rate)
        place = Place("context", self._context_frames, 0, opens, files.get("context"))
        context = self._heard(snapshot, sources, place).samples
        init = None
        if settings.resample > 0 and rung is not Rung.LOOP:  # a loop resamples its own sound
            # A whole window: the sound before the block only helps the encoder at the block's beginning.
            place = Place("init", self._stream.window_frames, frames, opens + frames, files.get("init"))
            found = self._heard(snapshot, sources, place)
            init, settings = found.samples, _resampling(settings, snapshot, found)
        try:
            block = self._step(
                lambda stream: stream.step(
                    settings,
                    init=None if init is None else _tensor(init),
                    context=None if context is None else _tensor(context),
                    on_step=lambda done, of: keep_going(self._progress.step(done, of)),
                    turning=turning,
                )
            )
        except StreamInterrupted:
            return None
        self.position += frames
        self._settings, self._last = settings, block
        samples = block.audio[0].float().cpu().numpy().T
        if samples.shape[1] == 1:
            samples = np.repeat(samples, CHANNELS, axis=1)
        if rung is Rung.FULL:
            seconds = time.perf_counter() - began
            self.times.note(seconds, rung_shares(block, self._stream, settings))
            self._progress.end()
        return Generated(
            np.ascontiguousarray(samples, dtype=np.float32),
            NoiseDrawn(**{**vars(block.noise), "style": block.noise.style.value}),
            self.playing,
            turned=turned(snapshot, block.guidance, block.finisher_strength),
            novelty=block.novelty,
            read_at=None if turning is None else turning.read_at,
            beat=block.beat if rung is not Rung.LOOP else None,
            files=files,
        )

    def _step(self, step: Callable[[BlockStream], StreamBlock]) -> StreamBlock:
        """Make the stream's next block. If half precision overflows, use float32 from then on.

        Raises StreamInterrupted, and StreamError if float32 does not help.
        """
        import torch

        from jbdiff.stream.stream import StreamError

        self._progress.begin()
        try:
            return step(self._stream)
        except StreamError as error:
            if self._stream.dtype == torch.float32:
                raise
            log.warning("%s; going on in float32", error)
        self._stream = self._stream.in_float32()
        self.complaint = self._note = IN_FLOAT32
        self._progress.begin()
        return step(self._stream)

    def _heard(self, snapshot: ParameterSnapshot, sources: Sources, place: Place) -> Heard:
        """Return the sound of a role. If its source gives nothing, `complaint` gets the reason."""
        found = heard(snapshot, sources, place, self._stream.sample_rate)
        self.complaint = found.complaint or self.complaint
        return found


def _resampling(settings: BlockSettings, snapshot: ParameterSnapshot, found: Heard) -> BlockSettings:
    """Return the settings that resample as much of the sound at Init as sounds."""
    if snapshot.choice("init_source") == "own" or found.complaint:
        return settings
    kept = settings.resample * found.share
    return replace(settings, resample=kept, direct=settings.direct and kept >= 1.0)


def _tensor(mono: Mono) -> torch.Tensor:
    """Turn [frames] into [batch, channels, time]. No other place does that."""
    import torch

    return torch.from_numpy(np.array(mono, np.float32))[None, None]
