#!/usr/bin/env python3
"""Times the window: milliseconds of one frame (poll, spectrogram columns, repaint) while it plays. Prints a table.

    scripts/bench_window.py                     offscreen
    xvfb-run -a -s '-screen 0 1920x1080x24' scripts/bench_window.py --platform xcb

No model and no sound run beside it; start one to see the difference. Process time is what this one thread took,
wall time what the player waited.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

TURNED = ("noise_step", "gain", "seed")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "ui")]


def measure(frame: Callable[[int], None], frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Wall and thread milliseconds of each call of `frame`."""
    wall, cpu = np.empty(frames), np.empty(frames)
    for i in range(frames):
        started, worked = time.perf_counter(), time.thread_time()
        frame(i)
        wall[i], cpu[i] = time.perf_counter() - started, time.thread_time() - worked
    return wall * 1e3, cpu * 1e3


def row(name: str, wall: np.ndarray, cpu: np.ndarray) -> str:
    p50, p95, p99 = np.percentile(wall, [50, 95, 99])
    return f"{name:<38}{p50:8.2f}{p95:8.2f}{p99:8.2f}{wall.max():8.2f}{cpu.mean():10.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--platform", default="offscreen")
    parser.add_argument("--frames", type=int, default=600)
    chosen = parser.parse_args()
    os.environ["QT_QPA_PLATFORM"] = chosen.platform

    from demo_transport import DemoTransport
    from PySide6.QtWidgets import QApplication

    from jbdiff_live.ui import theme
    from jbdiff_live.ui.window import MainWindow

    app = QApplication(sys.argv[:1])
    theme.apply(app)
    print(f"{'ms a frame, wall clock':<38}{'p50':>8}{'p95':>8}{'p99':>8}{'worst':>8}{'mean CPU':>10}")
    for width, height in ((1280, 720), (1600, 1000), (1920, 1080)):
        demo, now = DemoTransport(), [0.0]
        window = MainWindow(demo, clock=lambda now=now: now[0])
        window._timer.stop()  # frames come from here, one by one
        window.resize(width, height)
        window.show()
        demo.start()

        def play(demo: DemoTransport = demo, now: list[float] = now) -> None:
            demo.advance(1 / 30)
            now[0] += 1 / 30

        def frame(_: int, window: MainWindow = window) -> None:
            window.look()
            app.processEvents()

        for i in range(360):  # twelve seconds: the picture is full
            play()
            frame(i)
        size = f"{width}x{height}"
        results: dict[str, list[np.ndarray]] = {"whole frame": [], "  of it: look (poll, columns)": []}
        for _ in range(chosen.frames):
            play()
            look = measure(lambda _, window=window: window.look(), 1)
            paint = measure(lambda _: app.processEvents(), 1)
            results["whole frame"].append(np.add(look, paint))
            results["  of it: look (poll, columns)"].append(np.array(look))
        for name, found in results.items():
            times = np.array(found)
            print(row(f"{size} {name}", times[:, 0, 0], times[:, 1, 0]))

        def busy(i: int, window: MainWindow = window) -> None:
            for name in TURNED:
                knob = window.tiles[name].parameter  # type: ignore[attr-defined]
                window.set_parameter(name, knob.from_normal(0.5 + 0.4 * np.sin(i / 9)))
            frame(i, window)

        wall, cpu = [], []
        for i in range(chosen.frames // 2):
            play()
            one = measure(lambda _, i=i, busy=busy: busy(i), 1)
            wall.append(one[0][0])
            cpu.append(one[1][0])
        print(row(f"{size} and three knobs turned", np.array(wall), np.array(cpu)))
        wall_, cpu_ = measure(lambda _, window=window: window.scope.repaint(), chosen.frames // 2)
        print(row(f"{size}   scope repaint alone", wall_, cpu_))
        wall_, cpu_ = measure(lambda _, window=window: window.grab(), 60)
        print(row(f"{size} everything repainted", wall_, cpu_))
        window.close()


if __name__ == "__main__":
    main()
