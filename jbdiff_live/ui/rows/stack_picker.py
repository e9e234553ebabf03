"""The chooser of the stack: which one plays, with which of its levels, with its finisher or without.

Thread: Qt's. The list is asked for when the menu opens; the session loads beside the music and never waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtWidgets import QMenu

from jbdiff_live.stack_choice import LEVELS, StackChoice, StackParts, StackStatus
from jbdiff_live.status import Status, Transport
from jbdiff_live.ui.asking import Asker
from jbdiff_live.ui.grey.words import grey_entry
from jbdiff_live.ui.rows.pickers import Picker

WHAT_LEVELS_DO = {2: "invents", 1: "cleans", 0: "cleans finest"}
UNKNOWN = "known when the stack plays"
STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 50, 100, 150, 250)  # to choose from, up to twice the stack's own


class StackPicker(Picker):
    """Shows what plays and what loads; its menu lists stacks, and switches the parts of the one that plays.

    brief: the parts that play are shown elsewhere.
    """

    def __init__(self, transport: Transport, asker: Asker, brief: bool = False) -> None:
        super().__init__("STACK", self._fill_stacks)
        self._transport = transport
        self._asker = asker
        self._stack = StackStatus()
        self._brief = brief

    def find_stacks(self) -> None:
        """Let the session begin to look for stacks, so that the menu has them. Imports torch: not before a frame."""
        self._known()

    def show_status(self, status: Status) -> None:
        self._stack = stack = status.stack
        loading = f"loading {short_name(stack.loading.partition(': ')[0])}"
        parts = "" if self._brief else parts_text(stack)
        self.show_value(short_name(stack.name), loading if stack.loading else parts)

    def _known(self) -> Sequence[StackParts]:
        none: Sequence[StackParts] = ()
        return self._asker.get("list stacks", self._transport.stacks, none)

    def _fill_stacks(self, menu: QMenu) -> None:
        known = self._known()
        if not known:
            menu.addAction("looking for stacks; open this again").setEnabled(False)
        for parts in known:
            choices = variants(parts)
            name = short_name(parts.name).replace("&", "&&")
            if len(choices) == 1:
                entry = menu.addAction(name)
                entry.setCheckable(True)
                entry.setChecked(parts.name == self._stack.name)
                entry.triggered.connect(lambda _=False, choice=choices[0]: self._choose(choice))
                continue
            inside = menu.addMenu(f"{name}  ●" if parts.name == self._stack.name else name)
            for choice in choices:
                entry = inside.addAction(choice_text(choice))
                entry.setCheckable(True)
                entry.setChecked(self._plays(choice))
                entry.triggered.connect(lambda _=False, choice=choice: self._choose(choice))
        self._fill_parts(menu)

    def _fill_parts(self, menu: QMenu) -> None:
        """Switches for the parts of the stack that plays; what it lacks is grey."""
        stack, parts = self._stack, self._stack.parts
        menu.addSeparator()
        title = f"parts of {short_name(stack.name)}" if parts is not None else "parts: known when it plays"
        menu.addAction(title.replace("&", "&&")).setEnabled(False)
        self.fill_levels(menu)
        if parts is not None:
            self.fill_blocks(menu.addMenu(f"Block  {block_text(stack)}"))
            self.fill_steps(menu.addMenu(f"Steps  {steps_text(stack)}"))
        entry = menu.addAction("Finisher  stereo")
        entry.setCheckable(True)
        entry.setChecked(stack.finisher)
        grey_entry(entry, _no_finisher(parts))
        entry.triggered.connect(lambda on: self._choose(replace(self._playing(), finisher=on)))

    def fill_levels(self, menu: QMenu) -> None:
        """Fill in a switch for each level; what the stack lacks is grey."""
        stack, parts = self._stack, self._stack.parts
        for level in LEVELS:
            entry = menu.addAction(f"Level {level}  {WHAT_LEVELS_DO[level]}")
            entry.setCheckable(True)
            entry.setChecked(level in stack.levels)
            if parts is None:
                grey_entry(entry, UNKNOWN)
            elif level not in parts.levels:
                grey_entry(entry, "this stack has no such level")
            elif level == max(parts.levels):
                grey_entry(entry, "the coarsest level always plays")
            entry.triggered.connect(lambda on, level=level: self._switch_level(level, on))

    def fill_blocks(self, menu: QMenu) -> None:
        """Fill in the lengths of a block. With a shorter block, knobs act sooner and there is more to compute."""
        parts = self._stack.parts
        if parts is None:
            menu.addAction(UNKNOWN).setEnabled(False)
            return
        playing = self._stack.hop or parts.window
        hops = parts.hops() if playing in parts.hops() else (*parts.hops(), playing)
        for hop in hops:
            entry = menu.addAction(hop_text(hop, parts))
            entry.setCheckable(True)
            entry.setChecked(hop == playing)
            chosen = None if hop == parts.window else hop
            entry.triggered.connect(
                lambda _=False, hop=chosen: self._choose(replace(self._playing(), hop=hop))
            )

    def fill_steps(self, menu: QMenu) -> None:
        """Fill in the numbers of steps: fewer are quicker and rougher."""
        parts, chosen = self._stack.parts, self._stack.steps
        if parts is None:
            menu.addAction(UNKNOWN).setEnabled(False)
            return
        own = parts.steps
        numbers = {number for number in STEPS if number <= (2 * own or STEPS[-1])} - {own}
        entries: list[tuple[int | None, str]] = [
            (None, f"{own}  the stack's own" if own else "the stack's own")
        ]
        entries += [(number, str(number)) for number in sorted(numbers | ({chosen} if chosen else set()))]
        for steps, text in entries:
            entry = menu.addAction(text)
            entry.setCheckable(True)
            entry.setChecked(steps == chosen)
            entry.triggered.connect(
                lambda _=False, steps=steps: self._choose(replace(self._playing(), steps=steps))
            )

    def _switch_level(self, level: int, on: bool) -> None:
        levels = {*self._stack.levels, level} if on else {*self._stack.levels} - {level}
        self._choose(replace(self._playing(), levels=tuple(levels)))

    def _playing(self) -> StackChoice:
        stack = self._stack
        return StackChoice(stack.name, stack.levels or None, stack.finisher, stack.hop, stack.steps)

    def _plays(self, choice: StackChoice) -> bool:
        stack = self._stack
        return choice == StackChoice(stack.name, stack.levels or None, stack.finisher)

    def _choose(self, choice: StackChoice) -> None:
        self._asker.ask("stack", self._transport.choose_stack, choice)


def short_name(stack: str) -> str:
    """The name of a stack, and the last part of a folder."""
    return Path(stack).name or stack


def parts_text(stack: StackStatus) -> str:
    """What of the stack plays: "2 1 0 + finisher"."""
    levels = " ".join(map(str, stack.levels))
    if not levels:
        return ""
    text = f"level{'s' * (len(stack.levels) > 1)} {levels}"
    text = f"{text} + finisher" if stack.finisher else text
    steps = "" if stack.steps is None else f", {stack.steps} steps"
    block = "" if stack.hop is None or stack.parts is None else f", {hop_text(stack.hop, stack.parts)}"
    return f"{text}{block}{steps}"


def block_text(stack: StackStatus) -> str:
    """The length of a block; empty before it is known."""
    parts = stack.parts
    return "" if parts is None or not parts.window else hop_text(stack.hop or parts.window, parts)


def steps_text(stack: StackStatus) -> str:
    """The number of steps; "own" if the stack has not said how many its own are."""
    own = stack.parts.steps if stack.parts is not None else 0
    return str(stack.steps or own or "own")


def hop_text(hop: int, parts: StackParts) -> str:
    """A block's length: "0.28 s"."""
    return f"{hop * parts.token_seconds:.2f} s"


def choice_text(choice: StackChoice) -> str:
    levels = choice.levels or ()
    text = f"Level{'s' * (len(levels) > 1)} {' '.join(map(str, levels))}"
    return f"{text} + finisher" if choice.finisher else text


def _no_finisher(parts: StackParts | None) -> str:
    """Return why the finisher cannot be switched; empty if it can."""
    if parts is None:
        return UNKNOWN
    return "" if parts.finisher else "this stack has none"


def variants(parts: StackParts) -> list[StackChoice]:
    """The ways to play a stack, richest first: level by level from the finest down, with finisher and without."""
    ends = range(len(parts.levels), 0, -1)
    finishers = (True, False) if parts.finisher else (False,)
    found = [StackChoice(parts.name, parts.levels[:end], on) for end in ends for on in finishers]
    return found if len(found) > 1 else [StackChoice(parts.name)]
