"""Frozen facts about every stack: sizes, hops, channels. No torch in this file.

A stack is one codec plus one denoiser per level. Level numbers follow Jukebox: 2 is the coarsest and
invents; 1 and 0 clean up. Sizes of the v1 stack are those of the published Jukebox Diffusion checkpoints.
"""

from __future__ import annotations

import dataclasses
import enum
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from jbdiff.untyped import JsonDict, JsonTable

T = TypeVar("T")


class NoiseStyle(enum.Enum):
    """How the noise of the next block depends on the noise before it."""

    RANDOM = "random"  # a fresh one every block
    CONSTANT = "constant"  # home, always
    REGION = "region"  # around home: home * sqrt(1 - s^2) + s * fresh
    WALK = "walk"  # away from the previous one: previous * sqrt(1 - s^2) + s * fresh
    REGISTER = "register"  # a loop of noises, whose slots may mutate


@dataclass(frozen=True)
class VQVAEConfig:
    """Jukebox VQ-VAE (Dhariwal et al. 2020, table 4 and `make_models.py`): three separate encoders."""

    sample_rate: int = 44_100
    width: int = 32
    depth: int = 4
    latent_channels: int = 64
    codebook_size: int = 2048
    downs: tuple[int, ...] = (3, 2, 2)
    stride: int = 2
    multipliers: tuple[int, ...] = (2, 1, 1)
    dilation_growth: int = 3
    reverse_decoder_dilation: bool = True
    kind: Literal["vqvae"] = "vqvae"

    def hop(self, level: int) -> int:
        """Samples per token of a level: 8, 32, 128 with the default downs."""
        return int(self.stride ** sum(self.downs[: level + 1]))


@dataclass(frozen=True)
class BandCodecConfig:
    """Levels of semitone bands as latents (`codecs/bands.py`); carriers and noise (`codecs/carrier_bank.py`).

    detail_bands: number of wider bands whose level a token also holds for each of its quarters (attacks and grain).
    They are measured in windows of 12 ms. The decoded sound is then matched to those levels in `match_rounds` rounds
    (`codecs/level_matching.py`).
    latent_noise: greatest deviation of the noise that the synthesis is trained with.
    """

    sample_rate: int = 44_100
    hop_length: int = 512
    latent_channels: int = 100
    decoder_channels: int = 256
    decoder_blocks: int = 6
    local_channels: int = 16
    detail_bands: int = 0
    match_rounds: int = 0
    latent_noise: float = 0.12
    kind: Literal["band"] = "band"

    def hop(self, level: int) -> int:
        """Samples per token; this codec has one rate, used as level 2."""
        return self.hop_length


CodecConfig = VQVAEConfig | BandCodecConfig


@dataclass(frozen=True)
class UNetConfig:
    """1-D U-Net of Jukebox Diffusion. `items` counts residual blocks, attentions are per depth, 0 or 1."""

    in_channels: int = 64
    channels: tuple[int, ...] = (64, 128, 128, 256, 256, 512, 512, 1024, 1024)
    factors: tuple[int, ...] = (1, 2, 1, 2, 1, 2, 1, 2, 1)
    items: tuple[int, ...] = (1, 3, 3, 3, 3, 3, 3, 3, 1)
    attentions: tuple[int, ...] = (0, 0, 0, 0, 1, 0, 1, 0, 0)
    cross_attentions: tuple[int, ...] = (0, 1, 0, 1, 0, 1, 0, 1, 1)
    attention_heads: int = 8
    attention_features: int = 64
    embedding_features: int = 64
    embedding_max_length: int = 1536
    modulation_features: int = 1024
    resnet_groups: int = 8
    resnet_dilation_factor: int = 3
    resnet_dropout_rate: float = 0.0
    kind: Literal["unet"] = "unet"


@dataclass(frozen=True)
class DetailConfig:
    """Network that denoises the detail of a token beside its bands (`networks/detail.py`)."""

    channels: int = 300
    width: int = 192
    depth: int = 3


@dataclass(frozen=True)
class JointDenoiserConfig:
    """Transformer over context and window as one sequence of patches (`networks/joint_denoiser.py`).

    It denoises the first `latent_channels`. If the codec has detail after them, the network `detail` makes it. With
    `anchor` the style of the piece and the place in the bar are inputs (`networks/anchor.py`). With `echo_channels` the
    music of some bars ago is an input (`networks/echoes.py`), and a plan is one too. With `plan` the network has
    trained weights for plans (`networks/plan.py`).
    """

    latent_channels: int = 100
    window_tokens: int = 192
    context_tokens: int = 384
    patch: int = 4
    width: int = 256
    depth: int = 6
    heads: int = 4
    line_channels: int = 16
    detail: DetailConfig | None = None
    anchor: bool = False
    echo_channels: int = 0
    plan: bool = False
    kind: Literal["joint"] = "joint"

    @property
    def all_channels(self) -> int:
        """Number of channels of the codec, with its detail."""
        return self.latent_channels + (self.detail.channels if self.detail is not None else 0)


