"""Play without a window: show the state, obey the terminal's keys, and close the take. Main thread only."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.live import Live

from jbdiff_live.beat.line import ClockState
from jbdiff_live.parameters import SCENES
from jbdiff_live.session import Session
from jbdiff_live.shown import printable
from jbdiff_live.stage_word import stage_word
from jbdiff_live.start.terminal_keys import TerminalKeys
from jbdiff_live.start.terminal_view import terminal_view
from jbdiff_live.status import EngineState, Status
from jbdiff_live.system.ending import on_ending

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.05
FRAME_SECONDS = 0.1  # between two pictures
SECONDS_INTO_NOTHING = 30.0  # the length of a run without a device and without --seconds


class _Console(Console):
    """A console that raises an error if nobody reads its output. rich itself would end the program, and the music."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError("nobody reads what is printed")


class Announcements:
    """Prints on the console. If it has gone (a closed terminal, a pipe without a reader), the music goes on."""

    def __init__(self) -> None:
        # No markup: a name may contain brackets.
        self._console: Console | None = _Console(markup=False, emoji=False, highlight=False, soft_wrap=True)

    def terminal(self) -> Console | None:
        """Return the console if it is a terminal that can show a picture, else None."""
        console = self._console
        return (
            console if console is not None and console.is_terminal and not console.is_dumb_terminal else None
        )

    def say(self, text: str, style: str | None = None) -> None:
        if self._console is None:
            return
        try:
            self._console.print(printable(text), style=style)
        except (OSError, ValueError) as error:  # ValueError: a stream that was closed
            self._console = None
            log.info("the console has gone: %s", error)


class PlainLines:
    """Prints a line when something changes, for a log, a pipe, or a terminal that can only write."""

    def __init__(self, console: Announcements) -> None:
        self._console = console
        self._said: object = None

    def show(self, session: Session, status: Status) -> None:
        now = (
            stage_word(status, terminal=True),
            status.frame // (5 * status.sample_rate),
            status.message,
            status.note,
            status.stack.loading,
            status.control.osc and status.control.osc.last_unusable,
        )
        if now != self._said:
            self._said = now
            self._console.say(describe(status))


class Picture:
    """The whole instrument on a terminal, drawn at most ten times a second. If the terminal closes, music goes on."""

    def __init__(self, live: Live, console: Announcements) -> None:
        self._live: Live | None = live
        self._lines = PlainLines(console)
        self._drawn_at = float("-inf")

    def show(self, session: Session, status: Status) -> None:
        if self._live is None:
            self._lines.show(session, status)
            return
        now = time.monotonic()
        if now - self._drawn_at < FRAME_SECONDS:
            return
        self._drawn_at = now
        try:
            self._live.update(terminal_view(status, session.snapshot(), session.bindings()), refresh=True)
        except (OSError, ValueError) as error:
            self._live = None
            log.info("the terminal has gone: %s", error)


