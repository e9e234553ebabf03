"""Five thousand messages a second change values and nothing else. The clock is turned by hand: frames are the time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hands import Clock, cc, event, note

from jbdiff_live.audio.master.gain import RAMP_SECONDS
from jbdiff_live.audio.output import BUTTON_SECONDS, OutputStage
from jbdiff_live.binding import Binding, TakeoverMode
from jbdiff_live.block import Block, Rung
from jbdiff_live.control.map import ControlMap
from jbdiff_live.control.source import ControlEvent, EventKind
from jbdiff_live.parameters import Origin, ParameterStore
from jbdiff_live.record.recorder import Recorder
from jbdiff_live.record.take import BlockEvent, open_take
from jbdiff_live.ring import RingBuffer

RATE = 44_100
CHUNK = 441  # a hundredth of a second
A_CHUNK = 50  # messages: 5 000 a second
SECONDS = 2
LOUD = 0.5
BOUND = (("gain", "CC 7"), ("noise_step", "CC 74"), ("seed", "CC 16/48 14-bit"), ("brightness", "pitch bend"),
         ("guidance", "NRPN 300"), ("resample", "pressure"), ("tempo", "CC 21 relative 1/127"))  # fmt: skip


def flood(chance: np.random.Generator, time: float) -> list[ControlEvent]:
    """What a broken controller sends in a hundredth of a second: everything at once."""
    sent: list[ControlEvent] = []
    while len(sent) < A_CHUNK:
        value, other = (int(n) for n in chance.integers(0, 128, 2))
        sent += [
            cc(7, value, time), cc(74, other, time), cc(16, value, time), cc(48, other, time), cc(21, 1, time),
            event(EventKind.BEND, 0, value << 7, time), event(EventKind.PRESSURE, 0, other, time),
            cc(99, 2, time), cc(98, 44, time), cc(6, value, time), cc(38, other, time),
            cc(other % 96, value, time, channel=9), note(value, other + 1, time=time), cc(1, value, time),
        ]  # fmt: skip
    return sent[:A_CHUNK]


def test_a_flood_changes_values_and_nothing_else(tmp_path: Path) -> None:
    store, clock, ring = ParameterStore(), Clock(), RingBuffer(4 * RATE, 2)
    controls = ControlMap(store, [Binding.parse(*b) for b in BOUND], clock, takeover=TakeoverMode.JUMP)
    stage = OutputStage(ring, lambda: store.snapshot, RATE)
    recorder = Recorder(RATE, 2)
    frame = [0]
    store.subscribe(lambda change: recorder.note(change, frame[0]))
    before, chance = store.snapshot, np.random.default_rng(1)
    recorder.start(tmp_path, 0, {"values": {}})
    heard = np.zeros((SECONDS * RATE, 2), np.float32)
    try:
        for start in range(0, SECONDS * RATE, CHUNK):
            frame[0], clock.now = start, start / RATE
            if start % RATE == 0:
                ring.write(np.full((RATE, 2), LOUD, np.float32))
                samples = np.full((RATE, 2), LOUD, np.float32)
                block = Block(samples, start // RATE, start, store.snapshot, "", 0.1, Rung.FULL)
                assert recorder.offer(block)
            for one in flood(chance, clock.now):
                controls.handle(one)
            stage.render(heard[start : start + CHUNK])
        recorder.stop()
    finally:
        recorder.close()
    after = store.snapshot
    targets = {name for name, _ in BOUND}
    assert after.counts == before.counts, "no action"
    assert {n: v for n, v in after.values.items() if n not in targets} == {
        n: v for n, v in before.values.items() if n not in targets
    }
    assert stage.short_frames == 0 and stage.bad_frames == 0
    # The gain goes at most all the way, from silence to +6 dB, within the ramp of a knob.
    steepest = LOUD * 10 ** (6 / 20) / round(RAMP_SECONDS * RATE)
    settled = heard[2 * stage.look_ahead :]
    assert np.abs(np.diff(settled, axis=0)).max() <= steepest * 1.001, "no step is heard"
    take = open_take(next(tmp_path.iterdir()))
    assert recorder.status().dropped_blocks == 0 and recorder.status().problem == ""
    assert len([e for e in take.events() if isinstance(e, BlockEvent)]) == SECONDS
    receiver = controls._receiver
    assert len(receiver._positions) <= 16 * 128 + 8 and len(receiver.player._takeovers) <= 2 * len(BOUND)


def test_the_gain_slides_for_25_ms_and_a_button_is_heard_at_once() -> None:
    """Fails where mute takes as long as a knob, or a knob is shorter than the steps of a slow controller."""
    for name, value, seconds in (("gain", -60.0, RAMP_SECONDS), ("mute", 1.0, BUTTON_SECONDS)):
        store, ring = ParameterStore(), RingBuffer(RATE, 2)
        stage = OutputStage(ring, lambda store=store: store.snapshot, RATE)
        ring.write(np.full((RATE, 2), LOUD, np.float32))
        out = np.zeros((RATE // 2, 2), np.float32)
        stage.render(out[:5000])
        store.set(name, value, Origin.UI)
        stage.render(out[5000:])
        moving = np.flatnonzero((out[5000:, 0] < LOUD) & (out[5000:, 0] > 0))
        assert abs(len(moving) - seconds * RATE) <= 2, name
        assert not out[-1].any()
    assert (RAMP_SECONDS, BUTTON_SECONDS) == (0.025, 0.010)
