"""The `AudioSink` protocol, which every sound output implements, and its error.

No thread, no device. A sink is the only reader of the engine's ring from `start` until `stop` has returned.
"""

from __future__ import annotations

from typing import Protocol

from jbdiff_live.status import AudioStatus


class DeviceError(RuntimeError):
    """A sound device cannot be used. The text names the device, the reason and the remedy."""


class AudioSink(Protocol):
    """A player of the engine's ring. `open` to `close` belong to the session's thread; any thread may read the rest."""

    @property
    def sample_rate(self) -> int:
        """Frames a second that are read from the engine's ring, whatever the device's own rate."""
        ...

    @property
    def frames_heard(self) -> int:
        """Frames of the engine's ring that have reached the device: the ring's clock minus the frames queued here."""
        ...

    def frame_at(self, when: float) -> float:
        """Return the engine's ring frame that plays at second `when`, about now, with the device's own latency."""
        ...

    def open(self, device: str | None) -> None:
        """Open a device by (part of its) name, None for the default. DeviceError leaves the old one playing."""
        ...

    def start(self) -> None:
        """Begin to play. Does nothing while it plays."""
        ...

    def stop(self) -> None:
        """Fade out, play the queued frames, and stop reading the ring."""
        ...

    def close(self) -> None:
        """Stop and close the device."""
        ...

    def status(self) -> AudioStatus: ...
