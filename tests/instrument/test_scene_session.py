"""Scenes and undo in the whole instrument: by functions, program changes and keys; a take logs them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_session import eventually, take_folder
from tone_generator import ToneGenerator

from jbdiff_live.control.source import ControlEvent, EventKind
from jbdiff_live.parameters import BY_NAME
from jbdiff_live.record.take import ChangeEvent, open_take
from jbdiff_live.session import Session, SessionOptions
from jbdiff_live.start.headless import obey
from jbdiff_live.start.terminal_view import _scenes


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    made = Session(SessionOptions(device="null", midi=(), takes=tmp_path / "takes"), ToneGenerator(8192))
    made.open()
    yield made
    made.close()


def test_an_evening_of_scenes_from_the_first_one_to_the_take(session: Session, tmp_path: Path) -> None:
    session.set_parameter("seed", 3)
    session.capture_scene(1)
    session.set_parameter("seed", 9)
    session.set_parameter("memory", 0.9)
    session.capture_scene(2)
    session.set_scene_program(1, 77)
    session.record_from_first_block()
    session.start()
    eventually(lambda: session.status().frame > 0, "sound")

    program = ControlEvent("box", EventKind.PROGRAM, 1, 77, 0, True, time.monotonic())
    session._controlled(program)
    eventually(lambda: session.status().scenes.active == 1, "the scene of the program")
    eventually(lambda: (h := session.status().heard) is not None and h["seed"] == 3, "its sound")
    assert session._states()["scene_1"] and not session._states()["scene_2"], "for the lights of buttons"

    session.set_parameter("scene_time", 0.3)
    assert not obey(session, "2")
    eventually(lambda: session.snapshot()["memory"] == 0.9, "the end of the morph")
    eventually(lambda: session.status().scenes.morph is None, "the end of the morph in the status")
    obey(session, "Z")
    eventually(lambda: session.snapshot()["memory"] == BY_NAME["memory"].default, "undo")
    assert session.status().undo.redo == "scene 2"
    obey(session, "C")
    eventually(lambda: session.status().scenes.capturing, "capture")
    obey(session, "8")
    eventually(lambda: session.status().scenes.scenes[7].filled, "the captured scene")
    assert "undo: capture scene 8" in _scenes(session.status()).plain

    folder = take_folder(session)
    session.stop()
    changes = [event for event in open_take(folder).events() if isinstance(event, ChangeEvent)]
    way = [event.value for event in changes if event.name == "memory" and event.origin == "scene"]
    assert way[-1] == 0.9 and way == sorted(way), "each step of the morph is in the log"
    assert any(event.name == "memory" and event.origin == "undo" for event in changes)

    session.save_patch(tmp_path / "mine.toml", "mine")
    before = session.scene_desk.kept.scenes
    session.clear_scene(1)
    assert session.status().undo.modified
    session.load_patch(tmp_path / "mine.toml")
    assert session.scene_desk.kept.scenes == before and not session.status().undo.modified
