"""The whole state of a stream between blocks, as one immutable value that can be stored as bytes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from jbdiff.diffusion.noise import NoiseRegister
from jbdiff.diffusion.noise_pair import NoisePair
from jbdiff.stream.registers import (
    facts_of,
    pair_facts,
    pair_from,
    pair_tensors,
    pairs_fit,
    register_from,
    registers_fit,
    tensors_of,
)
from jbdiff.stream.remembering.remembered import MemoryState, memory_facts, memory_from, memory_tensors
from jbdiff.untyped import JsonDict

FORMAT = 7
# 4 has neither seed B nor the loop of the register; 5 does not know where in the bars remembered tokens lie; 6 has no
# theme.
READABLE = (4, 5, 6, FORMAT)


class StreamError(RuntimeError):
    """The stream cannot go on, or a saved state does not fit; says why and what to do."""


@dataclass(frozen=True)
class AnchorState:
    """The style and the clock that a level with an anchor keeps."""

    style: Tensor | None  # [1, f]; None until the first block, which chooses one
    played: Tensor | None  # [1, f] of the last windows that were played; None before there is a whole one
    tempo: float  # beats a minute of the sound that the stream began after; 0 if it has no beat
    beat: float | None  # place of the next token in the bar, 0..4; None if no clock runs

    def to(self, device: torch.device) -> AnchorState:
        """The same state with its tensors on `device`."""
        return replace(
            self,
            style=None if self.style is None else self.style.to(device),
            played=None if self.played is None else self.played.to(device),
        )


@dataclass(frozen=True)
class GovernorState:
    """Moments of the bands: those to keep, and those of what was played; see `governor.moments`."""

    held: Tensor | None  # [1, 2, c]; None until a stream that began from nothing has played long enough
    played: Tensor | None  # [1, 2, c] of the last windows; None before the first
    tokens: int  # that were played

    def to(self, device: torch.device) -> GovernorState:
        """The same state with its tensors on `device`."""
        return replace(
            self,
            held=None if self.held is None else self.held.to(device),
            played=None if self.played is None else self.played.to(device),
        )


@dataclass(frozen=True)
class LevelState:
    """What one level carries from block to block. Tensors are never written in place."""

    context: Tensor | None  # [1, n, c] latents the next block is conditioned on; None is the null context
    history: Tensor  # [1, c, n] own latents, newest last: left context of the decoder, and resample's init
    tail: Tensor  # [1, 1, fade] what followed the last block in its own decode
    registers: tuple[NoisePair, ...]  # one for each hop of a window; blocks take turns
    lower: Tensor | None = None  # [1, 1, n] end of the level above's audio: left context of the encoder
    past_noise: Tensor | None = (
        None  # [1, c, n] noise that the end of `history` grew from, where hops are short
    )
    grown: int = 0  # tokens at the end of `context` that are the level's own, and in `history` as well
    anchor: AnchorState | None = None  # of levels whose network takes one
    memory: MemoryState | None = None  # of levels whose network has echoes
    governor: GovernorState | None = None  # likewise

    def fits(self, other: LevelState, context_tokens: int) -> bool:
        """Whether this state can take the place of `other`: one stream, one set of sizes."""
        channels = other.history.shape[1]
        context, past = self.context, self.past_noise
        return (
            self.tail.shape == other.tail.shape
            and self.history.shape == (1, channels, self.history.shape[-1])
            and len(self.registers) == len(other.registers)
            and all(map(pairs_fit, self.registers, other.registers))
            and (past is None) == (other.past_noise is None)
            and (past is None or other.past_noise is None or past.shape[:2] == other.past_noise.shape[:2])
            and (past is None or past.shape[-1] <= self.history.shape[-1])
            and (context is None or context.shape == (1, context.shape[1], channels))
            and (context is None or context.shape[1] <= context_tokens)
            and (self.lower is None or self.lower.shape == (1, 1, self.lower.shape[-1]))
            and (self.anchor is None) == (other.anchor is None)
            and (self.memory is None) == (other.memory is None)
            and (self.governor is None) == (other.governor is None)
            and (self.memory is None or other.memory is None or self.memory.fits(other.memory))
        )

    def begun_after(self, beginning: LevelBeginning) -> LevelState:
        """The state that continues another sound: its context, anchor, memory and governor."""
        return replace(
            self,
            context=beginning.context,
            grown=0,
            anchor=beginning.anchor,
            memory=beginning.memory,
            governor=beginning.governor,
        )

    def to(self, device: torch.device) -> LevelState:
        """The same state with its tensors on `device`; noise stays on the CPU, where it is drawn."""
        return replace(
            self,
            context=None if self.context is None else self.context.to(device),
            history=self.history.to(device),
            tail=self.tail.to(device),
            lower=None if self.lower is None else self.lower.to(device),
            past_noise=None if self.past_noise is None else self.past_noise.to(device),
            anchor=None if self.anchor is None else self.anchor.to(device),
            memory=None if self.memory is None else self.memory.to(device),
            governor=None if self.governor is None else self.governor.to(device),
        )


@dataclass(frozen=True)
class Carried:
    """What another stream of the same stack needs to continue, beside the sound that was made."""

    anchor: AnchorState | None
    memory: MemoryState | None
    governor: GovernorState | None = None
    power: float | None = None  # as `LoudnessState.target`


@dataclass(frozen=True)
class LevelBeginning:
    """What one level takes from a sound that it begins after."""

    context: Tensor | None  # as `LevelState.context`
    anchor: AnchorState | None
    memory: MemoryState | None = None
    governor: GovernorState | None = None
    power: float | None = None  # as `LoudnessState.target`


@dataclass(frozen=True)
class LoudnessState:
    """The loudness that a stream is held to; powers as `loudness.weighted_power` gives them."""

    target: float | None  # of the sound that the stream began after; None if there was none
    played: float | None  # of the last blocks, before the gain; None before the first
    decibels: float  # gain at the end of the last block


@dataclass(frozen=True)
class FinisherState:
    """What the finisher carries from piece to piece. Tensors are never written in place."""

    mono: Tensor  # [1, 1, left] sound before the next piece
    noise: Tensor  # [1, 2, left] the noise it was finished with; shorter before the first piece
    tail: Tensor  # [1, 2, fade] end of the last piece, to fade from
    finished: bool  # whether the tail is finished sound; else it passed by
    register: NoiseRegister

    def fits(self, other: FinisherState) -> bool:
        """Whether this state can take the place of `other`."""
        return (
            self.mono.shape == other.mono.shape
            and self.tail.shape == other.tail.shape
            and self.noise.shape in (other.noise.shape, (1, 2, other.mono.shape[2]))
            and registers_fit(self.register, other.register)
        )

    def to(self, device: torch.device) -> FinisherState:
        """The same state with its tensors on `device`."""
        return replace(
            self, mono=self.mono.to(device), noise=self.noise.to(device), tail=self.tail.to(device)
        )


@dataclass(frozen=True)
class DirectState:
    """The init's own sound that waits to play as late as the sound of the levels; see `around/direct.py`."""

    waiting: Tensor  # [1, 1, latency of the levels]
    on: bool  # whether the last block was the init's own sound

    def to(self, device: torch.device) -> DirectState:
        """The same state with its tensor on `device`."""
        return replace(self, waiting=self.waiting.to(device))


