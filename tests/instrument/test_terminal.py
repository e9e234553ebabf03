"""The terminal view and its keys; a real pseudo-terminal shows that it is put back."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.screen import Screen

from jbdiff_live.control_view import BindingRow, Ghost
from jbdiff_live.parameters import PARAMETERS, Origin, ParameterSnapshot, ParameterStore
from jbdiff_live.start.headless import Announcements, obey
from jbdiff_live.start.listing import binding_lines
from jbdiff_live.start.terminal_keys import SEQUENCES, TerminalKeys, split_keys
from jbdiff_live.start.terminal_view import KEYS, terminal_view
from jbdiff_live.status import (
    AudioStatus,
    ControlStatus,
    EngineState,
    EngineStatus,
    OscStatus,
    RecorderStatus,
    Status,
)

PATIENCE = 120.0


def drawn(status: Status, store: ParameterStore | None = None, **bindings: str) -> str:
    console = Console(
        width=160, height=60, markup=False, emoji=False, highlight=False, record=True, quiet=True
    )
    snapshot = (store or ParameterStore()).snapshot
    with open(os.devnull, "w") as nowhere:
        console.file = nowhere
        console.quiet = False
        console.print(terminal_view(status, snapshot, bindings))
    return console.export_text()


PLAYING = Status(
    frame=44_100,
    seconds_queued=2.5,
    engine=EngineStatus(EngineState.RUNNING, blocks_made=4, block_seconds=0.5, block_duration=2.2),
    audio=AudioStatus(running=True, device="JACK: system", peak=(0.5, 0.0), underruns=3),
    patch="drift",
)


def test_the_state_the_queue_and_the_levels_are_shown() -> None:
    text = drawn(PLAYING)
    assert "PLAYING" in text and "patch drift" in text
    assert " 2.5 s, block 0.50 of 2.20 s" in text
    assert " -6.0 dB" in text and "-inf dB" in text
    assert "JACK: system, underruns 3" in text


def test_no_name_is_obeyed_by_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A name may hold any character: here one that clears the screen, and a line's end."""
    evil = "a\x1b[2J\nb\x9b1mc"
    control = ControlStatus(connected=(evil,), problem=evil, last_message=evil)
    status = replace(
        PLAYING, patch=evil, note=evil, control=control, audio=replace(PLAYING.audio, device=evil)
    )
    assert "\x1b" not in drawn(status) and "\x9b" not in drawn(status)
    assert drawn(status).count("a\ufffd[2J\ufffdb") >= 4
    Announcements().say(evil)
    assert capsys.readouterr().out == "a\ufffd[2J\ufffdb\ufffd1mc\n"
    assert (
        binding_lines([BindingRow(evil, "gain", "Gain", "CC 7", "map")])[0] == "a\ufffd[2J\ufffdb\ufffd1mc:"
    )


def test_every_value_is_shown_with_its_control_and_what_is_heard() -> None:
    store = ParameterStore()
    before = store.snapshot
    store.set("noise_step", 0.75, Origin.UI)
    control = ControlStatus(hardware=MappingProxyType({"gain": Ghost(0.25, False)}))
    text = drawn(replace(PLAYING, heard=before, control=control), store, noise_step="ch 1 CC 74")
    for parameter in PARAMETERS:
        assert parameter.label in text
    line = next(line for line in text.splitlines() if line.startswith("Noise "))
    assert "0.75" in line and "heard 0.30" in line and "ch 1 CC 74" in line
    assert "(25 %)" in text, "where the control of Gain stands"


def test_controls_recording_osc_and_problems_are_shown() -> None:
    status = replace(
        PLAYING,
        recorder=RecorderStatus(recording=True, frames=88_200),
        control=ControlStatus(
            connected=("Box",),
            missing=("Other",),
            last_message="CC 74 = 9",
            moved=("CC 74: Noise",),
            osc=OscStatus("127.0.0.1:9000", "", 7, 2, "no parameter or action 'x'"),
        ),
        message="the [brackets] are no markup",
    )
    text = drawn(status)
    for words in ("● recording 2 s", "moved    CC 74: Noise", "Box; missing: Other", "last: CC 74 = 9",
                  "in 127.0.0.1:9000", "2 unusable; the last one: no parameter or action 'x'",
                  "the [brackets] are no markup", "Space start/stop"):  # fmt: skip
        assert words in text, words


def test_keys_are_called_as_in_a_map() -> None:
    assert split_keys(" pR\x1b[C\x1b[15~é") == (["Space", "P", "R", "Right", "F5", "É"], "")
    assert split_keys("\x1b[") == ([], "\x1b[")
    assert split_keys("\x1b[1;5Cx") == (["X"], ""), "a key without a name is left out"


@given(st.text(alphabet="\x1b[O~ 1;CDx", max_size=30))
def test_no_input_ends_the_keys_or_is_kept_for_ever(text: str) -> None:
    keys, rest = split_keys(text)
    assert all(keys) and (rest == "" or any(sequence.startswith(rest) for sequence in SEQUENCES))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
