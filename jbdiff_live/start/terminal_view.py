"""The instrument on a terminal: state, queue, levels, values, and the last moved control. Pure: made from a `Status`.

Players without a window look at it from the other end of the stage, so the state comes first and in words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from jbdiff_live.block import Rung
from jbdiff_live.parameters import PARAMETERS, Parameter, ParameterSnapshot
from jbdiff_live.shown import printable
from jbdiff_live.stage_word import StageWord, Word, stage_word
from jbdiff_live.status import ControlStatus, Status

KEYS = (
    "Space start/stop", "P panic", "R record", "← → patch", "H hold", "M mute", "N re-roll", "B home", "1 … 8 scene",
    "C then 1 … 8 capture", "Z undo", "Y redo", "= compare with the saved patch", "Q quit",
)  # fmt: skip
BAR_CELLS = 30
WIDE = 130  # letters in a line, from which three columns of values fit
FULL_QUEUE_SECONDS = 6.0
QUIETEST_DB = -60.0
COLOURS = {
    Word.PLAYING: "green",
    Word.GETTING_READY: "cyan",
    Word.READY: "cyan",
    Word.STOPPED: "white",
    Word.LOOPING: "yellow",
}


def terminal_view(status: Status, values: ParameterSnapshot, bindings: Mapping[str, str]) -> RenderableType:
    """Return what a terminal shows of the instrument. values: as they are set. bindings: controls by target."""
    return _Fitted(
        Group(_state(stage_word(status, terminal=True), status), _meters(status)),
        _AllValues(status, values, bindings),
        Group(_scenes(status), *_controls(status.control), *_problems(status)),
    )


@dataclass(frozen=True)
class _Fitted:
    """The view in the size that the terminal has. What does not fit is cut from the values: never the keys."""

    head: RenderableType
    values: RenderableType
    tail: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        free = options.reset_height()
        head, values, tail = (
            console.render_lines(part, free, pad=False) for part in (self.head, self.values, self.tail)
        )
        keys = [[Segment(line, console.get_style("dim"))] for line in lines_of_keys(options.max_width)]
        gap: list[list[Segment]] = [[]]
        room = options.max_height - len(head) - len(tail) - len(keys)
        if room < len(values) + 2:
            gap = []
        values = values[: max(0, room)]
        for line in (*head, *gap, *values, *gap, *tail, *keys):
            yield from line
            yield Segment.line()


def lines_of_keys(width: int) -> list[str]:
    """The keys and what they do, in lines that fit; a key and its words stay together."""
    lines = [KEYS[0]]
    for key in KEYS[1:]:
        longer = f"{lines[-1]}   {key}"
        if len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(key)
    return lines


def _state(word: StageWord, status: Status) -> Text:
    style = "bold white on red" if word.alarm else f"bold {COLOURS.get(word.word, 'yellow')}"
    text = Text(f" {word.text} ", style=style)
    text.append(f"  {printable(word.why)}" if word.why else "", style="default")
    facts = [
        f"patch {status.patch}{' (changed)' if status.undo.modified else ''}",
        f"stack {status.stack.name}" if status.stack.name else "",
        _recording(status),
    ]
    text.append("\n" + "   ".join(printable(fact) for fact in facts if fact), style="default")
    return text


def _recording(status: Status) -> str:
    recorder = status.recorder
    return f"● recording {recorder.frames / status.sample_rate:.0f} s" if recorder.recording else ""


def _meters(status: Status) -> Table:
    table = Table.grid(padding=(0, 2))
    engine, audio = status.engine, status.audio
    rung = "" if status.rung in (None, Rung.FULL) else f", {status.rung.label}"
    table.add_row(
        "queue",
        _bar(status.seconds_queued / FULL_QUEUE_SECONDS),
        f"{status.seconds_queued:4.1f} s, block {engine.block_seconds:.2f} of {engine.block_duration:.2f} s{rung}",
    )
    for side, peak in zip(("left", "right"), audio.peak, strict=True):
        level = 20 * math.log10(peak) if peak > 0 else -math.inf
        shown = f"{level:5.1f} dB" if peak > 0 else " -inf dB"
        table.add_row(side, _bar(1 - level / QUIETEST_DB), shown + (", limited" if audio.limited else ""))
    device = f"{printable(audio.device) or 'no device'}, underruns {audio.underruns}, late blocks {engine.late_blocks}"
    table.add_row("output", "", device)
    return table


def _bar(share: float) -> Text:
    cells = round(min(1.0, max(0.0, share)) * BAR_CELLS)
    return Text("█" * cells + "·" * (BAR_CELLS - cells), style="green")


class _AllValues:
    """Every value, in three columns on a wide terminal and in two on a narrow one: 24 lines hold the whole picture."""

    def __init__(self, status: Status, values: ParameterSnapshot, bindings: Mapping[str, str]) -> None:
        self._shown = status, values, bindings

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = 3 if options.max_width >= WIDE else 2
        rows = -(-len(PARAMETERS) // columns)
        table = Table.grid(padding=(0, 4))
        table.add_row(*(_values(PARAMETERS[n * rows : (n + 1) * rows], *self._shown) for n in range(columns)))
        yield table


def _values(
    parameters: tuple[Parameter, ...],
    status: Status,
    values: ParameterSnapshot,
    bindings: Mapping[str, str],
) -> Table:
    """Make a row for each value: set value, heard value if it differs, the control's position, the control."""
    table = Table.grid(padding=(0, 2))
    for _ in range(4):
        table.add_column(no_wrap=True)
    for parameter in parameters:
        name = parameter.name
        now = parameter.text(values[name])
        heard = "" if status.heard is None else parameter.text(status.heard[name])
        ghost = status.control.hardware.get(name)
        waits = "" if ghost is None or ghost.taken else f"({100 * ghost.position:.0f} %)"
        style = "bold" if status.control.learning == name else ""
        table.add_row(
            Text(parameter.label, style=style),
            Text(now, style="bold"),
            Text(f"heard {heard}" if heard and heard != now else waits, style="yellow"),
            Text(bindings.get(name, ""), style="dim"),
        )
    return table


