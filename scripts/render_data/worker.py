"""What one worker process does: renders seeds to folders of stems. A module, so that spawned workers find it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import soundfile
from sounds import Audio, Synthesizer
from tempi import SAMPLE_RATE
from track import Track

PEAK = 0.9  # of every stem's file
_synthesizer: Synthesizer | None = None


def render_one(job: tuple[int, float, Path, str, tuple[int, ...]]) -> str:
    """Renders one seed; a finished folder is kept, so that a broken run goes on. Gives the folder's name."""
    global _synthesizer
    if _synthesizer is None:
        _synthesizer = Synthesizer()
    seed, seconds, folder, suffix, bars = job
    track = Track(_synthesizer, seed, seconds, bars)
    name = f"{seed:05d}_{track.style}"
    if (folder / name).exists():
        return name
    partial = folder / f"{name}.part"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    track.render()
    stems = []
    for number, part in enumerate(track.parts):
        scale = PEAK / max(1e-4, float(np.abs(part.audio).max()))
        file = f"{number}_{part.name}{suffix}"
        write(partial / file, part.audio * scale)
        stems.append(
            {
                "file": file,
                "part": part.name,
                "gain": round(part.gain / scale, 6),
                "reverb": round(part.reverb, 3),
                "delay": round(part.delay, 3),
                "pan": round(part.pan, 3),
                "ducked": part.ducked,
            }
        )
    facts = {"seed": seed, **track.describe(), "stems": stems}
    (partial / "track.json").write_text(json.dumps(facts))
    partial.rename(folder / name)
    return name


def write(path: Path, audio: Audio) -> None:
    """A stem `[2, frames]`: FLAC of 16 bit, or Vorbis for carrying over a thin wire."""
    if path.suffix == ".flac":
        soundfile.write(path, audio.T, SAMPLE_RATE, subtype="PCM_16", format="FLAC")
        return
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 2, "VORBIS", format="OGG") as file:
        # All at once, long files overflow the encoder's stack.
        for start in range(0, audio.shape[1], 1 << 16):
            file.write(np.ascontiguousarray(audio[:, start : start + (1 << 16)].T))
