"""Reading anybody's folder of sounds, and drawing batches by number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from jbdiff.audio.files import find_sounds, read_audio
from jbdiff.data.clips import AudioBatches, Clips, ClipWriter, LatentBatches, cache_sounds, open_clips

RATE = 8000


def tone(seconds: float, rate: int = RATE, channels: int = 1) -> np.ndarray:
    time = np.arange(int(seconds * rate)) / rate
    return np.repeat(0.5 * np.sin(2 * np.pi * 220 * time)[:, None], channels, 1).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Mono, stereo at another rate, an empty file, noise under the name of a sound, NaN, and a picture."""
    sounds = tmp_path / "sounds"
    (sounds / "deeper").mkdir(parents=True)
    soundfile.write(sounds / "mono.wav", tone(2), RATE)
    soundfile.write(sounds / "deeper" / "stereo.flac", tone(2, 48_000, 2), 48_000)
    soundfile.write(sounds / "empty.wav", np.zeros((0, 1), np.float32), RATE)
    (sounds / "broken.ogg").write_bytes(b"this is no sound")
    bad = tone(1)
    bad[10] = np.nan
    soundfile.write(sounds / "nan.wav", bad, RATE, subtype="FLOAT")
    (sounds / "cover.png").write_bytes(b"")
    return sounds


