"""Real sound servers for tests: JACK with its dummy driver and PulseAudio with a null sink, each private.

PortAudio must find a server running when it is imported, so what plays runs in a process of its own with
`server.env`. Nothing here is a mock: what is captured is what the server was given.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
import soundfile

PATIENCE = 180.0
# A server that waits for a processor makes holes of its own. Where this is not allowed `nice` says so and goes on.
GO_FIRST = ("nice", "-n", "-15")
CAPTURE_BUFFER = (
    1 << 20
)  # frames: the default, 16384, overruns beside other jobs, and what follows is shifted noise
RAMP = (
    2.0**-24
)  # one step of the test ramp: exact in float32, and below the limiter's ceiling for five minutes


def wait_for(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Waits until `condition` holds; AssertionError naming `what` when it does not in time."""
    until = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < until, f"not within {seconds:g} s: {what}"
        pause.wait(0.02)


def need(*programs: str) -> None:
    """Skips the test when a server program is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed; scripts/test installs it")


def ramp(start: int, frames: int) -> np.ndarray:
    """Test sound float32 `[frames, 2]`: left counts up by `RAMP` a frame, right counts down."""
    left = ((start + np.arange(frames)) * RAMP).astype(np.float32)
    return np.stack([left, -left], axis=1)


def ramp_breaks(heard: np.ndarray, settle: int = 2048) -> tuple[int, np.ndarray]:
    """Frames compared, and where the ramp in `heard` `[frames, 2]` does not go on by exactly one step.

    Silence at both ends is left out, and `settle` frames inside it: that is where sound fades in and out.
    """
    sounding = np.flatnonzero(np.abs(heard[:, 0]) > RAMP / 2)
    if len(sounding) == 0:
        return 0, np.zeros(0, np.int64)
    inside = heard[sounding[0] + settle : sounding[-1] + 1 - settle].astype(np.float64) / RAMP
    steps = np.diff(inside, axis=0)
    return len(inside), np.flatnonzero((steps[:, 0] != 1.0) | (steps[:, 1] != -1.0))


class Capture(Protocol):
    """What `JackServer.capturing` gives."""

    def __call__(self, end_now: bool = False) -> np.ndarray: ...


class _Server(ABC):
    """A server process that can be killed and started again."""

    def __init__(self, command: list[str], folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.env = {**os.environ, **env}
        self._name = command[0]
        self._command = [*GO_FIRST, *command]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")

    def start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env
            )
        process = self._process
        wait_for(lambda: self.ready() or process.poll() is not None, f"{self._name} answers")
        assert process.poll() is None, f"{self._name} ended by itself; its log:\n{self.log[-2000:]}"

    @abstractmethod
    def ready(self) -> bool:
        """Return True if the server answers."""

    def kill(self) -> None:
        """As if the plug was pulled."""
        self._end(signal.SIGKILL)

    def hang(self) -> None:
        """It is there, and answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)  # one that hangs would not see the other signal
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE)


def _jack_runs() -> bool:
    return subprocess.run(["pgrep", "-x", "jackd"], stdout=subprocess.DEVNULL).returncode == 0


def _forget_dead_jack_servers() -> None:
    """Clears JACK's registry, which fills up with servers that were killed; only while no server runs at all."""
    for path in Path("/dev/shm").glob("jack-*"):
        path.unlink(missing_ok=True)


