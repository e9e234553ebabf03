"""The instrument as a person starts it, on a real JACK server: what reaches the device is what the model made."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from controllers import Sender
from servers import JackServer, jack_server, need, wait_for

from jbdiff_live.audio.switch import HEADROOM_DB
from jbdiff_live.block import NoiseDrawn
from jbdiff_live.record.take import ActionEvent, BlockEvent, ChangeEvent, Take, open_take

RATE = 44_100

# A server that waits for a processor makes holes nobody can tell from ours; a fault of ours shows every time.
pytestmark = [pytest.mark.flaky(reruns=2), pytest.mark.realtime]


@pytest.fixture
def jack() -> Iterator[JackServer]:
    need("jackd", "jack_rec")
    with jack_server(rate=RATE, period=1024, synchronous=True) as server:
        yield server


@contextmanager
def playing(server: JackServer, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The instrument without a window on the server, recording into folder/takes; ended with the test."""
    command = [sys.executable, "-m", "jbdiff_live", "--headless", "--record", "takes", "--take", "engine"]
    command += arguments
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(
            command, cwd=folder, stdout=said, stderr=said, text=True,
            env={**server.env, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "HOME": str(folder)},
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(300)


def said(folder: Path) -> str:
    return (folder / "said.txt").read_text()


def the_take(folder: Path) -> Take:
    (only,) = (folder / "takes").iterdir()
    return open_take(only)


# jack_rec writes 32-bit integers, coarser than float32 near silence: what is hardly above it looks alike everywhere.
RESOLUTION = 2.0**-30
AUDIBLE = 1e-4


SETTLE = 441  # frames of fade after any silence: 5 ms when the short ring ran dry, 10 ms at the start


def place_of(part: np.ndarray, whole: np.ndarray, begin: int = 0) -> int:
    """The first place from `begin` on where `part` `[n, 2]` stands in `whole`, sample by sample.

    AssertionError when it stands nowhere. A late block repeats earlier sound, so a part may have several places.
    """
    alike = np.abs(whole[begin : len(whole) - len(part) + 1, 0] - part[0, 0]) < RESOLUTION
    for start in begin + np.flatnonzero(alike):
        if np.abs(whole[start : start + len(part)] - part).max() < RESOLUTION:
            return int(start)
    raise AssertionError("this stretch of the capture is nowhere in what the engine made")


def stretches(captured: np.ndarray, made: np.ndarray) -> list[tuple[int, int]]:
    """Stretches `(first, end)` of `made` that stand in `captured` `[n, 2]` one after the other, sample by sample.

    Only silence may stand between them, and a fade of `SETTLE` frames behind it.
    """
    found: list[tuple[int, int]] = []
    sounding = np.flatnonzero((np.abs(captured) >= AUDIBLE).any(axis=1))
    here, last = int(sounding[0]), int(sounding[-1])
    while here + 2 * SETTLE < last:
        here += SETTLE
        first = place_of(captured[here : here + 256], made, found[-1][1] if found else 0)
        count = min(len(captured) - here, len(made) - first)
        error = np.abs(captured[here : here + count] - made[first : first + count]).max(axis=1)
        different = np.flatnonzero(error >= RESOLUTION)
        length = int(different[0]) if len(different) else count
        found.append((first, first + length))
        here += length
        if first + length == len(made) or here + SETTLE >= last:
            break  # the take ends a little before the sound does
        silent = np.abs(captured[here]).max() < RESOLUTION
        assert silent, f"frame {here} of the capture is neither what was made nor silence"
        here += int(np.flatnonzero((np.abs(captured[here:]) >= AUDIBLE).any(axis=1))[0])
    return found


def blocks_made(folder: Path) -> int:
    """How many blocks the log of the take has so far."""
    return sum(log.read_text().count('"block"') for log in (folder / "takes").glob("*/events.jsonl"))


def run_and_capture(jack: JackServer, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """37 s of the instrument: what the server was given, and what the engine made, both at the same level."""
    # Quieter than made, so that the limiter stays out of it: then every sample is known.
    arguments = ["--seconds", "37", "--context", "context.wav", "--set", "gain=-12"]
    with playing(jack, folder, *arguments) as process:
        # The capture begins with the music. How long the model takes to load depends on the machine.
        wait_for(lambda: blocks_made(folder) or process.poll() is not None, "the first block", 300)
        assert process.poll() is None, said(folder)
        with jack.capturing(40) as heard:
            captured = heard()
        assert process.wait(300) == 0, said(folder)
    return captured, the_take(folder).read() * np.float32(10 ** ((-12 - HEADROOM_DB) / 20))


def test_thirty_seconds_reach_the_device_sample_by_sample(jack: JackServer, tmp_path: Path) -> None:
    """Every frame that was made is heard, in order; where a machine starves the feeder, with holes it owns up to."""
    t = np.arange(6 * RATE) / RATE
    sound = 0.4 * np.sin(2 * np.pi * 55 * t) * np.exp(-8 * (t % 0.5))
    soundfile.write(tmp_path / "context.wav", sound, RATE)
    captured, made = run_and_capture(jack, tmp_path)
    heard = stretches(captured, made)
    assert sum(end - first for first, end in heard) >= 30 * RATE
    for (_, end), (first, _) in itertools.pairwise(heard):
        assert 0 <= first - end <= SETTLE, f"{first - end} frames are missing between two stretches"
    ((underruns, late),) = re.findall(r"Underruns: (\d+)\. Late blocks: (\d+)\.", said(tmp_path))
    assert len(heard) - 1 <= int(underruns) + int(late), said(tmp_path)


SEED = round(64 / 127 * 16383)  # where the knob of the test below ends


def test_a_knob_in_another_process_changes_the_parameter_and_then_the_sound(
    jack: JackServer, tmp_path: Path
) -> None:
    """Each message is sent when the log shows what the one before it did: no step waits for a number of seconds."""

    def logged() -> list[ActionEvent | BlockEvent | ChangeEvent]:
        return [
            event
            for event in the_take(tmp_path).events()
            if isinstance(event, ActionEvent | BlockEvent | ChangeEvent)
        ]

    def blocks_of_the_seed() -> list[BlockEvent]:
        return [event for event in logged() if isinstance(event, BlockEvent) and event.values["seed"] == SEED]

    with playing(jack, tmp_path, "--seconds", "900", "--patch", "drift") as process:
        wait_for(lambda: len(jack.outputs()) >= 2 or process.poll() is not None, "our ports")
        assert process.poll() is None, said(tmp_path)
        controller = Sender("controller", jack.env)
        try:
            wait_for(lambda: any("jbdiff-live" in p and "in" in p for p in jack.ports()), "our MIDI input")
            takes = tmp_path / "takes"
            wait_for(lambda: list(takes.glob("*/events.jsonl")), "the take", 120)
            wait_for(lambda: any(isinstance(event, BlockEvent) for event in logged()), "a block before", 120)
            for number, end in ((73, 64), (74, 127)):  # each passes its value, and takes over
                for value in (0, 127, end):
                    controller.send(f"control_change control={number} value={value}")
            controller.send("note_on channel=9 note=36 velocity=90")  # C1 on the pads' channel: re-roll
            wait_for(lambda: any(isinstance(event, ActionEvent) for event in logged()), "the re-roll")
            wait_for(lambda: len(blocks_of_the_seed()) >= 2, "two blocks of the new seed", 300)
            assert np.abs(jack.capture(5)).max() > 0.001, "it is heard before the gain goes down"
            controller.send("control_change control=7 value=127", "control_change control=7 value=0")
            wait_for(
                lambda: any(
                    isinstance(e, ChangeEvent) and e.name == "gain" and e.value == -60 for e in logged()
                ),
                "the gain",
            )
            # The gain acts at once: the device falls silent while the take, which has no gain, goes on.
            silent_from = the_take(tmp_path).frames
            captured = jack.capture(5)
            wait_for(lambda: the_take(tmp_path).frames > silent_from + 5 * RATE, "the take goes on")
        finally:
            controller.pull()
        process.terminate()
        assert process.wait(120) == 0, said(tmp_path)
    changes = {event.name: event for event in logged() if isinstance(event, ChangeEvent)}
    assert changes["noise_step"].value == 1.0 and changes["noise_step"].origin == "midi"
    assert changes["seed"].value == SEED and changes["seed"].origin == "midi"
    assert any(event.name == "reroll" for event in logged() if isinstance(event, ActionEvent))
    blocks = [event for event in logged() if isinstance(event, BlockEvent)]
    before = [block for block in blocks if block.version < changes["seed"].version]
    after = [block for block in blocks if block.version >= changes["seed"].version]
    assert before and after
    assert {block.values["seed"] for block in after} == {SEED}
    # A block that came too late is the last one once more, and has no noise of its own.
    assert {noise.seed for block in after if isinstance(noise := block.noise, NoiseDrawn)} == {SEED}
    assert np.abs(captured[-RATE // 2 :]).max() == 0.0
    assert np.abs(the_take(tmp_path).read()[silent_from:]).max() > 0.001
