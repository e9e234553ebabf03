"""The command line: make a session from the options, then open the window or play without one.

Main thread. Nothing of the instrument is imported before the options are understood, so that `--help` answers at once.
"""

from __future__ import annotations

import logging
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from jbdiff_live.beat.line import MOST_BEATS, MOST_OFFSET
from jbdiff_live.replay.command import replay_command
from jbdiff_live.start.option_values import input_pair, one_of, parsed
from jbdiff_live.start.port_options import port_options
from jbdiff_live.system.takes_folder import LEAST_KEEP_MINUTES, LEAST_MB, MOST_MB, MOST_MINUTES

if TYPE_CHECKING:
    from jbdiff_live.kept.content import Ports
    from jbdiff_live.session import Session, SessionOptions
    from jbdiff_live.start.kept_session import KeptSession
    from jbdiff_live.start.screen import ScreenTrial
    from jbdiff_live.ui.window import MainWindow

USUAL_PATCH = "drift"
LONGEST_SHORT_RING = 1 << 17  # frames: three seconds

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


app.command("replay")(replay_command)


@app.callback(invoke_without_command=True)
def play(
    ctx: typer.Context,
    headless: Annotated[bool, typer.Option("--headless", help="Play without a window.")] = False,
    seconds: Annotated[
        float | None, typer.Option(min=1.0, help="Stop after this many seconds of sound (headless).")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Record a take into this folder from the first sound on.")
    ] = None,
    take: Annotated[
        str,
        typer.Option(
            help="What a take has: heard, engine (before gain, mute and limiter), both, or stems (both, and the dry "
            "input)."
        ),
    ] = "heard",
    always_minutes: Annotated[
        float,
        typer.Option(min=0.0, max=MOST_MINUTES, help="Minutes always recorded, for `keep that`; 0: off."),
    ] = 30.0,
    always_mb: Annotated[
        float, typer.Option(min=LEAST_MB, max=MOST_MB, help="The most megabytes of them on the disk.")
    ] = 1000.0,
    keep_minutes: Annotated[
        float, typer.Option(min=LEAST_KEEP_MINUTES, max=MOST_MINUTES, help="Minutes that `keep that` takes.")
    ] = 5.0,
    context: Annotated[
        Path | None, typer.Option(help="A sound file to continue: any format and rate soundfile reads.")
    ] = None,
    init: Annotated[Path | None, typer.Option(help="A sound file for `resample` to start from.")] = None,
    patch: Annotated[
        str | None,
        typer.Option(help="A factory patch by name, or a patch file; default: the last session's, or drift."),
    ] = None,
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
        list[str] | None, typer.Option(help="MIDI input by (part of its) name; default: `all`.")
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
        int | None,
        typer.Option(min=0, max=65535, help="Receive OSC on this UDP port, 0: none; see docs/modular.md."),
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
        typer.Option(
            min=-MOST_OFFSET, max=MOST_OFFSET, help="Milliseconds to add to the times of incoming MIDI clock."
        ),
    ] = 0.0,
    beats_per_bar: Annotated[int, typer.Option(min=1, max=MOST_BEATS, help="Beats in a bar.")] = 4,
    short_ring: Annotated[
        int, typer.Option(help="Frames in the short ring before the device: fewer is quicker, more is safer.")
    ] = 4096,
    ladder: Annotated[
        bool,
        typer.Option("--ladder/--no-ladder", help="Make cheaper blocks if time is short, not silence."),
    ] = True,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, max=1024, help="CPU threads for the model; default: half the cores, on Linux at least 2."
        ),
    ] = None,
    safe: Annotated[bool, typer.Option("--safe", help="Start without the last session; it is kept.")] = False,
    session: Annotated[
        str | None,
        typer.Option(
            help="Keep the session in this file; `last`: the window's own. Without a window, only this keeps one."
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
    if ctx.invoked_subcommand is not None:
        return
    from jbdiff_live import __version__

    if version:
        print(f"jbdiff-live {__version__}")
        return
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(name)s: %(message)s", stream=sys.stderr
    )
    from jbdiff_live.binding import TakeoverMode
    from jbdiff_live.session import SessionOptions
    from jbdiff_live.stack_choice import parse_levels
    from jbdiff_live.start.prepare import at_home
    from jbdiff_live.system.thread_priority import process_goes_first

    _check(short_ring, seconds)
    if measure_loopback:
        from jbdiff_live.start.loopback import measure_and_keep

        raise typer.Exit(measure_and_keep(device, input_device))
    record, context, init = (at_home(path) for path in (record, context, init))
    options = SessionOptions(
        stack=stack,
        levels=None if levels is None else parsed(parse_levels, levels, "--levels"),
        finisher=finisher,
        hop=hop,
        steps=steps,
        input_channels=() if input_channels is None else input_pair(input_channels),
        midi_api=midi_api,
        virtual_midi=virtual_midi,
        takeover=one_of(TakeoverMode, takeover, "--takeover"),
        program_channel=program_channel,
        take_pictures=True,
        short_ring_frames=short_ring,
        threads=threads,
        ladder=ladder,
    )
    logging.getLogger("jbdiff_live").info("priority: %s", process_goes_first().text)
    wanted = _Wanted(
        headless, seconds, record, context, init, patch, tuple(values or ()), tuple(cv or ()), list_devices,
        list_bindings, safe, session,
    )  # fmt: skip
    _run(options, _ports(ctx), wanted)


@dataclass(frozen=True)
class _Wanted:
    """The options of this run that are not the session's own. record: the folder of the take."""

    headless: bool
    seconds: float | None
    record: Path | None
    context: Path | None
    init: Path | None
    patch: str | None
    values: tuple[str, ...]
    calibrations: tuple[str, ...]
    list_devices: bool
    list_bindings: bool
    safe: bool
    session: str | None

    @property
    def lists(self) -> bool:
        """True if this run only prints a list."""
        return self.list_devices or self.list_bindings


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


def _ports(ctx: typer.Context) -> tuple[Ports, frozenset[str]]:
    """Return the devices and ports of the command line, and the names of those that it names."""
    from jbdiff_live.kept.content import Ports

    values = {name: ctx.params[name] for name in Ports.__struct_fields__}
    inputs = tuple(values["midi"] or ())
    values["midi"] = None if inputs in ((), ("all",)) else inputs
    values["send"] = tuple(values["send"] or ())
    sources = {name: ctx.get_parameter_source(name) for name in values}
    named = (name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE")
    return Ports(**values), frozenset(named)


def _run(options: SessionOptions, ports: tuple[Ports, frozenset[str]], wanted: _Wanted) -> None:
    """Make a session, list or play, and close it in every case. Raises typer.Exit with the exit status."""
    from jbdiff_live.start.kept_session import KeptSession, open_kept
    from jbdiff_live.start.screen import ScreenTrial
    from jbdiff_live.system.ending import Interrupts, on_ending

    interrupts = Interrupts()
    with on_ending(interrupts):
        trial = None if wanted.headless or wanted.lists else ScreenTrial()
        kept, session = KeptSession(), None
        try:
            if not wanted.lists:
                kept = open_kept(trial is not None and not trial.hopeless, wanted.safe, wanted.session)
            session = _opened(options, ports, wanted, kept)
            raise typer.Exit(_list_or_play(session, trial, wanted, kept))
        except (ValueError, OSError, KeyError, RuntimeError) as error:
            if isinstance(error, typer.Exit):  # a subclass of RuntimeError, but not an error
                raise
            _end_with(error)
        except typer.BadParameter:
            raise
        except Exception:
            kept.failed()
            raise
        finally:
            interrupts.closing = True  # no interrupt from here on: the take is being closed
            if trial is not None:
                trial.close()
            kept.close(session)
            if session is not None:
                session.close()


def _end_with(error: Exception) -> NoReturn:
    """Print why the program ends, and end it."""
    from jbdiff.audio.writing import remedy
    from jbdiff_live.shown import printable

    log = logging.getLogger("jbdiff_live")
    log.info("", exc_info=error)
    words = printable(str(error.args[0] if isinstance(error, KeyError) else error))
    print(f"jbdiff-live: {words}{remedy(error)}", file=sys.stderr)
    raise typer.Exit(2) from error


def _list_or_play(session: Session, trial: ScreenTrial | None, wanted: _Wanted, kept: KeptSession) -> int:
    """Print the list that is wanted, or play until the end. Return the exit status."""
    from jbdiff_live.start.listing import binding_lines, print_all, reader_may_go
    from jbdiff_live.start.prepare import load_patch, load_sounds, set_values

    if wanted.list_devices:
        with reader_may_go():
            print_all(session)
        return 0
    if not kept.resume(session) or wanted.patch is not None:
        load_patch(session, wanted.patch or USUAL_PATCH)
    set_values(session, wanted.values)
    load_sounds(session, wanted.context, wanted.init)
    if wanted.record is not None:
        session.keep_folder("takes", wanted.record)
    if wanted.list_bindings:
        with reader_may_go():
            print(*binding_lines(session.binding_rows_of(session.midi_inputs())), sep="\n")
        return 0
    session.open()
    kept.keep(session)
    return _play(session, trial, wanted, kept)


def _play(session: Session, trial: ScreenTrial | None, wanted: _Wanted, kept: KeptSession) -> int:
    """Play an open session until its end, and return the exit status. trial: None plays without a window."""
    if trial is not None and (problem := trial.problem()):
        print(f"{problem[0].upper()}{problem[1:]}: playing without a window.", flush=True)
        trial = None
    if trial is None:
        from jbdiff_live.start.headless import play_headless

        return play_headless(session, wanted.seconds, record_take=wanted.record is not None)
    from jbdiff_live.ui.app import run
    from jbdiff_live.ui.recovery import offer_recovery

    if wanted.record is not None:
        session.record_from_first_block()
        session.start()

    def arrived(window: MainWindow) -> None:
        kept.arrived()
        offer_recovery(window, session.broken_takes(), session.recover_takes)

    return run(
        session,
        on_ready=arrived,
        place=kept.place,
        on_place=session.session_desk.put_place,
    )


def _opened(
    options: SessionOptions, ports: tuple[Ports, frozenset[str]], wanted: _Wanted, kept: KeptSession
) -> Session:
    """Return the session. If the options do not allow one, print the reason and end the program.

    Devices and ports of the last session that cannot be used are left out.
    """
    from jbdiff_live.beat.link import LinkError
    from jbdiff_live.session import Session

    chosen, remembered = kept.over(*ports)
    try:
        fields = port_options(chosen, wanted.calibrations) | {"ports": kept.to_keep(chosen)}
        fields["takes"] = kept.takes_folder(wanted.record)
        return Session(replace(options, **fields, remembered=remembered))
    except (LinkError, ValueError, typer.BadParameter) as error:  # ValueError: only the session can judge it
        if not remembered:
            if isinstance(error, typer.BadParameter):
                raise
            print(f"jbdiff-live: {error}", file=sys.stderr)
            raise typer.Exit(2) from error
        kept.without_ports(error)
        return _opened(options, ports, wanted, kept)
