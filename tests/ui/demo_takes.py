"""Takes for the window's tests: real takes in a folder, the session's own desk of takes, and a listening by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from demo_transport import DemoTransport
from instrument.shelf_rig import make_take, tone

from jbdiff_live.audio.master.whole import measure
from jbdiff_live.block import Audio
from jbdiff_live.browse.takes import Mark
from jbdiff_live.record.picture import draw
from jbdiff_live.record.shelf import notes
from jbdiff_live.record.shelf.desk import TakeDesk
from jbdiff_live.record.shelf.reader import Resampled

RATE = 44_100
# Stands for `jbdiff_live replay`: it shows a progress, and waits until it is ended.
REPLAY = """
import threading
print('{"done": 3, "of": 12, "seconds_left": 41.5}', flush=True)
threading.Event().wait()
"""


class HandListening:
    """Implements `Listening` of the desk: `at` is turned by hand. `asked` lists the calls."""

    rate, channels = RATE, 2

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.at: float | None = None
        self._sounds: Sequence[Resampled] = ()

    @property
    def seconds(self) -> float | None:
        return self.at

    def play(self, sounds: Sequence[Resampled], name: str, seconds: float) -> None:
        self.asked.append(("play", len(sounds), name, seconds))
        self._sounds, self.at = sounds, seconds

    def seek(self, seconds: float) -> None:
        self.asked.append(("seek", seconds))
        self.at = seconds

    def loop(self, begin: float | None, end: float) -> None:
        self.asked.append(("loop", begin, end))

    def choose(self, number: int) -> None:
        self.asked.append(("choose", number))

    def turn_down(self, decibels: Sequence[float]) -> None:
        self.asked.append(("turn_down", *(round(gain, 1) for gain in decibels)))

    def stop(self) -> None:
        if self.at is not None:
            self.asked.append(("stop",))
        for sound in self._sounds:
            sound.close()
        self._sounds, self.at = (), None


def music(seconds: float, level: float) -> Audio:
    """A tone that swells twice a second, so that a wave has something to show."""
    sound = tone(seconds, level)
    swell = np.abs(np.sin(2 * np.pi * np.arange(len(sound)) / RATE)).astype(np.float32)
    return sound * swell[:, None]


def make_takes(folder: Path) -> Path:
    """Make two takes, of which the second is quieter. Return the folder."""
    loud = make_take(folder, "friday night", music(4.0, 0.5))
    make_take(folder, "rehearsal", music(3.0, 0.1), patch="slow-glass")
    notes.set_tags(loud.folder, ["house", "slow"])
    notes.set_marks(loud.folder, [Mark(3 * RATE, "drop")])
    draw(loud)
    return folder


class DemoTakes:
    """The takes of a folder on a demo session. `close` ends every thread."""

    def __init__(self, demo: DemoTransport, folder: Path) -> None:
        self.folder, self.listening = folder, HandListening()
        plays: Callable[[], bool] = lambda: demo.state.engine.plays  # noqa: E731
        self.desk = TakeDesk(
            folder,
            self.listening,
            measure,
            plays,
            render=lambda take: [sys.executable, "-c", REPLAY],
        )
        demo.shelf = self.desk

    def close(self) -> None:
        self.desk.stop()
        self.desk.close()
