"""The command line: make a session from the options, then open the window or play without one.

Main thread. Nothing of the instrument is imported before the options are understood, so that `--help` answers at once.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from jbdiff_live.beat.line import ClockSource
    from jbdiff_live.binding import TakeoverMode
    from jbdiff_live.links import LinkOptions
    from jbdiff_live.session import Session, SessionOptions
    from jbdiff_live.start.screen import ScreenTrial

T = TypeVar("T")
LONGEST_SHORT_RING = 1 << 17  # frames: three seconds

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


@app.command()
def play(
    headless: Annotated[bool, typer.Option("--headless", help="Play without a window.")] = False,
    seconds: Annotated[
        float | None, typer.Option(min=1.0, help="Stop after this many seconds of sound (headless).")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Record a take into this folder from the first sound on.")
    ] = None,
    context: Annotated[
        Path | None, typer.Option(help="A sound file to continue: any format and rate soundfile reads.")
    ] = None,
    init: Annotated[Path | None, typer.Option(help="A sound file for `resample` to start from.")] = None,
    patch: Annotated[str, typer.Option(help="A factory patch by name, or a patch file.")] = "drift",
    values: Annotated[
        list[str] | None,
        typer.Option("--set", help="A parameter, as name=value; may be repeated. --list shows all."),
    ] = None,
    stack: Annotated[
        str | None,
        typer.Option(help="Model stack by name, or a folder of checkpoints; default: the patch's."),
    ] = None,
    levels: Annotated[str | None, typer.Option(help="The stack's levels that play, such as 21.")] = None,
    finisher: Annotated[
        bool | None,
        typer.Option("--finisher/--no-finisher", help="The stack's stereo finisher, if it has one."),
    ] = None,
    hop: Annotated[
        int | None,
        typer.Option(
            min=16, help="Tokens in a block. Fewer than a window: knobs act sooner, and the work grows."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps of the coarsest level.")] = None,
    device: Annotated[
        str | None, typer.Option(help="Sound device by (part of its) name; `null` plays silently in time.")
    ] = None,
    input_device: Annotated[
        str | None, typer.Option("--input", help="Sound device for the live input.")
    ] = None,
    input_channels: Annotated[
        str | None, typer.Option(help="One or two channels of --input, such as 3 or 3,4; default: 1,2.")
    ] = None,
    measure_loopback: Annotated[
        bool,
        typer.Option(
            "--measure-loopback",
            help="Play a noise, find it in --input, keep the delay for these devices, and end.",
        ),
    ] = False,
    midi: Annotated[
        list[str] | None, typer.Option(help="MIDI input by (part of its) name; default: all of them.")
    ] = None,
    midi_api: Annotated[
        str | None, typer.Option(help="MIDI API: LINUX_ALSA, UNIX_JACK, MACOSX_CORE or WINDOWS_MM.")
    ] = None,
    virtual_midi: Annotated[
        str | None, typer.Option(help="Also open a MIDI input of this name for others to connect to.")
    ] = None,
    takeover: Annotated[
        str,
        typer.Option(help="What a knob does if its position differs from its value: pickup, jump or scale."),
    ] = "pickup",
    program_channel: Annotated[
        int | None,
        typer.Option(
            min=0, max=16, help="MIDI channel whose program changes load patches; 0: none, default: all."
        ),
    ] = None,
    osc: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Receive OSC on this UDP port; see docs/modular.md.")
    ] = None,
    osc_host: Annotated[
        str, typer.Option(help="Address that OSC is received on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    osc_out: Annotated[
        str | None, typer.Option(help="Send what changes by OSC, as HOST:PORT, such as 127.0.0.1:9001.")
    ] = None,
    cv_in: Annotated[
        str | None,
        typer.Option(help="Sound device whose inputs carry control voltages, by (part of its) name."),
    ] = None,
    cv: Annotated[
        list[str] | None,
        typer.Option(help="Calibrate a CV channel: 3=-0.5:0.5 names the samples at both ends. Repeatable."),
    ] = None,
    send: Annotated[
        list[str] | None,
        typer.Option(help="Send envelope, brightness, novelty or gate: 'envelope=CV 3', 'gate=note C3'."),
    ] = None,
    midi_out: Annotated[
        str | None, typer.Option(help="MIDI output of --send, by (part of its) name.")
    ] = None,
    clock: Annotated[
        str,
        typer.Option(help="Where tempo and bars come from: internal, midi, or link (Ableton Link)."),
    ] = "internal",
    clock_out: Annotated[
        str | None,
        typer.Option(
            metavar="PORT",
            help="Send MIDI clock and gates to this MIDI output (part of its name); `virtual` opens one.",
        ),
    ] = None,
    clock_offset: Annotated[
        float,
        typer.Option(min=-200, max=200, help="Milliseconds to add to the times of incoming MIDI clock."),
    ] = 0.0,
    beats_per_bar: Annotated[int, typer.Option(min=1, max=16, help="Beats in a bar.")] = 4,
    short_ring: Annotated[
        int, typer.Option(help="Frames in the short ring before the device: fewer is quicker, more is safer.")
    ] = 4096,
    ladder: Annotated[
        bool,
        typer.Option("--ladder/--no-ladder", help="Make cheaper blocks if time is short, or leave silence."),
    ] = True,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, max=1024, help="CPU threads for the model; default: half the cores, on Linux at least 2."
        ),
    ] = None,
    list_devices: Annotated[
        bool, typer.Option("--list", help="List devices, patches and parameters.")
    ] = False,
    list_bindings: Annotated[
        bool, typer.Option("--bindings", help="List what each control of each MIDI input does.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print more on the console.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Play. Opens a window if there is a screen; else plays without one, into the sound device or a take."""
    from jbdiff_live import __version__

    if version:
        print(f"jbdiff-live {__version__}")
        return
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(name)s: %(message)s", stream=sys.stderr
    )
    from jbdiff_live.session import SessionOptions
    from jbdiff_live.stack_choice import parse_levels
    from jbdiff_live.system.thread_priority import process_goes_first

    _check(short_ring, seconds)
    if measure_loopback:
        from jbdiff_live.start.loopback import measure_and_keep

        raise typer.Exit(measure_and_keep(device, input_device))
    record, context, init = (_at_home(path) for path in (record, context, init))
    options = SessionOptions(
        stack=stack,
        levels=None if levels is None else _parsed(parse_levels, levels, "--levels"),
        finisher=finisher,
        hop=hop,
        steps=steps,
        device=device,
        input_device=input_device,
        input_channels=() if input_channels is None else _channels(input_channels),
        midi=tuple(midi) if midi else None,
        midi_api=midi_api,
        virtual_midi=virtual_midi,
        takeover=_takeover(takeover),
        program_channel=program_channel,
        takes=record or Path("takes"),
        short_ring_frames=short_ring,
        threads=threads,
        ladder=ladder,
        links=_links(osc, osc_host, osc_out, cv_in, cv or [], send or [], midi_out),
        clock=_clock_source(clock),
        clock_out=clock_out,
        clock_offset=clock_offset / 1000,
        beats_per_bar=beats_per_bar,
    )
    logging.getLogger("jbdiff_live").info("priority: %s", process_goes_first().text)
    _run(
        options,
        _Wanted(
            headless, seconds, record, context, init, patch, tuple(values or ()), list_devices, list_bindings
        ),
    )


