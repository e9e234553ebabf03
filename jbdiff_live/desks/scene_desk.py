"""The scenes of the patch that plays: captured, recalled, moved from one to another.

Threads: the window's and that of program changes capture and recall, the beat's thread calls `step`, and `changed`
runs inside the store's lock. Any thread may read `kept` and `status`. A short lock guards the state. Whoever holds it
never calls the store, since the store's lock comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from jbdiff_live.beat.line import Unit
from jbdiff_live.desks.history import History, Moment, Step
from jbdiff_live.desks.scene_hand import SceneHand
from jbdiff_live.desks.scene_list import HOW_TO_CAPTURE, SceneList
from jbdiff_live.parameters import OF_THE_SCENES, Change, Origin, ParameterSnapshot, ParameterStore
from jbdiff_live.scenes.blend import Blend, shaped
from jbdiff_live.scenes.scene import Kept, Scene, title
from jbdiff_live.scenes.seeds import SEED_NAMES
from jbdiff_live.scenes.view import SceneStatus, SceneView

STEP_SECONDS = 0.04  # between two steps of a morph: shorter than any block
CAPTURE_SECONDS = 10.0  # for which Capture waits for a scene
UNITS = (Unit.OFF, Unit.BEAT, Unit.BAR)  # in the order of Scene start and of Hold changes


class Beat(Protocol):
    """The part of the conductor that a scene uses."""

    def next_due(self, unit: Unit, promised: float | None = None) -> float | None: ...
    def lands_in(self, names: Collection[str]) -> float | None: ...
    def bar_seconds(self) -> float: ...


@dataclass(frozen=True)
class _Coming:
    """A recall that waits. due: for a morph, the second at which it begins; None: the values are held changes.

    before: the values that the recall replaced, without those that a hand moved since.
    """

    number: int
    unit: Unit
    due: float | None
    before: dict[str, float]


@dataclass
class _Morph:
    """A morph that runs. out: knobs that a hand took out of it."""

    number: int
    blend: Blend
    share: float = 0.0  # of the time
    stepped: float = 0.0  # second of the last step
    out: set[str] = field(default_factory=set)


class SceneDesk(SceneList):
    """`place` gives the value of Scene morph with its LFO; None without one."""

    def __init__(
        self,
        store: ParameterStore,
        beat: Beat,
        history: History,
        now: Callable[[], float],
        say: Callable[[str], None],
        place: Callable[[], float | None] = lambda: None,
    ) -> None:
        super().__init__(store, history, say)
        self._beat = beat
        self._now = now
        self._coming: _Coming | None = None
        self._morph: _Morph | None = None
        self._capture_until = float("-inf")
        self._hand = SceneHand(store, history, place, lambda: self._kept, say)
        store.subscribe(self.changed)

    # ------------------------------------------------------------------ any thread

    def put(self, kept: Kept) -> None:
        """Take the scenes of another patch, or go back to earlier ones. A morph ends where it is."""
        with self._lock:
            self._kept = kept
            self._stop()

    def _stop(self) -> None:
        self._coming = self._morph = None

    def status(self) -> SceneStatus:
        with self._lock:
            kept, coming, morph = self._kept, self._coming, self._morph
        views = [
            SceneView(n) if scene is None else SceneView(n, True, scene.name, scene.program, scene.leaves_out)
            for n, scene in enumerate(kept.scenes, 1)
        ]
        lands_in = None if coming is None else self._lands_in(coming)
        return SceneStatus(
            tuple(views),
            kept.active,
            None if coming is None else coming.number,
            None if lands_in is None else max(0.0, lands_in),
            None if morph is None else morph.share,
            self._now() < self._capture_until,
        )

    def _lands_in(self, coming: _Coming) -> float | None:
        """Return the seconds until a recall is made; None if nothing of it waits any more."""
        return coming.due - self._now() if coming.due is not None else self._beat.lands_in(coming.before)

    # ------------------------------------------------------------------ capture and recall

    def arm_capture(self) -> None:
        """Capture the scene that is chosen next, in place of recalling it. A second call lets it be."""
        now = self._now()
        armed = now < self._capture_until
        self._capture_until = float("-inf") if armed else now + CAPTURE_SECONDS
        self._say("no scene is captured" if armed else "choose the scene that gets the knobs as they stand")

    def press(self, number: int) -> None:
        """Recall a scene, or capture it if `arm_capture` came before."""
        armed, self._capture_until = self._now() < self._capture_until, float("-inf")
        if armed:
            self.capture(number)
        else:
            self.recall(number)

    def capture(self, number: int) -> None:
        """Keep the knobs as they stand in scene `number`. A morph that runs ends here."""
        with self._doing:
            scene = (self._kept[number] or Scene()).captured(self._store.snapshot.values)
            self._edit(
                f"capture {title(number, scene)}",
                f"{title(number, scene)} has the knobs as they stand now",
                lambda kept: replace(kept.put(number, scene), active=number),
                stop=True,
            )

    def recall(self, number: int) -> None:
        """Go to scene `number`: now or on the bar, at once or by a morph, as the scene knobs say."""
        with self._doing:
            scene = self._kept[number]
            if scene is None:
                self._say(f"scene {number} is empty; {HOW_TO_CAPTURE.format(number)}")
                return
            snapshot = self._store.snapshot
            unit = UNITS[int(snapshot["scene_start"] or snapshot["hold_changes"])]
            with self._lock:
                old = self._kept
                unlanded = {} if self._coming is None else dict(self._coming.before)
                left = self._left(old, number, snapshot.values)
                self._kept, self._coming, self._morph = left, None, None
            values = {**unlanded, **scene.values}
            before = {name: snapshot[name] for name in values}
            # A hand that moves a knob while the recall waits takes it out of `before`; the step keeps it.
            was = Moment(dict(before), old)
            step = Step(title(number, scene), was, Moment(values, replace(left, active=number)))
            self._history.push(step)
            due = self._beat.next_due(unit)
            if snapshot["scene_time"] > 0:
                if unlanded:
                    self._store.set_many(unlanded, Origin.SCENE, Unit.OFF)
                self._wait(_Coming(number, unit, self._now() if due is None else due, before))
            else:
                self._store.set_many(values, Origin.SCENE, unit)
                self._wait(_Coming(number, unit, None, before))
            if self._store.snapshot.counts["panic"] != snapshot.counts["panic"]:
                self.put(left)  # a panic came in between, and took the values back
            self._say(
                f"going to {title(number, scene)}" + ("" if due is None else f": on the next {unit.value}")
            )
            coming = self._coming
            if coming is not None:
                self._arrive(coming, self._now())

    def _wait(self, coming: _Coming) -> None:
        with self._lock:
            self._coming = coming

    def _left(self, kept: Kept, number: int, values: Mapping[str, float]) -> Kept:
        """Return the scenes after the active one was left for scene `number`: stored, if the switch says so."""
        active = kept.active
        if active is None or active == number or values["scene_store"] < 0.5 or self._coming is not None:
            return kept
        scene, morph = kept[active], self._morph
        if scene is None:
            return kept
        # A morph that has not arrived yet stores only what a hand has moved.
        moved = {n: v for n, v in values.items() if morph is None or n in morph.out}
        return kept.put(active, scene.stored(moved))

    # ------------------------------------------------------------------ beat's thread

    def step(self, now: float) -> None:
        """Land what waited, and move the knobs of a morph. Called every few milliseconds."""
        coming, morph = self._coming, self._morph
        if coming is not None:
            self._arrive(coming, now)
            morph = self._morph
        if morph is not None and now - morph.stepped >= STEP_SECONDS:
            self._store.set_from(lambda snapshot: self._morphed(snapshot, now), Origin.SCENE, Unit.OFF)
        active = self._hand.step(now)
        if active is not None:
            with self._lock:
                self._morph = self._coming = None
                self._kept = replace(self._kept, active=active or None)

    def _arrive(self, coming: _Coming, now: float) -> None:
        if coming.due is None:
            if self._beat.lands_in(coming.before) is None:
                self._settle(coming, None)
            return
        due = self._beat.next_due(coming.unit, coming.due)  # None: the clock stands, so there is no bar
        if due is not None and due > now:
            if due != coming.due:
                with self._lock:
                    if self._coming is coming:
                        self._coming = replace(coming, due=due)
            return
        scene = self._kept[coming.number]
        if scene is None:  # it was cleared while it waited
            self._settle(coming, None)
            return
        blend = Blend({n: self._store.snapshot[n] for n in scene.values}, scene.values)
        self._settle(coming, _Morph(coming.number, blend, stepped=now))

    def _settle(self, coming: _Coming, morph: _Morph | None) -> None:
        with self._lock:
            if self._coming is coming:  # no newer recall, and no panic
                self._coming, self._morph = None, morph
                if self._kept[coming.number] is not None:
                    self._kept = replace(self._kept, active=coming.number)

    def _morphed(self, snapshot: ParameterSnapshot, now: float) -> Mapping[str, float]:
        """Return the values of the morph at this second. Runs inside the store's lock."""
        with self._lock:
            morph = self._morph
            if morph is None:
                return {}
            seconds = snapshot["scene_time"]
            if snapshot.choice("scene_unit") == "bars":
                seconds *= self._beat.bar_seconds()
            morph.share += (now - morph.stepped) / seconds if seconds > 0 else 1.0
            morph.stepped = now
            if morph.share >= 1.0:
                self._morph = None
            values = morph.blend.at(shaped(morph.share, int(snapshot["scene_curve"])))
            return {name: value for name, value in values.items() if name not in morph.out}

    # ------------------------------------------------------------------ writers' threads

    def changed(self, change: Change) -> None:
        """Follow a change. A listener of the store; it must not write to the store."""
        if change.name == "panic":
            with self._lock:
                self._stop()
            return
        self._hand.changed(change)
        if change.is_action or change.origin is Origin.SCENE or change.name in OF_THE_SCENES:
            return
        with self._lock:
            names = SEED_NAMES if change.name in SEED_NAMES else (change.name,)
            if self._morph is not None:
                self._morph.out.update(names)
            if self._coming is not None:
                for name in names:
                    self._coming.before.pop(name, None)
