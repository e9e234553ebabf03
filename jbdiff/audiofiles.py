"""Reading sound files: any format libsndfile knows, any rate, mono or stereo. No torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

# What libsndfile opens; other files in a folder of sounds (pictures, notes) are passed over without a word.
SOUND_SUFFIXES = frozenset(
    (".wav", ".flac", ".aif", ".aiff", ".aifc", ".ogg", ".opus", ".mp3", ".w64", ".caf", ".au", ".rf64")
)


def read_audio(path: str | Path, sample_rate: int) -> tuple[NDArray[np.float32], int]:
    """Audio of a file at `sample_rate`, float32 `[frames, channels]`, and the rate the file had.

    Raises OSError when the file is missing or cannot be read as sound, ValueError when it is empty or holds
    NaN or infinite samples; the message names the file and the remedy.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no sound file {str(path)!r}; check the name, or give another file")
    try:
        audio, source_rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise OSError(
            f"cannot read {str(path)!r} as sound ({error.error_string}); convert it to WAV or FLAC first"
        ) from error
    if audio.shape[0] == 0:
        raise ValueError(f"{str(path)!r} holds no samples; record or export it again")
    if not np.isfinite(audio).all():
        raise ValueError(f"{str(path)!r} holds NaN or infinite samples; export it again as 16 or 24 bit")
    if source_rate != sample_rate:
        audio = soxr.resample(audio, source_rate, sample_rate).astype(np.float32)
        if audio.shape[0] == 0:
            raise ValueError(f"{str(path)!r} is too short to resample to {sample_rate} Hz; use a longer file")
    return np.ascontiguousarray(audio), source_rate


def find_sounds(folder: str | Path) -> list[Path]:
    """All sound files under a folder, sorted by path. Raises OSError when the folder is missing."""
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"no folder {str(folder)!r}; give a folder that holds sound files")
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SOUND_SUFFIXES and p.is_file())