@contextmanager
def picture_or_lines(console: Announcements) -> Iterator[tuple[PlainLines | Picture, TerminalKeys]]:
    """Give the view for this terminal, and its keys. At the end the terminal is restored in every case."""
    screen = console.terminal()
    if screen is None:
        yield PlainLines(console), TerminalKeys()  # without entering their context, these keys read nothing
        return
    with TerminalKeys() as keys:
        live = Live(
            console=screen, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        with suppress(OSError, ValueError):
            live.start()
        try:
            yield Picture(live, console), keys
        finally:
            with suppress(OSError, ValueError):
                live.stop()


def play_headless(session: Session, seconds: float | None, record_take: bool) -> int:
    """Play until `seconds` of sound have played, or until interrupted. Return exit code 0 unless the engine failed.

    If no device plays, a take is always recorded, so that the sound is not lost.
    """
    console = Announcements()
    if note := session.status().note:
        console.say(f"{note}.")
    recover(session, console)
    if session.silent_device:
        if session.options.device != "null":
            console.say(f"{session.status().audio.problem}.", style="yellow")
        record_take = True
        seconds = seconds or SECONDS_INTO_NOTHING
    enough = threading.Event()
    with on_ending(enough.set):
        if record_take:
            session.record_from_first_block()
        session.start()
        with picture_or_lines(console) as (view, keys):
            heard = _play(session, seconds, enough, console, view, keys)
        return _finish(session, seconds, heard, console)


def recover(session: Session, console: Announcements) -> None:
    """Make takes whole that a crash broke off, and say so."""
    try:
        if session.broken_takes():
            for folder in session.recover_takes():
                console.say(f"A take was broken off the last time. It is recovered: {folder}")
    except (ValueError, OSError, RuntimeError) as error:  # a take that cannot be read, or a disk that refuses
        console.say(f"A broken take cannot be recovered: {error}", style="red")


def _play(
    session: Session,
    seconds: float | None,
    enough: threading.Event,
    console: Announcements,
    view: PlainLines | Picture,
    keys: TerminalKeys,
) -> Status:
    """Show the state and obey the keys, until the run ends. Return the last status."""
    sounding = False
    while not enough.is_set():
        for key in keys.wait(LOOK_SECONDS, enough):
            if obey(session, key):
                enough.set()
        status = session.status()
        if not sounding and status.frame > 0:
            sounding = True
            if isinstance(view, PlainLines):
                console.say("first sound")
        view.show(session, status)
        if status.engine.state is EngineState.FAILED:
            break
        if seconds and status.frame >= _first_frame(status) + int(seconds * status.sample_rate):
            break
    return session.status()


def _first_frame(status: Status) -> int:
    """Return the session's first frame that sounds: the silence before the stack's first sound is not played."""
    playing = status.stack.playing
    return 0 if playing is None else playing.latency_frames


# What a key does: a function of the session, an action, or a switch.
FUNCTIONS = {
    "Space": "play", "R": "record", "J": "keep", "Right": "next_patch", "Left": "previous_patch", "C": "capture_scene",
    "Z": "undo", "Y": "redo", "=": "compare", ",": "back", "<": "far_back", ".": "forward",
    **{str(n): f"scene_{n}" for n in range(1, SCENES + 1)},
}  # fmt: skip
ACTIONS = {"P": "panic", "N": "reroll", "B": "home", "V": "marker"}
SWITCHES = {"H": "hold", "M": "mute"}


def obey(session: Session, key: str) -> bool:
    """Do what a key means in the window. Return True if the player wants to end."""
    if key == "Q":
        return True
    if key in FUNCTIONS:
        session.perform(FUNCTIONS[key])
    elif key in ACTIONS:
        session.trigger(ACTIONS[key])
    elif key in SWITCHES:
        name = SWITCHES[key]
        session.set_parameter(name, float(not session.snapshot().on(name)))
    else:
        session.press_key(key)
    return False


def _finish(session: Session, seconds: float | None, heard: Status, console: Announcements) -> int:
    """Stop, close the take, and print a summary. heard: the status while the music played. Return the exit code."""
    rate, first = heard.sample_rate, _first_frame(heard)
    last_frame = first + int(seconds * rate) if seconds else None
    folder = heard.recorder.folder if heard.recorder.recording else None
    end = heard.frame if last_frame is None else min(last_frame, heard.frame)
    session.stop_recording(end)
    recorder = session.status().recorder
    try:
        session.stop()
    except TimeoutError as error:  # a block hangs; the take and the device are closed all the same
        console.say(f"{error}", style="red")
        return 1
    if heard.engine.state is EngineState.FAILED:
        console.say(f"The engine failed: {heard.engine.detail}", style="red")
        return 1
    engine = heard.engine
    if engine.blocks_made:
        _say_figures(heard, max(0, end - first) / rate, console)
    else:
        console.say("Nothing was played: the first block was not ready yet.")
    if recorder.problem:
        console.say(f"Recording: {recorder.problem}", style="red")
        return 1
    if folder is not None:
        console.say(f"Take: {folder}")
    return 0


def _say_figures(heard: Status, seconds: float, console: Announcements) -> None:
    """Say how long blocks and knobs took. seconds: of sound that played."""
    engine = heard.engine
    console.say(
        f"Played {seconds:.1f} s in {engine.blocks_made} blocks of {engine.block_duration:.2f} s; a block took "
        f"{engine.block_seconds_p99:.2f} s (p99), {engine.block_duration / max(engine.block_seconds_p99, 1e-9):.1f} "
        f"times faster than it plays. Underruns: {heard.audio.underruns}. Late blocks: {engine.late_blocks}."
    )
    if engine.reach_median:
        behind = heard.audio.device_seconds
        console.say(
            f"A knob that the next block reads is heard after {engine.reach_median + behind:.2f} s (median; p99 "
            f"{engine.reach_p99 + behind:.2f} s), gain and mute after {heard.audio.latency_seconds:.2f} s."
        )


def describe(status: Status) -> str:
    """Return one line about the state."""
    engine, word = status.engine, stage_word(status, terminal=True)
    if engine.state in (EngineState.LOADING, EngineState.WARMING):
        return f"{word.text}: {word.why}"
    text = (
        f"{word.text}: {status.frame / status.sample_rate:5.1f} s heard, "
        f"{status.seconds_queued:.1f} s queued, block {engine.block_seconds:.2f} of {engine.block_duration:.2f} s, "
        f"underruns {status.audio.underruns}"
    )
    loading = f"loading {status.stack.loading}" if status.stack.loading else ""
    clock = "" if status.clock.state is ClockState.NONE and not status.clock.detail else status.clock.text()
    osc = status.control.osc
    unusable = f"OSC: a message changed nothing: {osc.last_unusable}" if osc and osc.last_unusable else ""
    problems = (
        status.audio.problem,
        status.recorder.problem,
        status.recorder.warning,
        status.message,
        unusable,
    )
    parts = (clock, word.why, loading, *problems, status.note)
    return "; ".join([text, *dict.fromkeys(p for p in parts if p)])
