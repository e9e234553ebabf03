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

from jbdiff_live.block import CHANNELS, SAMPLE_RATE, Generated, KeepGoing, Mono, Preparing, Rung, Saved
from jbdiff_live.engine.block_settings import NewestKnobs
from jbdiff_live.engine.voices.background import StackLoader
from jbdiff_live.engine.voices.beginnings import LONGEST_WAIT_SECONDS, Beginnings
from jbdiff_live.engine.voices.beside import LoadsBeside
from jbdiff_live.engine.voices.catalogue import Catalogue
from jbdiff_live.engine.voices.handover import handover_seconds
from jbdiff_live.engine.voices.load import load_voice
from jbdiff_live.engine.voices.playing import Playing
from jbdiff_live.engine.voices.saved import SavedVoice
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
        cheaper: bool = True,
    ) -> None:
        """cheaper: a first stack that is too slow in full may begin with cheaper blocks."""
        self._cheaper = cheaper
        self.context_file: FileSource | None = None
        self.init_file: FileSource | None = None
        self._live = live
        self._files_read = files_read
        self._threads = threads
        self._turning = None if newest is None else NewestKnobs(newest)
        self._choosing = threading.Lock()  # between the first load and a choice made meanwhile
        self._first = choice or StackChoice()  # the choice that `prepare` loads
        self._playing = Playing()
        self._loader: StackLoader[StackVoice] = StackLoader(self._load_beside, on_ready)
        self._beside = LoadsBeside(threads, self._take_turns, lambda going: self._files_read(going))
        self._beginnings: Beginnings[tuple[StackVoice, FileSource], Mapping[int, LevelBeginning]] = (
            Beginnings(self._beside.beginning)
        )
        self._asked_at = 0.0  # time of the last choice of a stack; the session writes it, the engine reads it
        self._resting = threading.Event()  # set while no block is being made
        self._resting.set()
        self._catalogue = Catalogue()

    # ------------------------------------------------------------------ session's thread

    def choose(self, choice: StackChoice) -> None:
        """Ask for another stack, or other parts of it. Returns at once; `status` shows the progress."""
        with self._choosing:
            voice = self._playing.voice
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
        self._playing = Playing()

    # ------------------------------------------------------------------ any thread

    @property
    def choice(self) -> StackChoice:
        """The stack that is being loaded to play next, else the one that plays."""
        voice = self._playing.voice
        return self._loader.wanted or (voice.asked if voice is not None else self._first)

    @property
    def status(self) -> StackStatus:
        voice = self._playing.voice
        playing = None if voice is None else voice.playing
        return StackStatus(self.choice, playing, self._loader.loading, self._loader.problem)

    @property
    def machine(self) -> Mapping[str, str | int]:
        """Facts of the machine on which the samples depend, for a take. Empty before a stack is loaded."""
        voice = self._playing.voice
        return {} if voice is None else voice.machine

    @property
    def complaint(self) -> str:
        """The message about a knob's request that cannot be met; empty if there is none."""
        voice = self._playing.voice
        return "" if voice is None else voice.complaint

    # ------------------------------------------------------------------ engine thread

    def prepare(self, report: Callable[[Preparing], None], keep_going: Callable[[], bool]) -> bool:
        """Load the stack and warm it up. A stack that is already loaded begins again."""
        while self._playing.voice is None:
            choice = self._first
            voice = load_voice(
                choice, report, lambda choice=choice: keep_going() and self._first is choice,  # type: ignore[misc]
                threads=self._threads, cheaper=self._cheaper,
            )  # fmt: skip
            if not keep_going():
                return False
            with self._choosing:
                if self._first is choice:
                    self._playing.voice = voice
        if (loaded := self._loader.take()) is not None:  # chosen while nothing played: no crossfade is needed
            loaded.playing = replace(loaded.playing, fade_frames=0)
            self._beside.rest(self._ready(), loaded)
            self._playing.voice = loaded
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
        if self._playing.sounded.frames > self.block_frames:
            seconds[Rung.REPEAT] = REPEAT_SECONDS
        return seconds

    @property
    def mixing_seconds(self) -> float | None:
        handover = self._playing.handover
        return None if handover is None else handover.seconds

    @property
    def switch_seconds(self) -> float | None:
        new = self._loader.ready
        if new is None or self._playing.handover is not None:
            return None
        return handover_seconds(self._ready(), new, new.playing.fade_frames)

    def switch(self) -> None:
        """Fade the loaded stack in, from the next block on."""
        new = self._loader.take()
        if new is not None:  # else another choice came meanwhile
            self._playing.switch(new)

    def next_block(
        self, snapshot: ParameterSnapshot, keep_going: KeepGoing, rung: Rung = Rung.FULL
    ) -> Generated | None:
        """Make one block from the knobs. None if `keep_going` turned false between steps."""
        if rung is not Rung.REPEAT:
            self._resting.clear()
        try:
            made = self._playing.next_block(
                snapshot,
                rung,
                self._sources(),
                self._begin_from_file,
                lambda: (snapshot, self._sources()),
                keep_going,
                self._turning,
            )
        finally:
            self._resting.set()
        if self._playing.handover is not None and self._playing.handover.done:
            self._end_handover()
        return made

    def _sources(self) -> Sources:
        """Return the sounds for the next block."""
        return Sources(self.context_file, self.init_file, self._live, self._playing.newest)

    def _end_handover(self) -> None:
        self._rest(self._playing.end_handover())

    def _rest(self, old: StackVoice | None) -> None:
        """Let a voice that gave way rest. It may be asked for again."""
        if old is not None:
            self._beside.rest(old, self._ready())

    def save(self) -> SavedVoice | None:
        """Return the state before the next block; None while one stack fades into another."""
        return self._playing.save()

    def fits(self, saved: Saved) -> bool:
        """Return True if the stack of this state plays, alone."""
        playing = self._playing
        return playing.handover is None and isinstance(saved, SavedVoice) and saved.voice is playing.voice

    def restore(self, saved: Saved, present: Saved) -> None:
        """Go on from a saved state. ValueError: another stack plays. The rest as in `jbdiff_live.block.Rewinds`."""
        if not self.fits(saved) or not isinstance(saved, SavedVoice) or not isinstance(present, SavedVoice):
            raise ValueError("the saved state is of another stack; load that stack first")
        self._playing.restore(saved, present)

    def reset(self, keep_going: Callable[[], bool]) -> None:
        """Forget the music so far, and begin again from the context file, if there is one.

        If the file's latents take too long to compute, a later block begins from them (`_begin_from_file`).
        """
        self._begin_again(keep_going, LONGEST_WAIT_SECONDS)

    def _begin_again(self, keep_going: Callable[[], bool], longest: float) -> None:
        self._rest(self._playing.begin_anew())
        voice, file = self._ready(), self.context_file
        if file is None:
            voice.set_beginning(None, None)
        else:
            beginning = voice.known_beginning(file) or self._beginnings.wait(
                (voice, file), keep_going, longest
            )
            voice.set_beginning(None if beginning is None else file, beginning)
            self._playing.began = None if beginning is None else file.tail(voice.beginning_frames)

    def _begin_from_file(self, voice: StackVoice) -> Mono | None:
        """Begin from a newly loaded file as soon as its beginning is computed. Return the file's end if it began.

        It is also computed for a stack that replaced another one, so that a panic does not wait for it.
        """
        file, handover = self.context_file, self._playing.handover is not None
        coming = self._loader.wanted is not None and time.monotonic() - self._asked_at < COMING_SECONDS
        if file is None:
            voice.set_beginning(None, None)
            return None
        if coming or (handover and file is voice.began_from):
            return None  # the coming stack begins from the file, or a handover to a voice that did is in progress
        beginning = voice.known_beginning(file) or self._beginnings.ask((voice, file))
        if file is voice.began_from or beginning is None:
            return None
        voice.set_beginning(file, beginning)
        return file.tail(voice.beginning_frames)

    def _ready(self) -> StackVoice:
        return self._playing.ready()

    # ------------------------------------------------------------------ loader's and beginnings' threads

    def _load_beside(
        self, choice: StackChoice, report: Callable[[Preparing], None], keep_going: Callable[[], bool]
    ) -> StackVoice | None:
        until = self._asked_at + COMING_SECONDS
        return self._beside.load(
            choice, self._playing.voice, lambda: self.context_file, until, report, keep_going
        )

    def _take_turns(self) -> None:
        self._resting.wait(TURN_SECONDS)