def novelty(before: Tensor, after: Tensor) -> float:
    """Return the distance of two blocks of latents `[batch, channels, tokens]`, 0 to 1.

    0 is the same block again; 1 is the distance of two unrelated blocks. The distance is relative to the size of both,
    so that it means the same at every level and for every stack. It is also 0 for a first block, which has no block
    before it, and for silence after silence.
    """
    if before.shape != after.shape:
        return 0.0
    before, after = before.float(), after.float()
    size = before.square().sum() + after.square().sum()
    if not size > 0:
        return 0.0
    return min(1.0, float(((after - before).square().sum() / size).sqrt()))


@dataclass(frozen=True)
class StreamState:
    """A stream between two blocks: `BlockStream.save` gives it, `restore` takes it back bit-exactly."""

    identity: str  # of the stack
    block_index: int  # of the next block
    levels: Mapping[int, LevelState]
    finisher: FinisherState | None = None
    loudness: LoudnessState | None = None  # of stacks with a governor
    direct: DirectState | None = None  # None if the last block had no init

    def to(self, device: torch.device) -> StreamState:
        """The same state with its tensors on `device`."""
        levels = {number: level.to(device) for number, level in self.levels.items()}
        finisher = None if self.finisher is None else self.finisher.to(device)
        direct = None if self.direct is None else self.direct.to(device)
        return replace(self, levels=levels, finisher=finisher, direct=direct)

    def parts(self) -> tuple[dict[str, Tensor], JsonDict]:
        """Return all tensors by name, and all other facts. Tensors may be views of the same memory."""
        tensors: dict[str, Tensor] = {}
        levels: dict[str, JsonDict] = {}
        for number, level in self.levels.items():
            parts = {"history": level.history, "tail": level.tail, "context": level.context}
            parts |= {"past_noise": level.past_noise, "lower": level.lower}
            for turn, pair in enumerate(level.registers):
                parts |= pair_tensors(pair, f"noise{turn}")
            prefix = f"level{number}."
            tensors |= {prefix + name: part for name, part in parts.items() if part is not None}
            levels[str(number)] = {"grown": level.grown, "registers": list(map(pair_facts, level.registers))}
            if (anchor := level.anchor) is not None:
                levels[str(number)]["anchor"] = {"tempo": anchor.tempo, "beat": anchor.beat}
                styles = {"style": anchor.style, "played": anchor.played}
                tensors |= {prefix + name: part for name, part in styles.items() if part is not None}
            if (memory := level.memory) is not None:
                levels[str(number)]["memory"] = memory_facts(memory)
                tensors |= memory_tensors(memory, prefix)
            if (governor := level.governor) is not None:
                levels[str(number)]["governor"] = {"tokens": governor.tokens}
                held = {"held": governor.held, "governed": governor.played}
                tensors |= {prefix + name: part for name, part in held.items() if part is not None}
        facts: JsonDict = {
            "format": FORMAT,
            "identity": self.identity,
            "block_index": self.block_index,
            "levels": levels,
        }
        if self.loudness is not None:
            facts["loudness"] = dataclasses.asdict(self.loudness)
        if (last := self.finisher) is not None:
            tensors |= {
                "finisher.mono": last.mono,
                "finisher.past_noise": last.noise,
                "finisher.tail": last.tail,
            }
            tensors |= tensors_of(last.register, "finisher.noise")
            facts["finisher"] = {"finished": last.finished, "register": facts_of(last.register)}
        if self.direct is not None:
            tensors["direct"], facts["direct"] = self.direct.waiting, self.direct.on
        return tensors, facts

    def to_bytes(self) -> bytes:
        """As a safetensors file whose metadata hold the numbers."""
        tensors, facts = self.parts()
        plain = {name: _plain(tensor) for name, tensor in tensors.items()}
        return save(plain, metadata={"stream_state": json.dumps(facts)})

    @classmethod
    def from_parts(cls, tensors: Mapping[str, Tensor], facts: JsonDict) -> StreamState:
        """Return the state of `parts`. KeyError, TypeError or ValueError: something is missing or wrong."""
        levels = {}
        for number, level in facts["levels"].items():
            prefix = f"level{number}."
            levels[int(number)] = LevelState(
                context=tensors.get(prefix + "context"),
                history=tensors[prefix + "history"],
                tail=tensors[prefix + "tail"],
                registers=tuple(
                    pair_from(register, tensors, f"{prefix}noise{turn}")
                    for turn, register in enumerate(level["registers"])
                ),
                lower=tensors.get(prefix + "lower"),
                past_noise=tensors.get(prefix + "past_noise"),
                grown=int(level["grown"]),
                anchor=AnchorState(
                    tensors.get(prefix + "style"), tensors.get(prefix + "played"), **level["anchor"]
                )
                if "anchor" in level
                else None,
                memory=memory_from(level["memory"], tensors, prefix) if "memory" in level else None,
                governor=GovernorState(
                    tensors.get(prefix + "held"), tensors.get(prefix + "governed"), **level["governor"]
                )
                if "governor" in level
                else None,
            )
        finisher = None
        if (last := facts.get("finisher")) is not None:
            finisher = FinisherState(
                mono=tensors["finisher.mono"],
                noise=tensors["finisher.past_noise"],
                tail=tensors["finisher.tail"],
                finished=bool(last["finished"]),
                register=register_from(last["register"], tensors, "finisher.noise"),
            )
        loudness = LoudnessState(**facts["loudness"]) if "loudness" in facts else None
        direct = DirectState(tensors["direct"], bool(facts["direct"])) if "direct" in facts else None
        return cls(str(facts["identity"]), int(facts["block_index"]), levels, finisher, loudness, direct)

    @classmethod
    def from_bytes(cls, content: bytes) -> StreamState:
        """The state that `to_bytes` wrote. Raises StreamError for anything else."""
        try:
            tensors = load(content)
            # A safetensors file opens with the length of its JSON header; the library gives no metadata.
            length = int.from_bytes(content[:8], "little")
            header = json.loads(content[8 : 8 + length])
            facts = json.loads(header["__metadata__"]["stream_state"])
            if facts["format"] not in READABLE:
                known = " and ".join(map(str, READABLE))
                raise StreamError(
                    f"the saved state has format {facts['format']!r}; this version reads {known}"
                )
            return cls.from_parts(tensors, facts)
        except (SafetensorError, KeyError, TypeError, ValueError, UnicodeDecodeError) as error:
            raise StreamError(
                f"these bytes are no saved stream state ({error!r}); start a fresh one"
            ) from error