@dataclass(frozen=True)
class PlannerConfig:
    """Level 3 (`planner.py`): it plans `window` cells after `past` cells and sees `left` of these beside the window."""

    bands: int = 100
    channels: int = 32
    depth: int = 6
    window: int = 64
    past: int = 128
    left: int = 16
    heads: int = 4
    head_width: int = 32


@dataclass(frozen=True)
class FinisherConfig:
    """Waveform finisher (`networks/dance_finisher.py`): `channels` has one entry per halving of the rate."""

    sample_rate: int = 44_100
    io_channels: int = 2
    channels: tuple[int, ...] = (128, 128, 256, 256) + (512,) * 10
    attention_layers: int = 4
    window_samples: int = 65_536
    steps: int = 150
    init_strength: float = 0.23
    fade_samples: int = 1_536
    kind: Literal["dance"] = "dance"


@dataclass(frozen=True)
class SpectralFinisherConfig:
    """Finisher of the pocket stack: a small network over short spectra, one pass a block."""

    sample_rate: int = 44_100
    frame_samples: int = 2_048
    fine_channels: int = 12
    width: int = 32
    depth: int = 3
    init_strength: float = 0.0
    kind: Literal["spectral"] = "spectral"


AnyFinisherConfig = FinisherConfig | SpectralFinisherConfig
DenoiserConfig = UNetConfig | JointDenoiserConfig


@dataclass(frozen=True)
class FewStepsConfig:
    """Student of a joint denoiser (`networks/few_steps.py`). It plays if `steps` is at most `most_steps`.

    rank: rank of the matrix that is added to each matrix. guidance: range of guidance scales that it was trained with.
    """

    most_steps: int = 4
    rank: int = 32
    guidance: tuple[float, float] = (0.0, 6.0)


@dataclass(frozen=True)
class LevelConfig:
    """One diffusion level: its denoiser, the window it was trained on, and how it is sampled by default."""

    level: int
    denoiser: DenoiserConfig
    window_tokens: int = 768
    context_windows: int = 2
    steps: int = 50
    guidance: float = 1.0
    init_strength: float = 0.0
    few: FewStepsConfig | None = None
    sampler: str = "vddim"  # a name of `diffusion.samplers.SAMPLERS`
    # Sigmas (lowest, highest) between which guidance above 1 acts. At others it costs nothing. None: at every sigma.
    guidance_interval: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.guidance_interval is not None:
            low, high = self.guidance_interval
            if not 0 <= low <= high <= 1:
                raise ValueError(
                    f"guidance_interval {self.guidance_interval}: noise levels are 0..1, lowest first"
                )

    @property
    def context_tokens(self) -> int:
        """Tokens of a whole context."""
        return self.window_tokens * self.context_windows


@dataclass(frozen=True)
class StackConfig:
    """A codec and its levels, coarsest first, and a finisher if the stack has one."""

    name: str
    codec: CodecConfig
    levels: tuple[LevelConfig, ...]
    finisher: AnyFinisherConfig | None = None

    @property
    def sample_rate(self) -> int:
        """Frames a second."""
        return self.codec.sample_rate

    @property
    def anchored(self) -> bool:
        """Whether a level takes an anchor."""
        return any(getattr(level.denoiser, "anchor", False) for level in self.levels)

    @property
    def remembering(self) -> bool:
        """Whether the denoiser of a level takes echoes."""
        return any(getattr(level.denoiser, "echo_channels", 0) for level in self.levels)

    def level(self, number: int) -> LevelConfig:
        """Return the level of this number. Raises ValueError if the stack does not have it."""
        for config in self.levels:
            if config.level == number:
                return config
        known = ", ".join(str(config.level) for config in self.levels)
        raise ValueError(f"stack {self.name!r} has no level {number}; it has: {known}")


V1 = StackConfig(
    name="v1",
    codec=VQVAEConfig(),
    levels=(
        LevelConfig(level=2, denoiser=UNetConfig(), steps=250, guidance=4.0),
        LevelConfig(level=1, denoiser=UNetConfig(), steps=70, guidance=2.0, init_strength=0.67),
        LevelConfig(level=0, denoiser=UNetConfig(), steps=20, guidance=1.3, init_strength=0.5),
    ),
    finisher=FinisherConfig(),
)

