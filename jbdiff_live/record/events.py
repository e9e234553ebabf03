"""The events of a take: one JSON object a line in `events.jsonl`. `docs/takes.md` explains them to other programs.

No thread, no disk. Every event has a `frame`: frames since the session began, at the take's rate. A field that is new
in a format has a default, so that lines of older formats can be read.
"""

from __future__ import annotations

from typing import Any

import msgspec

from jbdiff_live.block import FilePlace, NoiseDrawn
from jbdiff_live.parameters import ACTIONS, PARAMETERS, ParameterSnapshot

_DEFAULTS = {parameter.name: parameter.default for parameter in PARAMETERS}
_NO_COUNTS = {action.name: 0 for action in ACTIONS}


class ChangeEvent(msgspec.Struct, frozen=True, tag_field="event", tag="change"):
    """A change of a parameter. `frame` is the session's audible frame at that moment."""

    frame: int
    name: str
    value: float
    origin: str
    version: int


class ActionEvent(msgspec.Struct, frozen=True, tag_field="event", tag="action"):
    """A triggered action. `count` is the number of its triggers since the session began."""

    frame: int
    name: str
    count: int
    origin: str
    version: int


class MarkerEvent(msgspec.Struct, frozen=True, tag_field="event", tag="marker"):
    """A marker that the player set. `number` counts the markers of the session from 1."""

    frame: int
    number: int
    origin: str


class OldBlockMade(msgspec.Struct, frozen=True, omit_defaults=True):
    """A block of the stack that fades out, which was made for a block of the next stack: its knobs and sounds."""

    version: int
    values: dict[str, float]
    counts: dict[str, int]
    given: GivenSounds | None = None

    @property
    def snapshot(self) -> ParameterSnapshot:
        """Return the knobs of the block."""
        return ParameterSnapshot(self.version, {**_DEFAULTS, **self.values}, {**_NO_COUNTS, **self.counts})


class GivenSounds(msgspec.Struct, frozen=True, omit_defaults=True):
    """The sounds from outside that a block was made from, by their names in the folder `sounds`.

    began: the music began from this sound right before the block. context, init: files that the block read. played: by
    role, the frames of the music since such a file began, at the block's first new frame. live: the pieces of the live
    input in the order of reading, as first frame and length in `live.wav`; null: no input was open. old: blocks of the
    stack that fades out.
    """

    began: str | None = None
    context: str | None = None
    init: str | None = None
    played: dict[str, int] = {}
    live: list[tuple[int, int] | None] = []
    old: list[OldBlockMade] = []


class BlockEvent(msgspec.Struct, frozen=True, tag_field="event", tag="block", omit_defaults=True):
    """A block that was made. `version` is its snapshot's; the snapshot's values and action counts follow.

    `noise` is an object with the noise's identity, or a text if the block was made without noise. `turned` holds the
    values of knobs that changed while the block was being made, in the order of reading; guidance has one value for
    each step. For such a knob `values` holds the value at the block's beginning. To make the block again, take
    `snapshot` for its settings, and the event as `turning` of `jbdiff.stream.stream.BlockStream.step`. `again` is the
    index of an earlier block if the time machine played that block again: with the state before that block, these
    settings make the same sound. `edges` are the frames that such a block fades in and out, if it does. `files` holds,
    by role ("context", "init"), the places in the sound files that the block read. They count at its first new frame,
    which sounds the stack's latency later.

    `anew`: the music began with this block. `resumes`: it continues the music from before the block of that index.
    `given`: the sounds from outside that it was made from.
    """

    index: int
    start_frame: int
    frames: int
    noise: NoiseDrawn | str
    seconds_taken: float
    rung: str
    version: int
    values: dict[str, float]
    counts: dict[str, int]
    turned: dict[str, list[float]] = {}
    novelty: float = 0.0
    again: int | None = None
    files: dict[str, FilePlace] = {}
    edges: list[int] = []
    anew: bool = False
    resumes: int | None = None
    given: GivenSounds | None = None

    @property
    def snapshot(self) -> ParameterSnapshot:
        """Return the knobs of the block. Those that an older version did not have are at their defaults."""
        return ParameterSnapshot(self.version, {**_DEFAULTS, **self.values}, {**_NO_COUNTS, **self.counts})

    def guidance(self, step: int) -> float:
        """Return the guidance of a step, counted from 0. IndexError if the block took fewer steps."""
        read = self.turned.get("guidance")
        return self.values["guidance"] if read is None else read[step]

    def finisher_strength(self) -> float:
        """Return the finisher strength as it was read when the finisher started."""
        return self.turned.get("finisher_strength", [self.values["finisher_strength"]])[0]


class GapEvent(msgspec.Struct, frozen=True, tag_field="event", tag="gap", omit_defaults=True):
    """A gap of silence in `file`, in frames, in place of sound that was dropped because the disk was too slow."""

    frame: int
    frames: int
    file: str = "audio.wav"


class StackEvent(msgspec.Struct, frozen=True, tag_field="event", tag="stack"):
    """A change of stack at `frame`: the new one is silent for its latency, then fades in over the old one.

    The old one goes on until the crossfade has ended. `identity` names the weights.
    """

    frame: int
    stack: str
    levels: list[int]
    finisher: bool
    hop: int | None
    steps: int | None
    identity: str
    latency_frames: int
    fade_frames: int


class JumpEvent(msgspec.Struct, frozen=True, tag_field="event", tag="jump"):
    """A jump of the time machine at `frame`: the block `index`, which follows, does not continue the one before it.

    It continues the block with the index `after`; None: it begins anew. So a renderer that keeps the stream's state
    behind each block goes on from the state behind `after`. The audience did not hear the end of the sound before the
    jump. The engine's sound keeps it, and fades it out and the new sound in, over `fade_frames` on each side.
    """

    frame: int
    index: int
    after: int | None
    fade_frames: int


class PlaceEvent(msgspec.Struct, frozen=True, tag_field="event", tag="place"):
    """From frame `at` of `audio.wav` on, the session's frames count from `frame`.

    moves: False is a silence that the output stage made, during which the session's frame stands still.
    """

    at: int
    frame: int
    moves: bool


class StateEvent(msgspec.Struct, frozen=True, tag_field="event", tag="state"):
    """A fact of the session, such as the sound device, at the take's beginning and whenever it changes."""

    frame: int
    name: str
    value: str | int | float | bool | None


class UnderrunEvent(msgspec.Struct, frozen=True, tag_field="event", tag="underrun"):
    """A hole in the sound. cause: "device" counts times, "late block" counts frames of silence in the block's place."""

    frame: int
    cause: str
    count: int


Event = (
    ChangeEvent
    | ActionEvent
    | MarkerEvent
    | BlockEvent
    | StackEvent
    | GapEvent
    | JumpEvent
    | PlaceEvent
    | StateEvent
    | UnderrunEvent
)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a line of `events.jsonl`, for `docs/take.schema.json`."""
    return msgspec.json.schema(Event)


if __name__ == "__main__":
    print(msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode())
