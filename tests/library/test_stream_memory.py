"""The memory of a stream: bars found by likeness, echoes by the knob, tempo changes, hops, carried on."""

from __future__ import annotations

import dataclasses
import functools

import pytest
import torch
from torch import Tensor

from jbdiff.codecs.bands import CHANNELS
from jbdiff.config import BandCodecConfig, JointDenoiserConfig, LevelConfig, StackConfig
from jbdiff.networks.anchor import MEANS, STYLE_FEATURES
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.stacks.kinds import build_codec
from jbdiff.stacks.stack import Stack
from jbdiff.stream.memory import (
    SECONDS,
    StreamMemory,
    differences,
    likeliest_bar,
    other_form,
    places_of,
)
from jbdiff.stream.state import MemoryState, StreamState
from jbdiff.stream.stream import BlockSettings, BlockStream, StreamError

WINDOW, HOP = 32, 512
PER_SECOND = 44_100 / HOP
SIZES = JointDenoiserConfig(
    window_tokens=WINDOW,
    context_tokens=64,
    width=16,
    depth=1,
    heads=2,
    line_channels=2,
    anchor=True,
    echo_channels=2,
)


@functools.cache
def small_stack() -> Stack:
    """Random weights; what begins at zero does not stay there."""
    level = LevelConfig(2, SIZES, WINDOW, context_windows=2, steps=3)
    config = StackConfig(
        "mini", BandCodecConfig(decoder_channels=8, decoder_blocks=1, local_channels=2), (level,)
    )
    torch.manual_seed(0)
    codec, denoiser = build_codec(config.codec), JointDenoiser(SIZES)
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        assert denoiser.anchor is not None
        denoiser.anchor.set_statistics(1 + torch.rand(200, STYLE_FEATURES), torch.rand(200, MEANS))
    stack = Stack(config, codec, {2: denoiser}, "mini")
    for module in stack.modules():
        module.eval().requires_grad_(False)
    return stack


def bars_of_music(bar: float, bars: int, noise: float = 0.2) -> Tensor:
    """Latents `[n, CHANNELS]` of music whose bar comes again, with some noise."""
    generator = torch.Generator().manual_seed(0)
    slow = torch.randn(CHANNELS, 24, generator=generator)
    place = torch.arange(round(bar * bars)) % bar / bar * 24
    low, part = place.floor().long() % 24, place - place.floor()
    music = slow[:, low] * (1 - part) + slow[:, (low + 1) % 24] * part
    return (music + noise * torch.randn(music.shape, generator=generator)).T


def memory(**change: object) -> MemoryState:
    state = MemoryState(torch.randn(1, 400, CHANNELS), 40.0, 0.1, 400)
    return dataclasses.replace(state, **change)


def own() -> StreamMemory:
    return StreamMemory(CHANNELS, PER_SECOND, WINDOW, 2, torch.device("cpu"))


# Bars


def test_differences_are_those_of_the_music_to_itself() -> None:
    bands = torch.randn(90, 3, generator=torch.Generator().manual_seed(1))
    found = differences(bands, 40)
    for lag in (1, 7, 39):
        wanted = (bands[lag:] - bands[:-lag]).square().mean()
        assert float(found[lag]) == pytest.approx(float(wanted), rel=1e-3)


@pytest.mark.parametrize("bar", [150.0, 163.4, 187.6])
def test_the_bar_is_found_to_a_fraction_of_a_token(bar: float) -> None:
    music = bars_of_music(bar, 12)
    said = bar + 0.9  # an estimate from a few seconds is about so wrong
    assert likeliest_bar(music, said, PER_SECOND) == pytest.approx(bar, abs=0.13)


def test_a_waltz_that_was_taken_for_four_beats_is_found() -> None:
    music = bars_of_music(120.0, 14)
    assert likeliest_bar(music, 160.0, PER_SECOND) == pytest.approx(120.0, abs=0.2)


def test_music_without_a_clock_takes_the_lag_at_which_it_is_like_itself_or_none() -> None:
    assert likeliest_bar(bars_of_music(143.0, 12), 0.0, PER_SECOND) == pytest.approx(143.0, abs=0.3)
    noise = torch.randn(1200, CHANNELS, generator=torch.Generator().manual_seed(2))
    assert likeliest_bar(noise, 0.0, PER_SECOND) == 0.0
    assert likeliest_bar(noise[:20], 0.0, PER_SECOND) == 0.0
    assert likeliest_bar(noise[:20], 160.0, PER_SECOND) == 160.0, "too short to say otherwise"


# The form


