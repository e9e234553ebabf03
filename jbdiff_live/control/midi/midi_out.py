"""Send MIDI: feedback to controllers, and measures of the music to a rack.

Threads: one of its own, from `start` to `stop`, which owns every output. `port`, `status` and `wake` may be called from
any thread. While a wanted output is missing, it looks once a second. While an output is open, it sends every 20 ms.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jbdiff_live.clock import MACHINE, Clock
from jbdiff_live.control.midi.clients import DEVICE_ERRORS
from jbdiff_live.control.midi.out_ports import OutPort, OutPorts
from jbdiff_live.control.names import Port, free_name, matches, model

log = logging.getLogger(__name__)

SEND_SECONDS = 0.020
LOOK_SECONDS = 1.0
JOIN_SECONDS = 2.0

Due = Callable[[float], Sequence[bytes]]  # the messages to send at this time


@dataclass
class _Wanted:
    """A wanted output. names: parts of its name. nth: which of several that fit, from 0."""

    names: tuple[str, ...]
    nth: int
    due: Due
    open: OutPort | None = None
    at: Port | None = None


@dataclass(frozen=True)
class SenderStatus:
    """connected: open outputs, by their purpose. missing: wanted outputs that are absent."""

    connected: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    sent: int = 0
    problem: str = ""


@dataclass
class MidiSender:
    """Sends to any number of outputs. `want` adds one, `let_go` removes one. Call `start`, and `stop` at the end."""

    ports: OutPorts
    clock: Clock = MACHINE
    _wanted: dict[str, _Wanted] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)  # guards the table above, not the outputs
    _wake: threading.Event = field(default_factory=threading.Event)
    _stopping: bool = False
    _thread: threading.Thread | None = None
    _look_at: float = float("-inf")  # when to list the outputs next; sender's thread only
    _gone: list[OutPort] = field(default_factory=list)  # to be closed by the thread
    _sent: int = 0
    _problem: str = ""

    # ------------------------------------------------------------------ any thread

    def want(self, key: str, names: Sequence[str], due: Due, nth: int = 0) -> None:
        """Open the output whose name has one of `names`, and send it what `due` returns. key: its purpose."""
        with self._lock:
            old = self._wanted.get(key)
            if old is not None and old.open is not None:
                self._gone.append(old.open)
            self._wanted[key] = _Wanted(tuple(names), nth, due)
            self._look_at = float("-inf")
        self._wake.set()

    def let_go(self, key: str) -> None:
        """Close an output. Does nothing if it was not wanted."""
        with self._lock:
            old = self._wanted.pop(key, None)
            if old is not None and old.open is not None:
                self._gone.append(old.open)
        self._wake.set()

    def start(self) -> None:
        """Begin to look and send. Returns at once."""
        if self._thread is None:
            self._stopping = False
            self._thread = threading.Thread(target=self._run, name="midi sender", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Close every output. Waits two seconds at most for the thread, because a server that hangs may block it."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping = True
        self._wake.set()
        thread.join(JOIN_SECONDS)
        if thread.is_alive():
            log.warning("the MIDI system does not answer; the thread that sends is left behind")

    def status(self) -> SenderStatus:
        with self._lock:
            wanted = list(self._wanted.items())
        return SenderStatus(
            tuple(key for key, one in wanted if one.open is not None),
            tuple(key for key, one in wanted if one.open is None),
            self._sent,
            self._problem,
        )

    # ------------------------------------------------------------------ the sender's thread

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._wake.wait(self._nap())
                self._wake.clear()
                self._close_gone()
                self._look()
                self._send()
        except Exception as error:  # the thread's top: the player must see that nothing is sent any more
            log.exception("MIDI out stopped")
            self._problem = f"MIDI out stopped: {error}; start jbdiff-live again"
        finally:
            self._forget()

    def _nap(self) -> float | None:
        with self._lock:
            if any(one.open is not None for one in self._wanted.values()):
                return SEND_SECONDS
            return LOOK_SECONDS / 4 if self._wanted else None

    def _close_gone(self) -> None:
        with self._lock:
            gone, self._gone = self._gone, []
        for port in gone:
            self.ports.close(port)

    def _look(self) -> None:
        """Open the wanted outputs that are present, and detect those that are gone."""
        now = self.clock.now()
        if not self._wanted or now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        try:
            if not self.ports.lives():
                self._forget()
            there = self.ports.list()
        except DEVICE_ERRORS as error:
            self._problem = f"no MIDI output: {error}"
            self._forget()
            return
        self._problem = ""
        with self._lock:
            wanted = list(self._wanted.items())
        for key, one in wanted:
            if one.open is not None and one.at not in there:
                self._drop(one)
            if one.open is None:
                self._open(key, one, there)

    def _open(self, key: str, one: _Wanted, there: list[Port]) -> None:
        found = _fitting(one.names, there)
        if one.nth >= len(found):
            return
        try:
            port = self.ports.open(found[one.nth])
        except DEVICE_ERRORS as error:
            self._problem = f"MIDI output {key} cannot be opened ({error}): close other programs that use it"
            log.info("%s", self._problem)
            return
        with self._lock:
            if self._wanted.get(key) is one:
                one.at, one.open = found[one.nth], port
            else:  # nobody wanted it any more when it was open
                self._gone.append(port)

    def _send(self) -> None:
        now = self.clock.now()
        with self._lock:
            wanted = [one for one in self._wanted.values() if one.open is not None]
        for one in wanted:
            try:
                for data in one.due(now):
                    if one.open is not None:
                        one.open.send(data)
                        self._sent += 1
            except DEVICE_ERRORS as error:
                self._problem = f"MIDI output {one.names[0]}: {error}; it is tried again"
                self._drop(one)

    def _drop(self, one: _Wanted) -> None:
        port, one.open = one.open, None
        if port is not None:
            self.ports.close(port)

    def _forget(self) -> None:
        """Forget every output, after all are gone or closed."""
        with self._lock:
            for one in self._wanted.values():
                one.open = None
            self._gone = []
        self.ports.forget()


def _fitting(names: Sequence[str], there: list[Port]) -> list[Port]:
    """Return the outputs for a name, best first: those with exactly this name, then those that contain it."""
    called: dict[Port, str] = {}
    for port in there:
        called[port] = free_name(port[0], called.values())
    exact = [port for port, name in called.items() if model(name) in names]
    return exact or [port for port, name in called.items() if matches(name, names)]
