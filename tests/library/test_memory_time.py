"""The memory keeps time: the bar is the clock's, and each token that is remembered has its place in the bar."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from test_stream_memory import CHANNELS, WINDOW, begun, memory, own, remembered, small_stack

from jbdiff.networks.echoes import Echo
from jbdiff.stream.remembering.memory import places_of
from jbdiff.stream.remembering.remembered import MemoryState
from jbdiff.stream.state import StreamState
from jbdiff.stream.stream import BlockSettings, BlockStream


def test_the_bar_is_that_of_the_clock_once_a_tempo_is_asked_for() -> None:
    """The bar that was found in a sound is never quite that of the tempo; each echo would lie later than the last."""
    state = own().at_tempo(memory(bar=40.1), 0.1002)
    assert state.bar == pytest.approx(4 / 0.1002) and state.steady == 400
    waltz = own().at_tempo(memory(bar=30.05), 0.099)
    assert waltz.bar == pytest.approx(3 / 0.099), "three beats stay three"
    assert own().at_tempo(memory(bar=25.0), 0.1001).bar == pytest.approx(25 / 1.001), (
        "no whole number of beats"
    )


@pytest.mark.parametrize("tempo", [88.2, 97.3, 135.0])
def test_the_bars_of_a_sound_tell_its_clock_the_tempo(tempo: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is wrong by a quarter percent is 50 ms beside the music after eight bars."""
    estimates = (lambda bands, rate: 1.0025 * tempo), (lambda bands, per_token: 0.0)
    for name, estimate in zip(("estimated_tempo", "estimated_place"), estimates, strict=True):
        monkeypatch.setattr(f"jbdiff.stream.anchor.{name}", estimate)
    generator, clicks = torch.Generator().manual_seed(4), torch.zeros(1, 1, 14 * 44_100)
    fall = 0.4 * torch.exp(-torch.arange(4000) / 1000)
    strokes = [fall * torch.randn(4000, generator=generator) for _ in range(4)]  # each beat has its own sound
    for beat in range(int(14 * tempo / 60) - 1):
        place = round(beat * 60 / tempo * 44_100)
        clicks[0, 0, place : place + 4000] = strokes[beat % 4]
    stream = BlockStream(small_stack())
    stream.set_context(clicks)
    anchor = stream.save().levels[2].anchor
    assert anchor is not None and anchor.tempo == pytest.approx(tempo, rel=1e-4)
    kept = remembered(stream)
    assert kept.bar * kept.per_token == pytest.approx(4.0, abs=1e-6)
    stream.step(BlockSettings(seed=1))
    assert remembered(stream).places is None, "clock and memory agree"


def with_echo(state: MemoryState, number: int) -> Echo:
    """The echoes of a window that gets the one of this number. No window gets the first and the last."""
    echoes = (own().echo(state, 8, 0, 0.5, seed, 0) for seed in range(99))
    return next(echo for echo in echoes if float(echo.known[0, number].max()) > 0)


def followed(state: MemoryState, steps: list[tuple[int, float, float]]) -> MemoryState:
    """The memory after so many tokens each at a number of beats a token and a pace; each holds its place in the bar."""
    place = -float(places_of(state)[0])
    for tokens, per_token, pace in steps:
        state = own().at_tempo(state, per_token)
        step = per_token * pace / 4
        at = (place + step * torch.arange(tokens, dtype=torch.float64)) % 1
        state = own().grown(state, at.float().expand(1, CHANNELS, -1), pace)
        place += tokens * step
    return state