def test_music_that_comes_again_after_eight_bars_or_never_keeps_the_usual_form() -> None:
    assert other_form(bars_of_music(8 * 150.0, 3), 150.0, PER_SECOND) == 0.0
    assert other_form(bars_of_music(4 * 150.0, 3), 150.0, PER_SECOND) == 0.0
    assert other_form(bars_of_music(430.0, 3), 150.0, PER_SECOND) == 0.0, "too short to show eight bars"
    noise = torch.randn(2000, CHANNELS, generator=torch.Generator().manual_seed(2))
    assert other_form(noise, 150.0, PER_SECOND) == 0.0
    assert other_form(noise[:300], 150.0, PER_SECOND) == 0.0 and other_form(noise, 0.0, PER_SECOND) == 0.0


def test_music_that_comes_again_after_other_times_is_planned_from_there() -> None:
    """After five bars of 86 tokens; eight bars are not like the music, and a plan from there would be another part."""
    music = bars_of_music(430.0, 5, noise=0.05)
    form = other_form(music, 86.0, PER_SECOND)
    assert form > 0 and form / 430 == pytest.approx(round(form / 430), abs=0.01)
    state = dataclasses.replace(own().begun(music[None], 4 / 86), bar=86.0)
    form = state.form
    assert form > 0 and state.steady == round(form) + WINDOW, "what lies before may be another part"
    wanted = music[len(music) - round(form) :][:WINDOW]
    plan = own().plan(state, WINDOW, 0, 1.0, 0.0)
    assert float((plan.values[0].T - wanted).square().mean()) < 0.1 * float(wanted.var())
    echo = own().echo(state, WINDOW, 0, 1.0, 1, 0)
    torch.testing.assert_close(echo.sound[0, 2].T, wanted)
    faster = own().at_tempo(state, 8 / 86)
    assert (faster.form, faster.bar) == (form / 2, 43.0)


# The knob


def test_the_knob_is_the_share_of_windows_that_get_each_echo() -> None:
    state = memory()
    shares = []
    for knob in (0.0, 0.25, 0.5, 1.0):
        echoes = [own().echo(state, WINDOW, 0, knob, 1, place) for place in range(0, 300 * WINDOW, WINDOW)]
        shares.append(torch.stack([echo.known[0, :, 0] for echo in echoes]).mean(0).tolist())
    assert shares[0] == [0.0] * 3 and shares[3] == [1.0, 0.0, 1.0], "four bars ago is not given beside eight"
    for share, (one, four, eight) in zip((0.25, 0.5), shares[1:3], strict=True):
        assert (
            four == 0.0 and one == pytest.approx(share, abs=0.06) and eight == pytest.approx(share, abs=0.06)
        )


def test_the_echo_of_four_bars_ago_is_given_as_long_as_eight_were_not_played() -> None:
    echo = own().echo(memory(steady=320), WINDOW, 10, 1.0, 1, 0)  # eight bars of 40 tokens; ten more are held
    assert echo.known[0, 2].tolist() == [0.0] * 10 + [1.0] * (WINDOW - 10)
    assert echo.known[0, 1].tolist() == [1.0] * 10 + [0.0] * (WINDOW - 10)
    assert (
        float(echo.sound[0, 1, :, 10:].abs().max()) == 0 and float(echo.sound[0, 1, :, :10].abs().min()) > 0
    )


def test_short_hops_of_one_window_agree_about_their_echoes() -> None:
    state = memory()
    kept = {float(own().echo(state, 16, 8, 0.5, 3, place).known[0, 0, -1]) for place in range(64, 96, 8)}
    assert len(kept) == 1


def test_the_knob_has_a_range() -> None:
    with pytest.raises(ValueError, match=r"memory 1\.5"):
        own().echo(memory(), WINDOW, 0, 1.5, 1, 0)


def test_music_at_another_tempo_gives_no_echoes() -> None:
    state = own().at_tempo(memory(), 0.2)
    assert (state.bar, state.steady) == (20.0, 0)
    assert float(own().echo(state, WINDOW, 0, 1.0, 1, 0).known.max()) == 0
    state = own().grown(state, torch.randn(1, CHANNELS, 30))
    known = own().echo(state, WINDOW, 0, 1.0, 1, 0).known[0]
    assert float(known[0].min()) == 1 and float(known[1:].max()) == 0, "one bar was played since"


def test_a_clock_that_did_not_move_keeps_all_echoes() -> None:
    state = memory()
    assert own().at_tempo(state, 0.1) is state and own().at_tempo(state, 0.0) is state


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
    echo = own().echo(state, 8, 0, 1.0, 1, 0)
    place = (-float(places_of(begin)[0]) + sum(n * tempo * pace / 4 for n, tempo, pace in steps)) % 1
    wanted = (place + torch.arange(8) * state.per_token / 4) % 1
    for number in (0, 2):
        assert float(echo.known[0, number].min()) == 1
        wrong = (echo.sound[0, number, 0] - wanted + 0.5) % 1 - 0.5
        assert float(wrong.abs().max()) < 0.75 / state.bar, "nearer than a token"
    constant = dataclasses.replace(state, places=None)
    late = own().echo(constant, 8, 0, 1.0, 1, 0).sound[0, 2, 0] - wanted
    assert float(((late + 0.5) % 1 - 0.5).abs().max()) > 1 / state.bar, "one lag for all would miss"


