"""Noise registers as numbers and tensors, for the bytes of a saved state."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from jbdiff.diffusion.noise import NoiseRegister
from jbdiff.diffusion.noise_loop import NoiseLoop
from jbdiff.diffusion.noise_pair import NoisePair

_TENSORS = ("current", "loop")


def facts_of(register: NoiseRegister) -> dict[str, Any]:
    """Everything but the tensors. `slots` are the numbers of the loop's changed slots."""
    fields = [item.name for item in dataclasses.fields(register) if item.name not in _TENSORS]
    facts = {name: getattr(register, name) for name in fields}
    return facts | {"place": register.loop.place, "slots": sorted(register.loop.slots)}


def tensors_of(register: NoiseRegister, name: str) -> dict[str, Tensor]:
    """Return the tensors `[1, channels, tokens]` of a register by name, with `name` in front.

    None of them share memory.
    """
    found = {f"{name}.slot{slot}": noise.clone() for slot, noise in register.loop.slots.items()}
    return found if register.current is None else {name: register.current, **found}


def register_from(facts: Mapping[str, Any], tensors: Mapping[str, Tensor], name: str) -> NoiseRegister:
    """Return the register of `facts_of` and `tensors_of` `[1, channels, tokens]`.

    Raises KeyError or TypeError if something is missing. Facts of an older version have no loop, so the loop is fresh.
    """
    plain = dict(facts)
    place, numbers = int(plain.pop("place", 0)), plain.pop("slots", ())
    slots = {int(slot): tensors[f"{name}.slot{slot}"] for slot in numbers}
    return NoiseRegister(**plain, current=tensors.get(name), loop=NoiseLoop(place, slots))


def pair_facts(pair: NoisePair) -> dict[str, Any]:
    """As `facts_of`, with those of seed B under `b`."""
    return {**facts_of(pair.a), "b": facts_of(pair.b)}


def pair_tensors(pair: NoisePair, name: str) -> dict[str, Tensor]:
    """Return the tensors `[1, channels, tokens]` of both registers, as `tensors_of` does."""
    return {**tensors_of(pair.a, name), **tensors_of(pair.b, f"{name}.b")}


def pair_from(facts: Mapping[str, Any], tensors: Mapping[str, Tensor], name: str) -> NoisePair:
    """Return the pair of `pair_facts` and `pair_tensors` `[1, channels, tokens]`. Raises as `register_from` does.

    Facts of an older version have no seed B, which then begins at its home noise.
    """
    plain = dict(facts)
    other = plain.pop("b", None)
    a = register_from(plain, tensors, name)
    if other is None:
        return NoisePair(a, NoiseRegister(a.stream, a.channels, a.tokens, index=a.index))
    return NoisePair(a, register_from(other, tensors, f"{name}.b"))


def registers_fit(given: NoiseRegister, own: NoiseRegister) -> bool:
    """Whether `given` can take the place of `own`: one stream, one shape."""
    noises = [given.current, *given.loop.slots.values()]
    return (
        given.stream == own.stream
        and given.shape == own.shape
        and all(noise is None or noise.shape == own.shape for noise in noises)
    )


def pairs_fit(given: NoisePair, own: NoisePair) -> bool:
    """Whether `given` can take the place of `own`."""
    return registers_fit(given.a, own.a) and registers_fit(given.b, own.b)
