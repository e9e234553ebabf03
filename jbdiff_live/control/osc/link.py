"""OSC over UDP: receives values and actions by name, and sends what changed.

Threads: one of its own, from `start` to `stop`. It owns the socket, receives, acts, and sends at most every 20 ms.
`status` and `send_all` may be called from any thread. Nothing here waits for the other side: UDP has no answers.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jbdiff_live.clock import MACHINE, Clock
from jbdiff_live.control.osc.names import OscNames, UnknownAddressError, no_voltages
from jbdiff_live.control.osc.packets import Argument, BadPacketError, build_packets, read_packet
from jbdiff_live.control.source import EventHandler
from jbdiff_live.parameters import ParameterStore
from jbdiff_live.shown import printable
from jbdiff_live.status import OscStatus

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
SEND_SECONDS = 0.020
MOST_PACKETS = 256  # packets read before the values are sent again, so that a flood does not stop the sending
JOIN_SECONDS = 2.0
MOST_ADDRESSES = 256  # unknown ones that are remembered; more than these are only counted
LONGEST_REASON = 200  # letters of the reason for a refused message that are shown
SHOWN_SECONDS = 20.0  # that the reason for a refused message is shown

Address = tuple[str, int]


@dataclass(frozen=True)
class OscSettings:
    """port: UDP port to receive on; None receives nothing. host: the address to listen on. out: where values go."""

    port: int | None = None
    host: str = LOOPBACK
    out: Address | None = None

    @property
    def on(self) -> bool:
        return self.port is not None or self.out is not None


def parse_address(text: str) -> Address:
    """Return host and port of "HOST:PORT". Raises ValueError that says how to write it."""
    host, colon, port = text.strip().rpartition(":")
    host = host.strip("[]")
    if not colon or not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError(f"{text!r}: write HOST:PORT, such as 127.0.0.1:9001")
    return host, int(port)


class OscLink:
    """Connects one UDP port to the values. `start`, then `stop`; it may be started again.

    measured: returns what is sent beside the parameters; called before each sending. perform, handle, calibrate: see
    `OscNames`.
    """

    def __init__(
        self,
        settings: OscSettings,
        store: ParameterStore,
        perform: Callable[[str], None] = lambda name: None,
        handle: EventHandler = lambda event: False,
        measured: Callable[[], Mapping[str, Argument]] = dict,
        calibrate: Callable[[int, str], object] = no_voltages,
        clock: Clock = MACHINE,
    ) -> None:
        self._settings = settings
        self._store = store
        self._measured = measured
        self._clock = clock
        self._names = OscNames(store, perform, handle, calibrate)
        self._stop = threading.Event()
        self._send_all = threading.Event()
        self._thread: threading.Thread | None = None
        self._sent_at = float("-inf")
        self._receiver: Address | None = None  # where values go, in the form of a packet's sender
        # Written by the link's thread only; read by `status`.
        self._bound: Address | None = None
        self._received = self._unusable = self._sent = 0
        self._last_unusable = self._problem = ""
        self._refused_at = float("-inf")
        self._unknown: set[str] = set()  # addresses that were shown as unknown

    # ------------------------------------------------------------------ any thread

    def start(self) -> None:
        """Open the socket and begin. If the port is in use, `status().problem` says so, and nothing is received."""
        if self._thread is not None or not self._settings.on:
            return
        self._stop.clear()
        try:
            link = self._open()
        except (OSError, UnicodeError) as error:
            place = f"{self._settings.host}:{self._settings.port}"
            wrong_name = isinstance(error, UnicodeError | socket.gaierror)
            remedy = "check --osc-host" if wrong_name else "choose another port with --osc"
            self._problem = f"OSC cannot use {place} ({_reason(error)}); {remedy}"
            log.warning("%s", self._problem)
            return
        self._problem = ""
        self._thread = threading.Thread(target=self._run, args=(link,), name="osc", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close the socket. May be called twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stop.set()
        thread.join(JOIN_SECONDS)
        if thread.is_alive():
            log.warning("the OSC thread does not end; it is left behind")

    def send_all(self) -> None:
        """Send every value at the next sending."""
        self._send_all.set()

    def status(self) -> OscStatus:
        bound, out = self._bound, self._settings.out
        recent = self._clock.now() - self._refused_at < SHOWN_SECONDS
        return OscStatus(
            listening="" if bound is None else f"{bound[0]}:{bound[1]}",
            sending="" if out is None else f"{out[0]}:{out[1]}",
            received=self._received,
            unusable=self._unusable,
            last_unusable=self._last_unusable if recent else "",
            sent=self._sent,
            problem=self._problem,
        )

    # ------------------------------------------------------------------ the link's thread

    def _open(self) -> socket.socket:
        host, port = self._settings.host, self._settings.port
        if port is None:  # only sends: any port will do
            port = 0
        family = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][0]
        link = socket.socket(family, socket.SOCK_DGRAM)
        try:
            link.bind((host, port))
            link.setblocking(False)
        except OSError:
            link.close()
            raise
        name = link.getsockname()
        self._bound = None if self._settings.port is None else (name[0], name[1])
        return link

    def _run(self, link: socket.socket) -> None:
        try:
            with link:
                self._find_receiver(link)
                while not self._stop.is_set():
                    if select.select([link], [], [], SEND_SECONDS)[0]:
                        self._receive(link)
                    self._send(link)
        except Exception as error:  # the thread's top: the player must see that OSC has ended
            log.exception("OSC stopped")
            self._problem = f"OSC stopped: {error}; start jbdiff-live again"
        finally:
            self._bound = None

    def _find_receiver(self, link: socket.socket) -> None:
        """Look the receiver's name up once, because packets carry addresses as numbers."""
        if self._settings.out is None:
            return
        try:
            found = socket.getaddrinfo(*self._settings.out, family=link.family, type=socket.SOCK_DGRAM)
            self._receiver = found[0][4][0], found[0][4][1]  # type: ignore[assignment]
        except (OSError, UnicodeError) as error:
            self._problem = f"OSC cannot send to {self._settings.out[0]} ({_reason(error)}); check --osc-out"
            log.warning("%s", self._problem)

    def _receive(self, link: socket.socket) -> None:
        for _ in range(MOST_PACKETS):
            try:
                data, sender = link.recvfrom(65535)
            except BlockingIOError:
                return
            except OSError as error:  # Windows reports here that an earlier packet reached nobody
                log.debug("OSC: %s", error)
                return
            if self._settings.port is not None:
                self._use(data, sender[0])

    def _use(self, data: bytes, sender: str) -> None:
        """Act on one packet. An error in it is counted and shown, and changes nothing."""
        try:
            calls = read_packet(data)
        except BadPacketError as error:
            self._refuse(str(error))
            return
        from_receiver = self._receiver is not None and sender == self._receiver[0]
        for call in calls:
            self._received += 1
            try:
                self._names.act(call, self._clock.now(), from_receiver)
            except UnknownAddressError as error:  # shown once: some programs send one again and again
                if error.address in self._unknown or len(self._unknown) >= MOST_ADDRESSES:
                    self._unusable += 1
                else:
                    self._unknown.add(error.address)
                    self._refuse(error.words)
            except (ValueError, KeyError) as error:
                self._refuse(str(error.args[0]))

    def _refuse(self, reason: str) -> None:
        words = printable(reason)  # it may quote what another machine sent
        self._last_unusable = words if len(words) <= LONGEST_REASON else f"{words[:LONGEST_REASON]}..."
        self._refused_at = self._clock.now()
        self._unusable += 1

    def _send(self, link: socket.socket) -> None:
        now = self._clock.now()
        if self._receiver is None or now - self._sent_at < SEND_SECONDS:
            return
        if self._send_all.is_set():
            self._send_all.clear()
            self._names.forget()
        calls = self._names.news(self._store.snapshot, self._measured())
        if not calls:
            return
        self._sent_at = now
        for packet in build_packets(calls):
            try:
                link.sendto(packet, self._receiver)
            except OSError as error:
                self._problem = f"OSC cannot send to {self._receiver[0]} ({error.strerror or error})"
                return
        self._sent += len(calls)
        if self._problem.startswith("OSC cannot send"):
            self._problem = ""


def _reason(error: OSError | UnicodeError) -> str:
    """Return why an address cannot be used. Python answers a name of an impossible form with a UnicodeError."""
    if isinstance(error, UnicodeError):
        return "no name of a machine has this form"
    return error.strerror or str(error)
