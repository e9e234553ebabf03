"""`jbdiff train own` at toy size: tracks are chosen, bars are found, and a stack comes out that plays."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from toys import train
from typer.testing import CliRunner

pytest.importorskip("lightning")

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.codecs.bands import CHANNELS
from jbdiff.config import POCKET, BandCodecConfig, FewStepsConfig, JointDenoiserConfig, SpectralFinisherConfig
from jbdiff.data.clips import Clips, LatentBatches
from jbdiff.networks.echoes import echo_of
from jbdiff.networks.few_steps import Additions
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.networks.spectral_finisher import SpectralFinisher
from jbdiff.stacks.stack import known_stacks, load_stack, save_stack
from jbdiff.stream.settings import BlockSettings
from jbdiff.stream.stream import BlockStream
from jbdiff.train.cli import app
from jbdiff.train.latents.bars import described_tempo, estimated_bar, found_bars, with_bars
from jbdiff.train.own import command as own
from jbdiff.train.own.progress import safe_name, spent_minutes
from jbdiff.train.own.tracks import choose, lay_out
from jbdiff.train.run.alone import alone
from jbdiff.train.run.settings import RunSettings

RATE = 44_100 / 512
CODEC = BandCodecConfig(decoder_channels=8, decoder_blocks=1, local_channels=2, match_rounds=1)
DENOISER = JointDenoiserConfig(
    latent_channels=100, window_tokens=16, context_tokens=32, patch=4, width=16, depth=1, heads=2, anchor=True
)
FINISHER = SpectralFinisherConfig(fine_channels=2, width=4, depth=1)
FEW = FewStepsConfig(rank=2)


def tone(seconds: float, channels: int = 1, hertz: float = 220.0, level: float = 0.3) -> np.ndarray:
    """A pulsing tone `[frames, channels]`; its second channel is another pitch."""
    time = np.arange(int(seconds * 44_100)) / 44_100
    pulse = level * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * time))
    return np.stack([pulse * np.sin(2 * np.pi * hertz * (1 + n / 2) * time) for n in range(channels)], 1)


def write(path: Path, audio: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, 44_100)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A player's folder with a tiny stack, "toy"."""
    monkeypatch.setenv("JBDIFF_HOME", str(tmp_path / "home"))
    torch.manual_seed(0)
    torch.set_num_threads(1)
    denoiser = JointDenoiser(DENOISER)
    level = dataclasses.replace(POCKET.level(2), denoiser=DENOISER, window_tokens=16, few=FEW)
    config = dataclasses.replace(POCKET, name="toy", codec=CODEC, levels=(level,), finisher=FINISHER)
    few = {2: Additions(denoiser, FEW)}
    finisher = SpectralFinisher(FINISHER)
    save_stack(tmp_path / "home" / "toy", config, BandCodec(CODEC), {2: denoiser}, finisher=finisher, few=few)
    return tmp_path / "home"


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    folder = tmp_path / "My Songs!"
    write(folder / "summer mix 2.wav", tone(4, 2))
    write(folder / "album" / "b.flac", tone(4, 1, 330))
    write(folder / "click.wav", tone(0.2))
    write(folder / "silence.wav", np.zeros((4 * 44_100, 1)))
    write(folder / "junk.wav", np.sign(tone(4)))
    (folder / "broken.wav").write_bytes(b"RIFF and then nothing of use")
    return folder


def refused(*words: object) -> str:
    """What the command says, which must end with an error in one line."""
    done = CliRunner().invoke(app, ["own", *(str(word) for word in words)])
    assert done.exit_code == 1, done.output + repr(done.exception)
    return done.output


# Choosing


def test_tracks_that_cannot_train_are_left_out_with_the_reason(songs: Path, tmp_path: Path) -> None:
    said: list[str] = []
    chosen = choose(songs, 2.0, None, said.append)
    assert [track.path.name for track in chosen.tracks] == ["b.flac", "summer mix 2.wav"]
    assert [track.stereo for track in chosen.tracks] == [False, True] and chosen.stereo
    reasons = dict(chosen.left_out)
    assert said[:2] == [f"searching {str(songs)!r} and all folders in it for sounds", "found 6 sound files"]
    assert len(said) - 2 == len(reasons) == 4
    for name, words in (
        ("click.wav", "too short: 0.20 s"),
        ("silence.wav", "silent"),
        ("junk.wav", "clipped"),
        ("broken.wav", "convert it"),
    ):
        assert words in reasons[name] and any(name in line for line in said)
    places = lay_out(chosen, tmp_path / "tracks")
    for link, track in places.items():
        assert soundfile.info(link).frames == soundfile.info(track.path).frames and " mix " not in link


