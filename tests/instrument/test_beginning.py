"""The music begins with its first sound. The silence before it, in which a stack makes its first piece, is left out."""

from __future__ import annotations

import numpy as np
import pytest
from past_rig import FRAMES, ChainGenerator, PastRig

from jbdiff_live.audio.output import OutputStage
from jbdiff_live.block import Generated, KeepGoing, Rung
from jbdiff_live.parameters import Origin, ParameterSnapshot
from jbdiff_live.stack_choice import StackParts, StackPlaying

LATENCY = FRAMES + 500  # the whole of the first block, and a part of the second


class Late(ChainGenerator):
    """Sound that leaves `LATENCY` frames late, as a stack's does: the first frames are silent."""

    def __init__(self) -> None:
        super().__init__()
        self.left = LATENCY
        parts = StackParts("late", (2,), False)
        self.playing = StackPlaying("late", (2,), False, "", LATENCY, parts)

    def next_block(
        self, snapshot: ParameterSnapshot, keep_going: KeepGoing, rung: Rung = Rung.FULL
    ) -> Generated | None:
        made = super().next_block(snapshot, keep_going, rung)
        assert made is not None
        samples = made.samples.copy()
        silent = min(self.left, FRAMES)
        samples[:silent] = 0.0
        self.left -= silent
        return Generated(samples, made.noise, self.playing)

    def reset(self, keep_going: object) -> None:
        super().reset(lambda: True)
        self.left = LATENCY


def heard(rig: PastRig) -> np.ndarray:
    """What a device takes out of the ring now."""
    out = np.zeros((rig.ring.available, 2), np.float32)
    assert rig.ring.read(out) == 0
    return out


@pytest.fixture
def rig() -> PastRig:
    made = PastRig(Late())
    made.left_queued = 1 << 30  # nothing is taken before the test does
    return made


def made_by(rig: PastRig) -> np.ndarray:
    return np.concatenate([block.samples for block in rig.blocks])


def test_the_silence_before_the_first_sound_is_not_played(rig: PastRig) -> None:
    rig.play(4)
    sound = heard(rig)
    assert np.array_equal(sound, made_by(rig)[LATENCY:]) and sound[:10].any()
    assert rig.ring.frames_read == 4 * FRAMES, "frames count as before"
    assert [block.anew for block in rig.blocks] == [True, False, False, False]


def test_neither_is_it_after_a_panic_or_a_second_start(rig: PastRig) -> None:
    rig.play(5, {3: lambda: (heard(rig), rig.store.trigger("panic", Origin.UI))})
    assert np.array_equal(heard(rig), made_by(rig)[3 * FRAMES + LATENCY :])
    rig.generator.reset(lambda: True)
    rig.play(8)
    assert np.array_equal(heard(rig), made_by(rig)[5 * FRAMES + LATENCY :])


def test_a_jump_back_to_the_beginning_goes_to_its_first_sound(rig: PastRig) -> None:
    rig.play(8, {5: lambda: rig.past.ask(100)})
    assert [block.again for block in rig.blocks[5:]] == [0, 1, 2]
    assert np.array_equal(heard(rig), made_by(rig)[5 * FRAMES + LATENCY :])
    assert rig.ring.joined_at <= rig.ring.drained_to, "the output crossfades to it"


def test_the_output_is_loud_as_soon_as_its_fade_is_over(rig: PastRig) -> None:
    rig.play(4)
    stage = OutputStage(rig.ring, lambda: rig.store.snapshot, 44_100)
    out = np.zeros((4096, 2), np.float32)
    stage.render(out)
    after = stage.look_ahead * 2
    assert np.array_equal(out[after:], made_by(rig)[LATENCY + stage.look_ahead :][: len(out) - after])
    assert stage.short_frames == 0 and stage.frames_passed == LATENCY + len(out) - stage.look_ahead
