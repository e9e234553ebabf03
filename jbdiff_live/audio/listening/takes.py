"""Takes through the output that plays sounds for listening. Threads: the session's; any may read `seconds`."""

from __future__ import annotations

from collections.abc import Sequence

from jbdiff_live.audio.audition import Audition
from jbdiff_live.audio.listening.feed import Sound, TakeFeed


class TakeListening:
    """rate, channels: of the output."""

    def __init__(self, audition: Audition, rate: int, channels: int) -> None:
        self._audition = audition
        self.rate, self.channels = rate, channels
        self._feed: TakeFeed | None = None

    @property
    def seconds(self) -> float | None:
        """The audible place in seconds; None while no take plays."""
        feed = self._feed
        if feed is None or not self._audition.plays(feed):
            return None
        return feed.seconds_at(self._audition.frames_heard)

    def play(self, sounds: Sequence[Sound], name: str, seconds: float) -> None:
        """Play sounds of the output's rate, of which the first one sounds. They are closed at the end."""
        feed = TakeFeed(sounds, self.rate, self.channels, seconds)
        try:
            self._audition.play_feed(feed, name)
        except BaseException:
            feed.close()
            raise
        self._feed = feed

    def seek(self, seconds: float) -> None:
        if self._feed is not None:
            self._feed.seek(seconds)

    def loop(self, begin: float | None, end: float) -> None:
        if self._feed is not None:
            self._feed.loop(begin, end)

    def choose(self, number: int) -> None:
        if self._feed is not None:
            self._feed.choose(number)

    def turn_down(self, decibels: Sequence[float]) -> None:
        if self._feed is not None:
            self._feed.turn_down(decibels)

    def stop(self) -> None:
        """End the take that plays. Another sound that is listened to goes on."""
        feed, self._feed = self._feed, None
        if feed is not None and self._audition.plays(feed):
            self._audition.stop()
