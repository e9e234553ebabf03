"""The way back: undo, redo, the comparison with the saved patch, and the return to it.

Threads: the window's and that of program changes undo and redo; a lock lets one of them work at a time. `changed` runs
inside the store's lock. Any thread may read `status`. A patch that comes back may block on nothing but its desk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from jbdiff_live.beat.line import Unit
from jbdiff_live.beat.modulation import Lfo, Modulation
from jbdiff_live.desks.history import History, Moment, Step
from jbdiff_live.desks.patch_desk import PatchDesk
from jbdiff_live.desks.scene_desk import SceneDesk
from jbdiff_live.desks.scene_hand import HANDS
from jbdiff_live.parameters import BY_NAME, Change, Origin, ParameterStore
from jbdiff_live.scenes.view import UndoStatus

AT_ONCE = Unit.OFF  # a way back does not wait for a bar


class UndoDesk:
    """Makes steps of what hands do, and takes them back."""

    def __init__(
        self,
        store: ParameterStore,
        history: History,
        patches: PatchDesk,
        scenes: SceneDesk,
        modulation: Modulation,
        now: Callable[[], float],
        say: Callable[[str], None],
    ) -> None:
        self._store = store
        self._history = history
        self._patches = patches
        self._scenes = scenes
        self._modulation = modulation
        self._now = now
        self._say = say
        self._lock = threading.Lock()
        self._known = dict(store.snapshot.values)  # before the next change; guarded by the store's lock
        store.subscribe(self.changed)

    # ------------------------------------------------------------------ writers' threads

    def changed(self, change: Change) -> None:
        """Make a step of a change by hand. A listener of the store; it must not write to the store."""
        if change.is_action:
            return
        before = self._known[change.name]
        self._known[change.name] = change.value
        if change.origin in HANDS:
            label = f"{BY_NAME[change.name].label} {BY_NAME[change.name].text(change.value)}"
            self._history.turn(change.name, label, before, change.value, self._now())

    # ------------------------------------------------------------------ session's threads

    def set_lfo(self, name: str, lfo: Lfo | None) -> None:
        """Give a knob an LFO, or take it away, as one step. KeyError: no such parameter."""
        before = self._modulation.lfos
        self._modulation.put(name, lfo)
        after = self._modulation.lfos
        self._history.push(Step(f"LFO of {BY_NAME[name].label}", Moment(lfos=before), Moment(lfos=after)))

    def undo(self) -> None:
        """Take back the newest step. During a comparison, end that."""
        with self._lock:
            if self._swap_back():
                return
            step = self._history.back()
            if step is None:
                self._say("there is nothing to undo")
                return
            self._go_to(step.before)
            self._say(f"undone: {step.label}")

    def redo(self) -> None:
        """Make the step again that was taken back last. During a comparison, end that first."""
        with self._lock:
            self._swap_back()
            step = self._history.forth()
            if step is None:
                self._say("there is nothing to redo")
                return
            self._go_to(step.after)
            self._say(f"done again: {step.label}")

    def compare(self) -> None:
        """Swap to the values and LFOs of the saved patch. Called again, swap back."""
        with self._lock:
            if self._swap_back():
                return
            self._scenes.put(self._scenes.kept)  # a morph would move the knobs on
            step = self._to_saved("compare with the saved patch")
            if step.empty:
                self._say("Compare: nothing differs from the saved patch")
                return
            self._go_to(step.after)
            self._history.put_aside(step)
            self._say("the saved patch; compare again to go back")

    def revert(self) -> None:
        """Go back to the saved patch: values, LFOs and scenes. One step."""
        with self._lock:
            self._swap_back()
            self._scenes.put(self._scenes.kept)
            step = self._to_saved("revert to the saved patch")
            saved = replace(self._scenes.kept, scenes=self._patches.saved.scenes, active=None)
            if saved.scenes != self._scenes.kept.scenes:
                step.before = replace(step.before, scenes=self._scenes.kept)
                step.after = replace(step.after, scenes=saved)
            if step.empty:
                self._say("Compare: nothing differs from the saved patch")
                return
            self._history.push(step)
            self._go_to(step.after)
            self._say(f"back at the saved patch {self._patches.name}")

    def _to_saved(self, label: str) -> Step:
        """Return the step from what plays to the values and LFOs of the saved patch."""
        saved = self._patches.saved
        now = self._store.snapshot
        values = {name: value for name, value in saved.numbers.items() if now[name] != value}
        before = Moment({name: now[name] for name in values})
        after = Moment(values)
        lfos = self._modulation.lfos
        if lfos != saved.lfos:
            before, after = replace(before, lfos=lfos), replace(after, lfos=saved.lfos)
        return Step(label, before, after)

    def _swap_back(self) -> bool:
        """End a comparison. Return True if there was one."""
        step = self._history.take_aside()
        if step is None:
            return False
        self._go_to(step.before)
        self._say("back to your own settings")
        return True

    def _go_to(self, moment: Moment) -> None:
        if moment.patch is not None:
            self._patches.restore(moment.patch)
        if moment.scenes is not None:
            self._scenes.put(moment.scenes)
        if moment.lfos is not None:
            self._modulation.put_all(moment.lfos)
        self._store.set_many(moment.values, Origin.UNDO, AT_ONCE)

    # ------------------------------------------------------------------ any thread

    def status(self) -> UndoStatus:
        undo, redo = self._history.labels
        comparing = self._history.comparing
        return UndoStatus("compare" if comparing else undo, redo, self._patches.modified, comparing)
