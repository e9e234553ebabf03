"""Reading sound files: any format libsndfile knows, any rate, mono or stereo. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

# Six seconds at 44.1 kHz: small beside a model, long beside a call.
BLOCK_FRAMES = 1 << 18

# What libsndfile opens; other files in a folder of sounds (pictures, notes) are passed over without a word.
SOUND_SUFFIXES = frozenset(
    (".wav", ".flac", ".aif", ".aiff", ".aifc", ".ogg", ".opus", ".mp3", ".w64", ".caf", ".au", ".rf64")
)


def read_audio(path: str | Path, sample_rate: int) -> tuple[NDArray[np.float32], int]:
    """Audio of a file at `sample_rate`, float32 `[frames, channels]`, and the rate the file had.

    Raises what `audio_blocks` raises.
    """
    audio = np.concatenate(list(audio_blocks(path, sample_rate)))
    return audio, int(soundfile.info(path).samplerate)


def audio_blocks(
    path: str | Path, sample_rate: int, frames: int = BLOCK_FRAMES
) -> Iterator[NDArray[np.float32]]:
    """The audio of a file at `sample_rate`, float32 `[about frames, channels]` at a time: hours need no more memory.

    Raises OSError when the file is missing or cannot be read as sound, ValueError when it is empty or holds
    NaN or infinite samples; the message names the file and the remedy. A file may turn out broken at any block.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no sound file {str(path)!r}; check the name, or give another file")
    try:
        with soundfile.SoundFile(path) as file:
            blocks = file.blocks(frames, dtype="float32", always_2d=True)
            yield from _resampled(path, blocks, file.channels, file.samplerate, sample_rate)
    except soundfile.LibsndfileError as error:
        raise OSError(
            f"cannot read {str(path)!r} as sound ({error.error_string}); convert it to WAV or FLAC first"
        ) from error


def _resampled(
    path: Path, blocks: Iterator[NDArray[np.float32]], channels: int, source_rate: int, sample_rate: int
) -> Iterator[NDArray[np.float32]]:
    """Blocks `[n, channels]` at another rate, looked at on their way."""
    resampler = None
    if source_rate != sample_rate:
        resampler = soxr.ResampleStream(source_rate, sample_rate, channels, dtype="float32")
    read = made = 0
    for block in blocks:
        if not np.isfinite(block).all():
            raise ValueError(f"{str(path)!r} holds NaN or infinite samples; export it again as 16 or 24 bit")
        read += len(block)
        out = block if resampler is None else resampler.resample_chunk(block)
        made += len(out)
        if len(out):
            yield out
    if not read:
        raise ValueError(f"{str(path)!r} holds no samples; record or export it again")
    rest = np.zeros((0, channels), np.float32)
    if resampler is not None:
        rest = resampler.resample_chunk(rest, last=True)
    if not made + len(rest):
        raise ValueError(f"{str(path)!r} is too short to resample to {sample_rate} Hz; use a longer file")
    if len(rest):
        yield rest


def find_sounds(folder: str | Path) -> list[Path]:
    """All sound files under a folder, sorted by path. Raises OSError when the folder is missing."""
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"no folder {str(folder)!r}; give a folder that holds sound files")
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SOUND_SUFFIXES and p.is_file())
