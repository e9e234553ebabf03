"""Edits of a log: a TOML file that shifts, changes, deletes or adds changes and presses. docs/takes.md has the format.

Pure, but for reading the file. `apply_edits` returns the same log with the edits in its blocks and changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from jbdiff.plain_toml import Kind, read_toml_file
from jbdiff_live.parameters import ACTIONS_BY_NAME, BY_NAME, TakesEffect, unknown_name
from jbdiff_live.record.events import ActionEvent, ChangeEvent, MarkerEvent
from jbdiff_live.replay.log import LoggedBlock, TakeLog
from jbdiff_live.replay.options import ReplayError

FORMAT = 1
EDITS = Kind("a file of edits", depth=3)
MOST_SECONDS = 1e6  # eleven days


class Edit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """One edit. Seconds count from the take's beginning.

    line: of an event in `events.jsonl`, with `shift` (seconds), `value` or `delete`. set: a parameter, with `value`,
    and perhaps `from`, `to`, and `was`, the only value that is replaced. press: an action, with `at`.
    """

    line: int | None = None
    shift: float | None = None
    delete: bool = False
    value: float | str | None = None
    set: str | None = None
    was: float | str | None = None
    from_: float | None = None
    to: float | None = None
    press: str | None = None
    at: float | None = None


class EditFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a file of edits."""

    format: int
    edit: list[Edit] = []


@dataclass
class _Moment:
    """A change of a parameter, or a press. at: place of the first block that follows it; None: it is not logged.

    frame: the audible frame. value: of a parameter; None is a press.
    """

    name: str
    frame: int
    at: int
    value: float | None


def read_edits(path: Path) -> tuple[Edit, ...]:
    """Read a file of edits. ReplayError names the mistake and the remedy."""
    try:
        found = msgspec.convert(read_toml_file(path, EDITS), EditFile)
    except (OSError, ValueError) as error:
        raise ReplayError(f"{path}: {error}; docs/takes.md has the format of edits") from error
    if found.format != FORMAT:
        raise ReplayError(f"{path}: format {found.format}; this jbdiff-live reads format {FORMAT}")
    for number, edit in enumerate(found.edit, 1):
        kinds = [edit.line is not None, edit.set is not None, edit.press is not None]
        deeds = [edit.shift is not None, edit.delete, edit.value is not None]
        if sum(kinds) != 1:
            raise ReplayError(f"{path}, edit {number}: give one of line, set or press")
        if edit.line is not None and sum(deeds) != 1:
            raise ReplayError(f"{path}, edit {number}: give one of shift, value or delete with a line")
        if edit.set is not None and edit.value is None:
            raise ReplayError(f"{path}, edit {number}: give the value to set")
        for seconds in (edit.shift, edit.from_, edit.to, edit.at):
            if seconds is not None and not abs(seconds) <= MOST_SECONDS:
                raise ReplayError(f"{path}, edit {number}: {seconds} is no place in a take; give seconds")
        if edit.press is not None and edit.at is None:
            raise ReplayError(f"{path}, edit {number}: give the second of the press, as at = 12.5")
    return tuple(found.edit)


def apply_edits(log: TakeLog, edits: Sequence[Edit]) -> TakeLog:
    """Return the log with the edits. ReplayError: a line is no change or press, or a name or value is not known."""
    if not edits:
        return log
    before = {line: _moment(log, event) for line, event in log.changes.items()}
    after = {line: replace(moment) for line, moment in before.items()}
    added: list[_Moment] = []
    sets: list[Edit] = []
    for edit in edits:
        if edit.line is not None:
            _edit_line(log, after, edit)
        elif edit.press is not None:
            added.append(_press(log, edit))
        else:
            sets.append(edit)
    moments = [*after.values(), *added]
    blocks = _with_values(log, list(before.values()), moments)
    blocks = _with_presses(blocks, list(before.values()), moments)
    for edit in sets:
        blocks = _with_set(log, blocks, edit)
    return replace(log, blocks=tuple(blocks), changes=_changes(log, after, added, sets))


# ---------------------------------------------------------------------- one edit


def _moment(log: TakeLog, event: ChangeEvent | ActionEvent | MarkerEvent) -> _Moment:
    """Return when a logged change reached the blocks."""
    if isinstance(event, MarkerEvent):
        return _Moment("marker", event.frame, len(log.blocks), None)
    later = [
        n for n, b in enumerate(log.blocks) if b.event.again is None and b.event.version >= event.version
    ]
    if isinstance(event, ChangeEvent):
        # A change that waited for a beat reaches the blocks later than its version.
        exact = [n for n in later if log.blocks[n].event.values.get(event.name) == event.value]
        return _Moment(event.name, event.frame, (exact or later or [len(log.blocks)])[0], event.value)
    pressed = [n for n in later if log.blocks[n].event.counts.get(event.name, 0) >= event.count]
    return _Moment(event.name, event.frame, (pressed or later or [len(log.blocks)])[0], None)


