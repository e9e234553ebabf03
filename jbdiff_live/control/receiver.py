"""What one message of a controller does: decoding, learning, the bindings in use, takeover.

No thread of its own; the control map's lock protects it.
"""

from __future__ import annotations

from collections import deque

from jbdiff_live.binding import Binding, BindingKind, TakeoverMode, label
from jbdiff_live.control.decode import Decoder, Place, Reading, is_panic
from jbdiff_live.control.desk import PANIC, MapDesk
from jbdiff_live.control.learning import place_of
from jbdiff_live.control.lessons import Lessons
from jbdiff_live.control.outgoing.feedback import Feedback
from jbdiff_live.control.play import BUTTONS, Perform, Player
from jbdiff_live.control.source import ControlEvent
from jbdiff_live.parameters import BY_NAME, Origin, ParameterStore

QUIET_SECONDS = 0.3  # after a controller is plugged in: its first messages only report positions
DUMP_SECONDS = 0.05  # a hand does not touch `DUMP_CONTROLS` controls in so short a time
DUMP_CONTROLS = 4
MOVED_SHOWN = 5  # bindings that were used last
PANIC_SECONDS = 0.1  # "all sound off" comes once for each of 16 channels


class Receiver:
    """Moves values by messages. `lessons` learns from them, `feedback` makes the messages to the controllers."""

    def __init__(
        self, store: ParameterStore, desk: MapDesk, takeover: TakeoverMode, perform: Perform
    ) -> None:
        """takeover: the mode of controllers whose map has none. perform: does a function of the session."""
        self._store = store
        self._desk = desk
        self._mode = takeover
        self._positions: dict[Place, int] = {}  # of every control, 0 to 127
        self._heard: dict[Place, float] = {}  # when they sent last
        self.lessons = Lessons(desk, self._positions, self._heard, self.bound, self._waits_at)
        self._decoder = Decoder()
        self.player = Player(store, perform)
        self.feedback = Feedback(self.player.placed)
        self._came: dict[str, float] = {}  # when a controller was plugged in
        self._firsts: dict[str, deque[float]] = {}  # when its controls were received for the first time
        self._panicked = float("-inf")
        self._moved: dict[Binding, None] = {}  # the bindings that were used last, the newest at the end

    def handle(self, event: ControlEvent) -> bool:
        """Apply one message. Return whether it was used."""
        if event.device not in self._desk.devices:
            self._desk.connect(event.device)
        self.settle(event.time)
        if is_panic(event):
            self._panic(event.time)
            return True
        table = self._desk.table(event.device)
        readings = self._decoder.feed(event, table.pairs, table.plain)
        taken = self.lessons.hear(event, readings)
        used = [self._read(event.device, r, event.time, taken) for r in readings]
        return taken or any(used)

    def port(self, device: str, there: bool, now: float) -> None:
        """Note that a controller was plugged in, or pulled out. It must take over every value again."""
        self._decoder.forget(device)
        self._firsts.pop(device, None)
        for place in [place for place in self._positions if place[0] == device]:
            del self._positions[place]
        self.bound(device)
        if there:
            self._came[device] = now
            self._desk.connect(device)
        else:
            self._desk.disconnect(device)

    def settle(self, now: float) -> None:
        """Apply each half that has waited long enough for its other half."""
        late = self._decoder.settle(now)
        for device, reading in late:
            self._read(device, reading, now, False)
        self.lessons.settle(now, late)

    def bound(self, device: str) -> None:
        """Note that a controller's bindings changed, or that it came or went."""
        self.player.forget(device)
        self.feedback.forget(device)

    @property
    def moved(self) -> tuple[str, ...]:
        """Return the controls that were used last, and what they moved; the newest first."""
        return tuple(f"{b.control}: {label(b.target)}" for b in reversed(self._moved))

    def _panic(self, now: float) -> None:
        if now - self._panicked >= PANIC_SECONDS:
            self._panicked = now
            self._store.trigger(PANIC, Origin.MIDI)

    def _read(self, device: str, reading: Reading, now: float, taken: bool) -> bool:
        """Move what a reading moves. taken: True if learning used it. Return True if something is bound to it."""
        place, pressed, quiet = place_of(device, reading), reading.on, False
        if reading.kind not in BUTTONS:
            before = self._positions.get(place)
            self._positions[place] = reading.seven_bits
            self._heard[place] = now
            pressed = reading.high and not (before is not None and before > 63)
            quiet = self._only_tells(device, now, first=before is None)
        self.feedback.moved(device, reading, now)
        taken = taken or self.lessons.recognise(device, reading, now)
        table = self._desk.table(device)
        found = table.by_control.get((reading.kind, reading.number), ())
        moved = [b for b in found if b.channel in (None, reading.channel)]
        if taken:
            self.player.let_go(device, reading.channel, moved)
            return True
        for binding in moved:
            self.player.play(
                device, reading, binding, self._takeover(device, binding), pressed and not quiet, quiet
            )
            self._moved.pop(binding, None)
            self._moved[binding] = None
        while len(self._moved) > MOVED_SHOWN:
            del self._moved[next(iter(self._moved))]
        return bool(moved)

    def _takeover(self, device: str, binding: Binding) -> TakeoverMode:
        # A voltage moves all the time. Waiting for a pickup would only delay it.
        usual = TakeoverMode.JUMP if binding.kind is BindingKind.CV else self._mode
        return binding.takeover or self._desk.table(device).takeover or usual

    def _waits_at(self, device: str, binding: Binding) -> str:
        """Return the value that a control has to pass before it moves its knob; empty if it acts at once."""
        pickup = self._takeover(device, binding) is TakeoverMode.PICKUP
        if not pickup or not binding.has_range or binding.encoding is not None or binding.velocity:
            return ""
        return BY_NAME[binding.target].text(self._store.snapshot[binding.target])

    def _only_tells(self, device: str, now: float, first: bool) -> bool:
        """Return True if a controller only reports its positions, and no hand moved a control.

        This is so right after it was plugged in. It is also so when more controls are received for the first time than
        hands can touch at once.
        """
        if first:
            times = self._firsts.setdefault(device, deque(maxlen=DUMP_CONTROLS))
            times.append(now)
            if len(times) == DUMP_CONTROLS and now - times[0] <= DUMP_SECONDS:
                return True
        return now - self._came.get(device, float("-inf")) < QUIET_SECONDS
