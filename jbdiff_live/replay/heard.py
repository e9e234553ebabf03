"""The sound as it was heard: blocks through the instrument's output stage, with gain and mute from the log.

Where the time machine or a panic dropped queued sound, it is dropped at the same place again. The silences of late
blocks are left out, since nothing is late in a replay. One thread.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from jbdiff_live.audio.output import CHUNK_FRAMES, OutputStage
from jbdiff_live.audio.switch import HEADROOM_DB
from jbdiff_live.block import Audio, Block
from jbdiff_live.engine.delivery import Delivery
from jbdiff_live.parameters import ParameterSnapshot, ParameterStore
from jbdiff_live.record.events import ChangeEvent, PlaceEvent
from jbdiff_live.record.heard import HeardTap, Place
from jbdiff_live.replay.log import TakeLog
from jbdiff_live.ring import RingBuffer

RING_SECONDS = 60.0
NOW = ("gain", "mute")


class HeardSound:
    """The output stage of a replay. Call `add` for each block, and `end` after the last; both give heard sound."""

    def __init__(
        self, log: TakeLog, changes: Sequence[ChangeEvent], values: dict[str, float], base: int
    ) -> None:
        """changes: in order. values: gain and mute at the beginning. base: the session's frame of the first block."""
        rate = log.rate
        self._ring = RingBuffer(round(RING_SECONDS * rate), log.take.info.channels)
        self._delivery = Delivery(self._ring, lambda block: None, threading.Event(), lambda: 0)
        self._tap = HeardTap(rate, log.take.info.channels)
        self._changes = [change for change in changes if change.name in NOW]
        knobs = ParameterStore().snapshot
        self._snapshot: ParameterSnapshot = replace(knobs, values={**knobs.values, **values})
        self._stage = OutputStage(
            self._ring, lambda: self._snapshot, rate, heard=self._tap.put, headroom_db=HEADROOM_DB
        )
        self._base = base
        self._start, self._lead = log.start_frame, _silent_lead(log)
        self._led = 0  # frames of silence that were given before the first sound
        self._chunk = np.zeros((CHUNK_FRAMES, log.take.info.channels), np.float32)
        self._begin: int | None = None  # position of the tap at which the take begins
        self._read: int | None = None  # position of the tap behind the last sound that was given

    def add(self, block: Block, dropped_from: int | None, start: int) -> Iterator[tuple[Audio, list[Place]]]:
        """Play up to a block, and queue it. dropped_from: the session's frame at which the sound before it breaks off.

        start: the session's frame at which the take begins.
        """
        if dropped_from is not None:
            self._play(dropped_from - self._base)
            if block.jump is None:
                self._ring.request_drain()
        while self._ring.room < block.frames and self._ring.available:
            self._play(self._ring.frames_read + CHUNK_FRAMES)
        self._delivery.write(block, panics=0)
        yield from self._new(start)

    def queued_to(self, frame: int, start: int) -> Iterator[tuple[Audio, list[Place]]]:
        """Play up to the session's frame, as far as there are blocks."""
        self._play(frame - self._base)
        yield from self._new(start)

    def end(self, frame: int, start: int) -> Iterator[tuple[Audio, list[Place]]]:
        """Play until the session's frame has left the stage."""
        self._play(frame - self._base + self._stage.look_ahead)
        while self._stage.frames_passed < min(frame - self._base, self._ring.frames_read):
            self._stage.render(self._chunk)
        yield from self._new(start)

    def length(self, frame: int) -> int | None:
        """Return the heard frames up to the session's frame; None: all of them."""
        end = self._tap.position_of(frame - self._base)
        return None if end is None or self._begin is None else end - self._begin + self._led

    def _play(self, to: int) -> None:
        """Render until the ring is read up to its frame `to`, or empty."""
        while (count := min(CHUNK_FRAMES, to - self._ring.frames_read, self._ring.available)) > 0:
            # The log has the audible frame; what a knob changes enters the stage a look-ahead behind it.
            self._follow(self._base + self._ring.frames_read - self._stage.look_ahead)
            self._stage.render(self._chunk[:count])

    def _follow(self, frame: int) -> None:
        """Make the changes up to the session's frame."""
        while self._changes and self._changes[0].frame <= frame:
            change = self._changes.pop(0)
            self._snapshot = replace(
                self._snapshot, values={**self._snapshot.values, change.name: change.value}
            )

    def _new(self, start: int) -> Iterator[tuple[Audio, list[Place]]]:
        """Give what left the stage since the last call, from the session's frame `start` on."""
        if self._read is None:
            self._begin = self._read = self._tap.position_of(start - self._base)
            if self._read is None:
                return
            if start == self._start and self._lead:
                self._led = self._lead
                yield np.zeros((self._led, self._chunk.shape[1]), np.float32), [Place(0, start, False)]
        end = self._tap.written
        if self._read == end:
            return
        samples = self._tap.read(self._read, end)
        assert samples is not None, "more was rendered at once than the tap holds"
        places = self._tap.places(self._read, end)
        if self._read != self._begin and self._tap.goes_on(self._read):
            places = places[1:]
        first, self._read = self._read, end
        yield samples, [Place(p.at - first, p.frame + self._base, p.moves) for p in places]


def breaks(log: TakeLog) -> dict[int, int]:
    """Return, by the index of each block that dropped queued sound, the session's frame at which that broke off."""
    heard = _heard_stretches(log.places, log.take.info.frames)
    found = {}
    for block in log.blocks:
        if block.jump is None and not block.event.anew:
            continue
        at = block.start_frame
        for (_, end), (begin, _) in itertools.pairwise(heard):
            if end <= block.start_frame <= begin:
                at = end
                break
        found[block.index] = at
    return found


def _silent_lead(log: TakeLog) -> int:
    """Return the frames of silence that the take begins with: a kept take may begin before the first sound."""
    if not log.places or log.places[0].moves or log.places[0].at:
        return 0
    return next((place.at for place in log.places if place.moves), 0)


def _heard_stretches(places: Sequence[PlaceEvent], frames: int) -> list[tuple[int, int]]:
    """Return the stretches of the session's frames that were heard, joined where only a silence lay between."""
    found: list[tuple[int, int]] = []
    ends = [*(place.at for place in places[1:]), frames]
    for place, end in zip(places, ends, strict=False):
        if not place.moves:
            continue
        last = place.frame + end - place.at
        if found and found[-1][1] >= place.frame:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((place.frame, last))
    return found
