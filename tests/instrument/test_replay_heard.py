"""What was heard, in a replay: at the same frames as in the take, with its silence and its dry input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from replay_rig import Recorded
from small_stacks import write_small_stack
from test_replay import again, engine, of

from jbdiff_live.record.events import JumpEvent, PlaceEvent
from jbdiff_live.replay import render
from jbdiff_live.replay.render import replay
from jbdiff_live.stack_choice import StackChoice


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> StackChoice:
    """A stack of one level, without a finisher."""
    stack = write_small_stack(tmp_path_factory.mktemp("stacks") / "small")
    return StackChoice(str(stack), (2,), finisher=False, hop=64)


def test_after_a_jump_the_sound_lies_at_the_same_frame(small: StackChoice, tmp_path: Path) -> None:
    """The jump crossfades from sound that was still queued, in the middle of a chunk of the output."""
    rig = Recorded(small, tmp_path)
    rig.left_queued = 10_000
    take = rig.recorded(12, {5: lambda: rig.past.ask(2), 9: lambda: rig.past.ask(3)})
    assert len(of(take, JumpEvent)) == 2 and np.abs(take.read()).max() > 0.001
    _, made = again(take, tmp_path / "again")
    assert np.array_equal(made.read(), take.read()) and of(made, PlaceEvent) == of(take, PlaceEvent)


def test_a_replay_begins_with_the_silence_of_a_kept_take(
    small: StackChoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a replay that was killed and goes on."""
    monkeypatch.setattr(render, "STATE_SECONDS", 0.0)
    rig = Recorded(small, tmp_path, heard_at=0)
    take = rig.recorded(6, {})
    assert not of(take, PlaceEvent)[0].moves  # type: ignore[attr-defined]

    class Killed(Exception):
        pass

    def kill(done: int, of: int, left: float | None) -> None:
        if done >= 4:
            raise Killed

    with pytest.raises(Killed):
        replay(take.folder, tmp_path / "again", on_progress=kill)
    done, made = again(take, tmp_path / "again")
    assert done.resumed_at > 0 and np.array_equal(made.read(), take.read())
    assert of(made, PlaceEvent) == of(take, PlaceEvent)


def test_the_dry_input_lies_beside_the_replay_as_beside_the_take(small: StackChoice, tmp_path: Path) -> None:
    rig = Recorded(small, tmp_path, sound="stems")
    rig.left_queued = 10_000
    take = rig.recorded(12, {7: lambda: rig.past.ask(3)})
    for name in ("audio", "engine"):
        (take.folder / f"{name}.wav").rename(tmp_path / f"{name}.wav")  # as a cluster gets it
    _, made = again(take, tmp_path / "again", stems=True)
    for name in ("audio", "engine"):
        (tmp_path / f"{name}.wav").rename(take.folder / f"{name}.wav")
    assert np.array_equal(engine(made), engine(take)) and np.array_equal(made.read(), take.read())
    old, new = (soundfile.read(each.folder / "input.wav")[0] for each in (take, made))
    assert len(old) == take.frames and np.abs(old[-2000:]).max() > 0.1 and np.array_equal(new, old)
