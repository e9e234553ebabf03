"""The requested stack, the playing one, and the time from the last request to its first sound.

Threads: `choose` and `from_patch` belong to the thread that asks for a stack or loads a patch, `block_made` to the
engine. Any thread may read `status` and `reload_seconds`.
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
    """The desk. `player` is None if the generator plays no stacks. `named` applies the command line to a choice.

    `frames_heard` gives the audible frame.
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
        self._asked_at: float | None = None  # second at which the loading stack was asked for
        self.reload_seconds = 0.0  # time from the last request for a stack to its first sound

    def begin(self) -> None:
        """Record the first start. From now on a patch's choice counts before the command line's."""
        self._started = True

    def choose(self, choice: StackChoice) -> None:
        """Load a stack, or other parts, beside the music. ValueError if the generator plays no stacks."""
        if self._player is None:
            raise ValueError("this generator plays no stacks")
        self._choose(self._player, choice, time.monotonic())

    def from_patch(self, choice: StackChoice | None, asked_at: float) -> None:
        """Choose the stack of a patch, if it names one. asked_at: seconds of `time.monotonic`."""
        if choice is not None and self._player is not None:
            self._choose(self._player, choice if self._started else self._named(choice), asked_at)

    def _choose(self, player: PlaysStacks, choice: StackChoice, asked_at: float) -> None:
        player.choose(choice)
        self._asked_at = asked_at if player.status.loading else None

    def stacks(self) -> Sequence[StackParts]:
        return () if self._player is None else self._player.stacks()

    @property
    def choice(self) -> StackChoice | None:
        """The choice that plays or is being loaded; None if the generator plays no stacks."""
        return None if self._player is None else self._player.choice

    @property
    def status(self) -> StackStatus:
        return StackStatus() if self._player is None else self._player.status

    @property
    def complaint(self) -> str:
        """The message about a knob's request that cannot be met; empty if there is none."""
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
