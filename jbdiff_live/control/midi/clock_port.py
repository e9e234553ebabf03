"""The MIDI output for clock and gates.

Thread: the beat's (`beat_keeper.py`). Anyone may read `problem`. Opening a port may wait for the MIDI system.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import rtmidi

from jbdiff_live.beat.line import VIRTUAL
from jbdiff_live.control.midi.clients import (
    CLIENT_NAME,
    DEVICE_ERRORS,
    api_of,
    no_midi,
    shut,
)
from jbdiff_live.control.midi.jack_watch import JackWatch, watch_server
from jbdiff_live.control.midi.out_ports import find_output, output_names
from jbdiff_live.system.for_ever import keep_for_ever

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


class ClockPort:
    """One MIDI output: its name, a part of it, or "virtual" for one that others connect to. It reconnects by itself."""

    def __init__(self, name: str, api: str | None = None) -> None:
        self.problem = ""
        self._name = name
        self._api = api
        self._client: rtmidi.MidiOut | None = None
        self._watch: JackWatch | None = None
        self._open = False
        self._port = ""  # the output's whole name
        self._looked = float("-inf")

    def send(self, messages: Iterable[bytes], now: float) -> None:
        """Send messages in their order, at once. Without a port they are lost."""
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._look()
        client = self._client
        if client is None or not self._open:  # JACK would take nothing, and rtmidi would wait for ever
            return
        try:
            for message in messages:
                client.send_message(message)
        except DEVICE_ERRORS as error:
            self._lose(f"clock out: {self._port} accepts no more messages ({error})")

    def close(self) -> None:
        """Close the port. May be called twice."""
        self._lose("")

    def _look(self) -> None:
        """Open the port when it appears, close it when it has gone."""
        client = self._client
        try:
            if self._watch is not None and not self._watch.server_lives():
                self._lose("clock out: the JACK server has ended")
            elif client is None or not self._open:
                self._find(client or self._connect())
            elif self._port and self._port not in client.get_ports():
                self._lose(f"clock out: {self._port} is gone; the clock goes on when the port is back")
        except DEVICE_ERRORS as error:
            self.problem = no_midi(self._api, error)

    def _connect(self) -> rtmidi.MidiOut:
        """Open the client. It stays while its port is missing: each new one would make JACK rebuild its graph."""
        client = rtmidi.MidiOut(api_of(self._api), CLIENT_NAME)
        watch = (
            watch_server(f"{CLIENT_NAME} clock watch")
            if client.get_current_api() == rtmidi.API_UNIX_JACK
            else None
        )
        self._client, self._watch = client, watch
        return client

    def _find(self, client: rtmidi.MidiOut) -> None:
        """Open the port if it is there."""
        if self._name == VIRTUAL:
            client.open_virtual_port("clock")
            self._open, self._port, self.problem = True, "", ""
            return
        ports = client.get_ports()
        index = find_output(self._name, ports)
        if index is None:
            there = ", ".join(output_names(ports)) or "none"
            self._say(f"clock out: no MIDI output {self._name!r}; there are: {there}; or choose {VIRTUAL!r}")
            return
        client.open_port(index, "clock")
        self._open, self._port, self.problem = True, ports[index], ""

    def _say(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.info("%s", problem)
        self.problem = problem

    def _lose(self, problem: str) -> None:
        """Let the client go. Closing one whose JACK server has ended would end the process."""
        client, self._client = self._client, None
        watch, self._watch = self._watch, None
        self._open = False
        self._say(problem)
        if client is not None:
            if watch is None or watch.server_lives():
                shut(client, self._port or CLIENT_NAME)
            else:
                keep_for_ever(client)
        if watch is not None:
            watch.release()
