"""A take renders again: bit for bit, better, from any block, with edits, and on after a kill."""

from __future__ import annotations

import codecs
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
import torch
from replay_rig import RATE, Recorded, again, blocks_of, engine
from small_stacks import SMALL, write_small_stack
from typer.testing import CliRunner

from jbdiff_live.block import Rung
from jbdiff_live.parameters import Origin
from jbdiff_live.record.again.sounds import LiveTrack
from jbdiff_live.record.events import ActionEvent, BlockEvent, ChangeEvent, JumpEvent, PlaceEvent, StackEvent
from jbdiff_live.record.take import Take, open_take
from jbdiff_live.replay import render
from jbdiff_live.replay.edits import apply_edits, read_edits
from jbdiff_live.replay.log import read_log
from jbdiff_live.replay.options import ReplayError, ReplayOptions
from jbdiff_live.replay.render import Replayed, replay
from jbdiff_live.stack_choice import StackChoice
from jbdiff_live.start.command import app

BLOCKS = 34


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_stack(tmp_path_factory.mktemp("stacks") / "small")


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory, stack: Path) -> Take:
    """Everything at once: knobs, presses, sounds, live input, rungs, jumps, stacks with other lengths, a panic."""
    torch.set_num_threads(1)
    small = StackChoice(str(stack), (2,), hop=64)
    rig = Recorded(small, tmp_path_factory.mktemp("takes"))
    rig.give("context", 1)
    rig.set(finisher_strength=0.95, noise_step=0.4, guidance=1.8)
    rig.rungs = {4: Rung.FEWER_STEPS, 6: Rung.REPEAT, 30: Rung.LOOP}

    def turn(on: bool) -> None:
        rig.turning = on

    script = {
        2: lambda: (turn(True), rig.set(gain=-6.0)),
        3: lambda: rig.store.trigger("reroll", Origin.MIDI),
        4: lambda: turn(False),
        5: lambda: (rig.give("init", 3), rig.set(init_source=1.0, resample=0.4, file_length=1, file_dry=-6.0)),
        6: lambda: rig.set(file_start=1),
        7: lambda: rig.set(context_source=2.0, listen=0.6, init_source=0.0),
        8: lambda: rig.past.ask(4),
        10: lambda: rig.set(seed=9, context_source=0.0),
        12: lambda: rig.past.ask(3),
        16: lambda: rig.change_stack(replace(small, hop=None, levels=(2, 1), finisher=False)),
        19: lambda: (rig.give("context", 4), rig.store.trigger("reset_context", Origin.UI)),
        21: lambda: rig.change_stack(replace(small, levels=(2, 1), hop=32, finisher=False)),
        26: lambda: rig.store.trigger("panic", Origin.KEY),
        31: lambda: rig.set(seed=11),
    }  # fmt: skip
    return rig.recorded(BLOCKS, script)


def of(take: Take, kind: type) -> list[object]:
    return [event for event in take.events() if isinstance(event, kind)]


def line_of(take: Take, name: str, value: float) -> int:
    """The line of a change in the log."""
    return next(
        number
        for number, event in enumerate(take.events(), 1)
        if isinstance(event, ChangeEvent) and (event.name, event.value) == (name, value)
    )


def edits(folder: Path, text: str) -> Path:
    path = folder / "edits.toml"
    path.write_text(f"format = 1\n{text}")
    return path


def test_the_take_of_these_tests_has_everything_in_it(take: Take) -> None:
    blocks = blocks_of(take)
    assert len(blocks) == BLOCKS and len({block.frames for block in blocks if block.rung != "repeat"}) == 3
    assert {block.rung for block in blocks} == {"full", "fewer_steps", "repeat", "loop"}
    assert any(block.turned for block in blocks) and any(block.again is not None for block in blocks)
    assert sum(block.resumes is not None for block in blocks) == 1
    assert [block.index for block in blocks if block.anew] == [0, 26]
    given = [block.given for block in blocks if block.given is not None]
    assert any(each.began for each in given) and any(each.init for each in given)
    assert any(each.live for each in given) and any(each.old for each in given)
    assert any(block.files and block.values["file_dry"] > -60 for block in blocks)
    kinds = [type(event) for event in take.events()]
    assert kinds.count(StackEvent) == 2 and kinds.count(JumpEvent) == 2


