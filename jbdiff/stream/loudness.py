"""The loudness of a stream: held to that of the sound it began after, block by block.

The governor holds the bands of a level. What leaves the decoder and the finisher may still be a little louder or
softer, and a player hears half a decibel. So the loudness of every finished block is measured, and a gain that moves
slowly brings it back. `anchor` is the strength, as for the bands.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from jbdiff.stream.state import LoudnessState

SECONDS = 12.0  # length of the measurement of the played loudness
GATE = 0.06  # blocks quieter than this share of the measured power, -12 dB, are pauses and change nothing
MOST_DECIBELS = 6.0
RAMP_DECIBELS = 1.0  # in one second
# Below the mean power: so quiet a beginning is not yet the music. After a piece that fades in for 2.2 s, pocket played
# a hole of two seconds. Without it the harmony is .81, not .68, and the pulse .55, not .40 (truth .61).
QUIET_DECIBELS = 12.0
QUIET_SECONDS = 0.25  # of one measurement of it


def weighted_power(audio: Tensor, sample_rate: int) -> float:
    """Mean power of audio `[1, channels, n]`, weighted as BS.1770 weighs frequencies, summed over channels.

    One channel counts twice, because it is played on two. The weighting is applied to the spectrum of the whole piece.
    """
    frames = audio.shape[2]
    if not frames:
        return 0.0
    power = torch.fft.rfft(audio[0].float()).abs().square().sum(0) / frames**2
    power[1:] *= 2
    total = float((power * _weight(len(power), frames, sample_rate, power.device)).sum())
    return 2 * total if audio.shape[1] == 1 else total


def quiet_frames(audio: Tensor, sample_rate: int) -> int:
    """Frames at the beginning of audio `[1, 1, n]` in which the music has not begun: silence, or a soft intro."""
    size = round(QUIET_SECONDS * sample_rate)
    count = audio.shape[2] // size
    if not count:
        return 0
    power = audio[0, 0, : count * size].float().reshape(count, size).square().mean(1)
    loud = power > 10 ** (-QUIET_DECIBELS / 10) * power.mean()
    return size * int(loud.float().argmax())


def _weight(bins: int, frames: int, sample_rate: int, device: torch.device) -> Tensor:
    """Power response of the two filters of BS.1770: a shelf of 4 dB above 1.7 kHz, and a high-pass at 38 Hz."""
    hertz = torch.arange(bins, device=device) * sample_rate / frames
    shelf = (hertz / 1682.0).square()
    high = (hertz / 38.1).square()
    return (1 + (10**0.4 - 1) * shelf.square() / (1 + shelf.square())) * (high / (1 + high)).square()


class StreamLoudness:
    """The gain of a stream. It holds no state: `LoudnessState` goes in and comes out."""

    def __init__(self, sample_rate: int, block_frames: int) -> None:
        self._rate = sample_rate
        self._seconds = block_frames / sample_rate

    def held(self, state: LoudnessState, audio: Tensor, strength: float) -> tuple[Tensor, LoudnessState]:
        """A finished block `[1, channels, n]` at the loudness of the beginning, and the state after it."""
        power = weighted_power(audio, self._rate)
        played = state.played
        if played is None:
            played = power or None
        elif power > GATE * played:
            played += min(1.0, self._seconds / SECONDS) * (power - played)
        wanted = 0.0
        if state.target and played:
            wanted = 10 * torch.log10(torch.tensor(state.target / played)).item()
            wanted = strength * max(-MOST_DECIBELS, min(MOST_DECIBELS, wanted))
        most = RAMP_DECIBELS * self._seconds
        after = state.decibels + max(-most, min(most, wanted - state.decibels))
        if state.decibels or after:
            ends = 10 ** (torch.tensor([state.decibels, after]) / 20)
            ramp = torch.linspace(0, 1, audio.shape[2], device=audio.device)
            audio = audio * (float(ends[0]) + float(ends[1] - ends[0]) * ramp)
        return audio, replace(state, played=played, decibels=after)
