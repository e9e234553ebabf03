"""The morph by hand: the knob Scene morph moves all knobs between scene A and scene B.

Threads: `changed` runs inside the store's lock, `step` on the beat's thread. They share a few references, each swapped
whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from jbdiff_live.desks.history import History
from jbdiff_live.parameters import Change, Origin, ParameterSnapshot, ParameterStore
from jbdiff_live.scenes.blend import Blend
from jbdiff_live.scenes.scene import Kept, Scene
from jbdiff_live.scenes.seeds import SEED_NAMES

MORPH = "scene_morph"
HANDS = frozenset({Origin.UI, Origin.MIDI, Origin.OSC, Origin.KEY})  # origins of changes that undo takes back
PLAYERS = HANDS | {Origin.CV}
LFO_SECONDS = 0.04  # between two steps of an LFO
LFO_LEAST = 1e-4  # of the way


class SceneHand:
    """`place` gives the value of Scene morph with its LFO; None while it has none. `kept` gives all scenes."""

    def __init__(
        self,
        store: ParameterStore,
        history: History,
        place: Callable[[], float | None],
        kept: Callable[[], Kept],
        say: Callable[[str], None],
    ) -> None:
        self._store = store
        self._history = history
        self._lfo = place
        self._kept = kept
        self._say = say
        # The place that a hand asked for last. A deque, so that taking it out is one step.
        self._wish: deque[tuple[float, Origin]] = deque(maxlen=1)
        self._at = store.snapshot[MORPH]  # the place that the knobs were moved to last
        self._looked = float("-inf")
        self._out: frozenset[str] = frozenset()  # knobs that a hand took out, until the morph reaches an end
        self._moving = False  # the morph has left its end
        self._pair: tuple[Scene, Scene] | None = None
        self._blend: Blend | None = None

    def changed(self, change: Change) -> None:
        """Note where the morph is asked to go, and which knobs are taken out of it."""
        if change.name == MORPH:
            if change.origin in PLAYERS:
                self._wish.append((change.value, change.origin))
            else:  # a patch or undo has set the values as well
                self._wish.clear()
                self._at, self._moving = change.value, False
        elif self._moving and change.origin in PLAYERS:
            self._out |= frozenset(SEED_NAMES if change.name in SEED_NAMES else (change.name,))

    def step(self, now: float) -> int | None:
        """Move the knobs. Return the scene that was reached, 0 between two scenes; None if nothing moved."""
        wish = self._next(now)
        if wish is None:
            return None
        place, origin = wish
        values = self._store.snapshot
        a, b = int(values["scene_a"]), int(values["scene_b"])
        pair = self._kept()[a], self._kept()[b]
        self._at = place
        if pair[0] is None or pair[1] is None:
            self._say(f"Scene morph: scene {b if pair[1] is None else a} is empty; capture it first")
            return None
        blend = self._blend_of(pair[0], pair[1])
        self._moving = True
        hand = origin in HANDS
        self._store.set_from(lambda now_: self._moved(blend, place, now_, hand), Origin.SCENE)
        if place in (0.0, 1.0):
            self._out, self._moving = frozenset(), False
            return b if place else a
        return 0

    def _next(self, now: float) -> tuple[float, Origin] | None:
        """Return the place to go to and the origin of the wish; None if there is nothing to do."""
        try:
            return self._wish.pop()
        except IndexError:  # no hand moved the knob
            if now - self._looked < LFO_SECONDS:
                return None
        self._looked = now
        place = self._lfo()
        if place is None or abs(place - self._at) < LFO_LEAST:
            return None
        return place, Origin.SCENE

    def _blend_of(self, a: Scene, b: Scene) -> Blend:
        if self._blend is None or self._pair is None or a is not self._pair[0] or b is not self._pair[1]:
            self._pair, self._blend = (a, b), Blend(a.values, b.values)
        return self._blend

    def _moved(
        self, blend: Blend, place: float, snapshot: ParameterSnapshot, hand: bool
    ) -> Mapping[str, float]:
        """Return the values at a place. Runs inside the store's lock."""
        values = {name: value for name, value in blend.at(place).items() if name not in self._out}
        if hand:
            before = {name: snapshot[name] for name in values if snapshot[name] != values[name]}
            self._history.join(MORPH, before, {name: values[name] for name in before})
        return values
