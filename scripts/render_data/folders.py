"""Tracks on disk: one folder each, which gets its name only when it is complete."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from part import Part
from sounds import Audio
from tempi import SAMPLE_RATE, drawn_bar

PEAK = 0.9  # peak of every stem's file


@dataclass(frozen=True)
class Job:
    """One seed to render: its style, the folder of all tracks, and the lengths of bars from which the tempo is
    drawn."""

    seed: int
    style: str
    seconds: float
    folder: Path
    suffix: str
    bars: tuple[int, ...]

    @property
    def path(self) -> Path:
        return self.folder / f"{self.seed:05d}_{self.style}"


def is_finished(job: Job) -> bool:
    """Return whether the track of a job exists already.

    Raises ValueError if it has another length, tempo or file format, or is not complete.
    """
    if not job.path.exists():
        return False
    try:
        facts = json.loads((job.path / "track.json").read_text())
        found = (facts["seconds"], facts["tokens_per_bar"], Path(facts["stems"][0]["file"]).suffix)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"{job.path} is not a complete track ({error}); remove it and start again"
        ) from error
    wanted = (job.seconds, drawn_bar(job.seed, job.bars), job.suffix)
    if found != wanted:
        say = "{0} s, bars of {1} tokens, {2}".format
        raise ValueError(
            f"{job.path} was rendered with other options ({say(*found)}; now {say(*wanted)}); "
            "choose another folder, or remove this one"
        )
    return True


def write_track(job: Job, facts: Mapping[str, object], parts: Sequence[Part]) -> None:
    """Write stems and `track.json` to a folder that ends in ".part", then rename it.

    Files that an interrupted run left in such a folder are removed first.
    """
    partial = job.path.with_name(f"{job.path.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    stems = []
    for number, part in enumerate(parts):
        scale = PEAK / max(1e-4, float(np.abs(part.audio).max()))
        file = f"{number}_{part.name}{job.suffix}"
        write_stem(partial / file, part.audio * scale)
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
    (partial / "track.json").write_text(json.dumps({"seed": job.seed, **facts, "stems": stems}))
    partial.rename(job.path)


def write_stem(path: Path, audio: Audio) -> None:
    """Write a stem `[2, frames]` as 16-bit FLAC, or as Ogg Vorbis, which is smaller."""
    if path.suffix == ".flac":
        soundfile.write(path, audio.T, SAMPLE_RATE, subtype="PCM_16", format="FLAC")
        return
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 2, "VORBIS", format="OGG") as file:
        # A long file in one piece overflows the encoder's stack.
        for start in range(0, audio.shape[1], 1 << 16):
            file.write(np.ascontiguousarray(audio[:, start : start + (1 << 16)].T))
