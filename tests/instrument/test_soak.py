"""Half an hour on a stage: real JACK, the window open, a take, controls swept over MIDI. Run with `-m soak`.

JBDIFF_SOAK_MINUTES and JBDIFF_SOAK_PATCH change how long and with what; `scripts/soak` prints the same as a table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from servers import need

ROOT = Path(__file__).resolve().parents[2]
MOST_GROWTH = 50 * 2**20  # bytes after the warm-up
MINUTES = float(os.environ.get("JBDIFF_SOAK_MINUTES", "30"))
PATCH = os.environ.get("JBDIFF_SOAK_PATCH", "drift")
# Frames may be counted a period apart on either side, and a late server's frame time is a guess of its own.
CLOSE_PERIODS = 4
MOST_AT_ONCE = 6  # messages that are sent in one period

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    need("jackd", "Xvfb")
    out = tmp_path_factory.mktemp("soak") / "figures.json"
    command = [sys.executable, str(ROOT / "scripts" / "soak"), "--minutes", str(MINUTES), "--patch", PATCH]
    subprocess.run([*command, "--json", str(out)], check=True, timeout=60 * MINUTES + 300)
    figures: dict[str, Any] = json.loads(out.read_text())
    return figures


def test_nothing_is_missing_from_the_sound(found: dict[str, Any]) -> None:
    assert found["short ring ran dry"] == 0
    assert found["frames missing"] == 0
    assert found["late blocks"] == 0
    assert found["problems"] == []


def test_it_keeps_up_with_the_window_open(found: dict[str, Any]) -> None:
    assert found["block p99"] < found["block lasts"]
    assert found["rungs"].get("full", 0) > 0.95 * found["blocks"]


def test_what_is_played_and_the_device_stay_together(found: dict[str, Any]) -> None:
    # The server goes on without a client that it finds late: a starved machine, seen on an idle one too (once in 10 s).
    lost = found["xruns by client"].get("PortAudio", 0)
    assert all(
        abs(frames) <= found["period"] * (CLOSE_PERIODS + lost) for frames in found["lead over server"]
    )


def test_memory_does_not_grow(found: dict[str, Any]) -> None:
    began, ended, _ = found["memory"]
    assert ended - began < MOST_GROWTH


def test_the_take_holds_all_of_it_and_every_knob_was_heard(found: dict[str, Any]) -> None:
    assert found["dropped blocks"] == 0
    assert found["take frames"] >= 0.99 * found["minutes"] * 60 * 44_100
    # A client that the server finds late, the sender or ours, misses a period's messages.
    late = sum(found["xruns by client"].get(name, 0) for name in ("jbdiff-live", "sweeps"))
    assert found["messages heard"] >= found["messages sent"] - MOST_AT_ONCE * late
