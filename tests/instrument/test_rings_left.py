"""The ring of always recording outlives its session: a crash, a second session, another instance."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from keep_rig import Rig, short_segments
from test_record import until

from jbdiff_live.record import always
from jbdiff_live.record.always import AlwaysRing
from jbdiff_live.record.keep import keep_ring
from jbdiff_live.record.take import TakeError, open_take


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    with short_segments(tmp_path, monkeypatch) as made:
        yield made


def broken_ring(rig: Rig, folder: Path) -> Path:
    """A copy of the ring as a killed process leaves it."""
    until(lambda: any(rig.ring.iterdir()))
    (ring,) = rig.ring.iterdir()
    shutil.copytree(ring, folder / ring.name)
    return folder / ring.name


def test_a_ring_that_a_crash_broke_off_becomes_a_take(rig: Rig, tmp_path: Path) -> None:
    for _ in range(5):
        rig.play(2000)
    until(lambda: rig.stage.tap.written > 0 and not rig.recorder._queue)
    ring = broken_ring(rig, tmp_path / "left")
    assert always.broken_rings(tmp_path / "left") == [ring]
    newest = always.segments(ring)[-1] / "take.json"
    info = json.loads(newest.read_text())
    newest.write_text(json.dumps({**info, "details": {}}))
    with pytest.raises(TakeError, match="no heard_at in its details"):
        keep_ring(ring, tmp_path / "takes")
    newest.write_text(json.dumps({**info, "started": "2026-05-01T21:30:00+02:00"}))
    folder = keep_ring(ring, tmp_path / "takes")
    take = open_take(folder)
    sound = take.read()
    assert take.info.recovered and len(sound) > 8000 and np.array_equal(sound, rig.stage.out[: len(sound)])
    assert not ring.exists() and always.broken_rings(tmp_path / "left") == []
    assert folder.name == "2026-05-01_21-30-00", "the moment of its last sound"
    with pytest.raises(TakeError):
        keep_ring(tmp_path / "nothing", tmp_path / "takes")


def test_a_ring_that_ended_well_is_there_until_the_next_session_sounds(rig: Rig, tmp_path: Path) -> None:
    rig.play(2000)
    rig.recorder.close()
    (ring,) = rig.ring.iterdir()
    old = ring / "000001"
    before = old.stat().st_mtime_ns
    assert always.broken_rings(rig.ring) == []
    second = Rig(tmp_path)
    try:
        assert old.exists()
        second.play(2000)
        until(lambda: not old.exists() or old.stat().st_mtime_ns != before, 20)
    finally:
        second.recorder.close()


def test_another_instance_leaves_a_ring_alone_at_every_moment(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two segments no take of the ring is recorded. A second session that begins to sound deletes old rings."""
    begin, looked = AlwaysRing._begin, list[int]()

    def begun(ring: AlwaysRing, at: int) -> None:
        always.delete_old_rings(rig.ring)
        looked.append(len(list(rig.ring.glob("*/*/take.json"))))
        begin(ring, at)

    monkeypatch.setattr(AlwaysRing, "_begin", begun)
    for _ in range(6):
        rig.play(2000)
    assert len(looked) > 2 and looked == list(range(len(looked))), "all of it is there"
    assert always.broken_rings(rig.ring) == []
    rig.recorder.close()
    always.delete_old_rings(rig.ring)
    assert not list(rig.ring.iterdir()), "its session has ended"


def test_one_instance_at_a_time_recovers_a_ring(rig: Rig, tmp_path: Path) -> None:
    for _ in range(3):
        rig.play(2000)
    ring = broken_ring(rig, tmp_path / "left")
    other = always.ring_lock(ring)
    assert other.take()
    assert always.broken_rings(tmp_path / "left") == [], "somebody recovers it"
    with pytest.raises(TakeError, match="another jbdiff-live recovers it now"):
        keep_ring(ring, tmp_path / "takes")
    other.release()
    assert open_take(keep_ring(ring, tmp_path / "takes")).info.recovered
