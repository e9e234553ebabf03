"""The time machine: what was played plays again sample for sample, until a hand turns something."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from past_rig import FRAMES, Chain, ChainGenerator, PastRig, same

from jbdiff_live.block import Block, Generated, Jump, KeepGoing, Rung
from jbdiff_live.parameters import Origin, ParameterSnapshot

# What plays again


def test_a_jump_back_plays_the_same_blocks_and_then_goes_on_as_if_there_had_been_none() -> None:
    plain = PastRig().play(9)
    rig = PastRig()
    blocks = rig.play(12, {6: lambda: rig.past.ask(3)})
    assert [b.again for b in blocks] == [None] * 6 + [2, 3, 4, 5] + [None] * 2
    assert all(same(blocks[6 + n], blocks[2 + n]) for n in range(4))
    assert [same(a, b) for a, b in zip(blocks[10:], plain[6:8], strict=True)] == [True, True]
    assert [b.index for b in blocks] == list(range(12)), "every block has an index of its own"
    assert all(a.end_frame == b.start_frame for a, b in itertools.pairwise(blocks))


def test_a_turned_knob_changes_the_music_from_there_on_only() -> None:
    reference = PastRig()
    expected = reference.play(6, {4: lambda: reference.set(seed=7)})
    rig = PastRig()
    blocks = rig.play(10, {6: lambda: rig.past.ask(3), 8: lambda: rig.set(seed=7)})
    assert [b.again for b in blocks[6:]] == [2, 3, None, None]
    assert same(blocks[6], blocks[2]) and same(blocks[7], blocks[3]), "before the turn"
    assert same(blocks[8], expected[4]) and same(blocks[9], expected[5]), "as if it was turned then"
    assert not same(blocks[8], blocks[4])


def test_each_press_goes_one_block_further_and_presses_at_once_add_up() -> None:
    rig = PastRig()
    one = lambda: rig.past.ask(1)  # noqa: E731
    blocks = rig.play(12, {8: one, 9: one, 10: lambda: (one(), one())})
    assert [b.again for b in blocks[8:11]] == [6, 5, 3]


def test_back_counts_from_the_block_that_is_heard_not_from_those_that_are_queued() -> None:
    rig = PastRig()
    rig.left_queued = 2 * FRAMES + 100
    blocks = rig.play(7, {6: lambda: rig.past.ask(1)})
    assert blocks[6].again == 2, "two blocks and a bit are queued, so block 3 sounds"


def test_forward_goes_towards_the_newest_music_and_then_on_from_it() -> None:
    plain = PastRig().play(8)
    rig = PastRig()
    script: dict[int, Callable[[], object]] = {
        6: lambda: rig.past.ask(5), 7: lambda: rig.past.ask(-2), 8: lambda: rig.past.ask(-8)
    }  # fmt: skip
    blocks = rig.play(10, script)
    assert [b.again for b in blocks[6:]] == [0, 2, None, None]
    assert same(blocks[8], plain[6]) and same(blocks[9], plain[7])
    assert blocks[8].jump is not None and blocks[8].jump.after == 5
    assert rig.past.status.ago is None


def test_what_moves_no_knob_by_hand_does_not_end_it() -> None:
    rig = PastRig()
    script: dict[int, Callable[[], object]] = {
        4: lambda: rig.past.ask(3),
        5: lambda: (rig.set(gain=-6, mute=1, scene_morph=0.5), rig.store.trigger("marker", Origin.KEY)),
        6: lambda: rig.set(Origin.CV, seed=9),
    }
    assert [b.again for b in rig.play(8, script)[4:]] == [0, 1, 2, 3]


@pytest.mark.parametrize("what", ["home", "file", "scene", "patch"])
def test_an_action_a_file_a_scene_or_a_patch_ends_it_as_a_knob_does(what: str) -> None:
    rig = PastRig()
    does: dict[str, Callable[[], object]] = {
        "home": lambda: rig.store.trigger("home", Origin.MIDI),
        "file": lambda: rig.files.append(1),
        "scene": lambda: rig.set(Origin.SCENE, memory=0.1),
        "patch": lambda: rig.set(Origin.PATCH, memory=0.1),
    }
    assert [b.again for b in rig.play(7, {4: lambda: rig.past.ask(3), 5: does[what]})[4:]] == [0, None, None]


def test_a_press_that_lies_in_the_future_of_the_place_is_not_done_once_more() -> None:
    """The state counts the re-rolls it has obeyed. Going on from before a re-roll must not obey it out of time."""
    reference = PastRig()
    expected = reference.play(4, {3: lambda: reference.set(seed=7)})
    rig = PastRig()
    script: dict[int, Callable[[], object]] = {
        4: lambda: rig.store.trigger("reroll", Origin.UI),
        6: lambda: rig.past.ask(4),
        8: lambda: rig.set(seed=7),
        10: lambda: rig.store.trigger("reroll", Origin.UI),
    }
    blocks = rig.play(12, script)
    assert [b.again for b in blocks[6:9]] == [1, 2, None]
    assert same(blocks[8], expected[3])
    assert blocks[8].snapshot.counts["reroll"] == 0 and blocks[8].heard.counts["reroll"] == 1
    rolled, _ = rig_state([*blocks[:3], *blocks[8:10]], Chain()).block(7.0, 1)
    assert np.array_equal(blocks[10].samples, rolled), "a new press is obeyed, once"
    assert blocks[10].snapshot.counts["reroll"] == blocks[11].snapshot.counts["reroll"] == 1


def test_a_press_after_the_very_first_block_is_not_done_once_more_when_the_music_goes_on_from_it() -> None:
    """A change that waited for a bar lands with the block, so the music goes on from before the first one."""
    reference = PastRig()
    reference.set(seed=7)
    (expected,) = reference.play(1)
    rig = PastRig()

    def knobs(start: int, frames: int) -> ParameterSnapshot:
        if rig.past.status.ago is not None and rig.store.snapshot["seed"] != 7:
            rig.set(seed=7)
        return rig.store.snapshot

    rig.engine._knobs = knobs
    script: dict[int, Callable[[], object]] = {
        2: lambda: rig.store.trigger("reroll", Origin.UI), 4: lambda: rig.past.ask(100)
    }  # fmt: skip
    blocks = rig.play(6, script)
    assert "as far as it goes" in rig.said[-1]
    assert [b.again for b in blocks] == [None] * 6 and blocks[4].jump is not None
    assert same(blocks[4], expected), "with the new seed, and without the re-roll, which came later"
    assert blocks[4].heard.counts["reroll"] == 1


def test_the_first_block_plays_again_after_a_re_roll() -> None:
    rig = PastRig()
    script: dict[int, Callable[[], object]] = {
        3: lambda: rig.store.trigger("reroll", Origin.UI), 5: lambda: rig.past.ask(100)
    }  # fmt: skip
    blocks = rig.play(8, script)
    assert [b.again for b in blocks[5:]] == [0, 1, 2] and same(blocks[5], blocks[0])
    assert blocks[5].jump == Jump(None), "it continues nothing"


def test_the_status_says_at_once_how_old_the_music_is_and_the_answer_has_no_second_number() -> None:
    rig, ages = PastRig(), list[float | None]()
    seconds = FRAMES / 44_100
    look = lambda: ages.append(rig.past.status.ago)  # noqa: E731
    blocks = rig.play(8, {6: lambda: rig.past.ask(3), 7: look, 8: look})
    assert [b.again for b in blocks[6:]] == [2, 3]
    assert ages == [pytest.approx(4 * seconds), pytest.approx(3 * seconds)]
    assert not any(character.isdigit() for character in rig.said[-1])


# A jump while a block is made


class Working(ChainGenerator):
    """Calls `during(number)` in the middle of each block. looks: it asks after that if the block is still wanted."""

    def __init__(self, looks: bool) -> None:
        super().__init__()
        self.looks = looks
        self.during: Callable[[int], object] = lambda number: None
        self.blocks = 0

    def next_block(
        self, snapshot: ParameterSnapshot, keep_going: KeepGoing, rung: Rung = Rung.FULL
    ) -> Generated | None:
        self.blocks += 1
        self.during(self.blocks)
        return super().next_block(snapshot, keep_going if self.looks else lambda share=0.0: True, rung)


@pytest.mark.parametrize("looks", [True, False])
def test_a_jump_while_a_block_is_made_is_heard_at_once_and_the_block_is_given_up(looks: bool) -> None:
    """The model may be in a step that takes half a second. The blocks that play again are made already."""
    plain = PastRig().play(9)
    generator = Working(looks)
    rig = PastRig(generator)
    delivered: list[int | None] = []

    def during(number: int) -> None:
        if number == 7:
            rig.past.ask(3)
            rig.engine.jump()
            delivered.extend(block.again for block in rig.blocks[6:])

    generator.during = during
    rig.left_queued = 2 * FRAMES  # so the last block but one is audible
    rig.play(14)
    assert delivered == [1, 2, 3, 4, 5], "while the model worked"
    assert rig.blocks[6].jump == Jump(0) and rig.ring.joined_at == 6 * FRAMES
    assert [b.again for b in rig.blocks[6:]] == [1, 2, 3, 4, 5, None, None, None]
    assert all(same(a, b) for a, b in zip(rig.blocks[11:], plain[6:], strict=True))
    assert [b.index for b in rig.blocks] == list(range(14))
    assert all(a.end_frame == b.start_frame for a, b in itertools.pairwise(rig.blocks))


def test_a_jump_that_is_refused_while_a_block_is_made_leaves_the_block_alone() -> None:
    plain = PastRig().play(6)
    generator = Working(looks=False)
    rig = PastRig(generator)

    def during(number: int) -> None:
        if number == 5:
            rig.past.ask(-1)
            rig.engine.jump()

    generator.during = during
    blocks = rig.play(6)
    assert all(same(a, b) for a, b in zip(blocks, plain, strict=True))
    assert rig.said == ["Forward: this is the newest music already"]


def rig_state(blocks: list[Block], state: Chain) -> Chain:
    """The state behind some blocks, from their logged knobs."""
    for block in blocks:
        _, state = state.block(block.snapshot["seed"], block.snapshot.counts["reroll"])
    return state


class Model:
    """What the time machine must play, in the plainest way: a list of blocks, a place in it, and the newest state."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.rig = PastRig()
        self.line: list[tuple[np.ndarray, Chain]] = []  # sound, and the state before it
        self.state = Chain()  # behind the last block of the line
        self.place: int | None = None  # of the next block that plays again
        self.heard = -1  # place of the last block
        self.asked, self.turned = 0, False

    def after_block(self) -> None:
        """Compare the block that was made with the model, and press and turn something for the next one."""
        self.move()
        block = self.rig.blocks[-1]
        if self.place is None:
            sound, coming = self.state.block(self.rig.store.snapshot["seed"], 0)
            self.line.append((sound, self.state))
            self.state, self.heard = coming, len(self.line) - 1
        else:
            self.heard, self.place = self.place, self.place + 1
            sound = self.line[self.heard][0]
        assert (block.again is None) == (self.place is None)
        assert np.array_equal(block.samples, sound)
        self.asked, self.turned = 0, False
        for _ in range(self.dice.choice((0, 0, 1, 1, 2))):
            self.play_with_it()

    def move(self) -> None:
        if self.asked > 0 or (self.asked < 0 and self.place is not None):
            self.place = min(len(self.line), max(0, self.heard - self.asked))
        elif self.place is not None and self.place < len(self.line) and self.turned:
            self.state = self.line[self.place][1]
            del self.line[self.place :]
            self.place = None
        if self.place == len(self.line):
            self.place = None

    def play_with_it(self) -> None:
        kind, rig = self.dice.choice(("back", "forward", "turn", "gain")), self.rig
        if kind == "turn":
            self.turned = True
            rig.set(seed=rig.store.snapshot["seed"] + 1)
        elif kind == "gain":
            rig.set(gain=self.dice.uniform(-20, 0))
        else:
            blocks = self.dice.randint(1, 4) * (1 if kind == "back" else -1)
            self.asked += blocks
            rig.past.ask(blocks)


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=30)
def test_any_jumps_and_turns_follow_the_model(number: int) -> None:
    model = Model(random.Random(number))
    model.rig.play(40, {n: model.after_block for n in range(1, 41)})


