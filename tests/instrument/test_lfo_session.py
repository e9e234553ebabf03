"""LFOs in the whole instrument: blocks are made with what sounds, and the take keeps it; the set value stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_session import eventually, take_folder
from tone_generator import ToneGenerator

from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.record.take import BlockEvent, ChangeEvent, open_take
from jbdiff_live.session import Session, SessionOptions


@pytest.fixture
def session(tmp_path: Path):
    made = Session(SessionOptions(device="null", midi=(), takes=tmp_path / "takes"), ToneGenerator(8192))
    made.open()
    yield made
    made.close()


def test_a_block_is_made_and_logged_with_the_value_that_sounds(session: Session) -> None:
    session.set_lfo("guidance", Lfo(depth=0.0, offset=0.5))
    session.record_from_first_block()
    session.start()
    eventually(lambda: session.status().heard is not None, "sound")
    heard = session.status().heard
    assert heard is not None and heard["guidance"] == 4.5
    assert session.snapshot()["guidance"] == 1.5, "the set value stays where the hand left it"
    folder = take_folder(session)
    session.stop()
    events = list(open_take(folder).events())
    blocks = [event for event in events if isinstance(event, BlockEvent)]
    assert blocks and all(event.snapshot["guidance"] == 4.5 for event in blocks)
    assert not [event for event in events if isinstance(event, ChangeEvent)], "nobody turned anything"


def test_an_lfo_of_the_gain_is_heard_at_once(session: Session) -> None:
    session.start()
    eventually(lambda: session.status().heard is not None, "sound")
    session.set_lfo("gain", Lfo(depth=0.0, offset=-0.5))
    heard = session.status().heard
    assert heard is not None and heard["gain"] == pytest.approx(-33)
    eventually(lambda: max(session.audio.status().peak) < 0.05, "the meters fall")
    assert session.snapshot()["gain"] == 0


def test_a_patch_brings_its_lfos_and_saves_them(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text('format = 1\nname = "p"\n[lfo.memory]\nrate = 0.5\n')
    session.set_lfo("gain", Lfo())
    session.load_patch(path)
    assert session.lfos() == {"memory": Lfo(rate=0.5)}
    session.set_lfo("anchor", Lfo(bars=2))
    session.save_patch(tmp_path / "q.toml", "q")
    session.load_patch(path)
    session.load_patch(tmp_path / "q.toml")
    assert session.lfos() == {"memory": Lfo(rate=0.5), "anchor": Lfo(bars=2)}


def test_bars_follow_the_tempo_knob_while_the_clock_does(session: Session) -> None:
    assert session.conductor.beats_per_second() is None
    session.set_parameter("tempo", 90)
    session.set_parameter("clock", 2)
    assert session.conductor.beats_per_second() == 1.5