@pytest.fixture(scope="module")
def replayed(take: Take, tmp_path_factory: pytest.TempPathFactory) -> tuple[Replayed, Take]:
    """The take once more."""
    return again(take, tmp_path_factory.mktemp("replayed") / "again")


def test_a_replay_is_the_take_bit_for_bit(take: Take, replayed: tuple[Replayed, Take]) -> None:
    done, made = replayed
    assert done.exact and not done.notes
    assert np.abs(engine(take)).max() > 0.01
    assert np.array_equal(engine(made), engine(take))

    def facts(block: BlockEvent) -> object:
        given = block.given and msgspec.structs.replace(block.given, live=[])
        return msgspec.structs.replace(block, given=given)

    assert list(map(facts, blocks_of(made))) == list(map(facts, blocks_of(take)))
    for kind in (StackEvent, JumpEvent, ChangeEvent, ActionEvent):
        assert of(made, kind) == of(take, kind)
    assert made.info.details["replay"]["exact"] and made.info.closed_cleanly


def test_a_replay_is_a_take_like_any_other(
    take: Take, replayed: tuple[Replayed, Take], tmp_path: Path
) -> None:
    done, made = again(replayed[1], tmp_path / "twice", from_block=30)
    start = blocks_of(take)[30].start_frame
    assert done.exact and np.array_equal(engine(made), engine(take)[start:])


def test_what_was_heard_passes_the_same_output_stage(take: Take, replayed: tuple[Replayed, Take]) -> None:
    """Also over the jumps and the panic: the same sound is dropped at the same frame."""
    heard, found = take.read(), replayed[1].read()
    assert np.abs(heard).max() > 0.01 and np.array_equal(found, heard)
    assert of(replayed[1], PlaceEvent) == of(take, PlaceEvent)


@pytest.mark.parametrize("deed", ["value = 12", "shift = 0.1"])
def test_an_edited_event_changes_the_sound_from_there_on_only(take: Take, tmp_path: Path, deed: str) -> None:
    blocks = blocks_of(take)
    at = next(block for block in blocks if block.values["seed"] == 9.0)
    end = blocks[at.index + 2].start_frame
    path = edits(tmp_path, f"[[edit]]\nline = {line_of(take, 'seed', 9.0)}\n{deed}\n")
    done, made = again(take, tmp_path / "edited", edits=path, from_block=at.index - 1, to_seconds=end / RATE)
    start = made.info.start_frame
    sound, whole, edge = engine(made), engine(take)[start : end - 882], at.start_frame - start
    assert len(sound) == end - start and not done.exact and edge > 0
    assert np.array_equal(sound[:edge], whole[:edge])
    assert not np.array_equal(sound[edge : len(whole)], whole[edge:])


def test_a_killed_replay_goes_on_to_the_same_samples(
    take: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "STATE_SECONDS", 0.0)
    out, work = tmp_path / "again", tmp_path / "again.partial"

    class Killed(Exception):
        pass

    for most in (14, 28):

        def kill(done: int, of: int, left: float | None, most: int = most) -> None:
            if done >= most:
                raise Killed

        with pytest.raises(Killed):
            replay(take.folder, out, on_progress=kill)
        with (work / "sound.f32").open("ab") as sound:
            sound.write(b"half a blo")
        with (work / "blocks.jsonl").open("ab") as lines:
            lines.write(b'{"place": 3, "ind')
    with pytest.raises(ReplayError, match="other options"):
        replay(take.folder, out, ReplayOptions(steps=1))
    done, made = again(take, out)
    assert done.resumed_at > 20 and not work.exists()
    assert np.array_equal(engine(made), engine(take))


