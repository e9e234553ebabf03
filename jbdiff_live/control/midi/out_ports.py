"""The MIDI outputs of this machine, and one open output.

Thread: the sender's. Every call may wait for the MIDI system. The sender needs only `OutPorts`; tests use one in
memory.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Protocol

import rtmidi

from jbdiff_live.control.midi.clients import (
    ALSA_SEQUENCER,
    CLIENT_NAME,
    DEVICE_ERRORS,
    api_names,
    ignored,
    no_midi,
    shut,
)
from jbdiff_live.control.midi.jack_watch import JackWatch, watch_server
from jbdiff_live.control.names import Port, free_name, index_of, matches, numbered
from jbdiff_live.system.for_ever import keep_for_ever
from jbdiff_live.system.libjack import prepare_jack


class OutPort(Protocol):
    """One open output."""

    def send(self, data: bytes) -> None:
        """Send one message. Raises one of `DEVICE_ERRORS` if the device has gone."""
        ...


class OutPorts(Protocol):
    """The outputs of this machine. Every method raises one of `DEVICE_ERRORS` if there is no MIDI system."""

    def list(self) -> list[Port]:
        """Return the outputs, without those of programs like this one."""
        ...

    def open(self, port: Port) -> OutPort: ...

    def close(self, port: OutPort) -> None: ...

    def lives(self) -> bool:
        """Return True if the MIDI system is still the one whose ports are open. If not, call `forget`."""
        ...

    def forget(self) -> None:
        """Forget all ports. Ports of a system that has ended are not closed: closing would end the process."""
        ...


class _RtPort:
    def __init__(self, client: rtmidi.MidiOut) -> None:
        self.client = client

    def send(self, data: bytes) -> None:
        self.client.send_message(data)


class RtOutPorts:
    """rtmidi's outputs. Implements `OutPorts`. api: as for the inputs."""

    def __init__(self, api: str | None = None) -> None:
        self._api = api
        self._lister: rtmidi.MidiOut | None = None
        self._watch: JackWatch | None = None  # while the outputs are JACK's
        self._ports: list[_RtPort] = []

    def list(self) -> list[Port]:
        if self._lister is None:
            self._lister = _open_client(self._api, f"{CLIENT_NAME} list outputs")
            if self._lister.get_current_api() == rtmidi.API_UNIX_JACK:
                self._watch = watch_server(f"{CLIENT_NAME} watch outputs")
        return [port for port in numbered(self._lister.get_ports()) if not ignored(port[0])]

    def open(self, port: Port) -> OutPort:
        client = _open_client(self._api, CLIENT_NAME)
        try:
            client.open_port(index_of(port, client.get_ports()), "out")
        except BaseException:
            client.delete()
            raise
        made = _RtPort(client)
        self._ports.append(made)
        return made

    def close(self, port: OutPort) -> None:
        if not isinstance(port, _RtPort) or port not in self._ports:  # `forget` was called
            return
        self._ports.remove(port)
        if self.lives():
            shut(port.client, CLIENT_NAME)
        else:
            keep_for_ever(port.client)

    def lives(self) -> bool:
        return self._watch is None or self._watch.server_lives()

    def forget(self) -> None:
        living = self.lives()
        clients = [port.client for port in self._ports]
        if self._lister is not None:
            clients.append(self._lister)
        for client in clients:
            if living:
                shut(client, CLIENT_NAME)
            else:
                keep_for_ever(client)
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.release()
        self._ports, self._lister = [], None


def list_midi_outputs(api: str | None = None) -> list[str]:
    """Return the names of the present outputs. Blocks for some milliseconds.

    Raises ValueError with the remedy if there is no MIDI system.
    """
    system = RtOutPorts(api)
    try:
        return output_names([port for port, _ in system.list()])
    except DEVICE_ERRORS as error:
        raise ValueError(no_midi(api, error)) from error
    finally:
        system.forget()


def output_names(ports: Sequence[str]) -> list[str]:
    """Return the lasting names of outputs, without those of programs like this one."""
    names: list[str] = []
    for port in ports:
        if not ignored(port):
            names.append(free_name(port, names))
    return names


def find_output(name: str, ports: Sequence[str]) -> int | None:
    """Return the index of the output with this lasting name, or else with this part of a name; None without one.

    A whole name comes first: "Out 1" is a part of "Out 10" too.
    """
    there = [index for index, port in enumerate(ports) if not ignored(port)]
    names = output_names(ports)
    if name in names:
        return there[names.index(name)]
    return next((index for index in there if matches(ports[index], [name])), None)


def _open_client(api: str | None, name: str) -> rtmidi.MidiOut:
    """Open a client that sends. Raises ValueError if the API is not built in, RtMidiError if it does not run."""
    known = api_names()
    if api is not None and api not in known:
        raise ValueError(no_midi(api, ValueError(f"no MIDI API {api!r} in this build of rtmidi")))
    if api is None and platform.system() == "Linux" and not ALSA_SEQUENCER.exists():
        api = "UNIX_JACK"
    prepare_jack()
    return rtmidi.MidiOut(rtmidi.API_UNSPECIFIED if api is None else known[api], name)
