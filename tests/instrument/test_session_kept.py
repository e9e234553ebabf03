"""A session that is kept and brought back, with the real session on the null device."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tone_generator import ToneGenerator
from typer.testing import CliRunner

from jbdiff_live.audio.remembered import open_remembered
from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.kept.content import Content, Folders, Ports, WindowPlace
from jbdiff_live.kept.file import SessionFile
from jbdiff_live.session import Session, SessionOptions
from jbdiff_live.start.command import app
from jbdiff_live.start.kept_session import KeptSession, open_kept
from jbdiff_live.start.prepare import load_patch
from jbdiff_live.system.patch_folders import user_folder, user_patches_folder
from jbdiff_live.system.takes_folder import takes_folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A player's own folder, empty."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path / "configuration"))
    return tmp_path


class Starts:
    """Starts the instrument again and again, as the command line does."""

    def __init__(self) -> None:
        self._open: list[tuple[KeptSession, Session]] = []

    def start(
        self, safe: bool = False, windowed: bool = True, named: str | None = None, patch: str = ""
    ) -> Session:
        """patch: named on the command line."""
        kept = open_kept(windowed, safe, named)
        ports, remembered = kept.over(Ports(), frozenset())
        # The null device: these tests make no sound.
        options = SessionOptions(
            device="null", midi=(), ports=ports, remembered=remembered - {"device", "midi"}
        )
        session = Session(options, ToneGenerator())
        self._open.append((kept, session))
        if not kept.resume(session) or patch:
            load_patch(session, patch or "drift")
        session.open()
        kept.keep(session)
        kept.arrived()
        self.kept = kept
        return session

    def end(self) -> None:
        while self._open:
            kept, session = self._open.pop()
            kept.close(session)
            session.close()


@pytest.fixture
def starts() -> Iterator[Starts]:
    made = Starts()
    yield made
    made.end()


def last() -> Path:
    folder = user_folder()
    assert folder is not None
    return folder / "sessions" / "last.json"


def aside(why: str) -> list[Path]:
    return sorted(last().parent.glob(f"last-{why}-*.json"))


# ---------------------------------------------------------------------- there and back


def test_the_patch_comes_back_with_its_unsaved_changes(starts: Starts) -> None:
    before = starts.start(patch="wild")
    before.set_parameter("memory", 0.37)
    before.capture_scene(3)
    before.rename_scene(3, "calm")
    before.set_parameter("memory", 0.61)
    before.set_lfo("gain", Lfo(rate=0.25, depth=0.1))
    values = dict(before.snapshot().values)
    starts.end()

    after = starts.start()
    status = after.status()
    assert dict(after.snapshot().values) == values
    assert after.lfos() == {"gain": Lfo(rate=0.25, depth=0.1)}
    assert status.scenes.scenes[2].name == "calm" and status.scenes.active == 3
    assert status.patch == "wild" and status.patch_file.endswith("wild.toml")
    assert status.undo.modified and not status.undo.undo
    assert status.message == ""
    assert not after.plays, "music is never started by it"
    after.recall_scene(3)
    assert after.snapshot()["memory"] == pytest.approx(0.37)
    after.revert()
    assert after.snapshot()["memory"] == status.patch_values["memory"]


def test_a_patch_without_changes_comes_back_without_changes(starts: Starts, tmp_path: Path) -> None:
    before = starts.start(patch="lock")
    before.set_parameter("memory", 0.4)
    before.save_patch(tmp_path / "mine.toml", "mine")
    assert not before.status().undo.modified
    starts.end()
    after = starts.start()
    assert after.status().patch == "mine" and not after.status().undo.modified


def test_ports_folders_and_the_windows_place_come_back(starts: Starts) -> None:
    before = starts.start()
    before.ports = Ports("Scarlett", None, ("nano",), 9000)
    before.session_desk.folders = Folders(sounds="/my/sounds")
    before.session_desk.put_place(WindowPlace(5, 6, 1000, 700, 2))
    starts.end()
    after = starts.start()
    assert after.ports == Ports("Scarlett", None, ("nano",), 9000)
    assert after.session_desk.folders == Folders(sounds="/my/sounds")
    assert starts.kept.place == WindowPlace(5, 6, 1000, 700, 2)


def test_the_command_line_overrides_only_what_it_names() -> None:
    file = SessionFile(last(), "1.0")
    file.write(Content(ports=Ports("Scarlett", "Mic", osc=9000, clock="midi")))
    kept = open_kept(windowed=True, safe=False, named=None)
    ports, own = kept.over(Ports("HDMI", clock="internal"), frozenset({"device", "osc"}))
    assert ports == Ports("HDMI", "Mic", osc=None, clock="midi")
    assert "clock" in own and "device" not in own
    assert kept.to_keep(Ports("null")) == Ports("Scarlett"), "nobody wants silence at the next start"
    kept.close(None)


@pytest.mark.parametrize(
    ("arguments", "ports", "named"),
    [
        ([], Ports(), set()),
        (["--osc", "9000", "--clock", "internal"], Ports(osc=9000), {"osc", "clock"}),
        (["--midi", "nano", "--midi", "keys"], Ports(midi=("nano", "keys")), {"midi"}),
        (["--midi", "all", "--osc", "0"], Ports(osc=0), {"midi", "osc"}),
        (["--safe", "--session", "gig", "--input", "none"], Ports(input_device="none"), {"input_device"}),
    ],
)
def test_the_command_line_says_which_ports_it_names(
    arguments: list[str], ports: Ports, named: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[tuple[object, ...]] = []
    monkeypatch.setattr("jbdiff_live.start.command._run", lambda *given: runs.append(given))
    assert CliRunner().invoke(app, arguments).exit_code == 0
    ((_, given, wanted),) = runs
    assert given == (ports, frozenset(named))
    assert (wanted.safe, wanted.session) == (("--safe" in arguments), "gig" if "gig" in arguments else None)  # type: ignore[attr-defined]


def test_takes_go_where_an_earlier_start_put_them_unless_the_folder_is_gone(
    starts: Starts, tmp_path: Path
) -> None:
    (tmp_path / "gigs").mkdir()
    starts.start().keep_folder("takes", tmp_path / "gigs")
    starts.end()
    kept = open_kept(windowed=True, safe=False, named=None)
    assert kept.takes_folder(None) == tmp_path / "gigs"
    assert kept.takes_folder(tmp_path / "named") == tmp_path / "named"
    (tmp_path / "gigs").rmdir()
    assert kept.takes_folder(None) == takes_folder()
    kept.close(None)
    assert "The folder for takes is gone" in kept.words[0]


def test_own_patches_lie_in_the_folder_that_was_chosen_also_after_a_start(
    starts: Starts, tmp_path: Path
) -> None:
    drive = tmp_path / "drive"
    drive.mkdir()
    before = starts.start(patch="wild")
    with pytest.raises(ValueError, match="choose another one"):
        before.choose_own_patches(tmp_path / "gone")
    before.choose_own_patches(drive)
    before.save_patch_as("mine")
    assert (drive / "mine.toml").exists() and before.patches()["mine"] == drive / "mine.toml"
    assert "mine" in [entry.name for entry in before.library()]
    starts.end()

    after = starts.start()
    assert after.folder("own") == drive and "mine" in after.patches() and after.status().message == ""
    starts.end()

    drive.rename(tmp_path / "pulled")
    without = starts.start()
    assert without.folder("own") == user_patches_folder() and "mine" not in without.patches()
    assert "The folder of your own patches is gone" in without.status().message
    starts.end()
    (tmp_path / "pulled").rename(drive)
    assert starts.start().folder("own") == drive, "the choice was kept"


def test_a_patch_on_the_command_line_can_be_taken_back(starts: Starts) -> None:
    before = starts.start(patch="wild")
    before.set_parameter("memory", 0.37)
    starts.end()
    after = starts.start(patch="lock")
    assert after.status().patch == "lock"
    after.undo()
    assert after.status().patch == "wild" and after.snapshot()["memory"] == pytest.approx(0.37)


def test_during_a_comparison_the_players_own_knobs_are_kept(starts: Starts) -> None:
    before = starts.start()
    before.set_parameter("memory", 0.37)
    before.set_lfo("gain", Lfo(rate=0.25))
    before.compare()
    assert before.snapshot()["memory"] != pytest.approx(0.37) and not before.lfos()
    starts.end()
    after = starts.start()
    assert after.snapshot()["memory"] == pytest.approx(0.37) and after.lfos() == {"gain": Lfo(rate=0.25)}


# ---------------------------------------------------------------------- what is gone


def test_a_patch_whose_file_is_gone_plays_as_it_was(starts: Starts, tmp_path: Path) -> None:
    before = starts.start()
    before.save_patch(tmp_path / "mine.toml", "mine")
    before.set_parameter("memory", 0.37)
    starts.end()
    (tmp_path / "mine.toml").unlink()
    after = starts.start()
    assert after.snapshot()["memory"] == pytest.approx(0.37)
    assert "Patch mine plays as you left it, but its file cannot be read" in after.status().message
    assert after.status().patch == "mine" and after.status().patch_file == ""


def test_a_device_that_is_gone_is_said_and_the_start_goes_on(starts: Starts) -> None:
    options = SessionOptions(
        device="No such interface",
        input_device="No such input",
        midi=(),
        remembered=frozenset({"device", "input_device"}),
    )
    session = Session(options, ToneGenerator())
    session.open()
    message = session.status().message
    session.close()
    assert "The last session's sound output does not open" in message
    assert "The last session's sound input does not open" in message


def test_a_card_with_another_number_is_found() -> None:
    asked = []

    def open_device(name: str) -> None:
        asked.append(name)
        if "hw:2,0" in name:
            raise RuntimeError("no such device")

    assert open_remembered(open_device, "Scarlett 2i2: USB Audio (hw:2,0)") == ""
    assert asked == ["Scarlett 2i2: USB Audio (hw:2,0)", "Scarlett 2i2: USB Audio"]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe\x00junk", b'{"format": 77}', b" " * (1 << 21)])
def test_a_bad_file_is_kept_aside_and_the_start_goes_on(data: bytes, starts: Starts) -> None:
    last().parent.mkdir(parents=True)
    last().write_bytes(data)
    session = starts.start()
    message = session.status().message
    (kept,) = aside("unreadable")
    assert kept.read_bytes() == data
    assert message.startswith("The last session cannot be used: ") and str(kept) in message
    assert session.status().patch == "drift"
    starts.end()
    assert SessionFile(last(), "1.0").read() is not None, "the new session is kept"


def test_a_file_with_a_bad_part_gives_its_other_parts(starts: Starts) -> None:
    last().parent.mkdir(parents=True)
    last().write_text('{"format": 1, "patch": 3, "folders": {"takes": "/t"}, "window": {"x": "left"}}')
    session = starts.start()
    assert session.session_desk.folders.takes == "/t"
    assert "Parts of the last session cannot be used: patch (" in session.status().message
    assert len(aside("unreadable")) == 1


def test_parameters_that_are_no_longer_known_are_left_out(starts: Starts) -> None:
    last().parent.mkdir(parents=True)
    last().write_text('{"format": 1, "patch": {"name": "old", "values": {"memory": 0.3, "sparkle": 1}}}')
    session = starts.start()
    assert session.snapshot()["memory"] == pytest.approx(0.3)
    assert "Left out: value sparkle." in session.status().message


def test_an_error_in_the_program_does_not_stop_the_start(
    starts: Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts.start(patch="wild")
    starts.end()

    def broken(part: object) -> object:
        raise TypeError("a part of the program is broken")

    monkeypatch.setattr("jbdiff_live.kept.patch_part.played_from", broken)
    session = starts.start()
    assert session.status().patch == "drift"
    assert (
        "The last session's patch cannot be used: a part of the program is broken" in session.status().message
    )
    assert len(aside("unreadable")) == 1


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="a read-only folder needs an ordinary user")
def test_a_folder_that_is_read_only_is_said(starts: Starts) -> None:
    last().parent.mkdir(parents=True)
    last().parent.chmod(0o500)
    message = starts.start().status().message
    last().parent.chmod(0o700)
    assert message.startswith("The session cannot be kept")


def test_a_file_in_the_place_of_the_folder_is_said(starts: Starts) -> None:
    last().parent.parent.mkdir(parents=True)
    last().parent.write_text("")
    session = starts.start()
    assert session.status().message.startswith("The session cannot be kept")
    assert session.status().patch == "drift"


# ---------------------------------------------------------------------- safe mode, two programs, no window


def test_safe_mode_leaves_the_session_out_and_keeps_it_until_something_changes(starts: Starts) -> None:
    starts.start(patch="wild").set_parameter("memory", 0.37)
    starts.end()
    old = last().read_bytes()

    session = starts.start(safe=True)
    assert session.status().patch == "drift"
    assert session.status().message.startswith("Safe mode: your last session is not loaded.")
    starts.end()
    assert last().read_bytes() == old and not aside("before-safe-mode")

    starts.start(safe=True).set_parameter("memory", 0.9)
    starts.end()
    (kept,) = aside("before-safe-mode")
    assert kept.read_bytes() == old
    assert starts.start().snapshot()["memory"] == pytest.approx(0.9)
    starts.end()
    assert starts.start(named=str(kept)).snapshot()["memory"] == pytest.approx(0.37), "it can be had back"


def test_after_a_start_that_crashed_the_next_one_is_safe_and_the_one_after_tries_again(
    starts: Starts,
) -> None:
    starts.start(patch="wild")
    starts.end()
    crashed = open_kept(windowed=True, safe=False, named=None)  # and no more: the program is gone
    assert crashed._file is not None
    crashed._file.unlock()

    session = starts.start()
    assert session.status().patch == "drift"
    assert "ended before it had a window or sound" in session.status().message
    starts.end()
    assert starts.start().status().patch == "wild"


def test_an_error_of_the_program_counts_as_a_crash_and_an_ordinary_end_does_not(starts: Starts) -> None:
    starts.start(patch="wild")
    starts.end()
    early = open_kept(windowed=True, safe=False, named=None)
    early.close(None)
    assert not SessionFile(last(), "1.0").crashed
    broken = open_kept(windowed=True, safe=False, named=None)
    broken.failed()
    broken.close(None)
    assert SessionFile(last(), "1.0").crashed


def test_a_second_program_starts_without_the_session_and_keeps_nothing(starts: Starts) -> None:
    first = starts.start(patch="wild")
    first.set_parameter("memory", 0.37)
    second = starts.start()
    assert second.status().patch == "drift"
    assert second.status().message.startswith("Another jbdiff-live is open and keeps the session.")
    second.set_parameter("memory", 0.9)
    starts.end()  # the second ends first
    assert starts.start().snapshot()["memory"] == pytest.approx(0.37)


def test_without_a_window_a_session_is_used_only_if_it_is_named(starts: Starts, tmp_path: Path) -> None:
    starts.start(patch="wild")
    starts.end()
    old = last().read_bytes()
    session = starts.start(windowed=False)
    assert session.status().patch == "drift"
    session.set_parameter("memory", 0.9)
    starts.end()
    assert last().read_bytes() == old
    assert starts.start(windowed=False, named="last").status().patch == "wild"
    starts.end()
    starts.start(windowed=False, named=str(tmp_path / "gig"), patch="lock")
    starts.end()
    assert starts.start(windowed=False, named=str(tmp_path / "gig.json")).status().patch == "lock"


@pytest.mark.parametrize(
    "data",
    [
        b'{"format": 1, "digest": "of a replay"}',
        b'{"sample_rate": 44100, "channels": 2, "patch": "drift", "format": 1}',
        b'{"name": "a package of somebody"}',
        b"RIFF\0\0\0\0WAVEfmt ",
        "ein Brief".encode("utf-16"),
    ],
)
def test_a_file_that_is_no_session_is_refused_and_stays(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "take.json"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is no session, and stays as it is; give --session another name"):
        open_kept(windowed=True, safe=False, named=str(path))
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(ValueError, match="is no session"):
        open_kept(windowed=False, safe=True, named=str(tmp_path / "folder.json"))
    assert path.read_bytes() == data
    assert sorted(found.name for found in tmp_path.iterdir()) == ["folder.json", "take.json"]


def test_a_damaged_session_of_ones_own_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "stage.json"
    SessionFile(path, "1.0").write(Content())
    path.write_bytes(path.read_bytes()[:60])
    kept = open_kept(windowed=False, safe=False, named=str(path))
    kept.close(None)
    assert "The last session cannot be used" in kept.words[0]
    assert len(list(tmp_path.glob("stage-unreadable-*.json"))) == 1


@pytest.mark.parametrize("named", [".", "/", "..", "sessions/.."])
def test_a_folder_is_no_name_of_a_session(named: str) -> None:
    with pytest.raises(ValueError, match="is a folder; give --session the name of a file"):
        open_kept(windowed=False, safe=False, named=named)
