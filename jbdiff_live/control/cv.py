"""Control voltages: turn the samples of one channel of a sound input into positions and gates. No device, no thread.

A DC-coupled input gives a voltage as a sample. 1.0 is the full scale of the input, whatever that is in volts. Two
samples calibrate a channel: one for the low end of a knob's travel, one for the high end. If low is above high, the
polarity is inverted. A gate opens above `gate_on` of that span and closes below `gate_off`. Between the two it stays as
it is, so that noise makes no second gate. It opens once in `LEAST_GATE_SECONDS` at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from jbdiff_live.binding import HIGHEST_14, HIGHEST_CHANNEL
from jbdiff_live.control.source import ControlEvent, EventHandler, EventKind

SMALLEST_SPAN = 0.01  # of full scale: less is noise
CHANGE = 1 / 1024  # of the travel: a smaller change sends no message, so a settled voltage sends none
# Between two openings of a gate. A cable with audio would open it thousands of times a second, and each opening is a
# change in the take's log. Hands and sequencers stay below 200 a second, which this still allows.
LEAST_GATE_SECONDS = 0.005


class CvChannel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of one channel. low, high: samples at the ends of the travel. smoothing_ms: time to follow a step.

    Raises ValueError, with the reason, if a number cannot be used.
    """

    low: float = 0.0
    high: float = 1.0
    smoothing_ms: float = 10.0
    gate_on: float = 0.6
    gate_off: float = 0.4

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.low, self.high, self.smoothing_ms, self.gate_on, self.gate_off))):
            raise ValueError("every number of a CV channel must be finite")
        if abs(self.high - self.low) < SMALLEST_SPAN:
            raise ValueError(
                f"low {self.low:g} and high {self.high:g} lie too close; calibrate both ends again"
            )
        if not 0 <= self.smoothing_ms <= 10_000:
            raise ValueError(f"smoothing_ms = {self.smoothing_ms:g}: goes from 0 to 10000")
        if not 0 < self.gate_off < self.gate_on < 1:
            raise ValueError("gate_off must be above 0 and below gate_on, and gate_on below 1")

    def plain(self) -> dict[str, float]:
        """Return what a person writes in a map: both ends, and each value that differs from its default."""
        usual = CvChannel()
        return {
            name: getattr(self, name)
            for name in self.__struct_fields__
            if name in ("low", "high") or getattr(self, name) != getattr(usual, name)
        }

    def with_end(self, end: str, sample: float) -> CvChannel:
        """Return these settings with another sample at the "low" or "high" end."""
        if end not in ("low", "high"):
            raise ValueError(f"{end!r} is no end of a span; choose low or high")
        low, high = (sample, self.high) if end == "low" else (self.low, sample)
        return CvChannel(low, high, self.smoothing_ms, self.gate_on, self.gate_off)

    def position(self, sample: float) -> float:
        """Return the position of a sample in the travel, 0 to 1."""
        return min(1.0, max(0.0, (sample - self.low) / (self.high - self.low)))


UNCALIBRATED = CvChannel()


def is_channel(text: str) -> bool:
    """Return True if a text is the number of a channel."""
    return len(text) <= 4 and text.isdecimal() and 1 <= int(text) <= HIGHEST_CHANNEL


def parse_span(text: str) -> tuple[int, CvChannel]:
    """Return a channel and its settings from "3=-0.5:0.5" or "3=-0.5:0.5:50" (smoothing in milliseconds)."""
    number, equals, span = text.partition("=")
    parts = span.split(":")
    if not equals or not is_channel(number.strip()) or len(parts) not in (2, 3):
        raise ValueError(
            f"{text!r}: write CHANNEL=LOW:HIGH, such as 3=-0.5:0.5; :50 behind it smooths over 50 ms"
        )
    try:
        low, high, *smoothing = map(float, parts)
    except ValueError:
        raise ValueError(f"{text!r}: LOW and HIGH are numbers, such as 3=-0.5:0.5") from None
    return int(number), CvChannel(low, high, *smoothing)