@pytest.mark.parametrize("fresh", [False, True])
def test_a_second_process_is_refused_and_harms_nothing(take: Take, tmp_path: Path, fresh: bool) -> None:
    """Both would append their blocks to the same raw sound."""
    out, work = tmp_path / "again", tmp_path / "again.partial"

    def second(done: int, of: int, left: float | None) -> None:
        if done == 3:
            before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
            with pytest.raises(ReplayError, match="another process replays a take into"):
                replay(take.folder, out, ReplayOptions(fresh=fresh))
            assert {path: path.read_bytes() for path in work.rglob("*") if path.is_file()} == before

    assert np.array_equal(
        engine(open_take(replay(take.folder, out, on_progress=second).folder)), engine(take)
    )
    assert not work.exists()


@pytest.mark.parametrize("index", [9, 28])
def test_from_any_block_it_is_the_tail(take: Take, tmp_path: Path, index: int) -> None:
    blocks = blocks_of(take)
    start, end = blocks[index].start_frame, blocks[index + 3].start_frame
    done, made = again(take, tmp_path / "tail", from_block=index, to_seconds=end / RATE)
    assert made.info.start_frame == start and done.exact
    sound, whole = engine(made), engine(take)[start:end]
    edges = [e.frame - start for e in take.events() if isinstance(e, JumpEvent) and start <= e.frame <= end]
    assert len(sound) == len(whole) and edges in ([], [0], [end - start])
    fades = 882 * (0 in edges), len(whole) - 882 * (end - start in edges)
    assert np.array_equal(sound[slice(*fades)], whole[slice(*fades)])


def test_a_part_of_a_take(take: Take, tmp_path: Path) -> None:
    seconds = blocks_of(take)[28].start_frame / RATE
    _, made = again(take, tmp_path / "part", from_seconds=seconds + 0.01, to_seconds=seconds + 0.2)
    start = made.info.start_frame
    assert start == blocks_of(take)[28].start_frame
    assert made.info.frames == pytest.approx(0.2 * RATE, abs=600)
    assert np.array_equal(engine(made), engine(take)[start : start + len(engine(made))])


def test_better_with_more_steps_other_parts_stems_and_another_rate(take: Take, tmp_path: Path) -> None:
    done, made = again(
        take, tmp_path / "better", steps=4, levels=(2, 1, 0), finisher="own", full=True, stems=True, rate=48_000,
        to_seconds=1.0,
    )  # fmt: skip
    assert not done.exact and "the options ask for another sound" in done.notes
    info = made.info
    assert (info.details["steps"], info.details["levels"], info.details["finisher"]) == (4, [2, 1, 0], True)
    assert {block.rung for block in blocks_of(made)} <= {"full", "fewer_steps", "repeat"}
    assert len(engine(made)) == RATE and not np.array_equal(engine(made), engine(take)[:RATE])
    other, rate = soundfile.read(made.folder / "rate-48000.wav")
    assert rate == 48_000 and abs(len(other) - len(made.read()) * 48_000 / RATE) < 3
    for level in (2, 1, 0):
        stem = soundfile.read(made.folder / f"level{level}.wav")[0]
        assert len(stem) == RATE and np.abs(stem).max() > 1e-3


