"""Every kind of network that a stack can hold: how it is made, and how its tensors are read from a file.

One row of `KINDS` a kind. To add a codec, a denoiser or a finisher, add its config to `config.py` and a row here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.codecs.codec import Codec
from jbdiff.codecs.vqvae import VQVAE
from jbdiff.config import (
    AnyFinisherConfig,
    BandCodecConfig,
    CodecConfig,
    DenoiserConfig,
    FinisherConfig,
    JointDenoiserConfig,
    SpectralFinisherConfig,
    UNetConfig,
    VQVAEConfig,
)
from jbdiff.networks.dance_finisher import Finisher
from jbdiff.networks.denoiser import Denoiser
from jbdiff.networks.detail import mean_of_sampling
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.networks.spectral_finisher import SpectralFinisher
from jbdiff.networks.unet import UNet
from jbdiff.stacks.v1_layout import finisher_tensors, unet_tensors, vqvae_tensors
from jbdiff.stacks.weight_files import CheckpointFile

PartConfig = CodecConfig | DenoiserConfig | AnyFinisherConfig
FinisherNetwork = Finisher | SpectralFinisher


def _as_they_are(file: CheckpointFile, config: Any) -> Mapping[str, Tensor]:
    return file.tensors


@dataclass(frozen=True)
class Kind:
    """How one kind of network is made and read. Functions take the network's own config."""

    make: Callable[[Any], nn.Module]  # Any: each row takes its own type of config
    read: Callable[[CheckpointFile, Any], Mapping[str, Tensor]] = _as_they_are
    read_original: Callable[[CheckpointFile, Any], Mapping[str, Tensor]] | None = (
        None  # of the first implementation
    )
    own_tensor: str = ""  # a name that our files of this kind have, and original files have not


KINDS: Mapping[type, Kind] = {
    BandCodecConfig: Kind(BandCodec),
    # Official and own files have the same names; level files carry the codec along.
    VQVAEConfig: Kind(VQVAE, lambda file, config: vqvae_tensors(file)),
    JointDenoiserConfig: Kind(JointDenoiser, lambda file, config: mean_of_sampling(file.tensors)),
    UNetConfig: Kind(UNet, read_original=unet_tensors, own_tensor="time_embedding.weights"),
    SpectralFinisherConfig: Kind(SpectralFinisher),
    FinisherConfig: Kind(
        Finisher,
        read_original=lambda file, config: finisher_tensors(file),
        own_tensor="timestep_embed.weight",
    ),
}


def build(config: PartConfig) -> nn.Module:
    """A network of these sizes with fresh weights."""
    return KINDS[type(config)].make(config)


def build_codec(config: CodecConfig) -> Codec:
    """A codec of these sizes with fresh weights."""
    return cast(Codec, build(config))


def build_denoiser(config: DenoiserConfig) -> Denoiser:
    """A denoiser of these sizes with fresh weights."""
    return cast(Denoiser, build(config))


def build_finisher(config: AnyFinisherConfig) -> FinisherNetwork:
    """A finisher of these sizes with fresh weights."""
    return cast(FinisherNetwork, build(config))


def skeleton(config: PartConfig) -> nn.Module:
    """A network of these sizes that waits for its weights.

    Fresh weights of the full-size v1 networks take seconds to draw, so those are made without any. Networks with
    tensors that no file holds are made whole.
    """
    if KINDS[type(config)].read_original is None:
        return build(config)
    with torch.device("meta"):
        return build(config)


def part_tensors(file: CheckpointFile, config: PartConfig) -> Mapping[str, Tensor]:
    """Return the tensors `[...]` of a file for a network of these sizes, under our names.

    Original files are recognised by their own names. Raises CheckpointError if the file is of another kind.
    """
    kind = KINDS[type(config)]
    if kind.read_original is not None and kind.own_tensor not in file.tensors:
        return kind.read_original(file, config)
    return kind.read(file, config)