@dataclass(frozen=True)
class _Wanted:
    """The options of this run that are not the session's own. record: the folder of the take."""

    headless: bool
    seconds: float | None
    record: Path | None
    context: Path | None
    init: Path | None
    patch: str
    values: tuple[str, ...]
    list_devices: bool
    list_bindings: bool


def _check(short_ring: int, seconds: float | None) -> None:
    """Check the numbers that typer does not check."""
    if not 256 <= short_ring <= LONGEST_SHORT_RING or short_ring & (short_ring - 1):
        raise typer.BadParameter(
            f"{short_ring} is not a power of two from 256 to {LONGEST_SHORT_RING}", param_hint="--short-ring"
        )
    if seconds is not None and not math.isfinite(seconds):
        raise typer.BadParameter(
            f"{seconds} is no number of seconds; leave it out to play until you stop it",
            param_hint="--seconds",
        )


def _run(options: SessionOptions, wanted: _Wanted) -> None:
    """Make a session, list or play, and close it in every case. Raises typer.Exit with the exit status."""
    from jbdiff_live.session import Session
    from jbdiff_live.shown import printable
    from jbdiff_live.start.listing import binding_lines, print_all, reader_may_go
    from jbdiff_live.start.screen import ScreenTrial
    from jbdiff_live.system.ending import Interrupts, on_ending

    interrupts = Interrupts()
    with on_ending(interrupts):
        session, trial = _opened(Session, options), None
        try:
            if wanted.list_devices:
                with reader_may_go():
                    print_all(session)
                return
            trial = None if wanted.headless or wanted.list_bindings else ScreenTrial()
            _prepare(session, wanted)
            if wanted.list_bindings:
                with reader_may_go():
                    print(*binding_lines(session.binding_rows_of(session.midi_inputs())), sep="\n")
                return
            session.open()
            raise typer.Exit(_play(session, trial, wanted))
        except (ValueError, OSError, KeyError, RuntimeError) as error:
            if isinstance(error, typer.Exit):  # a subclass of RuntimeError, but not an error
                raise
            log = logging.getLogger("jbdiff_live")
            log.info("", exc_info=error)
            words = printable(str(error.args[0] if isinstance(error, KeyError) else error))
            print(f"jbdiff-live: {words}", file=sys.stderr)
            raise typer.Exit(2) from error
        finally:
            interrupts.closing = True  # no interrupt from here on: the take is being closed
            if trial is not None:
                trial.close()
            session.close()


