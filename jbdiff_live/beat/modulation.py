"""Low-frequency oscillators: slow waves that move the sounding value of a knob around the value that the hand set.

Threads: the session and the window put in and take out LFOs (`Modulation.put`); the engine and the audio feeder call
`applied`. They share one immutable object, swapped whole, so that no thread waits. Time comes in as a callable,
and so does the tempo. The store is never written.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType

from jbdiff_live.parameters import BY_NAME, ParameterSnapshot, unknown_name

BEATS_IN_A_BAR = 4  # default
BEATS_PER_SECOND = 2.0  # 120 BPM: the tempo of an LFO in bars while no tempo is known
SLOWEST_HZ, FASTEST_HZ = 0.001, 20.0
SHORTEST_BARS, LONGEST_BARS = 1 / 16, 256.0
OCTAVES = 3  # of the random walk: each one half as fast


class Shape(Enum):
    """The form of the wave, from -1 to 1."""

    SINE = "sine"
    TRIANGLE = "triangle"
    WALK = "random walk"  # wanders smoothly
    HOLD = "sample and hold"  # a new value each cycle


@dataclass(frozen=True)
class Lfo:
    """One LFO. Depth and offset are shares of the knob's travel.

    The sounding value stands at: the knob's place + offset + depth * wave. `bars` is the length of a cycle in bars. If
    it is None, `rate` counts in Hz. Raises ValueError if a value is outside its range.
    """

    shape: Shape = Shape.SINE
    rate: float = 0.2  # Hz
    bars: float | None = None
    depth: float = 0.3  # 0..1
    offset: float = 0.0  # -1..1
    on: bool = True

    def __post_init__(self) -> None:
        self._check("rate", self.rate, SLOWEST_HZ, FASTEST_HZ)
        self._check("depth", self.depth, 0, 1)
        self._check("offset", self.offset, -1, 1)
        if self.bars is not None:
            self._check("bars", self.bars, SHORTEST_BARS, LONGEST_BARS)

    @staticmethod
    def _check(name: str, value: float, low: float, high: float) -> None:
        if not low <= value <= high:  # also refuses NaN
            raise ValueError(f"{name} = {value!r} is outside {low:g} to {high:g}")


def wave(shape: Shape, cycles: float, name: str = "") -> float:
    """Return the wave, -1..1, after `cycles`. Random shapes differ by `name`; equal `cycles` give equal values."""
    if shape is Shape.SINE:
        return math.sin(2 * math.pi * cycles)
    if shape is Shape.TRIANGLE:  # begins at 0 and rises, as the sine does
        return 1 - abs((4 * cycles + 1) % 4 - 2)
    if shape is Shape.HOLD:
        return _random(name, math.floor(cycles))
    octaves = range(OCTAVES)
    total = sum(_smooth(f"{name}/{octave}", cycles / (1 << octave)) * (1 << octave) for octave in octaves)
    return total / ((1 << OCTAVES) - 1)


def _smooth(name: str, cycles: float) -> float:
    """Return random values at whole cycles, joined by a smooth curve."""
    whole = math.floor(cycles)
    part = 0.5 - 0.5 * math.cos(math.pi * (cycles - whole))
    return _random(name, whole) * (1 - part) + _random(name, whole + 1) * part


def _random(name: str, number: int) -> float:
    """Return a uniform random value, -1..1."""
    digest = hashlib.blake2b(f"{name}/{number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") / (2**31) - 1


@dataclass(frozen=True)
class _Running:
    """An LFO, and its phase at one moment if it runs freely, so that a new rate does not make it jump."""

    lfo: Lfo
    since: float
    cycles: float = 0.0

    def at(self, now: float, bars: float) -> float:
        """Return the cycles so far. An LFO in bars counts them from the song's first bar."""
        if self.lfo.bars is not None:
            return bars / self.lfo.bars
        return self.cycles + (now - self.since) * self.lfo.rate


@dataclass(frozen=True)
class _Beats:
    """The count of beats at one moment, and their tempo from there on."""

    since: float
    passed: float
    per_second: float

    def at(self, now: float) -> float:
        return self.passed + (now - self.since) * self.per_second


NONE: Mapping[str, Lfo] = MappingProxyType({})


@dataclass
class Modulation:
    """The LFOs of an instrument, by the parameter that they move.

    now: seconds that never go back. tempo: beats a second, or None while no tempo is known.
    beats_per_bar: how many beats a bar has.
    """

    now: Callable[[], float]
    tempo: Callable[[], float | None] = lambda: None
    beats_per_bar: int = BEATS_IN_A_BAR
    _running: Mapping[str, _Running] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self._beats = _Beats(self.now(), 0.0, self._per_second())

    @property
    def lfos(self) -> Mapping[str, Lfo]:
        """All LFOs, including those that are off. Any thread."""
        return {name: running.lfo for name, running in self._running.items()}

    def count_bars(self, beats: int) -> None:
        """Count bars of so many beats from now on. The waves go on from their present places."""
        now, before = self.now(), self.beats_per_bar
        self._beats = _Beats(now, self._counted(now) * beats / before, self._per_second())
        self.beats_per_bar = beats

    def put(self, name: str, lfo: Lfo | None) -> None:
        """Give a parameter an LFO, or remove its LFO. If the rate changes, the wave goes on from its present place.

        KeyError: no such parameter.
        """
        if name not in BY_NAME:
            raise unknown_name(name)
        with self._lock:
            others = {other: running for other, running in self._running.items() if other != name}
            if lfo is not None:
                others[name] = self._begun(name, lfo)
            self._running = others

    def put_all(self, lfos: Mapping[str, Lfo]) -> None:
        """Replace all LFOs by those of another patch."""
        for name in lfos:
            if name not in BY_NAME:
                raise unknown_name(name)
        with self._lock:
            self._running = {name: self._begun(name, lfo) for name, lfo in lfos.items()}

    def _begun(self, name: str, lfo: Lfo) -> _Running:
        now, old = self.now(), self._running.get(name)
        if old is None or old.lfo.bars is not None:
            return _Running(lfo, now)
        return _Running(lfo, now, old.at(now, 0.0))

    # ------------------------------------------------------------------ engine and feeder

    def applied(self, snapshot: ParameterSnapshot) -> ParameterSnapshot:
        """Return the snapshot with the LFOs applied. If no LFO is on, return the same object."""
        running = {name: one for name, one in self._running.items() if one.lfo.on and name in snapshot.values}
        if not running:
            return snapshot
        now = self.now()
        bars = self._counted(now) / self.beats_per_bar
        moved = {}
        for name, one in running.items():
            parameter, lfo = BY_NAME[name], one.lfo
            height = wave(lfo.shape, one.at(now, bars), name)
            place = parameter.to_normal(snapshot[name]) + lfo.offset + lfo.depth * height
            moved[name] = parameter.from_normal(place)
        return replace(snapshot, values=MappingProxyType({**snapshot.values, **moved}))

    def _per_second(self) -> float:
        tempo = self.tempo()
        return BEATS_PER_SECOND if tempo is None else tempo

    def _counted(self, now: float) -> float:
        """Return the beats up to now. Two threads that see a new tempo at once write nearly the same count."""
        beats, per_second = self._beats, self._per_second()
        if per_second != beats.per_second:
            beats = self._beats = _Beats(now, beats.at(now), per_second)
        return beats.at(now)
