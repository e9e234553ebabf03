"""The model as a block generator: one voice, or two while a stack gives way to another.

Threads: `choose`, `stacks` and `close` belong to the session. It also sets the `*_file` attributes: immutable sources,
swapped whole and read once per block. Any thread may read `status` and `choice`. The rest is the engine thread's.
A stack that is chosen while another one plays is loaded by `StackLoader`'s thread and waits for the engine.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from jbdiff_live.block import CHANNELS, SAMPLE_RATE, Audio, Generated, KeepGoing, Preparing, Rung, Saved
from jbdiff_live.engine.block_settings import NewestKnobs
from jbdiff_live.engine.voices.background import StackLoader
from jbdiff_live.engine.voices.beginnings import LONGEST_WAIT_SECONDS, Beginnings
from jbdiff_live.engine.voices.beside import LoadsBeside
from jbdiff_live.engine.voices.catalogue import Catalogue
from jbdiff_live.engine.voices.handover import Handover, handover_seconds
from jbdiff_live.engine.voices.load import load_voice
from jbdiff_live.engine.voices.repeat import once_more
from jbdiff_live.engine.voices.saved import SavedVoice
from jbdiff_live.engine.voices.sounded import Sounded
from jbdiff_live.engine.voices.sources import FileSource, LiveReader, Sources
from jbdiff_live.engine.voices.voice import StackVoice
from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.stack_choice import StackChoice, StackParts, StackStatus

if TYPE_CHECKING:
    from jbdiff.stream.state import LevelBeginning

COMING_SECONDS = 15.0  # longest time for which a file waits for the stack of the same patch
REPEAT_SECONDS = 0.005  # time to copy a block
TURN_SECONDS = 0.5  # limit of a preparation step's wait for the block in work


class ModelGenerator:
    """The generator that plays stacks through `jbdiff.stream.stream.BlockStream`. Making one imports no torch.

    `live` gives pieces of the live input, or None if no input is open. `on_ready` is called
    on the loader thread when a stack is ready. `newest` gives the present knobs, for those that are read at every step.
    Without it all knobs come from the block's snapshot. They also do during a crossfade of two stacks, since the log
    keeps the steps of one stack only. `files_read(keep_going)` waits for files that are being read, so that music from
    a file does not begin without it.
    """

    channels = CHANNELS
    sample_rate = SAMPLE_RATE

    def __init__(
        self,
        choice: StackChoice | None = None,
        live: LiveReader = lambda frames, ahead, beat: None,
        threads: int | None = None,
        on_ready: Callable[[], None] = lambda: None,
        newest: Callable[[], ParameterSnapshot] | None = None,
        files_read: Callable[[Callable[[], bool]], None] = lambda keep_going: None,
    ) -> None:
        self.context_file: FileSource | None = None
        self.init_file: FileSource | None = None
        self._live = live
        self._files_read = files_read
        self._threads = threads
        self._turning = None if newest is None else NewestKnobs(newest)
        self._choosing = threading.Lock()  # between the first load and a choice made meanwhile
        self._first = choice or StackChoice()  # the choice that `prepare` loads
        self._voice: StackVoice | None = None
        self._handover: Handover[StackVoice] | None = None
        self._old: StackVoice | None = None  # the voice that fades out in a handover
        self._sounded = Sounded()
        self._loader: StackLoader[StackVoice] = StackLoader(self._load_beside, on_ready)
        self._beside = LoadsBeside(threads, self._take_turns, lambda going: self._files_read(going))
        self._beginnings: Beginnings[tuple[StackVoice, FileSource], Mapping[int, LevelBeginning]] = (
            Beginnings(self._beside.beginning)
        )
        self._asked_at = 0.0  # time of the last choice of a stack; the session writes it, the engine reads it
        self._resets = 0  # count of the action that resets the context, at the last block
        self._resting = threading.Event()  # set while no block is being made
        self._resting.set()
        self._catalogue = Catalogue()

    # ------------------------------------------------------------------ session's thread

    def choose(self, choice: StackChoice) -> None:
        """Ask for another stack, or other parts of it. Returns at once; `status` shows the progress."""
        with self._choosing:
            voice = self._voice
            if voice is None:
                self._first = choice
                return
        if voice.plays(choice):
            self._loader.cancel()
            voice.asked = choice
        else:
            self._asked_at = time.monotonic()
            self._loader.ask(choice)

    def stacks(self) -> Sequence[StackParts]:
        """Return the stacks found so far. The first call begins the search."""
        known, playing = self._catalogue.stacks(), self.status.playing
        if playing is None or any(parts.name == playing.stack for parts in known):
            return known
        return (*known, playing.parts)  # a stack in a folder of its own

    def close(self) -> None:
        """End the threads and free the memory. The engine thread must have ended."""
        self._loader.close()
        self._beginnings.close()
        self._catalogue.close()
        self._beside.clear()
        self._voice = self._old = self._handover = None

    # ------------------------------------------------------------------ any thread

    @property
    def choice(self) -> StackChoice:
        """The stack that is being loaded to play next, else the one that plays."""
        voice = self._voice
        return self._loader.wanted or (voice.asked if voice is not None else self._first)

    @property
    def status(self) -> StackStatus:
        voice = self._voice
        playing = None if voice is None else voice.playing
        return StackStatus(self.choice, playing, self._loader.loading, self._loader.problem)

    @property
    def complaint(self) -> str:
        """The message about a knob's request that cannot be met; empty if there is none."""
        voice = self._voice
        return "" if voice is None else voice.complaint

    # ------------------------------------------------------------------ engine thread

    def prepare(self, report: Callable[[Preparing], None], keep_going: Callable[[], bool]) -> bool:
        """Load the stack and warm it up. A stack that is already loaded begins again."""
        while self._voice is None:
            choice = self._first
            voice = load_voice(
                choice, report, lambda choice=choice: keep_going() and self._first is choice,  # type: ignore[misc]
                threads=self._threads,
            )  # fmt: skip
            if not keep_going():
                return False
            with self._choosing:
                if self._first is choice:
                    self._voice = voice
        if (loaded := self._loader.take()) is not None:  # chosen while nothing played: no crossfade is needed
            loaded.playing = replace(loaded.playing, fade_frames=0)
            self._beside.rest(self._ready(), loaded)
            self._voice = loaded
        self._catalogue.look()
        self._files_read(keep_going)
        # Nothing plays yet, so the first block may wait for its context, however long that takes.
        self._begin_again(keep_going, math.inf)
        return keep_going()

    @property
    def block_frames(self) -> int:
        return self._ready().block_frames

    @property
    def rung_seconds(self) -> Mapping[Rung, float]:
        """Seconds of a block on each rung of this stack. During a crossfade of stacks no rung saves work."""
        mixing = self.mixing_seconds
        seconds = dict(self._ready().rung_seconds) if mixing is None else {Rung.FULL: mixing}
        if len(self._sounded.all) > self.block_frames:
            seconds[Rung.REPEAT] = REPEAT_SECONDS
        return seconds

    @property
    def mixing_seconds(self) -> float | None:
        return None if self._handover is None else self._handover.seconds

    @property
    def switch_seconds(self) -> float | None:
        new = self._loader.ready
        if new is None or self._handover is not None:
            return None
        return handover_seconds(self._ready(), new, new.playing.fade_frames)

    def switch(self) -> None:
        """Fade the loaded stack in, from the next block on."""
        old, new = self._ready(), self._loader.take()
        if new is None:  # another choice came meanwhile
            return
        new.take_place_of(old)
        self._handover = Handover(old, new, self._sounded.music, new.playing.fade_frames)
        self._old, self._voice = old, new

    def next_block(
        self, snapshot: ParameterSnapshot, keep_going: KeepGoing, rung: Rung = Rung.FULL
    ) -> Generated | None:
        """Make one block from the knobs. None if `keep_going` turned false between steps."""
        if rung is Rung.REPEAT:
            return self._repeat()
        self._resting.clear()
        try:
            return self._next_block(snapshot, keep_going, rung)
        finally:
            self._resting.set()

    def _next_block(self, snapshot: ParameterSnapshot, keep_going: KeepGoing, rung: Rung) -> Generated | None:
        self._forget_if_asked(snapshot)
        voice, old = self._ready(), self._old
        sources = Sources(self.context_file, self.init_file, self._live, self._sounded.newest)
        if self._handover is None or old is None:
            self._begin_from_file(voice)
            made = voice.next_block(snapshot, sources, keep_going, rung, self._turning)
        else:

            def make_new(going: KeepGoing) -> Generated | None:
                self._begin_from_file(voice)  # replaces the played context if a file was loaded since
                return voice.next_block(snapshot, sources, going)

            made = self._handover.next_block(
                lambda going: old.next_block(snapshot, sources, going), make_new, keep_going
            )
            if self._handover.done:
                self._end_handover()
        return None if made is None else self._sounded.keep(made, snapshot, sources, voice.latency_frames)

    def _end_handover(self) -> None:
        """Let the old voice rest, if there is one. It may be asked for again."""
        old, self._handover, self._old = self._old, None, None
        if old is not None:
            self._beside.rest(old, self._ready())

    def _forget_if_asked(self, snapshot: ParameterSnapshot) -> None:
        """Begin the music again if the player asked for it since the last block."""
        resets = snapshot.counts.get("reset_context", 0)
        if resets != self._resets:
            self._resets = resets
            self._ready().forget()

    def _repeat(self) -> Generated:
        """Repeat about the last block's sound. The stacks' state does not change: they continue as before it."""
        samples = once_more(self._sounded.all, self.block_frames)
        return Generated(samples, "repeated", self._ready().playing, mixed=True)

    def save(self) -> SavedVoice | None:
        """Return the state before the next block; None while one stack fades into another."""
        voice = self._ready()
        saved = SavedVoice(
            voice, voice.save(), voice.position, voice.began_from, self._resets,
            files=voice.files.began, dry=self._sounded.dry,
        )  # fmt: skip
        return None if self._handover is not None else saved

    def fits(self, saved: Saved) -> bool:
        """Return True if the stack of this state plays, alone."""
        return self._handover is None and isinstance(saved, SavedVoice) and saved.voice is self._voice

    def restore(self, saved: Saved, heard: Audio, present: Saved) -> None:
        """Go on from a saved state. ValueError: another stack plays. The rest as in `jbdiff_live.block.Rewinds`."""
        if not self.fits(saved) or not isinstance(saved, SavedVoice) or not isinstance(present, SavedVoice):
            raise ValueError("the saved state is of another stack; load that stack first")
        saved.voice.restore(saved.whole, saved.position, present.began_from, saved.files)
        self._sounded.go_on(heard, saved.dry)
        self._resets = saved.resets

    def reset(self, keep_going: Callable[[], bool]) -> None:
        """Forget the music so far, and begin again from the context file, if there is one.

        If the file's latents take too long to compute, a later block begins from them (`_begin_from_file`).
        """
        self._begin_again(keep_going, LONGEST_WAIT_SECONDS)

    def _begin_again(self, keep_going: Callable[[], bool], longest: float) -> None:
        self._end_handover()
        self._sounded.clear()
        voice, file = self._ready(), self.context_file
        voice.reset()
        if file is None:
            voice.set_beginning(None, None)
        else:
            beginning = voice.known_beginning(file) or self._beginnings.wait(
                (voice, file), keep_going, longest
            )
            voice.set_beginning(None if beginning is None else file, beginning)

    def _begin_from_file(self, voice: StackVoice) -> None:
        """Begin from a newly loaded file as soon as its beginning is computed.

        It is also computed for a stack that replaced another one, so that a panic does not wait for it.
        """
        file, handover = self.context_file, self._handover is not None
        coming = self._loader.wanted is not None and time.monotonic() - self._asked_at < COMING_SECONDS
        if file is None:
            voice.set_beginning(None, None)
        elif coming or (handover and file is voice.began_from):
            return  # the coming stack begins from the file, or a handover to a voice that did is in progress
        else:
            beginning = voice.known_beginning(file) or self._beginnings.ask((voice, file))
            if file is not voice.began_from and beginning is not None:
                voice.set_beginning(file, beginning)

    def _ready(self) -> StackVoice:
        if self._voice is None:
            raise RuntimeError("the model is not loaded; call prepare() first")
        return self._voice

    # ------------------------------------------------------------------ loader's and beginnings' threads

    def _load_beside(
        self, choice: StackChoice, report: Callable[[Preparing], None], keep_going: Callable[[], bool]
    ) -> StackVoice | None:
        until = self._asked_at + COMING_SECONDS
        return self._beside.load(choice, self._voice, lambda: self.context_file, until, report, keep_going)

    def _take_turns(self) -> None:
        self._resting.wait(TURN_SECONDS)
