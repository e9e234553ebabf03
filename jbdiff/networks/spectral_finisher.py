"""The finisher of the pocket stack: it makes mono decodes stereo, and restores some of the codec's losses.

It works on short spectra. A small network gets the levels of the bins and predicts three values for each bin. The
first is the gain of the middle: tones get their edges back, and the haze between them goes. The second is the lean,
the share of the sound on one side. The third is the width of a diffuse sound around it. Parametric stereo sends lean
and width for each band (Breebaart et al. 2005, "Parametric coding of stereo audio"). Here they are predicted from the
mono sound.

The mono sound does not show to which side a pitch leans. The noise decides: its `image` is a smooth curve over pitch.
So a seed gives every pitch a place on the stage. Held noise keeps these places, and walking noise moves them slowly.

A frame depends on earlier frames and itself, never on later ones. When more sound follows, only the last frame's
length of a piece changes.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jbdiff.config import SpectralFinisherConfig

IMAGE_POINTS = 12  # points of the image, joined by a smooth curve
IMAGE_OCTAVES = 9.0  # range of the points above 32 Hz
FLOOR = 1e-4
MOST_NEPERS = 1.4  # limit of the gain of the middle, up or down: 12 dB
HIGHEST_HERTZ = 16_500.0
SHRINK = 4  # bins that share a place in the middle of the network
DIFFUSER_SECONDS = 0.035
KNEE = 0.45  # peaks above it are rounded, because the output has the level of mastered music, as in training
FIRST_LEAN, FIRST_WIDTH = -2.0, -2.5  # before training: a little of both


def diffuser(sample_rate: int) -> Tensor:
    """An impulse response `[n]` that scatters phases and keeps levels: noise that dies away, whitened."""
    count = int(DIFFUSER_SECONDS * sample_rate)
    noise = torch.randn(count, generator=torch.Generator().manual_seed(11))
    noise = noise * torch.exp(-4.0 * torch.arange(count) / count)
    spectrum = torch.fft.rfft(noise, 4 * count)
    white = torch.fft.irfft(spectrum / spectrum.abs().clamp_min(1e-6))[: 2 * count]
    out: Tensor = white / white.norm()
    return out


def rounded(audio: Tensor) -> Tensor:
    """Bend samples `[...]` beyond the knee towards full scale, which they never pass; others do not change."""
    size = audio.abs()
    room = 1 - KNEE
    return audio.sign() * (size.clamp(max=KNEE) + room * ((size - KNEE).clamp_min(0) / room).tanh())


class FrameBlock(nn.Module):
    """A ConvNeXt block (Liu et al. 2022) over bins and frames. A frame sees itself and the two frames before."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, (7, 3), padding=(3, 0), groups=width)
        self.widen = nn.Conv2d(width, 2 * width, 1)
        self.narrow = nn.Conv2d(2 * width, width, 1)
        nn.init.normal_(self.narrow.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, width, bins, frames]`."""
        y = self.depthwise(F.pad(x, (2, 0)))
        # Over channels alone, because a norm over time would depend on later frames.
        y = F.layer_norm(y.movedim(1, -1), (y.shape[1],)).movedim(-1, 1)
        return cast(Tensor, x + self.narrow(F.gelu(self.widen(y), approximate="tanh")))


class SpectralFinisher(nn.Module):
    """The network: mono `[b, 1, n]` and image `[b, 1, IMAGE_POINTS]` -> stereo `[b, 2, n]`; see the module."""

    window: Tensor
    diffuser: Tensor
    bin_octaves: Tensor

    def __init__(self, config: SpectralFinisherConfig) -> None:
        super().__init__()
        self.config = config
        self.size, self.hop = config.frame_samples, config.frame_samples // 4
        bins = int(HIGHEST_HERTZ * self.size / config.sample_rate)
        self.bins = bins // SHRINK * SHRINK
        self.register_buffer("window", torch.hann_window(self.size), persistent=False)
        self.register_buffer("diffuser", diffuser(config.sample_rate), persistent=False)
        hertz = torch.arange(self.size // 2 + 1) * config.sample_rate / self.size
        octaves = (hertz.clamp_min(32) / 32).log2().clamp(max=IMAGE_OCTAVES)
        self.register_buffer("bin_octaves", octaves, persistent=False)
        fine, width = config.fine_channels, config.width
        self.into = nn.Conv2d(1, fine, (5, 3), padding=(2, 0))
        self.place = nn.Parameter(torch.zeros(fine, self.bins, 1))
        self.shrink = nn.Conv2d(fine, width, (SHRINK, 1), stride=(SHRINK, 1))
        self.blocks = nn.ModuleList(FrameBlock(width) for _ in range(config.depth))
        self.grow = nn.ConvTranspose2d(width, fine, (SHRINK, 1), stride=(SHRINK, 1))
        self.join = nn.Conv2d(2 * fine, fine, (3, 3), padding=(1, 0))
        self.out = nn.Conv2d(fine, 3, 1)
        nn.init.zeros_(self.out.weight)
        with torch.no_grad():
            assert self.out.bias is not None
            self.out.bias.copy_(torch.tensor([0.0, FIRST_LEAN, FIRST_WIDTH]))

    @property
    def reach(self) -> int:
        """Samples before a place that change its sound, over transform, network and diffuser."""
        frames = 2 * (len(self.blocks) + 2)
        return self.size + frames * self.hop + len(self.diffuser)

    def forward(self, mono: Tensor, image: Tensor, amount: float | Tensor = 1.0) -> Tensor:
        """Return stereo `[b, 2, n]` of mono `[b, 1, n]` with an image `[b, 1, IMAGE_POINTS]`.

        n is a multiple of the frames' hop. amount: 0..1; 0 gives the mono sound on both sides. Raises ValueError if n
        does not fit.
        """
        batch, _, count = mono.shape
        if mono.ndim != 3 or mono.shape[1] != 1 or count % self.hop or count < self.size:
            raise ValueError(
                f"mono {list(mono.shape)} does not fit: [batch, 1, n], n a multiple of {self.hop} from "
                f"{self.size} on"
            )
        middle = self._spectra(mono[:, 0])
        scattered = self._spectra(self._diffused(mono[:, 0]))
        nepers, lean, width = self.masks(middle)
        side = middle * (lean * self.lean_curve(image)[..., None]) + scattered * width
        middle = middle * (amount * nepers).exp()
        side = side * (amount * nepers).exp() * amount
        out = self._sound(torch.cat([middle + side, middle - side]), count)
        out = out.reshape(2, batch, count).transpose(0, 1)
        return out + amount * (rounded(out) - out)

    def masks(self, middle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Spectra `[b, bins, frames]` to the middle's gain in nepers, the lean 0..1 and the width 0..1, each
        `[b, bins, frames]`.
        """
        level = (middle.abs() * (2 / self.window.sum()) + FLOOR).log() / 3 + 2
        x = level[:, None, : self.bins].to(self.into.weight.dtype)
        fine = F.gelu(self.into(F.pad(x, (2, 0))) + self.place, approximate="tanh")
        coarse = self.shrink(fine)
        for block in self.blocks:
            coarse = block(coarse)
        both = torch.cat([fine, self.grow(coarse)], 1)
        found = self.out(F.gelu(self.join(F.pad(both, (2, 0))), approximate="tanh")).float()
        # Bins above the highest one of the network get the values of that bin.
        rest = middle.shape[1] - self.bins
        found = torch.cat([found, found[:, :, -1:].expand(-1, -1, rest, -1)], 2)
        nepers, lean, width = found.unbind(1)
        return MOST_NEPERS * nepers.tanh(), lean.sigmoid(), width.sigmoid()

    def lean_curve(self, image: Tensor) -> Tensor:
        """Normal noise `[b, 1, IMAGE_POINTS]` to a curve over the bins, -1 (right) to 1, `[b, bins]`."""
        place = self.bin_octaves * ((IMAGE_POINTS - 1) / IMAGE_OCTAVES)
        below = place.floor().long().clamp(max=IMAGE_POINTS - 2)
        share = place - below
        share = share * share * (3 - 2 * share)
        points = image[:, 0].float()
        return (points[:, below] * (1 - share) + points[:, below + 1] * share).tanh()

    def _spectra(self, audio: Tensor) -> Tensor:
        """`[b, n]` to `[b, bins, frames]`; the outside is silence."""
        return torch.stft(
            audio, self.size, self.hop, window=self.window, pad_mode="constant", return_complex=True
        )

    def _sound(self, spectra: Tensor, count: int) -> Tensor:
        return torch.istft(spectra, self.size, self.hop, window=self.window, length=count)

    def _diffused(self, audio: Tensor) -> Tensor:
        size = 1 << math.ceil(math.log2(audio.shape[1] + len(self.diffuser)))
        spectrum = torch.fft.rfft(audio, size) * torch.fft.rfft(self.diffuser, size)
        out: Tensor = torch.fft.irfft(spectrum, size)[:, : audio.shape[1]]
        return out
