"""A block of audio, and the protocol of a generator. Blocks are immutable and shared by all threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.stack_choice import StackPlaying

Audio = NDArray[np.float32]  # [frames, channels]
Mono = NDArray[np.float32]  # [frames]
CHANNELS = 2
SAMPLE_RATE = 44_100  # of every stack that the instrument plays


class Rung(IntEnum):
    """The amount of work that a block got, from the best rung to the cheapest. A late engine goes down the rungs.

    Each rung also leaves out the work that the rungs above it leave out. Below the last rung the sound fades out.
    """

    FULL = 0
    FEWER_STEPS = 1  # half the steps of every level and of the finisher
    NO_LEVEL_0 = 2
    NO_LEVEL_1 = 3
    QUICK_FINISHER = 4  # one step
    LOOP = 5  # the last window again, changed a little, in one step
    REPEAT = 6  # the last sound again, unchanged: costs nothing

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class Jump:
    """A jump of the time machine. after: the index of the block that the music continues; None: it begins anew.

    The queued frames before the jump were dropped. The output crossfades from them.
    """

    after: int | None


@dataclass(frozen=True)
class NoiseDrawn:
    """Identity of the noise that a block was made from, as `jbdiff.diffusion.noise.NoiseIdentity` gives it."""

    stream: str
    seed: int
    style: str
    step: float
    epoch: int  # 0 is the seed's own home; each re-roll opens a new one
    index: int  # block index in the stream
    held: bool
    jumped: bool  # the block plays the home noise of its epoch
    seed_b: int | None = None  # the other seed, if it has a part
    morph: float = 0.0  # its part
    slot: int | None = None  # slot of the register, from 0, in style register


@dataclass(frozen=True, eq=False)  # arrays do not compare as one value
class Given:
    """The sounds from outside that a block was made from, mono at the model's rate. A take keeps them.

    began: the end of the sound that the music began from right before this block. context, init: files, whole, if the
    block read them. played: by role, the frames of the music since such a file began, at the block's first new frame.
    live: the pieces of the live input in the order of reading, each with the player's presence in
    every frame; None stands for a reading while no input was open.
    """

    began: Mono | None = None
    context: Mono | None = None
    init: Mono | None = None
    played: Mapping[str, int] = field(default_factory=dict)
    live: tuple[tuple[Mono, Mono] | None, ...] = ()
    old: tuple[OldBlock, ...] = ()  # blocks of the stack that fades out, which were made for this one

    @property
    def nothing(self) -> bool:
        """True if the block was made from the instrument's own sound alone."""
        sounds = self.began, self.context, self.init
        return all(sound is None for sound in sounds) and not self.live and not self.old


@dataclass(frozen=True, eq=False)
class OldBlock:
    """A block of the stack that fades out: its knobs and its sounds."""

    snapshot: ParameterSnapshot
    given: Given


NOTHING_GIVEN = Given()


@dataclass(frozen=True)
class FilePlace:
    """A place in a sound file, in frames. The part of the file begins at `begin` and is `frames` long.

    played: frames of the part that had played before the first frame, also more than its length. It is negative before
    the part began. loops: the part plays in a circle.
    """

    played: int
    begin: int
    frames: int
    loops: bool


@dataclass(frozen=True)
class Block:
    """Finished audio. `samples` is float32 `[frames, channels]` and not writeable.

    `turned` holds the values of knobs that changed while the block was being made, in the order of reading. Guidance
    has one value for each step. A knob that is not in it had the snapshot's value throughout. `looped` is None unless
    the block repeats older sound. It then holds the knobs with which that sound was made.

    `again` is the index of the block that the time machine plays again; None for new music. `asked` holds the action
    counts of the store if the generator got others, as it does after a jump back. `jump` says that the sound does not
    continue the block before it. `files` holds, by role, the places of the files at which its first new frame is.
    `edges` are the frames that an older block fades in and out where music once began.

    `given`, `anew` and `resumes` say, with the knobs, from what a new block was made. `anew`: the music begins with it,
    at a start or after a panic. `resumes`: the state before the block of that index was restored.
    """

    samples: Audio
    index: int
    start_frame: int
    snapshot: ParameterSnapshot
    noise: NoiseDrawn | str  # for the log; a text if the block was made without noise
    seconds_taken: float
    rung: Rung = Rung.FULL
    stack: StackPlaying | None = None  # the stack that made it; None without a model
    turned: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    looped: ParameterSnapshot | None = None
    novelty: float = 0.0  # distance of its latents from the last block's, 0 to 1; 0 without a model
    beat: tuple[float, float] | None = None  # as `Generated.beat`
    again: int | None = None
    asked: Mapping[str, int] | None = None
    jump: Jump | None = None
    files: Mapping[str, FilePlace] = field(default_factory=dict)
    edges: tuple[int, int] = (0, 0)
    given: Given = NOTHING_GIVEN
    anew: bool = False
    resumes: int | None = None

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
        """The knobs with which this sound was made: the snapshot, with the last value of each `turned` knob.

        Its action counts are the store's.
        """
        found = self.snapshot if self.looped is None else self.looped
        if self.looped is None and self.turned:
            last = {name: values[-1] for name, values in self.turned.items()}
            found = replace(found, values={**found.values, **last})
        return found if self.asked is None else replace(found, counts=self.asked)


