"""What one worker process does: renders seeds to files. A module of its own, so that spawned workers find it."""

from __future__ import annotations

from pathlib import Path

import soundfile
from sounds import SAMPLE_RATE, Synthesizer
from track import Track

_synthesizer: Synthesizer | None = None


def render_one(job: tuple[int, float, Path]) -> dict[str, object]:
    """Renders one seed in a worker process; a finished file is kept, so that a broken run goes on."""
    global _synthesizer
    if _synthesizer is None:
        _synthesizer = Synthesizer()
    seed, seconds, folder = job
    track = Track(_synthesizer, seed, seconds)
    path = folder / f"{seed:05d}_{track.style}.flac"
    if not path.exists():
        partial = path.with_suffix(".part")
        soundfile.write(partial, track.render().T, SAMPLE_RATE, subtype="PCM_16", format="FLAC")
        partial.replace(path)
    return {"file": path.name, "seconds": seconds, **track.describe()}