def test_any_rate_and_width_is_read(folder: Path) -> None:
    audio, rate = read_audio(folder / "deeper" / "stereo.flac", RATE)
    assert rate == 48_000 and audio.dtype == np.float32 and audio.shape == (2 * RATE, 2)
    np.testing.assert_allclose(audio[1000:-1000, 0], tone(2)[1000:-1000, 0], atol=0.01)


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("empty.wav", ValueError, "no samples"),
        ("nan.wav", ValueError, "NaN"),
        ("broken.ogg", OSError, "convert"),
        ("missing.wav", OSError, "no sound file"),
    ],
)
def test_a_bad_file_is_named_with_its_remedy(
    folder: Path, name: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        read_audio(folder / name, RATE)
    assert name in str(caught.value)


def test_broken_files_are_skipped_and_named(folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    clips = cache_sounds(folder, tmp_path / "cache", RATE, said.append)
    assert sorted(Path(name).name for name in clips.names) == ["mono.wav", "stereo.flac"]
    assert sorted(Path(name).name for name in clips.skipped) == ["broken.ogg", "empty.wav", "nan.wav"]
    assert len(said) == 3 and clips.lengths == (2 * RATE, 2 * RATE)
    assert [path.name for path in find_sounds(folder) if path.suffix == ".png"] == []


def test_an_unchanged_folder_is_not_read_again(folder: Path, tmp_path: Path) -> None:
    cache_sounds(folder, tmp_path / "cache", RATE, lambda _: None)
    said: list[str] = []
    again = cache_sounds(folder, tmp_path / "cache", RATE, said.append)
    assert said == [] and len(again) == 2
    soundfile.write(folder / "new.wav", tone(1), RATE)
    assert len(cache_sounds(folder, tmp_path / "cache", RATE, said.append)) == 3


def test_a_folder_without_sound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ValueError, match="no readable sound"):
        cache_sounds(tmp_path / "nothing", tmp_path / "cache", RATE)
    with pytest.raises(OSError, match="no folder"):
        cache_sounds(tmp_path / "nowhere", tmp_path / "cache", RATE)


def test_an_unfinished_cache_is_not_taken_for_whole(tmp_path: Path) -> None:
    ClipWriter(tmp_path / "cache", "int16").add("half", np.zeros(10, np.int16))
    with pytest.raises(FileNotFoundError, match="no finished cache"):
        open_clips(tmp_path / "cache")


def test_batches_are_a_function_of_seed_and_number(folder: Path, tmp_path: Path) -> None:
    clips = cache_sounds(folder, tmp_path / "cache", RATE, lambda _: None)
    whole = AudioBatches(clips, batch=3, samples=1024, seed=7, first=0, count=10)
    later = AudioBatches(clips, batch=3, samples=1024, seed=7, first=6, count=4)
    assert whole[6].shape == (3, 1, 1024)
    assert whole[6].equal(later[0]) and not whole[6].equal(whole[7])


def latent_clips(tmp_path: Path, lengths: tuple[int, ...], **about: object) -> Clips:
    """Clips whose tokens say their place and which clip they are of."""
    writer = ClipWriter(tmp_path / "latents", "float16", (2,))
    for index, length in enumerate(lengths):
        values = np.stack([np.arange(length), np.full(length, index)], 1)
        writer.add(f"clip{index}", values)
    return writer.finish([], **about)


def test_a_stretch_of_latents_is_unbroken(tmp_path: Path) -> None:
    batches = LatentBatches(latent_clips(tmp_path, (100, 30, 60)), 8, 48, seed=1, first=0, count=5)
    stretch = batches[0].latents
    assert stretch.shape == (8, 48, 2)
    assert (stretch[:, 1:, 0] == stretch[:, :-1, 0] + 1).all()
    assert (stretch[:, :, 1] == stretch[:, :1, 1]).all(), "a stretch never crosses from one clip into another"
    assert not (stretch[:, :, 1] == 1).any(), "the clip that is too short is never drawn"


def test_latents_are_varied_by_the_batch_number(tmp_path: Path) -> None:
    clips = latent_clips(tmp_path, (100,))

    def louder(latents: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        return latents + float(rng.uniform(1, 2))

    plain = LatentBatches(clips, 2, 16, seed=1, first=0, count=5)
    varied = LatentBatches(clips, 2, 16, seed=1, first=0, count=5, vary=louder)
    again = LatentBatches(clips, 2, 16, seed=1, first=3, count=2, vary=louder)
    assert (varied[3].latents[0] > plain[3].latents[0]).all()
    assert varied[3].latents.equal(again[0].latents) and varied[3].bars.equal(again[0].bars)


def test_held_out_clips_are_whole_and_apart(tmp_path: Path) -> None:
    training, heldout = latent_clips(tmp_path, (10,) * 40).split(0.05)
    assert len(heldout) == 2 and len(training) == 38
    assert not set(training.names) & set(heldout.names)
    with pytest.raises(ValueError, match="longest has 10"):
        training.at_least(11)


def test_bars_go_with_their_clips(tmp_path: Path) -> None:
    lengths, bars = (40, 10, 30, 20), [8.0, 0.0, 7.5, 5.0]
    clips = latent_clips(tmp_path, lengths, bars=bars)
    for kept in (
        clips,
        clips.only([2, 0]),
        clips.at_least(20),
        *clips.split(0.5),
        open_clips(tmp_path / "latents"),
    ):
        assert len(kept.bars) == len(kept)
        for index, bar in enumerate(kept.bars):
            assert bar == bars[int(kept.clip(index)[0, 1])]
    training, heldout = clips.split(0.5)
    assert sorted(training.bars + heldout.bars) == sorted(bars)
    assert latent_clips(tmp_path, lengths).only([1]).bars == ()


def test_a_stretch_knows_where_in_the_bar_it_begins(tmp_path: Path) -> None:
    clips = latent_clips(tmp_path, (100, 90, 80), bars=[8.0, 0.0, 7.5])
    drawn = LatentBatches(clips, 30, 48, seed=1, first=0, count=1)[0]
    assert drawn.bars.shape == (30, 2) and drawn.bars.dtype == torch.float32
    seen = set()
    for stretch, (place, bar) in zip(drawn.latents, drawn.bars.tolist(), strict=True):
        first, number = stretch[0].tolist()
        seen.add(number)
        assert bar == (8.0, 0.0, 7.5)[int(number)]
        assert place == (first % bar if bar else 0.0)
    assert seen == {0, 1, 2}
    unknown = LatentBatches(latent_clips(tmp_path, (100,)), 3, 48, seed=1, first=0, count=1)[0]
    assert not unknown.bars.any()


def test_latents_at_hand_give_the_same_batches(tmp_path: Path) -> None:
    clips = latent_clips(tmp_path, (100, 30, 60), bars=[8.0, 0.0, 7.5])
    resident = torch.from_numpy(np.array(clips.array))
    mapped = LatentBatches(clips, 4, 40, seed=1, first=2, count=3)
    at_hand = LatentBatches(clips, 4, 40, seed=1, first=2, count=3, resident=resident)
    for one, other in zip(mapped, at_hand, strict=True):
        assert other.latents.dtype == torch.float32
        assert one.latents.equal(other.latents) and one.bars.equal(other.bars)
    resident[:] = 0
    assert not at_hand[0].latents.any(), "they are cut from what is at hand"


def junk(folder: Path) -> None:
    """Sounds that nothing can be learned from."""
    soundfile.write(folder / "silent.wav", np.zeros((RATE, 2), np.float32), RATE)
    soundfile.write(folder / "constant.wav", np.full(RATE, 0.5, np.float32), RATE)
    soundfile.write(folder / "unscaled.wav", 32_768 * tone(1), RATE, subtype="FLOAT")
    soundfile.write(folder / "clipped.wav", np.clip(6 * tone(1), -1, 1), RATE, subtype="FLOAT")
    soundfile.write(folder / "beyond.wav", np.clip(6 * tone(1), -1.9, 1.9), RATE, subtype="FLOAT")
    soundfile.write(folder / "clipped16.flac", np.clip(6 * tone(1), -1, 1), RATE, subtype="PCM_16")


def test_silent_and_clipped_sounds_are_named_and_left_out(tmp_path: Path) -> None:
    """A network would learn that music is square waves; its loss says nothing then."""
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    junk(sounds)
    names = sorted(path.name for path in sounds.iterdir())
    soundfile.write(sounds / "good.wav", tone(1), RATE)
    loud = 0.35 * np.random.default_rng(0).standard_normal(
        (RATE, 1)
    )  # a little over now and then, as masters are
    soundfile.write(sounds / "loud.wav", loud, RATE, subtype="FLOAT")
    said: list[str] = []
    clips = cache_sounds(sounds, tmp_path / "cache", RATE, said.append)
    assert sorted(Path(name).name for name in clips.names) == ["good.wav", "loud.wav"]
    assert sorted(Path(name).name for name in clips.skipped) == names
    for name in names:
        (words,) = [line for line in said if f"{name}'" in line]
        assert words.startswith("skipped:")
    reasons = "\n".join(said)
    assert "is silent" in reasons and "times full scale" in reasons and "% of its samples" in reasons


def test_a_folder_of_junk_alone_is_refused(tmp_path: Path) -> None:
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    junk(sounds)
    with pytest.raises(ValueError, match=r"no readable sound.*6 skipped"):
        cache_sounds(sounds, tmp_path / "cache", RATE, lambda _: None)


@pytest.mark.parametrize("channels", [1, 2])
def test_channels_that_cancel_each_other_are_learned_from_all_the_same(channels: int, tmp_path: Path) -> None:
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    opposite = tone(1, channels=2)
    opposite[:, 1] *= -1
    soundfile.write(sounds / "opposite.wav", opposite, RATE)
    said: list[str] = []
    clips = cache_sounds(sounds, tmp_path / "cache", RATE, said.append, channels=channels)
    assert np.abs(clips.clip(0)).max() > 16_000
    assert bool(said) == (channels == 1), "in stereo there is nothing to say"


def test_sounds_in_formats_that_are_not_read_are_named(tmp_path: Path) -> None:
    """They are music to whoever trains: to pass them over in silence would lose half a collection."""
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    soundfile.write(sounds / "good.wav", tone(1), RATE)
    (sounds / "song.M4A").write_bytes(b"....ftypM4A ")
    (sounds / "notes.txt").write_text("no sound")
    said: list[str] = []
    cache_sounds(sounds, tmp_path / "cache", RATE, said.append)
    assert len(said) == 1 and "song.M4A" in said[0] and "convert it" in said[0]


def test_what_is_odd_about_a_file_that_is_used_is_said(tmp_path: Path) -> None:
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    soundfile.write(sounds / "cut.wav", tone(20), RATE)
    data = (sounds / "cut.wav").read_bytes()
    (sounds / "cut.wav").write_bytes(data[: len(data) // 2])
    said: list[str] = []
    clips = cache_sounds(sounds, tmp_path / "cache", RATE, said.append)
    assert 9 * RATE < clips.lengths[0] < 11 * RATE
    assert len(said) == 1 and "cut.wav" in said[0] and "cut short" in said[0]


def test_a_cache_from_before_junk_was_left_out_is_made_anew(tmp_path: Path) -> None:
    import json

    sounds, cache = tmp_path / "sounds", tmp_path / "cache"
    sounds.mkdir()
    soundfile.write(sounds / "good.wav", tone(1), RATE)
    cache_sounds(sounds, cache, RATE, lambda _: None)
    index = json.loads((cache / "index.json").read_text())
    del index["about"]["reading"]
    index["skipped"] = ["of another time"]
    (cache / "index.json").write_text(json.dumps(index))
    assert cache_sounds(sounds, cache, RATE, lambda _: None).skipped == ()
