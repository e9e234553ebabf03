"""What is played into the input on the beat is played again on the beat, through the model and through the finisher.

The clock of the music is the only clock: a player hears it, claps on each beat, and the clap comes in late by the
delay of the devices. Nothing here depends on the machine's speed.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jbdiff_live.audio.input import LiveInput
from jbdiff_live.audio.live.chain import InputChain
from jbdiff_live.audio.live.delays import Delays
from jbdiff_live.audio.switch import AudioSwitch
from jbdiff_live.engine.voices.load import load_voice
from jbdiff_live.engine.voices.sources import Sources
from jbdiff_live.engine.voices.voice import StackVoice
from jbdiff_live.parameters import BY_NAME, Origin, ParameterStore
from jbdiff_live.ring import RingBuffer
from jbdiff_live.stack_choice import StackChoice

RATE = 44_100
TEMPO = 110.0
DELAY_SECONDS = 0.043  # of the devices, which they do not report
QUEUED = 20_000  # frames that are made and not yet audible when a block is begun
CLAP = np.random.default_rng(8).standard_normal(900).astype(np.float32) * np.exp(-np.arange(900) / 120)


@pytest.fixture(scope="module")
def voice() -> StackVoice:
    torch.set_num_threads(1)
    loaded = load_voice(StackChoice("pocket", hop=96, steps=2), lambda work: None, lambda: True, threads=1)
    assert loaded is not None
    return loaded


class Stage:
    """A voice of pocket, the output's ring, and a player who claps on every beat that is heard."""

    def __init__(self, voice: StackVoice, calibrated: bool, **values: object) -> None:
        self.store = ParameterStore()
        chosen = {
            "clock": "tempo", "tempo": TEMPO, "init_source": "live", "input_gate": BY_NAME["input_gate"].low, **values,
        }  # fmt: skip
        self.store.set_many({name: BY_NAME[name].parse(value) for name, value in chosen.items()}, Origin.UI)
        self.ring, delays = RingBuffer(60 * RATE, 2), Delays(None)
        self.switch = AudioSwitch(self.ring, lambda: self.store.snapshot, RATE, 4096, delays=delays)
        self.chain = InputChain(RATE)
        live = LiveInput(RATE, self.chain)
        self.switch._live = live
        if calibrated:
            delays.keep(self.switch.status().device, live.name, DELAY_SECONDS)
        self.voice = voice
        voice.reset()
        self.claps = np.zeros(60 * RATE, np.float32)  # as they come in
        self.beats: list[float] = []  # frames of the output
        self.made = np.zeros(0, np.float32)

    def play(self, blocks: int) -> None:
        """Make blocks; before each one the player has heard all but the queued frames."""
        pause = np.zeros((1024, 2), np.float32)
        for _ in range(blocks):
            while self.ring.available > QUEUED:
                heard = pause[: min(1024, self.ring.available - QUEUED)]
                start = self.ring.frames_read
                self.ring.read(heard)
                came = self.claps[start : start + len(heard)]
                self.chain.take(np.repeat(came[:, None], 2, axis=1), self.ring.frames_read / RATE)
            block = self.voice.next_block(
                self.store.snapshot, Sources(live=self.switch.latest_input), lambda share=0.0: True
            )
            assert block is not None and block.beat is not None
            self._note_beats(*block.beat, len(block.samples))
            self.ring.write(block.samples)
            self.made = np.concatenate([self.made, block.samples.mean(axis=1)])

    def _note_beats(self, place: float, per_frame: float, frames: int) -> None:
        """Note the beats of a block, and the claps that will come in after them."""
        first = self.ring.frames_written + self.voice.latency_frames
        for beat in range(int(np.ceil(place)), int(place + frames * per_frame) + 1):
            frame = first + (beat - place) / per_frame
            if first <= frame < first + frames:
                self.beats.append(frame)
                at = round(frame + DELAY_SECONDS * RATE)
                self.claps[at : at + len(CLAP)] += CLAP[: len(self.claps) - at]

    def beats_between(self, begin: float) -> int:
        """Return the number of beats from second `begin` to the end of what was made."""
        return sum(begin * RATE <= beat < len(self.made) - 0.2 * RATE for beat in self.beats)

    def errors(self, begin: float) -> list[float]:
        """Return the seconds from each beat after second `begin` to the loudest rise near it, if there is one.

        Near is a quarter of a beat on both sides.
        """
        hop = 64
        levels = np.abs(self.made[: len(self.made) // hop * hop]).reshape(-1, hop).max(axis=1)
        rises = np.diff(np.maximum(levels, 1e-3), prepend=levels[:1])
        near, found = int(0.25 * 60 / TEMPO * RATE / hop), []
        for beat in self.beats:
            middle = round(beat / hop)
            around = rises[middle - near : middle + near]
            if beat >= begin * RATE and len(around) == 2 * near and around.max() > 0.25 * rises.max():
                found.append((int(around.argmax()) - near) * hop / RATE)
        return found


def test_claps_come_again_within_twenty_milliseconds_of_the_beat(voice: StackVoice) -> None:
    """By the model, and then by the finisher alone."""
    stage = Stage(voice, calibrated=True, resample=0.9)
    stage.play(8)
    by_model = stage.errors(begin=4.0)
    assert len(by_model) >= 0.8 * stage.beats_between(4.0) >= 4
    assert abs(float(np.median(by_model))) < 0.020, by_model
    changed = len(stage.made) / RATE + 0.5
    stage.store.set("resample", 1.0, Origin.UI)
    stage.play(4)
    by_finisher = stage.errors(begin=changed)
    assert len(by_finisher) >= 0.8 * stage.beats_between(changed) >= 4
    assert abs(float(np.median(by_finisher))) < 0.005, by_finisher


def test_without_the_measured_delay_they_come_late_by_it(voice: StackVoice) -> None:
    stage = Stage(voice, calibrated=False, resample=1.0)
    stage.play(6)
    assert np.median(stage.errors(begin=3.0)) == pytest.approx(DELAY_SECONDS, abs=0.006)
