"""What is listened to, in pieces: a whole sound, or takes with places, loops and a switch between two.

Threads: `pull` and `position` belong to the listening thread. The wishes of `TakeFeed` belong to the session; each
swaps one immutable value. Any thread may call `seconds_at`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from jbdiff_live.block import Audio

FADE_SECONDS = 0.01  # crossfade where a loop begins again
LEAST_LOOP_SECONDS = 0.05
KEPT_STEPS = 4096  # places that are remembered; some minutes


class Feed(Protocol):
    """Sound for the listening thread. `jumped`: True once after a wish that drops the sound that is queued."""

    def jumped(self, ring_frame: int) -> bool:
        """Move to where the player wished. ring_frame: the ring's next frame to be read."""
        ...

    def pull(self, frames: int, ring_frame: int) -> Audio:
        """Return the next frames, `[at most frames, channels]`; none at the end. ring_frame: where they will lie."""
        ...

    def close(self) -> None: ...


class Sound(Protocol):
    """A sound that can be read from any place: `record.shelf.reader.Resampled`."""

    frames: int

    def read(self, start: int, frames: int) -> Audio: ...
    def close(self) -> None: ...


class Whole:
    """A feed of one sound in memory, `[frames, channels]`."""

    def __init__(self, sound: Audio) -> None:
        self._sound, self._at = sound, 0

    def jumped(self, ring_frame: int) -> bool:
        return False

    def pull(self, frames: int, ring_frame: int) -> Audio:
        piece = self._sound[self._at : self._at + frames]
        self._at += len(piece)
        return piece

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class _Wish:
    """number: grows with each wish that drops the queued sound. to: the wished place in frames; None: where it is."""

    number: int = 0
    to: int | None = None
    sounding: int = 0
    gains: tuple[float, ...] = ()
    loop: tuple[int, int] | None = None


class TakeFeed:
    """A feed of takes at the same rate, of which one sounds. It owns the sounds, and closes them at its end."""

    def __init__(self, sounds: Sequence[Sound], rate: int, channels: int, seconds: float) -> None:
        self._sounds, self._rate, self._channels = tuple(sounds), rate, channels
        self._at = max(0, round(seconds * rate))
        self._lock = threading.Lock()  # for writers of the wish
        self._wish = _Wish(gains=(1.0,) * len(self._sounds))
        self._obeyed = self._wish
        self._dropped_to = 0  # the ring's first frame after the last jump; -1 until it is pulled
        self._tail: Audio | None = None  # what would have followed, to fade out where a loop begins again
        # (frame of the ring, place there), for the frames that are queued or sound.
        self._steps: deque[tuple[int, int]] = deque([(0, self._at)], maxlen=KEPT_STEPS)

    # ------------------------------------------------------------------ session

    def seek(self, seconds: float) -> None:
        self._ask(to=max(0, round(seconds * self._rate)))

    def choose(self, number: int) -> None:
        """Let another one of the sounds sound, at the same place."""
        self._ask(to=None, sounding=min(max(0, number), len(self._sounds) - 1))

    def turn_down(self, decibels: Sequence[float]) -> None:
        """Set the gain of each sound."""
        self._ask(to=None, gains=tuple(10 ** (gain / 20) for gain in decibels))

    def loop(self, begin: float | None, end: float) -> None:
        """Repeat a part, in seconds. It begins again when its end is reached. None ends the loop."""
        part = None
        if begin is not None:
            first = max(0, round(begin * self._rate))
            part = first, max(round(end * self._rate), first + round(LEAST_LOOP_SECONDS * self._rate))
        with self._lock:
            self._wish = replace(self._wish, loop=part)  # what is queued may go on

    def _ask(self, **changes: object) -> None:
        with self._lock:
            wish = self._wish
            if wish.number != self._obeyed.number and changes.get("to") is None:
                changes["to"] = wish.to  # a seek that was not obeyed yet stays
            self._wish = replace(wish, number=wish.number + 1, **changes)  # type: ignore[arg-type]

    def seconds_at(self, ring_frame: int) -> float:
        """Return the place in the take that lies at a frame of the ring."""
        at, place = self._steps[0]
        for other, there in tuple(self._steps):
            if other > ring_frame:
                break
            at, place = other, there
        return max(0, place + ring_frame - at) / self._rate

    # ------------------------------------------------------------------ listening thread

    def jumped(self, ring_frame: int) -> bool:
        wish = self._wish
        if wish.number == self._obeyed.number:
            self._obeyed = wish
            return False
        here = max(
            ring_frame, self._dropped_to
        )  # frames before are dropped, also if the ring still stands there
        self._at = round(self.seconds_at(here) * self._rate) if wish.to is None else wish.to
        self._obeyed, self._tail, self._dropped_to = wish, None, -1
        return True

    def pull(self, frames: int, ring_frame: int) -> Audio:
        if self._dropped_to < 0:
            self._dropped_to = ring_frame
        loop, parts, missing = self._obeyed.loop, [], frames
        while missing > 0:
            looping = loop is not None and self._at <= loop[1]
            end = min(loop[1], self._sound.frames) if looping and loop is not None else self._sound.frames
            count = min(missing, end - self._at)
            if count <= 0:
                if not looping or loop is None or loop[0] >= self._sound.frames:
                    break
                self._tail = self._read(self._at, round(FADE_SECONDS * self._rate))
                self._at = loop[0]
                continue
            self._note(ring_frame + frames - missing)
            parts.append(self._faded(self._read(self._at, count)))
            self._at += count
            missing -= count
        return np.concatenate(parts) if parts else np.zeros((0, self._channels), np.float32)

    @property
    def _sound(self) -> Sound:
        return self._sounds[self._obeyed.sounding]

    def _read(self, start: int, frames: int) -> Audio:
        return self._sound.read(start, frames) * np.float32(self._obeyed.gains[self._obeyed.sounding])

    def _note(self, ring_frame: int) -> None:
        """Remember the place, unless the sound simply goes on."""
        at, place = self._steps[-1]
        if place + ring_frame - at != self._at:
            self._steps.append((ring_frame, self._at))

    def _faded(self, piece: Audio) -> Audio:
        """Fade from the end of a loop into its beginning."""
        tail = self._tail
        if tail is None:
            return piece
        count = min(len(tail), len(piece))
        length = round(FADE_SECONDS * self._rate)
        done = length - len(tail)
        rise = ((np.arange(done, done + count) + 1) / (length + 1)).astype(np.float32)[:, None]
        piece[:count] = piece[:count] * rise + tail[:count] * (1 - rise)
        self._tail = tail[count:] if count < len(tail) else None
        return piece

    def close(self) -> None:
        for sound in self._sounds:
            sound.close()