def _play(session: Session, trial: ScreenTrial | None, wanted: _Wanted) -> int:
    """Play an open session until its end, and return the exit status. trial: None plays without a window."""
    if trial is not None and (problem := trial.problem()):
        print(f"{problem[0].upper()}{problem[1:]}: playing without a window.", flush=True)
        trial = None
    if trial is None:
        from jbdiff_live.start.headless import play_headless

        return play_headless(session, wanted.seconds, record_take=wanted.record is not None)
    from jbdiff_live.ui.app import run

    if wanted.record is not None:
        session.record_from_first_block()
        session.start()
    return run(session)


def _at_home(path: Path | None) -> Path | None:
    """Return a path with `~` replaced by the home folder. After an equals sign the shell does not replace it."""
    try:
        return None if path is None else path.expanduser()
    except RuntimeError as error:
        raise typer.BadParameter(f"{path}: no home folder is known here; give the whole path") from error


def _links(
    port: int | None,
    host: str,
    out: str | None,
    cv_in: str | None,
    spans: Sequence[str],
    sends: Sequence[str],
    midi_out: str | None,
) -> LinkOptions:
    """Return the options of OSC, control voltages and the rack."""
    from jbdiff_live.control.cv import parse_span
    from jbdiff_live.control.osc.link import OscSettings, parse_address
    from jbdiff_live.links import LinkOptions
    from jbdiff_live.modular.sends import MidiSend, parse_send

    if spans and cv_in is None:
        raise typer.BadParameter("name the sound device with --cv-in", param_hint="--cv")
    address = None if out is None else _parsed(parse_address, out, "--osc-out")
    parsed = tuple(_parsed(parse_send, text, "--send") for text in sends)
    if midi_out is None and any(isinstance(one, MidiSend) for one in parsed):
        raise typer.BadParameter("name the MIDI output with --midi-out", param_hint="--send")
    return LinkOptions(
        OscSettings(port, host, address),
        cv_in,
        tuple(_parsed(parse_span, text, "--cv") for text in spans),
        parsed,
        midi_out,
    )


def _parsed(parse: Callable[[str], T], text: str, option: str) -> T:
    """Return what `parse` makes of an option. After a ValueError, the program names the option and ends."""
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _channels(text: str) -> tuple[int, ...]:
    """Return the channels of the option: "3" or "3,4"."""
    parts = [part.strip() for part in text.split(",")]
    if not 1 <= len(parts) <= 2 or not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise typer.BadParameter(
            f"{text!r}: give one or two channels, such as 3 or 3,4", param_hint="--input-channels"
        )
    return tuple(int(part) for part in parts)


def _takeover(text: str) -> TakeoverMode:
    from jbdiff_live.binding import TakeoverMode

    try:
        return TakeoverMode(text)
    except ValueError:
        known = ", ".join(mode.value for mode in TakeoverMode)
        raise typer.BadParameter(f"{text!r}; choose one of {known}", param_hint="--takeover") from None


def _clock_source(text: str) -> ClockSource:
    from jbdiff_live.beat.line import ClockSource

    try:
        return ClockSource(text)
    except ValueError:
        known = ", ".join(source.value for source in ClockSource)
        raise typer.BadParameter(f"{text!r}; choose one of {known}", param_hint="--clock") from None


def _opened(make: Callable[[SessionOptions], Session], options: SessionOptions) -> Session:
    """Return the session. If it cannot be made, print the reason and end the program."""
    from jbdiff_live.beat.link import LinkError

    try:
        return make(options)
    except (LinkError, ValueError) as error:  # ValueError: an option that only the session can judge
        print(f"jbdiff-live: {error}", file=sys.stderr)
        raise typer.Exit(2) from error


def _prepare(session: Session, wanted: _Wanted) -> None:
    """Put patch, values and files from the command line into the session, in that order."""
    from jbdiff_live.parameters import BY_NAME, Origin, unknown_name

    known = session.patches()
    patch = wanted.patch
    path = known[patch] if patch in known else _at_home(Path(patch))
    assert path is not None
    if not path.exists():
        raise ValueError(f"no patch {patch!r}; there are: {', '.join(known)}; or give a file")
    session.load_patch(path)
    for text in wanted.values:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set {text}: needs name=value, such as --set noise_step=0.5")
        if name not in BY_NAME:
            raise unknown_name(name)
        session.store.set(name, _parse(name, value), Origin.SESSION)
    if wanted.context is not None:
        session.load_context_file(wanted.context)
    if wanted.init is not None:
        session.load_init_file(wanted.init)
    session.wait_for_files()


def _parse(name: str, text: str) -> float:
    from jbdiff_live.parameters import BY_NAME

    parameter = BY_NAME[name]
    if parameter.toggle and text.lower() in ("on", "off", "true", "false"):
        return parameter.parse(text.lower() in ("on", "true"))
    try:
        number = float(text)
    except ValueError:
        return parameter.parse(text)  # a name; or this raises an error that says what is needed
    return parameter.parse(number)


def main() -> None:
    # A character that the console cannot encode becomes a question mark. A file name must not end the concert.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    app()


if __name__ == "__main__":
    main()
