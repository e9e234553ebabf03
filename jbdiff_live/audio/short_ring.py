"""The length of the short ring: longer after it ran dry, shorter again on a calm machine. Feeder only.

The short ring's length is the delay of gain and mute. So it is long only while the machine needs that.
"""

from __future__ import annotations

from jbdiff_live.clock import Clock

MOST_GROWTH = 4  # longest ring over the usual one: 93 ms become 372
CALM_SECONDS = 45.0  # time without running dry, after which half the length is tried
MOST_CALM_SECONDS = (
    720.0  # a failed trial of a shorter ring makes an audible hole, so trials become rare after failures
)
MARGIN = 0.75  # share of the shorter ring that the device may play between two visits of the feeder


class ShortRingLength:
    """The ring's present length `frames`, in device frames, between `usual` and `most`.

    At each visit the feeder calls `see` before it fills the ring, and `filled` afterwards. The frames played between
    two visits are the length that the ring needs. (Its fill says less: with short blocks the engine keeps few frames
    ready.)
    """

    def __init__(self, usual: int, clock: Clock) -> None:
        self.usual = self.frames = usual
        self.most = MOST_GROWTH * usual
        self._clock = clock
        self._calm_seconds = CALM_SECONDS
        self._on_trial = False  # the ring was shortened, and has not been calm for long enough since
        self._after = 0  # frames after the last visit
        self._begin()

    def _begin(self) -> None:
        self._since = self._clock.now()
        self._most_played = 0  # between two visits

    def ran_dry(self) -> None:
        """Double the length after the ring ran dry, and wait longer before a shorter one is tried again."""
        if self._on_trial:
            self._calm_seconds = min(MOST_CALM_SECONDS, 2 * self._calm_seconds)
            self._on_trial = False
        self.frames = min(self.most, 2 * self.frames)
        self._begin()

    def filled(self, queued: int) -> None:
        """End a visit of the feeder. queued: frames in the ring now."""
        self._after = queued

    def see(self, queued: int) -> None:
        """Begin a visit of the feeder; queued: frames in the ring. Halve the length if half was enough."""
        self._most_played = max(self._most_played, self._after - queued)
        if self._clock.now() - self._since < self._calm_seconds:
            return
        half = self.frames // 2
        self._on_trial = self.frames > self.usual and self._most_played <= MARGIN * half
        if self._on_trial:
            self.frames = max(self.usual, half)
        self._begin()
