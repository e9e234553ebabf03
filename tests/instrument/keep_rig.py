"""A recorder that is always recording, in short segments: `Rig`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_record import until
from test_takes import RATE, SNAPSHOT, Stage, ramp

from jbdiff_live.block import Block
from jbdiff_live.record import always
from jbdiff_live.record.recorder import Recorder
from jbdiff_live.record.take import Take, open_take
from jbdiff_live.system.takes_folder import AlwaysOptions

SEGMENT = 4000  # frames


class Rig:
    """An output stage and a recorder that is always recording, in short segments."""

    def __init__(self, folder: Path, **options: float) -> None:
        self.stage = Stage()
        self.folder, self.ring = folder, folder / "ring"
        self.said: list[str] = []
        self.recorder = Recorder(
            RATE, 2, tap=self.stage.tap, always=AlwaysOptions(self.ring, **options), say=self.said.append
        )
        self.stage.store.subscribe(lambda change: self.recorder.note(change, self.stage.made))
        self.index = 0

    def play(self, frames: int) -> None:
        start = self.stage.made
        self.recorder.offer(Block(ramp(start, frames), self.index, start, SNAPSHOT, "tone", 0.1))
        self.index += 1
        self.settle()
        self.stage.play(frames)
        ring = self.recorder.always
        until(lambda: not ring.on or ring.read_to == self.stage.tap.written, 20)

    def settle(self) -> None:
        """Wait until the writer has done all that it was given."""
        until(lambda: not self.recorder._queue and self.recorder._blocks_waiting == 0)

    def keep(self, end: int, minutes: float | None) -> Take:
        known = set(self.takes())
        self.recorder.keep(self.folder / "takes", end, minutes, {"patch": "drift"})
        until(lambda: any(text.startswith("kept") for text in self.said))
        self.said.clear()
        (folder,) = set(self.takes()) - known
        return open_take(folder)

    def takes(self) -> list[Path]:
        return sorted((self.folder / "takes").glob("*"))


@contextmanager
def short_segments(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """A rig whose ring has segments of `SEGMENT` frames; its recorder is closed at the end."""
    patch.setattr(always, "SEGMENT_SECONDS", SEGMENT / RATE)
    made = Rig(folder)
    yield made
    made.recorder.close()
