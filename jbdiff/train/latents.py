"""Encodes a folder of sounds once: the denoiser trains on latents and never decodes a sample of audio."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from jbdiff.data import Clips, ClipWriter, Report, cache_about, open_clips
from jbdiff.framecodec import FrameCodec

EDGE = 64  # tokens encoded on either side of a stretch and thrown away; more than the encoder hears
STRETCH = 2048  # tokens encoded at a time


def fingerprint(codec: FrameCodec) -> str:
    """Changes when the encoder's weights or the standardisation do; the decoder may change freely."""
    digest = hashlib.sha256()
    for part in (codec.encoder, codec.standardise):
        for name, tensor in sorted(part.state_dict().items()):
            digest.update(name.encode() + tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def encode_clip(codec: FrameCodec, audio: NDArray[np.float32], offset: int) -> NDArray[np.float16]:
    """Audio `[frames]` from `offset` on, to latents `[tokens, channels]`; what does not fill a token is cut."""
    hop = codec.hop(2)
    device = next(codec.parameters()).device
    tokens = max(0, len(audio) - offset) // hop
    whole = torch.from_numpy(audio[offset : offset + tokens * hop])
    parts = []
    for start in range(0, tokens, STRETCH):
        left, right = max(0, start - EDGE), min(tokens, start + STRETCH + EDGE)
        latents = codec.encode(whole[None, None, left * hop : right * hop].to(device))[0]
        count = min(STRETCH, tokens - start)
        parts.append(latents[:, start - left : start - left + count].T.cpu().numpy())
    if not parts:
        return np.zeros((0, codec.latent_channels), np.float16)
    return np.concatenate(parts).astype(np.float16)


def cache_latents(
    clips: Clips, codec: FrameCodec, cache: Path, copies: int, seed: int, report: Report = print
) -> Clips:
    """Latents of every clip, `copies` times over: each at another level, at another place between two tokens,
    and all but the first, sometimes, at another speed. Kept when encoder, clips and copies are the same.
    """
    about = {"codec": fingerprint(codec), "names": list(clips.names), "copies": copies, "seed": seed}
    about["lengths"] = list(clips.lengths)
    if cache_about(cache) == about:
        return open_clips(cache)
    writer = ClipWriter(cache, "float16", (codec.latent_channels,))
    rng = np.random.default_rng(seed)
    for copy in range(copies):
        for index, name in enumerate(clips.names):
            audio = clips.clip(index).astype(np.float32) / np.float32(32768)
            gain = 10 ** (rng.uniform(-5, 2) / 20) if copy else 1.0
            speed = float(2 ** (rng.uniform(-3, 3) / 12)) if copy and rng.random() < 0.2 else 1.0
            if speed != 1.0:
                place = np.arange(int(len(audio) / speed)) * speed
                audio = np.interp(place, np.arange(len(audio)), audio).astype(np.float32)
            offset = int(rng.integers(codec.hop(2))) if copy else 0
            writer.add(f"{name}#{copy}", encode_clip(codec, audio * np.float32(gain), offset))
        report(f"encoded copy {copy + 1} of {copies}")
    return writer.finish(list(clips.skipped), **about)
