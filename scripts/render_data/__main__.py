"""Renders the training music of the pocket model: seeded, from clean sources only, as stems.

    python scripts/render_data OUT --hours 3 --seed 1000 --processes 2

Needs the `data` extra and the Debian packages fluidsynth, fluid-soundfont-gm (MIT) and sonic-pi-samples (CC0).
A folder for each track: its stems, and `track.json` with tempo, key, chords, sections, kicks, and how the stems are
mixed. Training takes the folder as `--data` and mixes them anew (`jbdiff/stems.py`). A broken-off run goes on.
docs/data.md has the sources and their licences.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import time
from pathlib import Path

from sounds import SAMPLES, SOUNDFONT
from tempi import TOKENS_PER_BAR, beats_per_minute, nearest_bar
from worker import render_one


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--hours", type=float, default=3.0, help="of music; every track is --seconds long")
    parser.add_argument("--tracks", type=int, help="a number of tracks, in the place of hours")
    parser.add_argument("--seconds", type=float, default=48.0)
    parser.add_argument("--seed", type=int, default=1000, help="first seed; each track has its own")
    parser.add_argument(
        "--tempi",
        type=float,
        nargs="+",
        metavar="BPM",
        help="to draw from, each moved to the nearest whose beat is whole tokens; one named twice comes twice as "
        f"often (default: {len(TOKENS_PER_BAR)} from {beats_per_minute(TOKENS_PER_BAR[-1]):.0f} to "
        f"{beats_per_minute(TOKENS_PER_BAR[0]):.0f})",
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--vorbis", action="store_true", help="stems as Ogg Vorbis, about a sixth of the size"
    )
    args = parser.parse_args()
    try:
        bars = tuple(map(nearest_bar, args.tempi)) if args.tempi else TOKENS_PER_BAR
    except ValueError as error:
        parser.error(str(error))
    for needed in (SAMPLES, SOUNDFONT):
        if not needed.exists():
            raise SystemExit(f"missing {needed}: install sonic-pi-samples, fluidsynth and fluid-soundfont-gm")
    args.out.mkdir(parents=True, exist_ok=True)
    tracks = args.tracks or math.ceil(args.hours * 3600 / args.seconds)
    suffix = ".ogg" if args.vorbis else ".flac"
    jobs = [(args.seed + index, args.seconds, args.out, suffix, bars) for index in range(tracks)]
    began = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
        for done, name in enumerate(pool.imap(render_one, jobs), 1):
            left = (time.monotonic() - began) / done * (tracks - done)
            print(f"{done}/{tracks} {name}, {left / 60:.0f} min left", flush=True)


if __name__ == "__main__":
    main()
