"""MIDI inputs: finds and opens them, and notices when they go and come back.

Threads: a watcher thread owns every port: it polls the list of ports, opens and closes. `_received` runs on
one thread per input, rtmidi's or, under JACK, a `JackReader`'s; it hands the event on and must not block.
`status` and `choose` may be called from any thread. Only the watcher ever waits for a device or a server.

The watcher polls because nothing else reports a lost device: its port stays open and raises no error.
"""

from __future__ import annotations

import itertools
import logging
import os
import platform
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import rtmidi

from jbdiff_live.beat.bar_clock import ClockMessage
from jbdiff_live.control.messages import event_of
from jbdiff_live.control.midi.clients import (
    CLIENT_NAME,
    DEVICE_ERRORS,
    ignored,
    no_midi,
    open_client,
    shut,
)
from jbdiff_live.control.midi.jack_flush import END_OF_EXCLUSIVE, JackFlush
from jbdiff_live.control.midi.jack_reader import JackReader
from jbdiff_live.control.midi.jack_watch import JackWatch, watch_server
from jbdiff_live.control.midi.message_bytes import MessageBytes
from jbdiff_live.control.midi.presence import Choice, Presence
from jbdiff_live.control.midi.receipt import Receipt
from jbdiff_live.control.names import Port, free_name, index_of, numbered
from jbdiff_live.control.source import ControlEvent, EventHandler
from jbdiff_live.status import ControlStatus
from jbdiff_live.system.for_ever import keep_for_ever

log = logging.getLogger(__name__)

OUR_INPUTS = f"^{CLIENT_NAME}(-[0-9]+)?:"  # JACK numbers the clients of one name
POLL_SECONDS = 1.0
TICK, SENSING = [0xF8], [0xFE]  # MIDI clock; active sensing, used only for its time stamps
CLOCK_MESSAGES = {message.value: message for message in ClockMessage}
_flush_numbers = itertools.count(1)


def list_midi_inputs(api: str | None = None) -> list[str]:
    """Return the names of the present inputs; empty without a MIDI system. Blocks for some milliseconds."""
    try:
        lister = open_client(api, f"{CLIENT_NAME} list")
    except DEVICE_ERRORS as error:
        log.info("no MIDI inputs to list: %s", error)
        return []
    try:
        names: list[str] = []
        for port in lister.get_ports():
            if not ignored(port):
                names.append(free_name(port, names))
        return names
    finally:
        lister.delete()


OnClock = Callable[[str, ClockMessage, float, int, float], None]


@dataclass
class _OpenPort:
    """An open input. `port` is its place in the system's list, `name` its name in the rest of the program."""

    name: str
    port: Port
    client: rtmidi.MidiIn
    bytes: MessageBytes = field(default_factory=MessageBytes)
    receipt: Receipt = field(default_factory=Receipt)
    connected: bool = False  # JACK only: whether it was connected at the last look
    reader: JackReader | None = None  # JACK only: there rtmidi's own thread must not run Python


