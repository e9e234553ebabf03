"""Stems: mixes are a function of track and number, other mixes are other, and broken folders are told of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jbdiff.data.clips import cache_sounds
from jbdiff.data.stems import find_tracks, is_stems, mix

RATE = 44_100
PARTS = ("kick", "bass", "lead", "pad")


def write_track(folder: Path, seed: int, bpm: float = 120.0) -> None:
    """Four stems of two seconds, a sine each; the kick in strokes."""
    folder.mkdir(parents=True)
    time = np.arange(2 * RATE) / RATE
    stems = []
    for number, part in enumerate(PARTS):
        sound = 0.5 * np.sin(2 * np.pi * (60 * (number + 1) + 7 * seed) * time)
        if part == "kick":
            sound *= np.exp(-8 * (time % 0.5))
        soundfile.write(folder / f"{part}.flac", np.stack([sound, sound], 1), RATE)
        stems.append({"file": f"{part}.flac", "part": part, "gain": 0.2, "reverb": 0.1, "delay": 0.1})
    stems[1]["ducked"] = True
    facts = {"seed": seed, "seconds": 2.0, "bpm": bpm, "kicks": [0.0, 0.5, 1.0, 1.5], "stems": stems}
    (folder / "track.json").write_text(json.dumps(facts))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(4):
        write_track(tmp_path / "stems" / f"track{seed}", seed)
    return tmp_path / "stems"


def test_a_mix_is_the_same_every_time(folder: Path) -> None:
    tracks = find_tracks(folder)
    one, again = (mix(tracks[1], 3, tracks, RATE) for _ in range(2))
    assert one.shape == (2 * RATE, 2) and np.array_equal(one, again)


def test_other_numbers_are_other_mixes_of_the_same_length_and_level(folder: Path) -> None:
    tracks = find_tracks(folder)
    mixes = [mix(tracks[0], number, tracks, RATE) for number in range(5)]
    for index, one in enumerate(mixes):
        assert np.isfinite(one).all() and np.abs(one).max() <= 0.981
        level = 20 * np.log10(np.sqrt((one**2).mean()))
        assert -24 < level < -12
        assert all(np.abs(one - other).max() > 0.01 for other in mixes[:index])


def test_mixes_are_stereo_and_keep_their_middle_in_mono(folder: Path) -> None:
    tracks = find_tracks(folder)
    for number in range(4):
        one = mix(tracks[2], number, tracks, RATE)
        middle, side = one.mean(1), (one[:, 0] - one[:, 1]) / 2
        assert 0 < np.sqrt((side**2).mean()) < 0.7 * np.sqrt((middle**2).mean())


def test_drums_come_from_tracks_of_the_same_tempo_alone(tmp_path: Path) -> None:
    write_track(tmp_path / "a", 0)
    write_track(tmp_path / "b", 1, bpm=90.0)
    alone = find_tracks(tmp_path)[:1]
    both = find_tracks(tmp_path)
    for number in range(8):
        assert np.array_equal(mix(both[0], number, both, RATE), mix(both[0], number, alone, RATE))


def test_music_without_drums_stays_without(folder: Path) -> None:
    """Its mixes do not depend on whether other tracks could lend it drums."""
    write_track(folder / "calm", 9)
    facts = json.loads((folder / "calm" / "track.json").read_text())
    facts["stems"] = [stem for stem in facts["stems"] if stem["part"] != "kick"]
    facts["kicks"] = []
    (folder / "calm" / "track.json").write_text(json.dumps(facts))
    tracks = find_tracks(folder)
    (calm,) = (track for track in tracks if track.name == "calm")
    for number in range(1, 9):
        assert np.abs(read_lows(mix(calm, number, tracks, RATE))).max() < 0.02


def read_lows(sound: np.ndarray) -> np.ndarray:
    """What a mix `[frames, 2]` has below the bass of the track: a borrowed kick is a tone of 60 to 81 Hz."""
    spectrum = np.fft.rfft(sound.mean(1))
    hertz = np.fft.rfftfreq(len(sound), 1 / RATE)
    spectrum[(hertz < 55) | (hertz > 85)] = 0
    return np.fft.irfft(spectrum)


def test_training_hears_several_mixes_and_keeps_whole_tracks_back(folder: Path, tmp_path: Path) -> None:
    assert is_stems(folder)
    clips = cache_sounds(folder, tmp_path / "cache", RATE, lambda _: None, mixes=3)
    assert len(clips) == 12 and set(clips.lengths) == {2 * RATE}
    training, heldout = clips.split(0.25)
    names = [{name.split(" mix ")[0] for name in part.names} for part in (training, heldout)]
    assert not names[0] & names[1] and len(names[1]) == 1 and len(heldout) == 3


def test_a_folder_too_far_up_reads_stems_as_sounds_and_names_the_right_one(
    folder: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    (folder / "notes").mkdir()
    (folder / "notes" / "track.json").write_text("no description")
    above = tmp_path / "above"
    above.mkdir()
    folder.rename(above / "songs")
    clips = cache_sounds(above, tmp_path / "cache", RATE, said.append)
    assert len(clips) > 4 and any(str(above / "songs") in line for line in said)


def test_stereo_caches_have_two_channels(folder: Path, tmp_path: Path) -> None:
    clips = cache_sounds(folder, tmp_path / "cache", RATE, lambda _: None, channels=2)
    assert clips.array.shape == (8 * RATE, 2)
    tracks = find_tracks(folder)
    wanted = np.round(mix(tracks[0], 0, tracks, RATE) * 32767)
    assert np.abs(clips.clip(0) - wanted).max() <= 1


def test_a_stem_that_cannot_be_read_costs_its_track_alone(folder: Path, tmp_path: Path) -> None:
    (folder / "track2" / "bass.flac").write_bytes(b"no sound")
    said: list[str] = []
    clips = cache_sounds(folder, tmp_path / "cache", RATE, said.append)
    assert len(clips) == 3 and len(said) == 1 and "bass.flac" in said[0]


@pytest.mark.parametrize(
    "content", [b"{", b'{"stems": []}', b'{"stems": [{"file": "../x", "part": "a"}]}', b"[]"]
)
def test_a_description_that_is_none_names_its_file(folder: Path, content: bytes) -> None:
    (folder / "track1" / "track.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"track1.track\.json"):
        find_tracks(folder)
