"""Make the blocks of a log again: the voices of the instrument, in the order of the log, without a clock or a thread.

A replay calls it, on one thread. It knows nothing of takes: the caller turns a log into `WantedBlock`s.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jbdiff.audio.beat import found_beat
from jbdiff_live.block import (
    NOTHING_GIVEN,
    SAMPLE_RATE,
    Generated,
    Given,
    KeepGoing,
    Mono,
    OldBlock,
    Rung,
    StoredState,
)
from jbdiff_live.engine.block_settings import NewestKnobs
from jbdiff_live.engine.voices.file_player import DrySpot
from jbdiff_live.engine.voices.load import load_to_render
from jbdiff_live.engine.voices.playing import Playing
from jbdiff_live.engine.voices.saved import SavedVoice
from jbdiff_live.engine.voices.sources import FileSource, Sources
from jbdiff_live.engine.voices.voice import StackVoice
from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.stack_choice import StackChoice


class WeightsDiffer(ValueError):
    """A stack has other weights than the take. The text names the remedy."""


@dataclass(frozen=True)
class StackWanted:
    """A stack as the log names it. identity: the hash of its weights; empty if it does not matter."""

    choice: StackChoice
    identity: str = ""
    fade_frames: int = 0


@dataclass(frozen=True)
class WantedBlock:
    """One new block of a log. turned: as `Block.turned`. stack: it takes over with this block.

    anew, resumes, given: as in `Block`. returns: older blocks played again before it, and now the newest music goes on.
    """

    index: int
    snapshot: ParameterSnapshot
    rung: Rung = Rung.FULL
    turned: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    stack: StackWanted | None = None
    anew: bool = False
    resumes: int | None = None
    returns: bool = False
    given: Given = NOTHING_GIVEN


class LoggedKnobs(NewestKnobs):
    """The knobs of a block as its steps read them. Other numbers of steps read them at the same share of the work."""

    def __init__(self, block: WantedBlock, steps: int) -> None:
        """steps: of the block that is made now."""
        super().__init__(lambda: block.snapshot)
        self._turned, self._steps = block.turned, steps

    def guidance(self, step: int) -> float:
        read = self._turned.get("guidance")
        if not read:
            return self._newest()["guidance"]
        return read[min(len(read) - 1, step * len(read) // self._steps)]

    def finisher_strength(self) -> float:
        return self._turned.get("finisher_strength", (self._newest()["finisher_strength"],))[0]


class AgainPlayer:
    """The music of a log. Call `begin` once, then `make` for every new block, in the order of the log.

    changed: returns the choice to play in place of the log's. accepts: False for weights that differ from the log's.
    pinned: indices of blocks to which the music returns later; the state before each of them is kept.
    """

    def __init__(
        self,
        changed: Callable[[StackChoice], StackChoice],
        accepts_other_weights: bool,
        threads: int | None,
        finisher_of: str | None,
        pinned: Collection[int],
    ) -> None:
        self._changed, self._accepts = changed, accepts_other_weights
        self._threads, self._finisher_of = threads, finisher_of
        self._pinned = set(pinned)
        self._playing = Playing()
        self._voices: list[StackVoice] = []
        self._before: dict[int, SavedVoice] = {}
        self._present: SavedVoice | None = None
        self._files: dict[int, FileSource] = {}  # by the id of their samples, which they hold

    # ------------------------------------------------------------------ the beginning

    def begin(self, stack: StackWanted, state: StoredState | None) -> tuple[str, ...]:
        """Load the first stack and go on from a state; None begins anew.

        Returns the parts that begin afresh, as `StackVoice.restore_what_fits`. StreamError: it is no state.
        """
        from jbdiff.stream.state import StreamState

        self._playing.voice = voice = self._voice(stack)
        if state is None:
            return ()
        self._playing.resets = state.resets
        self._playing.sounded.go_on(state.heard, state.out or state.heard, self._dry(state))
        return voice.restore_what_fits(StreamState.from_bytes(state.stream), state.position)

    def pin(self, index: int, state: StoredState) -> None:
        """Know the state before an earlier block, which an interrupted render made. Call it after `begin`."""
        from jbdiff.stream.state import StreamState

        voice, stream = self._playing.ready(), StreamState.from_bytes(state.stream)
        self._before[index] = SavedVoice(
            voice, stream, state.position, None, state.resets, state.heard, state.out or state.heard,
            dry=self._dry(state),
        )  # fmt: skip

    def _dry(self, state: StoredState) -> DrySpot | None:
        """Return what the file in the output played last."""
        dry = state.dry
        return None if dry is None else DrySpot(self._file(dry.file), dry.place, dry.gain)

    @property
    def voice(self) -> StackVoice:
        """The voice that plays, or fades in."""
        return self._playing.ready()

    def save(self) -> SavedVoice | None:
        """Return the state before the next block. None in a crossfade of stacks, or while older blocks play again."""
        return None if self._present is not None else self._playing.save()

    # ------------------------------------------------------------------ blocks

    def older_plays(self) -> None:
        """Note that a block plays again: the newest music waits behind it."""
        if self._present is None:
            self._present = self._playing.save()

    def make(self, block: WantedBlock, keep_going: KeepGoing) -> Generated | None:
        """Make a block. None: `keep_going` turned false. ValueError: a sound or a state is missing."""
        self._return_to(block)
        self._take_stack(block)
        if block.anew:
            self._playing.begin_anew()
        if block.anew and block.index in self._pinned:
            _begin(self._playing.ready(), block.given)  # the instrument's state before the block has it, too
        if block.index in self._pinned and (saved := self._playing.save()) is not None:
            self._before[block.index] = saved.compact(None)
        if block.rung is Rung.REPEAT:
            self._playing.sounded.fill_up(self._playing.ready().block_frames + 1)
        voice, given, old = self._playing.ready(), block.given, iter(block.given.old)
        made = self._playing.next_block(
            block.snapshot,
            block.rung,
            self._sources(given),
            lambda voice: _begin(voice, given),
            lambda: self._old(old, block),
            keep_going,
            LoggedKnobs(block, voice.steps_of(block.snapshot, block.rung)) if block.turned else None,
        )
        if self._playing.handover is not None and self._playing.handover.done:
            self._playing.end_handover()
        return made

    def _return_to(self, block: WantedBlock) -> None:
        """Restore the state that a block continues, if that is not the newest."""
        present, self._present = self._present, None
        if block.resumes is not None:
            saved = self._before.get(block.resumes)
            if saved is None:
                raise ValueError(
                    f"block {block.index} continues the music from before block {block.resumes}, whose state is not "
                    "known; render from a later block with --from-block"
                )
            self._playing.restore(saved, saved)
        elif present is not None and block.returns:
            self._playing.restore(present, present)

    def _take_stack(self, block: WantedBlock) -> None:
        if block.stack is None:
            return
        voice = self._voice(block.stack)
        if block.anew:
            self._playing.voice = voice
        else:
            self._playing.switch(voice)
        self._before.clear()  # the music never returns to another stack

    def _old(self, blocks: Iterator[OldBlock], block: WantedBlock) -> tuple[ParameterSnapshot, Sources]:
        """Return knobs and sounds of the voice that fades out. An edited log may need more blocks than it names."""
        old = next(blocks, OldBlock(block.snapshot, NOTHING_GIVEN))
        return old.snapshot, self._sources(old.given)

    # ------------------------------------------------------------------ sounds

    def _sources(self, given: Given) -> Sources:
        """Return sources that give a block what it was given."""
        pieces = iter(given.live)

        def live(frames: int, ahead: int, beat: float) -> tuple[Mono, Mono] | None:
            return next(pieces, None)

        context = None if given.context is None else self._file(given.context)
        init = None if given.init is None else self._file(given.init)
        return Sources(context, init, live, self._playing.newest, given.played)

    def _file(self, samples: Mono) -> FileSource:
        """Return the file of a sound, the same one each time, so that the music knows it again."""
        file = self._files.get(id(samples))
        if file is None:
            file = FileSource(Path("file"), samples, "", found_beat(samples, SAMPLE_RATE))
            self._files[id(samples)] = file
        return file

    # ------------------------------------------------------------------ stacks

    def _voice(self, wanted: StackWanted) -> StackVoice:
        """Return a voice for a stack that plays nothing at the moment."""
        choice = self._changed(wanted.choice)
        busy = (self._playing.voice, self._playing.old)
        for voice in self._voices:
            if voice.asked == choice and not any(voice is other for other in busy):
                voice.ready_again(choice, wanted.fade_frames)
                return voice
        shared = next((voice.stack for voice in self._voices if voice.asked.stack == choice.stack), None)
        voice = load_to_render(choice, self._threads, shared, self._finisher_of, wanted.fade_frames)
        identity = voice.playing.identity.split("+")[0]
        if wanted.identity and identity != wanted.identity.split("+")[0] and not self._accepts:
            raise WeightsDiffer(
                f"stack {choice.stack!r} has other weights ({identity[:12]}) than the take "
                f"({wanted.identity[:12]}); put the take's weights back, name their folder with --stack, or accept "
                "another sound with --other-weights"
            )
        self._voices.append(voice)
        return voice


def _begin(voice: StackVoice, given: Given) -> Mono | None:
    """Let a voice begin from the sound of a block, if it did so."""
    if given.began is not None:
        file = FileSource(Path("began"), given.began, "")
        voice.set_beginning(file, voice.beginning_of(file, lambda: None))
    return given.began
