"""What goes out to a rack: the four measures, where they are sent, and the voltages as samples."""

from __future__ import annotations

import numpy as np
import pytest

from jbdiff_live.audio.cv_out import CvOut, CvSlopes
from jbdiff_live.binding import BindingKind
from jbdiff_live.control.outgoing.rack import RackMessages
from jbdiff_live.modular.movement import NOTHING, At, Measure, Moment, Movement
from jbdiff_live.modular.sends import CvSend, MidiSend, parse_send

RATE = 44_100


def sine(hertz: float, seconds: float, peak: float = 0.5) -> np.ndarray:
    wave = peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)
    return np.repeat(wave[:, None], 2, axis=1).astype(np.float32)


def test_the_envelope_rises_with_a_stroke_and_falls_slowly() -> None:
    movement = Movement(RATE, 10 * RATE)
    sound = np.zeros((RATE, 2), np.float32)
    sound[RATE // 2 : RATE // 2 + 441] = sine(1000, 0.01, 0.8)
    movement.block_made(sound, 0, 0.0)
    assert movement.at(RATE // 2 - 441).envelope == 0
    assert movement.at(RATE // 2 + 441).envelope == pytest.approx(0.8, abs=0.06)
    assert 0.2 < movement.at(RATE // 2 + 4410).envelope < 0.4
    assert movement.at(RATE - 1).envelope < 0.01


def test_the_envelope_goes_on_over_the_edge_of_a_block() -> None:
    movement = Movement(RATE, 10 * RATE)
    movement.block_made(sine(200, 1.0, 0.9), 0, 0.0)
    movement.block_made(np.zeros((RATE, 2), np.float32), RATE, 0.0)
    assert 0.6 < movement.at(RATE + 441).envelope < 0.9


def test_brightness_goes_by_octaves_and_silence_has_none_of_its_own() -> None:
    movement = Movement(RATE, 20 * RATE)
    found = []
    for number, hertz in enumerate((100, 1000, 10_000)):
        movement.block_made(sine(hertz, 1.0), number * RATE, 0.0)
        found.append(movement.at(number * RATE + RATE // 2).brightness)
    assert found == pytest.approx([0, 0.5, 1], abs=0.03)
    movement.block_made(np.zeros((RATE, 2), np.float32), 3 * RATE, 0.0)
    assert movement.at(3 * RATE + 100).brightness == pytest.approx(found[-1])


def test_a_gate_opens_with_each_block_and_novelty_holds_for_it() -> None:
    movement = Movement(RATE, 10 * RATE)
    for number, novelty in enumerate((0.2, 0.7, 3.0)):
        movement.block_made(sine(200, 1.0), number * RATE, novelty)
    assert [movement.at(n * RATE + 10).gate for n in range(3)] == [1, 1, 1]
    assert [movement.at(n * RATE + RATE // 2).gate for n in range(3)] == [0, 0, 0]
    assert [movement.at(n * RATE + RATE // 2).novelty for n in range(3)] == [0.2, 0.7, 1.0]


def test_a_very_short_block_still_closes_its_gate() -> None:
    movement = Movement(RATE, RATE)
    movement.block_made(sine(200, 0.02), 0, 0.0)
    assert (movement.at(0).gate, movement.at(800).gate) == (1, 0)


def test_frames_that_no_block_holds_are_zero_and_old_blocks_are_forgotten() -> None:
    movement = Movement(RATE, 2 * RATE)
    assert movement.at(5) == NOTHING
    for number in range(10):
        movement.block_made(sine(200, 1.0), number * RATE, 0.5)
    assert movement.at(5) == NOTHING and movement.at(10 * RATE) == NOTHING
    assert movement.at(9 * RATE).novelty == 0.5


def test_a_send_is_written_like_a_binding() -> None:
    assert parse_send("envelope=CV 3") == CvSend(Measure.ENVELOPE, 3)
    assert parse_send("gate = cv 4 -0.5:0.5") == CvSend(Measure.GATE, 4, -0.5, 0.5)
    send = parse_send("gate=ch 2 note C3")
    assert isinstance(send, MidiSend)
    assert (send.control.kind, send.control.number, send.control.channel) == (BindingKind.NOTE, 60, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("loudness=CV 3", "WHAT is one of envelope"),
        ("envelope", "envelope=CV 3"),
        ("envelope=CV 2", "channels 1 and 2 carry the sound"),
        ("envelope=CV 3 0:5", "from -1 to 1"),
        ("envelope=CV 3 0:x", "write 'CC 74'"),
        ("envelope=CV 3 0:1.2.3", "two numbers"),
        ("gate=program 5", "cannot be sent"),
        ("gate=somewhere", "'CV 3' for a channel of the sound output"),
    ],
)
def test_a_send_that_makes_no_sense_says_how_to_write_it(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_send(text)


def slopes(at: At, *sends: CvSend, channels: int = 4) -> CvSlopes:
    return CvSlopes(CvOut(sends, at), channels)


def played(made: CvSlopes, chunks: int, frames: int = 256, channels: int = 4, first: int = 1) -> np.ndarray:
    """The frames of some chunks, with music on the first two channels."""
    found = []
    for number in range(chunks):
        out = np.full((frames, channels), 0.25, np.float32)
        out[:, 2:] = 0
        made.fill(out, (first + number) * frames)
        found.append(out)
    return np.concatenate(found)


def test_a_voltage_is_a_slope_from_chunk_to_chunk_and_leaves_the_sound_alone() -> None:
    made = slopes(lambda frame: Moment(envelope=1.0), CvSend(Measure.ENVELOPE, 3))
    out = played(made, 2)
    assert (out[:, :2] == 0.25).all() and (out[:, 3] == 0).all()
    assert out[255, 2] == 1 and (out[256:, 2] == 1).all()
    assert np.abs(np.diff(out[:, 2])).max() <= 1.01 / 256


def test_a_voltage_keeps_to_its_range_and_its_channel() -> None:
    made = slopes(
        lambda frame: Moment(envelope=0.5, gate=1.0),
        CvSend(Measure.ENVELOPE, 4, -0.5, 0.5),
        CvSend(Measure.GATE, 3, 0.0, -0.8),
    )
    out = played(made, 2)
    assert out[-1, 3] == pytest.approx(0.0) and out[-1, 2] == pytest.approx(-0.8)


def test_long_chunks_are_one_slope_too() -> None:
    made = slopes(lambda frame: Moment(envelope=1.0), CvSend(Measure.ENVELOPE, 3))
    out = played(made, 1, frames=2500)
    assert out[-1, 2] == pytest.approx(1) and np.diff(out[:, 2]).max() <= 1.01 / 2500


def test_voltages_fall_to_zero_while_nothing_is_heard() -> None:
    """A late block or a panic stops the frames; a gate that stayed open would drone on in the rack."""
    made = slopes(lambda frame: Moment(envelope=1.0), CvSend(Measure.ENVELOPE, 3))
    played(made, 1)
    out = np.zeros((256, 4), np.float32)
    made.fill(out, 256)  # the same frame as before
    assert out[-1, 2] == 0


def test_a_send_without_a_channel_on_the_device_is_named() -> None:
    out = CvOut((CvSend(Measure.ENVELOPE, 3), CvSend(Measure.GATE, 5)), lambda frame: NOTHING)
    assert out.channels == 5 and out.missing(8) == ""
    assert "no place for gate (CV 5)" in out.missing(4)
    assert played(CvSlopes(out, 4), 1).shape == (256, 4)


def test_midi_for_a_rack_follows_the_measures_and_sends_only_news() -> None:
    sends = [
        parse_send("envelope=ch 2 CC 20"),
        parse_send("gate=note C3"),
        parse_send("novelty=CC 1/33 14-bit"),
    ]
    rack = RackMessages([send for send in sends if isinstance(send, MidiSend)])
    assert [data.hex(" ") for data in rack.due(NOTHING)] == ["b1 14 00", "b0 01 00", "b0 21 00"]
    assert rack.due(NOTHING) == []
    struck = rack.due(Moment(envelope=1.0, novelty=1.0, gate=1.0))
    assert [data.hex(" ") for data in struck] == ["b1 14 7f", "90 3c 64", "b0 01 7f", "b0 21 7f"]
    assert [data.hex(" ") for data in rack.due(Moment(envelope=1.0, novelty=1.0))] == ["90 3c 00"]
