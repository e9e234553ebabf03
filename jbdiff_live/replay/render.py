"""Render a take again: `replay` makes its blocks, and a new take of them. One thread; blocks for as long as it takes.

The blocks go into a folder beside the new take (`work.py`). A render that was killed goes on behind its last whole
block, with the same samples.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from jbdiff.out_path import link_problem
from jbdiff_live.block import Audio, Generated, Mono, Rung
from jbdiff_live.engine.again import AgainPlayer, WantedBlock
from jbdiff_live.engine.past.machine import with_edges
from jbdiff_live.record.again.copies import copy_of_block
from jbdiff_live.record.again.sounds import KeptSounds
from jbdiff_live.record.again.states import StateBefore, TakeStates
from jbdiff_live.record.take import open_take
from jbdiff_live.replay.edits import apply_edits, read_edits
from jbdiff_live.replay.exact import differences
from jbdiff_live.replay.finish import write_take
from jbdiff_live.replay.given import given_of
from jbdiff_live.replay.log import LoggedBlock, read_log
from jbdiff_live.replay.options import ReplayError, ReplayOptions
from jbdiff_live.replay.plan import ReplayPlan, changed_choice, plan_of
from jbdiff_live.replay.work import KEPT, MadeBlock, Work, stored_state
from jbdiff_live.stack_choice import StackPlaying

STATE_SECONDS = 5.0  # of rendering between two states to go on from

# Gets blocks made, blocks in all, and the seconds left, None while they are not known.
OnProgress = Callable[[int, int, float | None], None]


@dataclass(frozen=True)
class Replayed:
    """The result. exact: the same samples as the take's are to be expected; `notes` say why not, and other news."""

    folder: Path
    exact: bool
    notes: tuple[str, ...]
    blocks: int
    resumed_at: int  # blocks that an earlier run had made


def replay(
    take: Path,
    out: Path,
    options: ReplayOptions | None = None,
    on_progress: OnProgress = lambda done, of, left: None,
    say: Callable[[str], object] = lambda words: None,
) -> Replayed:
    """Render the take in a folder again, into the new folder `out`.

    say: gets news while the render runs. Raises ReplayError, or TakeError, CheckpointError, StreamError, ValueError and
    OSError of the parts; all of them name the remedy.
    """
    wanted = options or ReplayOptions()
    if problem := link_problem(out):
        raise ReplayError(problem)
    if out.exists():
        raise ReplayError(f"{out} is there already; give another folder with --out")
    log = read_log(open_take(take))
    if wanted.edits is not None:
        log = apply_edits(log, read_edits(wanted.edits))
    plan = plan_of(log, wanted)
    rendering = _Rendering(plan, wanted, out, say)
    try:
        rendering.begin()
        rendering.make(on_progress)
        notes = (*plan.notes, *rendering.notes)
        folder = write_take(plan, wanted, rendering.work, rendering.sounds, out, not notes)
    except BaseException:
        rendering.work.close(remove=not rendering.work.made)  # nothing that a later call could go on from
        raise
    rendering.work.close(remove=True)
    return Replayed(folder, not notes, notes, len(rendering.work.made), rendering.resumed_at)


