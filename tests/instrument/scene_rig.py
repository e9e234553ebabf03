"""Scenes, undo and patches on a real store and conductor, with a clock that the test turns."""

from __future__ import annotations

from pathlib import Path

from hands import cc

from jbdiff_live.beat.bar_clock import BarClock
from jbdiff_live.beat.conductor import Conductor
from jbdiff_live.beat.line import BeatLine
from jbdiff_live.control.map import ControlMap
from jbdiff_live.desks.history import History
from jbdiff_live.desks.patch_desk import PatchDesk
from jbdiff_live.desks.scene_desk import SceneDesk
from jbdiff_live.desks.stack_desk import StackDesk
from jbdiff_live.desks.undo_desk import UndoDesk
from jbdiff_live.parameters import BY_NAME, Change, Origin, ParameterStore

RATE = 44_100


class NoSounds:
    """The desk of a generator that plays no sound files."""

    def takes(self, role: str) -> bool:
        return False

    def wanted(self, role: str) -> str:
        return ""

    def load(self, role: str, path: Path, asked_by: str = "") -> None:
        raise AssertionError(f"{role} {path} {asked_by}")

    def forget_problem(self, role: str) -> None:
        pass


class SceneRig:
    """The clock runs at 120 beats a minute, and a bar begins at every even second. It is 100.5 s."""

    def __init__(self) -> None:
        self.now = 100.5
        self.store = ParameterStore()
        self.clock = BarClock()
        self.clock.music(BeatLine(100.0, 0.0, 120))
        self.conductor = Conductor(self.store, self.clock, RATE, lambda: self.now, lambda when: 0.0)
        self.history = History()
        self.said: list[str] = []
        self.scenes = SceneDesk(
            self.store,
            self.conductor,
            self.history,
            lambda: self.now,
            self.said.append,
            self.conductor.lfo_of_scenes,
        )
        self.controls = ControlMap(self.store, clock=lambda: self.now)
        self.patches = PatchDesk(
            self.store,
            self.controls,
            self.conductor.modulation,
            StackDesk(None, lambda choice: choice, RATE, lambda: 0),
            NoSounds(),
            self.scenes,
            self.history,
            self.said.append,
            lambda: None,
        )
        self.undo = UndoDesk(
            self.store,
            self.history,
            self.patches,
            self.scenes,
            self.conductor.modulation,
            lambda: self.now,
            self.said.append,
        )
        self.changes: list[Change] = []
        self.store.subscribe(self.changes.append)

    def __getitem__(self, name: str) -> float:
        return self.store.snapshot[name]

    def set(self, origin: Origin = Origin.UI, /, **values: float | str) -> None:
        """Turn knobs, one after the other."""
        for name, value in values.items():
            self.store.set(name, BY_NAME[name].parse(value), origin)

    def turn(self, seconds: float = 0.0) -> None:
        """Let time pass, as the beat's thread sees it."""
        until = self.now + seconds
        while True:
            self.conductor.settle(self.now)
            self.scenes.step(self.now)
            if self.now >= until - 1e-9:
                return
            self.now = min(until, self.now + 0.01)

    def two_scenes(self) -> None:
        """Scene 1: memory .2, noise step .1, walk, hold off. Scene 2: memory .8, noise step .9, random, hold on."""
        self.set(memory=0.2, noise_step=0.1, noise_style="walk", hold=0, seed=5, seed_b=2, seed_morph=0)
        self.scenes.capture(1)
        self.set(memory=0.8, noise_step=0.9, noise_style="random", hold=1, seed=6)
        self.scenes.capture(2)
        self.scenes.recall(1)
        self.turn()
        self.history.forget()
        self.changes.clear()

    def midi(self, number: int, *values: int) -> None:
        """Send the values of a CC."""
        for value in values:
            self.controls.handle(cc(number, value, self.now))
