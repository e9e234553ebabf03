"""A controller's messages for tests of the control map, as events or as the bytes that a device sends."""

from __future__ import annotations

import mido

from jbdiff_live.binding import Binding, TakeoverMode
from jbdiff_live.control.map import ControlMap
from jbdiff_live.control.messages import event_of
from jbdiff_live.control.shelf import MapShelf
from jbdiff_live.control.source import ControlEvent, EventKind
from jbdiff_live.parameters import ParameterStore
from jbdiff_live.status import ControlStatus


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def cc(number: int, value: int, time: float = 0.0, channel: int = 1, device: str = "box") -> ControlEvent:
    return ControlEvent(device, EventKind.CC, channel, number, value, True, time)


def note(
    number: int,
    velocity: int = 100,
    on: bool = True,
    time: float = 0.0,
    channel: int = 1,
    device: str = "box",
) -> ControlEvent:
    return ControlEvent(device, EventKind.NOTE, channel, number, velocity, on, time)


def event(
    kind: EventKind, number: int, value: int = 127, time: float = 0.0, channel: int = 1
) -> ControlEvent:
    return ControlEvent("box", kind, channel, number, value, True, time)


class Hands:
    """A control map on a real store, and a clock that is turned by hand."""

    def __init__(
        self,
        *suggested: tuple[str, str],
        takeover: TakeoverMode = TakeoverMode.PICKUP,
        shelf: MapShelf | None = None,
    ) -> None:
        self.store = ParameterStore()
        self.clock = Clock()
        self.performed: list[str] = []
        self.controls = ControlMap(
            self.store,
            [Binding.parse(name, text) for name, text in suggested],
            self.clock,
            shelf,
            lambda function, hold: self.performed.append(function),
            takeover=takeover,
        )

    def __getitem__(self, name: str) -> float:
        return self.store.snapshot[name]

    def send(self, *events: ControlEvent) -> None:
        for one in events:
            self.controls.handle(one)

    def sweep(
        self, number: int, *values: int, time: float = 0.0, channel: int = 1, device: str = "box"
    ) -> list[ControlEvent]:
        """Send one CC's values, a hundredth of a second apart."""
        events = [cc(number, v, time + 0.01 * n, channel, device) for n, v in enumerate(values)]
        self.send(*events)
        return events

    def bytes(self, data: bytes, device: str = "box", time: float = 0.0) -> None:
        """Send what a device puts on its cable."""
        parser = mido.Parser()
        parser.feed(data)
        for message in parser:
            one = event_of(message, device, time)
            if one is not None:
                self.controls.handle(one)

    def settle(self, now: float) -> None:
        """Let time pass without a message."""
        self.clock.now = now
        _ = self.controls.learning


def status(hands: Hands) -> ControlStatus:
    return hands.controls.status(ControlStatus())


def texts(hands: Hands) -> dict[str, str]:
    return dict(hands.controls.texts())
