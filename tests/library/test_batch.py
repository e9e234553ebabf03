"""`jbdiff render` makes what is not done, keeps what is, and never replaces a file of somebody else."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile
from batch_rig import HerePool, run, sounds, ten, write_list
from small_stacks import SMALL, write_small_stack
from typer.testing import CliRunner

from jbdiff.batch import places, takes
from jbdiff.batch.command import BatchJob, run_batch, usual_pool
from jbdiff.batch.journal import Journal
from jbdiff.batch.listing import read_list
from jbdiff.batch.pool import Died
from jbdiff.batch.request import BatchError, Outcome, Request
from jbdiff.cli import app
from jbdiff.sample_command import SampleError, SampleJob, render_job
from jbdiff.terminal import plain_console

TWO = '[[piece]]\nname = "a"\n[[piece]]\nname = "b"\nseed = 1\n'


def test_a_list_makes_the_samples_of_jbdiff_sample(tmp_path: Path) -> None:
    done = run(ten(tmp_path))
    assert (done.summary.made, done.summary.failures) == (10, [])
    stack = ("--stack", str(tmp_path / "small"), "--seconds", "0.5", "--no-finisher")
    before = ("--init", str(tmp_path / "before.wav"), "--resample", "0.4")
    for name, options in {
        "p3": ("--seed", "3", "--steps", "1", "--levels", "2"),
        "walk": ("--step", "0.8", "--steps", "1", "--levels", "2"),
        "finer": ("--levels", "21", "--steps", "1", "--set", "level1.steps=1"),
        "again": ("--steps", "2", "--levels", "2", *before),
    }.items():
        out = tmp_path / "alone.wav"
        result = CliRunner().invoke(app, ["sample", *stack, *options, "--out", str(out), "--overwrite"])
        assert result.exit_code == 0, result.output
        assert out.read_bytes() == (tmp_path / f"{name}.wav").read_bytes(), name
    assert (tmp_path / "finer-level1.wav").is_file() and (tmp_path / "wide.flac").is_file()
    assert not (tmp_path / "night.rendering").exists()


def test_what_is_done_is_not_made_again(tmp_path: Path) -> None:
    path = write_list(tmp_path, TWO)
    assert run(path).pool.made == ["a.wav", "b.wav"]
    again = run(path)
    assert again.pool.made == [] and again.summary.lines() == ["0 made, 2 done before, 0 failed"]


def test_a_changed_request_is_made_anew_and_only_that(tmp_path: Path) -> None:
    path = write_list(tmp_path, TWO)
    run(path)
    before = sounds(tmp_path)
    path.write_text(path.read_text().replace("seed = 1", "seed = 2"))
    assert run(path).pool.made == ["b.wav"]
    after = sounds(tmp_path)
    assert after["a.wav"] == before["a.wav"] and after["b.wav"] != before["b.wav"]


def test_other_weights_are_another_request(tmp_path: Path) -> None:
    path = write_list(tmp_path, TWO)
    run(path)
    write_small_stack(tmp_path / "small", dataclasses.replace(SMALL, name="another"))
    assert run(path).pool.made == ["a.wav", "b.wav"]


def test_a_removed_sound_is_made_again(tmp_path: Path) -> None:
    path = write_list(tmp_path, TWO)
    run(path)
    first = sounds(tmp_path)
    (tmp_path / "a.wav").unlink()
    assert run(path).pool.made == ["a.wav"] and sounds(tmp_path) == first


@pytest.mark.parametrize("whose", ["foreign", "edited"])
def test_a_file_of_somebody_else_is_replaced_only_on_request(tmp_path: Path, whose: str) -> None:
    path = write_list(tmp_path, TWO)
    if whose == "edited":
        run(path)
    (tmp_path / "b.wav").write_text("my own")
    (tmp_path / "a.wav").unlink(missing_ok=True)
    with pytest.raises(BatchError, match=r"b\.wav is there already.*--overwrite"):
        run(path)
    assert (tmp_path / "b.wav").read_text() == "my own" and not (tmp_path / "a.wav").exists()
    assert run(path, overwrite=True).summary.made == 2
    assert soundfile.info(tmp_path / "b.wav").frames == 22_050


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = write_list(tmp_path, TWO)
    pool = HerePool(before=lambda request: (tmp_path / "a.wav").write_text("my own"))
    ((name, reason),) = run(path, pool).summary.failures
    assert name == "a.wav" and "--overwrite" in reason
    assert (tmp_path / "a.wav").read_text() == "my own" and (tmp_path / "b.wav").is_file()


def test_a_piece_that_fails_does_not_end_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_list(tmp_path, '[[piece]]\nname = "bad"\nseed = 5\n' + TWO)

    def render(job: SampleJob, *rest: Any) -> Any:
        if "bad" in job.out.name:
            raise SampleError("the sound has no end")
        return render_job(job, *rest)

    monkeypatch.setattr("jbdiff.batch.work.render_job", render)
    done = run(path)
    assert done.summary.made == 2 and "bad.wav: failed: the sound has no end" in done.output
    assert done.summary.lines()[1].startswith("failed: bad.wav: the sound has no end")
    again = run(path)
    assert again.pool.made == ["bad.wav"] and again.summary.there == 2


def test_a_fault_of_ours_ends_one_piece_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jbdiff.batch.work.render_job", lambda *_: {}["missing"])
    done = run(write_list(tmp_path, TWO))
    assert len(done.summary.failures) == 2 and "KeyError('missing')" in done.output


@pytest.mark.parametrize("moved", [0, 1])
@pytest.mark.parametrize("changed", [False, True])
def test_a_batch_killed_while_it_moves_files_finishes_the_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: int, changed: bool
) -> None:
    path = write_list(tmp_path, '[[piece]]\nname = "a"\nstems = true\n')
    if changed:  # the places hold an earlier version then
        run(path)
        path.write_text(path.read_text() + "seed = 4\n")
    plain, moves = places._move, []

    def killed(source: Path, target: Path) -> None:
        if len(moves) == moved:
            raise KeyboardInterrupt
        moves.append(target)
        plain(source, target)

    monkeypatch.setattr(places, "_move", killed)
    with pytest.raises(BatchError, match="the same command goes on"):
        run(path)
    monkeypatch.setattr(places, "_move", plain)
    again = run(path)
    assert again.pool.made == [] and again.summary.there == 1
    assert sorted(sounds(tmp_path)) == ["a-level2.wav", "a.wav"]
    assert not (tmp_path / "night.rendering").exists()


def test_an_interrupted_piece_goes_on_and_a_changed_one_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '[[piece]]\nname = "a"\nseconds = 2\n'
    path = write_list(tmp_path, text)
    run(path)
    whole = sounds(tmp_path)
    for left_behind in tmp_path.glob("night.rendered*"):
        left_behind.unlink()
    (tmp_path / "a.wav").unlink()

    from jbdiff.render import render

    plain = render._replace

    def stopped(target: Path, content: bytes) -> None:
        plain(target, content)
        if target.name == "state":
            raise KeyboardInterrupt

    monkeypatch.setattr(render, "_replace", stopped)
    with pytest.raises(BatchError, match="stopped, 1 are left; the same command goes on from here"):
        run(path)
    assert not (tmp_path / "a.wav").exists()
    monkeypatch.setattr(render, "_replace", plain)
    path.write_text(path.read_text() + "seed = 9\n")
    assert "went on" not in run(path).output
    (tmp_path / "a.wav").unlink()
    monkeypatch.setattr(render, "_replace", stopped)
    write_list(tmp_path, text)
    with pytest.raises(BatchError):
        run(path)
    monkeypatch.setattr(render, "_replace", plain)
    assert "went on after block 1" in run(path).output
    assert sounds(tmp_path) == whole


def test_half_a_line_at_the_end_of_the_record_costs_one_piece(tmp_path: Path) -> None:
    path = write_list(tmp_path, TWO)
    run(path)
    record = tmp_path / "night.rendered.jsonl"
    record.write_bytes(record.read_bytes()[:-20])
    with pytest.raises(BatchError, match=r"b\.wav is there already"):  # nobody knows now whose it is
        run(path)
    (tmp_path / "b.wav").unlink()
    assert run(path).pool.made == ["b.wav"]
    assert run(path).pool.made == []


def test_the_record_says_what_made_a_piece(tmp_path: Path) -> None:
    path = write_list(tmp_path, TWO)
    run(path)
    head, first, _ = [
        json.loads(line) for line in (tmp_path / "night.rendered.jsonl").read_text().splitlines()
    ]
    assert head == {"program": "jbdiff render", "format": 1}
    piece = read_list(path).requests[0]
    assert (first["made"], first["request"], first["stack"]) == ("a.wav", piece.digest, piece.identity)
    assert first["threads"] == 1 and first["machine"]["torch"] and list(first["files"]) == ["a.wav"]


@pytest.mark.parametrize("content", ["mine\n", '{"program": "jbdiff render", "format": 7}\n'])
def test_a_record_that_is_not_ours_is_left_alone(tmp_path: Path, content: str) -> None:
    path = write_list(tmp_path, TWO)
    (tmp_path / "night.rendered.jsonl").write_text(content)
    with pytest.raises(BatchError, match="move"):
        run(path)
    assert (tmp_path / "night.rendered.jsonl").read_text() == content


@pytest.mark.skipif(sys.platform == "win32", reason="one process may lock a file twice there")
def test_two_commands_do_not_work_at_one_list(tmp_path: Path) -> None:
    path = write_list(tmp_path, TWO)
    held = Journal(tmp_path / "night.rendered.jsonl")
    try:
        with pytest.raises(BatchError, match="another command renders this list"):
            run(path)
    finally:
        held.close()
    assert run(path).summary.made == 2


@dataclasses.dataclass
class DyingPool(HerePool):
    """Each request's process dies so many times before it is made."""

    deaths: int = 1

    def start(self, number: int, request: Request, folder: Path) -> None:
        if self.made.count(request.out.name) < self.deaths:
            self.made.append(request.out.name)
            self._events.append(Died(number, "its process was killed"))
        else:
            super().start(number, request, folder)


