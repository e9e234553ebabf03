"""The whole instrument on a turned clock: real session, engine, sink and recorder, a bad stack, staged devices."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from misbehaving import BadStack
from staged_sound import StagedDevice, StagedSound, staged
from turned_clock import TurnedClock

from jbdiff_live.block import BlockGenerator
from jbdiff_live.record.take import Take, open_take
from jbdiff_live.session import Session, SessionOptions
from jbdiff_live.stage_word import StageWord, Word, stage_word

LOUD = 0.05  # the tone is four times as loud
STAGE, OTHER = "Staged: stage", "Staged: other"
GENEROUS = 60.0  # turned seconds within which something comes that does not depend on the machine


class StageRig:
    """`generator` is a tone that can be spoilt. The session is open on `device`; `other` is there to be chosen."""

    def __init__(
        self,
        folder: Path,
        sound: StagedSound,
        clock: TurnedClock,
        generator: BlockGenerator | None = None,
        channels: int = 2,
        **options: Any,
    ) -> None:
        self.clock, self.sound = clock, sound
        self.device: StagedDevice = sound.add(STAGE)
        self.device.channels = channels
        self.other: StagedDevice = sound.add(OTHER)
        self.stack = BadStack(clock)
        self.takes = folder / "takes"
        chosen = SessionOptions(device=STAGE, midi=(), takes=self.takes, **options)
        self.session = Session(chosen, generator or self.stack, clock, patience=30.0)
        self.session.open()

    @property
    def word(self) -> StageWord:
        return stage_word(self.session.status())

    def wait_for(self, word: Word) -> float:
        """Turn until the state is `word`. Return the turned seconds that it took."""
        return self.clock.run_until(lambda: self.word.word is word, lambda: f"{word}, but {self.describe()}")

    def wait_for_no_device(self) -> float:
        """Turn until the second word says that no device plays. Return the turned seconds."""
        return self.clock.run_until(lambda: self.word.device, lambda: f"no device, but {self.describe()}")

    def wait_for_sound(self, device: StagedDevice | None = None) -> float:
        """Turn until new sound has come out of the device and the player reads so."""
        device = device or self.device
        device.loudest = 0.0
        return self.clock.run_until(
            lambda: device.loudest > LOUD and self.word.word is Word.PLAYING and not self.word.device,
            lambda: f"sound: {self.describe()}",
        )

    def wait_for_silence(self) -> float:
        """Turn until the device has been silent for a tenth of a second."""

        def silent() -> bool:
            self.device.loudest = 0.0
            self.clock.run(0.1)
            return self.device.loudest == 0.0

        return self.clock.run_until(silent, lambda: f"silence: {self.describe()}")

    def play(self) -> None:
        self.session.start()
        self.wait_for_sound()

    def describe(self) -> str:
        status = self.session.status()
        return f"{self.word}; {status.engine}; {status.audio}; queued {status.seconds_queued:.2f} s"

    def closed_takes(self) -> list[Take]:
        """The takes of this session, each of which is closed and whole."""
        takes = [open_take(folder) for folder in sorted(self.takes.iterdir())] if self.takes.exists() else []
        for take in takes:
            assert take.info.closed_cleanly and not take.info.problem, take.info
        return takes

    def close(self) -> None:
        self.session.close()


@contextlib.contextmanager
def stage(
    folder: Path,
    generator: BlockGenerator | None = None,
    clock: TurnedClock | None = None,
    channels: int = 2,
    **options: Any,
) -> Iterator[StageRig]:
    """An instrument that is closed behind the test, whatever became of it. channels: of the device. options: see
    `SessionOptions`.
    """
    clock = clock or TurnedClock()
    with staged(clock) as sound:
        rig = StageRig(folder, sound, clock, generator, channels, **options)
        try:
            yield rig
        finally:
            rig.close()
