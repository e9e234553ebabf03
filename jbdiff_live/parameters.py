"""Parameters and actions: one constant table draws the window, the patch format, the bindings and the help.

Threads: any thread may read `ParameterStore.snapshot` (one reference, swapped whole; reading a reference is
atomic under the GIL and the snapshot is immutable). Writers (control, ui, session) take a short lock among
themselves; the engine and the audio feeder only read and never touch it.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType

from jbdiff_live.beat.line import Unit
from jbdiff_live.knobs.of_files import FILE_PARAMETERS
from jbdiff_live.knobs.of_input import INPUT_PARAMETERS
from jbdiff_live.knobs.parameter import Curve as Curve
from jbdiff_live.knobs.parameter import Parameter as Parameter
from jbdiff_live.knobs.parameter import TakesEffect as TakesEffect


class Origin(Enum):
    """The source of a change. A writer uses it to ignore its own changes."""

    UI = "ui"
    MIDI = "midi"
    OSC = "osc"
    CV = "cv"
    KEY = "key"
    PATCH = "patch"
    SESSION = "session"
    REPLAY = "replay"
    SCENE = "scene"
    UNDO = "undo"  # undo, redo, compare or revert


@dataclass(frozen=True)
class Action:
    """Something that happens once when asked for: a key, a pad, a CC that crosses the middle."""

    name: str
    label: str
    help: str = ""


NOISE_STYLES = ("random", "constant", "region", "walk", "register")
FINISHER_STYLES = NOISE_STYLES[:4]
SOURCES = ("own", "file", "live")
CLOCKS = ("off", "context", "tempo")
HOLDS = ("off", "beat", "bar")
SCENES = 8  # in a patch
TIME_UNITS = ("seconds", "bars")
MORPH_CURVES = ("linear", "smooth")
SCENE_STARTS = ("now", "beat", "bar")

PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "noise_step", "Noise", 0, 1, 0.30, curve=Curve.EVEN, help="how far the noise moves from block to block"
    ),
    Parameter(
        "noise_style", "Style", 0, 4, 3, choices=NOISE_STYLES,
        help="random: new each block; constant: the same; region: around home; walk: from the last one; "
        "register: a loop of noises",
    ),
    Parameter("seed", "Seed", 0, 16383, 1, integer=True, help="the number of the noise that all music grows from"),
    Parameter("seed_b", "Seed B", 0, 16383, 2, integer=True, help="the other seed, for the morph"),
    Parameter("seed_morph", "Morph", 0, 1, 0, help="from the noise of Seed, at 0, to the noise of Seed B, at 1"),
    Parameter(
        "noise_length", "Length", 1, 32, 8, integer=True, help="how many noises the register plays in turn"
    ),
    Parameter(
        "noise_mutation", "Mutation", 0, 1, 0,
        help="the chance that the register's next noise is a new one: 0 is a locked loop, 1 never repeats",
    ),
    Parameter("hold", "Hold", 0, 1, 0, toggle=True, help="locks the noise: the next blocks use it again"),
    Parameter(
        "anchor", "Anchor", 0, 1, 1,
        help="how firmly the music keeps the style of its beginning; 0 leaves the style free",
    ),
    Parameter("brightness", "Brightness", -1, 1, 0, help="moves that style: darker below 0, brighter above"),
    Parameter("motion", "Motion", -1, 1, 0, help="moves that style: calmer below 0, livelier above"),
    Parameter(
        "clock", "Clock", 0, 2, 1, choices=CLOCKS,
        help="the beat to keep; off: none; context: the beat of the context; tempo: the knob's",
    ),
    Parameter("tempo", "Tempo", 60, 180, 117, unit="BPM", help="beats a minute, if Clock is at tempo"),
    Parameter(
        "memory", "Memory", 0, 1, 0.7,
        help="how much the music repeats its own bars: 0 invents freely, 1 is a living loop",
    ),
    Parameter(
        "theme", "Theme", 0, 1, 0.5,
        help="how often the music returns to what it began with: 0 never, 1 always",
    ),
    Parameter("resample", "Resample", 0, 1, 0, help="how much of the init sound is kept; 0 invents freely"),
    Parameter(
        "guidance", "Guidance", 0, 6, 1.5, TakesEffect.NEXT_STEP, help="how strictly the context is followed"
    ),
    Parameter("context_source", "Context", 0, 2, 0, choices=SOURCES, help="what the next block continues"),
    Parameter("init_source", "Init", 0, 2, 0, choices=SOURCES, help="what resample starts from"),
    Parameter("finisher_on", "Finisher", 0, 1, 1, toggle=True, help="makes the sound stereo, deep and clear"),
    Parameter(
        "finisher_strength", "Finisher strength", 0, 1, 0.23, TakesEffect.NEXT_STEP,
        help="how much of the unfinished sound the finisher keeps; read when it starts a block",
    ),
    Parameter("finisher_seed", "Finisher seed", 0, 16383, 1, integer=True, help="the number of the finisher's noise"),
    Parameter(
        "finisher_style", "Finisher style", 0, 3, 1, choices=FINISHER_STYLES,
        help="the finisher's noise; constant: one for all blocks, so that neighbours agree",
    ),
    Parameter("finisher_step", "Finisher noise", 0, 1, 0.40, help="how far the finisher's noise moves"),
    Parameter(
        "gain", "Gain", -60, 6, 0, TakesEffect.NOW, "dB", silent_at_low=True,
        help="output level; the lowest position is silence",
    ),
    Parameter("mute", "Mute", 0, 1, 0, TakesEffect.NOW, toggle=True, help="fades the output out and in"),
    Parameter(
        "hold_changes", "Hold changes", 0, 2, 0, TakesEffect.NOW, choices=HOLDS,
        help="changes wait for the next beat or bar, while a clock runs; panic never waits",
    ),
    Parameter(
        "scene_morph", "Scene morph", 0, 1, 0, TakesEffect.NOW,
        help="moves the knobs from scene A, at 0, to scene B, at 1",
    ),
    Parameter("scene_a", "Scene A", 1, SCENES, 1, TakesEffect.NOW, integer=True, help="where Scene morph begins"),
    Parameter("scene_b", "Scene B", 1, SCENES, 2, TakesEffect.NOW, integer=True, help="where Scene morph ends"),
    Parameter(
        "scene_time", "Morph time", 0, 64, 0, TakesEffect.NOW, curve=Curve.SQUARED,
        help="how long a recalled scene takes to arrive, in seconds or bars; 0 is at once",
    ),
    Parameter(
        "scene_unit", "Morph in", 0, 1, 0, TakesEffect.NOW, choices=TIME_UNITS, help="the unit of Morph time"
    ),
    Parameter(
        "scene_curve", "Morph shape", 0, 1, 0, TakesEffect.NOW, choices=MORPH_CURVES,
        help="linear: at an even pace; smooth: slow at both ends",
    ),
    Parameter(
        "scene_start", "Scene start", 0, 2, 0, TakesEffect.NOW, choices=SCENE_STARTS,
        help="a recalled scene starts now, on the next beat or on the next bar",
    ),
    Parameter(
        "scene_store", "Keep edits", 0, 1, 0, TakesEffect.NOW, toggle=True,
        help="when you leave a scene, its pad stores the knobs as they stand",
    ),
    *INPUT_PARAMETERS,
    *FILE_PARAMETERS,
)  # fmt: skip

ACTIONS: tuple[Action, ...] = (
    Action("reroll", "Re-roll", "jump to new noise of the same seed"),
    Action("home", "Home", "return to the seed's first noise"),
    Action("advance", "Step", "move the noise once; for use while Hold is on"),
    Action("write", "Write", "put the noise that sounds now into the register's next slot"),
    Action("erase", "Erase", "put new noise into the register's next slot"),
    Action("reset_context", "Forget", "forget the music so far and begin anew, without a silence"),
    Action("panic", "Panic", "silence now, forget the context, begin again"),
    Action("tap", "Tap", "tap the tempo, twice or more in time; this also puts Clock to tempo"),
    Action("marker", "Marker", "put a marker into the take at the sound that you hear"),
)

# Functions of the session. A controller can be bound to them. A take does not log them with the knobs.
FUNCTIONS: tuple[Action, ...] = (
    Action("play", "Play", "start, or stop if it plays"),
    Action("start", "Start", "start"),
    Action("stop", "Stop", "fade out and stop"),
    Action("record", "Record", "start recording, or stop it"),
    Action("keep", "Keep that", "make a take of the last minutes that you heard"),
    Action("keep_all", "Keep all", "make a take of everything since the music started"),
    Action("next_patch", "Next patch", "load the patch after this one"),
    Action("previous_patch", "Previous patch", "load the patch before this one"),
    Action("send_all", "Send all", "send every value to the controllers that show it, and by OSC"),
    *(Action(f"scene_{n}", f"Scene {n}", f"recall scene {n}") for n in range(1, SCENES + 1)),
    Action("capture_scene", "Capture", "capture the scene that you choose next, instead of recalling it"),
    Action("undo", "Undo", "take back the last change of a hand, a scene or a patch"),
    Action("redo", "Redo", "make the last undone change again"),
    Action("compare", "Compare", "swap between what plays and the saved patch"),
    Action("revert", "Revert", "go back to the saved patch"),
    Action(
        "back",
        "Back",
        "go back one block and play the music again from there; each press goes one block further",
    ),
    Action("far_back", "Far back", "go back eight blocks and play the music again from there"),
    Action("forward", "Forward", "after Back: go forward one block"),
)


OF_THE_FINISHER = frozenset(p.name for p in PARAMETERS if p.name.startswith("finisher_"))
OF_THE_REGISTER = frozenset({"noise_length", "noise_mutation"})
OF_THE_MEMORY = frozenset({"memory", "theme"})
OF_THE_ANCHOR = frozenset({"anchor", "brightness", "motion", "clock", "tempo"})
OF_THE_INPUT = frozenset(p.name for p in INPUT_PARAMETERS)
OF_THE_FILES = frozenset(p.name for p in FILE_PARAMETERS)
OF_THE_SCENES = frozenset(p.name for p in PARAMETERS if p.name.startswith("scene_"))
# Functions with a time of their own: scenes have the knob Launch, and a way back is made at once.
_AT_THEIR_OWN_TIME = {
    *(f"scene_{n}" for n in range(1, SCENES + 1)),
    "capture_scene",
    "undo",
    "redo",
    "compare",
    "revert",
}
# Never held for a beat or bar: silence, the tempo itself, what is held, and what changes no sound.
_AT_ONCE = frozenset({"panic", "tap", "hold_changes", "send_all", "marker", "keep", "keep_all"})
NEVER_HELD = _AT_ONCE | OF_THE_SCENES | _AT_THEIR_OWN_TIME
BY_NAME: Mapping[str, Parameter] = MappingProxyType({p.name: p for p in PARAMETERS})
ACTIONS_BY_NAME: Mapping[str, Action] = MappingProxyType({a.name: a for a in ACTIONS})
FUNCTIONS_BY_NAME: Mapping[str, Action] = MappingProxyType({f.name: f for f in FUNCTIONS})


def nearest_hint(name: str, known: Sequence[str]) -> str:
    """Return the known name that was probably meant, as a question; without one, all known names."""
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def unknown_name(name: str) -> KeyError:
    """Return the error for an unknown name. Its text lists the nearest known names."""
    known = [*BY_NAME, *ACTIONS_BY_NAME, *FUNCTIONS_BY_NAME]
    return KeyError(f"no parameter or action {name!r}; {nearest_hint(name, known)}")


@dataclass(frozen=True)
class ParameterSnapshot:
    """All values and action counts at one moment. Immutable; `version` grows by one with every change."""

    version: int
    values: Mapping[str, float]
    counts: Mapping[str, int]

    def __getitem__(self, name: str) -> float:
        return self.values[name]

    def choice(self, name: str) -> str:
        return BY_NAME[name].choices[int(self.values[name])]

    def on(self, name: str) -> bool:
        return self.values[name] >= 0.5

    def with_instant(self, now: ParameterSnapshot) -> ParameterSnapshot:
        """Return this snapshot, with the values of `now` for the parameters that act at once."""
        instant = {p.name: now[p.name] for p in BY_NAME.values() if p.takes_effect is TakesEffect.NOW}
        return replace(self, values={**self.values, **instant})


@dataclass(frozen=True)
class Change:
    """One accepted change: a parameter's new value, or an action's new count.

    hold: what the control that made it waits for; None follows the knob Hold changes.
    """

    name: str
    value: float
    origin: Origin
    version: int
    is_action: bool = False
    hold: Unit | None = None


Listener = Callable[[Change], None]


@dataclass
class ParameterStore:
    """Holds the current snapshot. `set` and `trigger` build a new one and swap the reference."""

    parameters: Iterable[Parameter] = PARAMETERS
    actions: Iterable[Action] = ACTIONS
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _listeners: tuple[Listener, ...] = ()

    def __post_init__(self) -> None:
        self._table = {p.name: p for p in self.parameters}
        self._snapshot = ParameterSnapshot(
            0,
            MappingProxyType({p.name: p.clamp(p.default) for p in self._table.values()}),
            MappingProxyType({a.name: 0 for a in self.actions}),
        )

    @property
    def snapshot(self) -> ParameterSnapshot:
        return self._snapshot

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` on the writer's thread after each change, in order. It must not block."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def set(self, name: str, value: float, origin: Origin, hold: Unit | None = None) -> ParameterSnapshot:
        """Set one value, clamped to its range. hold: as in `Change`. KeyError: unknown name. ValueError: NaN."""
        return self.set_many({name: value}, origin, hold)

    def set_normal(self, name: str, normal: float, origin: Origin) -> ParameterSnapshot:
        """Set one value from a knob position 0..1."""
        if name not in self._table:
            raise unknown_name(name)
        return self.set(name, self._table[name].from_normal(normal), origin)

    def set_many(
        self, values: Mapping[str, float], origin: Origin, hold: Unit | None = None
    ) -> ParameterSnapshot:
        """Set several values in one swap: a reader sees all of them or none. hold: as in `Change`."""
        clean = self._clean(values)
        with self._lock:
            return self._swap(clean, origin, hold)

    def set_from(
        self,
        make: Callable[[ParameterSnapshot], Mapping[str, float]],
        origin: Origin,
        hold: Unit | None = None,
    ) -> ParameterSnapshot:
        """Set the values that `make` returns for the present snapshot. No other change comes in between.

        make: runs inside the lock, so it must neither block nor call the store.
        """
        with self._lock:
            return self._swap(self._clean(make(self._snapshot)), origin, hold)

    def _clean(self, values: Mapping[str, float]) -> dict[str, float]:
        for name in values:
            if name not in self._table:
                raise unknown_name(name)
        return {name: self._table[name].clamp(value) for name, value in values.items()}

    def _swap(self, clean: Mapping[str, float], origin: Origin, hold: Unit | None) -> ParameterSnapshot:
        """Build the next snapshot. The caller holds the lock."""
        old = self._snapshot
        changed = {name: value for name, value in clean.items() if old.values[name] != value}
        if not changed:
            return old
        version = old.version + 1
        self._snapshot = ParameterSnapshot(version, MappingProxyType({**old.values, **changed}), old.counts)
        for name, value in changed.items():
            self._tell(Change(name, value, origin, version, hold=hold))
        return self._snapshot

    def trigger(self, action: str, origin: Origin, hold: Unit | None = None) -> ParameterSnapshot:
        """Add one to an action's count. The parts that do the action compare counts."""
        with self._lock:
            old = self._snapshot
            if action not in old.counts:
                raise unknown_name(action)
            count = old.counts[action] + 1
            self._snapshot = ParameterSnapshot(
                old.version + 1, old.values, MappingProxyType({**old.counts, action: count})
            )
            self._tell(Change(action, float(count), origin, old.version + 1, is_action=True, hold=hold))
            return self._snapshot

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)
