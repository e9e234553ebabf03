"""Functions of the session, such as "play", for controllers and keys: at once, or at the next beat or bar.

Threads: `perform` and `waits` run on the thread of whoever asks, `landed` on the clock's. They never wait. The
functions themselves are done on the thread of the program changes (`ask`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from jbdiff_live.beat.conductor import Conductor
from jbdiff_live.beat.held_functions import ARMED_PATCH
from jbdiff_live.beat.line import Unit
from jbdiff_live.parameters import FUNCTIONS_BY_NAME
from jbdiff_live.status import EngineState, EngineStatus, RecorderStatus

STARTS = frozenset({"play", "start"})


class _Engine(Protocol):
    @property
    def status(self) -> EngineStatus: ...


class _Tape(Protocol):
    def status(self) -> RecorderStatus: ...


class _Patches(Protocol):
    def load_neighbour(self, step: int, hold: Unit | None = None) -> None: ...


class _Library(Protocol):
    def load_armed(self) -> None: ...


class Instrument(Protocol):
    """The part of the session that the functions use."""

    @property
    def engine(self) -> _Engine: ...
    @property
    def tape(self) -> _Tape: ...
    @property
    def patch_desk(self) -> _Patches: ...
    @property
    def library_desk(self) -> _Library: ...
    @property
    def conductor(self) -> Conductor: ...
    @property
    def plays(self) -> bool: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def start_recording(self, frame: int | None = None) -> None: ...
    def stop_recording(self, end_frame: int | None = None) -> None: ...
    def send_all(self) -> None: ...
    def perform_scene(self, function: str) -> bool: ...


class FunctionDesk:
    """ask: queues a job for another thread. say: answers the player."""

    def __init__(
        self,
        session: Instrument,
        ask: Callable[[str, Callable[[], None]], None],
        say: Callable[[str], None],
    ) -> None:
        self._session = session
        self._ask = ask
        self._say = say

    def perform(self, function: str, hold: Unit | None = None) -> None:
        """Do a function, at its time. hold: what its control waits for; None follows the knob Hold changes."""
        if not self.waits(function, hold):
            self._ask(function, lambda: self._do(function, None, hold))

    def waits(self, function: str, hold: Unit | None = None) -> bool:
        """Let a function wait, if it has to. Return False if it is to be done now.

        A start that comes while a stop has not ended waits for that end.
        """
        if self._waits_for_stop(function):
            return True
        answer = self._session.conductor.hold_function(function, hold)
        if answer:
            self._say(f"{FUNCTIONS_BY_NAME[function].label}: {answer}")
        return bool(answer)

    def _waits_for_stop(self, function: str) -> bool:
        """Remember a start that comes while a stop has not ended; asked for again, it is taken back."""
        if function not in STARTS or self._has_stopped():
            return False
        remembered = self._session.conductor.functions.later("start", self._has_stopped)
        self._say("Start: as soon as the stop has ended" if remembered else "Start: taken back")
        return True

    def landed(self, function: str, frame: int) -> None:
        """Do a function that waited. frame: that of its beat or bar."""
        self._ask(function, lambda: self._do(function, frame, None))

    def _has_stopped(self) -> bool:
        return self._session.engine.status.state is not EngineState.STOPPING

    def _do(self, function: str, frame: int | None, hold: Unit | None) -> None:
        """frame: at which a take begins or ends; None is the audible one."""
        session = self._session
        if self._waits_for_stop(function):  # the stop began after this was asked for
            return
        if function == "start" or (function == "play" and not session.plays):
            session.start()
        elif function in ("play", "stop"):
            session.stop()
        elif function == "record" and session.tape.status().recording:
            session.stop_recording(frame)
        elif function == "record":
            session.start_recording(frame)
        elif function == "send_all":
            session.send_all()
        elif function == ARMED_PATCH:
            session.library_desk.load_armed()
        elif not session.perform_scene(function):
            session.patch_desk.load_neighbour(1 if function == "next_patch" else -1, hold)
