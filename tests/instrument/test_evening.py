"""An evening at the instrument: the real program on a real screen, played with keys and mouse, from start to close.

Every input is an event of the X server, or of a controller on a JACK server. What came of it is read where a performer
would: on the screen, in the takes, in the patch. The stacks are small, so this says nothing about the music.
"""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from controllers import Sender
from screen_rig import Screen, real_screen
from servers import JackServer
from small_stacks import SMALL, write_small_stack
from watched import Program, Seen

from jbdiff_live.parameters import BY_NAME
from jbdiff_live.record.take import ChangeEvent, Take, open_take
from jbdiff_live.ui.tiles.knob import DRAG_PIXELS

RING, BUTTON, MENU = "Slider", "Button", "ButtonMenu"  # Qt's names of roles
RECORDED = re.compile(r"(\d+):(\d\d) ")  # the name of the button while it records
CC = 21
DRAG = 80  # pixels
PATCH = """
format = 1
name = "opener"
stack = "small"
stage = ["noise_step", "guidance", "resample", "gain"]

[values]
noise_step = 0.3
guidance = 1.5
"""


class Evening:
    """A performer at the screen of a program."""

    def __init__(self, home: Path, screen: Screen, jack: JackServer) -> None:
        self.home, self.screen = home, screen
        self.takes = home / "Music" / "jbdiff-live"
        stacks, programs = home / "stacks", home / "bin"
        write_small_stack(stacks / "small")
        write_small_stack(
            stacks / "other", replace(SMALL, name="other", levels=SMALL.levels[:1], finisher=None)
        )
        (home / "opener.toml").write_text(PATCH)
        time = np.arange(3 * 44_100) / 44_100
        soundfile.write(home / "rhodes.wav", 0.3 * np.sin(2 * np.pi * 220 * time), 44_100)
        programs.mkdir()
        browser = programs / "xdg-open"  # the system's file browser
        browser.write_text(f'#!/bin/sh\necho "$1" > "{home}/opened"\n')
        browser.chmod(0o755)
        self.env = {
            **jack.env, "DISPLAY": screen.name, "QT_QPA_PLATFORM": "xcb", "XDG_CURRENT_DESKTOP": "", "LANG": "C.UTF-8",
            "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_MUSIC_DIR": str(home / "Music"), "XDG_RUNTIME_DIR": str(home), "JBDIFF_HOME": str(stacks),
            "PATH": f"{programs}:{jack.env['PATH']}", "OMP_NUM_THREADS": "1", "WAYLAND_DISPLAY": "",
        }  # fmt: skip
        self.program = Program(
            home, self.env, "--patch", str(home / "opener.toml"), "--device", "null", "--no-ladder", "--threads", "1",
            "--midi-api", "UNIX_JACK", "--verbose",
        )  # fmt: skip
        self.find, self.until = self.program.find, self.program.until

    # ------------------------------------------------------------------ hands

    def press(self, *keys: str) -> None:
        for key in keys:
            self.screen.press(key)

    def click(self, name: str, role: str = "") -> None:
        self.screen.click(self.find(name, role).middle)

    def choose(self, picker: str, *entries: str) -> None:
        """Open a list with the mouse and choose an entry; more entries are of the menus inside it."""
        self.click(picker, MENU)
        for entry in entries:
            self.click(entry, "MenuItem")

    def type_into(self, knob: str, value: str) -> None:
        self.click(knob, RING)
        self.screen.type(value)
        self.press("Return")
        self.until(lambda: float(self.value(knob)) == float(value), f"{knob} at {value}")

    # ------------------------------------------------------------------ eyes

    def value(self, knob: str) -> str:
        return self.find(knob, RING).value.partition(" ")[0]

    def says(self, state: str) -> Seen:
        return self.find(f"State: {state}")

    def recorded(self) -> int:
        """Return the seconds of the take that is being recorded; 0 while there is none."""
        found = [RECORDED.match(one.name) for one in self.program.look() if one.role == BUTTON]
        return next((60 * int(one[1]) + int(one[2]) for one in found if one), 0)

    def scene(self, number: int) -> str:
        return self.find(f"Scene {number}", BUTTON).about

    def session(self) -> dict[str, object]:
        """Return the patch in the session file, which is saved every few seconds."""
        file = self.home / "config" / "jbdiff-live" / "sessions" / "last.json"
        found: dict[str, object] = json.loads(file.read_text())["patch"] if file.exists() else {}
        return found

    def new_take(self, known: set[Path]) -> Path | None:
        """Return the take that was closed since; None while there is none."""
        fresh = [folder for folder in self.takes.glob("*") if folder not in known]
        closed = [folder for folder in fresh if open_take(folder).info.closed_cleanly]
        return closed[0] if closed else None


