"""Renders the training music of the pocket model: seeded, from clean sources only.

    python scripts/render_data OUT --tracks 120 --seconds 48 --seed 1000 --processes 2

Needs the `data` extra and the Debian packages fluidsynth, fluid-soundfont-gm (MIT) and sonic-pi-samples (CC0).
Writes FLAC, 16 bit, stereo, 44.1 kHz, and `index.json` with tempo, key and style of each. About seven times
real time on one core.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from pathlib import Path

from sounds import SAMPLE_RATE, SAMPLES, SOUNDFONT
from worker import render_one


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--tracks", type=int, default=120)
    parser.add_argument("--seconds", type=float, default=48.0)
    parser.add_argument("--seed", type=int, default=1000, help="first seed; each track has its own")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    for needed in (SAMPLES, SOUNDFONT):
        if not needed.exists():
            raise SystemExit(f"missing {needed}: install sonic-pi-samples, fluidsynth and fluid-soundfont-gm")
    args.out.mkdir(parents=True, exist_ok=True)
    jobs = [(args.seed + index, args.seconds, args.out) for index in range(args.tracks)]
    index = []
    with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
        for entry in pool.imap(render_one, jobs):
            index.append(entry)
            print(f"{len(index)}/{len(jobs)} {entry['file']}  {entry['bpm']} bpm", flush=True)
            (args.out / "index.json").write_text(
                json.dumps({"sample_rate": SAMPLE_RATE, "tracks": index}, indent=1)
            )


if __name__ == "__main__":
    main()
