"""The command `jbdiff render`. Torch is imported when the command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from jbdiff.terminal import plain_console, with_home

console = plain_console()


@with_home
def render(
    path: Annotated[
        Path, typer.Argument(metavar="LIST.toml", help="list of pieces and takes; see docs/rendering.md")
    ],
    jobs: Annotated[
        int | None, typer.Option(min=1, max=1024, help="pieces at once; else one a core, or one a GPU")
    ] = None,
    device: Annotated[str, typer.Option(help="torch device; cuda uses every GPU")] = "cpu",
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="render on a Ray cluster, such as 10.0.0.5:6379; local starts one here"
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="replace existing files; a sound that is read is never replaced"),
    ] = False,
) -> None:
    """Make many pieces and takes from a list. After an interruption, the same command makes the rest."""
    from jbdiff.batch.command import BatchJob, run_batch
    from jbdiff.batch.request import BatchError

    try:
        summary = run_batch(BatchJob(path, jobs, device, ray, overwrite), console)
    except BatchError as error:
        plain_console(stderr=True).print(Text("error: ", "red") + Text(str(error)), soft_wrap=True)
        raise typer.Exit(1) from error
    for line in summary.lines():
        console.print(line, soft_wrap=True)
    if summary.failures:
        raise typer.Exit(1)
