"""Level matching: scale the spectra of a decoded sound until its levels are those of its latents.

Carriers and noise beat with each other. So the analysis of a synthesised sound gives levels that are some dB off in
every band and frame. Each round measures the sound in short frames, scales every bin by the missing level of its
bands, and joins the frames again. A few rounds at several frame lengths come close to the levels of all of them
(alternating projections, as Griffin & Lim 1984 do for full magnitudes). Nothing is learned here. A sample depends only
on the samples within `reach` of it.

Keys below D3 lie so close that only frames of 186 ms separate them. Without these frames, four in ten of the lowest
sounding keys were lost, and noise and drums got tones that they do not have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jbdiff.codecs.bands import (
    CHANNELS,
    DETAIL_WINDOW,
    FLOOR,
    POINTS,
    POOLS,
    QUARTERS,
    BandAnalysis,
    band_places,
    detail_places,
    hertz,
)
from jbdiff.config import BandCodecConfig

OVERSHOOT = 1.2  # times the missing level of a band, because neighbouring frames undo a part of every change
MOMENTUM = 0.6  # share of the last round's change that is repeated (Perraudin et al. 2013, fast Griffin-Lim)
# The share of the missing detail level that one round corrects: all of it from the upper frequency on, a smaller share
# up to the lower one. Tones lie below, and frames of 12 ms cut them to pieces. Far above them the sound is only noise.
# A round corrects the detail first, so that the longer frames have the last effect. A mean detail is less exact than a
# measured one, so it acts on treble alone. Measured detail gets more rounds, because no player waits for them.
# Share of the original's notes, share of its polyphony, mel distance, of six held-out pieces of 10 s with measured
# detail. Without matching the bass: .962, .903, 1.31 dB (share .03, .9 to 3.5 kHz). With it: .966, .922, 1.27; .991,
# .937, 1.33 (share .01); 1.001, .929, 1.32 (.03, the last quarter of the rounds without detail); .981, .934, 1.27 (.02,
# .7 to 3.5 kHz, 48 rounds, the last four without detail). What is set here: .994, .935, 1.36 on 12 pieces of 30 s.
MEASURED_SHARE, MEASURED_HERTZ = 0.02, (800.0, 3500.0)
MEASURED_TIMES = 4  # times the rounds of a stack
BANDS_ALONE = 8  # the last eighth of these rounds leaves the detail out, so that the tones have the last word
# Mean detail, other excerpts: .885, .829 with a share of .3, and .944, .909 with .1. What pocket plays after six
# pieces, relative to how they really go on: .728, .604 (.3), .802, .682 (.1), .82, .69 (.05).
MEAN_SHARE, MEAN_HERTZ = 0.05, (2000.0, 6000.0)
MOST = 2.0  # nepers by which one round may change a bin
NEPER = 20 / math.log(10)  # in dB
# Number of tokens on one side that a change reaches, beyond those of the decoder. Frames of the bass reach 16, later
# rounds further; but a token so far away moves a sample by less than a thousandth
# (tests/library/test_contract.py). On two pieces of music, cutting the sound 32 tokens away moved no sample by more
# than .00015 of the peak, and 24 tokens away by .0017. The many rounds of measured detail reach further, so such
# latents are decoded whole.
MARGIN, LEAST_MARGIN = 12, 32


@dataclass(frozen=True)
class Frames:
    """Frames of `size` samples, `hop` apart, the first centred on sample `centre`."""

    size: int
    hop: int
    centre: int


class Spectra(nn.Module):
    """Windowed spectra of a sound, and the sound from spectra. `skip` samples lie before the first frame's place."""

    window: Tensor

    def __init__(self, frames: Frames) -> None:
        super().__init__()
        self.frames = frames
        self.register_buffer("window", torch.hann_window(frames.size), persistent=False)

    def cut(self, audio: Tensor, skip: int = 0) -> Tensor:
        """`[b, n]` to frames `[b, frames, size]`, not yet windowed; the outside is silence."""
        size, hop = self.frames.size, self.frames.hop
        left = size // 2 - self.frames.centre - skip
        count = -(-(audio.shape[1] - skip) // hop)
        right = max(0, (count - 1) * hop + size - left - audio.shape[1])
        return F.pad(audio, (left, right)).unfold(1, size, hop)[:, :count]

    def forward(self, audio: Tensor, skip: int = 0) -> Tensor:
        """`[b, n]` to spectra `[b, frames, bins]`."""
        out: Tensor = torch.fft.rfft(self.cut(audio, skip) * self.window)
        return out

    def join(self, spectra: Tensor, samples: int, skip: int = 0) -> Tensor:
        """The sound `[b, samples]` whose spectra are nearest to `spectra` (Griffin & Lim 1984, equation 6)."""
        size = self.frames.size
        left = size // 2 - self.frames.centre - skip
        pieces = torch.fft.irfft(spectra, size) * self.window
        weight = (self.window**2).expand(1, spectra.shape[1], -1)
        sound, total = (self._added(p)[:, left:] for p in (pieces, weight))
        short = max(0, samples - sound.shape[1])
        sound, total = F.pad(sound, (0, short)), F.pad(total, (0, short))
        return sound[:, :samples] / total[:, :samples].clamp_min(1e-3)

    def _added(self, pieces: Tensor) -> Tensor:
        """Frames `[b, n, size]` laid `hop` apart and added up."""
        batch, count, size = pieces.shape
        hop = self.frames.hop
        parts = size // hop
        cut = pieces.reshape(batch, count, parts, hop)
        total = pieces.new_zeros(batch, count + parts - 1, hop)
        for part in range(parts):
            total[:, part : part + count] += cut[:, :, part]
        return total.flatten(1)


class LevelMatch(nn.Module):
    """Level matching for one length of frames: measures bands as the analysis does, and scales bins.

    points: `[size, 2 * n]`, the n single points of the spectrum that the analysis uses, at `places` `[n]` in bins.
    pools: `[bins, m]`, the weights of bins in each of the other m bands.
    """

    pools: Tensor
    to_bins: Tensor
    points: Tensor | None

    def __init__(
        self,
        frames: Frames,
        pools: Tensor,
        points: Tensor | None = None,
        places: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.spectra = Spectra(frames)
        self.register_buffer("pools", pools.float(), persistent=False)
        self.register_buffer("points", points, persistent=False)
        share = pools / pools.amax(0)
        if places is not None:
            bins = torch.arange(len(pools), dtype=torch.float64)[:, None]
            share = torch.cat([(1 - (bins - places).abs()).clamp_min(0), share], 1)
        # The gain of a bin is a mean of the gains of the bands that contain it, by their weights. Bins in no band stay.
        total = share.sum(1, keepdim=True).clamp_min(1.0)
        self.register_buffer("to_bins", (share / total).float().T.contiguous(), persistent=False)

    def levels(self, audio: Tensor, skip: int = 0) -> Tensor:
        """`[b, n]` to levels in dB `[b, frames, bands]`."""
        frames = self.spectra.cut(audio, skip)
        return self._decibels(frames, torch.fft.rfft(frames * self.spectra.window))

    def forward(self, audio: Tensor, wanted: Tensor, skip: int = 0, shares: Tensor | float = 1.0) -> Tensor:
        """Audio `[b, n]` moved towards levels in dB `[b, frames, bands]`, by `shares` `[bands]` of the difference."""
        frames = self.spectra.cut(audio, skip)
        spectra = torch.fft.rfft(frames * self.spectra.window)
        lacking = (wanted - self._decibels(frames, spectra)) * (shares * (OVERSHOOT / NEPER))
        gain = (lacking.clamp(-MOST, MOST) @ self.to_bins).exp()
        return self.spectra.join(spectra * gain, audio.shape[1], skip)

    def _decibels(self, frames: Tensor, spectra: Tensor) -> Tensor:
        power = (spectra.real**2 + spectra.imag**2) @ self.pools
        if self.points is not None:
            cosine, sine = (frames @ self.points).chunk(2, -1)
            power = torch.cat([cosine**2 + sine**2, power], -1)
        return 10 * power.clamp_min(FLOOR**2).log10()


def detail_shares(bands: int, lowest: float, hertz_range: tuple[float, float]) -> Tensor:
    """The share of the missing level that one round corrects in each detail band, `[bands]`.

    The share rises from `lowest`, at the lower end of `hertz_range`, to 1 at its upper end.
    """
    low, high = hertz_range
    places = (hertz(detail_places(bands)) / low).log() / math.log(high / low)
    return (lowest + (1 - lowest) * places.clamp(0, 1)).float()


class BandMatching(nn.Module):
    """Match a decoded sound to the levels of its detail and of the analysis bands with short enough windows."""

    measured_shares: Tensor
    mean_shares: Tensor

    def __init__(self, config: BandCodecConfig, analysis: BandAnalysis) -> None:
        super().__init__()
        self.hop, self.rounds = config.hop_length, config.match_rounds
        quarter, middle = self.hop // QUARTERS, self.hop // 2
        self.detail = LevelMatch(
            Frames(DETAIL_WINDOW, quarter, quarter // 2),
            analysis.detail_weights(config),
        )
        measured = detail_shares(config.detail_bands, MEASURED_SHARE, MEASURED_HERTZ)
        self.register_buffer("measured_shares", measured, persistent=False)
        mean = detail_shares(config.detail_bands, MEAN_SHARE, MEAN_HERTZ)
        self.register_buffer("mean_shares", mean, persistent=False)
        (_, bass_size), (point, size) = POINTS
        (pool, _), (short, short_size), (end, _) = POOLS
        self.bass_bands, self.long_bands, self.short_bands = (
            slice(0, point),
            slice(point, short),
            slice(short, end),
        )
        keys = hertz(band_places()) / config.sample_rate
        # Tokens from one frame to the next.
        self.bass_step, self.long_step = bass_size // 4 // self.hop, size // 4 // self.hop
        self.bass = LevelMatch(
            Frames(bass_size, self.bass_step * self.hop, middle),
            torch.zeros(bass_size // 2 + 1, 0, dtype=torch.float64),
            getattr(analysis, f"point{bass_size}"),
            keys[:point] * bass_size,
        )
        self.long = LevelMatch(
            Frames(size, self.long_step * self.hop, middle),
            getattr(analysis, f"pool{size}").double(),
            getattr(analysis, f"point{size}"),
            keys[point:pool] * size,
        )
        self.short = LevelMatch(
            Frames(short_size, self.hop, middle), getattr(analysis, f"pool{short_size}").double()
        )

    def margin(self, decoder: int) -> int:
        """Number of tokens on each side that change a sample audibly. decoder: how many change the decoder's sound."""
        return max(decoder + MARGIN, LEAST_MARGIN)

    def forward(self, audio: Tensor, levels: Tensor, first: Tensor, mean_detail: bool = False) -> Tensor:
        """Audio `[b, t * hop]`, moved towards levels in dB `[b, t, channels]`.

        first: number of the first token, `[b or 1, 1]`. It puts long frames on the same tokens wherever a piece begins.
        mean_detail: True if the detail was predicted from the bands and not measured.
        """
        offsets = set(((-first) % self.bass_step).flatten().tolist())
        if len(offsets) > 1:
            parts = zip(audio, levels, first, strict=True)
            rows = [
                self(sound[None], wanted[None], number[None], mean_detail) for sound, wanted, number in parts
            ]
            return torch.cat(rows)
        low_offset = int(offsets.pop())
        offset, low_skip = low_offset % self.long_step, low_offset * self.hop
        detail = levels[..., CHANNELS:].unflatten(2, (QUARTERS, -1)).flatten(1, 2)
        low = levels[:, low_offset :: self.bass_step, self.bass_bands]
        long, short = levels[:, offset :: self.long_step, self.long_bands], levels[..., self.short_bands]
        measured = detail.shape[2] > 0 and not mean_detail
        shares = self.mean_shares if mean_detail else self.measured_shares
        rounds = (MEASURED_TIMES if measured else 1) * self.rounds
        alone = rounds // BANDS_ALONE if measured else 0
        before: Tensor | None = None
        for left in reversed(range(rounds)):
            matched = self.detail(audio, detail, shares=shares) if left >= alone else audio
            if low.shape[1]:
                matched = self.bass(matched, low, low_skip)
            matched = self.long(matched, long, offset * self.hop) if long.shape[1] else matched
            matched = self.short(matched, short)
            audio = matched if before is None else matched + MOMENTUM * (matched - before)
            before = matched
        return audio if before is None else before
