"""A part of a take as a sound file of its own, for the context or the init. Threads: any; blocks on the disk.

It lies in the take's folder, so that a patch that names it finds it again. The same part is written once.
"""

from __future__ import annotations

import os
from pathlib import Path

import soundfile

from jbdiff_live.record.shelf.reader import TakeReader
from jbdiff_live.record.take import Take, sound_path

LONGEST_SECONDS = 300.0  # 106 MB; a longer part would hold the window up
FOLDER = "parts"


def write_piece(take: Take, begin: int, end: int) -> Path:
    """Return the file of the frames from `begin` to `end`. OSError: the disk refuses. ValueError: there is no sound."""
    rate = take.info.sample_rate
    reader = TakeReader(take)
    try:
        begin, end = max(0, begin), min(end, reader.frames)
        if end <= begin:
            raise ValueError("there is no sound in this part; choose another one")
        if end - begin > LONGEST_SECONDS * rate:
            raise ValueError(
                f"the part is longer than {LONGEST_SECONDS / 60:.0f} minutes: trim it, and use the new take"
            )
        path = take.folder / FOLDER / f"{begin}-{end}.wav"
        if path.exists():
            return path
        path.parent.mkdir(exist_ok=True)
        new = path.with_suffix(".part")
        try:
            with soundfile.SoundFile(
                sound_path(new), "w", rate, reader.channels, "FLOAT", format="WAV"
            ) as file:
                for piece in reader.pieces(begin, end):
                    file.write(piece)
            os.replace(new, path)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise OSError(f"{path}: {error}; free some space") from error
        finally:
            new.unlink(missing_ok=True)
    finally:
        reader.close()
    return path