def test_a_constant_and_a_pointer_of_git_are_left_out_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", np.full((3 * 44_100, 1), 0.5))
    write(tmp_path / "good.wav", tone(3))
    (tmp_path / "lfs.ogg").write_text("version https://git-lfs.github.com/spec/v1\n")
    chosen = choose(tmp_path, 2.0, None, print)
    assert [track.path.name for track in chosen.tracks] == ["good.wav"]
    reasons = dict(chosen.left_out)
    assert "silent: all samples have one value" in reasons["a.wav"] and "git lfs pull" in reasons["lfs.ogg"]


def test_a_name_that_is_not_utf_8_is_read(tmp_path: Path) -> None:
    good = write(tmp_path / "good.wav", tone(3))
    name = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    try:
        shutil.copy(good, name)
    except OSError:
        pytest.skip("this system has no such names")
    chosen = choose(tmp_path, 2.0, None, print)
    assert not chosen.left_out and len(chosen.tracks) == 2


def test_a_description_wins_over_the_option_and_the_option_over_the_estimate(tmp_path: Path) -> None:
    folder = tmp_path / "songs"
    write(folder / "one" / "a.wav", tone(3))
    (folder / "one" / "track.json").write_text('{"bpm": 97}')
    write(folder / "b.wav", tone(3))
    assert [track.bpm for track in choose(folder, 2.0, None, print).tracks] == [0.0, 97.0]
    chosen = choose(folder, 2.0, 128.0, print)
    assert [track.bpm for track in chosen.tracks] == [128.0, 97.0]
    tempi = [described_tempo(name) for name in lay_out(chosen, tmp_path / "tracks")]
    assert tempi == [(128.0, False), (97.0, False)], "training finds them beside the links"
    (folder / "one" / "track.json").write_text('{"bpm": "fast"}')
    assert 'write {"bpm": 120}' in dict(choose(folder, 2.0, None, print).left_out)["one/a.wav"]


def test_stems_are_trained_as_stems(tmp_path: Path) -> None:
    stem = write(tmp_path / "song" / "bass.wav", tone(3))
    write(tmp_path / "loose.wav", tone(3))
    (stem.parent / "track.json").write_text('{"bpm": 90, "stems": [{"file": "bass.wav", "part": "bass"}]}')
    chosen = choose(tmp_path, 2.0, None, print)
    assert chosen.stems and chosen.stereo and [t.path.name for t in chosen.tracks] == ["song"]
    assert [name for name, _ in chosen.left_out] == ["loose.wav"]


# Bars


def beaten(tokens: int, beat: float, first: int = 0, seed: int = 0) -> torch.Tensor:
    """Latents `[tokens, CHANNELS]` with four beats a bar, every bar alike but for some noise."""
    rng = torch.Generator().manual_seed(seed)
    latents = 0.1 * torch.randn(tokens, CHANNELS, generator=rng)
    shapes = torch.randn(4, CHANNELS, generator=rng).abs() + 0.5
    for number in range(int((tokens - first) / beat)):
        place = round(first + number * beat)
        fall = torch.exp(-torch.arange(min(20, tokens - place)) / 5.0)
        latents[place : place + 20] += fall[:, None] * shapes[number % 4]
    return latents


def moving() -> torch.Tensor:
    """Four parts of one tempo, each a quarter or half a beat away from the others."""
    places = (0, 21, 11, 32)  # of the beat of 43 tokens
    return torch.cat([beaten(700, 43.0, (at - 700 * n) % 43, seed=n) for n, at in enumerate(places)])


def test_the_bar_of_a_steady_track_is_found_with_its_first_beat() -> None:
    bar = estimated_bar(beaten(4000, 43.07, first=17), RATE)
    assert bar.clocked and bar.tokens == pytest.approx(4 * 43.07, abs=0.05)
    assert min(abs(bar.first - 17), abs(bar.first - 17 - 43)) <= 2
    told = estimated_bar(beaten(4000, 43.07, first=17), RATE, bpm=60 * RATE / 43.07)
    assert told.tokens == pytest.approx(4 * 43.07, abs=0.05)


def test_a_track_whose_beat_moves_gives_echoes_a_bar_and_the_clock_nothing() -> None:
    bar = estimated_bar(moving(), RATE)
    assert bar.tokens > 0 and not bar.clocked
    short = estimated_bar(beaten(1000, 43.0), RATE)
    assert short.tokens > 0 and not short.clocked