# How much is kept


def test_ten_minutes_are_kept_and_no_more() -> None:
    rig = PastRig()
    assert rig.past._line._most_frames == 600 * 44_100
    rig = PastRig(seconds=20 * FRAMES / 44_100)
    blocks = rig.play(52, {50: lambda: rig.past.ask(1000)})
    assert rig.past.status.seconds == pytest.approx(20 * FRAMES / 44_100)
    assert blocks[50].again == 30 and same(blocks[50], blocks[30])
    assert rig.said[-1].startswith("Back: older music plays again; that is as far as it goes")


def test_memory_has_a_bound_of_its_own() -> None:
    each = FRAMES * 2 * 4 + 100
    rig = PastRig(most_bytes=10 * each)
    rig.play(30)
    assert rig.past.status.nbytes == 10 * each


# What is refused


def test_without_a_past_the_player_reads_why() -> None:
    rig = PastRig()
    rig.past.ask(1)
    assert rig.said == ["Back: nothing plays now; press start"]
    blocks = rig.play(3, {1: lambda: rig.past.ask(-1)})
    assert rig.said[-1] == "Forward: this is the newest music already" and blocks[1].again is None
    rig.past.forget("another stack played before")
    blocks = rig.play(4, {})
    assert blocks[0].again is None


def test_after_another_stack_there_is_no_way_back_to_the_old_one() -> None:
    rig = PastRig()

    def switch() -> None:
        rig.past.forget("another stack played before")
        rig.past.ask(2)

    blocks = rig.play(6, {4: switch})
    assert rig.said == ["Back: another stack played before"] and [b.again for b in blocks] == [None] * 6


def test_a_panic_and_a_stop_leave_the_past_in_reach() -> None:
    rig = PastRig()
    blocks = rig.play(8, {4: lambda: rig.store.trigger("panic", Origin.UI), 6: lambda: rig.past.ask(3)})
    assert [b.again for b in blocks[6:]] == [2, 3]
    fade = 882
    assert np.array_equal(blocks[7].samples[:-fade], blocks[3].samples[:-fade])
    assert not same(blocks[7], blocks[3]), "it fades out, since the panic's silence does not play again"
    again = rig.play(10, {9: lambda: rig.past.ask(2)})
    assert again[1].again is not None and again[1].index == 9
