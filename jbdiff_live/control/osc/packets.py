"""OSC packets as calls: an address and its arguments. Pure functions over bytes; nothing here trusts the network.

python-osc parses and builds single messages. Bundles are read here, because python-osc never returns from a bundle
whose element has a length below 1. Time tags are ignored: a value counts when it arrives.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message import ParseError as MessageError
from pythonosc.osc_message_builder import BuildError, OscMessageBuilder

BUNDLE = b"#bundle\0"
IMMEDIATELY = b"\0\0\0\0\0\0\0\1"  # the time tag of a bundle that counts at once
MOST_BYTES = 8192  # of a packet: far more than a page of faders
DEEPEST = 4  # bundles inside bundles
# Fewest bytes of an argument, by type. A list, blob, colour or time is no value of ours.
LEAST_BYTES = {"i": 4, "f": 4, "h": 8, "d": 8, "s": 4, "T": 0, "F": 0, "N": 0}
PACKET_BYTES = 1400  # most bytes of a packet that we send, so that no network splits it

Argument = float | int | bool | str | None


class BadPacketError(ValueError):
    """A packet that is not OSC, or has an argument that no control sends."""


@dataclass(frozen=True)
class Call:
    """One message: an address such as "/jbdiff/noise_step", and its arguments."""

    address: str
    arguments: tuple[Argument, ...] = ()


def read_packet(data: bytes, depth: int = 0) -> list[Call]:
    """Return the messages of a packet, in order. Raises BadPacketError; then no message of the packet counts."""
    if len(data) > MOST_BYTES:
        raise BadPacketError(f"a packet of {len(data)} bytes; the most is {MOST_BYTES}")
    if not data.startswith(BUNDLE):
        return [_read_message(data)]
    if depth == DEEPEST:
        raise BadPacketError(f"bundles inside bundles, more than {DEEPEST} deep")
    calls, at = [], len(BUNDLE) + len(IMMEDIATELY)
    if len(data) < at:
        raise BadPacketError("a bundle that is cut short")
    while at < len(data):
        if len(data) < at + 4:
            raise BadPacketError("a bundle that is cut short")
        (size,) = struct.unpack_from(">i", data, at)
        at += 4
        if size < 4 or size % 4 or at + size > len(data):
            raise BadPacketError(f"a bundle with an element of {size} bytes")
        calls += read_packet(data[at : at + size], depth + 1)
        at += size
    return calls


def _read_message(data: bytes) -> Call:
    if not data.startswith(b"/"):
        raise BadPacketError("a packet that is no OSC message")
    end = data.find(b"\0")
    begin = (end // 4 + 1) * 4
    tags = data[begin:].split(b"\0", 1)[0]
    if end < 0 or (tags and not tags.startswith(b",")):
        raise BadPacketError("a message without a list of types")
    unknown = set(tags[1:].decode("ascii", "replace")) - LEAST_BYTES.keys()
    if unknown:
        raise BadPacketError(f"arguments of type {''.join(sorted(unknown))!r}; send a number or a word")
    # python-osc reads a number that is cut short as if zeros followed.
    needed = begin + (len(tags) // 4 + 1) * 4 + sum(LEAST_BYTES[tag] for tag in tags[1:].decode("ascii"))
    if tags and (len(data) < needed or len(data) % 4):
        raise BadPacketError("a message that is cut short")
    try:
        message = OscMessage(data)
        return Call(message.address, tuple(message.params))
    except (MessageError, UnicodeDecodeError, struct.error, IndexError, ValueError) as error:
        raise BadPacketError(f"a damaged message ({error})") from error


def build_packets(calls: Iterable[Call]) -> list[bytes]:
    """Return the packets that hold these messages, as few as fit `PACKET_BYTES` each."""
    packets: list[bytes] = []
    current = b""
    for call in calls:
        message = _build_message(call)
        element = struct.pack(">i", len(message)) + message
        if current and len(current) + len(element) > PACKET_BYTES:
            packets.append(current)
            current = b""
        current = (current or BUNDLE + IMMEDIATELY) + element
    return [*packets, current] if current else packets


def _build_message(call: Call) -> bytes:
    builder = OscMessageBuilder(call.address)
    try:
        for argument in call.arguments:
            builder.add_arg(argument)
        return bytes(builder.build().dgram)
    except BuildError as error:
        raise BadPacketError(f"{call.address} {call.arguments}: {error}") from error
