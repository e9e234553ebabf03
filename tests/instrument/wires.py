"""Compares the test ramp behind each wire: what JACK captured, and what a take holds. Each sample has its own number.

A frame of the ramp has a number in both channels: the left one counts up, the right one down (`servers.ramp`). The
output stage fades in after a silence and out before it, so samples there have no number; they are compared with the
faded ramp. A session's frame n has the number n + 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from servers import RAMP, ramp

from jbdiff_live.audio.output import LOOK_AHEAD_SECONDS
from jbdiff_live.record.take import PlaceEvent, Take, UnderrunEvent

RATE = 44_100
FADE = round(LOOK_AHEAD_SECONDS * RATE)  # frames, on each side of a silence
RUN = 64  # frames; a faded sample is a whole number by chance, but not so many in a row


@dataclass(frozen=True)
class Run:
    """Frames that count on by one: from frame `at` on, `frames` of them, the first one with number `number`."""

    at: int
    number: int
    frames: int

    @property
    def end(self) -> int:
        return self.at + self.frames

    @property
    def end_number(self) -> int:
        return self.number + self.frames


@dataclass(frozen=True)
class Hole:
    """A place where captured sound does not go on as made: before `number`, with `silence` frames of silence.

    lost: samples that are missing; below 0 samples that came twice. fades_in: True if the samples in the hole are the
    made ones with a gain that rises up to 1, as after a short ring that ran dry.
    """

    number: int
    silence: int
    lost: int
    fades_in: bool


@dataclass(frozen=True)
class Followed:
    """The part of a made sound that was captured, frames `begin` to `end` of it, and the holes in it."""

    begin: int
    end: int
    holes: tuple[Hole, ...]


def runs(sound: np.ndarray) -> list[Run]:
    """Return the runs in `sound`, `[frames, 2]`. AssertionError: the channels do not match in some frame."""
    assert np.array_equal(sound[:, 1], -sound[:, 0]), "the right channel is not the left one's opposite"
    steps = sound[:, 0].astype(np.float64) / RAMP
    goes_on = (np.diff(steps) == 1.0) & (steps[:-1] == np.round(steps[:-1])) & (steps[:-1] > 0)
    ends = [*(np.flatnonzero(~goes_on) + 1), len(steps)]
    found, at = [], 0
    for end in ends:
        if end - at >= RUN:
            found.append(Run(int(at), int(steps[at]), int(end - at)))
        at = end
    return found


def silences(sound: np.ndarray) -> list[tuple[int, int]]:
    """Return the breaks between the runs of `sound`, as frames from and to.

    AssertionError: in a break a sample was lost, repeated or swapped. Each one is the ramp's next, faded out before the
    silence and in after it.
    """
    found, parts = [], runs(sound)
    assert parts, "the sound is silent"
    rise = np.arange(1, FADE + 1, dtype=np.float64)[:, None] / (FADE + 1)
    rise = (0.5 - 0.5 * np.cos(np.pi * rise)).astype(np.float32)
    for before, after in itertools.pairwise(parts):
        part = sound[before.end : after.at]
        expected = [ramp(before.end_number, FADE) * rise[::-1], ramp(before.end_number + FADE, FADE) * rise]
        assert np.array_equal(part[part[:, 0] != 0.0], np.concatenate(expected)), (
            f"after number {before.end_number - 1}, before number {after.number}: not one fade out and one in"
        )
        found.append((before.end, after.at))
    return found


def followed(captured: np.ndarray, made: np.ndarray) -> Followed:
    """Find captured sound in `made`, and compare all of it that is in both, sample by sample."""
    made = _as_captured(made)
    there, here = runs(captured), runs(made)
    assert there and here, "silence on one side"
    at, place = next(
        (run.at + max(0, found - run.number), found_at)
        for run in there
        if (found_at := _place(here, found := max(run.number, here[0].number))) is not None
        and found < run.end_number
    )
    back = min(at, place)
    at, place = at - back, place - back
    begin, holes = place, []
    while True:
        count = min(len(captured) - at, len(made) - place)
        different = (captured[at : at + count] != made[place : place + count]).any(axis=1)
        if not different.any():
            return Followed(begin, place + count, tuple(holes))
        good = int(different.argmax())
        at, place = at + good, place + good
        later = next((run for run in there if run.end > at), None)
        if later is None:  # the capture ends in a hole
            return Followed(begin, place, tuple(holes))
        goes_on = max(later.at, at)
        number = later.number + goes_on - later.at
        goes_on_at = _place(here, number)
        if goes_on_at is None:  # behind the end of `made`
            return Followed(begin, place, tuple(holes))
        holes.append(_hole(number, captured[at:goes_on, 0], made[place:goes_on_at, 0], goes_on_at - place))
        at, place = goes_on, goes_on_at


def _as_captured(sound: np.ndarray) -> np.ndarray:
    """Return `sound` as jack_rec writes it: integers of 32 bits. They hold the ramp exactly, and round its fades."""
    return (np.rint(sound.astype(np.float64) * 2.0**31) / 2.0**31).astype(np.float32)


def _hole(number: int, captured: np.ndarray, made: np.ndarray, frames: int) -> Hole:
    """Return the hole before `number`. frames: the way in the made sound, below 0 if it goes back."""
    heard, wanted = captured[captured != 0.0], made[made != 0.0]
    lost = (len(wanted) if frames >= 0 else frames) - len(heard)
    gains = heard / wanted if lost == 0 and len(heard) == len(wanted) else np.array([2.0])
    rises = bool((gains > 0.0).all() and (gains <= 1.0).all() and (np.diff(gains) > 0.0).all())
    return Hole(number, len(captured) - len(heard), lost, rises)


def _place(parts: Sequence[Run], number: int) -> int | None:
    """Return the frame that has `number`; None if no run has it."""
    return next(
        (run.at + number - run.number for run in parts if run.number <= number < run.end_number), None
    )


def assert_log_names_each_sample(take: Take) -> list[tuple[int, int]]:
    """Check a take of what was heard against its log, and return its breaks as frames from and to.

    Each sample has the number that the log's places give it. Each break lies at a place, and its silence is counted as
    late blocks, but for a change of device.
    """
    sound, places = take.read(), [event.at for event in take.events() if isinstance(event, PlaceEvent)]
    for run in runs(sound):
        assert take.frame_at(run.at) == run.number - 1
        assert take.frame_at(run.end - 1) == run.end_number - 2
    found = silences(sound)
    for begin, end in found:
        assert any(begin <= at <= end for at in places), f"a break at {begin} to {end}, places {places}"
    return found


def assert_log_counts_each_hole(take: Take, holes: Sequence[Hole]) -> None:
    """Check holes in the capture against the take's log: no sample lost, and each one counted after it."""
    assert all(hole.lost == 0 and hole.fades_in for hole in holes), holes
    counted = [
        event.frame
        for event in take.events()
        if isinstance(event, UnderrunEvent) and event.cause == "device"
        for _ in range(event.count)
    ]
    for hole in holes:
        later = [frame for frame in counted if frame >= hole.number - 1 - FADE]
        assert later, f"the log counts no underrun for {hole}; it has {counted}"
        counted.remove(later[0])
