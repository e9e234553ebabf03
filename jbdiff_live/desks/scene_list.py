"""The list of a patch's scenes: names, copies, groups and programs. Each change is one step of undo.

Threads: the window's and that of program changes change the list; any thread may read `kept`. A short lock guards it.
Whoever holds it never calls the store, since the store's lock comes first.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace

from jbdiff_live.binding import HIGHEST_PROGRAM
from jbdiff_live.desks.history import History, Moment, Step
from jbdiff_live.parameters import ParameterStore
from jbdiff_live.scenes.in_patch import scene_name
from jbdiff_live.scenes.scene import GROUP_LABELS, Kept, Scene, groups_in_use

HOW_TO_CAPTURE = "capture it first: Shift+{0}, or Capture and {0}"


class SceneList:
    """`say` shows an answer to the player. A subclass moves knobs, and ends its movement in `_stop`."""

    def __init__(self, store: ParameterStore, history: History, say: Callable[[str], None]) -> None:
        self._store = store
        self._history = history
        self._say = say
        self._doing = threading.Lock()  # one capture or recall at a time; before every other lock
        self._lock = threading.Lock()
        self._kept = Kept()  # swapped whole

    @property
    def kept(self) -> Kept:
        """All scenes, and the one that plays."""
        return self._kept

    @abstractmethod
    def _stop(self) -> None:
        """End a morph, and drop a scene that waits. The caller holds the lock."""

    def rename(self, number: int, name: str) -> None:
        """Give a scene a name; an empty one takes it away."""
        kept = scene_name(name)
        answer = f"scene {number} is called {kept}" if kept else f"scene {number} has no name now"
        self._change(number, "rename", answer, lambda scene: replace(scene, name=kept))

    def leave_out(self, number: int, groups: frozenset[str]) -> None:
        """Leave these groups out of a scene. A group that joins comes with its present values.

        ValueError: there is no such group.
        """
        if unknown := groups.difference(groups_in_use()):
            raise ValueError(f"no group {min(unknown)!r}; known: {', '.join(groups_in_use())}")
        values = self._store.snapshot.values
        left_out = ", ".join(GROUP_LABELS[group] for group in groups_in_use() if group in groups) or "nothing"
        answer = f"scene {number} leaves out: {left_out}"
        self._change(number, "groups of", answer, lambda scene: scene.leaving_out(groups, values))

    def set_program(self, number: int, program: int | None) -> None:
        """Let a MIDI program recall a scene; None takes the program away. ValueError: MIDI has no such program."""
        if program is not None and not 1 <= program <= HIGHEST_PROGRAM:
            raise ValueError(f"program {program}: MIDI has programs 1 to {HIGHEST_PROGRAM}")
        answer = f"scene {number} has no program now"
        if program is not None:
            answer = f"a program change to {program} recalls scene {number}"
        self._change(number, "program of", answer, lambda scene: replace(scene, program=program))

    def copy(self, number: int, to: int) -> None:
        """Copy a scene to another place. The program stays with the original."""
        with self._doing:
            scene = replace(self._filled(number), program=None)
            answer = f"scene {to} is a copy of scene {number}"
            self._edit(f"copy scene {number} to {to}", answer, lambda kept: kept.put(to, scene))

    def clear(self, number: int) -> None:
        """Empty a scene."""
        with self._doing:
            self._edit(
                f"clear scene {number}", f"scene {number} is empty now", lambda kept: kept.cleared(number)
            )

    def _change(self, number: int, what: str, answer: str, change: Callable[[Scene], Scene]) -> None:
        with self._doing:
            scene = change(self._filled(number))
            self._edit(f"{what} scene {number}", answer, lambda kept: kept.put(number, scene))

    def _filled(self, number: int) -> Scene:
        scene = self._kept[number]
        if scene is None:
            raise ValueError(f"scene {number} is empty; {HOW_TO_CAPTURE.format(number)}")
        return scene

    def _edit(self, label: str, answer: str, change: Callable[[Kept], Kept], stop: bool = False) -> None:
        """Change the list of scenes, as one step. label: what undo calls it. stop: a morph ends where it is."""
        with self._lock:
            old = self._kept
            self._kept = new = change(old)
            if stop:
                self._stop()
        self._history.push(Step(label, Moment(scenes=old), Moment(scenes=new)))
        self._say(answer)
