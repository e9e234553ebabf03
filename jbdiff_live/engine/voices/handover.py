"""The equal-power crossfade from one stack to another: both play until the old one has faded out.

Engine thread only. No torch: a voice is anything that makes blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, Self, TypeVar

import numpy as np

from jbdiff_live.block import Audio, Generated, KeepGoing

FADE_SECONDS = 0.75  # long enough for two rhythms to cross, shorter than a whole block of pocket


class Voice(Protocol):
    """A stack, playing."""

    @property
    def block_frames(self) -> int: ...

    @property
    def latency_frames(self) -> int:
        """Frames of silence at the beginning of its first block."""
        ...

    @property
    def block_seconds(self) -> float:
        """Seconds that a block takes to make."""
        ...

    @property
    def context_seconds(self) -> float:
        """Seconds that `continue_from` takes."""
        ...

    def continue_from(self, heard: Audio, before: Self, frames: int) -> None:
        """Condition the next block on the end of the played sound, as far as the voice needs it.

        heard: the played sound, `[frames, channels]`. before: the voice that made it. frames: how many more it made.
        """
        ...


V = TypeVar("V", bound=Voice)
Make = Callable[[KeepGoing], Generated | None]  # a voice's next block, or None when it was interrupted


class Handover(Generic[V]):
    """One change of voices. Every block of it has the new voice's length.

    The old voice goes on alone while the new one is still silent (`latency_frames`). Then it fades out over
    `fade_frames`. Its sound after that is dropped.
    """

    def __init__(self, old: V, new: V, heard: Audio, fade_frames: int) -> None:
        """heard: the end of the delivered sound, `[frames, channels]`, which the new voice continues."""
        self._old, self._new, self._heard = old, new, heard
        self._fade = fade_frames
        self._opens = new.latency_frames
        self._given = 0  # frames since the change began
        self._left: Audio = heard[:0]  # made by the old voice and not used yet

    @property
    def done(self) -> bool:
        """True if the old voice has faded out."""
        return self._given >= self._opens + self._fade

    @property
    def seconds(self) -> float:
        """Seconds that the next block takes."""
        missing = self._needed - len(self._left)
        first = 0.0 if self._given else self._new.context_seconds
        return _seconds(self._old, self._new, missing) + first

    @property
    def _needed(self) -> int:
        """Frames of the old voice in the next block."""
        return min(self._new.block_frames, max(0, self._opens + self._fade - self._given))

    def next_block(self, make_old: Make, make_new: Make, keep_going: KeepGoing) -> Generated | None:
        """Make the next block, of the new voice's length.

        None if a voice was interrupted: try again, or reset. The old voice's sound so far is kept. `keep_going` gets
        the share of all of this block's work.
        """
        frames, needed, whole = self._new.block_frames, self._needed, self.seconds
        done = 0.0

        def part(seconds: float) -> KeepGoing:
            nonlocal done
            before, done = done, done + seconds
            return lambda share=0.0: keep_going((before + share * seconds) / whole if whole > 0 else share)

        while len(self._left) < needed:
            made = make_old(part(self._old.block_seconds))
            if made is None:
                return None
            self._left = np.concatenate([self._left, made.samples])
        if not self._given:
            # The sound before the new voice's first frame.
            self._new.continue_from(
                np.concatenate([self._heard, self._left[: self._opens]]),
                self._old,
                len(self._left) - self._opens,
            )
            done += self._new.context_seconds
        made = make_new(part(self._new.block_seconds))
        if made is None:
            return None
        place = np.arange(self._given, self._given + needed) - self._opens
        angle = (np.pi / 2 * np.clip((place + 1) / (self._fade + 1), 0, 1))[:, None]
        mixed = made.samples.copy()
        mixed[:needed] *= np.sin(angle, dtype=np.float32)
        mixed[:needed] += self._left[:needed] * np.cos(angle, dtype=np.float32)
        self._left = self._left[needed:]
        self._given += frames
        return Generated(mixed, made.noise, made.stack, mixed=True, novelty=made.novelty, files=made.files)


def handover_seconds(old: Voice, new: Voice, fade_frames: int) -> float:
    """Return the seconds that the first block of a handover takes.

    It needs one block of the new voice and its context, and several blocks of an old voice whose blocks are short.
    """
    return _seconds(old, new, min(new.block_frames, new.latency_frames + fade_frames)) + new.context_seconds


def _seconds(old: Voice, new: Voice, missing: int) -> float:
    """Return the seconds of one block of the new voice and of `missing` frames of the old one."""
    return new.block_seconds + -(-max(0, missing) // old.block_frames) * old.block_seconds
