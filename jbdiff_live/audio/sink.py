"""What every way of letting sound out has in common: the `AudioSink` protocol and its error.

No thread, no device. A sink is the one reader of the engine's ring from `start` until `stop` has returned.
"""

from __future__ import annotations

from typing import Protocol

from jbdiff_live.status import AudioStatus


class DeviceError(RuntimeError):
    """A sound device cannot be had; the text says which, why, and what to do."""


class AudioSink(Protocol):
    """Plays the engine's ring. `open` to `close` belong to the session's thread; the rest anyone may read."""

    @property
    def sample_rate(self) -> int:
        """Frames a second at which the engine's ring is emptied, whatever the device runs at."""
        ...

    @property
    def frames_heard(self) -> int:
        """Frames of the engine's ring that have reached the device: the ring's clock less what waits here."""
        ...

    def frame_at(self, when: float) -> float:
        """The frame of the engine's ring that is heard at second `when`, about now: the device's own delay is in it."""
        ...

    def open(self, device: str | None) -> None:
        """Takes a device by (part of its) name, None for the default. DeviceError leaves the old one playing."""
        ...

    def start(self) -> None:
        """Begins to play; does nothing while it plays."""
        ...

    def stop(self) -> None:
        """Fades out, lets what is queued be heard, and stops reading the ring."""
        ...

    def close(self) -> None:
        """Stops and lets the device go."""
        ...

    def status(self) -> AudioStatus: ...