def test_what_cannot_be_rendered_says_why(take: Take, tmp_path: Path, stack: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(take.folder, old)

    def refused(match: str, **options: object) -> None:
        with pytest.raises((ReplayError, ValueError, RuntimeError), match=match):
            again(open_take(old), tmp_path / "out", **options)

    refused("no block 99; the log has 0 to 33", from_block=99)
    refused("begin with 2, as in --levels 210", levels=(1, 0))
    refused("no stack 'nowhere'", stacks=(("", "nowhere"),))
    other = write_small_stack(tmp_path / "other", replace(SMALL, name="other"))
    refused("other weights", stacks=(("", str(other)),))
    (old / "events.jsonl").write_text((old / "events.jsonl").read_text() + "no event\n")
    refused("events.jsonl, line .*remove that line$")
    (old / "events.jsonl").write_text('{"event":"block","index":"four"}\n')
    refused("line 1: .*it is a block, .*render up to there with --to")
    lines = (take.folder / "events.jsonl").read_text().splitlines()
    for part, damage, words in (
        ('"rung":"full"', '"rung":"\\u001bfull"', "line 1: no amount of work is called '.full'; .*--to"),
        (
            '"init_source":0.0',
            '"init_source":-9e18',
            "line 1: init_source = -9e\\+18, and it goes from 0 to 2; .*--to",
        ),
        ('"cdcb7449b0f9ea04"', '"../../cdcb"', "'../../cdcb' is no name of a sound"),
    ):
        assert part in lines[0]
        (old / "events.jsonl").write_text("\n".join([lines[0].replace(part, damage), *lines[1:]]) + "\n")
        refused(words)
    (old / "events.jsonl").write_text(
        "\n".join([re.sub('"counts":{[^}]*}', '"counts":{}', lines[0]), *lines[1:]])
    )
    assert read_log(open_take(old)).blocks[0].snapshot.counts["reroll"] == 0
    shutil.copy(take.folder / "events.jsonl", old)
    for path in (old / "states").iterdir():
        path.write_bytes(b"")
    refused("remove it, and render from another block")
    shutil.rmtree(old / "states")
    blocks = [line for line in (old / "events.jsonl").read_text().splitlines() if '"index":0,' not in line]
    (old / "events.jsonl").write_text("\n".join(blocks) + "\n")
    refused("cannot be rendered again")
    info = json.loads((old / "take.json").read_text())
    shutil.copy(take.folder / "events.jsonl", old)  # it begins anew, and so it needs no states
    for changes, words in (
        ({"details": {**info["details"], "levels": 2}}, r"take.json: details, .*levels.*; correct it"),
        ({"start_frame": 2**40}, "take.json: it begins behind all blocks of the log; correct start_frame"),
    ):
        (old / "take.json").write_text(json.dumps({**info, **changes}))
        refused(words)
    (old / "take.json").write_text(json.dumps({**info, "format": 1}))
    refused("format 1")
    with pytest.raises(ReplayError, match="is there already"):
        replay(take.folder, tmp_path)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(ReplayError, match="is there already"):  # before hours of rendering, not behind them
        replay(take.folder, loop)
    for option in ("--from", "--to"):
        assert CliRunner().invoke(app, ["replay", str(take.folder), option, "inf"]).exit_code == 2
    done = CliRunner().invoke(app, ["replay", str(loop)])
    assert done.exit_code == 2 and "give the folder of a take" in done.output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[edit]]\nline = 1\nshift = 1.0\n", "line 1 of events.jsonl is no change"),
        ("[[edit]]\nvalue = 1\n", "give one of line, set or press"),
        ("[[edit]]\nline = 3\n", "give one of shift, value or delete"),
        ('[[edit]]\nset = "sede"\nvalue = 1\n', "did you mean 'seed'"),
        ('[[edit]]\nset = "seed"\nvalue = -1\n', "it goes from 0 to 16383"),
        ('[[edit]]\npress = "panic"\nat = 1.0\n', "no action 'panic' that a replay can press"),
        ('[[edit]]\nfoo = 1\n', "unknown field"),
        ("[[edit\n", "docs/takes.md has the format"),
        ("[[edit]]\nline = 3\nshift = inf\n", "edit 1: inf is no place in a take; give seconds"),
        ('[[edit]]\npress = "reroll"\nat = nan\n', "nan is no place"),
        ('[[edit]]\nset = "seed"\nvalue = 1\nfrom = -1e308\n', "is no place"),
        (f"[[edit]]\nline = {'9' * 5000}\n", "thousands of digits"),
        (f"[[edit]]\nset = {'[' * 5000}{']' * 5000}\n", "nested too deeply"),
    ],
)  # fmt: skip
def test_a_bad_edit_names_the_mistake(take: Take, tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ReplayError, match=words):
        again(take, tmp_path / "out", edits=edits(tmp_path, text))


