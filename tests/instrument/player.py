"""A process that plays a test sound through a real sink, told what to do by lines on its standard input.

    python player.py ramp|sine
    commands: open NAME, start, stop, record heard|engine|both FOLDER, finish, hold, go, stall SECONDS, input NAME,
    latest, status, list, patience SECONDS

`record` begins a take in FOLDER, and `finish` stops the sound and closes it. `hold` makes the blocks late until `go`;
`stall` lets no Python thread run, so that the short ring runs dry. Each command is answered by one line of JSON.
`Player` is the other side, for tests.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from servers import ramp

from jbdiff_live.block import Block
from jbdiff_live.record.running import Facts
from jbdiff_live.system.thread_priority import process_goes_first

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


class Machine:
    """The sound of this process: a maker of blocks, ring, device, input and recorder."""

    def __init__(self, sound: str) -> None:
        from jbdiff_live.audio.device import DeviceSink
        from jbdiff_live.audio.input import LiveInput
        from jbdiff_live.audio.live.chain import InputChain
        from jbdiff_live.parameters import ParameterStore
        from jbdiff_live.record.heard import HeardTap
        from jbdiff_live.record.recorder import Recorder
        from jbdiff_live.ring import RingBuffer

        self._sound = sound
        self._store = ParameterStore()
        self.ring = RingBuffer(RATE, 2)
        self._tap = HeardTap(RATE, 2)
        self.sink = DeviceSink(self.ring, lambda: self._store.snapshot, heard=self._tap.put)
        self._chain = InputChain(RATE)
        self.live = LiveInput(RATE, self._chain)
        self._make_recorder = lambda sound: Recorder(RATE, 2, tap=self._tap, sound=sound, facts=self._facts)
        self._recorder: Recorder | None = None
        self._blocks: deque[Block] = deque(
            maxlen=RATE // BLOCK + 2
        )  # those that the ring holds, and one more
        self._lock = threading.Lock()  # a take begins with the blocks so far, and gets each later one
        self._made = 0
        self._held, self._done = threading.Event(), threading.Event()
        self._maker = threading.Thread(target=self._make)
        self._maker.start()

    def close(self) -> None:
        self._done.set()
        self._maker.join()
        self.sink.close()
        self.live.close()
        if self._recorder is not None:
            self._recorder.close()

    def _make(self) -> None:
        while not self._done.is_set():
            if self._held.is_set() or self.ring.room < BLOCK:
                self._done.wait(0.01)
                continue
            samples = self._samples()
            with self._lock:
                block = Block(
                    samples, self._made // BLOCK, self._made, self._store.snapshot, self._sound, 0.0
                )
                self._blocks.append(block)
                if self._recorder is not None:
                    self._recorder.offer(block)
                self._made += self.ring.write(samples)

    def _samples(self) -> np.ndarray:
        if self._sound == "ramp":
            return ramp(self._made + 1, BLOCK)
        wave = 0.5 * np.sin(2 * np.pi * SINE_HZ / RATE * (self._made + np.arange(BLOCK)))
        return np.repeat(wave[:, None], 2, axis=1).astype(np.float32)

    def _facts(self) -> Facts:
        """Return what a take logs, as a session gives it. The frame comes last, so no hole lies behind it."""
        status = self.sink.status()
        states = {"device": status.device, "device_problem": status.problem}
        return Facts(self.sink.frames_heard, states, status.underruns, status.short_frames)

    def _record(self, rest: str) -> None:
        sound, folder = rest.split(" ", 1)
        recorder = self._make_recorder(sound)
        with self._lock:
            start = self.sink.frames_heard
            recorder.start(Path(folder), start, {}, [b for b in self._blocks if b.end_frame > start])
            self._recorder = recorder

    def _finish(self) -> None:
        """Stop the sound and close the take, in the order of `Session.stop`."""
        frame = self.sink.frames_heard
        self.sink.stop()
        if self._recorder is not None:
            self._recorder.stop(frame)

    def answer(self, command: str, rest: str) -> object:
        """Obey a command. Return the answer."""
        from jbdiff_live.audio import portaudio
        from jbdiff_live.audio.names import names_or_reason

        match command:
            case "open":
                self.sink.open(rest or None)
            case "start":
                self.sink.start()
            case "stop":
                self.sink.stop()
            case "record":
                self._record(rest)
            case "finish":
                self._finish()
            case "hold":  # late blocks
                self._held.set()
            case "go":
                self._held.clear()
            case "stall":  # no thread of this process gets Python's lock meanwhile
                ctypes.PyDLL(None).usleep(round(1e6 * float(rest)))
            case "patience":  # with a sound server that hangs
                portaudio.ANSWER_SECONDS = float(rest)
            case "input":
                self.live.open(rest or None)
            case "latest":
                return [float(x) for x in self._chain.past.mono(4410)[0]]
            case "list":
                return names_or_reason("output")[0]
        heard, read = self.sink.frames_heard, self.ring.frames_read
        return {**asdict(self.sink.status()), "heard": heard, "read": read, "input": self.live.device,
                "queued": self.ring.available + read - heard}  # fmt: skip


def main() -> None:
    process_goes_first()
    sys.setswitchinterval(0.0005)
    machine = Machine(sys.argv[1])
    try:
        for line in sys.stdin:
            command, _, rest = line.strip().partition(" ")
            try:
                result = machine.answer(command, rest)
            except RuntimeError as error:
                result = {"error": str(error)}
            print(json.dumps(result, default=str), flush=True)
    finally:
        machine.close()


if __name__ == "__main__":
    main()
