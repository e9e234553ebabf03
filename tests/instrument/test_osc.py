"""OSC: by name in and out, over a real UDP socket on the loopback; and what is damaged changes nothing."""

from __future__ import annotations

import difflib
import math
import socket
import struct
from collections.abc import Iterator

import pytest
from hands import Hands
from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_message_builder import OscMessageBuilder
from servers import wait_for
from turned_clock import TurnedClock

from jbdiff_live.binding import TakeoverMode
from jbdiff_live.control.osc.link import SEND_SECONDS, OscLink, OscSettings, parse_address
from jbdiff_live.control.osc.names import OscNames
from jbdiff_live.control.osc.packets import BadPacketError, Call, build_packets, read_packet
from jbdiff_live.parameters import BY_NAME, Change, Origin, ParameterStore


def message(address: str, *arguments: object) -> bytes:
    builder = OscMessageBuilder(address)
    for argument in arguments:
        builder.add_arg(argument)  # type: ignore[arg-type]
    return bytes(builder.build().dgram)


def bundle(*elements: bytes) -> bytes:
    return b"#bundle\0" + bytes(8) + b"".join(struct.pack(">i", len(e)) + e for e in elements)


class Surface:
    """The other side: a socket that sends to the link and takes what the link sends."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(20.0)
        self.address: tuple[str, int] = self.socket.getsockname()

    def send(self, link: OscLink, *packets: bytes) -> None:
        target = parse_address(link.status().listening)
        for packet in packets:
            self.socket.sendto(packet, target)

    def receive(self) -> dict[str, object]:
        """The next packet, as arguments by address."""
        return {call.address: call.arguments[0] for call in read_packet(self.socket.recv(65535))}


@pytest.fixture
def surface() -> Iterator[Surface]:
    made = Surface()
    yield made
    made.socket.close()


@pytest.fixture
def store() -> ParameterStore:
    return ParameterStore()


@pytest.fixture
def link(store: ParameterStore) -> Iterator[OscLink]:
    made = OscLink(OscSettings(port=0), store)
    made.start()
    yield made
    made.stop()


def test_every_parameter_and_action_is_reached_by_its_name(
    store: ParameterStore, link: OscLink, surface: Surface
) -> None:
    changes: list[Change] = []
    store.subscribe(changes.append)
    surface.send(
        link,
        message("/jbdiff/noise_step", 0.75),
        message("/jbdiff/gain/normal", 0.5),
        message("/jbdiff/noise_style", "region"),
        message("/jbdiff/hold", True),
        message("/jbdiff/reroll"),
        bundle(message("/jbdiff/panic", 1.0), bundle(message("/jbdiff/seed", 42))),
        message("/jbdiff/panic", 0.0),  # the button is let go
    )
    wait_for(lambda: link.status().received == 8, "eight messages")
    values, counts = store.snapshot.values, store.snapshot.counts
    assert values["noise_step"] == 0.75 and values["seed"] == 42 and values["hold"] == 1
    assert values["gain"] == BY_NAME["gain"].from_normal(0.5)
    assert store.snapshot.choice("noise_style") == "region"
    assert counts["reroll"] == 1 and counts["panic"] == 1
    assert {change.origin for change in changes} == {Origin.OSC}
    assert link.status().unusable == 0


BAD = {
    "nothing": b"",
    "no OSC": b"hello",
    "no types": b"/jbdiff/seed",
    "NaN": message("/jbdiff/noise_step", math.nan),
    "infinite": message("/jbdiff/noise_step", math.inf),
    "a word": message("/jbdiff/noise_step", "loud"),
    "two numbers": message("/jbdiff/noise_step", 0.1, 0.2),
    "no number": message("/jbdiff/noise_step"),
    "nil": message("/jbdiff/noise_step", None),
    "a blob": message("/jbdiff/noise_step", b"xx"),
    "a list": message("/jbdiff/noise_step", [0.5]),
    "unknown": message("/jbdiff/noise_stepp", 0.5),
    "unknown form": message("/jbdiff/noise_step/percent", 50.0),
    "unbound": message("/1/fader3", 0.5),
    "no end": message("/jbdiff/cv/3", "middle"),
    "no input": message("/jbdiff/cv/3", "low"),
    "cut short": message("/jbdiff/noise_step", 0.5)[:-2],
    "cut off": message("/jbdiff/noise_step", 0.5)[:-4],
    "element of no length": b"#bundle\0" + bytes(8) + struct.pack(">i", 0) + message("/jbdiff/seed", 9),
    "element that goes back": b"#bundle\0" + bytes(8) + struct.pack(">i", -4),
    "element that is too long": b"#bundle\0" + bytes(8) + struct.pack(">i", 4000),
    "half of a bundle": b"#bundle\0\0",
    "bundles without end": bundle(bundle(bundle(bundle(bundle(message("/jbdiff/seed", 9)))))),
    "a novel": message("/jbdiff/noise_style", "x" * 20_000),
}


def test_what_is_damaged_changes_nothing_is_counted_and_shown(
    store: ParameterStore, link: OscLink, surface: Surface
) -> None:
    before = store.snapshot
    for number, (name, packet) in enumerate(BAD.items(), 1):
        surface.send(link, packet)
        wait_for(lambda number=number: link.status().unusable == number, name)
        assert link.status().last_unusable, name
    assert store.snapshot is before
    surface.send(link, message("/jbdiff/seed", 9))
    wait_for(lambda: store.snapshot["seed"] == 9, "the next good message")
    assert link.status().problem == ""


def test_a_wrong_name_is_answered_with_the_right_one(link: OscLink, surface: Surface) -> None:
    surface.send(link, message("/jbdiff/noise_stepp", 0.5))
    wait_for(lambda: link.status().unusable == 1, "the message")
    assert "did you mean /jbdiff/noise_step?" in link.status().last_unusable


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/noise_step", "did you mean /jbdiff/noise_step?"),
        ("/jbdiff/noise_stepp/normal", "did you mean /jbdiff/noise_step/normal?"),
        ("/jbdiff/re-roll", "did you mean /jbdiff/reroll?"),
        ("/2/xy", "learn it, or send to /jbdiff/<parameter>"),
    ],
)
def test_an_unknown_address_is_shown_once_with_the_nearest_one(
    link: OscLink, surface: Surface, address: str, words: str
) -> None:
    surface.send(link, message(address, 0.5))
    wait_for(lambda: link.status().unusable == 1, "the message")
    assert link.status().last_unusable == f"nothing has the address {address}; {words}"
    surface.send(link, message("/jbdiff/seed", "x"))
    wait_for(lambda: link.status().unusable == 2, "another fault")
    shown = link.status().last_unusable
    surface.send(link, message(address, 0.6))
    wait_for(lambda: link.status().unusable == 3, "it is counted")
    assert link.status().last_unusable == shown, "but not shown again"


def test_what_a_message_quotes_is_one_short_line_without_control_characters(
    link: OscLink, surface: Surface
) -> None:
    surface.send(link, message("/a\x1b[2J\n" + "b" * 3000, 0.5))
    wait_for(lambda: link.status().unusable == 1, "the message")
    reason = link.status().last_unusable
    assert reason.startswith("nothing has the address /a") and len(reason) < 250 and reason.isprintable()


def test_a_flood_to_a_wrong_address_looks_for_the_nearest_one_only_once(
    store: ParameterStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search takes milliseconds: five thousand of them a second would keep several processors busy."""
    looked: list[str] = []
    search = difflib.get_close_matches
    monkeypatch.setattr(
        "jbdiff_live.control.osc.names.difflib.get_close_matches",
        lambda word, *rest: looked.append(word) or search(word, *rest),
    )
    made = OscLink(OscSettings(port=0), store)
    for _ in range(5000):
        made._use(message("/jbdiff/noise_stepp", 0.5), "127.0.0.1")
    assert made.status().unusable == 5000 and looked == ["/jbdiff/noise_stepp"]


