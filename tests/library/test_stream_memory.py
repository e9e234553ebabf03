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
from jbdiff.stream.remembering.memory import SECONDS, StreamMemory, differences, likeliest_bar, other_form
from jbdiff.stream.remembering.remembered import MemoryState
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
    assert shares[0] == [0.0] * 3 and shares[3] == [0.0, 0.0, 1.0], "no shorter one beside that of eight bars"
    for share, (one, four, eight) in zip((0.25, 0.5), shares[1:3], strict=True):
        assert four == 0.0 and eight == pytest.approx(share, abs=0.06)
        assert one == pytest.approx(share * (1 - share), abs=0.06)


def test_the_echo_of_one_bar_ago_is_given_only_without_the_longest() -> None:
    for place in range(0, 60 * WINDOW, WINDOW):
        known = own().echo(memory(), WINDOW, 0, 0.7, 1, place).known[0]
        assert float((known[0] * known[2]).max()) == 0.0
    few = own().echo(memory(steady=200), WINDOW, 0, 1.0, 1, 0).known[0]
    assert float(few[0].min()) == 1.0, "as long as eight bars were not played, one bar ago is known"


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