def test_edits_are_read_as_an_editor_saves_them(tmp_path: Path) -> None:
    path = edits(tmp_path, '[[edit]]\nset = "seed"\nvalue = 1\n')
    plain = read_edits(path)
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    assert read_edits(path) == plain
    path.write_text(path.read_text(encoding="utf-8-sig"), encoding="utf-16")
    assert read_edits(path) == plain


def test_set_and_press_reach_the_blocks_of_their_time(take: Take, tmp_path: Path) -> None:
    log = read_log(take)
    late = log.blocks[29].start_frame
    text = (
        '[[edit]]\nset = "seed"\nwas = 1\nvalue = 3\nto = 0.5\n'
        f'[[edit]]\npress = "reroll"\nat = {late / RATE}\n'
        f'[[edit]]\nset = "noise_style"\nvalue = "random"\nfrom = {late / RATE}\n'
    )
    edited = apply_edits(log, read_edits(edits(tmp_path, text)))
    for old, new in zip(log.blocks, edited.blocks, strict=True):
        if new.event.again is None:
            knobs, before = new.snapshot, old.snapshot
            assert knobs["seed"] == (3.0 if old.start_frame < RATE // 2 else before["seed"])
            assert knobs["noise_style"] == (0.0 if old.start_frame >= late else before["noise_style"])
            assert knobs.counts["reroll"] - before.counts["reroll"] == (old.start_frame >= late)


def test_a_press_that_never_happened_is_missing_in_all_music_behind_it(take: Take, tmp_path: Path) -> None:
    """Music that a jump resumes from before the press never had it."""
    log = read_log(take)
    line = next(n for n, e in log.changes.items() if isinstance(e, ActionEvent) and e.name == "reroll")
    edited = apply_edits(log, read_edits(edits(tmp_path, f"[[edit]]\nline = {line}\ndelete = true\n")))
    found = [block.snapshot.counts["reroll"] for block in edited.blocks if block.event.again is None]
    assert set(found) == {0} and log.blocks[5].snapshot.counts["reroll"] == 1


def test_the_command_tells_other_programs_how_far_it_is(take: Take, tmp_path: Path) -> None:
    out = tmp_path / "made"
    command = ["replay", str(take.folder), "--out", str(out), "--to", "0.3", "--progress", "json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["done"] == 0 and lines[0]["seconds_left"] is None
    assert lines[-2]["done"] == lines[-2]["of"] and lines[-1]["folder"] == str(out)
    assert open_take(out).info.closed_cleanly and (out / "picture.png").exists()
    bad = CliRunner().invoke(app, command[:-2])
    assert bad.exit_code == 2 and "is there already" in bad.output
    assert len(bad.output.splitlines()) == 1, "no bar for a replay that does not begin"


def test_pieces_of_the_live_input_lie_once_on_the_disk_if_they_overlap(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    sound = dice.uniform(-1, 1, 5000).astype(np.float32)
    sound[:1000] = 0
    gate = np.ones(5000, np.float32)
    track = LiveTrack(tmp_path, RATE)
    places = [track.place((sound[at : at + 2000], gate[at : at + 2000])) for at in (0, 600, 1500, 900, 3000)]
    assert places == [(0, 2000), (600, 2000), (1500, 2000), (900, 2000), (3000, 2000)]
    gate[4000] = 0.5  # the same sound with another gate is another piece
    assert track.place((sound[3000:], gate[3000:])) == (5000, 2000)
    assert track.place(None) is None
    track.close()
    found = soundfile.read(tmp_path / "live.wav", dtype="float32")[0]
    assert len(found) == 7000 and np.array_equal(found[:5000, 0], sound)
    assert np.array_equal(found[5000:, 1], gate[3000:])
