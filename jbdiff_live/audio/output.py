"""The output stage: gain, mute, panic, fades and limiter, between the engine's ring and a device.

It has no thread and no device of its own. The ring's reader calls `render`. Nothing here blocks or takes a lock. A
chunk without changes allocates no arrays. Any thread may read the counters: plain numbers that only the rendering
thread writes.

All sound passes a look-ahead of 10 ms. It lets the limiter turn down before a peak. It also holds the frames that fade
out if the ring is empty. A short read gives no warning, so the last frames are kept back until the next ones are there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np

from jbdiff_live.audio.crossing import Crossing
from jbdiff_live.audio.limiter import CEILING, Limiter
from jbdiff_live.audio.live.monitor import DrySound, SentSound
from jbdiff_live.audio.marks import FrameMarks
from jbdiff_live.audio.master.dc import DcFilter
from jbdiff_live.audio.master.gain import RAMP_SECONDS, Gain
from jbdiff_live.audio.master.loudness import LoudnessMeter
from jbdiff_live.audio.master.true_peak import BEHIND, TruePeaks
from jbdiff_live.block import Audio
from jbdiff_live.parameters import BY_NAME, ParameterSnapshot
from jbdiff_live.ring import RingBuffer
from jbdiff_live.status import Held

LOOK_AHEAD_SECONDS = 0.010
BUTTON_SECONDS = 0.010  # fade of mute: quick, but without a click
METER_FALL_DB_PER_SECOND = 24.0
LIMITED_LIGHT_SECONDS = 0.4  # `limited` stays on for this time, so that a window at 30 Hz sees it
CHUNK_FRAMES = 512
SILENT_DB = BY_NAME["gain"].low
QUIET = 10 ** (-70 / 20)  # linear peak; lower ones are inaudible in a room

# Gets rendered sound `[frames, channels]`, to be copied at once, and the ring's frame before and after it. The ring's
# frame either moves with the sound or stands still: where it begins to move, stops or jumps, a chunk is given in parts.
OnHeard = Callable[[Audio, int, int], None]


class TimedSnapshots(Protocol):
    """Snapshots that change at given seconds: `jbdiff_live.beat.held.HeldChanges`. Neither method may wait."""

    def at(self, when: float, end: float) -> ParameterSnapshot:
        """Return the knobs for the sound that plays from second `when` to second `end`."""
        ...

    def next_instant(self, after: float) -> float | None:
        """Return the second of the first change after second `after`, or None."""
        ...


class OutputStage:
    """The output stage. At 0 dB, without headroom, unmuted and below the ceiling, its samples are the ring's.

    The first 10 ms after a silence fade in, and the last 10 ms before one fade out (raised cosine). A jump of the time
    machine crossfades (`Crossing`).
    """

    def __init__(
        self,
        ring: RingBuffer,
        snapshot: Callable[[], ParameterSnapshot],
        sample_rate: int = 44_100,
        timed: TimedSnapshots | None = None,
        heard: OnHeard | None = None,
        headroom_db: float = 0.0,
        dry: DrySound | None = None,
        sent: SentSound | None = None,
        dc_filter: bool = False,
    ) -> None:
        """timed: replaces `snapshot` while the playing time of frames is known. heard: gets every rendered chunk.

        headroom_db: by how much a gain of 0 dB turns the ring's sound down, so that the limiter seldom works.
        dry: the live input, mixed in before the limiter. sent: keeps what leaves the stage.
        dc_filter: take a constant offset out of the ring's sound. Sound without an offset stays as it is.
        """
        self._headroom_db = headroom_db
        self.sample_rate = sample_rate
        self.channels = ring.channels
        self.look_ahead = max(16, round(LOOK_AHEAD_SECONDS * sample_rate))
        self.short_frames = 0  # silence given in place of late blocks
        self.bad_frames = 0  # NaN or infinite, replaced by silence
        self.peak = (0.0, 0.0)  # left, right, after the limiter, falling slowly
        self._ring = ring
        self._snapshot = snapshot
        self._timed = timed
        self._heard = heard
        self._panicked = False
        self._drained_to = ring.drained_to
        self._crossing = Crossing(ring, sample_rate)
        self._paused = False
        self._dry = True  # the last frames were silence
        self._begun = False  # True after the first sound since a drain: silence then means a late block
        self._faded_in = 0
        self._dropped_to = (
            0  # the ring's frame behind those that the chunk has skipped; 0 if it has skipped none
        )
        self._entered = 0  # frames that went into the look-ahead, silence included
        self._marks = FrameMarks()  # which of the ring's frames those were
        self._mark_silence()
        self._limited_frames = 0
        self._quiet_frames = 0
        ahead = self.look_ahead
        phase = np.arange(1, ahead + 1, dtype=np.float64)[:, None] / (ahead + 1)
        self._fade_in = (0.5 - 0.5 * np.cos(np.pi * phase)).astype(np.float32)
        self._fade_out = self._fade_in[::-1].copy()
        self._dry_sound, self._sent = dry, sent
        self._sums = np.zeros((CHUNK_FRAMES, ring.channels), np.float32)
        self._delayed = np.zeros_like(self._sums)
        self.loudness = LoudnessMeter(sample_rate, ring.channels, CHUNK_FRAMES)
        self._true_peaks = TruePeaks(ring.channels, CHUNK_FRAMES)
        self._limiter = Limiter(ahead - BEHIND, CHUNK_FRAMES, sample_rate)
        self._work = np.zeros((ahead + CHUNK_FRAMES, ring.channels), np.float32)
        self._scratch = np.zeros((CHUNK_FRAMES, ring.channels), np.float32)
        self._finite = np.zeros((CHUNK_FRAMES, ring.channels), np.bool_)
        self._peaks = np.zeros(CHUNK_FRAMES, np.float32)
        self._gain = Gain(sample_rate, CHUNK_FRAMES, self._wanted_gain(snapshot()))
        self._muted = snapshot().on("mute")
        self._dc = DcFilter(sample_rate, ring.channels, CHUNK_FRAMES) if dc_filter else None

    # ------------------------------------------------------------------ any thread

    @property
    def limited(self) -> bool:
        """True if the limiter turned down within the last 0.4 s."""
        return self._limited_frames > 0

    @property
    def quiet_seconds(self) -> float:
        """Seconds since a peak above -70 dBFS left the stage."""
        return self._quiet_frames / self.sample_rate

    @property
    def held(self) -> Held:
        """The player's action that keeps the output silent."""
        snapshot = self._snapshot()
        if snapshot.counts["panic"] != self._ring.panics_answered:
            return Held.PANIC
        if snapshot.on("mute"):
            return Held.MUTE
        return Held.GAIN if snapshot["gain"] <= SILENT_DB else Held.NOTHING

    @property
    def frames_passed(self) -> int:
        """Frames of the ring that have left the stage: the ring's clock minus the frames kept back."""
        return self.frame_before(0)

    def frame_before(self, frames: int) -> int:
        """Return the ring's frame that left the stage `frames` frames before the newest one."""
        return self._marks.find(self._entered - self.look_ahead - frames)

    def waits_for_engine(self, frames: int) -> bool:
        """Return True if a late block is the only reason why `frames` cannot be rendered now.

        A feeder that still has frames plays them first. Only after them is the block too late.
        """
        if self._paused or self._snapshot().counts["panic"] != self._ring.panics_answered:
            return False
        return self._ring.available < frames

    # ------------------------------------------------------------------ the rendering thread

    def pause(self) -> None:
        """Render a fade-out and then silence from now on, without reading the ring."""
        self._paused = True

    def resume(self) -> None:
        """Read the ring again, from where it stands now."""
        self._mark_silence()
        self._quiet_frames = 0
        self._paused = False

    def _mark_silence(self) -> None:
        """Note that the look-ahead holds silence: the ring's frame stands still while it leaves the stage."""
        self._marks.restart(self._entered - self.look_ahead, self._ring.frames_read)
        self._marks.add(self._entered, self._ring.frames_read)

    def render(self, out: Audio, when: float | None = None) -> None:
        """Fill all of `out`, float32 `[frames, channels]`, without waiting.

        when: second at which its first frame plays; None if unknown. If it is known, each change of `timed` is made
        at its own frame.
        """
        start, rate = 0, self.sample_rate
        while start < len(out):
            frames, timed = min(CHUNK_FRAMES, len(out) - start), self._timed
            # The answer is read before the count of panics. The engine answers after the count has grown, so this
            # answer is never newer than the count.
            answered = self._ring.panics_answered
            if when is None or timed is None:
                snapshot = self._snapshot()
            else:
                enters = when + (start + self.look_ahead) / rate  # second at which frames read now play
                frames = self._until_change(timed, enters, frames)
                snapshot = timed.at(enters, enters + frames / rate)
            self._render(out[start : start + frames], snapshot, answered)
            start += frames

    def _until_change(self, timed: TimedSnapshots, when: float, frames: int) -> int:
        """Return how many of `frames` come before the next change. when: second at which the first one plays."""
        change = timed.next_instant(when)
        if change is None:
            return frames
        return max(1, min(frames, math.ceil((change - when) * self.sample_rate)))

    def _render(self, out: Audio, snapshot: ParameterSnapshot, answered: int) -> None:
        """Render one chunk. snapshot: its knobs. answered: panics answered before the snapshot was read."""
        frames, ahead = len(out), self.look_ahead
        work = self._work[: ahead + frames]
        new = work[ahead:]
        self._panicked = snapshot.counts["panic"] != answered
        self._dropped_to = 0
        if self._paused or self._panicked:
            new[:] = 0.0
            valid, skipped = 0, False
            self._crossing.cancel()
        else:
            valid, skipped = self._take(new)
        if self._dc is not None:  # before the fades: they would look like a change of the offset
            if skipped or self._dry:
                self._dc.begin()
            self._dc.apply(new[:valid])
        if skipped and not self._dry:
            work[:ahead] *= self._fade_out
            self._dry = True
        if valid:
            if self._dry:
                self._dry, self._faded_in = False, 0
            if self._faded_in < ahead:
                count = min(valid, ahead - self._faded_in)
                new[:count] *= self._fade_in[self._faded_in : self._faded_in + count]
                self._faded_in += count
        if valid < frames and not self._dry:
            work[valid : valid + ahead] *= self._fade_out
            self._dry = True
        wanted = self._wanted_gain(snapshot)
        self._apply_gain(new, wanted, snapshot.on("mute"))
        delayed = work[:frames]
        dry = self._dry_sound
        silenced = self._paused or self._panicked
        if dry is not None and dry.take(frames, snapshot, wanted, cut=silenced):
            sums, delayed = self._sums[:frames], self._delayed[:frames]
            dry.lay_over(new, work[:frames], sums, delayed)
        else:
            sums = new
        peaks = self._peaks[:frames]
        self._true_peaks.find(sums, peaks)
        limited = self._limiter.apply(out, delayed, peaks)
        if dry is not None:
            dry.move_on(frames)
        if self._dropped_to:
            self._marks.add(self._entered, self._dropped_to)  # the dropped frames take no time
        if 0 < valid < frames:
            self._marks.add(self._entered + valid, self._ring.frames_read)
        self._entered += frames
        self._marks.add(self._entered, self._ring.frames_read)
        work[:ahead] = work[frames:]
        self._give(out)
        self._meter(out, limited)
        # Peaks come some frames before their sound; the limiter keeps them below its ceiling.
        self.loudness.see(out, min(float(peaks.max()), CEILING))
        if self._sent is not None:
            self._sent.write(out)

    def _give(self, out: Audio) -> None:
        """Give a rendered chunk to those who record it."""
        if self._heard is None:
            return
        first = self._entered - self.look_ahead - len(out)
        for run in self._marks.runs(first, first + len(out)):
            self._heard(out[run.start - first : run.end - first], run.frame, run.end_frame)

    def _take(self, new: Audio) -> tuple[int, bool]:
        """Read the ring into `new`, and fill it up with silence. Return the good frames, and True after a drain.

        After a drain the music begins again, even if no frames were left to skip. After a jump of the time machine it
        crossfades, if there is sound on both sides of it.
        """
        before, drained_to = self._ring.frames_read, self._ring.drained_to
        joins = drained_to != self._drained_to and drained_to == self._ring.joined_at and not self._dry
        if joins:
            self._crossing.begin()
        missing = self._ring.read(new)
        valid = len(new) - missing
        if self._ring.frames_read - before > valid:
            self._dropped_to = self._ring.frames_read - valid
        skipped = self._dropped_to > 0 or drained_to != self._drained_to
        if missing or (skipped and not joins):
            self._crossing.cancel()
        if self._crossing.active:
            self._crossing.mix(new)
            skipped = False
        self._drained_to = drained_to
        self._begun = valid > 0 or (self._begun and not skipped)
        if self._begun:
            self.short_frames += missing
        finite = self._finite[: len(new)]
        np.isfinite(new, out=finite)
        if not finite.all():
            good = int(np.argmin(finite.all(axis=1)))
            self.bad_frames += valid - good
            new[good:] = 0.0
            valid = good
        return valid, skipped

    def _wanted_gain(self, snapshot: ParameterSnapshot) -> float:
        if snapshot.on("mute") or snapshot["gain"] <= SILENT_DB:
            return 0.0
        decibels = snapshot["gain"] - self._headroom_db
        return 1.0 if decibels == 0.0 else float(10.0 ** (decibels / 20.0))

    def _apply_gain(self, new: Audio, wanted: float, muted: bool) -> None:
        seconds = RAMP_SECONDS if muted == self._muted else BUTTON_SECONDS
        self._muted = muted
        if not self._gain.apply(new, wanted, seconds):
            new[:] = 0.0

    def _meter(self, out: Audio, limited: bool) -> None:
        frames = len(out)
        if limited:
            self._limited_frames = round(LIMITED_LIGHT_SECONDS * self.sample_rate)
        elif self._limited_frames:
            self._limited_frames = max(0, self._limited_frames - frames)
        scratch = self._scratch[:frames]
        np.abs(out, out=scratch)
        left = float(scratch[:, 0].max())
        right = float(scratch[:, min(1, self.channels - 1)].max())
        fall = 10.0 ** (-METER_FALL_DB_PER_SECOND / 20.0 * frames / self.sample_rate)
        self._quiet_frames = 0 if max(left, right) > QUIET else self._quiet_frames + frames
        old = self.peak
        peak = (max(left, old[0] * fall), max(right, old[1] * fall))
        self.peak = (peak[0] if peak[0] > 1e-6 else 0.0, peak[1] if peak[1] > 1e-6 else 0.0)
