"""Takes that begin within music render again: over jumps and repeats, with earlier sound, with file players."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from replay_rig import RATE, Recorded, again, blocks_of, engine
from small_stacks import write_small_stack

from jbdiff_live.block import Rung
from jbdiff_live.parameters import Origin
from jbdiff_live.record.again.states import kept_states
from jbdiff_live.stack_choice import StackChoice


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_stack(tmp_path_factory.mktemp("stacks") / "small")


def test_a_take_that_begins_in_the_middle_has_the_state_at_its_beginning(stack: Path, tmp_path: Path) -> None:
    rig = Recorded(StackChoice(str(stack), (2,), finisher=False, hop=64), tmp_path, start_at=60_000)
    rig.left_queued = 30_000
    script = {9: lambda: rig.past.ask(8), 12: lambda: rig.set(seed=5), 15: lambda: rig.past.ask(2)}
    take = rig.recorded(19, script)
    first = blocks_of(take)[0]
    assert first.index > 0 and not first.anew
    assert any(block.again is not None and block.again < first.index for block in blocks_of(take))
    assert any(block.resumes is not None and block.resumes < first.index for block in blocks_of(take))
    done, made = again(take, tmp_path / "again")
    assert done.exact and np.array_equal(engine(made), engine(take))
    mb = sum(path.stat().st_size for path in (take.folder / "states").iterdir()) / 1e6
    assert mb < 20


def test_music_from_before_the_take_goes_on_in_it_with_a_repeat(stack: Path, tmp_path: Path) -> None:
    """The repeat needs the sound before the state. A take that lacks it still renders, and says so."""
    rig = Recorded(StackChoice(str(stack), (2,), finisher=False, hop=64), tmp_path, start_at=60_000)
    rig.left_queued = 30_000
    rig.rungs = {13: Rung.REPEAT}
    take = rig.recorded(16, {9: lambda: rig.past.ask(8), 11: lambda: rig.set(seed=5)})
    blocks = blocks_of(take)
    back = next(n for n, block in enumerate(blocks) if block.resumes is not None)
    assert (blocks[back].resumes or 0) < blocks[0].index and blocks[back + 1].rung == "repeat"
    done, made = again(take, tmp_path / "again")
    assert done.exact and np.array_equal(engine(made), engine(take))
    done, twice = again(made, tmp_path / "twice")
    assert done.exact and np.array_equal(engine(twice), engine(take)), "a replay is a take like any other"
    facts = take.folder / "states" / f"{blocks[back].index:06d}.json"
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "heard_frames": 0}))
    done, made = again(take, tmp_path / "without")
    assert not done.exact and any("the sound may differ" in note for note in done.notes)
    edge = blocks[back + 1].start_frame - take.info.start_frame
    assert np.array_equal(engine(made)[:edge], engine(take)[:edge])


def test_a_file_player_goes_on_at_its_place(stack: Path, tmp_path: Path) -> None:
    """Also in a take that begins while it plays, over a jump, a repeat and a change of stack."""
    torch.set_num_threads(1)
    small = StackChoice(str(stack), (2,), finisher=False, hop=64)
    rig = Recorded(small, tmp_path, start_at=60_000)
    rig.left_queued = 30_000
    rig.rungs = {19: Rung.REPEAT}
    rig.give("context", 5, seconds=4.0)
    rig.set(context_source=1.0, file_start=1, file_length=2, file_dry=-6.0, resample=0.5)
    script = {
        4: lambda: (rig.give("init", 6), rig.set(init_source=1.0)),
        10: lambda: rig.set(init_source=0.0),
        13: lambda: rig.past.ask(1),
        15: lambda: rig.set(init_source=1.0, file_dry=-9.0),
        19: lambda: rig.set(file_loop=0.0),
        20: lambda: rig.change_stack(replace(small, levels=(2, 1))),
        21: lambda: rig.give("init", 7),
        24: lambda: rig.store.trigger("reset_context", Origin.UI),
        25: lambda: rig.set(init_source=0.0, context_source=0.0),
    }  # fmt: skip
    take = rig.recorded(27, script)
    blocks = blocks_of(take)
    assert blocks[0].index > 0 and {name for block in blocks for name in block.files} == {"context", "init"}
    assert any(facts.dry is not None for facts in kept_states(take.folder).values())
    assert {place.loops for block in blocks for place in block.files.values()} == {True, False}
    assert "repeat" in {block.rung for block in blocks} and any(block.resumes is not None for block in blocks)
    assert any(old.given and old.given.played for b in blocks if b.given is not None for old in b.given.old)
    done, made = again(take, tmp_path / "again")
    assert done.exact and np.array_equal(engine(made), engine(take))
    remade = blocks_of(made)  # blocks behind the end are left out
    assert [(b.files, b.given) for b in remade] == [(b.files, b.given) for b in blocks[: len(remade)]]
    done, twice = again(made, tmp_path / "twice", to_seconds=0.6)
    assert done.exact and np.array_equal(engine(twice), engine(take)[: round(0.6 * RATE)])
