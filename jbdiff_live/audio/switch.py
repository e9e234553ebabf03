"""The output device and the input device. A change keeps the old device until the new one is open.

Threads: `open`, `use`, `begin`, `stop`, `close`, `listen` belong to the session. They block on the sound system, for
some seconds at most. `block_made` belongs to the engine, and to the session at a start. Any thread may read the rest.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from jbdiff_live.audio.cv_out import CvOut
from jbdiff_live.audio.device import DeviceSink
from jbdiff_live.audio.input import LiveInput, OnFrames
from jbdiff_live.audio.live.aligned import aligned_end
from jbdiff_live.audio.live.chain import InputChain
from jbdiff_live.audio.live.delays import Delays
from jbdiff_live.audio.live.feedback import WINDOW_SECONDS
from jbdiff_live.audio.live.monitor import DrySound, OnInput, SentSound
from jbdiff_live.audio.live.past import Mono
from jbdiff_live.audio.null import NullSink
from jbdiff_live.audio.output import CHUNK_FRAMES, LOOK_AHEAD_SECONDS, OnHeard, TimedSnapshots
from jbdiff_live.audio.sink import AudioSink, DeviceError
from jbdiff_live.clock import MACHINE, Clock
from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.ring import RingBuffer
from jbdiff_live.status import AudioStatus, InputStatus

log = logging.getLogger(__name__)

# Between a stack's sound and full scale at a gain of 0 dB, so that the limiter (ceiling -0.3 dB) rests until the player
# turns Gain up. True peaks of a minute of pocket each, before the output, in dBFS (scripts/measure_peaks): with Memory
# at .45 quick +5.0, drift +1.5, verse +1.4, wild -1.6; as they are band +0.7, cellar -1.8. So 5.3 dB are needed.
HEADROOM_DB = 6.0
NULL_DEVICE = "null (no sound, keeps time)"


class AudioSwitch:
    """The only reader of the engine's ring, on any device. After `begin` it starts when enough is queued."""

    def __init__(
        self,
        ring: RingBuffer,
        snapshot: Callable[[], ParameterSnapshot],
        sample_rate: int,
        short_ring_frames: int,
        clock: Clock = MACHINE,
        timed: TimedSnapshots | None = None,
        cv: CvOut | None = None,
        heard: OnHeard | None = None,
        input_channels: Sequence[int] = (),
        delays: Delays | None = None,
        raw_input: bool = False,
        heard_input: OnInput = lambda sound, ahead: None,
    ) -> None:
        """cv: the voltages on the output's channels after the sound. heard: as in `OutputStage`.

        heard_input: as `heard` of `DrySound`.

        input_channels: as in `InputChain`. delays: the measured delays from an output to an input.
        raw_input: no trim, gate or high-pass for the input.
        """
        self._heard = heard
        self._cv = cv
        self._ring = ring
        self._snapshot = snapshot
        self._sample_rate = sample_rate
        self._short_ring_frames = short_ring_frames
        self._clock = clock
        self._timed = timed
        # A lock between the thread that changes or stops the sink and the engine, which starts it. The engine takes it
        # only while nothing plays, so it may wait.
        self._swapping = threading.Lock()
        ahead = max(16, round(LOOK_AHEAD_SECONDS * sample_rate))
        self._dry = DrySound(sample_rate, ring.channels, CHUNK_FRAMES, ahead, heard_input)
        self._sent = SentSound(WINDOW_SECONDS + 1.0, sample_rate, CHUNK_FRAMES)
        self._delays = delays or Delays(None)
        self._input_channels = tuple(input_channels)
        self._input_knobs = None if raw_input else snapshot
        self._sink: AudioSink = self._null_sink()
        self._wanted = False  # the player pressed start
        self._started = False
        self._no_device = ""  # why no device plays although one was asked for
        self._live: LiveInput | None = None
        self._voltages: LiveInput | None = None

    # ------------------------------------------------------------------ session's thread

    def open(self, name: str | None, fall_back: bool = False) -> None:
        """Move the sound to a device by (part of its) name: None is the system's default, "null" is nowhere.

        If that fails the old device plays on and DeviceError gives the reason. With `fall_back` a null device takes
        its place instead, and `status` gives the reason until a device is opened.
        """
        if name == NULL_DEVICE or name == "null":
            self.use(self._null_sink())
        elif isinstance(self._sink, DeviceSink):  # only an open sink is ever stored there
            with self._swapping:  # excludes a start; a playing sink moves over by itself
                self._sink.open(name)
        else:
            new = DeviceSink(
                self._ring,
                self._snapshot,
                self._sample_rate,
                self._short_ring_frames,
                self._clock,
                self._timed,
                self._cv,
                self._heard,
                HEADROOM_DB,
                self._dry,
                self._sent,
                dc_filter=True,
            )
            try:
                new.open(name)
            except (OSError, RuntimeError, ValueError) as error:
                new.close()
                if not fall_back:
                    raise
                log.info("no sound device: %s", error)
                self._no_device = (
                    f"no sound device ({error}); the silent null device plays until you choose another"
                )
                return
            self.use(new)
        self._no_device = ""

    def use(self, new: AudioSink) -> None:
        """Make an open sink the ring's reader, and close the old one."""
        with self._swapping:
            old, running = self._sink, self._started
            if running:
                old.stop()
            self._sink = new
            if running:
                new.start()
        old.close()

    def open_beside(self, ring: RingBuffer) -> AudioSink:
        """Open a second output on the same device, which plays another ring. Any thread.

        DeviceError: no device is open, or the device serves one output only.
        """
        sink = self._sink
        if not isinstance(sink, DeviceSink):
            raise DeviceError("no sound device is open; choose one in the settings")
        beside = DeviceSink(ring, self._snapshot, self._sample_rate, self._short_ring_frames, self._clock)
        beside.open(sink.device)
        return beside

    def begin(self) -> None:
        """Let the sound start as soon as enough is queued."""
        self._wanted = True

    def stop(self) -> None:
        """Fade out and stop reading the ring."""
        self._wanted = False
        with self._swapping:
            try:
                self._sink.stop()
            finally:
                self._started = False

    def close(self) -> None:
        """Stop and close the output."""
        self._wanted = self._started = False
        self._sink.close()

    def listen(self, name: str) -> None:
        """Open a live input by name; an empty name closes it. DeviceError leaves the old one open."""
        if not name:
            live, self._live = self._live, None
            if live is not None:
                live.close()
            return
        live = self._live or LiveInput(self._sample_rate, self._chain())
        live.open(name)
        if live.chain is not None:
            live.chain.strip.forget_clip()
        self._live = live

    def _chain(self) -> InputChain:
        return InputChain(
            self._sample_rate,
            self._input_knobs,
            channels=self._input_channels,
            dry=self._dry,
            sent=self._sent,
        )

    def listen_to_cv(self, name: str, channels: int, on_frames: OnFrames) -> None:
        """Open an input for its control voltages; an empty name closes it. DeviceError if it cannot be opened.

        on_frames: gets the frames of its first `channels` channels, on the input's own thread.
        """
        voltages, self._voltages = self._voltages, None
        if voltages is not None:
            voltages.close()
        if name:
            voltages = LiveInput(self._sample_rate, None, channels, on_frames)
            voltages.open(name)
            self._voltages = voltages

    # ------------------------------------------------------------------ engine thread, or the one that starts

    def block_made(self, enough: int) -> None:
        """Start the sound when the player wants it and `enough` frames are queued; does nothing while it plays."""
        if not self._wanted or self._started:
            return
        with self._swapping:
            if not self._wanted or self._started:
                return
            # No thread reads now. Frames left in the ring by a panic or a stop would take the room of new ones.
            self._ring.skip_drained()
            if self._ring.available >= enough:
                self._sink.start()
                self._started = True

    # ------------------------------------------------------------------ any thread

    @property
    def sample_rate(self) -> int:
        return self._sample_rate

    @property
    def input_frames(self) -> int:
        """Frames of the live input so far; 0 if none is open."""
        live = self._live
        return 0 if live is None or live.chain is None else live.chain.past.frames

    @property
    def silent(self) -> bool:
        """True if the sound goes to recordings only."""
        return isinstance(self._sink, NullSink)

    @property
    def sounds(self) -> bool:
        """True if a device plays, even silence."""
        return self._started

    @property
    def frames_heard(self) -> int:
        """The audible frame, counted from the session's beginning."""
        # After a stop, all frames that were read have played or faded out.
        return self._sink.frames_heard if self._started else self._ring.frames_read

    def frame_at(self, when: float) -> float:
        """Return the frame that plays at second `when`, about now, with the device's own latency."""
        return self._sink.frame_at(when) if self._started else self._ring.frames_read

    @property
    def frames_queued(self) -> int:
        """Frames made and not yet played: in the ring, and in the device's short ring behind it."""
        return self._ring.available + max(0, self._ring.frames_read - self.frames_heard)

    def latest_input(self, frames: int, ahead: int = 0, beat: float = 0.0) -> tuple[Mono, Mono] | None:
        """Return frames of the live input and how present the player is in each; None if no input is open.

        Both are float32 `[frames]`. ahead: frames from the next written frame of the engine's ring to the place where
        the piece is going to end. beat: frames in a beat. The piece is then played again a whole number of beats after
        the player played it. 0 gives the newest frames.
        """
        live = self._live
        if live is None or live.chain is None:
            return None
        place = self.input_place() if beat > 0 else None
        if place is None:
            return live.chain.piece(frames)
        newest, heard = place
        heard -= (self._delay(live) or 0.0) * self._sample_rate
        wanted = self._ring.frames_written + ahead
        return live.chain.piece(frames, aligned_end(newest, heard, wanted, beat))

    def input_sound(self, frames: int, end: int) -> Mono | None:
        """Return `frames` of the live input that end before frame `end`, mono; None if no input is open."""
        live = self._live
        return None if live is None or live.chain is None else live.chain.piece(frames, end)[0]

    def input_place(self) -> tuple[int, float] | None:
        """Return the frames of the live input so far, and the frame of the output that was audible with the newest.

        The devices' own latencies count. None before a frame came in.
        """
        live = self._live
        if live is None or live.chain is None:
            return None
        newest = live.chain.past.frames
        came = live.chain.came_at(newest)
        return None if came is None else (newest, self.frame_at(came))

    def _delay(self, live: LiveInput) -> float | None:
        """Return the measured seconds by which the input comes later than the devices say; None if not measured."""
        return self._delays.of(self._sink.status().device, live.name)

    def status(self) -> AudioStatus:
        status, live, voltages = self._sink.status(), self._live, self._voltages
        no_cv = f"CV in {voltages.device}" if voltages is not None and voltages.problem else ""
        chain = None if live is None else live.chain
        feedback = "" if chain is None else chain.watch.problem
        return replace(
            status,
            problem=status.problem or self._no_device or feedback or no_cv,
            input_device="" if live is None else live.device,
            input=None if live is None else self._input_status(live),
        )

    def _input_status(self, live: LiveInput) -> InputStatus:
        chain = live.chain
        if chain is None or live.problem:
            return InputStatus(overruns=live.overruns, delay_seconds=self._delay(live))
        strip = chain.strip
        return InputStatus(
            strip.peak, strip.clipped, strip.open, chain.watch.duck, live.overruns, self._delay(live)
        )

    def _null_sink(self) -> NullSink:
        return NullSink(
            self._ring,
            self._snapshot,
            self._sample_rate,
            self._clock,
            timed=self._timed,
            heard=self._heard,
            headroom_db=HEADROOM_DB,
            dry=self._dry,
            sent=self._sent,
            dc_filter=True,
        )