def check_fit(state: StreamState, fresh: StreamState, longest: Mapping[int, int]) -> None:
    """Raise StreamError if `state` cannot continue in the stream that began as `fresh`.

    longest: tokens that the context of each level may have.
    """
    if state.identity != fresh.identity:
        raise StreamError(
            f"the saved state belongs to another stack ({state.identity[:12]}..., this is "
            f"{fresh.identity[:12]}...); load that stack, or start afresh"
        )
    theirs, own = state.finisher, fresh.finisher
    if set(state.levels) != set(fresh.levels) or (theirs is None) != (own is None):
        raise StreamError(
            f"the saved state has levels {_parts_text(state)}, this stream has {_parts_text(fresh)}; "
            "make the stream with the same parts"
        )
    fits = all(level.fits(fresh.levels[n], longest[n]) for n, level in state.levels.items())
    fits = fits and (theirs is None or own is None or theirs.fits(own))
    if not fits or (state.loudness is None) != (fresh.loudness is None):
        raise StreamError(
            "the saved state has other sizes than this stream (delay_tokens, token_multiplier or hop_tokens "
            "differ?)"
        )


def fitted(
    state: StreamState, fresh: StreamState, longest: Mapping[int, int]
) -> tuple[StreamState, tuple[str, ...]]:
    """Return as much of `state` as fits into the stream that began as `fresh`, and the names of the other parts.

    longest: as in `check_fit`.
    """
    levels: dict[int, LevelState] = {}
    lacking: list[str] = []
    for number, own in fresh.levels.items():
        given = state.levels.get(number)
        fits = given is not None and given.fits(own, longest[number])
        levels[number] = given if given is not None and fits else own
        lacking += [] if fits else [f"level {number}"]
    finisher, theirs = fresh.finisher, state.finisher
    if finisher is not None:
        fits = theirs is not None and theirs.fits(finisher)
        finisher = theirs if fits else finisher
        lacking += [] if fits else ["finisher"]
    loudness = fresh.loudness if fresh.loudness is None or state.loudness is None else state.loudness
    # The init's own sound waits as long as the levels take, so it fits if all of them do.
    direct = None if any(levels[number] is own for number, own in fresh.levels.items()) else state.direct
    found = StreamState(fresh.identity, state.block_index, levels, finisher, loudness, direct)
    return found, tuple(lacking)


def _parts_text(state: StreamState) -> str:
    return f"{sorted(state.levels, reverse=True)}{' and a finisher' if state.finisher else ''}"


def _plain(tensor: Tensor) -> Tensor:
    """A copy on the CPU. Parts of a state may be views of one tensor, and safetensors refuses those."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
