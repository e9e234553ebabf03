"""The thread that keeps the beat: it makes held changes, moves scenes, and sends MIDI clock out.

Threads: its own, "beat"; the session's for `start` and `stop`. Any thread may call `status` and `choose`.
If a MIDI system does not answer, it delays only clock out.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from jbdiff_live.beat.clock_out import Sent
from jbdiff_live.beat.conductor import Conductor
from jbdiff_live.clock import Clock
from jbdiff_live.control.midi.clock_port import ClockPort
from jbdiff_live.status import ControlStatus

log = logging.getLogger(__name__)

LOOK_SECONDS, CLOCK_OUT_SECONDS = 0.01, 0.002  # between two looks, without and with clock out
PATIENCE_SECONDS = 2.0
SHOWN_SECONDS = 10.0  # an error is shown for so long after the last one, as other answers are


class BeatKeeper:
    """Looks at the conductor every few milliseconds. `start` and `stop` as a `ControlSource`."""

    def __init__(
        self,
        conductor: Conductor,
        clock: Clock,
        sounds: Callable[[], bool],
        port: str | None,
        api: str | None,
        also: Callable[[float], None] = lambda now: None,
    ) -> None:
        """sounds: returns True while a device plays. port: as for `ClockPort`; None sends nothing. api: None is any.

        also: called with the time at each look, such as a morph between scenes. It must not block.
        """
        self._also = also
        self._conductor = conductor
        self._clock = clock
        self._sounds = sounds
        self._api = api
        self._chosen = port  # swapped whole, by the window's thread
        self._name: str | None = None  # of `_port`
        self._port: ClockPort | None = None  # the beat's thread makes and closes it
        self._problem, self._failed = "", 0.0  # the beat's thread writes both: the last error and its time
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; does nothing while it runs."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="beat", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread. Waits two seconds at most."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stop.set()
            thread.join(PATIENCE_SECONDS)
            if thread.is_alive():
                log.warning("the MIDI system does not answer; the thread of clock out is left behind")

    def status(self) -> ControlStatus:
        """Return the last error of the beat for ten seconds, or the problem of clock out; empty if there is none."""
        return ControlStatus(problem=self._problem or self.port_problem)

    def choose(self, port: str | None) -> None:
        """Send clock out to another port from now on, or to none. Any thread. The beat's thread opens the port."""
        self._chosen = port

    @property
    def port(self) -> str | None:
        """The port that was chosen; None sends nothing."""
        return self._chosen

    @property
    def port_problem(self) -> str:
        """Why nothing is sent; empty if there is no problem."""
        port = self._port
        return "" if port is None else port.problem

    def _run(self) -> None:
        clock = self._clock
        try:
            while not self._stop.is_set():
                now = clock.now()
                try:
                    self._look(now)
                    if now - self._failed >= SHOWN_SECONDS:
                        self._problem = ""
                except Exception as error:  # the thread's top: the player sees it, and the beat goes on
                    if str(error) != self._problem:
                        log.exception("keeping the beat")
                    self._problem, self._failed = str(error), now
                seconds = LOOK_SECONDS if self._port is None else CLOCK_OUT_SECONDS
                clock.wait_until(clock.now() + seconds, self._stop)
        finally:
            self._send(self._conductor.silent(clock.now()), clock.now())
            if self._port is not None:
                self._port.close()
            self._port = self._name = None

    def _look(self, now: float) -> None:
        """Make the changes that are due and send their messages. Send stop when nothing plays any more."""
        messages = self._conductor.settle(now, self._sounds())
        self._also(now)
        self._send(messages, now)
        if (chosen := self._chosen) != self._name:
            self._move(chosen, now)

    def _send(self, messages: Iterable[Sent], now: float) -> None:
        if self._port is not None:
            self._port.send([sent.message for sent in messages], now)

    def _move(self, chosen: str | None, now: float) -> None:
        """Leave the port with its last messages, and open the chosen one."""
        self._send(self._conductor.leave_out(), now)
        left, self._port = self._port, None
        self._name = chosen
        if left is not None:
            left.close()
        self._port = None if chosen is None else ClockPort(chosen, self._api)
