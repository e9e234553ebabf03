"""MIDI inputs: finds them, opens them, sees them go and come back. The only importer of mido and rtmidi.

Threads: a watcher thread owns every port: it polls the list of ports, opens and closes. `_received` runs on one
thread per input, rtmidi's or, under JACK, a `JackReader`'s; it hands the event on and must not block. `status` and
`choose` may be called from any thread. Only the watcher ever waits for a device or a server.

The list is watched because nothing else tells: when a peer dies its port stays open and raises nothing.
"""

from __future__ import annotations

import ctypes
import logging
import platform
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mido
import rtmidi

from jbdiff_live.control.events import ControlEvent, EventHandler, EventKind
from jbdiff_live.control.jack_reader import QUEUE_MESSAGES, JackReader
from jbdiff_live.control.jack_watch import JackWatch
from jbdiff_live.jack_console import hush_jack
from jbdiff_live.status import ControlStatus

log = logging.getLogger(__name__)

CLIENT_NAME = "jbdiff-live"
POLL_SECONDS = 1.0
# ALSA's loop-back, and the sending ends of programs like this one: nobody turns those.
IGNORED = ("midi through", CLIENT_NAME)
ALSA_SEQUENCER = Path("/dev/snd/seq")
DEVICE_ERRORS = (rtmidi.RtMidiError, OSError, RuntimeError, ValueError)


def list_midi_inputs(api: str | None = None) -> list[str]:
    """Names of the inputs there are now; none where there is no MIDI system. Blocks for some milliseconds."""
    try:
        lister = _open_client(api, f"{CLIENT_NAME} list")
    except DEVICE_ERRORS as error:
        log.info("no MIDI inputs to list: %s", error)
        return []
    try:
        return [_stable(port) for port in lister.get_ports() if not _ignored(port)]
    finally:
        lister.delete()


@dataclass
class _OpenPort:
    """An input that is listened to. `port` is its name in the system's list, `name` the lasting part of it."""

    name: str
    port: str
    client: rtmidi.MidiIn
    reader: JackReader | None  # where rtmidi's own thread must not run Python