def test_a_terminal_is_put_back_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import termios

    master, slave = os.openpty()
    monkeypatch.setattr(os, "tcgetpgrp", lambda fd: os.getpgrp())  # the test is not that terminal's owner
    never = threading.Event()
    try:
        with os.fdopen(slave, closefd=False) as stream:
            before = termios.tcgetattr(slave)
            with pytest.raises(KeyboardInterrupt), TerminalKeys(stream) as keys:
                assert keys.there
                assert not termios.tcgetattr(slave)[3] & termios.ICANON, "keys come without Return"
                os.write(master, b" \x1b[")
                assert keys.wait(10, never) == ["Space"]
                os.write(master, b"C")
                assert keys.wait(10, never) == ["Right"]
                raise KeyboardInterrupt
            assert termios.tcgetattr(slave) == before
    finally:
        os.close(slave)
        os.close(master)


def test_without_a_terminal_there_are_no_keys_and_a_wait_ends_with_the_stop(tmp_path: object) -> None:
    stop = threading.Event()
    stop.set()
    with open(os.devnull) as stream, TerminalKeys(stream) as keys:
        assert not keys.there and keys.wait(60, stop) == []


class Playing:
    """What the keys need of a session, and what they asked for."""

    def __init__(self) -> None:
        self.store = ParameterStore()
        self.asked: list[str] = []

    def snapshot(self) -> ParameterSnapshot:
        return self.store.snapshot

    def perform(self, name: str) -> None:
        self.asked.append(name)

    def trigger(self, name: str) -> None:
        self.store.trigger(name, Origin.UI)

    def set_parameter(self, name: str, value: float) -> None:
        self.store.set(name, value, Origin.UI)

    def press_key(self, key: str) -> bool:
        self.asked.append(f"key {key}")
        return False


def test_the_keys_do_what_they_do_in_the_window() -> None:
    session = Playing()
    for key in ("Space", "R", "Right", "Left", "P", "N", "B", "H", "M", "M", "F5"):
        assert not obey(session, key)  # type: ignore[arg-type]
    assert session.asked == ["play", "record", "next_patch", "previous_patch", "key F5"]
    counts, values = session.store.snapshot.counts, session.store.snapshot
    assert (counts["panic"], counts["reroll"], counts["home"]) == (1, 1, 1)
    assert values.on("hold") and not values.on("mute")
    assert obey(session, "Q")  # type: ignore[arg-type]


HEADLESS = """
import sys
from pathlib import Path
from tone_generator import ToneGenerator
from jbdiff_live.start.headless import play_headless
from jbdiff_live.session import Session, SessionOptions
session = Session(SessionOptions(device="null", midi=(), takes=Path(sys.argv[1])), ToneGenerator(block_frames=8192))
session.open()
try:
    code = play_headless(session, 600.0, record_take=True)
finally:
    session.close()
sys.exit(code)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
@pytest.mark.parametrize("how", ["key", "signal"])
def test_a_player_on_a_terminal_sees_the_picture_and_leaves_the_terminal_as_it_was(
    how: str, tmp_path: Path
) -> None:
    """A process with a terminal of its own: it panics by a key, and ends by another one or by a signal."""
    import fcntl
    import pty
    import termios

    child, master = pty.fork()
    if child == 0:
        tests = Path(__file__).resolve().parent.parent
        os.environ["PYTHONPATH"] = os.pathsep.join([str(tests.parent), str(tests)])
        os.environ["TERM"] = "xterm-256color"
        os.execv(sys.executable, [sys.executable, "-c", HEADLESS, str(tmp_path / "takes")])
    seen = bytearray()

    def read_until(words: str) -> None:
        until = time.monotonic() + PATIENCE
        while words.encode() not in seen:
            assert time.monotonic() < until, f"{words!r} never came: {seen[-2000:].decode(errors='replace')}"
            if select.select([master], [], [], 0.2)[0]:
                try:
                    data = os.read(master, 65536)
                except OSError:  # the process has ended
                    data = b""
                assert data, f"{words!r} never came: {seen[-2000:].decode(errors='replace')}"
                seen.extend(data)

    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
    before = termios.tcgetattr(master)
    try:
        read_until("Space start/stop")
        assert not termios.tcgetattr(master)[3] & termios.ICANON
        os.write(master, b"p")
        read_until("Panic: ")
        if how == "key":
            os.write(master, b"q")
        else:
            os.kill(child, signal.SIGTERM)
        read_until("Take: ")
        assert termios.tcgetattr(master) == before
        text = seen.decode(errors="replace")
        assert text.index("\x1b[?1049h") < text.rindex("\x1b[?1049l") < text.rindex("Take: ")
        assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is back"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        code = os.waitpid(child, 0)[1]
        os.close(master)
    assert os.waitstatus_to_exitcode(code) in (0, -signal.SIGKILL)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 20), (120, 40)])
def test_the_keys_are_whole_in_a_terminal_of_any_size(width: int, height: int) -> None:
    busy = replace(
        PLAYING, control=ControlStatus(connected=("box",), moved=("CC 74: Noise",)), message="a problem"
    )
    console = Console(width=width, height=height, markup=False, file=open(os.devnull, "w"))  # noqa: SIM115
    lines = [
        "".join(segment.text for segment in line).rstrip()
        for line in console.render_lines(
            Screen(terminal_view(busy, ParameterStore().snapshot, {})), console.options.update(height=height)
        )
    ]
    console.file.close()
    assert len(lines) == height and all(len(line) <= width for line in lines)
    text = "   ".join(line for line in lines if line.strip())
    assert all(key in text for key in KEYS), "none is cut, none is broken in two"
    assert "PLAYING" in text and "a problem" in text
