"""What a block listens to: Listen mixes in the source, and silence gives the music back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jbdiff_live.block import FilePlace
from jbdiff_live.engine.voices.listening import Place, beat_frames, heard
from jbdiff_live.engine.voices.sources import FileSource, Sources
from jbdiff_live.parameters import BY_NAME, Origin, ParameterSnapshot, ParameterStore

RATE, FRAMES = 44_100, 1000
OWN, OTHER = np.full(FRAMES, 0.25, np.float32), np.full(FRAMES, 0.5, np.float32)
CONTEXT = Place("context", FRAMES, 0, 0)
INIT = Place("init", FRAMES, 0, FRAMES)


def sources(presence: float | np.ndarray = 1.0) -> Sources:
    gate = np.broadcast_to(np.float32(presence), FRAMES)
    return Sources(
        live=lambda frames, ahead, beat: (OTHER[:frames], gate[:frames]), own=lambda frames: OWN[:frames]
    )


def knobs(**values: object) -> ParameterSnapshot:
    store = ParameterStore()
    for name, value in values.items():
        store.set(name, BY_NAME[name].parse(value), Origin.UI)
    return store.snapshot


def test_listen_goes_from_the_instruments_own_sound_to_the_live_input() -> None:
    live = {"context_source": "live"}
    assert heard(knobs(listen=0.0, **live), sources(), CONTEXT, RATE).samples is None
    all_live = heard(knobs(listen=1.0, **live), sources(), CONTEXT, RATE).samples
    assert all_live is not None and np.array_equal(all_live, OTHER)
    half = heard(knobs(listen=0.5, **live), sources(), CONTEXT, RATE).samples
    assert half is not None and half == pytest.approx((OWN + OTHER) * np.sqrt(0.5), rel=1e-5)


def test_silence_at_the_input_hands_the_music_back() -> None:
    live = knobs(context_source="live", init_source="live", listen=1.0)
    assert heard(live, sources(0.0), CONTEXT, RATE).samples is None
    assert heard(live, sources(0.0), INIT, RATE).share == 0.0
    gate = np.repeat(np.float32([0.0, 1.0]), FRAMES // 2)
    mixed = heard(live, sources(gate), CONTEXT, RATE).samples
    assert mixed is not None
    assert np.array_equal(mixed[: FRAMES // 2], OWN[: FRAMES // 2]), "the pause is filled with the own sound"
    assert mixed[FRAMES // 2 :] == pytest.approx(OTHER[FRAMES // 2 :])
    assert heard(live, sources(gate), INIT, RATE).share == pytest.approx(0.5)


def test_listen_also_moves_a_file_and_without_a_source_the_player_reads_why() -> None:
    in_file = replace(CONTEXT, file=FilePlace(0, 0, FRAMES, True))
    with_file = Sources(context_file=FileSource(Path("a.wav"), OTHER, ""), own=lambda frames: OWN[:frames])
    for listen, wanted in ((1.0, OTHER), (0.5, (OWN + OTHER) * np.sqrt(0.5))):
        got = heard(knobs(context_source="file", listen=listen), with_file, in_file, RATE).samples
        assert got is not None and got == pytest.approx(wanted, rel=1e-5)
    assert "no live input is open" in heard(knobs(context_source="live"), Sources(), CONTEXT, RATE).complaint
    assert "no init file is loaded" in heard(knobs(init_source="file"), Sources(), INIT, RATE).complaint


def test_a_beat_is_known_if_a_tempo_is() -> None:
    assert beat_frames(knobs(clock="tempo", tempo=120), RATE) == RATE / 2
    assert beat_frames(knobs(clock="context", tempo=120), RATE) == 0
    assert beat_frames(knobs(clock="off", tempo=120), RATE) == 0
