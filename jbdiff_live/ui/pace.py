"""How often the window looks and repaints: less often while blocks take most of their time.

Every frame takes the processor and the interpreter from the thread that makes the blocks. With time to spare
that is free; without, half of the frames are given to it. A frame still comes within 70 ms of a turned knob.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from jbdiff_live.status import EngineState, EngineStatus

FULL, TIGHT = 30, 15  # frames a second
TIGHT_FROM, EASY_BELOW = 0.6, 0.5  # of the time that a block lasts
EASY_BLOCKS = 4  # in a row before there is time to spare again, so that the pace does not flutter


class Pace:
    """Give it what the engine says, once a frame; `frames_per_second` is what to keep to."""

    def __init__(self) -> None:
        self.frames_per_second = FULL
        self._seen = self._easy = 0  # blocks made, and how many of the newest were easy

    def follow(self, engine: EngineStatus) -> int:
        """The frames a second from now on."""
        if engine.state not in (EngineState.RUNNING, EngineState.COASTING) or engine.block_duration <= 0:
            self.frames_per_second, self._seen, self._easy = FULL, 0, 0
            return self.frames_per_second
        share = engine.block_seconds / engine.block_duration
        if engine.state is EngineState.COASTING or share > TIGHT_FROM:
            self.frames_per_second, self._easy = TIGHT, 0
        elif engine.blocks_made != self._seen:
            self._easy = self._easy + 1 if share < EASY_BELOW else 0
            if self._easy >= EASY_BLOCKS:
                self.frames_per_second = FULL
        self._seen = engine.blocks_made
        return self.frames_per_second
