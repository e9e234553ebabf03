"""Training in slices on a rented machine, rehearsed at toy size: packed, trained, taken up again, exported, played."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

pytest.importorskip("lightning")

from jbdiff.data.clips import AudioBatches, Clips
from jbdiff.data.stems import find_tracks
from jbdiff.remote import wheels
from jbdiff.remote.packing import known_tracks, pack_stems, spread
from jbdiff.remote.parcel import Room, join, load_state, read_parcel, slim, split, unfold, whole
from jbdiff.remote.runs import as_process, in_this_process
from jbdiff.remote.slices import DONE, FAILED, NO_TIME, STOPPED, table, take_slice
from jbdiff.remote.stages import Order
from jbdiff.stacks.stack import load_stack
from jbdiff.stream.stream import BlockSettings, BlockStream
from jbdiff.train.run.run import Batches

ROOT = Path(__file__).resolve().parent.parent.parent
RATE = 44_100


def script() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("gpu_train", str(ROOT / "scripts" / "gpu_train"))
    spec = importlib.util.spec_from_loader("gpu_train", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def call(*words: str | Path) -> None:
    script().main([str(word) for word in words])


def write_track(folder: Path, seed: int) -> None:
    """Two stems of two seconds: one the same on both sides, one not."""
    folder.mkdir(parents=True)
    time = np.arange(2 * RATE) / RATE
    tones = [0.4 * np.sin(2 * np.pi * hertz * time) for hertz in (110 + 20 * seed, 440 + 30 * seed, 660)]
    soundfile.write(folder / "bass.flac", np.stack([tones[0], tones[0]], 1), RATE)
    soundfile.write(folder / "pad.flac", np.stack([tones[1], tones[2]], 1), RATE)
    stems = [{"file": f"{part}.flac", "part": part, "gain": 0.3} for part in ("bass", "pad")]
    facts = {"seed": seed, "seconds": 2.0, "bpm": 120.0, "kicks": [0.0, 1.0], "stems": stems}
    (folder / "track.json").write_text(json.dumps(facts))


@pytest.fixture(scope="module")
def stems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collection")
    for seed in range(4):
        write_track(folder / f"track{seed}", seed)
    return folder


def test_two_slices_make_a_stack_that_plays(
    stems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed, first, second = tmp_path / "packed", tmp_path / "first", tmp_path / "second"
    pack = ["pack", "--data", stems, "--heldout", stems, "--out", packed, "--no-wheels", "--beside", "0"]
    call(*pack)
    toy = ["slice", "--packed", packed, "--accelerator", "cpu", "--toy", "--same-process", "--minutes", "5"]
    call(*toy, "--work", tmp_path / "runs1", "--out", first, "--steps", "2")
    parcel = read_parcel(first)
    assert set(parcel.stages) == {"codec", "denoiser", "finisher", "distill"}
    assert [row.outcome for row in parcel.history] == [DONE] * 4
    assert len(list(first.iterdir())) <= 8 and {path.name for path in first.iterdir()} >= {
        "slice.json",
        "codec.safetensors",
        "denoiser.safetensors",
        "finisher.safetensors",
        "distill.safetensors",
    }

    # Another machine: nothing is there but what was sent.
    call(*pack, "--state", first, "--full-state")
    again = ["--work", tmp_path / "runs2", "--out", second, "--steps", "4", "--stages", "codec,denoiser"]
    call(*toy, *again)
    parcel = read_parcel(second)
    rows = {row.stage: row for row in parcel.history if row.slice == 2}
    assert rows["denoiser"].step == 4 and rows["denoiser"].steps == 2  # it went on from its state
    assert "held-out" in table(parcel) and set(parcel.stages) == {"codec", "denoiser", "finisher", "distill"}
    before, after = (load_file(folder / "denoiser.safetensors") for folder in (first, second))
    assert any(not torch.equal(before[name], after[name]) for name in before)

    call("export", "--from", first, "--out", tmp_path / "whole", "--licence", "CC0-1.0")
    call("export", "--from", second, "--out", tmp_path / "mine", "--licence", "CC0-1.0")
    assert "stays out" in capsys.readouterr().out  # the student's teacher has moved on
    assert load_stack(tmp_path / "whole").config.level(2).few is not None
    stack = load_stack(tmp_path / "mine")
    assert stack.finisher is not None and stack.config.level(2).few is None
    stream = BlockStream(stack)
    audio = stream.step(BlockSettings(steps=2)).audio
    assert audio.shape == (1, 1, stream.block_frames) and audio.isfinite().all()
    # The same machine again: the runs in the working folder are newer than what was sent.
    call(*toy, *again[:5], "5", "--stages", "codec")
    assert read_parcel(second).slice == 3 and read_parcel(second).history[-1].steps == 1


def test_packing_takes_tracks_from_all_over_and_keeps_their_sound(stems: Path, tmp_path: Path) -> None:
    assert sorted(spread(225)) == list(range(225)) and sorted(spread(6, 4)) == list(range(6))
    tracks = known_tracks(stems)
    packed = pack_stems(tracks, tmp_path / "all", 1 << 24, 0.6, report=lambda _: None)
    assert set(packed.tracks) == {track.name for track in tracks}
    for track in find_tracks(tmp_path / "all"):
        bass, pad = (track.folder / stem.file for stem in track.stems)
        assert soundfile.info(bass).channels == 1 and soundfile.info(pad).channels == 2
        sound, original = soundfile.read(bass)[0], soundfile.read(stems / track.name / "bass.flac")[0][:, 0]
        assert len(sound) == len(original) and np.abs(sound - original).max() < 0.05
    room = packed.bytes * 2 // 3
    some = pack_stems(tracks, tmp_path / "some", room, 0.6, report=lambda _: None)
    assert 0 < len(some.tracks) < 4 and some.bytes <= room
    following = pack_stems(tracks, tmp_path / "next", room, 0.6, len(some.tracks), report=lambda _: None)
    assert set(following.tracks) - set(some.tracks)
    with pytest.raises(ValueError, match="give a higher --size"):
        pack_stems(tracks, tmp_path / "none", 100, 0.6, report=lambda _: None)


def test_a_state_comes_back_in_parts_and_a_damaged_part_is_told(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(bytes(range(256)) * 40)
    (tmp_path / "parts").mkdir()
    parts = split(path, tmp_path / "parts", "codec.last.ckpt", 4096)
    assert [part.file for part in parts] == [f"codec.last.ckpt.{number:03}" for number in range(3)]
    join(tmp_path / "parts", parts, tmp_path / "joined")
    assert (tmp_path / "joined").read_bytes() == path.read_bytes()
    (tmp_path / "parts" / parts[1].file).write_bytes(b"no")
    with pytest.raises(ValueError, match=r"codec\.last\.ckpt\.001 is not what was sent"):
        join(tmp_path / "parts", parts, tmp_path / "broken")
    assert not (tmp_path / "broken").exists()


def test_a_slim_state_holds_the_moments_and_takes_the_average_from_the_weights(tmp_path: Path) -> None:
    network = torch.nn.Linear(8, 8)
    optimizer = torch.optim.AdamW(network.parameters())
    for _ in range(3):
        network(torch.ones(1, 8)).square().sum().backward()
        optimizer.step()
    own = {f"network.{name}": value.detach() for name, value in network.state_dict().items()}
    average = {f"average.network.{name[8:]}": value * 0.5 for name, value in own.items()}
    state = {"state_dict": own | average, "optimizer_states": [optimizer.state_dict()], "step_count": 3}
    torch.save(slim(state | {"rollouts": own}), tmp_path / "slim")
    weights = {name[16:]: value.half() for name, value in average.items()}
    back = whole(load_state(tmp_path / "slim"), weights)
    assert back["state_dict"].keys() == state["state_dict"].keys() and back["step_count"] == 3
    for name, value in own.items():
        torch.testing.assert_close(back["state_dict"][name].float(), value, rtol=1e-3, atol=1e-6)
    other = torch.optim.AdamW(torch.nn.Linear(8, 8).parameters())
    other.load_state_dict(back["optimizer_states"][0])
    for one, moments in zip(optimizer.state.values(), other.state.values(), strict=True):
        assert one["step"] == moments["step"] and moments["exp_avg_sq"].dtype == torch.float32
        torch.testing.assert_close(moments["exp_avg_sq"], one["exp_avg_sq"], rtol=1e-2, atol=0)


class Machine:
    """A clock that stages move on, and stages that end as they are told to."""

    def __init__(self, *outcomes: tuple[str, float]) -> None:
        self.now, self.outcomes = 0.0, list(outcomes)
        self.calls: list[tuple[Sequence[str], float, float]] = []

    def run(self, words: Sequence[str], seconds: float, limit: float, log: Path) -> str:
        self.calls.append((words, seconds, limit))
        log.write_text("said\n")
        outcome, over = self.outcomes.pop(0)
        self.now += limit if outcome == STOPPED else seconds + over
        return outcome


def test_stages_share_the_time_and_never_pass_its_end(stems: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for track in ("track0", "track1"):
        (tmp_path / "data" / track).symlink_to(stems / track)
    order = Order(tmp_path, tmp_path / "runs", tmp_path / "out", 9.0, accelerator="cpu", toy=True, workers=2)
    machine = Machine((FAILED, -50.0), (DONE, 9.0), (STOPPED, 0.0), (DONE, 0.0), (DONE, 0.0))
    told: list[str] = []
    parcel = take_slice(order, machine.run, lambda: machine.now, told.append)
    assert [row.outcome for row in parcel.history] == [DONE, STOPPED, DONE, DONE]
    workers = [words[words.index("--workers") + 1] for words, _, _ in machine.calls]
    assert workers == ["2", "0", "0", "0", "0"] and any("without workers" in line for line in told)
    assert 500 < machine.now <= 9 * 60 - 25
    assert all(seconds <= limit for _, seconds, limit in machine.calls)

    late = Machine((DONE, 0.0), (STOPPED, 0.0), (DONE, 0.0))
    short = replace(order, work=tmp_path / "short", minutes=0.6, toy=False, stages=("codec",))
    parcel = take_slice(short, late.run, lambda: late.now, told.append)
    assert parcel.history[0].outcome in (DONE, NO_TIME)


def test_what_is_not_there_is_told_with_the_remedy(stems: Path, tmp_path: Path) -> None:
    order = Order(tmp_path, tmp_path / "runs", tmp_path / "out", 1.0, accelerator="cpu", toy=True)
    with pytest.raises(ValueError, match="gpu_train pack"):
        take_slice(order, Machine().run)
    with pytest.raises(SystemExit, match="docs/data"):
        call("pack", "--data", tmp_path, "--no-wheels", "--out", tmp_path / "packed")
    with pytest.raises(SystemExit, match="no trained stage"):
        call("export", "--from", tmp_path, "--out", tmp_path / "stack")
    assert unfold(tmp_path, tmp_path / "runs").slice == 0 and Room().files == 8


def test_a_process_is_ended_at_its_limit_and_a_mistake_is_in_the_log(tmp_path: Path) -> None:
    assert as_process(["codec"], 0.0, 0.0, tmp_path / "log") == STOPPED
    assert in_this_process(["codec", "--nonsense"], 1.0, 1.0, tmp_path / "log") == FAILED
    assert "--nonsense" in (tmp_path / "log").read_text()


def test_wheels_fill_in_what_is_missing_and_fits(tmp_path: Path) -> None:
    assert {"lightning", "soundfile", "cffi", "msgspec"} <= wheels.closure(wheels.ROOTS, "3.12").keys()
    assert not {"torch", "numpy"} & wheels.closure(wheels.ROOTS, "3.12").keys()
    for name in ("nowhere_known-1-py3-none-any", "nowhere_bound-1-cp39-cp39-manylinux2014_x86_64"):
        with zipfile.ZipFile(tmp_path / f"{name}.whl", "w") as archive:
            archive.writestr(f"{name.split('-')[0]}/__init__.py", "")
    known, bound = sorted(tmp_path.glob("*.whl"), reverse=True)
    assert wheels.unpack_missing([known], tmp_path / "site") == ["nowhere-known"]
    assert (tmp_path / "site" / "nowhere_known" / "__init__.py").is_file()
    with pytest.raises(ValueError, match="pack again with --python"):
        wheels.unpack_missing([bound], tmp_path / "site")
    abi = Path("x-1-cp310-abi3-manylinux_2_17_x86_64.whl"), Path("x-1-cp313-abi3-any.whl")
    assert wheels.fits(abi[0].with_name("x-1-cp310-abi3-any.whl"), (3, 12)) and not wheels.fits(
        abi[1], (3, 12)
    )


@pytest.mark.skipif(sys.platform == "win32", reason="workers are forked")
def test_workers_draw_the_batches_that_the_run_itself_would() -> None:
    sound = (np.random.default_rng(0).standard_normal(40_000) * 3000).astype(np.int16)
    clips = Clips(sound, (0,), (len(sound),), ("noise",))

    class Told:
        global_rank = 0
        step_count = 3

    def drawn(workers: int) -> list[torch.Tensor]:
        batches = Batches(
            lambda first, count: AudioBatches(clips, 2, 512, 7, first, count), lambda *_: clips, 4, 1
        )
        batches.workers, batches.trainer = workers, Told()  # type: ignore[assignment]
        Told.lightning_module = type(
            "Module", (), {"step_count": 3, "budget": type("B", (), {"steps": None})}
        )  # type: ignore[attr-defined]
        return list(batches.train_dataloader())

    for own, theirs in zip(drawn(0), drawn(2), strict=True):
        assert torch.equal(own, theirs)
