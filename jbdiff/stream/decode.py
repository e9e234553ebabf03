"""From latents to the sound of a block, and back: the codec of one level without seams between blocks.

The newest tokens of a block lack their right-hand neighbours. So they are decoded again with the next block, and the
two decodes are crossfaded at the place where the first one ends.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from jbdiff.audio.crossfade import crossfade
from jbdiff.codecs.band_codec import BandCodec
from jbdiff.codecs.codec import Codec, Quantises
from jbdiff.stream.cuda_graphs import Recordings, decode_obstacle
from jbdiff.stream.sizes import LevelSizes
from jbdiff.stream.state import StreamError


@runtime_checkable
class AddsDetail(Protocol):
    """A denoiser of bands that can add their mean detail; `detail_reach` tokens on each side change it."""

    @property
    def detail_reach(self) -> int:
        """Tokens on each side that change the detail of a token; 0 if the network adds none."""
        ...

    def with_detail(self, bands: Tensor) -> Tensor:
        """Bands `[b, bands, t]` with their mean detail: `[b, channels, t]`."""
        ...


class BlockDecoder:
    """Encodes and decodes the blocks of one level. Holds no state of a stream.

    mean_detail: decode bands together with the detail that a denoiser added. recordings: where encodes and decodes of
    full length are recorded (`cuda_graphs.py`); None computes them one by one.
    """

    def __init__(
        self,
        codec: Codec,
        sizes: LevelSizes,
        device: torch.device,
        mean_detail: bool,
        recordings: Recordings | None,
    ) -> None:
        self._codec, self._sizes, self._device = codec, sizes, device
        self._recordings = recordings
        self._detailed = codec if mean_detail and isinstance(codec, BandCodec) else None

    @property
    def channels(self) -> int:
        """Channels of the latents, with their detail."""
        return self._codec.latent_channels

    # From sound to latents

    def latents_of(self, audio: Tensor, longest: int) -> Tensor | None:
        """Encode the last `longest` frames of audio `[1, 1, n]` as `[1, tokens, c]`.

        The tokens are aligned to the end of the audio. Returns None if it is shorter than a token. Raises ValueError
        unless audio has this shape.
        """
        check_mono(audio, "context")
        tokens = min(audio.shape[2], longest) // self._sizes.hop
        if tokens == 0:
            return None
        audio = audio[..., -tokens * self._sizes.hop :].to(self._device, torch.float32)
        return self._codec.encode(audio, self._sizes.level).transpose(1, 2)

    def latents_of_init(self, audio: Tensor, tokens: int) -> Tensor:
        """Encode the last block of init audio `[1, 1, n]` as `[1, c, tokens]`; it repeats if `tokens` is more.

        Audio before the last block only helps the encoder at the beginning of the block. Raises ValueError if the
        audio is shorter than a block.
        """
        check_mono(audio, "init")
        if audio.shape[2] < self._sizes.block_frames:
            raise ValueError(f"init of {audio.shape[2]} frames; a block has {self._sizes.block_frames}")
        whole = audio.shape[2] - audio.shape[2] % self._sizes.hop
        audio = audio[..., -whole:].to(self._device, torch.float32)
        latents = self._codec.encode(audio, self._sizes.level)
        return repeated(latents[..., -self._sizes.tokens :], tokens)

    def encode(self, audio: Tensor) -> Tensor:
        """Encode a block of the level above and the sound before it, `[1, 1, n]`, as latents `[1, c, tokens]`."""

        def work(audio: Tensor) -> Tensor:
            return self._codec.encode(audio, self._sizes.level)

        whole = audio.shape[2] == self._sizes.margin * self._sizes.hop + self._sizes.block_frames
        if self._recordings is None or not whole:
            return work(audio)
        return self._recordings("encode", work, (audio,))

    # From latents to sound

    def decode(self, history: Tensor, tail: Tensor, latents: Tensor, index: int) -> tuple[Tensor, Tensor]:
        """Decode a block.

        history `[1, c, n]`: the level's own latents before the block. tail `[1, 1, fade]`: what followed the last
        block in its own decode. latents `[1, c, tokens]` of the block number `index`.

        Returns the sound of the block `[1, 1, block_frames]`, `latency_frames` behind its place in the latents, and
        its own tail. Raises StreamError if latents or sound are not finite.
        """
        sizes = self._sizes
        self.check(latents, "latents", index)
        left = history[..., -(sizes.delay + sizes.margin) :]
        first = index * sizes.tokens - left.shape[2]
        decoded = self._decoded(torch.cat([left, latents], dim=2), first)
        delay, block, fade = sizes.latency_frames, sizes.block_frames, sizes.fade
        decoded = decoded[..., -(delay + block) :]
        if decoded.shape[2] < delay + block:
            decoded = F.pad(decoded, (delay + block - decoded.shape[2], 0))
        # Both are decodes of the same latents, hence alike: a linear fade keeps their loudness.
        head = crossfade(tail, decoded[..., :fade])
        audio, tail = torch.cat([head, decoded[..., fade:block]], dim=2), decoded[..., block : block + fade]
        self.check(audio, "audio", index)
        self.check(tail, "audio", index)
        return audio, tail

    def _decoded(self, latents: Tensor, first: int) -> Tensor:
        """Latents `[1, c, t]` as float32 audio `[1, 1, t * hop]`; `first` is the number of their first token."""
        level = self._sizes.level

        def work(latents: Tensor, first: int | Tensor) -> Tensor:
            if self._detailed is not None:
                return self._detailed.decode(latents, level, first, mean_detail=True).float()
            return self._codec.decode(latents, level, first).float()

        whole = latents.shape[2] == self._sizes.delay + self._sizes.margin + self._sizes.tokens
        if self._recordings is None or not whole or decode_obstacle(self._codec) is not None:
            return work(latents, first)
        return self._recordings("decode", work, (latents, torch.tensor([first])))

    def as_decoded(self, latents: Tensor) -> Tensor:
        """Latents `[1, c, t]` as the decoder reads them: through the codebook, if the codec has one."""
        if isinstance(self._codec, Quantises):
            return self._codec.quantise(latents, self._sizes.level)
        return latents

    def check(self, values: Tensor, what: str, index: int) -> None:
        """Raise StreamError if values `[...]` are not finite.

        what: their name in the message. index: number of the block.
        """
        if not bool(torch.isfinite(values).all()):
            raise StreamError(
                f"block {index}: {what} of level {self._sizes.level} are not finite. Lower guidance, use float32, "
                "or reset the stream; if a fresh stream does this too, the weights are damaged"
            )


def with_detail(
    network: AddsDetail | None, history: Tensor, bands: Tensor, init: Tensor | None, resample: float
) -> Tensor:
    """Finished bands `[1, bands, t]` with their detail, `[1, channels, t]`; as they are if `network` is None.

    history `[1, channels, n]`: latents before them. init `[1, channels, t]`: its detail minus its mean detail stays
    to the share `resample`, 0..1. At 1 the init stays as it is.
    """
    if network is None:
        return bands
    count = bands.shape[1]
    before = history[:, :count, -network.detail_reach :]
    whole = network.with_detail(torch.cat([before, bands], 2))[..., before.shape[2] :]
    if init is None or resample == 0.0:
        return whole
    rest = init - network.with_detail(init[:, :count])
    rest[:, :count] = 0
    return whole + resample * rest


def repeated(latents: Tensor, tokens: int) -> Tensor:
    """The first `tokens` of latents `[1, c, t]`. If there are fewer, they repeat from the beginning."""
    return latents.repeat(1, 1, -(-tokens // latents.shape[2]))[..., :tokens]


def check_mono(audio: Tensor, what: str) -> None:
    """Raise ValueError unless audio is `[1, 1, frames]`. what: its name in the message."""
    if audio.ndim != 3 or audio.shape[:2] != (1, 1):
        raise ValueError(f"{what} audio is [1, 1, frames], not {tuple(audio.shape)}")
