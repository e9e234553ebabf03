"""Live noise: by key, restorable, and of one loudness."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jbdiff.diffusion.noise import NoiseRegister, NoiseSettings, NoiseStyle, draw

FRESH = NoiseRegister("level2", channels=64, tokens=48)


def play(settings: list[NoiseSettings], register: NoiseRegister = FRESH):
    """Noises, identities and the register after each block."""
    noises, identities, registers = [], [], []
    for one in settings:
        noise, identity, register = register.next(one)
        noises.append(noise)
        identities.append(identity)
        registers.append(register)
    return noises, identities, registers


@pytest.mark.parametrize("style", [NoiseStyle.RANDOM, NoiseStyle.CONSTANT, NoiseStyle.REGION])
def test_noise_of_block_n_does_not_depend_on_what_was_drawn_before(style: NoiseStyle) -> None:
    straight, _, _ = play([NoiseSettings(seed=4, style=style)] * 6)
    torch.randn(1000)
    wandering = [NoiseSettings(seed=4, style=NoiseStyle.WALK, step=0.9)] * 5
    detour, _, _ = play([*wandering, NoiseSettings(seed=4, style=style)])
    assert torch.equal(straight[5], detour[5])


def test_walk_takes_the_same_fresh_noise_whatever_came_before() -> None:
    step = 0.5
    one, _, _ = play([NoiseSettings(style=NoiseStyle.WALK, step=step)] * 4)
    other, _, _ = play([*[NoiseSettings(style=NoiseStyle.RANDOM)] * 3, NoiseSettings(step=step)])
    fresh_of_one = one[3] - one[2] * (1 - step**2) ** 0.5
    fresh_of_other = other[3] - other[2] * (1 - step**2) ** 0.5
    assert torch.allclose(fresh_of_one, fresh_of_other, atol=1e-6)


def test_draws_do_not_disturb_the_global_generator() -> None:
    torch.manual_seed(1)
    expected = torch.randn(4)
    torch.manual_seed(1)
    play([NoiseSettings()] * 3)
    assert torch.equal(torch.randn(4), expected)


@pytest.mark.parametrize("part", ["seed", "stream", "epoch", "index"])
def test_every_part_of_the_key_gives_unrelated_noise(part: str) -> None:
    key = {"seed": 1, "stream": "level2", "epoch": 0, "index": 3}
    other = key | {part: "finisher" if part == "stream" else key[part] + 1}
    a, b = draw((64, 768), **key).flatten(), draw((64, 768), **other).flatten()
    assert abs(float(torch.corrcoef(torch.stack([a, b]))[0, 1])) < 0.02


@given(
    style=st.sampled_from(list(NoiseStyle)),
    steps=st.lists(st.floats(0, 1), min_size=8, max_size=8),
    seed=st.integers(0, 2**40),
)
def test_variance_is_kept_under_every_style_and_sweep(
    style: NoiseStyle, steps: list[float], seed: int
) -> None:
    register = NoiseRegister("level2", channels=64, tokens=256)
    noises, _, _ = play([NoiseSettings(seed=seed, style=style, step=s) for s in steps], register)
    for noise in noises:
        assert abs(float(noise.std()) - 1) < 0.04  # 16384 values: five standard errors are .028
        assert abs(float(noise.mean())) < 0.05


def test_constant_repeats_home_and_region_stays_near_it() -> None:
    home = play([NoiseSettings(style=NoiseStyle.CONSTANT)])[0][0]
    constant, _, _ = play([NoiseSettings(style=NoiseStyle.CONSTANT)] * 5)
    region, _, _ = play([NoiseSettings(style=NoiseStyle.REGION, step=0.3)] * 30)
    walk, _, _ = play([NoiseSettings(style=NoiseStyle.WALK, step=0.3)] * 30)

    def likeness(noise: torch.Tensor) -> float:
        return float(torch.corrcoef(torch.stack([home.flatten(), noise.flatten()]))[0, 1])

    assert all(torch.equal(noise, home) for noise in constant)
    assert likeness(region[-1]) == pytest.approx((1 - 0.3**2) ** 0.5, abs=0.03)
    assert abs(likeness(walk[-1])) < 0.4


def test_step_zero_stays_and_step_one_is_fresh() -> None:
    walk, _, _ = play([NoiseSettings(step=0.0)] * 3)
    assert torch.equal(walk[0], walk[2])
    random, _, _ = play([NoiseSettings(style=NoiseStyle.RANDOM)] * 3)
    leap, _, _ = play([NoiseSettings(step=1.0)] * 3)
    assert torch.equal(random[2], leap[2])


def test_hold_repeats_the_noise_exactly_and_time_goes_on() -> None:
    free = NoiseSettings()
    held = dataclasses.replace(free, hold=True)
    noises, identities, _ = play([free, free, held, held, free])
    assert torch.equal(noises[1], noises[2]) and torch.equal(noises[2], noises[3])
    assert not torch.equal(noises[3], noises[4])
    assert [i.index for i in identities] == [0, 1, 2, 3, 4]
    assert [i.held for i in identities] == [False, False, True, True, False]


def test_reroll_jumps_and_home_returns() -> None:
    plain = NoiseSettings(seed=6)
    rolled = dataclasses.replace(plain, reroll=1)
    returned = dataclasses.replace(rolled, home=1)
    again = dataclasses.replace(returned, reroll=2)
    noises, identities, _ = play([plain, plain, rolled, rolled, returned, returned, again])
    assert [i.epoch for i in identities] == [0, 0, 1, 1, 0, 0, 2]
    assert [i.jumped for i in identities] == [True, False, True, False, True, False, True]
    assert torch.equal(noises[4], noises[0])
    jumps = torch.stack([noises[0].flatten(), noises[2].flatten(), noises[6].flatten()])
    assert (torch.corrcoef(jumps) - torch.eye(3)).abs().max() < 0.1


def test_a_press_wins_over_hold() -> None:
    held = NoiseSettings(hold=True)
    noises, _, _ = play(
        [held, held, dataclasses.replace(held, reroll=1), dataclasses.replace(held, reroll=1)]
    )
    assert not torch.equal(noises[1], noises[2])
    assert torch.equal(noises[2], noises[3])


def test_new_seed_means_new_home_and_the_old_seed_gives_the_old_one_back() -> None:
    noises, _, _ = play([NoiseSettings(seed=1), NoiseSettings(seed=2), NoiseSettings(seed=1)])
    assert torch.equal(noises[0], noises[2])
    assert not torch.equal(noises[0], noises[1])


def test_the_same_presses_give_the_same_noise_whatever_the_counters_started_at() -> None:
    early, _, _ = play([NoiseSettings(reroll=0), NoiseSettings(reroll=1)])
    late, _, _ = play([NoiseSettings(reroll=7), NoiseSettings(reroll=8)])
    assert all(torch.equal(a, b) for a, b in zip(early, late, strict=True))


def test_register_can_be_taken_up_anywhere() -> None:
    settings = [NoiseSettings(step=0.4)] * 6
    noises, _, registers = play(settings)
    resumed, _, _ = play(settings[3:], registers[2])
    assert all(torch.equal(a, b) for a, b in zip(noises[3:], resumed, strict=True))


def test_step_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="is outside"):
        FRESH.next(NoiseSettings(step=1.2))
