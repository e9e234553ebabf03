"""Every action is answered where the player looks, and a second wish to record does not end the music."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from instrument.stage_rig import OTHER, StageRig, stage

from jbdiff_live.desks.answers import NOTE_SECONDS
from jbdiff_live.stage_word import Word


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[StageRig]:
    with stage(tmp_path) as rig:
        yield rig


def test_every_action_is_answered_where_the_player_looks(rig: StageRig, tmp_path: Path) -> None:
    session = rig.session
    said: list[str] = []

    def answer(words: str) -> None:
        note = session.status().note
        assert words in note and note not in said, (words, note)
        said.append(note)

    session.trigger("reroll")
    answer("Re-roll: nothing plays now; press start")
    session.trigger("panic")
    answer("Panic: nothing plays now")
    session.start_recording()
    answer("recording begins with the first sound; press start")
    rig.play()
    session.trigger("reroll")
    answer("Re-roll: heard with the next block")
    session.trigger("panic")
    answer("Panic: silence, and the music begins again")
    rig.clock.run(1.0)
    session.stop_recording()
    answer(f"closed: {tmp_path}")
    session.choose_audio_device(OTHER)
    answer(f"sound output: {OTHER}")
    session.choose_input_device(OTHER)
    answer(f"sound input: {OTHER}")
    session.choose_input_device("")
    answer("sound input: none")
    session.load_patch(session.patches()["wild"])
    answer("patch wild loaded")
    session.save_patch(tmp_path / "mine.toml", "mine")
    answer(f"patch mine saved: {tmp_path / 'mine.toml'}")
    rig.clock.run(NOTE_SECONDS + 0.1)
    assert session.status().note == "", "an old answer speaks of another moment"


def test_recording_from_the_first_block_and_then_at_once_does_not_end_the_music(rig: StageRig) -> None:
    """The first wish is part of the second one; a second take would be refused on the engine's thread."""
    rig.session.record_from_first_block()
    rig.session.start_recording()
    rig.play()
    assert rig.session.status().recorder.recording


def test_a_second_wish_to_record_from_the_first_sound_does_not_end_the_music(rig: StageRig) -> None:
    rig.session.record_from_first_block()
    rig.play()
    rig.session.record_from_first_block()  # a take is being recorded
    rig.clock.run(2.0)
    assert rig.word.word is Word.PLAYING and rig.session.status().recorder.recording
    rig.session.stop()
    assert len(rig.closed_takes()) == 1
