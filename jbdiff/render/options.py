"""The options of `jbdiff sample`, from a TOML file and from flags, as stream settings. No torch here.

seconds = 30            # also: seeds, levels, token_multiplier, hop, sampler, bits, stems, pictures, style, step,
                        # resample; of stacks with an anchor: anchor, tempo, brightness, motion; with echoes: memory,
                        # theme
[level1]
steps = 20              # also: guidance, strength, handover, priming, update_context
[finisher]
on = true               # also: steps, strength, seed, style, step
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from jbdiff.config import NoiseStyle
from jbdiff.plain_toml import parse_toml, read_toml_file
from jbdiff.stream.settings import BlockSettings, FinisherSettings, Handover, LevelSettings
from jbdiff.untyped import JsonDict, JsonTable

E = TypeVar("E", bound=enum.Enum)
NUMBER = (int, float)
# Ranges of the options for the style of a piece. A denoiser cannot follow a tempo outside of its range.
RANGES = {
    "anchor": (0.0, 1.0),
    "memory": (0.0, 1.0),
    "theme": (0.0, 1.0),
    "tempo": (0.0, 300.0),
    "brightness": (-1.0, 1.0),
    "motion": (-1.0, 1.0),
}
LONGEST_SECONDS = 7 * 24 * 3600.0
MOST = (1 << 31) - 1  # largest count; a seed may have 64 bits
MOST_STEPS = 10_000


class OptionError(ValueError):
    """An option that is unknown, of the wrong kind or out of range. The message gives what is allowed."""


@dataclass(frozen=True)
class RenderOptions:
    """All options of one call of `jbdiff sample`."""

    seconds: float = 20.0
    seeds: tuple[int, ...] = (0,)
    levels: tuple[int, ...] | None = None
    token_multiplier: int = 1
    hop: int | None = None  # tokens of the coarsest level in a block; None: its whole window
    sampler: str = ""  # a name of `diffusion.samplers.SAMPLERS`; empty: the stack's own
    bits: int = 24
    stems: bool = False
    pictures: bool = False
    crossfade: str | None = None  # of v1's finished windows: linear or constant-power
    style: NoiseStyle = NoiseStyle.WALK
    step: float = 0.3
    resample: float = 0.0
    anchor: float = 1.0  # 0..1: how firmly a piece keeps to the style it began with
    tempo: float | None = None  # beats a minute; 0 is no clock, None that of the context
    brightness: float = 0.0  # -1..1
    motion: float = 0.0  # -1..1
    memory: float = 0.7  # 0..1: how much a piece repeats its own bars
    theme: float = 0.5  # 0..1: how often it returns to what it began with
    level: Mapping[int, LevelSettings] = dataclasses.field(default_factory=dict)
    finisher: FinisherSettings = dataclasses.field(default_factory=FinisherSettings)
    finisher_seed: int | None = None  # None: the seed of the piece

    def settings(self, seed: int, guidance: float) -> BlockSettings:
        """Return the settings of one piece. `guidance` is for the coarsest level, unless its own options set one."""
        finisher_seed = seed if self.finisher_seed is None else self.finisher_seed
        return BlockSettings(
            seed=seed,
            noise_style=self.style,
            noise_step=self.step,
            resample=self.resample,
            guidance=guidance,
            anchor=self.anchor,
            tempo=self.tempo,
            brightness=self.brightness,
            motion=self.motion,
            memory=self.memory,
            theme=self.theme,
            levels=dict(self.level),
            finisher=dataclasses.replace(self.finisher, seed=finisher_seed),
        )


def read_toml(path: Path) -> JsonDict:
    """Return the options of a file. Raises OptionError if it is no TOML, OSError if it cannot be read."""
    try:
        return read_toml_file(path)
    except ValueError as error:
        raise OptionError(str(error)) from error


def with_assignments(values: JsonTable, assignments: Iterable[str]) -> JsonDict:
    """Return options changed by assignments such as `level1.steps=20`. A value is TOML or a bare word.

    Raises OptionError on an assignment that is no setting.
    """
    result = {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise OptionError(f"{assignment!r} is no setting; write it as level1.steps=20")
        value = _assigned(text, assignment)
        table, dot, name = key.strip().rpartition(".")
        if dot:
            inner = result.setdefault(table, {})
            if not isinstance(inner, dict):
                raise OptionError(f"{table!r} is a value, not a table; {assignment!r} does not fit")
            inner[name] = value
        else:
            result[name] = value
    return result


def _assigned(text: str, assignment: str) -> object:
    """Return the value after the equals sign: TOML, or a bare word if it is no TOML."""
    try:
        content = parse_toml(f"value = {text}", f"--set {assignment[:60]}")
        if len(content) > 1:
            raise OptionError(f"{assignment!r} sets several values; give --set once for each")
        return content["value"]
    except OptionError:
        raise
    except ValueError as error:
        word = text.strip()
        if not word.replace("_", "").replace("-", "").isalnum() or word.isdigit():
            raise OptionError(f"{error}; write it as level1.steps=20") from error
        return word


def with_flags(values: JsonTable, flags: JsonTable, table: str | None = None) -> JsonDict:
    """Return options, or one of their tables, changed by the flags that are not None."""
    given = {key: value for key, value in flags.items() if value is not None}
    if table is None or not given:
        return {**values, **given}
    return {**values, table: {**_table(table, values.get(table, {})), **given}}


def options_from(values: JsonTable) -> RenderOptions:
    """Check options one by one and return them.

    Raises OptionError on an unknown name, a wrong kind or a wrong range.
    """
    fields: JsonDict = {}
    levels: dict[int, LevelSettings] = {}
    for key, value in values.items():
        if key in ("level0", "level1", "level2"):
            levels[int(key[-1])] = _level(key, _table(key, value), fields)
        elif key == "finisher":
            fields["finisher"], fields["finisher_seed"] = _finisher(_table(key, value))
        elif key in ("seconds", "step", "resample", *RANGES):
            fields[key] = _number(key, value)
        elif key in ("token_multiplier", "bits", "hop"):
            fields[key] = _whole(key, value)
        elif key in ("sampler", "crossfade"):
            fields[key] = _kind(key, value, (str,))
        elif key in ("stems", "pictures"):
            fields[key] = _kind(key, value, (bool,))
        elif key == "style":
            fields[key] = _choice(key, value, NoiseStyle)
        elif key in ("seeds", "levels"):
            most = MOST if key == "levels" else (1 << 63) - 1
            fields[key] = tuple(_whole(key, item, most) for item in _kind(key, value, (list, tuple)))
        else:
            known = [field.name for field in dataclasses.fields(RenderOptions)]
            names = ", ".join([n for n in known if n not in ("level", "finisher_seed")] + ["level0..level2"])
            raise OptionError(f"unknown option {key!r}; known: {names}")
    options = RenderOptions(**fields, level=levels)
    if options.seconds <= 0 or not options.seeds:
        raise OptionError(f"{options.seconds:g} seconds, {len(options.seeds)} seeds: nothing to make")
    if options.seconds > LONGEST_SECONDS:
        raise OptionError(
            f"{options.seconds:g} seconds is longer than a week ({LONGEST_SECONDS:g}); make it in parts"
        )
    for name, (low, high) in RANGES.items():
        value = getattr(options, name)
        if value is not None and not low <= value <= high:
            raise OptionError(f"{name} {value:g} is outside {low:g}..{high:g}")
    return options


def _level(name: str, table: JsonTable, fields: JsonDict) -> LevelSettings:
    given: JsonDict = {}
    for key, value in table.items():
        where = f"{name}.{key}"
        if key == "steps":
            given[key] = _whole(where, value, MOST_STEPS)
        elif key in ("guidance", "strength", "priming"):
            given[key] = _number(where, value)
        elif key == "handover":
            given[key] = _choice(where, value, Handover)
        elif key == "update_context":
            given[key] = _kind(where, value, (bool,))
        else:
            known = ", ".join(field.name for field in dataclasses.fields(LevelSettings))
            raise OptionError(f"unknown option {where!r}; known: {known}")
    if name == "level2" and "strength" in given:  # the strength of the coarsest level is the option resample
        fields.setdefault("resample", given.pop("strength"))
    return LevelSettings(**given)


def _finisher(table: JsonTable) -> tuple[FinisherSettings, int | None]:
    given: JsonDict = {}
    seed: int | None = None
    for key, value in table.items():
        where = f"finisher.{key}"
        if key == "on":
            given[key] = _kind(where, value, (bool,))
        elif key == "steps":
            given[key] = _whole(where, value, MOST_STEPS)
        elif key == "seed":
            seed = _whole(where, value, (1 << 63) - 1)
        elif key == "strength":
            given[key] = _number(where, value)
        elif key == "style":
            given["noise_style"] = _choice(where, value, NoiseStyle)
        elif key == "step":
            given["noise_step"] = _number(where, value)
        else:
            raise OptionError(f"unknown option {where!r}; known: on, steps, strength, seed, style, step")
    return FinisherSettings(**given), seed


def _table(name: str, value: object) -> JsonTable:
    if not isinstance(value, Mapping):
        raise OptionError(f"{name} is a table of options, not {value!r}")
    return value


# returns one of `kinds`, which mypy cannot express
def _kind(name: str, value: object, kinds: tuple[type, ...]) -> Any:
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise OptionError(f"{name} = {value!r}; it takes {' or '.join(kind.__name__ for kind in kinds)}")
    return value


def _number(name: str, value: object) -> float:
    """Return a finite number. NaN and infinity are errors, because later comparisons would not find them."""
    try:
        number = float(_kind(name, value, NUMBER))
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise OptionError(f"{name} {number:g}: give a finite number")
    return number


def _whole(name: str, value: object, most: int = MOST) -> int:
    """Return a whole number from -`most` to `most`."""
    number: int = _kind(name, value, (int,))
    if abs(number) > most:
        shown = str(number) if number.bit_length() < 100 else f"a number of {number.bit_length()} bits"
        raise OptionError(f"{name} {shown}; {most} is the most")
    return number


def _choice(name: str, value: object, choices: type[E]) -> E:
    if isinstance(value, choices):
        return value
    for choice in choices:
        if choice.value == value:
            return choice
    raise OptionError(f"{name} = {value!r}; it is one of {', '.join(str(c.value) for c in choices)}")