def _edit_line(log: TakeLog, moments: dict[int, _Moment], edit: Edit) -> None:
    assert edit.line is not None
    moment = moments.get(edit.line)
    if moment is None:
        raise ReplayError(
            f"line {edit.line} of events.jsonl is no change, action or marker, or another edit deletes it; "
            "only those can be edited"
        )
    if edit.delete:
        del moments[edit.line]
    elif edit.shift is not None:
        frames = round(edit.shift * log.rate)
        moment.frame += frames
        if moment.at < len(log.blocks):
            moment.at = _block_at(log, log.blocks[moment.at].start_frame + frames)
    elif moment.value is None:
        raise ReplayError(f"line {edit.line} of events.jsonl is a press: it has no value; shift or delete it")
    else:
        moment.value = _value(moment.name, edit.value)


def _press(log: TakeLog, edit: Edit) -> _Moment:
    assert edit.press is not None and edit.at is not None
    if edit.press not in ACTIONS_BY_NAME or edit.press in ("panic", "tap", "marker"):
        known = ", ".join(name for name in ACTIONS_BY_NAME if name not in ("panic", "tap", "marker"))
        raise ReplayError(f"no action {edit.press!r} that a replay can press; known: {known}")
    frame = log.start_frame + round(edit.at * log.rate)
    return _Moment(edit.press, frame, _block_at(log, frame), None)


def _block_at(log: TakeLog, frame: int) -> int:
    """Return the place of the new block that begins nearest to a frame."""
    new = [n for n, block in enumerate(log.blocks) if block.event.again is None]
    return min(new, key=lambda n: abs(log.blocks[n].start_frame - frame))


def _value(name: str, value: float | str | None) -> float:
    """Return a value of a parameter; a choice may be given by its word. ReplayError: it is unknown."""
    if name not in BY_NAME:
        raise ReplayError(str(unknown_name(name).args[0]))
    parameter = BY_NAME[name]
    if isinstance(value, str):
        if value not in parameter.choices:
            known = ", ".join(parameter.choices) or f"a number from {parameter.low:g} to {parameter.high:g}"
            raise ReplayError(f"{name} = {value!r}; give {known}")
        return float(parameter.choices.index(value))
    assert value is not None
    if not parameter.low <= value <= parameter.high:
        raise ReplayError(f"{name} = {value:g}; it goes from {parameter.low:g} to {parameter.high:g}")
    return parameter.clamp(value)


# ---------------------------------------------------------------------- the blocks


def _with_values(log: TakeLog, before: list[_Moment], after: list[_Moment]) -> list[LoggedBlock]:
    """Return the blocks with the values that the edited changes give. A parameter without an edit keeps its values."""
    blocks = list(log.blocks)
    for name in {m.name for m in before if m.value is not None}:
        old, new = ([m for m in moments if m.name == name] for moments in (before, after))
        if [(m.at, m.value) for m in old] == [(m.at, m.value) for m in new]:
            continue
        changes = [place for place, block in enumerate(blocks) if block.event.again is None]
        first = _first_value(log, name, old)
        for place in changes:
            value = _value_at(new, place, first)
            if value != _value_at(old, place, first):
                blocks[place] = replace(blocks[place], values={**blocks[place].values, name: value})
                _drop_turn(blocks, place - 1, name, old)
    return blocks


def _drop_turn(blocks: list[LoggedBlock], place: int, name: str, moments: list[_Moment]) -> None:
    """Let a block before an edited change keep its first value, if the knob was turned while the block was made."""
    if place < 0 or name not in blocks[place].event.turned or name in blocks[place].values:
        return
    if any(moment.at == place + 1 for moment in moments):
        own = blocks[place].event.values[name]
        blocks[place] = replace(blocks[place], values={**blocks[place].values, name: own})


def _first_value(log: TakeLog, name: str, moments: Iterable[_Moment]) -> float:
    """Return the value before the first change of a parameter."""
    first = min((m.at for m in moments), default=0)
    if first > 0:
        return log.blocks[0].event.snapshot[name]
    value = log.take.info.values.get(name)
    if isinstance(value, int | float | str) and name in BY_NAME:
        return _value(name, float(value) if isinstance(value, bool) else value)
    return BY_NAME[name].default


