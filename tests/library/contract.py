"""The contract that every streaming part keeps. `verify_contract(part)` raises ContractError where a part breaks it.

1. Block by block equals the whole. A part that invents repeats itself, whatever it played before a reset.
2. Blocks of 1, 2 and 3 units give the same output.
3. Input outside of what the part declares to read changes nothing, even if it is NaN. A bad block harms no state.
4. The reach that is measured is the reach that is declared.
5. A state that was saved as bytes continues bit-exactly.

A part comes in through an adapter (`contract_parts.py`). A part that cannot keep a clause says why, in words.
"""

from __future__ import annotations

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from jbdiff.stream.state import StreamError

State = TypeVar("State")
MULTIPLES = (1, 2, 3)
UNITS = 6  # of a run; every multiple divides it


class ContractError(AssertionError):
    """A part does not keep the contract. The message names the part and the clause."""


@dataclass(frozen=True)
class Reach:
    """How far input lies from an output that it changes, in places."""

    before: int
    after: int


class Part(ABC, Generic[State]):
    """A streaming part as the contract sees it.

    A unit is the shortest block. A place is the step in which reach is counted: a token, or some samples. Subclasses
    set `name`, `reach` and `unit`, and what differs from the values below.
    """

    name: str
    reach: Reach  # as the part declares it
    unit: int  # length of the last dimension of one unit of input
    latency: int = 0  # length of the last dimension by which output is late
    tolerance: float = 1e-5  # largest difference of two outputs that should be equal, but for rounding
    no_whole: str = ""  # why the part defines no whole
    one_multiple: str = ""  # why a block cannot be several units
    bound: str = ""  # why the declared reach is only a bound, and what counts as a change
    slack: int = 0  # places by which the measured reach may then be shorter
    least: float = 0.0  # changes up to this share of the loudest output are none
    outside: float = math.nan  # stands outside of the input that is read
    no_nan: str = ""  # why that is no NaN
    restored_after: Sequence[int] = (0, 1, 3)  # units

    @abstractmethod
    def signal(self, seed: int) -> Tensor:
        """Input of `UNITS` units, `[1, c, UNITS * unit]`."""

    @abstractmethod
    def fresh(self) -> State:
        """The state at the beginning, by the part's own reset."""

    @abstractmethod
    def step(self, state: State, x: Tensor) -> tuple[Tensor, State]:
        """Play one block of input, of one or more units. Returns the output and the state after."""

    def whole(self, x: Tensor, states: Sequence[State]) -> Tensor:
        """The output of all input at once, without latency. states: after every block of a run."""
        raise AssertionError(f"{self.name} has neither a whole nor a reason")

    @abstractmethod
    def probe(self) -> Tensor:
        """Input for `respond`, long enough to show the reach."""

    @abstractmethod
    def respond(self, x: Tensor) -> Tensor:
        """Output to input that `probe` returned, `[places, values]`: row p lies at the place of input p."""

    @property
    @abstractmethod
    def probed(self) -> Sequence[int]:
        """Places of `probe` that are changed one at a time. They show the reach on both sides."""

    @property
    @abstractmethod
    def watched(self) -> range:
        """Rows of `respond` that input outside of their reach must not change."""

    @property
    def place(self) -> int:
        """Length of the last dimension of input at one place."""
        return 1

    @abstractmethod
    def to_bytes(self, state: State) -> bytes:
        """The state as it is saved."""

    @abstractmethod
    def from_bytes(self, content: bytes) -> State:
        """The state that was saved."""


@dataclass(frozen=True)
class Run(Generic[State]):
    """What a part plays from its beginning, unit by unit. Every clause compares with it."""

    x: Tensor
    out: Tensor
    states: Sequence[State]  # after every unit


def verify_contract(part: Part[State]) -> None:
    """Hold a part to all five clauses, in order. Raises ContractError at the first that it breaks."""
    clauses: Sequence[Callable[[Part[State], Run[State]], None]] = (
        blocks_equal_the_whole,
        multiples_agree,
        outside_changes_nothing,
        reach_is_declared,
        saved_continues,
    )
    with torch.inference_mode():
        x = part.signal(0)
        run = Run(x, *play(part, x))
        for clause in clauses:
            clause(part, run)


def play(
    part: Part[State], x: Tensor, units: int = 1, state: State | None = None
) -> tuple[Tensor, list[State]]:
    """Play input in blocks of so many units. Returns all output, and the state after every block."""
    state, out, states = part.fresh() if state is None else state, [], []
    for block in x.split(units * part.unit, dim=-1):
        audio, state = part.step(state, block)
        out.append(audio)
        states.append(state)
    return torch.cat(out, dim=-1), states