@pytest.mark.parametrize("beats", [1, 2, 3])
def test_a_clock_that_starts_at_another_beat_of_the_bar_moves_the_echoes_with_it(beats: int) -> None:
    """Each token of this music says its place in the bar, of 40 tokens."""
    begin = memory(bands=(torch.arange(400) / 40 % 1).float()[None, :, None].expand(1, -1, CHANNELS))
    state = own().jumped(begin, beats)
    assert own().jumped(begin, 0) is begin
    for place in range(0, 80, 8):
        echo = own().echo(state, 8, 0, 1.0, 1, 0)
        wanted = (beats / 4 + (place + torch.arange(8)) / 40) % 1
        for number in (0, 2):
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


# The plan


@pytest.mark.parametrize(("steady", "bars"), [(1000, 24), (650, 16), (400, 8), (300, 4)])
def test_the_plan_is_what_was_played_many_bars_ago_in_sixteenths(steady: int, bars: int) -> None:
    """Bars of 40 tokens, 2.5 tokens a sixteenth."""
    state = memory(bands=torch.randn(1, 1000, CHANNELS), steady=steady)
    plan = own().plan(state, 10, 0, 0.5, 20.0)
    ago = state.bands[0, 1000 - 40 * bars :][:10]
    # The place is in the middle of a bar, where a sixteenth begins.
    for cell in ([0, 1], [2, 3, 4], [5, 6], [7, 8, 9]):
        torch.testing.assert_close(plan.values[0][:, cell], ago[cell].mean(0)[:, None].expand(-1, len(cell)))
    torch.testing.assert_close(plan.known, torch.full((1, 10), 0.875))


def test_a_plan_of_tokens_that_were_played_already_begins_before_them() -> None:
    state = memory()
    plan, later = own().plan(state, 15, 5, 1.0, 25.0), own().plan(state, 10, 0, 1.0, 25.0)
    torch.testing.assert_close(plan.values[..., 5:], later.values)


def test_there_is_no_plan_before_four_bars_were_played_or_without_a_bar() -> None:
    assert float(own().plan(memory(steady=120), WINDOW, 0, 1.0, 0.0).known.max()) == 0
    assert float(own().plan(memory(bar=0.0), WINDOW, 0, 1.0, 0.0).known.max()) == 0


# Streams


def played(stream: BlockStream, blocks: int, **knobs: float) -> Tensor:
    return torch.cat([stream.step(BlockSettings(seed=1, **knobs)).audio for _ in range(blocks)], 2)  # type: ignore[arg-type]


def begun(hop: int | None = None) -> BlockStream:
    stream = BlockStream(small_stack(), hop_tokens=hop)
    sound = 0.2 * torch.randn(1, 1, 8 * 44_100, generator=torch.Generator().manual_seed(4))
    stream.set_context(sound)
    return stream


def remembered(stream: BlockStream) -> MemoryState:
    state = stream.save().levels[2].memory
    assert state is not None
    return state