class MidiInput:
    """Listens to several inputs at once. Implements `ControlSource`.

    `names`: (parts of) input names; None takes every input there is, also those that come later.
    `api`: LINUX_ALSA, UNIX_JACK, MACOSX_CORE or WINDOWS_MM; None takes the system's own, and on Linux without
    the ALSA sequencer a running JACK server. `virtual`: opens an input of that name for others to connect to.
    """

    def __init__(
        self,
        on_event: EventHandler,
        names: Sequence[str] | None = None,
        api: str | None = None,
        virtual: str | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._on_event = on_event
        self._names = None if names is None else tuple(names)
        self._api = api
        self._virtual = virtual
        self._poll_seconds = poll_seconds
        self._wake = threading.Event()
        self._stopping = False
        self._watcher: threading.Thread | None = None
        # The watcher's own: nobody else touches these.
        self._lister: rtmidi.MidiIn | None = None
        self._virtual_client: rtmidi.MidiIn | None = None
        self._virtual_reader: JackReader | None = None
        self._open: dict[str, _OpenPort] = {}
        self._known: tuple[str, ...] = ()  # every input that was connected since the last choice
        self._jack: JackWatch | None = None  # while the inputs are JACK's
        self._chosen_for: Sequence[str] | None = None
        # Swapped whole by their one writer each, read by `status`.
        self._connected: tuple[str, ...] = ()
        self._missing: tuple[str, ...] = ()
        self._problem = ""
        self._last: ControlEvent | None = None
        # Two callback threads may count at once and lose one: it is a sign of life, not a bill.
        self._messages = 0

    # ------------------------------------------------------------------ any thread

    def start(self) -> None:
        """Begins to watch and listen. Returns at once; `status` tells what came of it."""
        if self._watcher is not None:
            return
        self._stopping = False
        self._wake.clear()
        self._watcher = threading.Thread(target=self._watch, name="midi watcher", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Closes every port. Waits for the watcher, which a hanging server may keep: two seconds at most."""
        watcher, self._watcher = self._watcher, None
        if watcher is None:
            return
        self._stopping = True
        self._wake.set()
        watcher.join(timeout=2.0)
        if watcher.is_alive():
            log.warning("the MIDI system does not answer; its thread is left behind")

    def choose(self, names: Sequence[str] | None) -> None:
        """Listens to these inputs from now on; None to all. The watcher acts on it at once."""
        self._names = None if names is None else tuple(names)
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

    def _received(self, packet: tuple[list[int], float], device: str) -> None:
        """One message of an input. An error here must not reach rtmidi, which would print it and go on."""
        try:
            message = mido.Message.from_bytes(packet[0])
        except ValueError:
            return  # a damaged message
        now = time.monotonic()
        if message.type == "control_change":
            event = ControlEvent(
                device, EventKind.CC, message.channel + 1, message.control, message.value, True, now
            )
        elif message.type in ("note_on", "note_off"):
            on = message.type == "note_on" and message.velocity > 0
            event = ControlEvent(
                device, EventKind.NOTE, message.channel + 1, message.note, message.velocity, on, now
            )
        elif message.type == "program_change":
            event = ControlEvent(
                device, EventKind.PROGRAM, message.channel + 1, message.program + 1, 0, True, now
            )
        else:
            return
        self._last = event
        self._messages += 1
        try:
            self._on_event(event)
        except Exception as error:  # a thread's top: the player sees it, and the knobs go on working
            log.exception("MIDI message %s", event.text())
            self._problem = f"{event.text()} could not be used: {error}"

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
        """One look at the list: closes what went, opens what came."""
        try:
            if self._lister is None:
                self._lister = _open_client(self._api, f"{CLIENT_NAME} list")
                if self._lister.get_current_api() == rtmidi.API_UNIX_JACK:
                    self._jack = JackWatch(f"{CLIENT_NAME} watch")
                self._problem = ""
                self._open_virtual()
            ports = [port for port in self._lister.get_ports() if not _ignored(port)]
        except DEVICE_ERRORS as error:
            problem = _no_midi(self._api, error)
            if problem != self._problem:
                log.info("%s", problem)
            self._problem = problem
            self._close_all()
            ports = []
        if not self._server_lives():
            # A JACK server that ended leaves its clients the last list of ports, for ever.
            self._problem = _no_midi(self._api, RuntimeError("the JACK server has ended"))
            self._abandon_all()
            ports = []
        names = self._names
        if names != self._chosen_for:
            self._chosen_for, self._known = names, ()
        wanted = {_stable(port): port for port in ports if names is None or _matches(port, names)}
        for name, port in list(self._open.items()):
            if wanted.get(name) != port.port:
                self._close(self._open.pop(name))
        for name, port_name in wanted.items():
            if name not in self._open:
                self._open_input(name, port_name)
        self._connected = tuple(self._open)
        self._known = (*self._known, *(name for name in self._open if name not in self._known))
        # A chosen name that was once connected is missing under the full name that the player saw.
        gone = tuple(name for name in self._known if name not in self._open)
        never = tuple(
            n for n in names or () if not any(n.lower() in k.lower() for k in (*self._known, *self._open))
        )
        self._missing = (*gone, *never)

    def _open_input(self, name: str, port: str) -> None:
        """Opens one input; one that refuses is shown and tried again at the next look."""
        client: rtmidi.MidiIn | None = None
        try:
            client = _open_client(self._api, CLIENT_NAME)
            client.open_port(client.get_ports().index(port), "in")
            client.ignore_types(sysex=True, timing=True, active_sense=True)
            reader = self._listen(client, name)
        except DEVICE_ERRORS as error:
            log.warning("MIDI input %s: %s", name, error)
            self._problem = f"MIDI input {name} cannot be opened ({error}): close other programs that use it"
            if client is not None:
                client.delete()
            return
        if name in self._problem:
            self._problem = ""
        self._open[name] = _OpenPort(name, port, client, reader)

    def _listen(self, client: rtmidi.MidiIn, name: str) -> JackReader | None:
        """From here on `_received` hears what comes in."""
        if client.get_current_api() == rtmidi.API_UNIX_JACK:
            return JackReader(client, lambda packet: self._received(packet, name))
        client.set_callback(self._received, name)
        return None

    def _open_virtual(self) -> None:
        if self._virtual is None:
            return
        if platform.system() == "Windows":
            self._problem = "Windows has no virtual MIDI inputs: use a loop-back driver and choose its port"
            return
        self._virtual_client = _open_client(self._api, CLIENT_NAME)
        self._virtual_client.open_virtual_port(self._virtual)
        self._virtual_client.ignore_types(sysex=True, timing=True, active_sense=True)
        self._virtual_reader = self._listen(self._virtual_client, self._virtual)

    def _server_lives(self) -> bool:
        """False when a JACK server has ended; the other systems do not end."""
        return self._jack is None or self._jack.server_lives()

    def _close(self, port: _OpenPort) -> None:
        if port.reader is not None:
            port.reader.stop()
        _shut(port.client, port.name)

    def _stop_readers(self) -> None:
        """Before their clients are let go."""
        for reader in (self._virtual_reader, *(port.reader for port in self._open.values())):
            if reader is not None:
                reader.stop()
        self._virtual_reader = None

    def _abandon_all(self) -> None:
        """Forgets the clients of a dead JACK server without closing them: closing one ends the process (seen
        with jackd2 1.9.21 and rtmidi 1.5.8). They stay referenced, so that nothing destroys them."""
        self._stop_readers()
        for client in (self._virtual_client, self._lister, *(port.client for port in self._open.values())):
            if client is not None:
                client.cancel_callback()
                _keep_for_ever(client)
        self._virtual_client = self._lister = None
        self._open = {}
        self._forget_watch()

    def _close_all(self) -> None:
        self._stop_readers()
        for port in self._open.values():
            self._close(port)
        self._open = {}
        for client in (self._virtual_client, self._lister):
            if client is not None:
                _shut(client, CLIENT_NAME)
        self._virtual_client = self._lister = None
        self._connected = ()
        self._forget_watch()

    def _forget_watch(self) -> None:
        watch, self._jack = self._jack, None
        if watch is not None:
            watch.close()


# ---------------------------------------------------------------------- rtmidi and names


def _api_names() -> dict[str, int]:
    compiled = rtmidi.get_compiled_api()
    names = [name for name in dir(rtmidi) if name.startswith("API_")]
    return {n.removeprefix("API_"): getattr(rtmidi, n) for n in names if getattr(rtmidi, n) in compiled}


def _open_client(api: str | None, name: str) -> rtmidi.MidiIn:
    """A client of the MIDI system. ValueError for an API that is not built in, RtMidiError if it is not there."""
    known = _api_names()
    if api is not None and api not in known:
        raise ValueError(f"no MIDI API {api!r} in this build of rtmidi; there are: {', '.join(known)}")
    if api is None and platform.system() == "Linux" and not ALSA_SEQUENCER.exists():
        api = "UNIX_JACK"
    hush_jack()
    number = rtmidi.API_UNSPECIFIED if api is None else known[api]
    return rtmidi.MidiIn(number, name, queue_size_limit=QUEUE_MESSAGES)


def _no_midi(api: str | None, error: Exception) -> str:
    if isinstance(error, ValueError):
        return str(error)
    if platform.system() != "Linux":
        return f"no MIDI ({error}): connect a controller and start again"
    if api == "LINUX_ALSA":
        return "no MIDI: the ALSA sequencer is missing; try `modprobe snd-seq`, or --midi-api UNIX_JACK"
    if api == "UNIX_JACK":
        return "no MIDI: no JACK server is running; start one, or leave --midi-api out"
    return "no MIDI: no ALSA sequencer (`modprobe snd-seq`) and no JACK server; start one of them"


def _stable(port: str) -> str:
    """The part of a port's name that survives unplugging: without ALSA's " 20:0" or Windows' running number."""
    number = r" \d+$" if platform.system() == "Windows" else r" \d+:\d+$"
    return re.sub(number, "", port)


def _matches(port: str, names: Sequence[str]) -> bool:
    return any(name.lower() in port.lower() for name in names)


def _ignored(port: str) -> bool:
    return port.lower().startswith(IGNORED)


def _keep_for_ever(client: rtmidi.MidiIn) -> None:
    """One reference more than anybody will give back: not even the interpreter's end destroys the client."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))


def _shut(client: rtmidi.MidiIn, name: str) -> None:
    """Lets a client go; one whose server or device has gone may complain, and is gone either way."""
    try:
        client.cancel_callback()
        client.close_port()
        client.delete()
    except DEVICE_ERRORS as error:
        log.info("closing MIDI %s: %s", name, error)
