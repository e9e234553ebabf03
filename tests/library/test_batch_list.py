"""What a list of pieces may say, and the errors for everything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from batch_rig import write_list
from rich.console import Console
from small_stacks import write_small_stack

from jbdiff.batch.command import BatchJob, run_batch
from jbdiff.batch.listing import read_list
from jbdiff.batch.request import BatchError, Piece
from jbdiff.sample_command import job_options
from jbdiff.stacks.facts import stack_facts
from jbdiff.stacks.stack import load_stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_stack(tmp_path_factory.mktemp("stacks") / "small")


@pytest.fixture
def folder(stack: Path, tmp_path: Path) -> Path:
    (tmp_path / "small").symlink_to(stack, target_is_directory=True)
    soundfile.write(tmp_path / "some.wav", 0.1 * np.sin(np.arange(9000) / 20), 44_100)
    return tmp_path


def pieces(path: Path) -> list[Piece]:
    requests = read_list(path).requests
    assert all(isinstance(request, Piece) for request in requests)
    return [request for request in requests if isinstance(request, Piece)]


def test_a_piece_has_the_defaults_and_its_own_options_instead(folder: Path) -> None:
    path = write_list(
        folder,
        '[[piece]]\nname = "a"\n[[piece]]\nname = "b"\nseconds = 2\nnoise_step = 0.5\nfinisher_on = true\n'
        'steps = 7\nmemory = 0.1\ncontext = "some.wav"\n[piece.level1]\nstrength = 0.2\n',
    )
    a, b = pieces(path)
    config = stack_facts(folder / "small").config
    first, second = job_options(a.job, config), job_options(b.job, config)
    assert (first.seconds, first.level[2].steps, first.levels, first.finisher.on) == (0.5, 1, (2,), False)
    assert (second.seconds, second.level[2].steps, second.step, second.finisher.on) == (2.0, 7, 0.5, True)
    assert second.memory == 0.1 and second.level[1].strength == 0.2 and second.levels == (2,)
    assert b.job.context == folder / "some.wav" and a.job.context is None
    assert [piece.out for piece in (a, b)] == [folder / "a.wav", folder / "b.wav"]


def test_a_piece_of_several_seeds_makes_a_file_for_each(folder: Path) -> None:
    path = write_list(folder, '[[piece]]\nname = "a"\nseeds = [1, 2]\nstems = true\n')
    made = pieces(path)
    assert [piece.targets for piece in made] == [
        ("a-seed1.wav", "a-seed1-level2.wav"),
        ("a-seed2.wav", "a-seed2-level2.wav"),
    ]


def test_the_digest_is_that_of_the_samples_not_of_the_words(folder: Path) -> None:
    spelled = {
        "plain": "",
        "defaults spelled out": "memory = 0.7\nstyle = 'walk'\nseed = 0\n",
        "names of a patch": "noise_style = 'walk'\nnoise_step = 0.3\n",
        "a table": "[piece.level2]\nsteps = 1\n",
        "another seed": "seed = 1\n",
        "another length": "seconds = 0.6\n",
        "a context": "context = 'some.wav'\n",
    }
    text = "".join(f'[[piece]]\nname = "{name}"\n{more}' for name, more in spelled.items())
    digests = {p.out.stem: p.digest for p in pieces(write_list(folder, text))}
    same = {digests[name] for name in ("plain", "defaults spelled out", "names of a patch", "a table")}
    assert len(same) == 1
    others = {digests[name] for name in ("another seed", "another length", "a context")}
    assert len(others) == 3 and not others & same
    soundfile.write(folder / "some.wav", np.zeros(9000) + 0.1, 44_100)
    again = {p.out.stem: p.digest for p in pieces(write_list(folder, text))}
    assert [name for name in spelled if again[name] != digests[name]] == ["a context"]


def test_a_stack_is_known_without_its_weights(folder: Path) -> None:
    facts = stack_facts(folder / "small")
    assert facts.identity == load_stack(folder / "small").identity
    assert {path.name for path in facts.files} >= {"config.json", "codec.safetensors", "finisher.safetensors"}


PIECE = '[[piece]]\nname = "a"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no pieces"),
        ('[[piece]]\nseed = 1\n', "line 9: a table without a name"),
        (PIECE + "memmory = 0.3\n", "line 11: a: unknown key 'memmory'; did you mean 'memory'?"),
        (PIECE + "memory = 3\n", "line 11: a: memory 3 is outside 0..1"),
        (PIECE + "\n[piece.level2]\nstepz = 3\n", "line 13: a: unknown option 'level2.stepz'"),
        (PIECE + "seconds = 'long'\n", "line 11: a: seconds = 'long'; it takes int or float"),
        (PIECE + "style = 'wolk'\n", "line 11: a: style = 'wolk'; it is one of"),
        (PIECE + "noise_step = 0.1\nstep = 0.2\n", "step and noise_step set the same option"),
        (PIECE + "seed = 1\nseeds = [2]\n", "seeds and seed set the same option"),
        (PIECE + "finisher = 3\n", "write true, false, or a table"),
        (PIECE + "levels = 'two'\n", "line 11: a: levels = 'two'; write them as"),
        (PIECE + "context = 'none.wav'\n", "none.wav is not there; paths are relative to the list's folder"),
        (PIECE + "stack = 'nine'\n", "line 11: a: no stack 'nine'"),
        (PIECE + "compat = 'v2'\n", 'line 11: a: compat = \'v2\'; write "v1"'),
        (PIECE + "crossfade = 'linear'\n", "line 11: a: crossfade belongs to --compat v1"),
        (PIECE + "bits = 12\n", "line 11: a: a.wav at 12 bit cannot be written"),
        (PIECE + "out = 'some.wav/a.wav'\n", "some.wav is a file; give another folder for a.wav"),
        ('[[piece]]\nname = "x/a"\n', "leads to another folder; write that into out"),
        (PIECE + PIECE, "line 11: "),
        (PIECE + '[[piece]]\nname = "A"\n', "is also made by night.toml, line 9"),
        (PIECE + 'stems = true\n[[piece]]\nname = "a-level2"\n', "a-level2.wav is also made by"),
        (PIECE + 'out = "some.wav"\n[[piece]]\nname = "b"\ncontext = "some.wav"\n', "is read by an entry"),
        ('[[piece]]\nname = ".."\n', "..: name = '..' has no letter"),
        (PIECE + "hop = 0\n", "line 11: a: a hop of 0 tokens"),
        (PIECE + "hop = 17\n", "line 11: a: a hop of 17 tokens"),
        (PIECE + "levels = [9]\n", "line 11: a: stack 'small' has no level 9"),
        (PIECE + "levels = []\n", "line 11: a: levels []: the coarsest level"),
        (PIECE + "token_multiplier = 0\n", "line 11: a: token multiplier 0 is outside 1..16"),
        ('[[take]]\nname = "t"\n', "path = None; write the folder of a take"),
        ('[[take]]\nname = "t"\npath = "small"\n', "is no take"),
        ('[[take]]\nname = "t"\npaht = "small"\n', "line 11: t: unknown key 'paht'; did you mean 'path'?"),
        ('[piece]\nname = "a"\n', "write each piece below a line [[piece]]"),
        ("[[peice]]\n", "line 9: unknown table 'peice'; write [defaults], [[piece]] or [[take]]"),
        (PIECE + '[[takes]]\npath = "small"\n', "line 11: unknown table 'takes'; write [defaults], [[piece]]"),
        ("[take]\n", "line 9: write each take below a line [[take]]"),
        ("secondz = 3\n" + PIECE, "line 9: unknown default 'secondz'; did you mean 'seconds'?"),
        ("memory = 7\n" + PIECE, "line 9: a: memory 7 is outside 0..1"),
        (PIECE + "name = 'b'\n", "line 11: not TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_an_error_with_its_line_and_the_remedy(folder: Path, text: str, words: str) -> None:
    with pytest.raises(BatchError) as caught:
        read_list(write_list(folder, text))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("", "no format; write format = 1 as the first line"),
        ("format = 2\n", "line 1: format = 2; this version reads 1"),
        ("format = 1\nmemory = 0.2\n", "line 2: unknown key 'memory'; move it below [defaults] or [[piece]]"),
    ],
)
def test_a_wrong_head_is_an_error(folder: Path, head: str, words: str) -> None:
    with pytest.raises(BatchError) as caught:
        read_list(write_list(folder, PIECE, head))
    assert words in str(caught.value)


def test_a_hard_link_to_a_sound_that_is_read_is_no_place_for_a_piece(folder: Path) -> None:
    (folder / "a.wav").hardlink_to(folder / "some.wav")
    with pytest.raises(BatchError, match="is read by an entry"):
        read_list(write_list(folder, PIECE + 'context = "some.wav"\n'))


def test_links_that_lead_in_a_circle_are_no_end(folder: Path) -> None:
    (folder / "loop.wav").symlink_to("loop.wav")
    with pytest.raises(BatchError, match=r"loop\.wav is there already: a link that leads nowhere"):
        read_list(write_list(folder, PIECE.replace("name", "out").replace('"a"', '"loop.wav"')))
    with pytest.raises(BatchError, match=r"loop\.wav is not there"):
        read_list(write_list(folder, PIECE + 'context = "loop.wav"\n'))


def test_a_list_that_the_disk_refuses_is_answered_with_the_remedy(folder: Path) -> None:
    too_long = write_list(folder, f'[[piece]]\nname = "{"a" * 300}"\n')
    (folder / "circle.toml").symlink_to("circle.toml")
    for path, remedy in (
        (too_long, "give a shorter name"),
        (folder / "missing.toml", "there is no file .*missing.toml; check the name"),
        (folder / "circle.toml", "links lead in a circle"),
    ):
        with pytest.raises(BatchError, match=remedy):
            run_batch(BatchJob(path, jobs=1), Console(quiet=True))