def test_a_request_whose_process_dies_is_tried_once_more(tmp_path: Path) -> None:
    done = run(write_list(tmp_path, TWO), DyingPool())
    assert done.pool.made == ["a.wav", "a.wav", "b.wav", "b.wav"] and done.summary.made == 2
    assert "a.wav: its process was killed; it is tried once more" in done.output


def test_a_request_whose_process_dies_twice_fails_alone(tmp_path: Path) -> None:
    done = run(write_list(tmp_path, TWO), DyingPool(deaths=2))
    assert done.pool.made == ["a.wav", "a.wav", "b.wav", "b.wav"] and done.pool.closed
    assert [reason for _, reason in done.summary.failures] == [
        "its process was killed; it was tried 2 times"
    ] * 2


def test_without_a_terminal_each_piece_is_a_line_with_the_time_left(tmp_path: Path) -> None:
    first, second, *rest = run(write_list(tmp_path, TWO)).output.splitlines()
    assert first.startswith("1/2 a.wav: 0.5 s, peak ") and first.endswith(" left")
    assert second.startswith("2/2 b.wav: 0.5 s, peak ") and not second.endswith(" left") and not rest


def test_a_terminal_has_a_bar_for_all_of_them(tmp_path: Path) -> None:
    shown = run(write_list(tmp_path, TWO), terminal=True).output
    assert "all 2" in shown and "100%" in shown and "2/2 b.wav" in shown


