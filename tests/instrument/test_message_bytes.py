"""Raw MIDI bytes, cut into messages: running status, realtime bytes anywhere, messages that were broken off."""

from __future__ import annotations

import itertools

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jbdiff_live.control.midi.inputs import MidiInput, _OpenPort
from jbdiff_live.control.midi.message_bytes import MessageBytes
from jbdiff_live.control.source import ControlEvent

CC, NOTE_ON, F0, F7, TICK, START = 0xB0, 0x90, 0xF0, 0xF7, 0xF8, 0xFA


def heard(*packets: list[int]) -> list[tuple[int, int]]:
    """Number and value of the CCs and notes that the packets have."""
    events: list[ControlEvent] = []
    source = MidiInput(events.append)
    port = _OpenPort("box", ("box", 0), client=None)  # type: ignore[arg-type] - nothing is asked of the system
    for packet in packets:
        source._received((packet, 0.0), port)
    return [(event.number, event.value) for event in events if event.kind.name in ("CC", "NOTE")]


@pytest.mark.parametrize(
    "packets",
    [
        ([CC, 74, 1, 75, 2],),
        ([CC, 74, 1], [75, 2]),
        ([CC], [74], [1], [CC, 75], [2]),
        ([CC, 74, TICK, 1, TICK, 75, TICK, 2],),
        ([CC, 74, 1, TICK, 75, 2],),
        ([F0, 1, TICK, 2, START, 3, F7], [CC, 74, 1], [CC, 75, 2]),
        ([F0, 1, 2, CC, 74, 1], [CC, 75, 2]),
        ([F0] + [1] * 5000, [1] * 5000, [CC, 74, 1, CC, 75, 2]),
        ([F0, 1, 2, CC, 74, 1], [3, 18, F7, 9, 9, CC, 75, 2]),
        ([CC, 60], [CC, 74, 1], [NOTE_ON, 60], [CC, 75, 2]),
        ([CC, 74, 1], [F0, 9, 9, 9, F7, 9, 9], [CC, 75, 2]),
        ([CC, 74, 1], [0xF2, 3, 3, 9, 9], [0xF6, 9, 9], [0xF4, 9, 9], [CC, 75, 2]),
        ([5, 6, 7], [CC, 74, 1], [], [0xFF], [0xFD], [CC, 75, 2]),
        ([CC, 74, 1], [CC, 3, 300], [-1], [9, 9], [CC, 75, 2]),
    ],
)
def test_each_message_is_heard_once(packets: tuple[list[int], ...]) -> None:
    assert heard(*packets) == [(74, 1), (75, 2)]


@given(st.lists(st.integers(0, 255), max_size=200), st.lists(st.integers(1, 200), max_size=10))
def test_it_makes_no_difference_where_the_bytes_are_cut(data: list[int], cuts: list[int]) -> None:
    whole, parts = MessageBytes(), MessageBytes()
    found: list[mido.Message] = []
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for begin, end in itertools.pairwise(places):
        found += parts.feed(data[begin:end])
    assert found == whole.feed(data)


@given(st.lists(st.integers(0, 255), max_size=100))
def test_a_message_behind_any_bytes_is_heard(data: list[int]) -> None:
    bytes_ = MessageBytes()
    bytes_.feed(data)
    assert bytes_.feed([CC, 74, 1]) == [mido.Message("control_change", control=74, value=1)]