POCKET = StackConfig(
    name="pocket",
    codec=BandCodecConfig(latent_channels=400, detail_bands=75, match_rounds=8),
    levels=(
        LevelConfig(
            level=2,
            denoiser=JointDenoiserConfig(detail=DetailConfig(), anchor=True, echo_channels=16),
            window_tokens=192,
            steps=12,
            guidance=1.5,
            few=FewStepsConfig(),
            sampler="deis_3",
            guidance_interval=(0.0, 0.6),
        ),
    ),
    finisher=SpectralFinisherConfig(),
)

STACKS: dict[str, StackConfig] = {stack.name: stack for stack in (V1, POCKET)}


def stack_to_dict(stack: StackConfig) -> JsonDict:
    """A stack as plain nested values, ready for JSON; `stack_from_dict` reads it back."""
    values = dataclasses.asdict(stack)
    # Parts that a stack lacks are left out, so that the identities of older stacks do not change. Saved streams need
    # the identity of their stack.
    for level in values["levels"]:
        if level["few"] is None:
            del level["few"]
        if level["sampler"] == "vddim":
            del level["sampler"]
        if level["guidance_interval"] is None:
            del level["guidance_interval"]
        if level["denoiser"].get("detail", 0) is None:
            del level["denoiser"]["detail"]
        if level["denoiser"].get("anchor") is False:
            del level["denoiser"]["anchor"]
        if level["denoiser"].get("echo_channels") == 0:
            del level["denoiser"]["echo_channels"]
        if level["denoiser"].get("plan") is False:
            del level["denoiser"]["plan"]
    for name in ("detail_bands", "match_rounds"):
        if values["codec"].get(name) == 0:
            del values["codec"][name]
    return values


def stack_from_dict(values: JsonTable) -> StackConfig:
    """The stack that `stack_to_dict` wrote. Raises ValueError on a field or a kind it does not know."""
    fields = dict(values)
    codecs = {"vqvae": VQVAEConfig, "band": BandCodecConfig}
    fields["codec"] = _by_kind(codecs, fields.get("codec"), "codec")
    levels = []
    for level in fields.get("levels", ()):
        level = dict(level)
        level["denoiser"] = denoiser_from_dict(level.get("denoiser"))
        if level.get("few") is not None:
            level["few"] = _build(FewStepsConfig, level["few"])
        levels.append(_build(LevelConfig, level))
    fields["levels"] = tuple(levels)
    if fields.get("finisher") is not None:
        fields["finisher"] = _by_kind(
            {"dance": FinisherConfig, "spectral": SpectralFinisherConfig}, fields["finisher"], "finisher"
        )
    return _build(StackConfig, fields)


def denoiser_from_dict(values: object) -> DenoiserConfig:
    """A denoiser's sizes as `dataclasses.asdict` gave them. Raises ValueError as `stack_from_dict` does."""
    kinds: Mapping[str, type[DenoiserConfig]] = {"unet": UNetConfig, "joint": JointDenoiserConfig}
    config = _by_kind(kinds, values, "denoiser")
    detail: object = getattr(config, "detail", None)  # JSON's own mapping, until it is built
    if detail is not None:
        if not isinstance(config, JointDenoiserConfig) or not isinstance(detail, Mapping):
            raise ValueError(f"detail {detail!r} of a denoiser is no table of sizes")
        config = dataclasses.replace(config, detail=_build(DetailConfig, detail))
    return config


def _by_kind(kinds: Mapping[str, type[T]], values: object, what: str) -> T:
    kind = values.get("kind") if isinstance(values, Mapping) else None
    if not isinstance(values, Mapping) or not isinstance(kind, str) or kind not in kinds:
        raise ValueError(f"unknown {what} kind {kind!r}; known: {', '.join(kinds)}")
    return _build(kinds[kind], values)


def _build(cls: type[T], values: JsonTable) -> T:
    """A dataclass from a mapping; JSON's lists become tuples. Missing fields take their defaults."""
    known = set(typing.get_type_hints(cls))
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(
            f"{cls.__name__} has no field {', '.join(unknown)}; it may come from a newer version"
        )
    tuples = {
        name
        for name, hint in typing.get_type_hints(cls).items()
        if any(typing.get_origin(part) is tuple for part in (hint, *typing.get_args(hint)))
    }
    fields = {
        name: tuple(value) if name in tuples and isinstance(value, list) else value
        for name, value in values.items()
    }
    try:
        return cls(**fields)
    except TypeError as error:
        raise ValueError(f"{cls.__name__}: {error}") from error
