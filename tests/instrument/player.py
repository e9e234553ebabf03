"""A process that plays a test sound through a real sink, told what to do by lines on its standard input.

    python player.py ramp|sine
    commands: open NAME, start, stop, input NAME, latest, status, list, patience SECONDS

Each command is answered by one line of JSON. `Player` is the other side, for tests.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
RATE = 44_100
SINE_HZ = 441.0
BLOCK = 6000


class Player:
    """A running player process; `ask` sends one command and returns its answer."""

    def __init__(self, env: dict[str, str], sound: str = "ramp") -> None:
        env = {**env, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
        self._process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", __file__, sound],
            env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        self._answers: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, name="player's answers")
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def ask(self, command: str, timeout: float = 90.0) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        answer = self._answers.get(timeout=timeout)
        assert answer, f"the player ended at {command!r} with code {self._process.wait(90)}"
        result = json.loads(answer)
        if isinstance(result, dict) and "error" in result:
            raise RuntimeError(result["error"])
        return result

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self.code = self._process.wait(90)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self.code = self._process.wait(90)
        self.code = self._process.returncode
        self._reader.join(90)
        assert self._process.stdout is not None
        self._process.stdout.close()


def main() -> None:
    from servers import ramp

    from jbdiff_live.audio import portaudio
    from jbdiff_live.audio.device import DeviceSink
    from jbdiff_live.audio.input import LiveInput
    from jbdiff_live.audio.live.chain import InputChain
    from jbdiff_live.audio.names import names_or_reason
    from jbdiff_live.parameters import ParameterStore
    from jbdiff_live.ring import RingBuffer
    from jbdiff_live.system.thread_priority import process_goes_first

    process_goes_first()
    store = ParameterStore()
    ring = RingBuffer(RATE, 2)
    sink = DeviceSink(ring, lambda: store.snapshot)
    chain = InputChain(RATE)
    live = LiveInput(RATE, chain)
    done = threading.Event()

    def make() -> None:
        made = 0
        while not done.is_set():
            if sys.argv[1] == "sine":
                wave = 0.5 * np.sin(2 * np.pi * SINE_HZ / RATE * (made + np.arange(BLOCK)))
                block = np.repeat(wave[:, None], 2, axis=1).astype(np.float32)
            else:
                block = ramp(made + 1, BLOCK)
            while ring.room < BLOCK and not done.wait(0.01):
                continue
            made += ring.write(block)

    def answer(command: str, rest: str) -> object:
        match command:
            case "open":
                sink.open(rest or None)
            case "start":
                sink.start()
            case "stop":
                sink.stop()
            case "patience":  # with a sound server that hangs
                portaudio.ANSWER_SECONDS = float(rest)
            case "input":
                live.open(rest or None)
            case "latest":
                return [float(x) for x in chain.past.mono(4410)[0]]
            case "list":
                return names_or_reason("output")[0]
        status = asdict(sink.status())
        return {**status, "heard": sink.frames_heard, "read": ring.frames_read, "input": live.device,
                "queued": ring.available + ring.frames_read - sink.frames_heard}  # fmt: skip

    sys.setswitchinterval(0.0005)
    maker = threading.Thread(target=make)
    maker.start()
    try:
        for line in sys.stdin:
            command, _, rest = line.strip().partition(" ")
            try:
                result = answer(command, rest)
            except RuntimeError as error:
                result = {"error": str(error)}
            print(json.dumps(result, default=str), flush=True)
    finally:
        done.set()
        maker.join()
        sink.close()
        live.close()


if __name__ == "__main__":
    main()