@given(st.binary(max_size=200))
def test_no_bytes_end_the_reader(data: bytes) -> None:
    for packet in (data, b"/" + data, b"/a\0\0," + data, b"#bundle\0" + data):
        try:
            calls = read_packet(packet)
        except BadPacketError:
            continue
        assert all(call.address.startswith("/") for call in calls)


def test_a_value_out_of_range_stops_at_the_end_of_the_range(
    store: ParameterStore, link: OscLink, surface: Surface
) -> None:
    surface.send(link, message("/jbdiff/noise_step", 1e30), message("/jbdiff/gain/normal", -3.0))
    wait_for(lambda: link.status().received == 2, "two messages")
    assert store.snapshot["noise_step"] == 1 and store.snapshot["gain"] == -60


def test_only_news_goes_out_in_both_forms_and_never_as_an_echo(
    store: ParameterStore, surface: Surface
) -> None:
    link = OscLink(OscSettings(port=0, out=surface.address), store)
    link.start()
    try:
        everything: dict[str, object] = {}
        while not everything.keys() >= {f"/jbdiff/{name}" for name in BY_NAME}:
            everything |= surface.receive()
        assert everything["/jbdiff/noise_style"] == "walk"
        store.set("memory", 0.25, Origin.UI)
        assert surface.receive() == {"/jbdiff/memory": 0.25, "/jbdiff/memory/normal": 0.25}
        # Its own value does not come back; one that had to be rounded does.
        surface.send(link, message("/jbdiff/noise_step", 0.5))
        wait_for(lambda: store.snapshot["noise_step"] == 0.5, "the value")
        surface.send(link, message("/jbdiff/seed", 7.4))
        answer = surface.receive()
        assert answer["/jbdiff/seed"] == 7 and "/jbdiff/noise_step" not in answer
        store.trigger("reroll", Origin.MIDI)
        assert surface.receive() == {"/jbdiff/reroll": 1}
        link.send_all()
        assert surface.receive().keys() >= {"/jbdiff/noise_step"}
    finally:
        link.stop()


