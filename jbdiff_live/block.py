"""A block of audio and the protocol of whatever makes one. Immutable, shared by all threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.stack_choice import StackPlaying

Audio = NDArray[np.float32]  # [frames, channels]
CHANNELS = 2
SAMPLE_RATE = 44_100  # of every stack that the instrument plays


class Rung(IntEnum):
    """How much of the intended work a block got, best first. Later rungs are what a late engine falls to.

    Each keeps what the rungs above it took away. Below the last one there is only the fade into silence.
    """

    FULL = 0
    FEWER_STEPS = 1  # half of every part's
    NO_LEVEL_0 = 2
    NO_LEVEL_1 = 3
    QUICK_FINISHER = 4  # one step
    LOOP = 5  # the last window once more, moved a little, in one step
    REPEAT = 6  # the last sound once more, as it was: costs nothing

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class Block:
    """Finished audio. `samples` is float32 `[frames, channels]` and not writeable.

    `turned` holds the values of knobs that were turned while the block was being made, in the order in which they
    were read: of guidance one for each step. A knob that is not in it had the snapshot's value throughout. `looped` is
    there when the block only plays older sound again: what the knobs were for that sound.
    """

    samples: Audio
    index: int
    start_frame: int
    snapshot: ParameterSnapshot
    noise: str  # identity of the noise, for the log: style, seed, epoch, index
    seconds_taken: float
    rung: Rung = Rung.FULL
    stack: StackPlaying | None = None  # what made it; None without a model
    turned: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    looped: ParameterSnapshot | None = None
    novelty: float = 0.0  # distance of its latents from the last block's, 0 to 1; 0 without a model
    beat: tuple[float, float] | None = None  # as `Generated.beat`

    def __post_init__(self) -> None:
        self.samples.setflags(write=False)

    @property
    def frames(self) -> int:
        return len(self.samples)

    @property
    def end_frame(self) -> int:
        return self.start_frame + self.frames

    @property
    def heard(self) -> ParameterSnapshot:
        """What the knobs are for this sound: the snapshot, with what was read last in its place."""
        if self.looped is not None:
            return self.looped
        if not self.turned:
            return self.snapshot
        last = {name: values[-1] for name, values in self.turned.items()}
        return replace(self.snapshot, values={**self.snapshot.values, **last})


@dataclass(frozen=True)
class Generated:
    """What a generator hands back for one block: audio `[frames, channels]` and the noise it grew from."""

    samples: Audio
    noise: str
    stack: StackPlaying | None = None
    mixed: bool = False  # two stacks made it: the time it took says nothing about the next one
    turned: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # as `Block.turned`
    novelty: float = 0.0  # as `Block.novelty`
    read_at: float | None = None  # when a step read guidance last, by `time.monotonic`; None where none did
    beat: tuple[float, float] | None = (
        None  # place in the bar of its first new sound, beats a frame; None: no beat
    )


class KeepGoing(Protocol):
    """Asked while a block is made: whether it is still wanted. `share` of its work, 0..1, is done."""

    def __call__(self, share: float = 0.0) -> bool: ...


class BlockGenerator(Protocol):
    """Makes audio block by block. Every method runs on the engine thread, but `close`, which is the session's.

    One that can change its stack loads the new one elsewhere and offers it: `switch_seconds` is None while there
    is nothing to switch to. `block_frames` may change with `switch`.
    """

    @property
    def sample_rate(self) -> int: ...

    @property
    def channels(self) -> int: ...

    @property
    def block_frames(self) -> int: ...

    @property
    def switch_seconds(self) -> float | None:
        """Seconds that the first block after a `switch` takes; None where nothing waits."""
        ...

    @property
    def mixing_seconds(self) -> float | None:
        """Seconds that the next block takes where two stacks make it, one fading into the other; else None."""
        ...

    @property
    def rung_seconds(self) -> Mapping[Rung, float]:
        """Seconds that a block takes on each rung that there is, best first, as far as was measured."""
        ...

    def prepare(self, report: Callable[[str], None], keep_going: Callable[[], bool]) -> bool:
        """Loads and warms up; says what it is doing through `report`. Raises with the remedy.

        False when `keep_going` turned false on the way.
        """
        ...

    def switch(self) -> None:
        """From the next block on, the stack that waits fades in."""
        ...

    def next_block(
        self, snapshot: ParameterSnapshot, keep_going: KeepGoing, rung: Rung = Rung.FULL
    ) -> Generated | None:
        """The next block, or None when `keep_going` turned false on the way, which left everything as it was."""
        ...

    def reset(self, keep_going: Callable[[], bool]) -> None:
        """Forgets everything played so far. Returns soon after `keep_going` turned false."""
        ...

    def close(self) -> None:
        """Lets memory and threads go. The session's thread; the engine has ended, or hangs in `next_block`."""
        ...
