"""The file player: bars, loops, once, where a file began, and the file itself in the output."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jbdiff.audio.beat import Beat
from jbdiff_live.block import FilePlace
from jbdiff_live.engine.voices.file_player import DryFile, FilesBegan, piece, place_in
from jbdiff_live.engine.voices.listening import Place, file_places, heard
from jbdiff_live.engine.voices.sources import FileSource, Sources
from jbdiff_live.parameters import BY_NAME, Origin, ParameterSnapshot, ParameterStore

RATE = 1000
NUMBERED = FileSource(Path("a.wav"), np.arange(20_000, dtype=np.float32), "", Beat(120.0, 100.0))
NO_BEAT = replace(NUMBERED, beat=None)


def knobs(**values: object) -> ParameterSnapshot:
    store = ParameterStore()
    for name, value in values.items():
        store.set(name, BY_NAME[name].parse(value), Origin.UI)
    return store.snapshot


def test_start_and_length_count_bars_of_the_clock_then_of_the_file_then_seconds() -> None:
    asked = knobs(file_start=2, file_length=4)
    by_file = place_in(asked, NUMBERED, 0, 0.0, RATE)  # 120 BPM: a bar has 2000 frames
    assert (by_file.begin, by_file.frames) == (100 + 2 * 2000, 4 * 2000)
    by_clock = place_in(asked, NUMBERED, 0, 400.0, RATE)
    assert (by_clock.begin, by_clock.frames) == (100 + 2 * 1600, 4 * 1600)
    in_seconds = place_in(asked, NO_BEAT, 0, 0.0, RATE)
    assert (in_seconds.begin, in_seconds.frames) == (2000, 4000)
    whole = place_in(knobs(), NUMBERED, 7, 0.0, RATE)
    assert whole == FilePlace(7, 0, 20_000, True), "at rest it is the whole file, from its first frame on"


def test_a_start_behind_the_end_is_the_last_bar_and_a_length_ends_with_the_file() -> None:
    late = place_in(knobs(file_start=100, file_length=8), NUMBERED, 0, 0.0, RATE)
    assert (late.begin, late.frames) == (18_000, 2000)
    tiny = replace(NUMBERED, samples=NUMBERED.samples[:50])
    assert place_in(knobs(file_start=100), tiny, 0, 0.0, RATE) == FilePlace(0, 0, 50, True)


def test_a_loop_comes_round_at_the_frame_and_once_is_silent_outside() -> None:
    loop = FilePlace(0, 500, 1000, True)
    sound, there = piece(NUMBERED, loop, 990, 20)
    assert sound.tolist() == [*range(1490, 1500), *range(500, 510)] and there.all()
    sound, there = piece(NUMBERED, replace(loop, loops=False), 990, 20)
    assert sound.tolist() == [*range(1490, 1500), *[0] * 10] and there.sum() == 10
    sound, there = piece(NUMBERED, replace(loop, loops=False), -10, 20)
    assert sound.tolist() == [*[0] * 10, *range(500, 510)] and not there[:10].any()


def test_block_n_of_the_music_reads_place_n_of_the_file() -> None:
    sources, began, read = Sources(init_file=NUMBERED), FilesBegan(), []
    asked = knobs(init_source="file", file_start=1, file_length=2)
    for position in range(0, 9000, 300):
        began.look(sources, position)
        place = file_places(asked, sources, began, position, RATE)["init"]
        found = heard(asked, sources, Place("init", 900, 300, 0, place), RATE)
        assert found.samples is not None and found.share == 1.0
        read.append(found.samples[-300:])
    wanted = 2100 + np.arange(9000) % 4000
    assert np.array_equal(np.concatenate(read), wanted)


def test_a_file_that_comes_during_the_music_begins_at_its_start() -> None:
    began, other = FilesBegan(), replace(NUMBERED)
    began.look(Sources(init_file=NUMBERED), 0)
    kept = began.began
    assert began.played("init", 5000) == 5000
    began.look(Sources(init_file=other, context_file=NUMBERED), 5000)
    assert (began.played("init", 5300), began.played("context", 5300)) == (300, 300)
    began.began = kept  # the time machine goes back: the old file is known again at its own place
    began.look(Sources(init_file=NUMBERED), 5300)
    assert began.played("init", 5300) == 5300


def test_once_hands_the_music_back_when_the_file_has_ended() -> None:
    sources = Sources(init_file=NO_BEAT, context_file=NO_BEAT, own=lambda frames: np.full(frames, -1.0))
    asked = knobs(init_source="file", context_source="file", file_length=1, file_loop=False)

    def at(role: str, position: int) -> tuple[float, np.ndarray | None]:
        place = place_in(asked, NO_BEAT, position, 0.0, RATE)
        found = heard(asked, sources, Place(role, 600, 200 if role == "init" else 0, 0, place), RATE)
        return found.share, found.samples

    assert at("init", 0)[0] == 1.0, "nothing before the file's beginning takes from the first block"
    assert at("init", 900)[0] == pytest.approx(0.5)
    assert at("init", 1000) == (0.0, None)
    share, sound = at("context", 1300)
    assert sound is not None and 0 < share < 1
    assert sound[-1] == pytest.approx(-1.0) and sound[0] == pytest.approx(NO_BEAT.samples[700])


SMOOTH = FileSource(Path("b.wav"), np.full(4000, 0.5, np.float32), "")


def test_the_file_in_the_output_never_clicks() -> None:
    dry, out = DryFile(50), []
    looped = FilePlace(-130, 0, 700, True)
    plan = [  # (place, gain) of each block of 200 frames
        (looped, 0.0), (looped, 1.0), (looped, 1.0), (looped, 0.3), (replace(looped, begin=900), 0.3),
        (replace(looped, begin=900, loops=False), 0.3), (None, 1.0), (looped, 1.0),
    ]  # fmt: skip
    for number, (place, gain) in enumerate(plan):
        now = None if place is None else replace(place, played=place.played + 200 * number)
        made = dry.sound(None if now is None else SMOOTH, now, gain, 200)
        out.append(np.zeros(200, np.float32) if made is None else made)
    sound = np.concatenate(out)
    assert np.abs(np.diff(sound)).max() < 0.02 and sound.max() > 0.45
    assert not sound[:200].any() and not sound[1250:1400].any()


def test_the_file_in_the_output_waits_for_the_music_and_is_then_itself() -> None:
    dry = DryFile(50)
    file = FileSource(Path("c.wav"), np.sin(np.arange(5000) / 9).astype(np.float32), "")
    place = FilePlace(-300, 1000, 3000, True)
    made = [dry.sound(file, replace(place, played=place.played + 500 * n), 0.5, 500) for n in range(3)]
    sound = np.concatenate([each for each in made if each is not None])
    assert not sound[:300].any()
    assert np.array_equal(sound[400:], np.float32(0.5) * file.samples[1100:2200])