class JackServer(_Server):
    def __init__(self, name: str, folder: Path, rate: int, period: int, synchronous: bool) -> None:
        self.name, self.rate, self.period = name, rate, period
        self._killed = False
        options = ["-S"] if synchronous else []
        command = ["jackd", "-R", *options, "-n", name, "-d", "dummy", "-r", str(rate), "-p", str(period)]
        super().__init__(command, folder, {"JACK_DEFAULT_SERVER": name, "JACK_NO_START_SERVER": "1"})

    def start(self) -> None:
        try:
            super().start()
        except AssertionError:
            # Servers of test runs that were themselves killed still fill the registry.
            if "Too many servers" not in self.log or _jack_runs():
                raise
            _forget_dead_jack_servers()
            super().start()

    def kill(self) -> None:
        super().kill()
        self._killed = True

    def stop(self) -> None:
        # The registry of servers has eight places, and a killed one keeps its place until one of its name ends.
        if self._killed and self._process is None:
            self.start()
        super().stop()

    def ready(self) -> bool:
        return self._tool("jack_lsp").returncode == 0

    def _tool(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=PATIENCE)

    def ports(self) -> list[str]:
        return self._tool("jack_lsp").stdout.split()

    def outputs(self) -> list[str]:
        """The ports of our stream, left first."""
        return [port for port in self.ports() if port.startswith("PortAudio:out_")]

    def wait_port(self, port: str) -> None:
        wait_for(lambda: port in self.ports(), f"port {port}")

    def connect(self, source: str, target: str) -> None:
        self.wait_port(source)
        self.wait_port(target)
        self._tool("jack_connect", source, target)

    @contextlib.contextmanager
    def capturing(self, seconds: int, ports: tuple[str, ...] = ()) -> Iterator[Capture]:
        """Captures in the background; calling the yielded function waits for the sound, `[frames, ports]`.

        With True it does not wait for the end: it returns the sound up to half a second from now, or to the server's
        death.
        """
        if not ports:  # PortAudio goes on counting when it opens another stream
            wait_for(lambda: len(self.outputs()) >= 2, "our output ports")
            ports = tuple(self.outputs()[:2])
        for port in ports:
            self.wait_port(port)
        path = self.folder / f"{uuid.uuid4().hex}.wav"
        process = subprocess.Popen(
            [*GO_FIRST, "jack_rec", "-f", str(path), "-d", str(seconds), "-b", "32", "-B", str(CAPTURE_BUFFER), *ports],
            env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

        def grown_to(size: int) -> bool:
            return process.poll() is not None or (path.exists() and path.stat().st_size >= size)

        def heard(end_now: bool = False) -> np.ndarray:
            if end_now:
                more = path.stat().st_size + len(ports) * 4 * self.rate // 2
                wait_for(lambda: grown_to(more), "half a second more is captured")
                process.terminate()
            _, complaint = process.communicate(timeout=seconds + PATIENCE)
            assert "overruns" not in complaint, complaint
            return soundfile.read(path, dtype="float32", always_2d=True)[0]

        try:
            wait_for(lambda: grown_to(1024), "jack_rec captures")
            yield heard
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(PATIENCE)

    def capture(self, seconds: int, ports: tuple[str, ...] = ()) -> np.ndarray:
        """What these ports give for so long, float32 `[frames, ports]`; default: PortAudio's stereo output."""
        with self.capturing(seconds, ports) as heard:
            return heard()


class PulseServer(_Server):
    sink = "cap"

    def __init__(self, folder: Path, rate: int) -> None:
        self.rate = rate
        (folder / "run").mkdir(mode=0o700)
        (folder / "home").mkdir()
        (folder / "home/.asoundrc").write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
        (folder / "null.pa").write_text(
            "load-module module-native-protocol-unix auth-anonymous=1\n"
            f"load-module module-null-sink sink_name=cap rate={rate} channels=2 format=float32le\n"
            "set-default-sink cap\n"
        )
        command = ["pulseaudio", "-n", "-F", str(folder / "null.pa"), "--daemonize=no", "--exit-idle-time=-1"]
        super().__init__(
            [*command, "--high-priority=no", "--realtime=no"],
            folder,
            {"XDG_RUNTIME_DIR": str(folder / "run"), "HOME": str(folder / "home")},
        )

    def ready(self) -> bool:
        found = subprocess.run(
            ["pactl", "list", "short", "sinks"],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return "cap" in found.stdout

    @contextlib.contextmanager
    def capturing(self) -> Iterator[Callable[[], np.ndarray]]:
        """Captures from here on; calling the yielded function ends it, `[frames, 2]`."""
        path = self.folder / f"{uuid.uuid4().hex}.raw"
        command = ["parec", "-d", "cap.monitor", "--format=float32le", f"--rate={self.rate}", "--channels=2"]
        with path.open("wb") as out:
            process = subprocess.Popen(
                [*GO_FIRST, *command, "--latency-msec=20"],
                env=self.env,
                stdout=out,
                stderr=subprocess.DEVNULL,
            )

        def heard() -> np.ndarray:
            process.terminate()
            process.wait(PATIENCE)
            data = path.read_bytes()
            return np.frombuffer(data[: len(data) // 8 * 8], np.float32).reshape(-1, 2)

        try:
            wait_for(lambda: path.stat().st_size > 0, "parec captures")
            yield heard
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(PATIENCE)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    # A short path: PulseAudio's socket lies in it, and a socket's path has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="jbl-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextlib.contextmanager
def jack_server(rate: int = 44_100, period: int = 1024, synchronous: bool = True) -> Iterator[JackServer]:
    """A running JACK server of a fresh name. Synchronous to compare samples; asynchronous to measure time."""
    need("jackd", "jack_rec", "jack_lsp", "jack_connect")
    with _folder() as folder:
        server = JackServer(f"jbl{uuid.uuid4().hex[:10]}", folder, rate, period, synchronous)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def pulse_server(rate: int = 44_100) -> Iterator[PulseServer]:
    """A running PulseAudio whose only sink is a null sink; its monitor is captured."""
    need("pulseaudio", "pactl", "parec")
    with _folder() as folder:
        server = PulseServer(folder, rate)
        try:
            server.start()
            yield server
        finally:
            server.stop()
