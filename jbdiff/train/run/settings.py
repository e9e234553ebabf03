"""The options of every training command, from flags and from a TOML file. No torch here, so that --help is quick.

minutes = 30                # the names of the options, without their dashes; flags win over the file
data = "my-sounds"
[codec]                     # for one command alone
out = "runs/codec"
[codec.sizes]               # of the network that it trains
decoder_channels = 128
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from jbdiff.audio.writing import remedy
from jbdiff.plain_toml import nearest, read_toml_file
from jbdiff.terminal import at_home
from jbdiff.train.run.alone import alone
from jbdiff.train.run.schedule import Budget
from jbdiff.untyped import JsonDict, JsonTable

T = TypeVar("T")
SIZES = "sizes"  # name of a table in the file that holds sizes instead of options
ABOVE_ZERO = frozenset(("minutes", "hours", "steps", "rate", "seconds", "demo_minutes"))
MOST = 2**63 - 1  # of any number: what a 64-bit integer holds
RUNNING, MACHINE = "The run", "The machine"  # panels of --help


@dataclass(frozen=True)
class RunSettings:
    """The options that all runs share. A round is `round_steps` batches; the state is saved after each round.

    - `minutes_before`: minutes that earlier parts of the same run have used; they count towards `minutes`.
    - `judge_ends`: also measure held-out figures before the first step and after the last one.
    - `validations`: most held-out batches of one measurement; None: all that the stage has.
    - `half_products`: what the user says about matrix products in bfloat16; None: nothing. `bf16` is what the run does.
    - `sizes`: fields of the network's configuration that differ from the default.
    - `given`: the options of the command line by name, which are written to the run's `config.toml`.
    """

    out: Path
    minutes: float | None = None
    steps: int | None = None
    threads: int = 1
    workers: int = 0
    resume: bool = False
    round_steps: int = 100
    validate_every_rounds: int = 3
    demo_minutes: float = 10.0
    mixes: int = 3
    accelerator: str = "auto"
    devices: str = "auto"
    nodes: int = 1
    strategy: str = "auto"
    wandb: bool = False
    minutes_before: float = 0.0
    judge_ends: bool = False
    validations: int | None = None
    half_products: bool | None = None
    sizes: JsonTable = field(default_factory=dict)
    given: JsonTable = field(default_factory=dict)

    def budget(self) -> Budget:
        """The end of the run, as steps and minutes; counts from now, with the minutes before."""
        return Budget(self.steps, self.minutes, time.monotonic() - 60 * self.minutes_before)

    @property
    def bf16(self) -> bool:
        """Whether matrix products are in bfloat16: as the user says; if nothing is said, on a GPU only.

        On most processors products of bfloat16 are slower than those of float32, though these have instructions for it.
        """
        import torch

        if self.half_products is not None:
            return self.half_products
        return self.accelerator != "cpu" and torch.cuda.is_available()

    @property
    def state(self) -> Path:
        """Path of the training state."""
        return self.out / "last.ckpt"

    def sized(self, config: T) -> T:
        """Return the configuration with this run's sizes. Raises ValueError on a size that it does not have."""
        if not self.sizes:
            return config
        fields = {name.replace("-", "_"): value for name, value in self.sizes.items()}
        known = [item.name for item in dataclasses.fields(config) if item.name != "kind"]  # type: ignore[arg-type]
        for name in fields:
            if name not in known:
                raise ValueError(f"{type(config).__name__} has no size {name!r}; {nearest(name, known)}")
        tuples = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
        return dataclasses.replace(config, **fields | tuples)  # type: ignore[type-var]


def read_config(
    path: Path, command: str, known: Iterable[str], commands: Iterable[str]
) -> tuple[JsonDict, JsonDict]:
    """Return options and sizes of one command from a TOML file, by the names of its parameters.

    Raises ValueError if the file is not TOML, or on a key that the command does not know.
    """
    try:
        content = read_toml_file(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read {str(path)!r} as TOML: {error}") from error
    known, commands = set(known), set(commands)
    tables = {name: content.pop(name) for name in list(content) if isinstance(content[name], dict)}
    for name in tables:
        if name != SIZES and name not in commands:
            raise ValueError(f"{path}: no table [{name}]; {nearest(name, {SIZES, *commands})}")
    own = tables.get(command, {})
    sizes = tables.get(SIZES, {}) | own.pop(SIZES, {})
    options = {}
    for name, value in (content | own).items():
        key = name.replace("-", "_")
        if key not in known:
            shown = {word.replace("_", "-") for word in known}
            raise ValueError(f"{path}: 'train {command}' has no option {name!r}; {nearest(name, shown)}")
        options[key] = value
    return options, sizes


def take_config(context: typer.Context, path: Path | None) -> Path | None:
    """Replace the command's defaults by the options of a file."""
    if path is None or context.resilient_parsing:
        return path
    assert context.info_name is not None and context.parent is not None
    known = {p.name for p in context.command.params if p.name} - {"config", "help"}
    commands = getattr(context.parent.command, "commands", {})
    try:
        options, context.meta[SIZES] = read_config(path, context.info_name, known, commands)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    context.default_map = options
    return path


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        help="TOML file of options, by their names; flags win over it.", is_eager=True, callback=take_config
    ),
]


