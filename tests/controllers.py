"""A MIDI controller in a process of its own, on a real JACK server, which can be pulled out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

_SENDER = """
import sys, mido, rtmidi
out = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, sys.argv[1])
out.open_virtual_port(sys.argv[2])
print("up", flush=True)
for line in sys.stdin:
    kind, _, rest = line.strip().partition(" ")
    out.send_message(bytes.fromhex(rest) if kind == "hex" else mido.Message.from_str(line.strip()).bytes())
"""


class Sender:
    """Sends messages, written as mido writes them or as "hex B0 4A 7F", from a virtual port of client `name`."""

    def __init__(self, name: str, env: Mapping[str, str] | None = None, port: str = "knobs") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SENDER, name, port],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        assert self.process.stdout is not None and self.process.stdout.readline() == "up\n"

    def send(self, *messages: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{message}\n" for message in messages))
        self.process.stdin.flush()

    def pull(self) -> None:
        """As if the cable was pulled."""
        self.process.kill()
        self.process.communicate()

    def unplug(self) -> None:
        """Let the process end by itself: a server takes seconds to bury a client that was killed."""
        self.process.communicate(timeout=90)