class MidiInput:
    """The source of events from several MIDI inputs. Implements `ControlSource`.

    `names`: parts of input names; None takes every input, also those that come later. `api`: LINUX_ALSA, UNIX_JACK,
    MACOSX_CORE or WINDOWS_MM; None takes the system's own, and on Linux without the ALSA sequencer a running JACK
    server. `virtual`: opens an input of that name for others to connect to. `on_port`: called on the watcher's thread
    with an input's name, and True before its first message, False after it has gone. `on_clock`: called on the inputs'
    threads for a message of MIDI clock. Its arguments are the input's name, the message, the second at which it was
    received, the song position in sixteenths, and the resolution of that second.
    """

    def __init__(
        self,
        on_event: EventHandler,
        names: Sequence[str] | None = None,
        api: str | None = None,
        virtual: str | None = None,
        poll_seconds: float = POLL_SECONDS,
        on_port: Callable[[str, bool], None] = lambda name, there: None,
        on_clock: OnClock = lambda name, message, time, position, resolution: None,
    ) -> None:
        self._on_event = on_event
        self._on_clock = on_clock
        self._on_port = on_port
        self._choice = Choice(None if names is None else tuple(names), whole=False)  # replaced as a whole
        self._api = api
        self._virtual = virtual
        self._poll_seconds = poll_seconds
        self._wake = threading.Event()
        self._stopping = False
        self._watcher: threading.Thread | None = None
        # Only the watcher uses these.
        self._lister: rtmidi.MidiIn | None = None
        self._virtual_port: _OpenPort | None = None
        self._open: dict[str, _OpenPort] = {}
        self._presence = Presence()
        self._jack: JackWatch | None = None  # while the inputs are JACK's
        self._flush: JackFlush | None = None  # likewise
        # Each of these has one writer, which replaces it as a whole; `status` reads them.
        self._connected: tuple[str, ...] = ()
        self._missing: tuple[str, ...] = ()
        self._problem = ""
        self._last: ControlEvent | None = None
        # Two callback threads may count at the same time and lose one. The count only shows that messages come.
        self._messages = 0

    # ------------------------------------------------------------------ any thread

    def start(self) -> None:
        """Begin to watch and listen. Returns at once; `status` shows the result."""
        if self._watcher is not None:
            return
        self._stopping = False
        self._wake.clear()
        self._watcher = threading.Thread(target=self._watch, name="midi watcher", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Close every port. Waits two seconds at most for the watcher, because a server that hangs may block it."""
        watcher, self._watcher = self._watcher, None
        if watcher is None:
            return
        self._stopping = True
        self._wake.set()
        watcher.join(timeout=2.0)
        if watcher.is_alive():
            log.warning("the MIDI system does not answer; its thread is left behind")

    def choose(self, names: Sequence[str] | None) -> None:
        """Listen to these inputs, by their whole names; None means all. The watcher acts on it at once."""
        self._choice = Choice(None if names is None else tuple(names), whole=True)
        self._wake.set()

    def status(self) -> ControlStatus:
        last = self._last
        return ControlStatus(
            connected=self._connected,
            missing=self._missing,
            last_message=last.text() if last is not None else "",
            messages=self._messages,
            problem=self._problem,
        )

    # ------------------------------------------------------------------ the inputs' threads

    def _received(self, packet: tuple[list[int], float], port: _OpenPort) -> None:
        """Handle the bytes of one packet. An error must not reach rtmidi, which would print it and go on.

        A system exclusive message that was broken off comes together with the next messages. `MessageBytes` begins
        again at the next status byte, so that those messages count.
        """
        data = packet[0]
        now = port.receipt.second(packet[1], time.monotonic())
        if data == TICK:
            self._on_clock(port.name, ClockMessage.TICK, now, 0, port.receipt.resolution)
            return
        if data == SENSING:
            return
        if data and data[-1] == END_OF_EXCLUSIVE and self._flush is not None:
            self._flush.came_back()
        for message in port.bytes.feed(data):
            if message.type in CLOCK_MESSAGES:
                position = message.pos if message.type == "songpos" else 0
                self._on_clock(port.name, CLOCK_MESSAGES[message.type], now, position, 0.0)
            event = event_of(message, port.name, now)
            if event is not None:
                self._handle(event)

    def _handle(self, event: ControlEvent) -> None:
        self._last = event
        try:
            self._on_event(event)
        except Exception as error:  # a thread's top: the player sees the error, and the knobs go on working
            log.exception("MIDI message %s", event.text())
            self._problem = f"{event.text()} could not be used: {error}"
        self._messages += 1  # counted after its work: whoever reads the count finds the value changed

    # ------------------------------------------------------------------ the watcher

    def _watch(self) -> None:
        try:
            while not self._stopping:
                self._look()
                self._wake.wait(self._poll_seconds)
                self._wake.clear()
        finally:
            if not self._server_lives():
                self._abandon_all()
            self._close_all()

    def _look(self) -> None:
        """Look at the list once: close the inputs that have gone, open those that came."""
        try:
            if self._lister is None:
                self._lister = open_client(self._api, f"{CLIENT_NAME} list")
                if self._lister.get_current_api() == rtmidi.API_UNIX_JACK:
                    self._jack = watch_server(f"{CLIENT_NAME} watch")
                    self._flush = JackFlush(f"{CLIENT_NAME}-flush-{os.getpid()}-{next(_flush_numbers)}")
                self._problem = ""
                self._open_virtual()
            ports = [port for port in numbered(self._lister.get_ports()) if not ignored(port[0])]
        except DEVICE_ERRORS as error:
            problem = no_midi(self._api, error)
            if problem != self._problem:
                log.info("%s", problem)
            self._problem = problem
            self._close_all()
            ports = []
        if not self._server_lives():
            # When a JACK server has ended, its clients keep the last list of ports for ever.
            self._problem = no_midi(self._api, RuntimeError("the JACK server has ended"))
            self._abandon_all()
            ports = []
        wanted = self._presence.wanted(ports, self._choice)
        for name, port in list(self._open.items()):
            if wanted.get(name) != port.port or self._is_lost(port):
                self._close(self._open.pop(name))
        new = [name for name in wanted if name not in self._open]
        for name in new:
            self._open_input(name, wanted[name])
        if self._jack is not None and self._flush is not None:
            if new or self._flush.fresh:
                self._jack.connect(self._flush.port, OUR_INPUTS)
            self._flush.retry()
        self._connected = tuple(self._open)
        self._missing = self._presence.missing(self._open)

    def _is_lost(self, port: _OpenPort) -> bool:
        """Return True if a JACK port went and came back under its name between two looks.

        Its input has then lost its connection.
        """
        connected = self._jack is not None and self._jack.is_connected(port.port[0], OUR_INPUTS)
        was, port.connected = port.connected, connected
        return was and not connected

    def _open_input(self, name: str, port: Port) -> None:
        """Open one input. If that fails, show the problem and try again at the next look."""
        client: rtmidi.MidiIn | None = None
        try:
            client = open_client(self._api, CLIENT_NAME)
            client.open_port(index_of(port, client.get_ports()), "in")
            self._on_port(name, True)
            self._open[name] = self._listen(_OpenPort(name, port, client))
        except DEVICE_ERRORS as error:
            log.warning("MIDI input %s: %s", name, error)
            self._problem = f"MIDI input {name} cannot be opened ({error}): close other programs that use it"
            if client is not None:
                client.delete()
            return
        if name in self._problem:
            self._problem = ""

    def _listen(self, port: _OpenPort) -> _OpenPort:
        """Pass what comes in to `_received` from now on."""
        client = port.client
        if client.get_current_api() == rtmidi.API_UNIX_JACK:
            # Receive system exclusive too: rtmidi drops an unfinished one together with the messages that follow it.
            client.ignore_types(sysex=False, timing=False, active_sense=False)
            port.receipt = Receipt(0.0 if self._jack is None else self._jack.period_seconds())
            tick = self._flush.tick if self._flush is not None else lambda: None
            port.reader = JackReader(client, lambda packet: self._received(packet, port), tick)
        else:
            client.ignore_types(sysex=True, timing=False, active_sense=False)
            client.set_callback(self._received, port)
        return port

    def _open_virtual(self) -> None:
        if self._virtual is None:
            return
        if platform.system() == "Windows":
            self._problem = "Windows has no virtual MIDI inputs: use a loop-back driver and choose its port"
            return
        client = open_client(self._api, CLIENT_NAME)
        client.open_virtual_port(self._virtual)
        self._on_port(self._virtual, True)
        self._virtual_port = self._listen(_OpenPort(self._virtual, (self._virtual, 0), client))

    def _server_lives(self) -> bool:
        """Return False when a JACK server has ended; the other systems do not end."""
        return self._jack is None or self._jack.server_lives()

    def _close(self, port: _OpenPort) -> None:
        if port.reader is not None:
            port.reader.stop()
        shut(port.client, port.name)
        self._on_port(port.name, False)

    def _all_ports(self) -> list[_OpenPort]:
        virtual = [] if self._virtual_port is None else [self._virtual_port]
        return [*virtual, *self._open.values()]

    def _abandon_all(self) -> None:
        """Forget the clients of a dead JACK server without closing them.

        Closing one ends the process (seen with jackd2 1.9.21 and rtmidi 1.5.8). They stay referenced, so that nothing
        destroys them."""
        ports = self._all_ports()
        for port in ports:  # before their clients are closed
            if port.reader is not None:
                port.reader.stop()
            port.client.cancel_callback()
            self._on_port(port.name, False)
        flush = None if self._flush is None else self._flush.client
        for client in (flush, self._lister, *(port.client for port in ports)):
            if client is not None:
                keep_for_ever(client)
        self._virtual_port = self._lister = self._flush = None
        self._open = {}
        self._forget_watch()

    def _close_all(self) -> None:
        for port in self._all_ports():
            self._close(port)
        self._virtual_port, self._open = None, {}
        lister, self._lister = self._lister, None
        if lister is not None:
            shut(lister, CLIENT_NAME)
        flush, self._flush = self._flush, None
        if flush is not None:
            shut(flush.client, CLIENT_NAME)
        self._connected = ()
        self._forget_watch()

    def _forget_watch(self) -> None:
        watch, self._jack = self._jack, None
        if watch is not None:
            watch.release()
