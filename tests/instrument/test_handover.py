"""From one voice to another, with voices whose every sample is known."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from jbdiff_live.block import Audio, Generated, KeepGoing
from jbdiff_live.engine.voices.handover import Handover, handover_seconds


@dataclass
class Noise:
    """White noise of one level, silent for its latency; `made` counts frames from the first one on."""

    block_frames: int
    latency_frames: int = 0
    level: float = 0.1
    seed: int = 0
    block_seconds: float = 0.5
    context_seconds: float = 0.0
    made: int = 0
    heard: list[Audio] = field(default_factory=list)
    followed: list[tuple[object, int]] = field(default_factory=list)
    refuses: int = 0  # so many blocks are interrupted

    def sound(self, frames: int) -> Audio:
        noise = np.random.default_rng(self.seed).standard_normal((frames, 2)).astype(np.float32)
        noise[: self.latency_frames] = 0
        return self.level * noise

    def next_block(self, keep_going: KeepGoing) -> Generated | None:
        if self.refuses:
            self.refuses -= 1
            return None
        for share in (0.25, 0.5, 1.0):
            if not keep_going(share):
                return None
        self.made += self.block_frames
        return Generated(self.sound(self.made)[-self.block_frames :], "noise")

    def continue_from(self, heard: Audio, before: object, frames: int) -> None:
        self.heard.append(heard)
        self.followed.append((before, frames))


FADE = 20_000
BEFORE = np.full((300, 2), 0.25, np.float32)


def change(old: Noise, new: Noise, fade: int = FADE) -> Audio:
    """Everything that comes out until the change is done."""
    handover = Handover(old, new, BEFORE, fade)
    out = []
    while not handover.done:
        made = handover.next_block(old.next_block, new.next_block, lambda share=0.0: True)
        if made is not None:
            assert len(made.samples) == new.block_frames and made.mixed
            out.append(made.samples)
    return np.concatenate(out)


@pytest.mark.parametrize(
    ("old_frames", "new_frames"), [(40_000, 40_000), (3_000, 40_000), (40_000, 3_000), (700, 900)]
)
def test_the_old_one_goes_on_while_the_new_one_is_silent_and_then_fades(
    old_frames: int, new_frames: int
) -> None:
    old, new = Noise(old_frames, seed=1), Noise(new_frames, latency_frames=5_000, seed=2)
    out = change(old, new)
    was, comes = old.sound(len(out) + FADE), new.sound(len(out))
    assert np.array_equal(out[:5_000], was[:5_000])
    assert np.array_equal(out[5_000 + FADE :], comes[5_000 + FADE :])
    angle = np.pi / 2 * (np.arange(FADE) + 1)[:, None] / (FADE + 1)
    middle = slice(5_000, 5_000 + FADE)
    np.testing.assert_allclose(
        out[middle], was[middle] * np.cos(angle) + comes[middle] * np.sin(angle), atol=1e-6
    )
    assert len(out) - (5_000 + FADE) < new_frames, "no block more than it takes"


def test_the_level_is_kept_all_the_way() -> None:
    out = change(Noise(50_000, seed=1), Noise(50_000, latency_frames=2_000, seed=2))
    levels = np.sqrt((out[:44_000].reshape(-1, 2_000, 2) ** 2).mean(axis=(1, 2)))
    assert 20 * np.log10(levels.max() / levels.min()) < 0.6


def test_the_new_one_goes_on_from_what_is_heard_when_its_sound_comes() -> None:
    old, new = Noise(4_000, seed=1), Noise(9_000, latency_frames=5_000, seed=2)
    change(old, new)
    (heard,) = new.heard
    assert np.array_equal(heard, np.concatenate([BEFORE, old.sound(8_000)[:5_000]]))
    # Of the old one's sound three blocks were made by then, for the whole of the first block of the new one.
    assert new.followed == [(old, 12_000 - 5_000)]


def test_an_interrupted_block_is_made_again_and_nothing_is_lost() -> None:
    whole = change(Noise(3_000, seed=1), Noise(9_000, latency_frames=500, seed=2))
    again = change(Noise(3_000, seed=1, refuses=2), Noise(9_000, latency_frames=500, seed=2, refuses=3))
    assert np.array_equal(whole, again)


def test_the_first_block_takes_one_of_the_new_and_enough_of_the_old() -> None:
    old, new = Noise(1_000, block_seconds=0.1), Noise(8_000, latency_frames=500, block_seconds=2.0)
    assert handover_seconds(old, new, FADE) == pytest.approx(2.0 + 8 * 0.1)
    assert handover_seconds(new, old, FADE) == pytest.approx(0.1 + 2.0)
    assert handover_seconds(old, new, 1_000) == pytest.approx(2.0 + 2 * 0.1)
    new.context_seconds = 0.7
    assert handover_seconds(old, new, FADE) == pytest.approx(2.0 + 8 * 0.1 + 0.7)


@pytest.mark.parametrize(("old_frames", "new_frames"), [(3_000, 40_000), (40_000, 3_000)])
def test_what_is_told_of_a_blocks_work_counts_both_voices(old_frames: int, new_frames: int) -> None:
    """Whoever watches the time takes a part of the work for the whole otherwise, and breaks every block off."""
    old = Noise(old_frames, seed=1, block_seconds=0.1)
    new = Noise(new_frames, latency_frames=5_000, seed=2, block_seconds=0.3, context_seconds=0.2)
    handover = Handover(old, new, BEFORE, FADE)
    first = handover_seconds(old, new, FADE)
    seconds, ends = [], []
    while not handover.done:
        seconds.append(handover.seconds)
        shares = list[float]()

        def told(share: float = 0.0, shares: list[float] = shares) -> bool:
            shares.append(share)
            return True

        assert handover.next_block(old.next_block, new.next_block, told) is not None
        assert shares == sorted(shares)
        ends.append(shares[-1])
    assert ends == pytest.approx([1.0] * len(ends))
    assert seconds[0] == pytest.approx(first)
    blocks = old.made // old_frames
    assert sum(seconds) == pytest.approx(0.1 * blocks + 0.3 * len(seconds) + 0.2)


def test_a_block_that_was_broken_off_keeps_what_the_old_voice_made() -> None:
    old, new = Noise(3_000, seed=1, block_seconds=0.1), Noise(40_000, latency_frames=5_000, seed=2)
    handover = Handover(old, new, BEFORE, FADE)
    before = handover.seconds
    tries = [0]

    def until_the_new_one(share: float = 0.0) -> bool:
        tries[0] += 1
        return tries[0] < 12  # three are told of in every block

    assert handover.next_block(old.next_block, new.next_block, until_the_new_one) is None
    assert handover.seconds == pytest.approx(before - 3 * 0.1)
    assert handover.next_block(old.next_block, new.next_block, lambda share=0.0: True) is not None
    assert old.made == 27_000