def _value_at(moments: Iterable[_Moment], place: int, first: float) -> float:
    """Return the value at a block by the changes; `first` before them."""
    value, newest = first, (-1, -1)
    for moment in moments:
        if moment.value is not None and moment.at <= place and (moment.at, moment.frame) >= newest:
            value, newest = moment.value, (moment.at, moment.frame)
    return value


def _with_presses(
    blocks: list[LoggedBlock], before: list[_Moment], after: list[_Moment]
) -> list[LoggedBlock]:
    """Return the blocks with what the edits add to the presses of actions, or take from them.

    Music that resumes at an older block has the presses from before that block, so the sums follow the music.
    """
    steps: dict[int, dict[str, int]] = {}
    for sign, moments in ((-1, before), (1, after)):
        for moment in moments:
            if moment.value is None and moment.name != "marker":
                step = steps.setdefault(moment.at, {})
                step[moment.name] = step.get(moment.name, 0) + sign
    sums: dict[int, dict[str, int]] = {}  # before each block
    present: dict[str, int] = {}
    for place, block in enumerate(blocks):
        if block.event.again is not None:
            continue
        present = sums.get(block.event.resumes, present) if block.event.resumes is not None else present
        sums[block.index] = present
        present = {**present, **{n: present.get(n, 0) + by for n, by in steps.get(place, {}).items()}}
        wanted = {name: by for name, by in present.items() if by}
        if wanted:
            blocks[place] = replace(block, counts=wanted)
    return blocks


def _with_set(log: TakeLog, blocks: list[LoggedBlock], edit: Edit) -> list[LoggedBlock]:
    """Return the blocks with a parameter set in a stretch of time."""
    assert edit.set is not None
    value = _value(edit.set, edit.value)
    was = None if edit.was is None else _value(edit.set, edit.was)
    first, last = _stretch(log, edit)
    done = []
    for block in blocks:
        wanted = block.event.again is None and first <= block.start_frame < last
        if wanted and (was is None or block.snapshot[edit.set] == was):
            block = replace(block, values={**block.values, edit.set: value})
        done.append(block)
    return done


def _stretch(log: TakeLog, edit: Edit) -> tuple[float, float]:
    """Return the frames from which and to which an edit acts."""
    first = float("-inf") if edit.from_ is None else log.start_frame + edit.from_ * log.rate
    last = float("inf") if edit.to is None else log.start_frame + edit.to * log.rate
    return first, last


# ---------------------------------------------------------------------- the other events


def _changes(
    log: TakeLog, moments: dict[int, _Moment], added: list[_Moment], sets: list[Edit]
) -> dict[int, ChangeEvent | ActionEvent | MarkerEvent]:
    """Return the changes as the new take logs them, under lines of their own if they are new."""
    found: dict[int, ChangeEvent | ActionEvent | MarkerEvent] = {}
    for line, moment in moments.items():
        event = log.changes[line]
        fields: dict[str, object] = {"frame": moment.frame}
        if isinstance(event, ChangeEvent):
            fields["value"] = moment.value
        if moment.frame != event.frame and not isinstance(event, MarkerEvent):
            fields["version"] = _version(log, moment.at)
        found[line] = msgspec.structs.replace(event, **fields)
    new = max([0, *log.changes, *log.others]) + 1
    for moment in added:
        count = log.blocks[moment.at].event.counts.get(moment.name, 0) + 1
        found[new] = ActionEvent(moment.frame, moment.name, count, "replay", _version(log, moment.at))
        new += 1
    for edit in sets:
        assert edit.set is not None
        frame = log.start_frame if edit.from_ is None else log.start_frame + round(edit.from_ * log.rate)
        version = _version(log, _block_at(log, frame))
        found[new] = ChangeEvent(frame, edit.set, _value(edit.set, edit.value), "replay", version)
        new += 1
        if edit.to is not None and BY_NAME[edit.set].takes_effect is TakesEffect.NOW:
            back = log.start_frame + round(edit.to * log.rate)
            found[new] = ChangeEvent(back, edit.set, _now_value(log, edit.set, back), "replay", version)
            new += 1
    return found


def _version(log: TakeLog, place: int) -> int:
    """Return the version of the knobs at a block; that of the last block behind the end."""
    return log.blocks[min(place, len(log.blocks) - 1)].event.version


def _now_value(log: TakeLog, name: str, frame: int) -> float:
    """Return a parameter's value at a frame by the changes."""
    events = [e for e in log.changes.values() if isinstance(e, ChangeEvent) and e.name == name]
    before = [e for e in events if e.frame <= frame]
    if before:
        return max(before, key=lambda e: e.frame).value
    return log.blocks[0].event.snapshot[name]