@pytest.fixture
def evening(tmp_path: Path, jack: JackServer) -> Iterator[Evening]:
    with real_screen() as screen:
        made = Evening(tmp_path, screen, jack)
        try:
            yield made
        finally:
            made.program.end()


def test_an_evening(evening: Evening) -> None:
    start(evening)
    turn(evening)
    learn(evening)
    scenes_and_morph(evening)
    undo(evening)
    context(evening)
    change_the_stack(evening)
    record_and_find(evening)
    save(evening)
    close_while_recording(evening)


def start(evening: Evening) -> None:
    """The window is there before the model; Space sounds; the picture moves."""
    evening.says("READY")
    said = evening.program.output.read_text()
    assert said.index("the first frame") < said.index("torch is imported")
    scope = evening.find("Waveform and spectrogram")
    silent = evening.screen.pixels(scope.place)
    evening.press("space")
    evening.says("PLAYING")
    evening.until(
        lambda: (evening.screen.pixels(scope.place) != silent).any(axis=2).mean() > 0.02,
        "sound in the picture",
    )


def turn(evening: Evening) -> None:
    """A drag turns a ring; typed digits set it."""
    ring = evening.find("Noise", RING)
    assert ring.value == "0.30"
    evening.screen.drag(ring.middle, (0, -55))
    evening.until(lambda: float(evening.value("Noise")) > 0.5, "a dragged ring")
    evening.type_into("Noise", "0.2")


def learn(evening: Evening) -> None:
    """L and a knob of a controller; the knob waits until it passes the value, and then moves it."""
    sender = Sender("Box", evening.env)
    try:
        evening.click("Guidance", RING)
        evening.press("l")
        evening.until(lambda: "learn" in evening.find("Guidance", RING).about.lower(), "a ring that learns")
        places = itertools.cycle([*range(10, 120, 5), *range(120, 10, -5)])

        def move() -> None:
            sender.send(f"control_change control={CC} value={next(places)}")

        def bound() -> bool:
            move()
            return f"CC {CC}" in evening.find("Guidance", RING).about

        evening.until(bound, "a learned control")
        before = evening.value("Guidance")

        def moved() -> bool:
            move()
            return evening.value("Guidance") != before

        evening.until(moved, "a value that the control moves")
    finally:
        sender.unplug()


def scenes_and_morph(evening: Evening) -> None:
    """Two scenes; a recall at once; a morph by hand; a morph in time arrives."""
    evening.press("shift+1")
    evening.until(lambda: "active" in evening.scene(1), "scene 1")
    evening.type_into("Noise", "0.8")
    evening.press("shift+2")
    evening.until(lambda: "active" in evening.scene(2), "scene 2")
    evening.press("1")
    evening.until(lambda: evening.value("Noise") == "0.20", "scene 1 recalled")
    evening.press("F3")
    evening.type_into("Scene morph", "0.5")
    evening.until(lambda: 0.3 < float(evening.value("Noise")) < 0.7, "half of the way between the scenes")
    evening.press("F2")
    evening.type_into("Morph time", "1.5")
    evening.press("2")
    evening.until(lambda: evening.value("Noise") == "0.80", "the second scene")
    evening.until(lambda: "%" not in evening.scene(2), "the end of the morph")


def undo(evening: Evening) -> None:
    """A turn of the mouse is taken back, and made again."""
    ring = evening.find("Noise", RING)
    evening.screen.drag(ring.middle, (0, DRAG))
    noise = BY_NAME["noise_step"]
    turned = noise.text(noise.from_normal(noise.to_normal(0.8) - DRAG / DRAG_PIXELS))
    evening.until(lambda: evening.value("Noise") == turned, "a dragged ring")
    evening.press("ctrl+z")
    evening.until(lambda: evening.value("Noise") == "0.80", "the value before the drag")
    evening.press("ctrl+y")
    evening.until(lambda: evening.value("Noise") == turned, "the drag again")