def test_pieces_of_different_machines_are_named(tmp_path: Path) -> None:
    class Elsewhere(HerePool):
        def wait(self):
            events = super().wait()
            for event in events:
                if hasattr(event, "outcome"):
                    outcome: Outcome = event.outcome
                    facts = {**outcome.machine, "cpu": f"kind {len(self.made)}", "gpu": None}
                    object.__setattr__(event, "outcome", dataclasses.replace(outcome, machine=facts))
            return events

    lines = run(write_list(tmp_path, TWO), Elsewhere()).summary.lines()
    assert "2 kinds of machines, which round differently: kind 1" in lines[1]


REPLAY = """
import json, sys
from pathlib import Path
from typing import Any
arguments = sys.argv[1:]
if "--steps" in arguments and arguments[arguments.index("--steps") + 1] == "13":
    sys.exit("jbdiff-live: no luck")
out = Path(arguments[arguments.index("--out") + 1])
print("not JSON")
print(json.dumps({"done": 1, "of": 2}))
(out / "states").mkdir(parents=True)
(out / "take.json").write_text(" ".join(arguments))
(out / "states" / "0").write_text("")
print(json.dumps({"take": str(out), "exact": True, "notes": []}))
"""


def test_a_take_is_rendered_by_the_instruments_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "replay.py").write_text(REPLAY)
    monkeypatch.setattr(takes, "COMMAND", (str(tmp_path / "replay.py"), "replay"))
    take = tmp_path / "takes" / "monday"
    take.mkdir(parents=True)
    facts = {"sample_rate": 44100, "frames": 88200, "stack": str(tmp_path / "small")}
    (take / "take.json").write_text(json.dumps(facts))
    (take / "events.jsonl").write_text("{}\n")
    (take / "audio.wav").write_text("is not read")
    entry = '[[take]]\npath = "takes/monday"\nname = "{}"\nsteps = {}\nfinisher = "none"\nfull = true\n'
    path = write_list(tmp_path, entry.format("a", 8) + entry.format("b", 13))
    done = run(path)
    assert done.summary.failures == [("b", "no luck")] and done.summary.made == 1
    assert (
        "a: 2.0 s of a take, the same samples" in done.output and (tmp_path / "a" / "states" / "0").is_file()
    )
    words = (tmp_path / "a" / "take.json").read_text().split()
    assert words[:2] == ["replay", str(take)] and words[-2:] == ["--progress", "json"]
    assert "--steps 8 --full --finisher none" in " ".join(words)
    assert f"--stack {tmp_path / 'small'}={tmp_path / 'small'}" in " ".join(words)
    (take / "audio.wav").unlink()
    assert run(path).pool.made == ["b"]
    (take / "events.jsonl").write_text("{}\n{}\n")
    assert run(path).pool.made == ["a", "b"]
    (tmp_path / "a" / "mine.txt").write_text("mine")
    (take / "events.jsonl").write_text("{}\n")
    with pytest.raises(BatchError, match="is there already"):
        run(path)


def test_a_cluster_needs_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    path = write_list(tmp_path, TWO)
    with pytest.raises(BatchError, match=r"--ray needs ray; install jbdiff-live with its \[ray\] extra"):
        run_batch(BatchJob(path, ray="local"), plain_console(), usual_pool)


def test_the_command_ends_with_an_error_for_a_wrong_list(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["render", str(write_list(tmp_path, "[[piece]]\n"))])
    assert result.exit_code == 1 and "night.toml, line 9: a table without a name" in result.output