@pytest.mark.parametrize(
    "steps",
    [
        [(60, 0.1, pace) for pace in (1.04, 1.03, 0.96, 1.0)] + [(100, 0.1, 1.0)],  # it catches up
        [(20, 0.1 * (1.002 + 0.004 * (-1) ** n), 1.0) for n in range(41)],  # a clock that jitters
        [(20, 0.1 * 1.005**n, 1.0) for n in range(30)],  # a clock that gets faster
    ],
)
def test_echoes_stay_on_the_beat_of_a_clock_that_catches_up_or_drifts(
    steps: list[tuple[int, float, float]],
) -> None:
    """Each token of this music says its place in the bar."""
    begin = memory(bands=(torch.arange(400) / 40 % 1).float()[None, :, None].expand(1, -1, CHANNELS))
    state = followed(begin, steps)
    place = (-float(places_of(begin)[0]) + sum(n * tempo * pace / 4 for n, tempo, pace in steps)) % 1
    wanted = (place + torch.arange(8) * state.per_token / 4) % 1
    for number in (0, 2):
        echo = with_echo(state, number)
        assert float(echo.known[0, number].min()) == 1
        wrong = (echo.sound[0, number, 0] - wanted + 0.5) % 1 - 0.5
        assert float(wrong.abs().max()) < 0.75 / state.bar, "nearer than a token"
    constant = dataclasses.replace(state, places=None, theme=None)
    late = own().echo(constant, 8, 0, 1.0, 1, 0).sound[0, 2, 0] - wanted
    assert float(((late + 0.5) % 1 - 0.5).abs().max()) > 1 / state.bar, "one lag for all would miss"


@pytest.mark.parametrize("beats", [1, 2, 3])
def test_a_clock_that_starts_at_another_beat_of_the_bar_moves_the_echoes_with_it(beats: int) -> None:
    """Each token of this music says its place in the bar, of 40 tokens."""
    begin = memory(bands=(torch.arange(400) / 40 % 1).float()[None, :, None].expand(1, -1, CHANNELS))
    state = own().jumped(begin, beats)
    assert own().jumped(begin, 0) is begin
    for place in range(0, 80, 8):
        wanted = (beats / 4 + (place + torch.arange(8)) / 40) % 1
        for number in (0, 2):
            echo = with_echo(state, number)
            assert float(echo.known[0, number].min()) == 1
            wrong = (echo.sound[0, number, 0] - wanted + 0.5) % 1 - 0.5
            assert float(wrong.abs().max()) < 0.75 / 40
        state = own().grown(state, wanted.expand(1, CHANNELS, -1))


def test_a_stream_tells_its_memory_of_the_beats_that_an_outer_clock_is_ahead() -> None:
    stream = begun()
    stream.step(BlockSettings(seed=1, tempo=120.0))
    anchor = stream.save().levels[2].anchor
    assert anchor is not None and anchor.beat is not None
    newest = -1 / remembered(stream).bar
    stream.step(BlockSettings(seed=1, tempo=120.0, beat=(anchor.beat + 1) % 4))
    places = remembered(stream).places
    assert places is not None
    jump = float(places[-WINDOW] - places[-WINDOW - 1]) + newest
    assert jump == pytest.approx(1 / (remembered(stream).bar * remembered(stream).per_token), rel=1e-3)


def test_places_are_kept_in_a_saved_state_and_cut_with_the_memory() -> None:
    stream = begun()
    stream.step(BlockSettings(seed=1, tempo=120.0))
    stream.step(BlockSettings(seed=1, tempo=120.5))
    places = remembered(stream).places
    assert places is not None and len(places) == remembered(stream).bands.shape[1]
    found = StreamState.from_bytes(stream.save().to_bytes()).levels[2].memory
    assert found is not None and found.places is not None and torch.equal(found.places, places)
    shorter = own().earlier(remembered(stream), 10)
    assert shorter.places is not None and len(shorter.places) == len(places) - 10
    assert float(shorter.places[-1]) == pytest.approx(float(places[-11] - places[-10]))
    longest = own().tokens
    state = followed(memory(bands=torch.zeros(1, longest, CHANNELS)), [(30, 0.1, 1.02)])
    assert state.places is not None and len(state.places) == state.bands.shape[1] == longest
