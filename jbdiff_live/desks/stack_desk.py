"""Which stack is wanted and which one plays, and how long the last change took to be heard.

Threads: `choose` and `from_patch` belong to whoever loads a patch or asks for a stack, `block_made` to the engine;
`status` and `reload_seconds` anyone may read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from jbdiff_live.block import Block
from jbdiff_live.stack_choice import StackChoice, StackParts, StackStatus


class PlaysStacks(Protocol):
    """A generator that can change its stack while it plays."""

    @property
    def choice(self) -> StackChoice: ...

    @property
    def status(self) -> StackStatus: ...

    @property
    def complaint(self) -> str: ...

    def choose(self, choice: StackChoice) -> None: ...
    def stacks(self) -> Sequence[StackParts]: ...


class StackDesk:
    """`player` is None when the generator plays no stacks. `named` puts the command line's wishes over a choice.

    `frames_heard` gives the frame that is being heard.
    """

    def __init__(
        self,
        player: PlaysStacks | None,
        named: Callable[[StackChoice], StackChoice],
        sample_rate: int,
        frames_heard: Callable[[], int],
    ) -> None:
        self._player = player
        self._named = named
        self._sample_rate = sample_rate
        self._frames_heard = frames_heard
        self._started = False
        self._asked_at: float | None = None  # when the stack was asked for that is being loaded
        self.reload_seconds = 0.0  # from asking for the last change of stack to its sound leaving the queue

    def begin(self) -> None:
        """The first start: from now on a patch's own choice counts, whatever the command line named."""
        self._started = True

    def choose(self, choice: StackChoice) -> None:
        """Load a stack, or other parts, beside the music. ValueError if the generator plays no stacks."""
        if self._player is None:
            raise ValueError("this generator plays no stacks")
        self._choose(self._player, choice, time.monotonic())

    def from_patch(self, choice: StackChoice | None, asked_at: float) -> None:
        """Choose what a patch names, if it names a stack. asked_at: on `time.monotonic`, in seconds."""
        if choice is not None and self._player is not None:
            self._choose(self._player, choice if self._started else self._named(choice), asked_at)

    def _choose(self, player: PlaysStacks, choice: StackChoice, asked_at: float) -> None:
        player.choose(choice)
        self._asked_at = asked_at if player.status.loading else None

    def stacks(self) -> Sequence[StackParts]:
        return () if self._player is None else self._player.stacks()

    @property
    def choice(self) -> StackChoice | None:
        """What plays or is being loaded; None if the generator plays no stacks."""
        return None if self._player is None else self._player.choice

    @property
    def status(self) -> StackStatus:
        return StackStatus() if self._player is None else self._player.status

    @property
    def complaint(self) -> str:
        """What the knobs ask for and cannot have; empty if there is nothing."""
        return "" if self._player is None else self._player.complaint

    def block_made(self, block: Block, before: Block | None) -> None:
        """Engine: measure a change of stack. before: the block before this one, if there is one."""
        if before is None or block.stack is None or block.stack == before.stack:
            return
        asked_at = self._asked_at
        if asked_at is None or self.status.loading:  # a newer choice is being loaded
            return
        self._asked_at = None
        opens = block.start_frame + block.stack.latency_frames  # its first block begins with silence
        queued = max(0, opens - self._frames_heard())
        self.reload_seconds = time.monotonic() - asked_at + queued / self._sample_rate
