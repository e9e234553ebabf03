#!/usr/bin/env python3
"""Measures what the window costs: the time of a block with the stage view open and without a window, in turns.

    scripts/bench_window.py                                    5 minutes: ten turns of 30 s each
    scripts/bench_window.py --seconds 5 --pairs 1              a quick look: says nothing
    xvfb-run -a -s '-screen 0 1920x1080x24' scripts/bench_window.py --platform xcb
    scripts/bench_window.py --frames 600                       milliseconds of one frame of the window, without a model

One instrument plays on the null device all the time. In one turn its stage view is open, at 30 frames a second and with
a knob that a controller sweeps; in the next the window is hidden and its timer stands still, and the main thread looks
at the status as `--headless` does. Turns alternate, so that a machine that slows down slows both. Blocks are short
(`--hop`), so that there are hundreds: the 99th percentile of thirty is the worst one. Cheaper blocks are off. The
machine must have no other work.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

    from jbdiff_live.session import Session

SWEPT = ("noise_step", "gain", "seed")
RATE = 44_100
TIGHT = 0.7  # share of a block's length that its work takes in the rows "time is short"
BOUND = 0.05  # the window may cost the 99th percentile of a block so much
LOOK_SECONDS = 0.05  # between two looks of a run without a window
SETTLE_BLOCKS = 2  # left out after each change: the block in work saw both
DRAWS = 2000  # of the blocks, for the range of the ratio
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "ui")]


# ---------------------------------------------------------------------- blocks, with the window and without


@dataclass
class Times:
    """Seconds that blocks took, by block, in turns of one kind. late: frames of silence in place of blocks."""

    turns: list[dict[int, float]] = field(default_factory=list)
    late: int = 0

    def all(self) -> np.ndarray:
        """Return the seconds of all blocks, but for the first ones of each turn."""
        kept = [[seconds for _, seconds in sorted(turn.items())][SETTLE_BLOCKS:] for turn in self.turns]
        return np.array([seconds for turn in kept for seconds in turn])


def p99(seconds: np.ndarray) -> float:
    return float(np.percentile(seconds, 99))


def measure_blocks(chosen: argparse.Namespace) -> None:
    """Play, and print the table."""
    from PySide6.QtWidgets import QApplication

    from jbdiff_live.session import Session, SessionOptions
    from jbdiff_live.start.prepare import load_patch
    from jbdiff_live.status import EngineState
    from jbdiff_live.system.thread_priority import process_goes_first
    from jbdiff_live.ui.drawing import theme

    app = QApplication(sys.argv[:1])
    theme.apply(app)
    process_goes_first()
    found = {"without a window": Times(), "stage view": Times()}
    with tempfile.TemporaryDirectory() as takes:
        session = Session(
            SessionOptions(device="null", midi=(), ladder=False, hop=chosen.hop, takes=Path(takes))
        )
        try:
            load_patch(session, chosen.patch)
            session.open()
            session.start()
            while (status := session.status()).frame < 5 * RATE:  # loaded, warm, and under way
                if status.engine.state is EngineState.FAILED:
                    raise SystemExit(status.engine.detail)
                time.sleep(LOOK_SECONDS)
            _take_turns(app, session, chosen, found)
            duration = session.status().engine.block_duration
        finally:
            session.close()
    print_blocks(chosen, found, duration)


def _take_turns(
    app: QApplication, session: Session, chosen: argparse.Namespace, found: dict[str, Times]
) -> None:
    """Let both kinds take turns. The order changes each time: A B, B A."""
    from jbdiff_live.ui.window import MainWindow

    window = MainWindow(session)
    window._timer.stop()
    window.resize(*(int(part) for part in chosen.size.split("x")))
    for pair in range(chosen.pairs):
        for name in (list(found), list(found)[::-1])[pair % 2]:
            times, short = found[name], session.status().audio.short_frames
            first = max((block.index for block in session.recent_blocks()), default=-1) + 1
            times.turns.append({})
            turn = times.turns[-1]

            def note(first: int = first, turn: dict[int, float] = turn) -> None:
                blocks = session.recent_blocks()
                turn.update({block.index: block.seconds_taken for block in blocks if block.index >= first})

            (_with_window if name == "stage view" else _without)(app, session, window, chosen.seconds, note)
            note()
            times.late += session.status().audio.short_frames - short
            print(f"turn {pair + 1} of {chosen.pairs}, {name}: {len(turn)} blocks", file=sys.stderr)
    window.close()
    window.deleteLater()


def _with_window(
    app: QApplication, session: Session, window: Any, seconds: float, note: Callable[[], None]
) -> None:
    """Run the window's own loop for so long, with a knob that moves."""
    from PySide6.QtCore import QTimer

    from jbdiff_live.parameters import Origin

    noting, sweeping, began = QTimer(), QTimer(), time.monotonic()
    noting.timeout.connect(note)
    noting.start(500)
    sweeping.timeout.connect(
        lambda: session.store.set_normal(
            "brightness", 0.5 + 0.4 * np.sin((time.monotonic() - began) * 2), Origin.MIDI
        )
    )
    sweeping.start(30)
    window.show()
    window._timer.start()
    QTimer.singleShot(round(1000 * seconds), app.quit)
    app.exec()
    window._timer.stop()
    window.hide()
    app.processEvents()


