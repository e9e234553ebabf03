"""Listening to takes: places, loops, the switch between two, and the way through the session's own output."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from shelf_rig import make_take, ramp, tone
from stage_rig import LOUD, StageRig, stage

from jbdiff_live.audio.listening.feed import FADE_SECONDS, TakeFeed, Whole
from jbdiff_live.block import Audio

RATE = 1000  # of the feeds without a session
FADE = round(FADE_SECONDS * RATE)


class Kept:
    """A sound in memory."""

    def __init__(self, sound: Audio) -> None:
        self.sound, self.frames, self.closed = sound, len(sound), False

    def read(self, start: int, frames: int) -> Audio:
        piece = self.sound[start : start + frames]
        return np.concatenate([piece, np.zeros((frames - len(piece), 2), np.float32)])

    def close(self) -> None:
        self.closed = True


class Ring:
    """Pulls from a feed as the listening thread does, and counts frames as the ring does."""

    def __init__(self, feed: TakeFeed) -> None:
        self.feed, self.written, self.read = feed, 0, 0

    def pull(self, frames: int) -> Audio:
        """Return the frames of one look. After a jump, what was not read is dropped."""
        if self.feed.jumped(self.read):
            self.read = self.written
        piece = self.feed.pull(frames, self.written)
        self.written += len(piece)
        return piece


def test_a_take_plays_from_its_place_to_its_end_and_is_closed() -> None:
    sound = Kept(ramp(0, 1000))
    feed = TakeFeed([sound], RATE, 2, 0.3)
    ring = Ring(feed)
    got = np.concatenate([ring.pull(256) for _ in range(4)])
    assert np.array_equal(got, ramp(300, 700)) and len(ring.pull(256)) == 0
    assert feed.seconds_at(0) == 0.3 and feed.seconds_at(200) == 0.5
    feed.close()
    assert sound.closed


def test_a_seek_drops_what_is_queued_and_the_place_is_that_of_the_ear() -> None:
    feed = TakeFeed([Kept(ramp(0, 5000))], RATE, 2, 0.0)
    ring = Ring(feed)
    ring.pull(500)
    ring.read = 200
    feed.seek(3.0)
    assert feed.seconds_at(200) == 0.2, "not yet"
    assert np.array_equal(ring.pull(100), ramp(3000, 100))
    assert feed.seconds_at(500) == 3.0 and feed.seconds_at(550) == 3.05 and feed.seconds_at(200) == 0.2


def test_two_seeks_before_a_look_are_one_and_a_switch_does_not_undo_it() -> None:
    feed = TakeFeed([Kept(ramp(0, 5000)), Kept(-ramp(0, 5000))], RATE, 2, 0.0)
    ring = Ring(feed)
    ring.pull(500)
    feed.seek(1.0)
    feed.seek(2.0)
    feed.choose(1)
    assert np.array_equal(ring.pull(100), -ramp(2000, 100))


def test_the_other_take_sounds_from_where_the_ear_is() -> None:
    feed = TakeFeed([Kept(ramp(0, 5000)), Kept(-ramp(0, 5000))], RATE, 2, 0.0)
    ring = Ring(feed)
    ring.pull(500)
    ring.read = 200
    feed.choose(1)
    assert np.array_equal(ring.pull(100), -ramp(200, 100))
    ring.read = 550
    feed.turn_down([0.0, -20.0])
    assert ring.pull(100) == pytest.approx(-ramp(250, 100) * 0.1, rel=1e-5)


def test_a_switch_right_after_a_seek_keeps_the_new_place() -> None:
    """The output may still stand before the dropped sound then."""
    feed = TakeFeed([Kept(ramp(0, 5000)), Kept(-ramp(0, 5000))], RATE, 2, 0.0)
    ring = Ring(feed)
    ring.pull(500)
    feed.seek(3.0)
    ring.pull(100)
    ring.read = 200
    feed.choose(1)
    assert np.array_equal(ring.pull(100), -ramp(3000, 100))


def test_a_loop_begins_again_without_a_click_and_can_be_ended() -> None:
    sound = np.ones((5000, 2), np.float32)
    sound[1000:2000] = 0.5  # the loop
    feed = TakeFeed([Kept(sound)], RATE, 2, 1.9)
    feed.loop(1.0, 2.0)
    ring = Ring(feed)
    got = ring.pull(400)[:, 0]
    assert (got[:100] == 0.5).all() and got[100] > 0.9, "it fades from what would have followed"
    assert np.abs(np.diff(got[101 : 100 + FADE])).max() < 0.1 and (got[100 + FADE :] == 0.5).all()
    assert feed.seconds_at(99) == pytest.approx(1.999) and feed.seconds_at(150) == pytest.approx(1.05)
    feed.loop(None, 0.0)
    rest = np.concatenate([ring.pull(500) for _ in range(3)])[:, 0]
    assert (rest[-300:] == 1.0).all(), "it goes on behind the loop"


def test_a_loop_of_the_whole_take_never_ends_and_a_place_behind_a_loop_plays_to_the_end() -> None:
    feed = TakeFeed([Kept(ramp(0, 1000))], RATE, 2, 0.0)
    feed.loop(0.0, 1.0)
    assert len(Ring(feed).pull(5500)) == 5500
    other = TakeFeed([Kept(ramp(0, 1000))], RATE, 2, 0.0)
    other.loop(0.1, 0.2)
    other.seek(0.5)
    assert np.array_equal(Ring(other).pull(2000), ramp(500, 500))


def test_a_whole_sound_is_a_feed_too() -> None:
    feed = Whole(ramp(0, 300))
    assert np.array_equal(np.concatenate([feed.pull(200, 0), feed.pull(200, 200)]), ramp(0, 300))
    assert not feed.jumped(0) and len(feed.pull(200, 300)) == 0


# ---------------------------------------------------------------------- in a session


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[StageRig]:
    with stage(tmp_path) as made:
        yield made


def test_a_take_is_heard_in_stereo_with_its_place_and_a_start_ends_it(rig: StageRig) -> None:
    quiet = make_take(rig.takes, "quiet", tone(30.0, 0.001))
    loud = make_take(rig.takes, "loud", tone(30.0, 0.3))
    takes = rig.session.takes()
    names = [entry.name for entry in rig.session.library() if entry.take is not None]
    assert names == ["quiet", "loud"]
    takes.listen((quiet.folder, loud.folder), 5.0)
    rig.clock.run_until(lambda: takes.playing() is not None and takes.playing().seconds > 5.5, "the place")
    assert rig.device.loudest < LOUD
    takes.choose(1)
    rig.clock.run_until(lambda: rig.device.loudest > LOUD, "the other take")
    playing = takes.playing()
    assert playing is not None and playing.sounding == 1 and 5.5 < playing.seconds < 9.0
    takes.seek(20.0)
    rig.clock.run_until(lambda: takes.playing() is not None and takes.playing().seconds >= 20.0, "the seek")
    assert rig.device.largest_step < 0.05, "neither the switch nor the seek clicks"
    rig.session.start()
    assert takes.playing() is None and rig.session.status().library.listening == ""
    with pytest.raises(RuntimeError, match="stop the music first"):
        takes.listen((loud.folder,), 0.0)


def test_a_take_goes_into_the_favourites_and_follows_its_name(rig: StageRig) -> None:
    take = make_take(rig.takes, "mine", tone(1.0))
    session = rig.session
    session.mark_favourite("take:mine", True)
    assert [e.name for e in session.library() if e.take is not None and e.favourite] == ["mine"]
    session.takes().rename(take.folder, "yours")
    assert [e.key for e in session.library() if e.take is not None and e.favourite] == ["take:yours"]
    session.takes().gone(rig.takes / "yours")
    assert not [e for e in session.library() if e.take is not None and e.favourite]