MinutesOption = Annotated[
    float | None, typer.Option(help="Stop after this many minutes.", rich_help_panel=RUNNING)
]
StepsOption = Annotated[
    int | None,
    typer.Option(help="Stop after this many steps, counted over all runs.", rich_help_panel=RUNNING),
]
MixesOption = Annotated[
    int, typer.Option(min=1, help="Mixes of each track, if --data holds stems.", rich_help_panel=RUNNING)
]
Bf16Option = Annotated[
    bool | None,
    typer.Option(
        "--bf16/--no-bf16",
        help="Matrix products in bfloat16. If not given: on a GPU only.",
        rich_help_panel=MACHINE,
    ),
]


def run_options(
    out: Annotated[Path, typer.Option(help="Folder of the run: state, weights, metrics, demos.")],
    config: ConfigOption = None,
    minutes: MinutesOption = None,
    steps: StepsOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out.", rich_help_panel=RUNNING)
    ] = False,
    round_steps: Annotated[
        int, typer.Option(min=1, help="Steps between saved states.", rich_help_panel=RUNNING)
    ] = 100,
    demo_minutes: Annotated[
        float, typer.Option(help="Minutes between demos; inf: none.", rich_help_panel=RUNNING)
    ] = 10.0,
    mixes: MixesOption = 3,
    wandb: Annotated[
        bool, typer.Option("--wandb", help="Also report to Weights & Biases.", rich_help_panel=RUNNING)
    ] = False,
    threads: Annotated[
        int, typer.Option(min=1, help="Processor threads of each process.", rich_help_panel=MACHINE)
    ] = 1,
    workers: Annotated[
        int,
        typer.Option(min=0, help="Workers of each process that draw batches ahead.", rich_help_panel=MACHINE),
    ] = 0,
    accelerator: Annotated[
        str, typer.Option(help="auto, cpu, gpu or another that Lightning knows.", rich_help_panel=MACHINE)
    ] = "auto",
    devices: Annotated[
        str, typer.Option(help="Number on each node, or a list (0,2); auto: all.", rich_help_panel=MACHINE)
    ] = "auto",
    nodes: Annotated[int, typer.Option(min=1, help="Machines.", rich_help_panel=MACHINE)] = 1,
    strategy: Annotated[
        str,
        typer.Option(
            help="auto, ddp or another of Lightning that keeps weights whole.", rich_help_panel=MACHINE
        ),
    ] = "auto",
    bf16: Bf16Option = None,
) -> RunSettings:
    """Return the settings from the options that all training commands share."""
    return RunSettings(
        out=out,
        minutes=minutes,
        steps=steps,
        resume=resume,
        round_steps=round_steps,
        demo_minutes=demo_minutes,
        mixes=mixes,
        wandb=wandb,
        threads=threads,
        workers=workers,
        accelerator=accelerator,
        devices=devices,
        nodes=nodes,
        strategy=strategy,
        half_products=bf16,
    )


def check_numbers(values: Mapping[str, object]) -> None:
    """Raise ValueError if an option, by the name of its parameter, has a number that no run can work with.

    A run without an end, or with a learning rate of nan, would only show in the morning.
    """
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        option = f"--{name.replace('_', '-')} {value}"
        if name == "demo_minutes" and value == math.inf:  # no demos
            continue
        if not math.isfinite(value):
            raise ValueError(f"{option}: give a finite number")
        if name in ABOVE_ZERO and value <= 0:
            raise ValueError(f"{option}: give a number above 0")
        if abs(value) > MOST:
            raise ValueError(f"{option}: {MOST} is the most")


@contextmanager
def in_one_line() -> Iterator[None]:
    """Print an error in one line, without a traceback, and end the command."""
    from jbdiff.stacks.weight_files import CheckpointError

    try:
        yield
    except (OSError, ValueError, CheckpointError) as error:
        typer.secho(f"error: {error}{remedy(error)}", fg="red", err=True)
        raise typer.Exit(1) from error


def with_run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes the shared options in place of its first parameter, a RunSettings.

    Errors that the user can mend are printed in one line. A run that fails on its way keeps its traceback.
    """
    common = inspect.signature(run_options, eval_str=True).parameters
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    context_parameter = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)

    @functools.wraps(command)
    def run(context: typer.Context, **values: Any) -> None:
        values = {name: at_home(value) for name, value in values.items()}
        with in_one_line():
            check_numbers(values)
        given = {name: value for name, value in values.items() if name not in ("config", "resume")}
        settings = run_options(**{name: values.pop(name) for name in common})
        settings = dataclasses.replace(settings, sizes=context.meta.get(SIZES, {}), given=given)
        with in_one_line(), alone(settings.out):
            command(settings, **values)

    shared = list(common.values())
    # --data, --out and --config come first in --help, because they are the options that everybody needs.
    parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in (own[0], *shared[:2], *own[1:], *shared[2:])]
    run.__signature__ = inspect.Signature([context_parameter, *parameters])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (context_parameter, *parameters)}
    return run
