#!/usr/bin/env python3
"""Measures the window: milliseconds of one frame (poll, spectrogram columns, repaint) while it plays. Prints a table.

    scripts/bench_window.py                     offscreen
    xvfb-run -a -s '-screen 0 1920x1080x24' scripts/bench_window.py --platform xcb

No model and no sound run at the same time; start one to see the difference. Wall time is the time that the player
waits. CPU time is the use of a core by this thread, in the mean frame and in a second at the window's own pace. The
thread that makes the blocks cannot use that time.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

SWEPT = ("noise_step", "gain", "seed")
RATE = 44_100
TIGHT = 0.7  # share of a block's length that its work takes in the rows "time is short"
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "ui")]


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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--platform", default="offscreen")
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--block", type=float, default=0.75, help="seconds of sound in a block")
    chosen = parser.parse_args()
    os.environ["QT_QPA_PLATFORM"] = chosen.platform

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


if __name__ == "__main__":
    main()