def _scenes(status: Status) -> Text:
    """Make a line of the scenes that there are, and of the next step of undo."""
    scenes, undo = status.scenes, status.undo
    text = Text("scenes   ")
    for view in scenes.scenes:
        if not view.filled:
            continue
        states = []
        if view.number == scenes.pending:
            states.append("waits" if scenes.lands_in is None else f"in {scenes.lands_in:.1f} s")
        if view.number == scenes.active and scenes.morph is not None:
            states.append(f"{100 * scenes.morph:.0f} %")
        words = f"{view.number} {view.name}".strip() + (f" ({', '.join(states)})" if states else "")
        text.append(words, style="bold reverse" if view.number == scenes.active else "")
        text.append("   ")
    if not any(view.filled for view in scenes.scenes):
        text.append("none   ", style="dim")
    if scenes.capturing:
        text.append("capture: press 1 … 8   ", style="bold yellow")
    if undo.comparing:
        text.append("the saved patch plays   ", style="bold yellow")
    text.append(f"undo: {undo.undo or 'nothing'}   redo: {undo.redo or 'nothing'}", style="dim")
    return text


def _controls(control: ControlStatus) -> list[Text]:
    lines = []
    if control.moved:
        lines.append(Text("moved    " + "   ".join(control.moved)))
    midi = ", ".join(control.connected) or "no controller"
    missing = f"; missing: {', '.join(control.missing)}" if control.missing else ""
    last = f"   last: {control.last_message}" if control.last_message else ""
    lines.append(Text(printable(f"MIDI     {midi}{missing}{last}")))
    if control.voltages:
        volts = enumerate(control.voltages, 1)
        lines.append(Text("CV in    " + "  ".join(f"{number}: {volt:5.2f}" for number, volt in volts)))
    osc = control.osc
    if osc is not None:
        parts = [f"in {osc.listening}" if osc.listening else "", f"out {osc.sending}" if osc.sending else ""]
        bad = f", {osc.unusable} unusable" if osc.unusable else ""
        bad += f"; the last one: {osc.last_unusable}" if osc.last_unusable else ""
        lines.append(Text(f"OSC      {', '.join(p for p in parts if p)}   {osc.received} received{bad}"))
    return lines


def _problems(status: Status) -> list[Text]:
    osc = status.control.osc
    problems = (
        status.audio.problem,
        status.recorder.problem,
        status.recorder.warning,
        status.control.problem,
        "" if osc is None else osc.problem,
        status.message,
        f"loading {status.stack.loading}" if status.stack.loading else "",
        status.note,
    )
    return [Text(f"▸ {printable(problem)}", style="yellow") for problem in dict.fromkeys(problems) if problem]
