"""The folder of an unfinished render: one process at a time, and no hole where its samples were lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_render import Stop, plan, stop_in_block_three

from jbdiff.file_lock import lock
from jbdiff.render.render import LOCK, RenderError, render
from jbdiff.stacks.stack import Stack
from jbdiff.stream.stream import BlockStream


@pytest.fixture
def stream(toy_stack: Stack) -> BlockStream:
    return BlockStream(toy_stack, levels=(2, 1), finisher=True)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_second_process_is_refused_and_harms_nothing(
    stream: BlockStream, tmp_path: Path, fresh: bool
) -> None:
    with pytest.raises(Stop):
        render(stream, plan(tmp_path / "a.wav"), stop_in_block_three)
    partial = tmp_path / "a.wav.partial"
    before = {path.name: path.read_bytes() for path in partial.iterdir()}
    with (partial / LOCK).open("ab") as other:
        assert lock(other.fileno())
        with pytest.raises(RenderError, match="another process renders this"):
            render(stream, plan(tmp_path / "a.wav"), fresh=fresh)
    assert {path.name: path.read_bytes() for path in partial.iterdir()} == before
    assert render(stream, plan(tmp_path / "a.wav"), fresh=fresh).resumed_at == (0 if fresh else 2)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_samples_that_were_lost_are_no_silence(stream: BlockStream, tmp_path: Path) -> None:
    """A power cut can keep the small file of the state and lose the samples before it."""
    with pytest.raises(Stop):
        render(stream, plan(tmp_path / "a.wav"), stop_in_block_three)
    with (tmp_path / "a.wav.partial" / "sound.f32").open("r+b") as raw:
        raw.truncate(1_000)
    with pytest.raises(
        RenderError, match=r"sound\.f32 is cut short; begin afresh: remove that folder, or add --fresh"
    ):
        render(stream, plan(tmp_path / "a.wav"))
    made = render(stream, plan(tmp_path / "a.wav"), fresh=True)
    assert made.resumed_at == 0 and made.peak > 0


def test_a_link_that_leads_nowhere_is_in_the_way(stream: BlockStream, tmp_path: Path) -> None:
    (tmp_path / "a.wav.partial").symlink_to("nowhere")
    with pytest.raises(RenderError, match="in the way"):
        render(stream, plan(tmp_path / "a.wav"))