def test_a_stream_remembers_its_beginning_and_what_it_plays() -> None:
    stream = begun()
    before = remembered(stream).bands
    assert before.shape == (1, 8 * 44_100 // HOP, CHANNELS)
    played(stream, 3)
    after = remembered(stream).bands
    assert torch.equal(after[:, : before.shape[1]], before) and after.shape[1] == before.shape[1] + 3 * WINDOW
    state = stream.save().levels[2]
    assert torch.equal(after[0, -WINDOW:].T, state.history[0, :, -WINDOW:])


@pytest.mark.parametrize("soft", [0.0, 0.02])
def test_silence_or_a_soft_intro_before_the_music_is_not_remembered(soft: float) -> None:
    """As the plan of bars that come later it would be a hole in the music, and it would lower all levels."""
    music = 0.2 * torch.randn(1, 1, 8 * 44_100, generator=torch.Generator().manual_seed(4))
    intro = soft * torch.randn(1, 1, 4 * 44_100, generator=torch.Generator().manual_seed(5))
    begun, stream = BlockStream(small_stack()), BlockStream(small_stack())
    begun.set_context(music)
    stream.set_context(torch.cat([intro, music], 2))
    (wanted, first), (found, second) = (
        (state.levels[2], state.loudness) for state in (begun.save(), stream.save())
    )
    assert remembered(stream).bands.shape == remembered(begun).bands.shape
    assert wanted.governor is not None and wanted.governor.held is not None
    assert found.governor is not None and found.governor.held is not None
    torch.testing.assert_close(found.governor.held, wanted.governor.held, atol=0.05, rtol=0.05)
    assert first is not None and second is not None and second.target == pytest.approx(first.target, rel=0.02)
    assert wanted.context is not None and found.context is not None
    assert wanted.context.shape == found.context.shape, "the last windows are the context, as before"


def test_no_more_is_remembered_than_a_minute() -> None:
    longest = round(SECONDS * PER_SECOND)
    state = memory(bands=torch.randn(1, longest, CHANNELS), steady=longest)
    state = own().grown(state, torch.ones(1, CHANNELS, 10))
    assert state.bands.shape[1] == longest and state.steady == longest
    assert bool((state.bands[:, -10:] == 1).all())


def test_the_memory_knob_changes_the_music_and_0_is_without_it() -> None:
    whole, none = played(begun(), 3, memory=1.0), played(begun(), 3, memory=0.0)
    assert not torch.allclose(whole, none, atol=1e-5)
    stream = begun()
    state = stream.save()
    level = dataclasses.replace(state.levels[2], memory=dataclasses.replace(remembered(stream), steady=0))
    stream.restore(dataclasses.replace(state, levels={2: level}))
    first = stream.step(BlockSettings(seed=1, memory=1.0)).audio
    torch.testing.assert_close(first, none[..., : first.shape[2]])


@pytest.mark.parametrize("clock", [None, 0.0])
def test_the_window_gets_the_plan_of_its_place_at_the_knob_s_memory(
    monkeypatch: pytest.MonkeyPatch, clock: float | None
) -> None:
    """The beat says where a sixteenth begins; what stays of an init has no plan."""
    stream, places = begun(), []
    plan = StreamMemory.plan

    def noted(*words: object) -> object:
        places.append(words[-2:])
        return plan(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(StreamMemory, "plan", noted)
    state = stream.save().levels[2]
    assert state.memory is not None and state.anchor is not None
    stream.step(BlockSettings(seed=1, memory=0.6, tempo=clock))
    anchor = stream.save().levels[2].anchor
    assert anchor is not None
    if clock is None:
        before = (anchor.beat or 0.0) - WINDOW * remembered(stream).per_token
        expected = before % 4 / 4 * remembered(stream).bar
    else:
        expected = 0.0
    knob, place = places[0]
    assert knob == 0.6 and place == pytest.approx(expected, abs=1e-3)
    stream.step(BlockSettings(seed=1, memory=0.6, resample=0.75, tempo=clock))
    assert places[1][0] == pytest.approx(0.15)
    stream.step(
        BlockSettings(seed=1, memory=0.6, resample=0.75, tempo=clock), init=torch.zeros(1, 1, WINDOW * HOP)
    )
    assert places[2][0] == pytest.approx(0.15)


def test_a_state_without_a_memory_does_not_fit() -> None:
    stream = begun()
    state = stream.save()
    bare = dataclasses.replace(state, levels={2: dataclasses.replace(state.levels[2], memory=None)})
    with pytest.raises(StreamError, match="other sizes"):
        stream.restore(bare)


def test_another_hop_of_the_same_stack_goes_on_with_the_memory() -> None:
    stream = begun()
    played(stream, 4, memory=1.0)
    whole = remembered(stream)
    sound = torch.zeros(1, 1, 3 * 44_100)
    other = BlockStream(small_stack(), hop_tokens=16)
    carried = stream.carried(BlockSettings(seed=1), frames=2 * HOP)
    other.set_context(other.prepare_context(sound, carried))
    back = 2 + stream.latency_frames // HOP
    assert torch.equal(remembered(other).bands, whole.bands[:, :-back])
    assert remembered(other).bar == whole.bar


def test_a_context_for_one_block_is_what_that_block_remembers() -> None:
    stream = begun()
    before = remembered(stream).bands.shape[1]
    sound = 0.2 * torch.randn(1, 1, 64 * HOP, generator=torch.Generator().manual_seed(5))
    given = stream.step(BlockSettings(seed=1, memory=1.0), context=sound).audio
    assert remembered(stream).bands.shape[1] == before + WINDOW, "what was played joins the memory"
    other = begun()
    state = other.save()
    empty = dataclasses.replace(remembered(other), bands=torch.zeros(1, 0, CHANNELS), steady=0)
    other.restore(dataclasses.replace(state, levels={2: dataclasses.replace(state.levels[2], memory=empty)}))
    assert torch.equal(other.step(BlockSettings(seed=1, memory=1.0), context=sound).audio, given)
