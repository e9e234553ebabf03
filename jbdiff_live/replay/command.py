"""The command `jbdiff-live replay TAKE`. Nothing heavy is imported before the options are understood."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jbdiff_live.replay.options import ReplayError, ReplayOptions

if TYPE_CHECKING:
    from jbdiff_live.replay.render import Replayed

SHOW_SECONDS = 0.5
LATEST = 1e6  # second of a take: eleven days


def replay_command(
    take: Annotated[Path, typer.Argument(help="The folder of a take.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the new take; default: TAKE-replay beside the take.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Denoising steps of the coarsest level.")
    ] = None,
    levels: Annotated[
        str | None, typer.Option(help="The levels that play, such as 210; the first stays the take's.")
    ] = None,
    finisher: Annotated[
        str | None,
        typer.Option(
            help="`none`, `own` (the stack's), or a stack whose finisher plays; default: as played."
        ),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Give full work to blocks that were made cheaper.")
    ] = False,
    stems: Annotated[
        bool, typer.Option("--stems", help="Also write each level's own sound, and the dry input.")
    ] = False,
    rate: Annotated[
        int | None, typer.Option(min=8000, max=384_000, help="Also write the sound at this rate, in Hz.")
    ] = None,
    from_block: Annotated[int | None, typer.Option(help="Begin with this block of the log.")] = None,
    from_seconds: Annotated[
        float | None,
        typer.Option("--from", min=0.0, max=LATEST, help="Begin with the block at this second of the take."),
    ] = None,
    to_seconds: Annotated[
        float | None, typer.Option("--to", min=0.0, max=LATEST, help="End at this second of the take.")
    ] = None,
    edits: Annotated[
        Path | None, typer.Option(help="A TOML file with edits of the log; see docs/takes.md.")
    ] = None,
    stack: Annotated[
        list[str] | None,
        typer.Option(help="A folder in place of a stack: NAME=FOLDER, or FOLDER for all. Repeatable."),
    ] = None,
    other_weights: Annotated[
        bool, typer.Option("--other-weights", help="Render even if a stack has other weights than the take.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="CPU threads of the model; default: as for the take.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin an interrupted replay anew.")] = False,
    progress: Annotated[
        str, typer.Option(help="`bar`, `none`, or `json`: one object a line for other programs.")
    ] = "bar",
) -> None:
    """Render a take again: the same samples, or better, or with an edited log.

    A replay that was interrupted goes on with the same command.
    """
    from jbdiff_live.stack_choice import parse_levels
    from jbdiff_live.start.option_values import parsed

    if progress not in ("bar", "none", "json"):
        raise typer.BadParameter(f"{progress!r}; give bar, none or json", param_hint="--progress")
    if from_block is not None and from_seconds is not None:
        raise typer.BadParameter("give either --from-block or --from", param_hint="--from-block")
    options = ReplayOptions(
        steps=steps,
        levels=None if levels is None else parsed(parse_levels, levels, "--levels"),
        finisher=finisher,
        full=full,
        stems=stems,
        rate=rate,
        from_block=from_block,
        from_seconds=from_seconds,
        to_seconds=to_seconds,
        edits=edits,
        stacks=tuple(_stack(text) for text in stack or ()),
        other_weights=other_weights,
        threads=threads,
        fresh=fresh,
    )
    folder = take.expanduser()
    target = (
        folder.with_name(f"{Path(os.path.realpath(folder)).name}-replay") if out is None else out.expanduser()
    )
    raise typer.Exit(_run(folder, target, options, progress))


def _stack(text: str) -> tuple[str, str]:
    """Parse NAME=FOLDER, or FOLDER for all stacks."""
    name, equals, folder = text.partition("=")
    return (name, folder) if equals else ("", text)


def _run(take: Path, out: Path, options: ReplayOptions, progress: str) -> int:
    """Render, show the progress, and return the exit status."""
    from jbdiff_live.shown import printable

    try:
        done = _rendered(take, out, options, progress)
    except KeyboardInterrupt:
        print("jbdiff-live: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except (ReplayError, ValueError, OSError, RuntimeError) as error:
        print(f"jbdiff-live: {printable(str(error))}", file=sys.stderr)
        return 2
    words = (
        "the same samples as the take's are expected"
        if done.exact
        else "the sound may differ from the take's"
    )
    if progress == "json":
        print(json.dumps({"folder": str(done.folder), "exact": done.exact, "notes": done.notes}), flush=True)
        return 0
    print(f"wrote {printable(str(done.folder))}: {done.blocks} blocks; {words}")
    for note in done.notes:
        print(f"  {printable(note)}")
    return 0


def _rendered(take: Path, out: Path, options: ReplayOptions, progress: str) -> Replayed:
    from jbdiff_live.replay.render import replay

    if progress == "bar":
        return _with_bar(take, out, options)
    shown_at = float("-inf")

    def show(done: int, of: int, left: float | None) -> None:
        nonlocal shown_at
        if progress == "json" and (done == of or time.monotonic() - shown_at >= SHOW_SECONDS):
            shown_at = time.monotonic()
            seconds = None if left is None else round(left, 1)
            print(json.dumps({"done": done, "of": of, "seconds_left": seconds}), flush=True)

    return replay(take, out, options, show)


def _with_bar(take: Path, out: Path, options: ReplayOptions) -> Replayed:
    """Render with a progress bar."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from jbdiff_live.replay.render import replay

    console = Console(markup=False, emoji=False, highlight=False, stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn("blocks"),
        TimeRemainingColumn(),
    )  # fmt: skip
    bar = Progress(*columns, console=console)
    task = bar.add_task(out.name)

    def show(done: int, of: int, left: float | None) -> None:
        bar.update(task, completed=done, total=of)
        bar.start()  # no bar before a replay that is refused

    try:
        return replay(take, out, options, show, console.print)
    finally:
        if bar.live.is_started:
            bar.stop()