def test_a_value_that_another_sender_set_goes_out(store: ParameterStore) -> None:
    names = OscNames(store, lambda name: None, lambda event: False)
    names.news(store.snapshot, {})
    names.act(Call("/jbdiff/noise_step", (0.5,)), 0.0, from_receiver=False)
    assert names.news(store.snapshot, {})[0] == Call("/jbdiff/noise_step", (0.5,))
    names.act(Call("/jbdiff/noise_step", (0.75,)), 0.0, from_receiver=True)
    assert names.news(store.snapshot, {}) == []


def test_values_go_out_at_most_every_20_ms(store: ParameterStore, surface: Surface) -> None:
    """The clock stands still: the first sending goes out, and what changes then waits for the clock."""
    clock = TurnedClock()
    link = OscLink(OscSettings(port=0, out=surface.address), store, clock=clock)
    link.start()
    try:
        wait_for(lambda: link.status().sent == 2 * len(BY_NAME), "the first sending")
        for step in range(50):
            surface.send(link, message("/jbdiff/resample", step / 100))
            store.set("noise_step", step / 100, Origin.UI)
        wait_for(lambda: link.status().received == 50, "fifty turns, each with a look at what is to be sent")
        assert link.status().sent == 2 * len(BY_NAME)
        clock.turn(1.5 * SEND_SECONDS)
        wait_for(lambda: link.status().sent > 2 * len(BY_NAME), "the second sending")
        assert link.status().sent == 2 * len(BY_NAME) + 2
    finally:
        link.stop()


def test_an_address_is_learned_like_a_knob_and_listed_with_the_others(surface: Surface) -> None:
    hands = Hands(takeover=TakeoverMode.JUMP)
    link = OscLink(OscSettings(port=0), hands.store, handle=hands.controls.handle)
    link.start()
    try:
        hands.controls.learn("memory")
        surface.send(link, message("/1/fader3", 0.2))
        wait_for(lambda: hands.controls.texts().get("memory") == "OSC /1/fader3", "the binding")
        surface.send(link, message("/1/fader3", 0.3), message("/1/fader3", 0.9))
        wait_for(lambda: abs(hands["memory"] - 0.9) < 1e-3, "the value")
        assert link.status().unusable == 0
    finally:
        link.stop()


def test_a_port_that_is_taken_is_a_problem_with_a_remedy(surface: Surface, store: ParameterStore) -> None:
    link = OscLink(OscSettings(port=surface.address[1]), store)
    link.start()
    try:
        assert "choose another port with --osc" in link.status().problem
    finally:
        link.stop()


def test_only_this_machine_is_listened_to_unless_another_host_is_named(link: OscLink) -> None:
    assert OscSettings(port=9000).host == "127.0.0.1"
    assert link.status().listening.startswith("127.0.0.1:")
    assert not OscSettings().on


@pytest.mark.parametrize("text", ["", "9001", "host:", ":9001", "host:0", "host:70000", "host:nine"])
def test_a_wrong_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:9001"):
        parse_address(text)


def test_what_is_sent_fits_a_packet_of_any_network(store: ParameterStore) -> None:
    calls = OscNames(store, lambda name: None, lambda event: False).news(store.snapshot, {"out/gate": 1})
    packets = build_packets(calls)
    assert max(map(len, packets)) <= 1400
    assert [call for packet in packets for call in read_packet(packet)][-1] == Call("/jbdiff/out/gate", (1,))


@pytest.mark.parametrize("host", ["a" * 300, "x..y", "."])
def test_a_host_of_an_impossible_form_is_a_problem_with_a_remedy(
    host: str, store: ParameterStore, caplog: pytest.LogCaptureFixture
) -> None:
    listening = OscLink(OscSettings(port=0, host=host), store)
    listening.start()
    try:
        assert "check --osc-host" in listening.status().problem
    finally:
        listening.stop()
    sending = OscLink(OscSettings(port=0, out=(host, 9000)), store)
    sending.start()
    try:
        wait_for(lambda: "check --osc-out" in sending.status().problem, "the problem of the sender")
        assert sending.status().listening, "receiving goes on"
        wait_for(lambda: "check --osc-out" in caplog.text, "the words on the console")
    finally:
        sending.stop()
