"""Options as files and flags bring them: any encoding, `~`, numbers without sense, nesting without end."""

from __future__ import annotations

import codecs
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from toys import write_toy_stack
from typer.testing import CliRunner

from jbdiff.cli import app
from jbdiff.plain_toml import read_toml_file
from jbdiff.render.options import OptionError, options_from, read_toml, with_assignments
from jbdiff.stacks.stack import CheckpointError, known_stacks, load_stack, user_directory
from jbdiff.terminal import at_home
from jbdiff.train.run.settings import read_config

TEXT = 'seconds = 3\nsampler = "vddim"  # größer\n[level2]\nsteps = 4\n'


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy_config) -> Path:
    monkeypatch.setenv("JBDIFF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "300")
    write_toy_stack(tmp_path / "home" / "toy", toy_config)
    return tmp_path


def sample(*arguments: object):
    return CliRunner().invoke(app, ["sample", *map(str, arguments)])


@pytest.mark.parametrize(
    "data",
    [
        codecs.BOM_UTF8 + TEXT.encode(),
        TEXT.encode("utf-16"),  # with its mark, as Windows' editors save "Unicode"
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.encode("utf-32"),
    ],
)
def test_a_file_of_options_is_read_in_every_encoding_that_editors_save(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "o.toml"
    path.write_bytes(data)
    assert read_toml(path) == {"seconds": 3, "sampler": "vddim", "level2": {"steps": 4}}
    path.write_bytes(codecs.BOM_UTF8 + b"minutes = 5\n")
    assert read_config(path, "codec", {"minutes"}, {"codec"}) == ({"minutes": 5}, {})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'a = "caf\xe9"\n', "line 1: the text is not UTF-8; save the file as UTF-8"),
        (b"a = " + b"[" * 20_000, "nested too deeply"),
        (b"a" + b".a" * 100_000 + b" = 1", "a key of more than 16 parts"),
        (b"[a" + b" . 'b'" * 20_000 + b"]", "a key of more than 16 parts"),
        (b"a = " + b"[" * 30 + b"]" * 30, "nested too deeply"),
        (b"seconds = 1" + b"0" * 400, "about 401 digits; 19 are the most"),
        (b"seconds = 1" + b"0" * 10_000, "thousands of digits; 19 are the most"),
        (b"seconds = 0x" + b"f" * 10_000, "digits; 19 are the most"),
        (b"# long\n" * 200_000, "larger than 256 kB"),
        (b"seconds = = 1", "line 1: not TOML .*mend that line: seconds = = 1"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_options_says_why(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "o.toml"
    path.write_bytes(data)
    with pytest.raises(OptionError, match=words) as caught:
        read_toml(path)
    assert "o.toml" in str(caught.value) and len(str(caught.value)) < 500
    with pytest.raises(ValueError, match="as TOML"):
        read_config(path, "codec", {"minutes"}, {"codec"})


def test_a_pipe_and_a_folder_are_no_files_of_options(tmp_path: Path) -> None:
    """A pipe that nobody writes into would be waited for without end."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(ValueError, match="is no file"):
            read_toml_file(path)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400"])
@pytest.mark.parametrize("name", ["seconds", "step", "tempo", "level2.guidance", "finisher.strength"])
def test_numbers_that_are_none_are_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(OptionError, match=name.rpartition(".")[2]):
        options_from(with_assignments({}, [f"{name}={value}"]))


@pytest.mark.parametrize(
    "text",
    ["seeds=[1" + "0" * 400 + "]", "level2.steps=1" + "0" * 30, "hop=99999999999", "bits=1" + "0" * 5000,
     "seconds=1" + "0" * 300, "seconds=1e9", "step=" + "[" * 50_000],
)  # fmt: skip
def test_numbers_beyond_sense_are_refused_in_few_words(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        options_from(with_assignments({}, [text]))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("seconds", ["inf", "nan", "1e9"])
def test_the_flag_for_the_length_takes_no_such_number(seconds: str, home: Path) -> None:
    result = sample("--stack", "toy", "--seconds", seconds, "--out", home / "a.wav")
    assert result.exit_code in (1, 2) and "Traceback" not in result.output and "seconds" in result.output
    assert [path.name for path in home.iterdir()] == ["home"]


def test_a_home_in_a_path_is_found_behind_an_equals_sign(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell does not replace `~` in `--config=~/o.toml`."""
    monkeypatch.setenv("HOME", str(home))
    (home / "o.toml").write_text("seconds = 0.1\n[level2]\nsteps = 1\n")
    result = sample("--stack=~/home/toy", "--levels=2", "--no-finisher", "--config=~/o.toml", "--out=~/a.wav")
    assert result.exit_code == 0, result.output
    assert (home / "a.wav").is_file()


# ---------------------------------------------------------------------- no home, other consoles, odd names

NOBODY = """
import os, pwd, sys
os.environ.pop("HOME", None)
def unknown(uid):
    raise KeyError(uid)
pwd.getpwuid = unknown
"""


def as_nobody(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs Python as a user that the system's list of users lacks and who has no HOME."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if k not in ("HOME", "JBDIFF_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")
    }
    command = [sys.executable, "-c", NOBODY + code]
    return subprocess.run(command, env=kept | env, capture_output=True, text=True, timeout=600)


def test_a_user_without_a_home_has_the_stacks_that_are_shipped() -> None:
    """As in a container that runs under any number; `jbdiff info` and `sample` work there."""
    done = as_nobody(
        "from jbdiff.stacks.stack import *\n"
        "from jbdiff.stacks.stack import find_folder\n"
        "print(sorted(known_stacks()), find_folder('pocket').name)\n"
        "try: load_stack('mine')\n"
        "except CheckpointError as error: print(error)\n"
        "try: user_directory()\n"
        "except CheckpointError as error: print(error)\n"
    )
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert first == "['pocket'] pocket"
    assert second.startswith("no stack 'mine'; known: pocket.")
    assert "no home folder" in third and "JBDIFF_HOME" in third


def test_a_stack_that_cannot_be_read_hides_no_other(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jbdiff.stacks import stack as checkpoints

    plain = checkpoints._v1_candidates

    def refusing(folder: Path):
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied")
        return plain(folder)

    (home / "home" / "locked").mkdir()
    monkeypatch.setattr(checkpoints, "_v1_candidates", refusing)
    assert {"toy", "pocket"} <= set(known_stacks()) and "locked" not in known_stacks()
    assert user_directory() == home / "home"
    assert load_stack("toy").config.name == "toy"


@pytest.mark.parametrize("name", ["~", "~nobody-of-that-name/x", "a\0b", "x" * 5000])
def test_a_stack_that_cannot_even_be_a_path_is_unknown(name: str, home: Path) -> None:
    with pytest.raises(CheckpointError):
        load_stack(name + "/none")


@pytest.mark.parametrize("name", ["take [/main] [red]x", "na\udcefve", ":smile: größe 🎹"])
def test_names_are_shown_as_they_are_on_any_console(name: str, home: Path) -> None:
    """Square brackets are no markup, and a console that is not UTF-8 shows a question mark and goes on."""
    env = {**os.environ, "PYTHONIOENCODING": "ascii:strict", "OMP_NUM_THREADS": "1"}
    arguments = ["sample", "--stack", "toy", "--out", home / name / "a.wav"]
    done = subprocess.run(
        [sys.executable, "-m", "jbdiff", *map(os.fspath, arguments)], env=env, capture_output=True
    )
    assert done.returncode == 1 and b"Traceback" not in done.stderr, done.stderr
    shown = name.encode("ascii", "replace")
    assert b"no folder" in done.stderr and shown in done.stderr


def test_a_finished_file_is_named_as_it_is(home: Path) -> None:
    (home / "take [main]").mkdir()
    out = home / "take [main]" / "song [b]2007[ b] :smile:.wav"
    result = sample(
        "--stack",
        "toy",
        "--levels",
        "2",
        "--no-finisher",
        "--seconds",
        0.1,
        "--set",
        "level2.steps=1",
        "--out",
        out,
    )
    assert result.exit_code == 0, result.output
    assert str(out) in result.output.replace("\n", "")


def test_every_path_of_a_command_may_begin_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert at_home([Path("~/a"), Path("b")]) == [tmp_path / "a", Path("b")]
    assert at_home("~/a") == "~/a", "a name is no path"
    with pytest.raises(typer.BadParameter, match="no home folder is known here; give the whole path"):
        at_home(Path("~nobody-of-that-name/a"))


def test_one_assignment_sets_one_value() -> None:
    for text in ("anchor=0.5\nmotion=0.1", "anchor=0.5\n[level2]\nsteps=1"):
        with pytest.raises(OptionError, match="sets several values; give --set once for each"):
            with_assignments({}, [text])
    assert with_assignments({}, ["anchor=0.5 # firmly", "style=walk"]) == {"anchor": 0.5, "style": "walk"}


@pytest.mark.parametrize(
    ("number", "words"),
    [(1_000_000_000, "level2.steps 1000000000; 10000 is"), (10**400, "of 1329 bits; 10000 is")],
)
def test_a_number_that_is_too_large_is_shown(number: int, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        options_from({"level2": {"steps": number}})


def test_a_missing_file_is_named_with_the_remedy_and_keeps_its_reason(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file .*night\.toml; check the name") as missing:
        read_toml_file(tmp_path / "night.toml")
    assert missing.value.strerror == os.strerror(errno.ENOENT)