class _Reader:
    """The state of one channel: the smoothed voltage, the last reported position, and the gate."""

    def __init__(self) -> None:
        self.level: float | None = None  # the smoothed sample
        self._said: float | None = None  # the last reported position
        self._open = False
        self._shut = 0  # frames before the gate may open again

    def rest(self, mean: float) -> None:
        """Keep the position while nothing uses the channel. The next use begins with a report of that position."""
        self.level, self._said = mean, None

    def positions(self, mean: float, frames: int, channel: CvChannel, rate: int) -> list[float]:
        """Return the new positions, 0 to 1. mean: the mean of `frames` samples. rate: samples a second."""
        found = []
        if self._said is None and self.level is not None:  # a use of the channel begins
            self._said = channel.position(self.level)
            found.append(self._said)
        if self.level is None or channel.smoothing_ms == 0:
            self.level = mean
        else:
            share = 1.0 - math.exp(-1000.0 * frames / (rate * channel.smoothing_ms))
            self.level += share * (mean - self.level)
        position = channel.position(self.level)
        ends = position in (0.0, 1.0) and position != self._said
        if self._said is None or abs(position - self._said) >= CHANGE or ends:
            self._said = position
            found.append(position)
        return found

    def edges(self, samples: NDArray[np.float32], channel: CvChannel, rate: int) -> list[bool]:
        """Return the openings (True) and closings of the gate in these samples. A trigger of one sample counts.

        A gate that rises too soon after its last opening opens later, if it is still high then. NaN changes nothing.
        """
        travel = (samples - channel.low) / (channel.high - channel.low)
        above, below = travel >= channel.gate_on, travel <= channel.gate_off
        found: list[bool] = []
        at = 0
        while True:
            if not self._open:
                at = max(at, self._shut)
            crossings = np.flatnonzero(below[at:] if self._open else above[at:])
            if not len(crossings):
                self._shut = max(0, self._shut - len(samples))
                return found
            at += int(crossings[0])
            self._open = not self._open
            if self._open:
                self._shut = at + math.ceil(LEAST_GATE_SECONDS * rate)
            found.append(self._open)


@dataclass(frozen=True)
class Used:
    """The channels that are read as positions, and those that are read as gates."""

    positions: frozenset[int] = frozenset()
    gates: frozenset[int] = frozenset()


ALL_CHANNELS = frozenset(range(1, HIGHEST_CHANNEL + 1))
ALL_USED = Used(ALL_CHANNELS, ALL_CHANNELS)


class CvReader:
    """Turn the frames of one sound input into events. One thread calls `frames`.

    device: the name under which the input has its map. settings: returns the settings of a channel; it is called again
    for each `frames`, so that a calibration counts at once. used: called once in each `frames`; only these channels
    make events.
    """

    def __init__(
        self,
        device: str,
        on_event: EventHandler,
        settings: Callable[[int], CvChannel],
        used: Callable[[], Used],
    ) -> None:
        self.device = device
        self._on_event = on_event
        self._settings = settings
        self._used = used
        self._readers: dict[int, _Reader] = {}

    @property
    def levels(self) -> tuple[float, ...]:
        """Return the smoothed samples of all channels, from channel 1 on. Any thread."""
        return tuple(reader.level or 0.0 for _, reader in sorted(self._readers.copy().items()))

    def level(self, channel: int) -> float | None:
        """Return the smoothed sample of a channel, for calibration; None before the first frames. Any thread."""
        reader = self._readers.get(channel)
        return None if reader is None else reader.level

    def frames(self, frames: NDArray[np.float32], rate: int, now: float) -> None:
        """Take the frames since the last call, float32 `[frames, channels]`. Values that are not finite are ignored."""
        finite, used = np.isfinite(frames), self._used()
        frames = np.where(finite, frames, np.float32(np.nan))
        sums = frames.sum(axis=0, dtype=np.float64, where=finite).tolist()
        for number, (count, total) in enumerate(zip(finite.sum(axis=0).tolist(), sums, strict=True), 1):
            reader = self._readers.setdefault(number, _Reader())
            if number not in used.positions and number not in used.gates:
                if count:
                    reader.rest(total / count)
                continue
            settings = self._settings(number)
            if number in used.gates:
                for on in reader.edges(frames[:, number - 1], settings, rate):
                    value = 127 if on else 0
                    self._on_event(ControlEvent(self.device, EventKind.GATE, 1, number, value, on, now))
            positions = reader.positions(total / count, count, settings, rate) if count else ()
            for position in positions if number in used.positions else ():
                value = round(position * HIGHEST_14)
                self._on_event(ControlEvent(self.device, EventKind.CV, 1, number, value, True, now))