def blocks_equal_the_whole(part: Part[State], run: Run[State]) -> None:
    """Clause 1."""
    x, out = run.x, run.out
    _hold(part, bool(out.isfinite().all()), "block by block", "its output is not finite")
    _hold(part, float(out.std()) > 0, "block by block", "its output is constant, which shows nothing")
    if not part.no_whole:
        whole = part.whole(x, run.states)
        count = out.shape[-1] - part.latency
        _equal(
            part,
            "block by block",
            "is not the whole",
            out[..., part.latency :],
            whole[..., :count],
            part.tolerance,
        )
    play(part, part.signal(1)[..., : part.unit * UNITS // 2])
    again, _ = play(part, x)
    _equal(part, "reset", "depends on what was played before", again, out)


def multiples_agree(part: Part[State], run: Run[State]) -> None:
    """Clause 2."""
    if part.one_multiple:
        return
    for units in MULTIPLES[1:]:
        out, _ = play(part, run.x, units)
        _equal(part, "multiples", f"is another in blocks of {units} units", out, run.out, part.tolerance)


def outside_changes_nothing(part: Part[State], run: Run[State]) -> None:
    """Clause 3."""
    _hold(
        part, math.isnan(part.outside) or bool(part.no_nan), "outside", "it takes no NaN and does not say why"
    )
    x, rows = part.probe(), part.watched
    first, last = rows[0] - part.reach.before, rows[-1] + part.reach.after
    places = x.shape[-1] // part.place
    _hold(part, first > 0 or last + 1 < places, "outside", "its probe is too short to have an outside")
    spoiled = torch.full_like(x, part.outside)
    inside = slice(max(0, first) * part.place, (last + 1) * part.place)
    spoiled[..., inside] = x[..., inside]
    here = slice(rows[0], rows[-1] + 1)
    plain, changed = part.respond(x)[here], part.respond(spoiled)[here]
    allowed = part.least * float(plain.abs().max())
    _equal(part, "outside", "depends on input that it declares not to read", changed, plain, allowed)

    x, states, middle = run.x, run.states, UNITS // 2
    with contextlib.suppress(StreamError):
        part.step(states[middle - 1], torch.full_like(x[..., : part.unit], math.nan))
    rest, _ = play(part, x[..., middle * part.unit :], state=states[middle - 1])
    wanted = run.out[..., -rest.shape[-1] :]
    _equal(part, "outside", "is harmed by a block of NaN that was taken back", rest, wanted)


def reach_is_declared(part: Part[State], run: Run[State]) -> None:
    """Clause 4."""
    found = measured(part)
    _hold(part, found is not None, "reach", "no change of its input changes its output")
    assert found is not None
    _hold(
        part, bool(part.bound) == (part.slack > 0), "reach", "its slack has no reason, or its reason no slack"
    )
    missing = (part.reach.before - found.before, part.reach.after - found.after)
    kept = all(0 <= places <= part.slack for places in missing)
    _hold(part, kept, "reach", f"declared as {part.reach}, at most {part.slack} less, and is {found}")


def measured(part: Part[State]) -> Reach | None:
    """The reach that shows when input is changed at one place after the other; None if nothing changes."""
    x = part.probe()
    plain = part.respond(x)
    least = part.least * float(plain.abs().max())
    before: list[int] = []
    after: list[int] = []
    for place in part.probed:
        changed = x.clone()
        here = changed[..., place * part.place : (place + 1) * part.place]
        here += 3 * x.std() * torch.randn(here.shape, generator=torch.Generator().manual_seed(place))
        rows = ((part.respond(changed) - plain).abs().amax(1) > least).nonzero()[:, 0]
        if len(rows):
            before.append(int(rows[-1]) - place)
            after.append(place - int(rows[0]))
    return Reach(max(before), max(after)) if before else None


def saved_continues(part: Part[State], run: Run[State]) -> None:
    """Clause 5."""
    for done in part.restored_after:
        content = part.to_bytes(run.states[done - 1] if done else part.fresh())
        play(part, part.signal(1)[..., : part.unit])
        out, _ = play(part, run.x[..., done * part.unit :], state=part.from_bytes(content))
        _equal(part, "saved", f"goes on otherwise after {done} units", out, run.out[..., -out.shape[-1] :])


def _hold(part: Part[State], kept: bool, clause: str, what: str) -> None:
    if not kept:
        raise ContractError(f"{part.name}, {clause}: {what}")


def _equal(part: Part[State], clause: str, what: str, one: Tensor, other: Tensor, most: float = 0.0) -> None:
    """Raise unless both are as long, finite and no more than `most` apart. NaN is never equal."""
    _hold(part, one.shape == other.shape, clause, f"{list(one.shape)} {what}: {list(other.shape)}")
    difference = (one - other).abs()
    _hold(
        part, bool((difference <= most).all()), clause, f"its output {what}, by {float(difference.max()):.3g}"
    )