@dataclass(frozen=True)
class Generated:
    """A generator's result for one block: audio `[frames, channels]` and the identity of its noise."""

    samples: Audio
    noise: NoiseDrawn | str  # as `Block.noise`
    stack: StackPlaying | None = None
    mixed: bool = False  # two stacks made it: its time does not predict the next block's
    turned: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # as `Block.turned`
    novelty: float = 0.0  # as `Block.novelty`
    read_at: float | None = None  # last reading of guidance by a step (`time.monotonic`); None: no step did
    beat: tuple[float, float] | None = (
        None  # place of its first new frame in the bar, and beats a frame; None: no beat
    )
    files: Mapping[str, FilePlace] = field(default_factory=dict)  # as `Block.files`
    given: Given = NOTHING_GIVEN


@dataclass(frozen=True)
class Preparing:
    """The work in progress before a generator can play, for the player: loading first, then the warm-up."""

    detail: str
    warming: bool = False  # False while libraries and files are read


class KeepGoing(Protocol):
    """A function that says, while a block is made, if it is still wanted. share: the work that is done, 0..1."""

    def __call__(self, share: float = 0.0) -> bool: ...


class BlockGenerator(Protocol):
    """A maker of audio, block by block. The engine thread calls every method except `close`; the session calls that.

    A generator that can change its stack loads the new one on another thread. `switch_seconds` is None until a stack
    is ready. `block_frames` may change with `switch`.
    """

    @property
    def sample_rate(self) -> int: ...

    @property
    def channels(self) -> int: ...

    @property
    def block_frames(self) -> int: ...

    @property
    def switch_seconds(self) -> float | None:
        """Seconds that the first block after a `switch` takes; None if no stack is ready."""
        ...

    @property
    def mixing_seconds(self) -> float | None:
        """Seconds that the next block takes if two stacks make it, during a crossfade; else None."""
        ...

    @property
    def rung_seconds(self) -> Mapping[Rung, float]:
        """Seconds that a block takes on each rung, best first. Rungs without a measurement are missing."""
        ...

    def prepare(self, report: Callable[[Preparing], None], keep_going: Callable[[], bool]) -> bool:
        """Load and warm up. `report` gets the work in progress. An error names the remedy.

        Returns False if `keep_going` turned false meanwhile.
        """
        ...

    def switch(self) -> None:
        """Fade the loaded stack in, from the next block on."""
        ...

    def next_block(
        self, snapshot: ParameterSnapshot, keep_going: KeepGoing, rung: Rung = Rung.FULL
    ) -> Generated | None:
        """Make the next block. None: `keep_going` turned false meanwhile, and no state has changed."""
        ...

    def reset(self, keep_going: Callable[[], bool]) -> None:
        """Forget all music so far. Returns soon after `keep_going` turned false."""
        ...

    def close(self) -> None:
        """Free memory and end threads. Session's thread; the engine has ended, or hangs in `next_block`."""
        ...


class Saved(Protocol):
    """A generator's state between two blocks. Immutable."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes beyond the state that it was compacted against."""
        ...

    def compact(self, before: Self | None) -> Self:
        """Return the same state in little memory, off the device. before: the compact state one block earlier."""
        ...


@dataclass(frozen=True, eq=False)
class StoredDry:
    """A file that plays in the output, mono at the model's rate: its place at a state, and its gain."""

    file: Mono
    place: FilePlace
    gain: float


@dataclass(frozen=True)
class StoredState:
    """A generator's state as a take keeps it, for a replay that begins there.

    stream: bytes of `jbdiff.stream.state.StreamState`. position: frames of the music so far. resets: count of the
    action that resets the context. heard: the stacks' sound before it, in pieces `[frames, channels]`. out: the same
    with the file in it; empty if it is the same sound. dry: the file that plays in the output. `Given.played` has the
    places of the files that the model gets.
    """

    stream: bytes
    position: int
    resets: int
    heard: tuple[Audio, ...]
    out: tuple[Audio, ...] = ()
    dry: StoredDry | None = None


@runtime_checkable
class Storable(Protocol):
    """A saved state that a take can keep. Optional. Any thread; `stored` takes some milliseconds."""

    @property
    def stack(self) -> StackPlaying:
        """The stack that plays there."""
        ...

    def stored(self) -> StoredState: ...


@runtime_checkable
class Rewinds(Protocol):
    """A generator whose state can be saved and restored bit-exactly. Optional. Engine thread."""

    def save(self) -> Saved | None:
        """Return the state before the next block; None while it cannot be restored."""
        ...

    def fits(self, saved: Saved) -> bool:
        """Return True if `restore` can take this state now."""
        ...

    def restore(self, saved: Saved, present: Saved) -> None:
        """Go on from a saved state. present: the newest; files that the music has begun from do not begin again."""
        ...
