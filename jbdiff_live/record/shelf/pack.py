"""Turn the sound of a closed take into FLAC, which needs about half of the disk. Threads: any; blocks on the disk.

FLAC holds 24 bits, and a take is recorded in 32-bit float. So the sound loses what lies below -138 dB, and a take with
peaks above 0 dB stays as it is. A WAV file goes only after its FLAC file was read back and compared.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile

from jbdiff_live.record.shelf.reader import PIECE_FRAMES, Step
from jbdiff_live.record.take import SOUNDS, Take, TakeError, sound_files, sound_path, sound_to_read
from jbdiff_live.shown import shown

STEP = 2.0**-23  # of 24 bits
_Frames = Callable[[int], None]


def pack(take: Take, step: Step) -> str:
    """Turn every sound file of a take into FLAC, and return words for the player.

    step: gets the frames that are done, and all; what it raises ends the work: files that are FLAC by then stay so.
    ValueError: there is nothing to pack, or the sound does not fit. OSError: the disk refuses.
    """
    files = [path for stem in SOUNDS for path in sound_files(take.folder, stem) if path.suffix == ".wav"]
    if not files:
        raise ValueError("the take is FLAC already, or has no sound")
    before = sum(path.stat().st_size for path in files)
    try:
        lengths = [soundfile.info(sound_to_read(path)).frames for path in files]
        done, work = 0, 2 * sum(lengths)
        for path, length in zip(files, lengths, strict=True):
            _pack(path, lambda frames, base=done: step(base + frames, work))  # type: ignore[misc]
            done += 2 * length
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise TakeError(f"{shown(take.folder)}: {error}; the take stays as it is") from error
    after = sum(path.with_suffix(".flac").stat().st_size for path in files)
    return f"the take is FLAC now and needs {after / before:.0%} of the disk that it needed"


def _pack(path: Path, step: _Frames) -> None:
    new, flac = path.with_name(f".{path.name}.part"), path.with_suffix(".flac")
    try:
        with soundfile.SoundFile(sound_path(path)) as old:
            with soundfile.SoundFile(
                sound_path(new), "w", old.samplerate, old.channels, "PCM_24", format="FLAC"
            ) as out:
                while len(piece := old.read(PIECE_FRAMES, dtype="float32", always_2d=True)):
                    if not np.abs(piece).max() < 1.0:
                        raise ValueError(
                            "it has peaks at or above 0 dB, which FLAC cannot hold; it stays WAV"
                        )
                    out.write(piece)
                    step(old.tell())
            _compare(old, new, step)
        with new.open("rb+") as file, suppress(OSError):  # some network drives have no sync
            os.fsync(file.fileno())
        os.replace(new, flac)
        path.unlink()
    finally:
        new.unlink(missing_ok=True)


def _compare(old: soundfile.SoundFile, new: Path, step: _Frames) -> None:
    """Read both files from the beginning. TakeError if they differ by more than a step of 24 bits."""
    old.seek(0)
    with soundfile.SoundFile(sound_path(new)) as again:
        same = again.frames == old.frames
        while same and len(piece := old.read(PIECE_FRAMES, dtype="float32", always_2d=True)):
            other = again.read(PIECE_FRAMES, dtype="float32", always_2d=True)
            same = len(other) == len(piece) and float(np.abs(other - piece).max()) <= STEP
            step(old.frames + old.tell())
    if not same:
        raise TakeError("the FLAC file is not the same sound; the take stays WAV")