def context(evening: Evening) -> None:
    """A sound for the music to continue, through the dialog."""
    evening.press("F3")
    evening.choose("Context", "Choose a file")
    evening.find("A sound for context")
    evening.screen.type(str(evening.home / "rhodes.wav"))
    evening.press("Return")
    evening.until(lambda: "rhodes.wav" in evening.find("Context", MENU).about, "the sound in the window")


def change_the_stack(evening: Evening) -> None:
    """Another model, while it plays."""
    evening.choose("Stack", "other")
    evening.until(
        lambda: evening.find("Stack", MENU).about.startswith("other level 2"), "another stack plays"
    )
    evening.says("PLAYING")
    evening.press("F2")


def record_and_find(evening: Evening) -> None:
    """R, a knob, R; Ctrl+T opens the folder of the take, and all of it is there."""
    evening.press("r")
    evening.until(lambda: evening.recorded() >= 1, "a second of a take")
    evening.type_into("Noise", "0.4")
    evening.until(lambda: evening.recorded() >= 2, "another second of it")
    evening.press("r")
    folder = evening.until(lambda: evening.new_take(set()), "a closed take")
    evening.press("ctrl+t")
    opened = evening.home / "opened"
    evening.until(
        lambda: opened.exists() and opened.read_text().strip().endswith(folder.name), "the folder opens"
    )
    take = open_take(folder)
    assert take.frames > 44_100 and np.abs(take.read()).max() > 0
    assert [change.value for change in changes(take, "noise_step")] == [pytest.approx(0.4)]


def save(evening: Evening) -> None:
    """Ctrl+S and a name: an own patch with values, scenes, stack and sound."""
    evening.press("ctrl+s")
    evening.find("Save the patch")
    evening.press("ctrl+a")
    evening.screen.type("my evening")
    evening.press("Return")
    evening.until(lambda: evening.find("Patch", MENU).about.startswith("my evening"), "the name of the patch")
    file = evening.home / "config" / "jbdiff-live" / "patches" / "my evening.toml"
    patch = tomllib.loads(file.read_text())
    assert (patch["stack"], patch["values"]["noise_step"]) == ("other", pytest.approx(0.4))
    assert patch["context"].endswith("rhodes.wav")
    kept = [scene["values"]["noise_step"] for scene in patch["scene"]]
    assert kept == [pytest.approx(0.2), pytest.approx(0.8)]


def close_while_recording(evening: Evening) -> None:
    """A morph is recorded, the window is closed: it asks, stays, asks again, and the take is whole."""
    known = set(evening.takes.glob("*"))
    evening.press("r")
    evening.until(lambda: evening.recorded() >= 1, "a second of a take")
    evening.press("1")
    evening.until(lambda: evening.value("Noise") == "0.20", "the end of the morph")
    evening.screen.ask_to_close()
    evening.find("Close jbdiff-live?")
    evening.press("Escape")
    evening.until(lambda: not dialog_is_open(evening), "the music goes on")
    evening.says("PLAYING")
    evening.screen.ask_to_close()
    evening.find("Close jbdiff-live?")
    evening.click("Close", BUTTON)
    assert evening.program.wait() == 0
    said = evening.program.output.read_text()
    assert "Traceback" not in said, said
    folder = evening.new_take(known)
    assert folder is not None, "the take is closed"
    take = open_take(folder)
    assert take.frames > 44_100
    on_the_way = [change.value for change in changes(take, "noise_step") if 0.21 < change.value < 0.39]
    assert on_the_way, "a morph passes what lies between"
    assert take.info.stack.startswith("other")
    assert evening.session()["name"] == "my evening"


def dialog_is_open(evening: Evening) -> bool:
    return any(one.name.startswith("Close jbdiff-live?") for one in evening.program.look())


def changes(take: Take, name: str) -> list[ChangeEvent]:
    return [event for event in take.events() if isinstance(event, ChangeEvent) and event.name == name]
