"""The voice that plays, or two while one gives way to another, with the newest sound. It makes blocks.

One thread: the engine's, or that of a replay. Nothing here depends on time, so the same calls make the same samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from jbdiff_live.block import Generated, KeepGoing, Mono, OldBlock, Rung
from jbdiff_live.engine.block_settings import NewestKnobs
from jbdiff_live.engine.voices.handover import Handover
from jbdiff_live.engine.voices.repeat import once_more
from jbdiff_live.engine.voices.saved import SavedVoice
from jbdiff_live.engine.voices.sounded import Sounded
from jbdiff_live.engine.voices.sources import Sources
from jbdiff_live.engine.voices.voice import StackVoice
from jbdiff_live.parameters import ParameterSnapshot

# Lets a voice begin from a sound before its next block, if one is due. Returns that sound's end, or None.
Begin = Callable[[StackVoice], Mono | None]
# Gives the knobs and the sounds for the next block of the voice that fades out.
OldSettings = Callable[[], tuple[ParameterSnapshot, Sources]]


class Playing:
    """What plays. `voice` is None before the first stack is loaded; `old` fades out during a `handover`."""

    def __init__(self) -> None:
        self.voice: StackVoice | None = None
        self.old: StackVoice | None = None
        self.handover: Handover[StackVoice] | None = None
        self.sounded = Sounded()
        self.resets = 0  # count of the action that resets the context, at the last block
        self.began: Mono | None = None  # the end of the sound that the next block begins from, for `Given`
        self._old_made: tuple[OldBlock, ...] = ()  # for the next block

    def ready(self) -> StackVoice:
        if self.voice is None:
            raise RuntimeError("the model is not loaded; call prepare() first")
        return self.voice

    def newest(self, frames: int) -> Mono:
        """As `Sounded.newest`."""
        return self.sounded.newest(frames)

    # ------------------------------------------------------------------ changes

    def switch(self, new: StackVoice) -> None:
        """Fade a new voice in, from the next block on."""
        old = self.ready()
        new.take_place_of(old)
        self.handover = Handover(old, new, self.sounded.music, new.playing.fade_frames)
        self.old, self.voice = old, new
        self._old_made = ()

    def end_handover(self) -> StackVoice | None:
        """Drop the voice that gave way, and return it; None if there is none."""
        old, self.handover, self.old = self.old, None, None
        self._old_made = ()
        return old

    def begin_anew(self) -> StackVoice | None:
        """Forget all music so far. Return the voice that gave way, as `end_handover`."""
        old = self.end_handover()
        self.sounded.clear()
        self.began = None
        self.ready().reset()
        return old

    def forget_if_asked(self, snapshot: ParameterSnapshot) -> None:
        """Begin the music again without a gap if the player asked for it since the last block."""
        resets = snapshot.counts.get("reset_context", 0)
        if resets != self.resets:
            self.resets = resets
            self.ready().forget()
            self.began = None

    # ------------------------------------------------------------------ blocks

    def next_block(
        self,
        snapshot: ParameterSnapshot,
        rung: Rung,
        sources: Sources,
        begin: Begin,
        old_settings: OldSettings,
        keep_going: KeepGoing,
        turning: NewestKnobs | None,
    ) -> Generated | None:
        """Make one block from the knobs. None if `keep_going` turned false between steps.

        turning: as `StackVoice.next_block`. A block that two voices make has the snapshot's values throughout.
        """
        if rung is Rung.REPEAT:  # the state does not change: the music continues as before this block
            samples = once_more(self.sounded.all, self.ready().block_frames)
            return Generated(samples, "repeated", self.ready().playing, mixed=True)
        self.forget_if_asked(snapshot)
        if self.handover is None:
            voice = self.ready()
            began = begin(voice)
            self.began = self.began if began is None else began
            made = voice.next_block(snapshot, sources, keep_going, rung, turning)
        else:
            made = self._mixed(self.handover, snapshot, sources, begin, old_settings, keep_going)
        if made is None:
            return None
        given = replace(sources.used.given(self.began), old=self._old_made)
        self.began, self._old_made = None, ()
        made = self.sounded.keep(made, snapshot, sources, self.ready().latency_frames)
        return replace(made, given=given)

    def _mixed(
        self,
        handover: Handover[StackVoice],
        snapshot: ParameterSnapshot,
        sources: Sources,
        begin: Begin,
        old_settings: OldSettings,
        keep_going: KeepGoing,
    ) -> Generated | None:
        """Make one block of a handover."""
        voice, old = self.ready(), self.old
        assert old is not None

        def make_old(going: KeepGoing) -> Generated | None:
            knobs, sounds = old_settings()
            made = old.next_block(knobs, sounds, going)
            if made is not None:  # it is kept even if the new voice is interrupted
                self._old_made = (*self._old_made, OldBlock(knobs, sounds.used.given()))
            return made

        def make_new(going: KeepGoing) -> Generated | None:
            before = voice.began_from
            self.began = begin(voice)  # replaces the played sound as context
            made = voice.next_block(snapshot, sources, going)
            if made is None:  # the next try continues the played sound again, and then begins again
                voice.began_from = before
            return made

        return handover.next_block(make_old, make_new, keep_going)

    # ------------------------------------------------------------------ states

    def save(self) -> SavedVoice | None:
        """Return the state before the next block; None while one stack fades into another."""
        if self.handover is not None:
            return None
        voice = self.ready()
        sounded = self.sounded
        return SavedVoice(
            voice, voice.save(), voice.position, voice.began_from, self.resets, sounded.heard, sounded.out,
            files=voice.files.began, dry=sounded.dry,
        )  # fmt: skip

    def restore(self, saved: SavedVoice, present: SavedVoice) -> None:
        """Go on from a saved state of the voice that plays, as `jbdiff_live.block.Rewinds.restore`."""
        saved.voice.restore(saved.whole, saved.position, present.began_from, saved.files)
        self.sounded.go_on(saved.heard, saved.out, saved.dry)
        self.resets, self.began = saved.resets, None