def clips_of(*latents: torch.Tensor) -> Clips:
    lengths = tuple(len(one) for one in latents)
    starts = tuple(int(n) for n in np.cumsum((0, *lengths[:-1])))
    names = tuple(f"/nowhere/{n}.wav" for n in range(len(latents)))
    return Clips(torch.cat(latents).numpy(), starts, lengths, names)


def test_bars_are_estimated_once_and_reach_the_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = clips_of(beaten(4000, 43.07, first=17), moving())
    found = with_bars(clips, RATE, tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "bars.json"]
    steady, other = found.bars
    assert steady == pytest.approx(172.28, abs=0.1) and other < 0
    assert found.starts[0] > 0 and found.lengths[0] == 4000 - found.starts[0] and found.starts[1] == 4000
    whole = with_bars(clips, RATE, tmp_path, shortest=4000)
    assert whole.starts == clips.starts and whole.bars[0] < 0, "no token may be lost, so no clock"
    monkeypatch.setattr("jbdiff.train.latents.bars.estimated_bar", lambda *_: pytest.fail("estimated again"))
    assert with_bars(clips, RATE, tmp_path).bars == found.bars
    batch = LatentBatches(found.only([1]), 2, 400, 0, 0, 1)[0]
    echo = echo_of(batch.latents, batch.bars[:, 1], 16)
    assert float(echo.known.min()) >= 0 and bool(echo.known[:, 0].all()), "a negative bar has echoes too"
    with pytest.raises(pytest.fail.Exception, match="estimated again"):
        found_bars(clips_of(beaten(4000, 43.07, first=17, seed=1)), RATE, tmp_path)


