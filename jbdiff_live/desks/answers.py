"""The newest answer to an action of the player, kept for `NOTE_SECONDS`. Any thread."""

from __future__ import annotations

from collections.abc import Callable

from jbdiff_live.clock import Clock
from jbdiff_live.parameters import ACTIONS_BY_NAME
from jbdiff_live.status import EngineState, EngineStatus
from jbdiff_live.system.takes_folder import AlwaysOptions

NOTE_SECONDS = 10.0  # an answer is shown for this time: longer, it would be about a state that has passed


class Answers:
    """`say` a note; read the `newest`, which is empty after `NOTE_SECONDS`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # The note, when it was given, and whether it is still true; swapped whole.
        self._said: tuple[str, float, Callable[[], bool]] = ("", 0.0, _always)

    def say(self, note: str, holds: Callable[[], bool] | None = None) -> None:
        """Give an answer. holds: returns False as soon as the note is true no more. None: it stays true."""
        self._said = (note, self._clock.now(), holds or _always)

    @property
    def newest(self) -> str:
        note, at, holds = self._said
        return note if self._clock.now() - at < NOTE_SECONDS and holds() else ""


def _always() -> bool:
    return True


def answer_to(action: str, engine: EngineStatus, noise_style: str) -> str:
    """Return the answer to an action. engine: its status. noise_style: the value of that knob."""
    label = ACTIONS_BY_NAME[action].label
    silent = why_nothing_plays(engine)
    if silent:
        return f"{label}: {silent}"
    if action == "panic":
        return f"{label}: silence, and the music begins again"
    if action in ("write", "erase") and noise_style != "register":
        return f"{label}: done with the next block; Style register plays it"
    return f"{label}: heard with the next block"


def answer_to_always(options: AlwaysOptions | None, sample_rate: int) -> str:
    """Return what is always recorded from now on."""
    if options is None:
        return "the last minutes are not recorded any more"
    full = options.seconds(sample_rate) / 60
    room = "" if full >= options.minutes else f", as {options.megabytes:g} MB hold no more"
    last = round(min(full, options.minutes), 1)
    return f"the last {last:g} min are always recorded{room}; J keeps {options.keep_minutes:g} min"


def answer_to_marker(recording: bool, waits: bool) -> str:
    """Return the answer to a marker. waits: the take begins with the first sound."""
    if waits:
        return "Marker: the take has not begun; it begins with the first sound"
    return "marker set" if recording else "Marker: no take is being recorded; press R"


def why_nothing_plays(engine: EngineStatus) -> str:
    """Return why an action finds no music, with the remedy; empty if music plays."""
    state = engine.state
    if state in (EngineState.LOADING, EngineState.WARMING):
        remedy = "press again when you hear the music" if engine.asked else "press start when it is ready"
        return f"nothing plays yet, because the model is being loaded; {remedy}"
    if state is EngineState.STOPPING:
        return "the music is stopping; press start when it has stopped"
    if state is EngineState.FAILED:
        return "the music has ended with an error; press start again"
    return "" if engine.plays else "nothing plays now; press start"
