"""Start and stop from two sides at once: the newest wish counts, and music that was asked for comes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from misbehaving import Fault
from stage_rig import StageRig, stage

from jbdiff_live.desks.life import Life
from jbdiff_live.parameters import Origin
from jbdiff_live.record.events import BlockEvent, JumpEvent
from jbdiff_live.record.take import ChangeEvent, Take
from jbdiff_live.stage_word import Word
from jbdiff_live.status import EngineState


class Rig:
    """A life whose stop does `during` in its middle, on the same thread."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.said: list[str] = []
        self.during = lambda: None
        self.life = Life(
            lambda: self.done.append("start"), self._end, lambda: self.done.append("later"), self.said.append
        )

    def _end(self) -> None:
        self.done.append("fade")
        during, self.during = self.during, lambda: None
        during()
        self.done.append("stop")


def test_a_start_during_a_stop_is_done_after_it() -> None:
    rig = Rig()
    rig.life.start()
    rig.during = lambda: (rig.life.start(), rig.life.start())  # type: ignore[assignment]
    rig.life.stop()
    assert rig.done == ["start", "fade", "stop", "start"]
    assert set(rig.said) == {"Start: as soon as the stop has ended"}
    rig.life.stop()
    assert rig.done[4:] == ["fade", "stop"], "the wish is not done twice"


def test_a_start_during_a_stop_that_fails_is_left_to_the_end_of_the_work() -> None:
    rig = Rig()

    def hang() -> None:
        rig.life.start()
        raise TimeoutError("a block hangs")

    rig.during = hang
    with pytest.raises(TimeoutError):
        rig.life.stop()
    assert rig.done == ["fade", "later"]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[StageRig]:
    with stage(tmp_path) as made:
        yield made


def test_music_that_is_started_while_a_stop_fades_out_begins_again(
    rig: StageRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pad stops on its own thread. The window's key comes in the middle of the fade."""
    rig.play()
    fade = rig.session.audio.stop

    def fading() -> None:
        monkeypatch.undo()
        rig.session.start()
        fade()

    monkeypatch.setattr(rig.session.audio, "stop", fading)
    rig.session.stop()
    assert rig.session.plays and rig.session.status().note == "Start: as soon as the stop has ended"
    rig.wait_for_sound()


# A take that is asked for before the music


def ready(rig: StageRig) -> None:
    rig.session.prepare()
    rig.wait_for(Word.READY)


def the_take(rig: StageRig) -> Take:
    rig.wait_for_sound()
    first = rig.session.status().frame
    rig.clock.run_until(lambda: rig.session.status().frame > first + 8192, "some of it is audible")
    rig.session.stop_recording()
    (take,) = rig.closed_takes()
    return take


@pytest.mark.parametrize("how", ["key", "option"])
def test_a_take_of_music_that_begins_anew_at_the_start_has_nothing_of_the_old_beginning(
    rig: StageRig, how: str
) -> None:
    """The first block is made before Space. A knob that is turned then has it made again, and nobody hears the old."""
    ready(rig)
    if how == "key":
        rig.session.start_recording()
    else:
        rig.session.record_from_first_block()
    assert rig.session.status().recorder.recording
    rig.session.set_parameter("seed", 12)
    rig.session.start()
    take = the_take(rig)
    blocks = [event for event in take.events() if isinstance(event, BlockEvent)]
    old = max(block.end_frame for block in rig.session.recent_blocks() if block.snapshot["seed"] != 12)
    assert blocks[0].start_frame == take.info.start_frame == old
    assert {event.values["seed"] for event in blocks} == {12}
    assert not [event for event in take.events() if isinstance(event, ChangeEvent | JumpEvent)]
    assert take.frames > 0 and take.info.values["seed"] == 12


def test_a_take_that_is_asked_for_at_ready_begins_with_the_block_that_is_made(rig: StageRig) -> None:
    ready(rig)
    rig.session.start_recording()
    assert rig.session.status().note == "recording begins with the first sound; press start"
    rig.session.trigger("marker")
    assert rig.session.status().note == "Marker: the take has not begun; it begins with the first sound"
    rig.session.start_recording()
    rig.session.start()
    rig.session.set_parameter("seed", 12)
    rig.wait_for_sound()
    assert "press start" not in rig.session.status().note, "it has begun"
    take = the_take(rig)
    blocks = [event for event in take.events() if isinstance(event, BlockEvent)]
    assert (blocks[0].index, blocks[0].start_frame, take.info.start_frame) == (0, 0, 0)
    assert [event.name for event in take.events() if isinstance(event, ChangeEvent)] == ["seed"]


def test_a_take_that_has_not_begun_is_taken_back_and_leaves_nothing(rig: StageRig) -> None:
    ready(rig)
    for _ in range(2):
        rig.session.start_recording()
        rig.session.stop_recording()
    assert rig.session.status().note == "the recording is taken back: it had not begun"
    rig.play()
    assert not rig.session.status().recorder.recording and not rig.takes.exists()


# What is said while nothing plays


def test_a_press_that_comes_while_the_model_loads_is_answered_with_what_is_true(rig: StageRig) -> None:
    rig.stack.fault = Fault.LATE  # of the first block
    rig.session.engine._status = rig.session.engine._status.__class__(state=EngineState.LOADING)
    for asked, remedy in (
        (True, "press again when you hear the music"),
        (False, "press start when it is ready"),
    ):
        rig.session.asked = asked
        rig.session.perform_past("back")
        assert rig.session.answers.newest == (
            f"Back: nothing plays yet, because the model is being loaded; {remedy}"
        )
        rig.session.store.trigger("reroll", Origin.KEY)
        assert rig.session.answers.newest == (
            f"Re-roll: nothing plays yet, because the model is being loaded; {remedy}"
        )
    rig.session.asked = False
    rig.stack.fault = Fault.NONE
