"""What the codec alone does to held-out sound, beside Opus at two rates (RFC 6716).

Opus is played by `opusenc` and `opusdec` of opus-tools, where these are installed. EnCodec is no yardstick here:
its weights would have to be fetched, and an evaluation fetches nothing.
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
    """Mono `[n]` through the codec of the coarsest level and back, cut to whole tokens."""
    level = stack.levels[0]
    hop = stack.codec.hop(level)
    whole = audio[: len(audio) // hop * hop]
    return stack.codec.decode(stack.codec.encode(whole[None, None], level), level)[0, 0]


def through_opus(audio: Tensor, sample_rate: int, kilobits: int) -> Tensor:
    """Mono `[n]` through Opus and back. Raises subprocess.CalledProcessError where the tools do not work."""
    with tempfile.TemporaryDirectory() as folder:
        plain, packed, back = (str(Path(folder) / name) for name in ("a.wav", "a.opus", "b.wav"))
        soundfile.write(plain, audio.numpy(), sample_rate)
        subprocess.run(["opusenc", "--quiet", "--bitrate", str(kilobits), plain, packed], check=True)
        subprocess.run(["opusdec", "--quiet", "--rate", str(sample_rate), packed, back], check=True)
        decoded = soundfile.read(back, dtype="float32", always_2d=True)[0].mean(1)
    return torch.from_numpy(decoded)


def compared(pairs: Sequence[tuple[Tensor, Tensor]], sample_rate: int) -> dict[str, float]:
    """Means of `measures.compare` over (original, decoded), each pair cut to the shorter one."""
    rows = []
    for original, decoded in pairs:
        count = min(len(original), len(decoded))
        rows.append(compare(original[:count], decoded[:count], sample_rate))
    return mean_of(rows)


def codec_figures(stack: Stack, pieces: Sequence[Piece]) -> tuple[list[Figure], dict[str, dict[str, float]]]:
    """Figures, and everything that `measures.compare` says of the codec and of Opus."""
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
