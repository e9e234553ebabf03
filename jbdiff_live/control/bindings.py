"""Which control moves what: bindings, their text form, and the map that turns events into store changes.

Threads: `ControlMap.handle` runs on the sources' threads, everything else on the window's. Bindings are an
immutable tuple swapped whole, so that they are read without a lock; a short lock keeps the remembered
positions and the learning together, and is not held while the store is written.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from jbdiff_live.control.events import LOWEST_OCTAVE, NOTE_NAMES, ControlEvent, EventKind, note_name
from jbdiff_live.control.learning import Gesture, Learner
from jbdiff_live.parameters import ACTIONS_BY_NAME, BY_NAME, Origin, Parameter, ParameterStore, unknown_name

FULL_7 = 127
FULL_14 = 16383


class BindingKind(Enum):
    CC = "cc"
    CC14 = "cc14"  # CC n (0..31) with its fine half n + 32
    NOTE = "note"


@dataclass(frozen=True)
class Binding:
    """One control bound to one parameter or action. `channel` None listens to all sixteen.

    ValueError, with words, where the control cannot do the job; KeyError for an unknown target.
    """

    target: str
    kind: BindingKind
    number: int
    channel: int | None = None

    def __post_init__(self) -> None:
        if self.target not in BY_NAME and self.target not in ACTIONS_BY_NAME:
            raise unknown_name(self.target)
        highest = 31 if self.kind is BindingKind.CC14 else 127
        if not 0 <= self.number <= highest:
            raise ValueError(f"{self.kind.value} {self.number} for {self.target}: goes from 0 to {highest}")
        if self.channel is not None and not 1 <= self.channel <= 16:
            raise ValueError(f"channel {self.channel} for {self.target}: goes from 1 to 16")
        parameter = BY_NAME.get(self.target)
        if self.kind is BindingKind.NOTE and parameter is not None and not takes_notes(parameter):
            raise ValueError(
                f"{self.target} is continuous and needs a knob (a CC), not note {note_name(self.number)}; "
                f"notes work for switches, lists and actions"
            )

    @property
    def text(self) -> str:
        """As a person writes it: "CC 74", "CC 1/33 14-bit", "note C3", "ch 2 CC 74"."""
        channel = "" if self.channel is None else f"ch {self.channel} "
        if self.kind is BindingKind.NOTE:
            return f"{channel}note {note_name(self.number)}"
        if self.kind is BindingKind.CC14:
            return f"{channel}CC {self.number}/{self.number + 32} 14-bit"
        return f"{channel}CC {self.number}"

    @staticmethod
    def parse(target: str, text: str) -> Binding:
        """The binding that `text` describes. ValueError says how it is written."""
        match = _TEXT.fullmatch(text.strip())
        if match is None:
            raise ValueError(
                f"{text!r} for {target}: write 'CC 74', 'CC 1/33 14-bit' or 'note C3', with 'ch 2 ' before it "
                "to listen to one channel only"
            )
        channel = int(match["channel"]) if match["channel"] else None
        if match["note"]:
            return Binding(target, BindingKind.NOTE, _note_number(match["note"], text), channel)
        number = int(match["cc"])
        if match["fine"] is None:
            return Binding(target, BindingKind.CC, number, channel)
        if int(match["fine"]) != number + 32:
            raise ValueError(f"{text!r} for {target}: the fine half of CC {number} is CC {number + 32}")
        return Binding(target, BindingKind.CC14, number, channel)

    def hears(self, event: ControlEvent) -> bool:
        """Whether the message belongs to this control."""
        if self.channel is not None and self.channel != event.channel:
            return False
        return event.kind is self._event_kind and event.number in self._numbers

    def overlaps(self, other: Binding) -> bool:
        """Whether some message would move both."""
        channels = self.channel is None or other.channel is None or self.channel == other.channel
        return channels and self._event_kind is other._event_kind and bool(self._numbers & other._numbers)

    @property
    def _event_kind(self) -> EventKind:
        return EventKind.NOTE if self.kind is BindingKind.NOTE else EventKind.CC

    @property
    def _numbers(self) -> frozenset[int]:
        pair = self.kind is BindingKind.CC14
        return frozenset((self.number, self.number + 32)) if pair else frozenset((self.number,))


_TEXT = re.compile(
    r"(?:ch(?:annel)?\s*(?P<channel>\d{1,2})\s+)?"
    r"(?:CC\s*(?P<cc>\d{1,3})(?:\s*/\s*(?P<fine>\d{1,3}))?(?:\s*14[- ]?bit)?"
    r"|note\s*(?P<note>\d{1,3}|[A-G][#b]?-?\d))",
    re.IGNORECASE,
)


def _note_number(name: str, text: str) -> int:
    if name.isdigit():
        number = int(name)
    else:
        sharp = name[1:2] == "#"
        flat = name[1:2] == "b"
        octave = int(name[2 if sharp or flat else 1 :])
        number = NOTE_NAMES.index(name[0].upper()) + sharp - flat + 12 * (octave - LOWEST_OCTAVE)
    if not 0 <= number <= 127:
        raise ValueError(f"{text!r}: notes go from {note_name(0)} to {note_name(127)}")
    return number


def takes_notes(parameter: Parameter) -> bool:
    """Switches and lists can be stepped by a pad; anything continuous, the seed too, needs a knob."""
    return parameter.toggle or bool(parameter.choices)


def value_from_cc(parameter: Parameter, value: int, full: int) -> float:
    """Parameter value for a controller value 0..`full` (127 or 16383). 0 gives low and `full` gives high.

    A list gets an equal share of the travel for each entry; a switch is on from the middle up.
    """
    if parameter.toggle:
        return float(value > full // 2)
    if parameter.choices:
        return float(value * len(parameter.choices) // (full + 1))
    return parameter.from_normal(value / full)


class ControlMap:
    """Bindings in use. Any number of sources may call `handle`; the window learns, unbinds and reads."""

    def __init__(
        self,
        store: ParameterStore,
        bindings: Iterable[Binding] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._bindings = tuple(bindings)
        self._clock = clock
        self._lock = threading.Lock()
        self._learner = Learner()
        self._complaint = ""
        self._positions: dict[tuple[str, int, int], int] = {}  # (device, channel, CC) -> last 7-bit value
        self._fine: dict[tuple[str, int, int], int] = {}  # (device, channel, coarse CC) -> last fine half
        self._high: dict[tuple[Binding, str, int], bool] = {}  # which action controls are past the middle

    # ------------------------------------------------------------------ sources' threads

    def handle(self, event: ControlEvent) -> None:
        """Applies one message. Never blocks for longer than another thread's message takes."""
        with self._lock:
            taken = self._learn_from(event)
            before = self._positions.get((event.device, event.channel, event.number), 0)
            if event.kind is EventKind.CC:
                self._remember(event)
            jobs = () if taken else tuple(b for b in self._bindings if b.hears(event))
            changes = [(b.target, self._change(b, event, before)) for b in jobs]
        for target, value in changes:
            if value is None:
                continue
            if target in ACTIONS_BY_NAME:
                self._store.trigger(target, Origin.MIDI)
            else:
                self._store.set(target, value, Origin.MIDI)

    def _remember(self, event: ControlEvent) -> None:
        self._positions[event.device, event.channel, event.number] = event.value
        coarse = (event.device, event.channel, event.number)
        if coarse in self._fine:  # MIDI 1.0: a new coarse value sets the fine half to zero
            self._fine[coarse] = 0
        elif 32 <= event.number < 64:
            self._fine[event.device, event.channel, event.number - 32] = event.value

    def _change(self, binding: Binding, event: ControlEvent, before: int) -> float | None:
        """The new value of the target, 1.0 to trigger an action, None for nothing to do."""
        parameter = BY_NAME.get(binding.target)
        if binding.kind is BindingKind.NOTE:
            if not event.on:
                return None
            return 1.0 if parameter is None else self._next_value(parameter)
        value, full = event.value, FULL_7
        if binding.kind is BindingKind.CC14:
            coarse = (event.device, event.channel, binding.number)
            if coarse not in self._positions:
                return None  # a fine half alone says nothing about where the knob is
            value = self._positions[coarse]
            # Until a fine half was ever heard the coarse one has the whole range: a plain knob reaches the end.
            if coarse in self._fine:
                value, full = value * 128 + self._fine[coarse], FULL_14
        if parameter is not None:
            return value_from_cc(parameter, value, full)
        high = value > full // 2
        # For a plain CC the position before is known even if the binding is new; a pair keeps its own note.
        where = (binding, event.device, event.channel)
        plain = binding.kind is BindingKind.CC
        was_high = before > FULL_7 // 2 if plain else self._high.get(where, False)
        self._high[where] = high
        return 1.0 if high and not was_high else None

    def _next_value(self, parameter: Parameter) -> float:
        now = self._store.snapshot[parameter.name]
        return float((int(now) + 1) % (len(parameter.choices) or 2))

    # ------------------------------------------------------------------ learning

    def learn(self, name: str | None) -> None:
        """Waits for the next knob or pad and binds it to `name`; None stops waiting. KeyError: no such name."""
        if name is not None and name not in BY_NAME and name not in ACTIONS_BY_NAME:
            raise unknown_name(name)
        with self._lock:
            self._complaint = ""
            self._learner.begin(name, self._positions)

    @property
    def learning(self) -> str | None:
        """The target waiting for a knob. Looking also settles a gesture whose second half never came."""
        with self._lock:
            gesture = self._learner.settle(self._clock())
            if gesture is not None:
                self._bind(gesture)
            return self._learner.target

    @property
    def complaint(self) -> str:
        """Why the last control touched while learning was not taken; empty when there is nothing to say."""
        return self._complaint

    def _learn_from(self, event: ControlEvent) -> bool:
        """Lock held. Whether the learning took the message, so that it moves nothing."""
        if self._learner.target is None:
            return False
        gesture, taken = self._learner.hear(event)
        if gesture is not None:
            self._bind(gesture)
        return taken

    def _bind(self, gesture: Gesture) -> None:
        """Lock held. Binds what was touched, in place of the target's and the control's old binding."""
        target = self._learner.target
        if target is None:
            return
        kind = BindingKind.CC14 if gesture.pair else BindingKind.CC
        if gesture.kind is EventKind.NOTE:
            kind = BindingKind.NOTE
        try:
            new = Binding(target, kind, gesture.number, gesture.channel)
        except ValueError as error:
            self._complaint = str(error)  # still learning: the next control may do
            return
        self._bindings = (*(b for b in self._bindings if b.target != target and not b.overlaps(new)), new)
        self._high[new, gesture.device, gesture.channel] = True  # the press that was learned is no trigger
        self._complaint = ""
        self._learner.end()

    # ------------------------------------------------------------------ the window's thread

    @property
    def bindings(self) -> tuple[Binding, ...]:
        return self._bindings

    def replace(self, bindings: Iterable[Binding]) -> None:
        """Takes other bindings, all at once (a patch was loaded)."""
        with self._lock:
            self._bindings = tuple(bindings)
            self._high.clear()

    def unbind(self, name: str) -> None:
        """Lets go of every control of `name`; without one nothing happens."""
        with self._lock:
            self._bindings = tuple(b for b in self._bindings if b.target != name)

    def texts(self) -> Mapping[str, str]:
        """For each bound name, how a person would write it; several controls are joined by ", "."""
        texts: dict[str, str] = {}
        for binding in self._bindings:
            texts[binding.target] = ", ".join(filter(None, (texts.get(binding.target), binding.text)))
        return texts
