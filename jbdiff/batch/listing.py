"""Read a list of pieces and takes. Everything that can be known before the first piece is checked here.

format = 1
[defaults]                  # for every piece
stack = "pocket"
seconds = 60
context = "sounds/some.wav" # relative to the list's folder
[[piece]]
name = "dawn"               # makes dawn.wav
seed = 1
[[take]]
path = "takes/monday"
name = "monday-again"
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from jbdiff.audio.writing import remedy
from jbdiff.batch.options import KEYS, merged, plain_options
from jbdiff.batch.paths import KeyProblem, at_folder, check_places, out_file
from jbdiff.batch.request import BatchError, Piece, Request, digest_of
from jbdiff.batch.source import Source, read_source
from jbdiff.batch.takes import TAKE_KEYS, read_take
from jbdiff.plain_toml import nearest
from jbdiff.render.options import RenderOptions
from jbdiff.render.render import RenderError
from jbdiff.sample_command import SampleError, SampleJob, job_options, plans_of
from jbdiff.stacks.facts import StackFacts, stack_facts
from jbdiff.stacks.stack import CheckpointError
from jbdiff.stacks.weight_files import file_sha256
from jbdiff.stream.sizes import stream_parts
from jbdiff.untyped import JsonTable

FORMAT = 1
HEAD = ("format", "defaults", "piece", "take")


@dataclass(frozen=True)
class BatchList:
    """All requests of a list, in its order."""

    path: Path
    requests: tuple[Request, ...]
    stacks: tuple[StackFacts, ...]

    @property
    def takes(self) -> int:
        """How many of the requests are takes."""
        return sum(not isinstance(request, Piece) for request in self.requests)


def read_list(path: Path, device: str = "cpu") -> BatchList:
    """Read a list. Raises BatchError with the line and the remedy."""
    try:
        source = read_source(path)
    except (OSError, ValueError) as error:
        raise BatchError(f"{error}{remedy(error)}") from error
    _check_head(source)
    facts = _Facts()
    entries: list[tuple[str, Request]] = []
    for index, table in _tables(source, "piece"):
        place = source.place("piece", index)
        entries += [(place, piece) for piece in _pieces(source, index, table, facts, device)]
    for index, table in _tables(source, "take"):
        try:
            entries.append((source.place("take", index), read_take(table, path.parent)))
        except KeyProblem as error:
            raise BatchError(f"{source.place('take', index, error.key)}: {_named(table)}{error}") from error
    if not entries:
        raise BatchError(f'{path} has no pieces; add one: [[piece]], and below it name = "dawn"')
    check_places(entries)
    return BatchList(path, tuple(request for _, request in entries), tuple(facts.known.values()))


class _Facts:
    """The stacks of a list and the hashes of its sounds, each read once."""

    def __init__(self) -> None:
        self.known: dict[str, StackFacts] = {}
        self._hashes: dict[Path, str] = {}

    def stack(self, name: str) -> StackFacts:
        if name not in self.known:
            self.known[name] = stack_facts(name)
        return self.known[name]

    def sound(self, path: Path | None) -> str | None:
        if path is None:
            return None
        if path not in self._hashes:
            self._hashes[path] = file_sha256(path)
        return self._hashes[path]


def _check_head(source: Source) -> None:
    for key in source.content:
        if key not in HEAD:
            if table := source.table(key):
                raise BatchError(f"{table}: unknown table {key!r}; write [defaults], [[piece]] or [[take]]")
            hint = nearest(key, HEAD)
            if key in KEYS:
                hint = f"move it below [defaults] or [[piece]], or {hint}"
            raise BatchError(f"{source.place(key=key)}: unknown key {key!r}; {hint}")
    version = source.content.get("format")
    if version is None:
        raise BatchError(f"{source.path.name}: no format; write format = {FORMAT} as the first line")
    if version != FORMAT or isinstance(version, bool):
        raise BatchError(
            f"{source.place(key='format')}: format = {version!r}; this version reads {FORMAT}. Write {FORMAT}, or "
            "update jbdiff"
        )
    defaults = source.content.get("defaults", {})
    if not isinstance(defaults, Mapping):
        raise BatchError(f"{source.place(key='defaults')}: defaults is a table; write [defaults]")
    known = [key for key in KEYS if key not in ("name", "out")]
    for key in defaults:
        if key not in known:
            raise BatchError(
                f"{source.place('defaults', 0, key)}: unknown default {key!r}; {nearest(key, known)}"
            )


def _tables(source: Source, kind: str) -> Iterator[tuple[int, JsonTable]]:
    """Yield number and content of all tables of a kind, after a check of their keys."""
    tables = source.content.get(kind, [])
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        place = source.table(kind) or source.place(key=kind)
        raise BatchError(f"{place}: write each {kind} below a line [[{kind}]]")
    known = KEYS if kind == "piece" else TAKE_KEYS
    for index, table in enumerate(tables):
        for key in table:
            if key not in known:
                where = source.place(kind, index, key)
                raise BatchError(f"{where}: {_named(table)}unknown key {key!r}; {nearest(key, known)}")
        yield index, table


def _named(table: JsonTable) -> str:
    name = table.get("name")
    return f"{name}: " if isinstance(name, str) and name else ""


def _pieces(source: Source, index: int, table: JsonTable, facts: _Facts, device: str) -> Iterator[Piece]:
    """Yield a piece for each seed of a table. Raises BatchError with its line."""
    defaults = source.content.get("defaults", {})
    try:
        yield from _checked_pieces(source, defaults, table, facts, device)
    except KeyProblem as error:
        key, message = error.key, str(error)
    except (SampleError, CheckpointError, RenderError, OSError, ValueError) as error:
        message = str(error)
        key = next((key for key in (*_names(table), *_names(defaults)) if _about(key, message)), "")
    else:
        return
    own = key in _names(table) or key not in _names(defaults)
    kind, number = ("piece", index) if own else ("defaults", 0)
    raise BatchError(f"{source.place(kind, number, key)}: {_named(table)}{message}")


def _names(table: JsonTable) -> list[str]:
    """Return the keys of a table, those of its inner tables first."""
    inner = [key for value in table.values() if isinstance(value, Mapping) for key in value]
    return [*inner, *table]


def _about(key: str, message: str) -> bool:
    """Return whether a message names a key, or the last word of one such as finisher_step."""
    words = message.replace("'", " ").replace(".", " ").replace(":", " ").split()
    return key in words or key.rpartition("_")[2] in words or (key == "stack" and "stack" in words)


def _checked_pieces(
    source: Source, defaults: JsonTable, table: JsonTable, facts: _Facts, device: str
) -> Iterator[Piece]:
    plain = {key: table.get(key, defaults.get(key)) for key in ("stack", "context", "init", "compat")}
    stack = facts.stack(_stack_name(plain["stack"], source.path.parent))
    coarsest = stack.config.levels[0].level
    values = merged(plain_options(defaults, coarsest), plain_options(table, coarsest))
    if plain["compat"] not in (None, "v1"):
        raise KeyProblem("compat", f'compat = {plain["compat"]!r}; write "v1", or leave it out')
    context, init = (_sound(role, plain[role], source.path.parent) for role in ("context", "init"))
    out = out_file(table, source.path.parent)
    job = SampleJob(
        out, str(stack.folder), None, context, init,
        flags=values, coarsest={}, finisher={"on": values.get("finisher", {}).get("on")}, assignments=(),
        v1=plain["compat"] == "v1", fresh=False, overwrite=False, device=device,
    )  # fmt: skip
    yield from _seeds(job, stack, facts)


def _seeds(job: SampleJob, stack: StackFacts, facts: _Facts) -> Iterator[Piece]:
    options = job_options(job, stack.config)
    levels = options.levels or tuple(level.level for level in stack.config.levels)
    levels_in_order = dict(sorted(options.level.items()))
    if not job.v1:
        _check_parts(job, options, stack)
    for seed, plan in plans_of(job, options, stack.config).items():
        try:
            plan.subtype()
        except RenderError as error:
            raise KeyProblem("bits" if "bits" in job.flags else "out", str(error)) from error
        content = {
            "options": repr(replace(options, seeds=(seed,), level=levels_in_order)),
            "stack": stack.identity,
            "context": facts.sound(job.context),
            "init": facts.sound(job.init),
            "v1": job.v1,
            "suffix": job.out.suffix,
        }
        yield Piece(
            out=plan.out,
            digest=digest_of(content),
            job=replace(job, out=plan.out, flags={**job.flags, "seeds": [seed]}),
            identity=stack.identity,
            targets=tuple(target.name for target in plan.targets(levels)),
            seconds=options.seconds,
            stack_files=stack.files,
        )


def _check_parts(job: SampleJob, options: RenderOptions, stack: StackFacts) -> None:
    """Raise KeyProblem if the stack has not the levels, the finisher, or the lengths that a piece asks for."""
    config = stack.config
    asked = job.finisher.get("on") and options.finisher.on
    try:
        stream_parts(
            config,
            [level.level for level in config.levels],
            options.levels,
            bool(asked),
            options.token_multiplier,
            options.hop,
        )
    except ValueError as error:
        words = str(error)
        about = {"hop": "a hop of", "token_multiplier": "token multiplier", "levels": "level"}
        raise KeyProblem(
            next((k for k, part in about.items() if part in words), "finisher"), words
        ) from error


def _stack_name(value: object, folder: Path) -> str:
    """Return a stack's name, or its folder: relative to the list's folder if it lies there."""
    if value is None:
        return "pocket"
    if not isinstance(value, str) or not value:
        raise KeyProblem("stack", f'stack = {value!r}; write its name or folder, such as "pocket"')
    inside = folder / value
    return str(inside) if ("/" in value or "\\" in value) and inside.is_dir() else value


def _sound(role: str, value: object, folder: Path) -> Path | None:
    """Return the path of a sound, relative to the list's folder. An empty text in a piece takes the default away."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise KeyProblem(
            role, f'{role} = {value!r}; write the path of a sound file, such as "sounds/some.wav"'
        )
    path = at_folder(role, value, folder)
    if not path.is_file():
        raise KeyProblem(role, f"{role} {path} is not there; paths are relative to the list's folder")
    return path
