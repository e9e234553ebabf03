"""The steps that undo takes back and redo makes again. Pure: time comes in as a number.

Threads: any. `turn` runs inside the store's lock, on the thread that changed a value. A short lock guards the steps.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.desks.patch_state import PatchState
from jbdiff_live.scenes.scene import Kept

MOST_STEPS = 200
GESTURE_SECONDS = 1.0  # a knob that rests for so long begins a new step

NO_VALUES: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Moment:
    """One side of a step. A part that is None, or a value that is missing, is not touched by the step."""

    values: Mapping[str, float] = field(default_factory=lambda: NO_VALUES)
    scenes: Kept | None = None
    lfos: Mapping[str, Lfo] | None = None
    patch: PatchState | None = None


@dataclass
class Step:
    """One change that a player would name. gesture: the knob that was turned; empty for other changes."""

    label: str
    before: Moment
    after: Moment
    gesture: str = ""
    at: float = field(default=0.0, compare=False)  # second of its last change

    @property
    def empty(self) -> bool:
        """True for a knob that was turned back to where it was."""
        return self.before == self.after


class History:
    """Two bounded stacks of steps, and the state that a comparison keeps aside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._undo: deque[Step] = deque(maxlen=MOST_STEPS)
        self._redo: list[Step] = []
        self._open: dict[str, Step] = {}  # gestures that may go on, by the knob
        self._aside: Step | None = None

    # ------------------------------------------------------------------ new steps

    def turn(self, name: str, label: str, before: float, after: float, now: float) -> None:
        """Add a change of a knob by hand. It joins the knob's last step if that is less than a second old."""
        with self._lock:
            self._begin()
            step = self._open.get(name)
            if step is None or now - step.at >= GESTURE_SECONDS:
                step = Step(label, Moment({name: before}), Moment(), name)
                self._undo.append(step)
                self._open[name] = step
            step.at, step.label = now, label
            step.after = replace(step.after, values={**step.after.values, name: after})
            if step.empty:
                del self._open[name]
                self._remove(step)

    def join(self, gesture: str, before: Mapping[str, float], after: Mapping[str, float]) -> None:
        """Add values that moved in consequence of a gesture to its newest step."""
        with self._lock:
            step = next((step for step in reversed(self._undo) if step.gesture == gesture), None)
            if step is not None:
                step.before = replace(step.before, values={**before, **step.before.values})
                step.after = replace(step.after, values={**step.after.values, **after})

    def push(self, step: Step) -> None:
        """Add any other step. A step that changes nothing is left out."""
        if step.empty:
            return
        with self._lock:
            self._begin()
            self._open.clear()
            self._undo.append(step)

    def forget(self) -> None:
        """Forget all steps."""
        with self._lock:
            self._undo.clear()
            self._redo.clear()
            self._open.clear()
            self._aside = None

    def _begin(self) -> None:
        """A new change: nothing can be made again, and a comparison becomes a step of its own."""
        self._redo.clear()
        if self._aside is not None:
            self._undo.append(self._aside)
            self._aside = None

    def _remove(self, gone: Step) -> None:
        kept = [step for step in self._undo if step is not gone]
        self._undo.clear()
        self._undo.extend(kept)

    # ------------------------------------------------------------------ there and back

    def back(self) -> Step | None:
        """Return the newest step, which is to be taken back; None if there is none."""
        with self._lock:
            self._open.clear()
            if not self._undo:
                return None
            step = self._undo.pop()
            self._redo.append(step)
            return step

    def forth(self) -> Step | None:
        """Return the step that was taken back last, which is to be made again; None if there is none."""
        with self._lock:
            self._open.clear()
            if not self._redo:
                return None
            step = self._redo.pop()
            self._undo.append(step)
            return step

    def put_aside(self, step: Step) -> None:
        """Begin a comparison. step: from what played to the saved patch."""
        with self._lock:
            self._open.clear()
            self._aside = step

    def take_aside(self) -> Step | None:
        """End a comparison. Return its step; None if nothing is compared."""
        with self._lock:
            step, self._aside = self._aside, None
            return step

    @property
    def aside(self) -> Moment | None:
        """The player's own values and LFOs during a comparison; None if nothing is compared."""
        step = self._aside
        return None if step is None else step.before

    @property
    def comparing(self) -> bool:
        return self._aside is not None

    @property
    def labels(self) -> tuple[str, str]:
        """The steps that `back` and `forth` would return, in words; empty if there is none."""
        with self._lock:
            return (
                self._undo[-1].label if self._undo else "",
                self._redo[-1].label if self._redo else "",
            )
