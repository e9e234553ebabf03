"""How long the short ring is: longer after it ran dry, shorter again when the machine is calm. Feeder only.

The short ring's length is the delay of gain and mute. So it is long only as long as the machine needs it.
"""

from __future__ import annotations

from jbdiff_live.clock import Clock

MOST_GROWTH = 4  # longest ring over the usual one: 93 ms become 372
CALM_SECONDS = 45.0  # without running dry before the ring is tried at half its length
MOST_CALM_SECONDS = (
    720.0  # the trial of a shorter ring is an audible hole when it fails, so trials become rare
)
MARGIN = 0.75  # share of the shorter ring that the device may have played between two visits of the feeder


class ShortRingLength:
    """`frames` is the length now, in device frames, between `usual` and `most`.

    At each visit the feeder calls `see` before it fills the ring, and `filled` afterwards. What the device played
    between two visits is what the ring was needed for. (How full it is says less: with short blocks the engine itself
    keeps little ready.)
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
        """The device found the ring empty: double its length, and wait longer before a shorter one is tried again."""
        if self._on_trial:
            self._calm_seconds = min(MOST_CALM_SECONDS, 2 * self._calm_seconds)
            self._on_trial = False
        self.frames = min(self.most, 2 * self.frames)
        self._begin()

    def filled(self, queued: int) -> None:
        """The feeder leaves, and the ring holds `queued` frames."""
        self._after = queued

    def see(self, queued: int) -> None:
        """The feeder is back, and the ring holds `queued` frames. Halve it when half would have been enough."""
        self._most_played = max(self._most_played, self._after - queued)
        if self._clock.now() - self._since < self._calm_seconds:
            return
        half = self.frames // 2
        self._on_trial = self.frames > self.usual and self._most_played <= MARGIN * half
        if self._on_trial:
            self.frames = max(self.usual, half)
        self._begin()
