"""A rack beside the instrument, as a JACK client: its clock, its knobs, its sound, and what it hears.

JACK's own thread calls `_process`. The other methods belong to the script's thread.
"""

from __future__ import annotations

import math
import random
import threading

import jack
import numpy as np

RATE = 44_100
TICKS, BAR = 24, 4 * 24


class Rack:
    """The JACK client: it sends a clock with jitter and other messages, plays a sound in a loop, and captures sound."""

    def __init__(self, tempo: float, jitter: float, seed: int = 1, plays: np.ndarray | None = None) -> None:
        """jitter: standard deviation of the ticks, in frames. plays: float32 `[frames, 2]`, played from `start` on.

        A rack that plays does not capture: in a long run memory would grow.
        """
        self.client = jack.Client("rack", no_start_server=True)
        ports = self.client.inports if plays is None else self.client.outports
        self.sound_ports = [ports.register(f"{'in' if plays is None else 'out'}_{n}") for n in (1, 2)]
        self._plays, self._played = plays, 0
        self.output = self.client.midi_outports.register("clock")
        self.captured: list[tuple[int, np.ndarray]] = []  # captured sound, and its first frame
        self.frames = 0  # frames of JACK's clock since the first callback; missed cycles count too
        self.xruns = 0
        self._first: int | None = None
        self.begin: int | None = None  # frame of the first beat
        self._clock: int | None = None  # frame of the first tick
        self._first_beat = 0  # ticks before the first beat
        self.per_tick = RATE * 60 / tempo / TICKS
        self.turned: list[int] = []  # frames at which a knob was turned
        self._jitter = jitter
        self._chance = random.Random(seed)
        self._tick = 0
        self._due: list[tuple[float, bytes]] = []
        self._waiting: list[bytes] = []
        self._lock = threading.Lock()
        self.client.set_process_callback(self._process)
        self.client.set_xrun_callback(self._xrun)
        self.client.activate()

    def _xrun(self, delay: float) -> None:
        self.xruns += 1

    def start(self) -> None:
        """Send the clock from now on, and start two seconds later, like a sequencer whose clock always runs."""
        with self._lock:
            self._clock = self.frames + RATE // 10
            self._first_beat = math.ceil(2 * RATE / self.per_tick)
            self.begin = int(self._clock + self._first_beat * self.per_tick)

    def _process(self, frames: int) -> None:
        self.output.clear_buffer()
        now = self.client.last_frame_time
        self._first = now if self._first is None else self._first
        self.frames = now - self._first
        with self._lock:
            waiting, self._waiting, begin = self._waiting, [], self._clock
        for message in waiting:
            if message[0] == 0xB0:
                self.turned.append(self.frames)
            self.output.write_midi_event(0, message)
        if begin is not None:
            # The jitter is too small for a tick to pass the one after the next.
            while (at := begin + self._tick * self.per_tick) < self.frames + frames + 4 * self._jitter:
                late = self._chance.gauss(0, self._jitter)
                if self._tick == self._first_beat:
                    self._due.append((at + late - 1, b"\xfa"))
                self._due.append((at + late, b"\xf8"))
                self._tick += 1
            self._due.sort()
            while self._due and self._due[0][0] < self.frames + frames:
                at, message = self._due.pop(0)
                self.output.write_midi_event(max(0, min(frames - 1, int(at) - self.frames)), message)
        if self._plays is not None:
            self._play(frames, self._plays if begin is not None else self._plays[:0])
            return
        self.captured.append(
            (self.frames, np.stack([port.get_array().copy() for port in self.sound_ports], axis=1))
        )

    def _play(self, frames: int, plays: np.ndarray) -> None:
        """Give the next frames of the sound to the outputs, or silence if it is empty."""
        places = (self._played + np.arange(frames)) % max(1, len(plays))
        for channel, port in enumerate(self.sound_ports):
            port.get_array()[:] = plays[places, channel] if len(plays) else 0.0
        self._played += frames if len(plays) else 0

    def sound(self) -> np.ndarray:
        """Return the captured sound, float32 `[frames, 2]`, on the rack's clock; missed cycles are silence."""
        last, end = self.captured[-1]
        whole = np.zeros((last + len(end), 2), np.float32)
        for frame, part in self.captured:
            whole[frame : frame + len(part)] = part
        return whole

    def turn(self, controller: int, value: int) -> None:
        """Turn a knob."""
        self.send(bytes((0xB0, controller, value)))

    def send(self, *messages: bytes) -> None:
        """Send MIDI messages in the next period."""
        with self._lock:
            self._waiting += messages

    def nearest_bar(self, frame: float) -> float:
        """Return the frame of the bar that is nearest to a frame."""
        assert self.begin is not None
        bar = BAR * self.per_tick
        return self.begin + round((frame - self.begin) / bar) * bar
