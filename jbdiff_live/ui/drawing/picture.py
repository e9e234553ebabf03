"""The picture of the sound: pixel columns of waveform over spectrogram, made block by block, kept in a ring.

No Qt here, only numpy: sound goes in as blocks, pixels come out as one 32-bit image whose column
`c % capacity` shows the frames `c * frames_per_column` onwards. Nothing is drawn twice: a column is computed
when its sound arrives. After that the scope only moves it.

Thread: Qt's. Nothing here blocks; `work` is given a number of columns so that a long block costs several
short frames instead of one long one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jbdiff_live.block import Block
from jbdiff_live.ui.drawing import theme

LOW_HZ, HIGH_HZ = 40.0, 16_000.0
TOP_DB, RANGE_DB = -8.0, 80.0  # dB re a full-scale sine that get the brightest colour, and below it black
LONG, SHORT = 4096, 1024  # windows: the long one resolves bass notes, the short one keeps drums sharp
CHUNK = 48  # columns at a time: their windows stay in the cache; all 1900 at once take ten times as long
BLEND_HZ = (350.0, 900.0)  # below: long window only; above: short only

Pixels = NDArray[np.uint32]  # [rows, columns], 0xffRRGGBB
Floats = NDArray[np.float32]


class LogSpectrum:
    """Frames to rows of a log-frequency spectrogram: highest row is `HIGH_HZ`."""

    def __init__(self, sample_rate: int, rows: int) -> None:
        self.rows = rows
        top = min(HIGH_HZ, sample_rate * 0.49)
        edges = LOW_HZ * (top / LOW_HZ) ** (np.arange(rows + 1) / rows)
        centres = np.sqrt(edges[:-1] * edges[1:])
        low, high = BLEND_HZ
        self._blend = np.clip(np.log(centres / low) / np.log(high / low), 0, 1).astype(np.float32)
        self._long_rows = int(np.searchsorted(centres, high))
        self._short_from = int(np.searchsorted(centres, low))
        self._windows = {n: self._window(n) for n in (LONG, SHORT)}
        self._reading = {
            LONG: _Reading(edges[: self._long_rows + 1], sample_rate / LONG),
            SHORT: _Reading(edges[self._short_from :], sample_rate / SHORT),
        }

    @staticmethod
    def _window(length: int) -> Floats:
        """Hann, scaled so that a full-scale sine has power 1 at its peak."""
        window = np.hanning(length + 1)[:-1]
        scaled: Floats = (window * 2 / window.sum()).astype(np.float32)
        return scaled

    def levels(self, sound: Floats, starts: NDArray[np.int64]) -> Floats:
        """dB `[columns, rows]`, lowest frequency first; `starts` are where the long windows begin in `sound`."""
        out = np.zeros((len(starts), self.rows), np.float32)
        long = self._decibels(sound, starts, LONG)
        short = self._decibels(sound, starts + (LONG - SHORT) // 2, SHORT)
        split, begin = self._long_rows, self._short_from
        blend = self._blend
        out[:, :split] = long * (1 - blend[:split])
        out[:, begin:] += short * blend[begin:]
        return out

    def _decibels(self, sound: Floats, starts: NDArray[np.int64], length: int) -> Floats:
        views = np.lib.stride_tricks.sliding_window_view(sound, length)[starts]
        spectrum = np.fft.rfft(views * self._windows[length])
        power = spectrum.real**2 + spectrum.imag**2
        decibels: Floats = 10 * np.log10(self._reading[length](power.astype(np.float32)) + np.float32(1e-12))
        return decibels


class _Reading:
    """Bins to rows: between bins where a row is narrower than one, the sum of them where it is wider."""

    def __init__(self, edges: NDArray[np.float64], bin_hz: float) -> None:
        centres = np.sqrt(edges[:-1] * edges[1:]) / bin_hz
        wide = np.diff(edges) > bin_hz
        self._narrow = int(np.argmax(wide)) if wide.any() else len(wide)
        place = centres[: self._narrow]
        self._below = np.floor(place).astype(np.int64)
        self._part = (place - self._below).astype(np.float32)
        self._starts = np.maximum(1, np.round(edges[self._narrow : -1] / bin_hz)).astype(np.int64)
        self._end = round(float(edges[-1]) / bin_hz) if len(edges) else 0

    def __call__(self, power: Floats) -> Floats:
        low = power[:, self._below] * (1 - self._part) + power[:, self._below + 1] * self._part
        if not len(self._starts):
            return low
        high = np.add.reduceat(power[:, : max(self._end, int(self._starts[-1]) + 1)], self._starts, axis=1)
        return np.concatenate([low, high], axis=1)


class Picture:
    """A ring of pixel columns. `feed` blocks, `work` a little each frame, then copy `pixels` to the screen."""

    def __init__(
        self, sample_rate: int, frames_per_column: int, capacity: int, wave_rows: int, spectrum_rows: int
    ) -> None:
        if min(sample_rate, frames_per_column, capacity, wave_rows, spectrum_rows) < 1:
            raise ValueError(
                f"a picture needs room: {sample_rate=} {frames_per_column=} {capacity=} {wave_rows=} {spectrum_rows=}"
            )
        self.frames_per_column = frames_per_column
        self.capacity = capacity
        self.wave_rows = wave_rows
        self.pixels: Pixels = np.full(
            (wave_rows + spectrum_rows, capacity), theme.argb(theme.BACKGROUND), np.uint32
        )
        self.first_frame = 0  # of the sound that is known
        self.end_frame = 0
        self._spectrum = LogSpectrum(sample_rate, spectrum_rows)
        self._colours = theme.colour_map()
        # Sound of all columns and one window more on either side, so that a window never meets the seam.
        self._sound = np.zeros((capacity + 2) * frames_per_column + 2 * LONG, np.float32)
        self._next = 0  # column to draw next
        self._last: Block | None = None
        self._rows = np.arange(wave_rows, dtype=np.float32)[:, None]

    def feed(self, blocks: Sequence[Block]) -> None:
        """Take in the blocks that are newer than the last one. If the session began again, start over."""
        if not blocks or blocks[-1] is self._last:
            return
        seen = next((i for i in range(len(blocks) - 1, -1, -1) if blocks[i] is self._last), None)
        if seen is None:
            self.first_frame = self.end_frame = blocks[0].start_frame
            self._next = self.first_frame // self.frames_per_column
        for block in blocks[0 if seen is None else seen + 1 :]:
            self._take(block)
        self._last = blocks[-1]

    def _take(self, block: Block) -> None:
        if block.start_frame > self.end_frame:
            self._store(self.end_frame, np.zeros(block.start_frame - self.end_frame, np.float32))
        elif block.start_frame < self.end_frame:
            self.end_frame = block.start_frame  # what was queued here has been thrown away
        left, right = block.samples[:, 0], block.samples[:, -1]
        # The last columns before the block were drawn with silence behind them: draw those again.
        again = max(self.first_frame, block.start_frame - LONG)
        self._next = min(self._next, again // self.frames_per_column)
        self._store(block.start_frame, (left + right) * np.float32(0.5))

    def _store(self, frame: int, mono: Floats) -> None:
        room = len(self._sound)
        self.end_frame = frame + len(mono)
        if len(mono) > room:
            frame, mono = frame + len(mono) - room, mono[-room:]
        at = frame % room
        first = min(len(mono), room - at)
        self._sound[at : at + first] = mono[:first]
        self._sound[: len(mono) - first] = mono[first:]
        self.first_frame = max(self.first_frame, self.end_frame - room)

    @property
    def next_column(self) -> int:
        """The column that is drawn next; those before it are drawn."""
        return self._next

    @property
    def pending(self) -> int:
        """Columns whose sound is here and which are not drawn yet."""
        return max(0, self.end_frame // self.frames_per_column - self._next)

    def work(self, columns: int) -> int:
        """Draw up to `columns` columns. Return their number. A whole picture of 1900 columns takes 60 ms."""
        self._next = max(self._next, self.end_frame // self.frames_per_column - self.capacity)
        todo = min(columns, self.pending)
        for done in range(0, todo, CHUNK):
            self._draw(min(CHUNK, todo - done))
        return todo

    def _draw(self, count: int) -> None:
        per = self.frames_per_column
        begin = self._next * per + per // 2 - LONG // 2  # where the first column's long window starts
        sound = self._read(begin, (count - 1) * per + LONG)
        pixels = np.empty((len(self.pixels), count), np.uint32)
        self._draw_wave(
            pixels[: self.wave_rows], self._read(self._next * per, count * per).reshape(count, per)
        )
        levels = self._spectrum.levels(sound, np.arange(count, dtype=np.int64) * per)
        shade = np.clip((levels - (TOP_DB - RANGE_DB)) * np.float32(255 / RANGE_DB), 0, 255).astype(np.uint8)
        pixels[self.wave_rows :] = self._colours[shade].T[::-1]
        at = self._next % self.capacity
        first = min(count, self.capacity - at)
        self.pixels[:, at : at + first] = pixels[:, :first]
        self.pixels[:, : count - first] = pixels[:, first:]
        self._next += count

    def _read(self, frame: int, count: int) -> Floats:
        """Sound from `frame` on, silence where none is known."""
        out = np.zeros(count, np.float32)
        low, high = max(frame, self.first_frame), min(frame + count, self.end_frame)
        if high > low:
            room = len(self._sound)
            at = low % room
            first = min(high - low, room - at)
            out[low - frame : low - frame + first] = self._sound[at : at + first]
            out[low - frame + first : high - frame] = self._sound[: high - low - first]
        return out

    def _draw_wave(self, pixels: Pixels, frames: Floats) -> None:
        """Peaks dim, the loudness (RMS) bright, a thin line where it is silent. `frames` `[columns, frames]`."""
        middle = (self.wave_rows - 1) / 2
        scale = np.float32(middle - 1)
        top, bottom = middle - frames.max(axis=1) * scale, middle - frames.min(axis=1) * scale
        rms = np.sqrt((frames * frames).mean(axis=1)) * scale
        pixels[:] = theme.argb(theme.BACKGROUND)
        pixels[(self._rows >= top - 0.5) & (self._rows <= bottom + 0.5)] = theme.argb(theme.ACCENT_DIM)
        pixels[np.abs(self._rows - middle) <= np.maximum(rms, 0.5)] = theme.argb(theme.ACCENT)