def test_stems_have_the_bars_that_are_written_down(tmp_path: Path) -> None:
    for name, facts in (("fast", '{"bpm": 120}'), ("free", "{}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "track.json").write_text(facts)
    names = (f"{tmp_path}/fast mix 0", f"{tmp_path}/fast mix 1", f"{tmp_path}/free mix 0")
    clips = Clips(np.zeros((3, CHANNELS)), (0, 1, 2), (1, 1, 1), names)
    # A bar of four beats at 120 a minute is two seconds.
    assert with_bars(clips, 86.0, tmp_path).bars == (172.0, 172.0, 0.0)


# The whole


def plays(name: str) -> None:
    stack = load_stack(name)
    stream = BlockStream(stack, finisher=True)
    for _ in range(2):
        audio = stream.step(BlockSettings()).audio
        assert audio.shape[1] == 2 and torch.isfinite(audio).all()


def test_a_folder_becomes_a_stack_that_the_picker_shows(home: Path, songs: Path) -> None:
    said = train("own", songs, "--minutes", "0.001", "--stack", "toy", "--accelerator", "cpu")
    assert "left out: click.wav" in said and str(home / "own-training" / "My-Songs" / "denoiser") in said
    assert "jbdiff evaluate --stack My-Songs --music" in said
    assert "My-Songs" in known_stacks() and "own-training" not in known_stacks()
    plays("My-Songs")
    before, after = load_stack("toy"), load_stack("My-Songs")
    assert after.denoisers[2].config.echo_channels and after.few and after.finisher is not None
    assert not torch.equal(next(before.finisher.parameters()), next(after.finisher.parameters())), (
        "stereo tracks train the finisher"
    )
    page = (home / "My-Songs" / "training.md").read_text()
    for words in ("summer mix 2.wav", "held out", "silence.wav", "without echoes", "--music", "student"):
        assert words in page, page
    demos = home / "own-training" / "My-Songs" / "denoiser" / "demos"
    assert list(demos.glob("*.wav")) and not (demos.parent.parent / "cache").exists()
    # The same again says that all is done; another folder of this name is refused.
    again = train("own", songs, "--minutes", "0.001", "--stack", "toy")
    assert "is finished" in again
    other = songs.parent / "other"
    write(other / "a.wav", tone(4))
    said = refused(other, "--minutes", 1, "--stack", "toy", "--name", "My-Songs")
    assert "taken" in said and "--overwrite" in said and "--name" in said


def test_a_training_that_was_broken_off_goes_on(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mono"
    for number in range(3):
        write(folder / f"{number}.wav", tone(4, 1, 200 + 50 * number))
    words = (
        "own",
        folder,
        "--minutes",
        "0.001",
        "--stack",
        "toy",
        "--accelerator",
        "cpu",
        "--demo-minutes",
        "inf",
    )
    real, begun = own.train_distil, []

    def interrupted(settings: RunSettings, *rest: object) -> None:
        begun.append(settings)
        if len(begun) == 1:
            raise KeyboardInterrupt
        real(settings, *rest)

    trained: list[RunSettings] = []
    first = own.train_denoiser
    monkeypatch.setattr(own, "train_distil", interrupted)
    monkeypatch.setattr(own, "train_denoiser", lambda s, *rest: (trained.append(s), first(s, *rest)))
    done = CliRunner().invoke(app, [str(word) for word in (*words, "--resume")])
    assert done.exit_code == 1 and "leave --resume out" in done.output
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code != 0 and "the same command goes on" in done.output
    work = home / "own-training" / "mono"
    progress = json.loads((work / "own.json").read_text())
    assert progress["done"] == ["denoiser"] and progress["used"] > 0
    assert "mono" not in known_stacks()
    said = train(*words, "--resume")
    assert len(trained) == 1, "what was done stays done"
    assert begun[1].minutes == begun[0].minutes, "the student keeps the time that it was given"
    assert "finisher stays as it is" in said and not (work / "finisher").exists()
    old, new = load_stack("toy").finisher, load_stack("mono").finisher
    for mine, theirs in zip(new.parameters(), old.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_minutes_of_a_broken_off_run_count(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(
        '{"minutes": 1.0}\n{"minutes": 4.5}\n{"minutes": 0.5}\n{"minutes": 2.0}\n{"minu'
    )
    assert spent_minutes(tmp_path) == 6.5 and spent_minutes(tmp_path / "none") == 0
    budget = RunSettings(tmp_path, minutes=13.0, minutes_before=6.5).budget()
    assert budget.progress(0) >= 0.5


def test_time_is_shared_out_over_the_stages(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = own.OwnJob(tmp_path, 100.0, "x", "toy")
    work = tmp_path / "work"
    work.mkdir()
    progress = own.Progress(str(tmp_path), "toy", 100.0, stages=list(own.SHARES))
    training = own.OwnTraining(job, load_stack("toy"), work, progress, print)
    used = 10.0
    monkeypatch.setattr(training, "used", lambda: used)
    assert training.planned("denoiser") == pytest.approx(63), "reading the tracks took ten minutes"
    progress.done.append("denoiser")
    used = 70.0
    assert training.planned("student") == pytest.approx(20)
    assert training.planned("denoiser") == pytest.approx(63), "a plan stays"
    progress.done.append("student")
    used = 120.0
    assert training.planned("finisher") == pytest.approx(2), "a stage is never left out"


def test_what_cannot_be_done_names_the_remedy(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, short = tmp_path / "empty", tmp_path / "short"
    empty.mkdir()
    write(short / "click.wav", tone(0.2))
    base = ("--minutes", 1, "--stack", "toy")
    assert "put WAV, FLAC" in refused(empty, *base)
    said = refused(short, *base)
    assert "click.wav: too short" in said and "add tracks of at least" in said
    assert "no folder" in refused(tmp_path / "missing", *base)
    monkeypatch.chdir(empty)
    for nothing in ("", " "):
        done = CliRunner().invoke(app, ["own", nothing, "--minutes", "1", "--stack", "toy"])
        assert done.exit_code == 2 and "the path is empty" in done.output, done.output
    (loop := tmp_path / "loop").symlink_to(loop)
    assert "no folder" in refused(loop, *base)
    assert "--hours or --minutes" in refused(short, "--stack", "toy")
    assert "such as 'a-b'" in refused(short, *base, "--name", "a/b")
    assert "ships" in refused(short, *base, "--name", "pocket")
    assert "starts from" in refused(short, *base, "--name", "toy", "--overwrite")
    with alone(home / "own-training", ".short.lock"):
        assert "another training writes into" in (said := refused(short, *base)) and "another --name" in said
    file = tmp_path / "file"
    file.write_text("no folder")
    monkeypatch.setenv("JBDIFF_HOME", str(file))
    assert "JBDIFF_HOME" in refused(short, "--minutes", 1)


def test_names_are_made_safe(tmp_path: Path) -> None:
    assert safe_name(Path("/x/Été à la mer!"), None) == "Ete-a-la-mer"
    assert safe_name(Path("/x/音楽"), None) == "own" and safe_name(Path("/x"), "v1.2_b") == "v1.2_b"
    with pytest.raises(ValueError, match="such as"):
        safe_name(tmp_path, "own-training")
