"""What is cut from held-out tracks and from anybody's music, and which files are named and left out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jbdiff.evaluate.excerpts import Bars, read_excerpts, read_music

RATE = 44_100
WANTED = Bars(context_seconds=3.0, most=4, least=2)


def beat(seconds: float, bpm: float, rate: int = RATE) -> np.ndarray:
    """Kicks on the beat of a quiet tone, `[n]`."""
    time = np.arange(int(seconds * rate)) / rate
    since = time % (60 / bpm)
    return 0.5 * np.exp(-30 * since) * np.sin(2 * np.pi * 60 * since) + 0.02 * np.sin(2 * np.pi * 440 * time)


def test_music_begins_where_asked_and_is_cut_at_bars_of_its_own_tempo(tmp_path: Path) -> None:
    audio = beat(20, 120, 48_000)
    soundfile.write(tmp_path / "a.flac", np.stack([audio, 0.5 * audio], 1), 48_000)
    (excerpt,) = read_music(tmp_path, RATE, 9, 4.0, WANTED, print)
    assert excerpt.name == "a.flac" and excerpt.bar == pytest.approx(2.0, rel=0.01) and excerpt.bars == 4
    assert excerpt.context.shape == (2, round(2 * excerpt.bar * RATE)), "3 s are rounded up to two bars"
    assert excerpt.truth.shape[1] == pytest.approx(4 * excerpt.bar * RATE, abs=2)
    expected = beat(20, 120)[4 * RATE :][: excerpt.context.shape[1]]
    assert np.corrcoef(excerpt.context[0].numpy(), expected)[0, 1] > 0.999
    assert float((excerpt.context[1] - 0.5 * excerpt.context[0]).abs().max()) < 1e-3
    after = beat(20, 120)[4 * RATE + excerpt.context.shape[1] :][:RATE]
    assert np.corrcoef(excerpt.truth[0, :RATE].numpy(), after)[0, 1] > 0.999, "the truth is what follows"


def test_files_that_do_not_serve_are_named_and_the_others_are_judged(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "good.wav", beat(12, 120), RATE)
    soundfile.write(tmp_path / "mono at another rate.ogg", beat(12, 100, 22_050).astype(np.float32), 22_050)
    soundfile.write(tmp_path / "short.wav", beat(2, 120), RATE)
    soundfile.write(tmp_path / "shortish.wav", beat(5, 120), RATE)
    soundfile.write(tmp_path / "silent.wav", np.zeros(12 * RATE), RATE)
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), RATE)
    (tmp_path / "broken.flac").write_bytes(b"no sound")
    (tmp_path / "phone.m4a").write_bytes(b"unknown")
    (tmp_path / "cover.jpg").write_bytes(b"picture")
    said: list[str] = []
    found = read_music(tmp_path, RATE, 99, 0.0, WANTED, said.append)
    assert sorted(one.name for one in found) == ["good.wav", "mono at another rate.ogg"]
    words = {
        "short.wav": "too short",
        "shortish.wav": "too short",
        "silent.wav": "no beat",
        "empty.wav": "no samples",
    }
    words |= {"broken.flac": "convert", "phone.m4a": "convert"}
    assert len(said) == len(words)
    for name, word in words.items():
        (line,) = [line for line in said if f"{name}:" in line or f"{name}'" in line]
        assert word in line and line.startswith("left out")


def test_a_folder_without_music_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no folder"):
        read_music(tmp_path / "nowhere", RATE, 9, 0.0, WANTED, print)
    with pytest.raises(ValueError, match=r"no sound file in .*: it holds none; give a folder of WAV"):
        read_music(tmp_path, RATE, 9, 0.0, WANTED, print)
    (tmp_path / "phone.m4a").write_bytes(bytes(99))
    with pytest.raises(ValueError, match=r"no sound file in .*: the files above cannot be read"):
        read_music(tmp_path, RATE, 9, 0.0, WANTED, print)
    soundfile.write(tmp_path / "a.wav", beat(1, 120), RATE)
    with pytest.raises(ValueError, match=r"none of the 1 sound files .*; give files that hold a context of"):
        read_music(tmp_path, RATE, 9, 0.0, WANTED, print)
    soundfile.write(tmp_path / "a.wav", beat(12, 120), RATE)
    with pytest.raises(ValueError, match="30 s"):
        read_music(tmp_path, RATE, 9, 30.0, WANTED, print)


def test_stems_say_their_tempo_and_tracks_are_as_long_as_they_allow(tmp_path: Path) -> None:
    for name, seconds, bpm in (("long", 30, 100), ("middling", 11, 100), ("short", 8, 100)):
        folder = tmp_path / name
        folder.mkdir()
        # The kicks are at another tempo than `track.json` says: what it says is what counts.
        soundfile.write(folder / "kick.wav", beat(seconds, 130), RATE)
        stems = [{"file": "kick.wav", "part": "kick"}]
        (folder / "track.json").write_text(json.dumps({"stems": stems, "bpm": bpm, "seconds": seconds}))
    said: list[str] = []
    found = {one.name: one for one in read_excerpts(tmp_path, RATE, 9, WANTED, said.append)}
    assert {name: one.bars for name, one in found.items()} == {"long": 4, "middling": 2}
    assert all(one.bar == pytest.approx(2.4) for one in found.values())
    assert found["long"].context.shape[1] == round(2 * 2.4 * RATE)
    assert len(said) == 1 and "short: 8.0 s are too short; 9.6 s" in said[0]