def _without(
    app: QApplication, session: Session, window: Any, seconds: float, note: Callable[[], None]
) -> None:
    """Look at the status now and then, with the same knob that moves."""
    from jbdiff_live.parameters import Origin

    began, noted = time.monotonic(), 0.0
    while (now := time.monotonic() - began) < seconds:
        session.status()
        session.store.set_normal("brightness", 0.5 + 0.4 * np.sin(now * 2), Origin.MIDI)
        if now - noted > 0.5:
            note()
            noted = now
        time.sleep(LOOK_SECONDS)


def print_blocks(chosen: argparse.Namespace, found: dict[str, Times], duration: float) -> None:
    """Print a table in Markdown, and whether the bound holds."""
    bare, stage = (found[name].all() for name in found)
    if min(len(bare), len(stage)) < 2:
        raise SystemExit("no block was made within a turn; give --seconds more")
    command = (
        f"scripts/bench_window.py --pairs {chosen.pairs} --seconds {chosen.seconds:g} --hop {chosen.hop}"
    )
    about = f"patch {chosen.patch}, blocks of {duration:.2f} s, {chosen.size}, {chosen.platform}"
    print(f"\n`{command}`: {about}, {os.cpu_count()} cores.\n")
    print("| | blocks | median, s | p99, s | worst, s | silence for late blocks, s |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, times in found.items():
        seconds = times.all()
        print(f"| {name} | {len(seconds)} | {np.median(seconds):.4f} | {p99(seconds):.4f} | {seconds.max():.4f} | "
              f"{times.late / RATE:.2f} |")  # fmt: skip
    generator = np.random.default_rng(1)
    drawn = [
        p99(generator.choice(stage, len(stage))) / p99(generator.choice(bare, len(bare)))
        for _ in range(DRAWS)
    ]
    low, high = np.percentile(drawn, [5, 95])
    ratio = p99(stage) / p99(bare)
    verdict = "within" if ratio <= 1 + BOUND else "above"
    print(f"\nThe stage view makes the 99th percentile {100 * (ratio - 1):+.1f} % and the median "
          f"{100 * (np.median(stage) / np.median(bare) - 1):+.1f} %: {verdict} the bound of {100 * BOUND:.0f} %. Drawn "
          f"anew from these blocks, nine of ten ratios of the 99th percentiles lie between {100 * (low - 1):+.1f} % "
          f"and {100 * (high - 1):+.1f} %.")  # fmt: skip


# ---------------------------------------------------------------------- one frame, without a model


def measure(frame: Callable[[int], None], frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Return wall and thread milliseconds of each call of `frame`, `[frames]` each."""
    wall, cpu = np.empty(frames), np.empty(frames)
    for i in range(frames):
        started, worked = time.perf_counter(), time.thread_time()
        frame(i)
        wall[i], cpu[i] = time.perf_counter() - started, time.thread_time() - worked
    return wall * 1e3, cpu * 1e3


def row(name: str, wall: np.ndarray, cpu: np.ndarray, frames_per_second: int = 0) -> str:
    p50, p95, p99 = np.percentile(wall, [50, 95, 99])
    second = f"{cpu.mean() * frames_per_second:10.1f}" if frames_per_second else ""
    return f"{name:<42}{p50:8.2f}{p95:8.2f}{p99:8.2f}{wall.max():8.2f}{cpu.mean():10.2f}{second}"


def measure_frames(chosen: argparse.Namespace) -> None:
    """Draw frames of the demo, and print their times. CPU time is that of the window's thread."""
    from demo_transport import DemoTransport
    from PySide6.QtWidgets import QApplication

    from jbdiff_live.parameters import Origin
    from jbdiff_live.ui.drawing import theme
    from jbdiff_live.ui.window import MainWindow

    app = QApplication(sys.argv[:1])
    theme.apply(app)
    print(
        f"{'ms a frame, wall clock':<42}{'p50':>8}{'p95':>8}{'p99':>8}{'worst':>8}{'mean CPU':>10}{'a second':>10}"
    )
    for width, height in ((1280, 720), (1600, 1000), (1920, 1080)):
        demo, now = DemoTransport(round(chosen.block * RATE)), [0.0]
        window = MainWindow(demo, clock=lambda now=now: now[0])
        window._timer.stop()  # this script draws the frames itself, one by one
        window.resize(width, height)
        window.show()
        demo.start()
        size = f"{width}x{height}"

        def frame(window: MainWindow = window) -> None:
            window.frame()
            app.processEvents()

        def played(
            frames: int,
            sweep: bool,
            tight: bool = False,
            demo: DemoTransport = demo,
            now: list[float] = now,
            frame: Callable[[], None] = frame,
            window: MainWindow = window,
        ) -> tuple[np.ndarray, np.ndarray]:
            """Return the times of `frames` frames, after a warm-up in which picture and pace settle."""
            wall, cpu = [], []
            for i in range(-240, frames):
                passed = 1 / window.pace.frames_per_second
                demo.advance(passed)
                now[0] += passed
                if tight:
                    engine = demo.state.engine
                    demo.set_status(engine=replace(engine, block_seconds=TIGHT * engine.block_duration))
                for name in SWEPT if sweep else ():
                    demo.store.set_normal(name, 0.5 + 0.4 * np.sin(now[0] * 10 / 3), Origin.MIDI)
                one = measure(lambda _: frame(), 1)
                if i >= 0:
                    wall.append(one[0][0])
                    cpu.append(one[1][0])
            return np.array(wall), np.array(cpu)

        for name, sweep, tight in (
            ("playing", False, False),
            ("three knobs swept", True, False),
            ("three knobs swept, time is short", True, True),
        ):
            wall, cpu = played(chosen.frames, sweep, tight)
            print(row(f"{size} {name}", wall, cpu, window.pace.frames_per_second))
        wall, cpu = measure(lambda _, window=window: window.scope.repaint(), chosen.frames // 2)
        print(row(f"{size}   scope repaint alone", wall, cpu))
        wall, cpu = measure(lambda _, window=window: window.grab(), 60)
        print(row(f"{size} everything repainted", wall, cpu))
        window.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--platform", default="offscreen")
    parser.add_argument("--pairs", type=int, default=5, help="turns of each kind")
    parser.add_argument("--seconds", type=float, default=30.0, help="of one turn")
    parser.add_argument("--patch", default="drift")
    parser.add_argument("--hop", type=int, default=48, help="tokens in a block")
    parser.add_argument("--size", default="1600x1000", help="of the window")
    parser.add_argument("--frames", type=int, default=0, help="measure so many frames, and no blocks")
    parser.add_argument(
        "--block", type=float, default=0.75, help="with --frames: seconds of sound in a block"
    )
    chosen = parser.parse_args()
    os.environ["QT_QPA_PLATFORM"] = chosen.platform
    measure_frames(chosen) if chosen.frames else measure_blocks(chosen)


if __name__ == "__main__":
    main()
