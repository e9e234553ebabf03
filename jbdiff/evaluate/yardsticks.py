"""The section *codec*: compares the round trip of the codec alone with Opus at two rates (RFC 6716).

Opus runs with `opusenc` and `opusdec` of opus-tools, if these are installed. EnCodec is not compared: its weights
would have to be fetched, and an evaluation fetches nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from jbdiff.evaluate.figures import Figure
from jbdiff.evaluate.material import Piece
from jbdiff.evaluate.metrics.measures import compare, mean_of
from jbdiff.stacks.stack import Stack

SECTION = "codec"
OPUS_KILOBITS = (24, 48)
NO_ENCODEC = "EnCodec is not compared: its weights would have to be fetched"


def round_trip(stack: Stack, audio: Tensor) -> Tensor:
    """Encode and decode mono `[n]` with the codec of the coarsest level; returns `[m]`, cut to whole tokens."""
    level = stack.levels[0]
    hop = stack.codec.hop(level)
    whole = audio[: len(audio) // hop * hop]
    return stack.codec.decode(stack.codec.encode(whole[None, None], level), level)[0, 0]


def through_opus(audio: Tensor, sample_rate: int, kilobits: int) -> Tensor:
    """Encode and decode mono `[n]` with Opus. Raises subprocess.CalledProcessError if the tools fail."""
    with tempfile.TemporaryDirectory() as folder:
        plain, packed, back = (str(Path(folder) / name) for name in ("a.wav", "a.opus", "b.wav"))
        soundfile.write(plain, audio.numpy(), sample_rate)
        subprocess.run(["opusenc", "--quiet", "--bitrate", str(kilobits), plain, packed], check=True)
        subprocess.run(["opusdec", "--quiet", "--rate", str(sample_rate), packed, back], check=True)
        decoded = soundfile.read(back, dtype="float32", always_2d=True)[0].mean(1)
    return torch.from_numpy(decoded)


def compared(pairs: Sequence[tuple[Tensor, Tensor]], sample_rate: int) -> dict[str, float]:
    """Return the means of `measures.compare` over pairs (original `[n]`, decoded `[m]`), each cut to the shorter."""
    rows = []
    for original, decoded in pairs:
        count = min(len(original), len(decoded))
        rows.append(compare(original[:count], decoded[:count], sample_rate))
    return mean_of(rows)


def codec_figures(stack: Stack, pieces: Sequence[Piece]) -> tuple[list[Figure], dict[str, dict[str, float]]]:
    """Return the figures, and all measures of `measures.compare`, for the codec and for Opus by name."""
    rate = stack.config.sample_rate
    middles = [piece.middle for piece in pieces]
    details = {"codec": compared([(audio, round_trip(stack, audio)) for audio in middles], rate)}
    installed = shutil.which("opusenc") is not None and shutil.which("opusdec") is not None
    if installed:
        for kilobits in OPUS_KILOBITS:
            pairs = [(audio, through_opus(audio, rate, kilobits)) for audio in middles]
            details[f"opus {kilobits}"] = compared(pairs, rate)
    limit = details[f"opus {OPUS_KILOBITS[0]}"]["mel_distance_db"] if installed else None
    own = details["codec"]["mel_distance_db"]
    figures = [Figure(SECTION, "mel distance", own, "dB", high=limit, note=NO_ENCODEC)]
    for kilobits in OPUS_KILOBITS:
        row = details.get(f"opus {kilobits}")
        value, note = (row["mel_distance_db"], "mono") if row else (None, "opusenc, opusdec not installed")
        figures.append(Figure(SECTION, f"Opus, {kilobits} kb/s: mel distance", value, "dB", note=note))
    for name, unit in (("fine_distance_db", "dB"), ("tonality_db", "dB"), ("onset_match", "")):
        note = f"original {details['codec']['tonality_original_db']:.3g} dB" if name == "tonality_db" else ""
        label = name.removesuffix("_db").replace("_", " ")
        figures.append(Figure(SECTION, label, details["codec"][name], unit, note=note))
    return figures, details
