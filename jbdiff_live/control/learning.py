"""Learning: decides which control the player means. No threads, no clock; event times are passed in.

The rule, for a rig where other things talk as well:

- a note-on counts at once;
- a CC that was never heard before learning began counts at its first message: somebody just touched it;
- a CC heard before must move MOVED steps of 127 away from where it was when learning began. The one or two
  steps by which a CV-to-MIDI converter jitters never add up, because the starting point stays;
- the fine half of a pair (CC n + 32 within PAIR_SECONDS after CC n, same device and channel) never counts by
  itself: its value runs through its whole range while the knob barely moves;
- once a CC counts, its partner (n and n + 32) has PAIR_SECONDS to follow. If it comes, the control is a
  14-bit pair; if the same CC comes again first, or time runs out, it is a plain one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jbdiff_live.control.events import ControlEvent, EventKind

MOVED = 4  # steps of 127
PAIR_SECONDS = 0.12  # controllers send both halves back to back; JACK and USB add a few ms each

Place = tuple[str, int, int]  # device, channel, CC number


@dataclass(frozen=True)
class Gesture:
    """The control that was touched. `pair`: `number` is the coarse half (0..31) of a 14-bit CC."""

    device: str
    channel: int
    kind: EventKind
    number: int
    pair: bool = False


class Learner:
    """One learning at a time. The caller's lock protects it."""

    def __init__(self) -> None:
        self.target: str | None = None
        self._start: dict[Place, int] = {}
        self._touched: ControlEvent | None = None  # counts; waiting for its partner
        self._coarse_seen: dict[Place, float] = {}

    def begin(self, target: str | None, positions: Mapping[Place, int]) -> None:
        """Waits for a control for `target`, from these CC positions on; None stops waiting."""
        self.target = target
        self._start = dict(positions)
        self._touched = None
        self._coarse_seen = {}

    def end(self) -> None:
        self.begin(None, {})

    def settle(self, now: float) -> Gesture | None:
        """The touched control as a plain one, when its partner's time has run out at `now`."""
        touched = self._touched
        if touched is None or now - touched.time <= PAIR_SECONDS:
            return None
        self._touched = None
        return _plain(touched)

    def hear(self, event: ControlEvent) -> tuple[Gesture | None, bool]:
        """The gesture that this message completes, and whether the message belongs to the learning."""
        late = self.settle(event.time)
        if late is not None:
            return late, _same_control(late, event)
        if event.kind is EventKind.NOTE:
            return (_plain(event), True) if event.on and self._touched is None else (None, False)
        touched = self._touched
        if touched is not None:
            if (event.device, event.channel) == (touched.device, touched.channel):
                if abs(event.number - touched.number) == 32 and min(event.number, touched.number) < 32:
                    coarse = min(event.number, touched.number)
                    return Gesture(event.device, event.channel, EventKind.CC, coarse, pair=True), True
                if event.number == touched.number:
                    return _plain(touched), True
            return None, False
        if not self._counts(event):
            return None, False
        if event.number >= 64:  # has no partner
            return _plain(event), True
        self._touched = event
        return None, True

    def _counts(self, event: ControlEvent) -> bool:
        place = (event.device, event.channel, event.number)
        if event.number < 32:
            self._coarse_seen[place] = event.time
        elif event.number < 64:
            coarse = self._coarse_seen.get((event.device, event.channel, event.number - 32))
            if coarse is not None and event.time - coarse <= PAIR_SECONDS:
                return False
        start = self._start.get(place)
        return start is None or abs(event.value - start) >= MOVED


def _plain(event: ControlEvent) -> Gesture:
    return Gesture(event.device, event.channel, event.kind, event.number)


def _same_control(gesture: Gesture, event: ControlEvent) -> bool:
    return (gesture.device, gesture.channel, gesture.kind, gesture.number) == (
        event.device,
        event.channel,
        event.kind,
        event.number,
    )