class _Rendering:
    """One render: the player, and the folder that it writes to."""

    def __init__(
        self, plan: ReplayPlan, options: ReplayOptions, out: Path, say: Callable[[str], object]
    ) -> None:
        self.plan, self.say = plan, say
        self.notes: tuple[str, ...] = ()
        self.resumed_at = 0
        self.sounds = KeptSounds(plan.log.take.folder)
        self._options = options
        machine = plan.log.take.info.details.get("machine", {})
        self._machine = machine if isinstance(machine, dict) else {}
        threads = options.threads or self._machine.get("threads")
        self._player = AgainPlayer(
            lambda choice: changed_choice(choice, options),
            options.other_weights,
            threads if isinstance(threads, int) and threads > 0 else None,
            None if options.finisher in (None, "none", "own") else options.finisher,
            plan.pinned | plan.own_states,
        )
        first = changed_choice(plan.stack_at(plan.first).choice, options)
        levels = (first.levels or (2, 1, 0)) if options.stems else ()
        self.work = Work(out.with_name(out.name + ".partial"), _digest(plan, options), levels, options.fresh)
        self._states = TakeStates()
        self._state_at = time.monotonic()

    # ------------------------------------------------------------------ the beginning

    def begin(self) -> None:
        """Load the stack and go to the place where the render begins, or goes on."""
        plan, states = self.plan, self.work.states()
        facts = self.work.latest_state()
        self.resumed_at = len(self.work.made)
        if facts is None:
            self._begin_at(plan.first, plan.state is not None)
            return
        place = next(n for n, b in enumerate(plan.blocks) if b.index == facts.index)
        block = plan.blocks[place]
        stack = plan.stack_at(place - 1 if block.stack is not None and not block.event.anew else place)
        self._player.begin(stack, self.work.stored(facts, self.sounds))
        for index in plan.pinned & set(states):
            at = next((n for n, b in enumerate(plan.blocks) if b.index == index), place)
            if at < place and not any(b.stack is not None for b in plan.blocks[at + 1 : place]):
                self._player.pin(index, self.work.stored(states[index], self.sounds))
        self._note_machine()
        self.say(f"going on after block {len(self.work.made)}")

    def _begin_at(self, place: int, with_state: bool) -> None:
        """Begin with the block at `place`, from the take's state before it."""
        plan = self.plan
        stored = None
        if with_state:
            assert plan.state is not None
            stored = stored_state(plan.log.take.folder, plan.state, self.sounds)
        fresh = self._player.begin(plan.stack_at(place), stored)
        if fresh and self._options.same_sound:
            raise ReplayError(
                f"the state before block {plan.blocks[place].index} does not fit the stack ({', '.join(fresh)}); "
                "render from another block with --from-block"
            )
        self._note_machine()
        if fresh and stored is not None:
            self.notes = (*self.notes, f"not in the take, so it begins afresh: {', '.join(fresh)}")

    def _note_machine(self) -> None:
        """Find out whether the same samples are to be expected."""
        self.notes = differences(self._machine, self._player.voice.machine, self._options)

    # ------------------------------------------------------------------ blocks

    def make(self, on_progress: OnProgress) -> None:
        """Make the blocks that are missing."""
        plan, work = self.plan, self.work
        started, before = time.monotonic(), len(work.made)
        of = plan.end - plan.first
        on_progress(before, of, None)
        for place in range(plan.first + before, plan.end):
            block = plan.blocks[place]
            if block.jump is not None or block.event.again is not None:
                self._player.older_plays()
            if block.event.again is not None:
                older = _generated(block, self._again(block), self._player.voice.playing)
                self._add(place, older, {})
            else:
                self._keep_state(place, block)
                self._new(place, block)
            done = len(work.made)
            on_progress(done, of, (time.monotonic() - started) / (done - before) * (of - done))

    def _new(self, place: int, block: LoggedBlock) -> None:
        """Make a new block."""
        if block.index in self.plan.own_states:
            facts = self.plan.log.states[block.index]
            stored = stored_state(self.plan.log.take.folder, facts, self.sounds)
            self._player.pin(block.index, stored)
            if place >= self.plan.kept:  # the new take needs it as this one does
                copy_of_block(self.plan.log.take.folder, block.event, self.work.folder / KEPT)
        first = place == self.plan.first + self.resumed_at
        made = self._player.make(self._wanted(place, block, first), lambda share=0.0: True)
        assert made is not None
        stems = {} if block.event.rung == "repeat" else self._player.voice.stems
        if stems:
            self.work.note_stem_delays({level: stem.early for level, stem in stems.items()})
        self._add(place, made, {level: stem.sound for level, stem in stems.items()})

    def _again(self, block: LoggedBlock) -> Audio:
        """Return the sound of a block that plays again."""
        assert block.event.again is not None
        made = self.work.of(block.event.again)
        if made is not None:
            return with_edges(self.work.sound(made), block.edges)
        kept = self.sounds.again(block.index)
        if kept is None:
            raise ReplayError(
                f"block {block.index} plays block {block.event.again} again, which is neither in the log nor in "
                "the folder sounds; render another part with --from and --to"
            )
        return kept

    def _add(self, place: int, made: Generated, stems: Mapping[int, Mono]) -> None:
        """Write a block that was made. A block that a stop broke off is as short as it was."""
        block, work = self.plan.blocks[place], self.work
        samples = made.samples
        cut = block.event.frames if self._options.same_sound else len(samples)
        samples = samples[:cut]
        last = work.made[-1] if work.made else None
        work.add(
            MadeBlock(
                place,
                block.index,
                0 if last is None else last.frame + last.frames,
                block.start_frame if last is None else last.start_frame + last.frames,
                len(samples),
                made.noise,
                block.event.seconds_taken,
                dict(made.turned),
                made.novelty,
                made.stack,
                dict(made.files),
            ),
            samples,
            {level: stem[:cut] for level, stem in stems.items()},
        )

    def _keep_state(self, place: int, block: LoggedBlock) -> None:
        """Write the state before a block, to go on from, for the new take, or because the music returns to it."""
        pinned = block.index in self.plan.pinned
        due = time.monotonic() - self._state_at >= STATE_SECONDS
        saved = self._player.save()
        if saved is None or block.event.resumes is not None:
            return
        made = self.work.made
        frame = block.start_frame if not made else made[-1].start_frame + made[-1].frames
        state = StateBefore(block.index, frame, saved)
        if place >= self.plan.kept and not block.event.anew and block.stack is None:
            self._states.note(block.index, None)
            self._states.write(self.work.folder / KEPT, state)
        if (due or pinned) and made:
            self.work.put_state(state, saved.stored(), saved.stack, self.plan.pinned)
            self._state_at = time.monotonic()

    # ------------------------------------------------------------------ what a block needs

    def _wanted(self, place: int, block: LoggedBlock, first: bool) -> WantedBlock:
        """Return a block as the player takes it. first: the state before it is in place already."""
        event = block.event
        rung = Rung[event.rung.upper()]
        if self._options.full and rung < Rung.REPEAT:
            rung = Rung.FULL
        own = block.index in self.plan.own_states
        starts = place == self.plan.first
        stack = self.plan.stack_at(place) if block.stack is not None and not starts else None
        return WantedBlock(
            block.index,
            block.snapshot,
            rung,
            {} if rung.name.lower() != event.rung else block.turned,
            stack,
            event.anew,
            block.index if own else None if first else event.resumes,
            returns=not first and event.resumes is None,
            given=given_of(block, self.sounds),
        )


def _generated(block: LoggedBlock, samples: Audio, stack: StackPlaying) -> Generated:
    """Return an older block that plays again, as if it was made. stack: that plays."""
    event = block.event
    return Generated(samples, event.noise, stack, novelty=event.novelty, files=event.files)


def _digest(plan: ReplayPlan, options: ReplayOptions) -> str:
    """Return a digest of everything that determines the samples."""
    digest = hashlib.sha256()
    for part in (
        plan.first,
        plan.kept,
        plan.end,
        options.steps,
        options.levels,
        options.finisher,
        options.full,
    ):
        digest.update(repr(part).encode())
    digest.update(repr((options.stacks, options.stems, options.other_weights, options.threads)).encode())
    for block in plan.blocks[plan.first :]:
        digest.update(msgspec.json.encode(block.event))
        digest.update(repr((block.stack, block.jump, block.values, block.counts)).encode())
    return digest.hexdigest()
