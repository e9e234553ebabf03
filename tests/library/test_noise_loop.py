"""The register style: a loop of noises that locks, mutates, and can be written."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from jbdiff.config import NoiseStyle
from jbdiff.diffusion.noise import NoiseRegister, NoiseSettings, draw, v1_noises

FRESH = NoiseRegister("level2", channels=8, tokens=32)
LOCKED = NoiseSettings(seed=3, style=NoiseStyle.REGISTER, length=4)


def play(*settings: NoiseSettings, register: NoiseRegister = FRESH) -> tuple[list[Tensor], NoiseRegister]:
    """The noises of one block for each of the settings, and the register after them."""
    noises = []
    for one in settings:
        noise, _, register = register.next(one)
        noises.append(noise)
    return noises, register


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def different(noises: list[Tensor]) -> int:
    """How many different noises there are."""
    return len({noise.numpy().tobytes() for noise in noises})


@pytest.mark.parametrize("length", [1, 4, 5, 32])
def test_a_locked_loop_repeats_bit_by_bit_after_its_length(length: int) -> None:
    noises, _ = play(*[replace(LOCKED, length=length)] * (2 * length + 1))
    assert different(noises[:length]) == length
    assert same(noises[:length], noises[length : 2 * length]) and torch.equal(noises[0], noises[-1])


def test_the_first_slot_is_the_home_noise() -> None:
    noises, _ = play(LOCKED)
    assert torch.equal(noises[0], draw(FRESH.shape, 3, "level2", 0, -1))


def test_free_mutation_never_repeats_and_the_middle_keeps_a_part() -> None:
    free, _ = play(*[replace(LOCKED, mutation=1.0)] * 40)
    assert different(free) == 40
    half, _ = play(*[replace(LOCKED, mutation=0.5)] * 200)
    kept = sum(torch.equal(half[n], half[n + 4]) for n in range(196))
    assert 70 < kept < 126  # 98 expected, four standard deviations are 28


def test_what_mutates_stays_mutated_when_the_loop_locks_again() -> None:
    noises, register = play(*[replace(LOCKED, mutation=1.0)] * 8)
    locked, _ = play(*[LOCKED] * 8, register=register)
    assert same(locked, noises[4:] * 2)


def test_mutation_is_a_function_of_seed_and_count() -> None:
    knobs = [replace(LOCKED, mutation=0.4)] * 30
    one, _ = play(*knobs)
    torch.randn(100)
    other, _ = play(*knobs)
    assert same(one, other)
    foreign, _ = play(*[replace(LOCKED, mutation=0.4, seed=4)] * 30)
    assert not any(torch.equal(a, b) for a, b in zip(one, foreign, strict=True))


def test_hops_of_one_window_mutate_together_and_hold_different_noise() -> None:
    knobs = [replace(LOCKED, mutation=0.5)] * 40
    first, _ = play(*knobs)
    second, _ = play(*knobs, register=NoiseRegister("level2.1", 8, 32))
    changes = [[not torch.equal(noises[n], noises[n + 4]) for n in range(36)] for noises in (first, second)]
    assert changes[0] == changes[1] and any(changes[0]) and not all(changes[0])
    assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_write_puts_the_noise_that_sounds_into_the_next_slot() -> None:
    noises, register = play(*[LOCKED] * 4)
    written, _ = play(*[replace(LOCKED, write=1)] * 5, register=register)
    assert same(written, [noises[3], *noises[1:], noises[3]])


def test_noise_of_another_style_can_be_written_and_is_played_later() -> None:
    walk = replace(LOCKED, style=NoiseStyle.WALK, step=0.5)
    walked, register = play(walk, walk, walk, replace(walk, write=1))
    played, _ = play(*[replace(LOCKED, write=1)] * 4, register=register)
    assert torch.equal(played[3], walked[2])


def test_erase_gives_the_slot_new_noise_and_leaves_the_others() -> None:
    noises, register = play(*[LOCKED] * 4)
    after, _ = play(*[replace(LOCKED, erase=1)] * 8, register=register)
    assert not any(torch.equal(after[0], noise) for noise in noises)
    assert same(after, [after[0], *noises[1:]] * 2)


def test_presses_before_the_music_began_write_nothing() -> None:
    pressed = replace(LOCKED, write=5, erase=7, advance=2)
    assert same(play(*[LOCKED] * 8)[0], play(*[pressed] * 8)[0])


def test_a_shorter_loop_leaves_the_rest_for_later() -> None:
    noises, register = play(*[LOCKED] * 4)
    short, register = play(*[replace(LOCKED, length=2)] * 4, register=register)
    assert same(short, noises[:2] * 2)
    long, _ = play(*[LOCKED] * 4, register=register)
    assert same(long, [noises[2], noises[3], noises[0], noises[1]])


@pytest.mark.parametrize("press", ["reroll", "home"])
def test_reroll_and_home_begin_another_loop(press: str) -> None:
    noises, register = play(*[replace(LOCKED, mutation=1.0)] * 6)
    after, _ = play(*[replace(LOCKED, **{press: 1})] * 8, register=register)
    assert same(after[:4], after[4:])
    first, _ = play(*[LOCKED] * 4)
    assert same(after[:4], first) == (press == "home")
    assert not any(torch.equal(noise, new) for noise in noises[1:] for new in after)


def test_hold_stops_the_loop_and_step_clocks_it() -> None:
    noises, register = play(*[LOCKED] * 2)
    held = replace(LOCKED, hold=True)
    stepped, _ = play(held, replace(held, advance=1), replace(held, advance=1), register=register)
    assert same(stepped, [noises[1], play(*[LOCKED] * 3)[0][2], play(*[LOCKED] * 3)[0][2]])


@pytest.mark.parametrize("style", [style for style in NoiseStyle if style is not NoiseStyle.REGISTER])
def test_step_moves_held_noise_once(style: NoiseStyle) -> None:
    held = NoiseSettings(style=style, step=0.5, hold=True)
    noises, _ = play(held, held, replace(held, advance=1), replace(held, advance=1))
    assert torch.equal(noises[0], noises[1]) and torch.equal(noises[2], noises[3])
    assert not torch.equal(noises[1], noises[2])
    alike = float((noises[1] * noises[2]).mean())
    assert abs(alike - (0.0 if style is NoiseStyle.RANDOM else 0.75**0.5)) < 0.3


def test_settings_outside_their_range_are_refused() -> None:
    for wrong in ({"length": 0}, {"length": 33}, {"mutation": -0.1}, {"mutation": 1.1}):
        with pytest.raises(ValueError, match="is outside"):
            FRESH.next(replace(LOCKED, **wrong))


def test_v1_has_no_register() -> None:
    with pytest.raises(ValueError, match="choose random"):
        v1_noises(2, (1, 4), 0, NoiseStyle.REGISTER, 0.1)
