"""Two seeds and the morph between them: exact at the ends, unit variance between."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from jbdiff.config import NoiseStyle
from jbdiff.diffusion.noise import NoiseIdentity, NoiseSettings
from jbdiff.diffusion.noise_pair import NoisePair, draw_morphed

FRESH = NoisePair.fresh("level2", channels=64, tokens=256)
A = NoiseSettings(seed=1, seed_b=2, step=0.4)


def play(*settings: NoiseSettings, pair: NoisePair = FRESH) -> tuple[list[Tensor], list[NoiseIdentity]]:
    noises, identities = [], []
    for one in settings:
        noise, identity, pair = pair.next(one)
        noises.append(noise)
        identities.append(identity)
    return noises, identities


@pytest.mark.parametrize("style", list(NoiseStyle))
def test_the_ends_are_the_two_seeds_bit_by_bit(style: NoiseStyle) -> None:
    a = replace(A, style=style, mutation=0.5)
    alone_a, _ = play(*[replace(a, seed_b=1)] * 5)
    alone_b, _ = play(*[replace(a, seed=2)] * 5)
    at_a, _ = play(*[a] * 5)
    at_b, _ = play(*[replace(a, morph=1.0)] * 5)
    swept, _ = play(*[replace(a, morph=morph) for morph in (0.3, 0.0, 0.8, 1.0, 0.0)])
    assert all(map(torch.equal, at_a, alone_a)) and all(map(torch.equal, at_b, alone_b))
    assert torch.equal(swept[1], alone_a[1]) and torch.equal(swept[4], alone_a[4]), "A went on meanwhile"
    assert torch.equal(swept[3], alone_b[3]), "and so did B"


@pytest.mark.parametrize("morph", [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0])
def test_every_place_has_unit_variance(morph: float) -> None:
    noises, _ = play(*[replace(A, morph=morph)] * 4)
    for noise in noises:
        assert abs(float(noise.std()) - 1) < 0.04  # 16384 values: five standard errors are .028


def test_the_morph_goes_evenly_from_one_to_the_other() -> None:
    a, b = play(A)[0][0], play(replace(A, morph=1.0))[0][0]
    likeness = []
    for morph in (0.0, 0.25, 0.5, 0.75, 1.0):
        noise = play(replace(A, morph=morph))[0][0]
        likeness.append((float((noise * a).mean()), float((noise * b).mean())))
    to_a, to_b = zip(*likeness, strict=True)
    assert list(to_a) == sorted(to_a, reverse=True) and list(to_b) == sorted(to_b)
    assert abs(to_a[2] - to_b[2]) < 0.05


def test_equal_seeds_have_nothing_to_morph() -> None:
    plain, _ = play(*[replace(A, seed_b=1)] * 3)
    morphing, identities = play(*[replace(A, seed_b=1, morph=0.5)] * 3)
    assert all(map(torch.equal, plain, morphing)) and identities[0].seed_b is None


def test_held_noise_can_still_be_morphed() -> None:
    held = replace(A, hold=True)
    noises, _ = play(held, replace(held, morph=0.5), replace(held, morph=1.0), held)
    assert torch.equal(noises[0], noises[3])
    assert not torch.equal(noises[0], noises[1]) and not torch.equal(noises[1], noises[2])


def test_the_identity_names_the_other_seed_only_where_it_has_a_part() -> None:
    _, identities = play(A, replace(A, morph=0.25))
    assert (identities[0].seed_b, identities[0].morph) == (None, 0.0)
    assert (identities[1].seed, identities[1].seed_b, identities[1].morph) == (1, 2, 0.25)


def test_noise_beside_the_registers_morphs_too() -> None:
    shape = (1, 64, 256)
    ends = [draw_morphed(shape, replace(A, morph=morph), "level2", 0, -3) for morph in (0.0, 1.0)]
    other = draw_morphed(shape, replace(A, seed=2, seed_b=1), "level2", 0, -3)
    middle = draw_morphed(shape, replace(A, morph=0.5), "level2", 0, -3)
    assert torch.equal(ends[1], other) and not torch.equal(ends[0], other)
    assert abs(float(middle.std()) - 1) < 0.04


def test_a_morph_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="is outside"):
        FRESH.next(replace(A, morph=1.5))
