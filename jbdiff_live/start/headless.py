"""Playing without a window: waits, tells how it goes, and closes the take. Main thread only."""

from __future__ import annotations

import logging
import threading

from rich.console import Console

from jbdiff_live.beat.line import ClockState
from jbdiff_live.ending import on_ending
from jbdiff_live.session import Session
from jbdiff_live.stage_word import stage_word
from jbdiff_live.status import EngineState, Status

log = logging.getLogger(__name__)

SECONDS_INTO_NOTHING = 30.0  # a run that nobody hears and nobody limited ends by itself


class _Console(Console):
    """rich ends the program where nobody reads what is printed; here the music is what counts."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError("nobody reads what is printed")


class Announcements:
    """What is said on the console. One that has gone (a closed terminal, a pipe without a reader) ends nothing."""

    def __init__(self) -> None:
        # Names are no markup, whatever brackets they hold.
        self._console: Console | None = _Console(markup=False, emoji=False, highlight=False, soft_wrap=True)

    def say(self, text: str, style: str | None = None) -> None:
        if self._console is None:
            return
        try:
            self._console.print(text, style=style)
        except (OSError, ValueError) as error:  # ValueError: a stream that was closed
            self._console = None
            log.info("the console has gone: %s", error)


def play_headless(session: Session, seconds: float | None, record_take: bool) -> int:
    """Plays until `seconds` of sound were heard, or until interrupted. Exit code 0 unless the engine failed.

    Where the sound goes nowhere a take is recorded, asked for or not, so that it always ends with sound
    somewhere.
    """
    console = Announcements()
    if note := session.status().note:
        console.say(f"{note}.")
    if session.silent_device:
        if session.options.device != "null":
            console.say(f"{session.status().audio.problem}.", style="yellow")
        record_take = True
        seconds = seconds or SECONDS_INTO_NOTHING
    enough = threading.Event()
    with on_ending(enough.set):
        return _play(session, seconds, record_take, enough, console)


def _play(
    session: Session,
    seconds: float | None,
    record_take: bool,
    enough: threading.Event,
    console: Announcements,
) -> int:
    rate = session.generator.sample_rate
    last_frame = int(seconds * rate) if seconds else None
    if record_take:
        session.record_from_first_block()
    session.start()
    said: object = None
    sounding = False
    while not enough.wait(0.05):
        status = session.status()
        if not sounding and status.frame > 0:
            sounding = True
            console.say("first sound")
        word = stage_word(status)
        now = (word, status.frame // (5 * rate), status.message, status.note, status.stack.loading)
        if now != said:
            said = now
            console.say(describe(status))
        if status.engine.state is EngineState.FAILED:
            break
        if last_frame is not None and status.frame >= last_frame:
            break
    heard = session.status()
    folder = heard.recorder.folder if heard.recorder.recording else None
    end = heard.frame if last_frame is None else min(last_frame, heard.frame)
    session.stop_recording(end)
    recorder = session.status().recorder
    try:
        session.stop()
    except TimeoutError as error:  # a block that hangs: the take is closed, and the device too
        console.say(f"{error}", style="red")
        return 1
    if heard.engine.state is EngineState.FAILED:
        console.say(f"The engine failed: {heard.engine.detail}", style="red")
        return 1
    engine = heard.engine
    console.say(
        f"Played {end / rate:.1f} s in {engine.blocks_made} blocks of {engine.block_duration:.2f} s; a block took "
        f"{engine.block_seconds_p99:.2f} s (p99), {engine.block_duration / max(engine.block_seconds_p99, 1e-9):.1f} "
        f"times faster than it plays. Underruns: {heard.audio.underruns}. Late blocks: {engine.late_blocks}."
    )
    if engine.reach_median:
        behind = heard.audio.device_seconds
        console.say(
            f"A knob that the next block reads is heard after {engine.reach_median + behind:.2f} s (median; p99 "
            f"{engine.reach_p99 + behind:.2f} s), gain and mute after {heard.audio.latency_seconds:.2f} s."
        )
    if recorder.problem:
        console.say(f"Recording: {recorder.problem}", style="red")
        return 1
    if folder is not None:
        console.say(f"Take: {folder}")
    return 0


def describe(status: Status) -> str:
    """One line on how it goes."""
    engine, word = status.engine, stage_word(status)
    if engine.state in (EngineState.LOADING, EngineState.WARMING):
        return f"{word.text}: {word.why}"
    text = (
        f"{word.text}: {status.frame / status.sample_rate:5.1f} s heard, "
        f"{status.seconds_queued:.1f} s queued, block {engine.block_seconds:.2f} of {engine.block_duration:.2f} s, "
        f"underruns {status.audio.underruns}"
    )
    loading = f"loading {status.stack.loading}" if status.stack.loading else ""
    clock = "" if status.clock.state is ClockState.NONE and not status.clock.detail else status.clock.text()
    problems = (status.audio.problem, status.recorder.problem, status.message)
    parts = (clock, word.why, loading, *problems, status.note)
    return "; ".join([text, *dict.fromkeys(p for p in parts if p)])
