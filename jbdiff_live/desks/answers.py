"""The newest answer to an action of the player, kept for 20 s. Any thread."""

from __future__ import annotations

from jbdiff_live.clock import Clock
from jbdiff_live.parameters import ACTIONS_BY_NAME
from jbdiff_live.status import EngineState

NOTE_SECONDS = 20.0  # an answer is shown for this time


class Answers:
    """`say` a note; read the `newest`, which is empty after `NOTE_SECONDS`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said = ("", 0.0)  # the note, and when it was given; swapped whole

    def say(self, note: str) -> None:
        self._said = (note, self._clock.now())

    @property
    def newest(self) -> str:
        note, at = self._said
        return note if self._clock.now() - at < NOTE_SECONDS else ""


def answer_to(action: str, state: EngineState, noise_style: str) -> str:
    """Return the answer to an action. state: the engine's. noise_style: the value of that knob."""
    label = ACTIONS_BY_NAME[action].label
    if state not in (EngineState.RUNNING, EngineState.COASTING):
        return f"{label}: nothing plays now; press start"
    if action == "panic":
        return f"{label}: silence, and the music begins again"
    if action in ("write", "erase") and noise_style != "register":
        return f"{label}: done with the next block; Style register plays it"
    return f"{label}: heard with the next block"
