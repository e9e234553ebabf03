"""The library's streaming parts as the contract sees them: codecs, the block decoder, and the finishers.

The stages of a level and the whole stream are in `contract_streams.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch
from contract import UNITS, Part, Reach
from safetensors.torch import load, save
from torch import Tensor

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.codecs.codec import Codec
from jbdiff.codecs.vqvae import VQVAE
from jbdiff.diffusion.noise import NoiseStyle
from jbdiff.diffusion.samplers import Step, sample_vddim
from jbdiff.networks.dance_finisher import Finisher
from jbdiff.networks.spectral_finisher import SpectralFinisher
from jbdiff.stacks.stack import Stack
from jbdiff.stream.dance_finisher import DanceStage
from jbdiff.stream.decode import BlockDecoder
from jbdiff.stream.past import grown_history
from jbdiff.stream.settings import FinisherSettings
from jbdiff.stream.sizes import LevelSizes, level_sizes
from jbdiff.stream.spectral_finisher import SpectralStage
from jbdiff.stream.state import FinisherState, LevelState, StreamState

CPU = torch.device("cpu")
VQVAE_BOUND = (
    "The declared reach counts a transposed convolution one step too far if the reach after it is odd."
)
Stage = TypeVar("Stage", SpectralStage, DanceStage)


def ignore(step: Step) -> None:
    """What nobody watches."""


def noise(seed: int, channels: int, count: int) -> Tensor:
    """Standard normal values `[1, channels, count]`, the same for the same seed."""
    return torch.randn(1, channels, count, generator=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class Overlap:
    """What a chunked decode keeps between pieces."""

    latents: Tensor  # [1, c, n] newest last
    count: int  # tokens since the beginning


class CodecInPieces(Part[Overlap]):
    """The decoder of a codec: pieces that overlap by its declared margin on both sides."""

    restored_after = (4,)

    def __init__(self, codec: Codec, level: int, first: int = 0, least: float = 0.0) -> None:
        """first: number of the first token, for codecs with oscillators.

        least: share of the loudest sample below which a change is none, for codecs without an end to their reach.
        """
        self.codec, self.level, self.first = codec, level, first
        self.hop, self.margin = codec.hop(level), codec.decoder_margin(level)
        self.name = f"decoder of {type(codec).__name__}, level {level}"
        self.reach = Reach(self.margin, self.margin)
        self.unit = self.margin // 2 + 1
        self.latency = self.margin * self.hop
        self.least = least
        if isinstance(codec, VQVAE):
            self.bound, self.slack = VQVAE_BOUND, 1
        if least:
            self.bound, self.slack = (
                f"Rounds of matching reach ever further: changes below {least} are none.",
                12,
            )
            self.tolerance, self.outside = least, 3.0
            self.no_nan = (
                "A NaN has no size: it goes as far as the smallest change, which is further than the bound."
            )

    def latents(self, seed: int, tokens: int) -> Tensor:
        """Latents `[1, c, tokens]` of noise in strokes, so that neighbours differ."""
        strokes = torch.exp(-(torch.arange(tokens * self.hop) % (5 * self.hop)) / self.hop)
        return self.codec.encode(0.2 * noise(seed, 1, tokens * self.hop) * strokes, self.level)

    def signal(self, seed: int) -> Tensor:
        return self.latents(seed, UNITS * self.unit)

    def decode(self, latents: Tensor, number: int) -> Tensor:
        if self.least:  # as a stream does: measured detail, which takes more rounds, is only decoded whole
            assert isinstance(self.codec, BandCodec)
            return self.codec.decode(latents, self.level, self.first + number, mean_detail=True)
        return self.codec.decode(latents, self.level, self.first + number)

    def fresh(self) -> Overlap:
        return Overlap(torch.zeros(1, self.codec.latent_channels, 0), 0)

    def step(self, state: Overlap, x: Tensor) -> tuple[Tensor, Overlap]:
        latents = torch.cat([state.latents, x], 2)
        count = state.count + x.shape[2]
        audio = self.decode(latents, count - latents.shape[2])
        length = x.shape[2] * self.hop
        end = max(0, audio.shape[2] - self.latency)
        audio = audio[..., max(0, end - length) : end]
        audio = torch.nn.functional.pad(audio, (length - audio.shape[2], 0))
        return audio, Overlap(latents[..., -2 * self.margin :], count)

    def whole(self, x: Tensor, states: Sequence[Overlap]) -> Tensor:
        return self.decode(x, 0)

    def probe(self) -> Tensor:
        return self.latents(2, 4 * self.margin + 3)

    def respond(self, x: Tensor) -> Tensor:
        return self.decode(x, 0)[0, 0].reshape(-1, self.hop)

    @property
    def probed(self) -> Sequence[int]:
        return range(2 * self.margin, 2 * self.margin + 3)

    @property
    def watched(self) -> range:
        return range(2 * self.margin, 2 * self.margin + 2)

    def to_bytes(self, state: Overlap) -> bytes:
        return save({"latents": state.latents.contiguous(), "count": torch.tensor(state.count)})

    def from_bytes(self, content: bytes) -> Overlap:
        tensors = load(content)
        return Overlap(tensors["latents"], int(tensors["count"]))


class DecoderOfBlocks(Part[StreamState]):
    """The block decoder of a level, with a delay of the codec's margin and one fade."""

    def __init__(self, stack: Stack, level: int = 2) -> None:
        self.stack, self.level = stack, level
        hop, margin = stack.codec.hop(level), stack.codec.decoder_margin(level)
        self.name = f"block decoder of {type(stack.codec).__name__}, level {level}"
        self.unit, self.hop = stack.config.level(level).window_tokens, hop
        self.delay = margin + -(-512 // hop)
        self.latency = self.delay * hop
        self.reach = Reach(self.delay + margin, self.unit - 1)  # of the first token of a block
        if isinstance(stack.codec, VQVAE):
            self.bound, self.slack = f"{VQVAE_BOUND} The fade ends inside a token.", 2

    def sizes(self, tokens: int) -> LevelSizes:
        return level_sizes(self.stack, self.level, tokens * self.hop, 1, self.delay)

    def signal(self, seed: int) -> Tensor:
        return self.stack.codec.encode(0.2 * noise(seed, 1, UNITS * self.unit * self.hop), self.level)

    def fresh(self) -> StreamState:
        nothing = torch.zeros(1, self.stack.codec.latent_channels, 0)
        own = LevelState(None, nothing, torch.zeros(1, 1, self.sizes(self.unit).fade), ())
        return StreamState("", 0, {self.level: own})

    def step(self, state: StreamState, x: Tensor) -> tuple[Tensor, StreamState]:
        sizes, own = self.sizes(x.shape[2]), state.levels[self.level]
        decoder = BlockDecoder(self.stack.codec, sizes, CPU, False, None)
        audio, tail = decoder.decode(own.history, own.tail, x, state.block_index)
        own = replace(own, history=grown_history(own, sizes, x), tail=tail)
        return audio, replace(state, block_index=state.block_index + 1, levels={self.level: own})

    def whole(self, x: Tensor, states: Sequence[StreamState]) -> Tensor:
        return self.stack.codec.decode(x, self.level)

    def probe(self) -> Tensor:
        return self.stack.codec.encode(
            0.2 * noise(2, 1, (self.reach.before + 4 + self.unit) * self.hop), self.level
        )

    def respond(self, x: Tensor) -> Tensor:
        """Rows are zero but that of a block's first token: the sound of the block and the tail after it."""
        history, block = x[..., : -self.unit], x[..., -self.unit :]
        decoder = BlockDecoder(self.stack.codec, self.sizes(self.unit), CPU, False, None)
        tail = torch.zeros(1, 1, self.sizes(self.unit).fade)
        made = torch.cat(decoder.decode(history, tail, block, 9), 2)
        rows = torch.zeros(x.shape[2], made.shape[2])
        rows[-self.unit] = made[0, 0]
        return rows

    @property
    def probed(self) -> Sequence[int]:
        return range(0, self.reach.before + 4 + self.unit)

    @property
    def watched(self) -> range:
        return range(self.reach.before + 4, self.reach.before + 5)

    def to_bytes(self, state: StreamState) -> bytes:
        return state.to_bytes()

    def from_bytes(self, content: bytes) -> StreamState:
        return StreamState.from_bytes(content)


class FinisherInBlocks(Part[FinisherState], Generic[Stage]):
    """A finisher: mono blocks in, stereo blocks out."""

    outside = 1.0  # the loudest sound
    no_nan = "A finisher refuses NaN with a StreamError."
    settings = FinisherSettings(seed=5, noise_style=NoiseStyle.WALK, noise_step=0.4, strength=0.3, steps=2)

    def stage(self, frames: int) -> Stage:
        """The stage for blocks of so many frames."""
        raise AssertionError("a kind of finisher makes its own stage")

    def signal(self, seed: int) -> Tensor:
        return 0.1 * noise(seed, 1, UNITS * self.unit)

    def fresh(self) -> FinisherState:
        return self.stage(self.unit).fresh_state()

    def step(self, state: FinisherState, x: Tensor) -> tuple[Tensor, FinisherState]:
        return self.stage(x.shape[2]).finish(state, self.settings, x, ignore, 0)

    def probe(self) -> Tensor:
        return self.signal(2)

    def respond(self, x: Tensor) -> Tensor:
        whole = self.whole(x, [])
        return whole[0].reshape(2, -1, self.place).transpose(0, 1).flatten(1)

    def to_bytes(self, state: FinisherState) -> bytes:
        return StreamState("", 0, {}, state).to_bytes()

    def from_bytes(self, content: bytes) -> FinisherState:
        state = StreamState.from_bytes(content).finisher
        assert state is not None
        return state


class SpectralInBlocks(FinisherInBlocks[SpectralStage]):
    """The spectral finisher, held to one call of its network on all of the sound."""

    name = "spectral finisher"
    # Each block has an image of its own, so only a held image is the same in longer blocks.
    settings = replace(FinisherInBlocks.settings, noise_style=NoiseStyle.CONSTANT)
    bound = (
        "The declared reach adds the network's frames and the diffuser, which lie side by side. "
        "Transforms of all input round to other numbers: changes below 1e-5 of the loudest output are none."
    )
    slack, least = 12, 1e-5

    def __init__(self, net: SpectralFinisher) -> None:
        self.net = net
        stage = SpectralStage(net, net.config, block_frames=8 * net.hop, device=CPU)
        self.unit, self.latency = stage.block_frames, stage.latency_frames
        self.reach = Reach(-(-net.reach // net.hop), net.size // net.hop)

    def stage(self, frames: int) -> SpectralStage:
        return SpectralStage(self.net, self.net.config, block_frames=frames, device=CPU)

    def whole(self, x: Tensor, states: Sequence[FinisherState]) -> Tensor:
        before = self.fresh()
        image, _, _ = before.register.next(self.settings.noise())
        strength = self.settings.strength_or(0.0)
        return self.net(torch.cat([before.mono, x], 2), image, 1.0 - strength)[..., before.mono.shape[2] :]

    @property
    def place(self) -> int:
        return self.net.hop

    @property
    def probed(self) -> Sequence[int]:
        return range(16, 18)

    @property
    def watched(self) -> range:
        return range(self.reach.before + 4, self.reach.before + 8)


class WaveformInBlocks(FinisherInBlocks[DanceStage]):
    """The waveform finisher. Its whole is one long block, which it cuts into the same windows."""

    name = "waveform finisher"
    settings = replace(FinisherInBlocks.settings, steps=1)
    restored_after = (1,)

    def __init__(self, net: Finisher, unit: int, place: int = 64) -> None:
        """unit: samples of a block that is one piece. place: samples in which the reach is counted."""
        self.net, self.unit, self._place = net, unit, place
        stage = self.stage(unit)
        assert stage.pieces == 1
        self.latency = stage.latency_frames
        # The network normalises over its window: all of a window changes all that is kept of it.
        window, kept = stage.config.window_samples, stage.piece + stage.fade
        self.reach = Reach(window // place - 1, kept // place - 1)

    def stage(self, frames: int) -> DanceStage:
        return DanceStage(
            self.net,
            self.net.config,
            block_frames=frames,
            device=CPU,
            dtype=torch.float32,
            sampler=sample_vddim,
        )

    def whole(self, x: Tensor, states: Sequence[FinisherState]) -> Tensor:
        """What one block of all sound gives, and silence where the next block would finish it."""
        out, _ = self.stage(x.shape[2]).finish(self.fresh(), self.settings, x, ignore, 0)
        return torch.nn.functional.pad(out[..., self.latency :], (0, self.latency))

    @property
    def place(self) -> int:
        return self._place

    @property
    def probed(self) -> Sequence[int]:
        piece = self.unit // self.place
        return (4 * piece - 1, self.window_begins(4))

    def window_begins(self, piece: int) -> int:
        """The first place of the window in which that piece is finished."""
        return ((piece + 1) * self.unit - self.stage(self.unit).config.window_samples) // self.place

    @property
    def watched(self) -> range:
        first = 3 * self.unit // self.place
        return range(first, first + 2)
