"""Second-order filters on chunks of sound, without a loop over frames. No thread, no device.

A chain of filters is linear. So a chunk's output is one matrix times the chunk, plus one matrix times the state before
it. Both matrices are computed once. The state is in float64, and nothing is allocated while sound passes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PIECE = 128  # frames in one product of matrices: longer ones cost more work, shorter ones more calls
NOTHING = 1e-30  # a smaller state is silence; numbers near 1e-308 would make the processor slow


@dataclass(frozen=True)
class Section:
    """One second-order filter: y = b0 x + b1 x[-1] + b2 x[-2] - a1 y[-1] - a2 y[-2]."""

    b0: float
    b1: float
    b2: float
    a1: float
    a2: float


def high_pass(hertz: float, sample_rate: float, quality: float = math.sqrt(0.5)) -> Section:
    """Return a high-pass with 12 dB per octave; a quality of 0.71 is flat (Butterworth)."""
    turn = 2 * math.pi * hertz / sample_rate
    slope, cosine = math.sin(turn) / (2 * quality), math.cos(turn)
    scale = 1 + slope
    b = (1 + cosine) / 2 / scale
    return Section(b, -2 * b, b, -2 * cosine / scale, (1 - slope) / scale)


class BlockFilter:
    """A chain of sections for `channels` channels. `apply` may be called with any number of frames."""

    def __init__(self, sections: Sequence[Section], channels: int) -> None:
        a, b, c, d = _chain(sections)
        order = len(b)
        powers = np.zeros((PIECE + 1, order, order))
        powers[0] = np.eye(order)
        for n in range(PIECE):
            powers[n + 1] = a @ powers[n]
        echo = np.array(
            [c @ power @ b for power in powers[:-1]]
        )  # the response to one sample, from the next frame on
        lag = np.subtract.outer(np.arange(PIECE), np.arange(PIECE))
        self._direct = np.where(lag > 0, echo[lag - 1], 0.0) + np.eye(PIECE) * d
        self._rest = np.array([c @ power for power in powers[:-1]])  # [frames, order]
        self._powers = powers
        # Column n: what a sample leaves in the state n frames later. Read backwards for a piece.
        self._kept = np.ascontiguousarray(np.array([power @ b for power in powers[:-1]]).T[:, ::-1])
        self._settled = np.linalg.solve(np.eye(order) - a, b)[
            :, None
        ]  # the state behind a constant input of 1
        self._state = np.zeros((order, channels))
        self._next = np.zeros_like(self._state)
        self._sum = np.zeros_like(self._state)
        self._in = np.zeros((PIECE, channels))
        self._out = np.zeros((PIECE, channels))
        self._tail = np.zeros((PIECE, channels))

    def reset(self) -> None:
        self._state[:] = 0.0

    def settle(self, levels: NDArray[np.float64]) -> None:
        """Take the state that a long constant input leaves. levels: the input of each channel, `[channels]`."""
        np.multiply(self._settled, levels, out=self._state)

    def apply(self, frames: NDArray[np.float32], out: NDArray[np.floating]) -> None:
        """Write the filtered `frames` `[frames, channels]` into `out`, which may be the same array."""
        for start in range(0, len(frames), PIECE):
            piece = frames[start : start + PIECE]
            n = len(piece)
            into, made, tail = self._in[:n], self._out[:n], self._tail[:n]
            into[:] = piece
            np.matmul(self._direct[:n, :n], into, out=made)
            np.matmul(self._rest[:n], self._state, out=tail)
            made += tail
            np.matmul(self._powers[n], self._state, out=self._next)
            np.matmul(self._kept[:, PIECE - n :], into, out=self._sum)
            np.add(self._next, self._sum, out=self._state)
            out[start : start + n] = made
        if (
            len(frames)
            and abs(float(self._state.max())) < NOTHING
            and abs(float(self._state.min())) < NOTHING
        ):
            self._state[:] = 0.0


def _chain(
    sections: Sequence[Section],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Return the sections in a row as one system: state' = A state + B x, y = C state + D x."""
    a, b, c, d = np.zeros((0, 0)), np.zeros(0), np.zeros(0), 1.0
    for one in sections:
        a2 = np.array([[-one.a1, 1.0], [-one.a2, 0.0]])
        b2 = np.array([one.b1 - one.a1 * one.b0, one.b2 - one.a2 * one.b0])
        c2 = np.array([1.0, 0.0])
        a = np.block([[a, np.zeros((len(b), 2))], [np.outer(b2, c), a2]])
        b, c, d = np.concatenate([b, b2 * d]), np.concatenate([one.b0 * c, c2]), one.b0 * d
    return a, b, c, d
