"""Render training music from seeds, as stems, with clean sources only.

    python scripts/render_data OUT --hours 3 --seed 20000 --styles dub house drone

Needs the `data` extra and the Debian packages fluidsynth, fluid-soundfont-gm (MIT) and sonic-pi-samples (CC0).
Every track is a folder with its stems and `track.json`, which holds tempo, key, chords, form, kicks and how the stems
are mixed. Training takes OUT as `--data` and mixes the stems anew (`jbdiff/data/stems.py`).
The same seed with the same options gives the same sound. An interrupted run goes on when it is started again.
docs/data.md lists sources, licences and styles.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import multiprocessing
import shutil
import signal
import sys
import time
from pathlib import Path

from folders import Job
from naming import CLASSIC, NAMES, style_of
from oneshots import SAMPLES
from soundfont import SOUNDFONT
from tempi import TOKENS_PER_BAR, beats_per_minute, nearest_bar

SHORTEST, LONGEST = 2, 1200  # seconds of a track; longer ones need more memory than a small machine has


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for the tracks")
    parser.add_argument("--hours", type=hours, default=3.0, help="hours of music (default: 3)")
    parser.add_argument("--tracks", type=count, help="number of tracks; replaces --hours")
    parser.add_argument("--seconds", type=length, default=48.0, help="length of every track (default: 48)")
    parser.add_argument(
        "--seed", type=seed, default=1000, help="first seed; every track has its own (default: 1000)"
    )
    parser.add_argument(
        "--styles",
        nargs="+",
        default=[CLASSIC],
        choices=NAMES,
        metavar="STYLE",
        help="styles that take turns; a style that is named twice comes twice as often. "
        f"Choices: {', '.join(NAMES)}. {CLASSIC} (the default) stands for modular three times, keys, hybrid and loop",
    )
    parser.add_argument(
        "--tempi",
        type=float,
        nargs="+",
        metavar="BPM",
        help="tempi to draw from; each moves to the nearest one whose beat is a whole number of tokens; "
        f"one that is named twice comes twice as often (default: {len(TOKENS_PER_BAR)} from "
        f"{beats_per_minute(TOKENS_PER_BAR[-1]):.0f} to {beats_per_minute(TOKENS_PER_BAR[0]):.0f})",
    )
    parser.add_argument(
        "--processes", type=count, default=2, help="tracks rendered at the same time (default: 2)"
    )
    parser.add_argument(
        "--vorbis", action="store_true", help="write stems as Ogg Vorbis, about a sixth of the size of FLAC"
    )
    args = parser.parse_args()
    try:
        bars = tuple(map(nearest_bar, args.tempi)) if args.tempi else TOKENS_PER_BAR
    except ValueError as error:
        parser.error(str(error))
    for needed in (SAMPLES, SOUNDFONT):
        if not needed.exists():
            raise SystemExit(f"missing {needed}: install sonic-pi-samples, fluidsynth and fluid-soundfont-gm")
    for library in ("dawdreamer", "scipy"):
        if importlib.util.find_spec(library) is None:
            raise SystemExit(f'{library} is not installed: pip install -e ".[data]"')
    if shutil.which("fluidsynth") is None:
        raise SystemExit("the program fluidsynth is not installed: sudo apt install fluidsynth")
    args.out.mkdir(parents=True, exist_ok=True)
    tracks = args.tracks or math.ceil(args.hours * 3600 / args.seconds)
    suffix = ".ogg" if args.vorbis else ".flac"
    seeds = range(args.seed, args.seed + tracks)
    jobs = [Job(seed, style_of(seed, args.styles), args.seconds, args.out, suffix, bars) for seed in seeds]
    sys.exit(run(jobs, args.processes))


def run(jobs: list[Job], processes: int) -> int:
    """Render all jobs and print the progress. Return the exit status of the program."""
    from worker import render_one, stay_until_ended  # needs dawdreamer and scipy, which --help does not

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(processes, stay_until_ended) as pool:
        try:
            for done, name in enumerate(pool.imap(render_one, jobs), 1):
                left = (time.monotonic() - began) / done * (len(jobs) - done)
                print(f"{done}/{len(jobs)} {name}, {left / 60:.0f} min left", flush=True)
        except KeyboardInterrupt:
            print("Interrupted. The same command goes on from here.", file=sys.stderr)
            return 130
        except (OSError, RuntimeError, ValueError) as error:
            print(error, file=sys.stderr)
            return 1
    return 0


def hours(text: str) -> float:
    return within(text, 0.0001, 10_000, "hours")


def length(text: str) -> float:
    return within(text, SHORTEST, LONGEST, "seconds")


def count(text: str) -> int:
    return int(within(text, 1, 1_000_000, "", whole=True))


def seed(text: str) -> int:
    return int(within(text, 0, 2**31 - 1, "", whole=True))


def within(text: str, low: float, high: float, unit: str, whole: bool = False) -> float:
    """Return a number of the command line. Raises `ArgumentTypeError` if it is no number or out of range."""
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise argparse.ArgumentTypeError(f"{text!r}; give {kind} from {low:,} to {high:,} {unit}".rstrip())
    return value


if __name__ == "__main__":
    main()
