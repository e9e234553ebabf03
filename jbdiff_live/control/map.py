"""All controllers, for every thread: what they move, what they learn, what they show, and their maps.

Threads: `handle` runs on the sources' threads, `port` on the MIDI watcher's, everything else on the session's and the
window's. One short lock guards everything. It is held while the store is written, so that two controllers cannot mix
their changes. So the store's listeners must not call this object. Only `load_maps` and `save_maps` use the disk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from jbdiff_live.binding import Binding, BindingKind, TakeoverMode
from jbdiff_live.control.all_rows import all_rows
from jbdiff_live.control.cv import ALL_USED, UNCALIBRATED, CvChannel, Used
from jbdiff_live.control.desk import PANIC, MapDesk
from jbdiff_live.control.outgoing.feedback import Views
from jbdiff_live.control.play import Perform
from jbdiff_live.control.receiver import Receiver
from jbdiff_live.control.shelf import MapShelf
from jbdiff_live.control.source import ControlEvent, EventKind
from jbdiff_live.control_view import BindingRow, Waiting
from jbdiff_live.parameters import ParameterStore
from jbdiff_live.status import ControlStatus


class ControlMap:
    """All controllers and what they move. Any number of sources may call `handle`."""

    def __init__(
        self,
        store: ParameterStore,
        bindings: Iterable[Binding] = (),
        clock: Callable[[], float] = time.monotonic,
        shelf: MapShelf | None = None,
        perform: Perform = lambda function, hold: None,
        changed: Callable[[], None] = lambda: None,
        takeover: TakeoverMode = TakeoverMode.PICKUP,
    ) -> None:
        """bindings: what a patch suggests. takeover: the mode of controllers whose map has none.

        perform: does a function of the session, such as "play", for a control that waits for a beat or bar, or does
        not. changed: called when `save_maps` has something to do. Neither may block.
        """
        self._clock = clock
        self._lock = threading.Lock()
        self._shelf = shelf if shelf is not None else MapShelf(None)
        self._desk = MapDesk(self._shelf, bindings, changed)
        self._usual = takeover
        self._receiver = Receiver(store, self._desk, takeover, perform)
        self._lessons, self._feedback = self._receiver.lessons, self._receiver.feedback

    # ------------------------------------------------------------------ sources' threads

    def handle(self, event: ControlEvent) -> bool:
        """Apply one message. Return whether it was used, so that a program change loads no patch as well."""
        with self._lock:
            return self._receiver.handle(event)

    def port(self, device: str, there: bool) -> None:
        """Note that a controller was plugged in, or pulled out. It must take over every value again."""
        with self._lock:
            self._receiver.port(device, there, self._clock())

    # ------------------------------------------------------------------ learning

    def learn(self, name: str | None) -> None:
        """Wait for the next control and bind it to `name`; None stops waiting. KeyError: no such name."""
        self.learn_row(() if name is None else (name,))

    def learn_row(self, names: Sequence[str]) -> None:
        """Wait for one control after the other, and bind them to these targets in this order."""
        self._begin(Waiting.LEARN, names)

    def skip(self) -> None:
        """Skip the target that is learned now, and go on with the next one of the row."""
        with self._lock:
            self._lessons.skip()

    def unlearn(self) -> None:
        """Remove all bindings of the next control that moves."""
        self._begin(Waiting.UNLEARN)

    def locate(self) -> None:
        """Show the targets of each touched control. Controls move nothing meanwhile."""
        self._begin(Waiting.LOCATE)

    def answer(self, how: str) -> None:
        """Answer the question of a learned control that moves something else: "replace", "both" or "cancel"."""
        with self._lock:
            self._lessons.answer(how)

    def _begin(self, waiting: Waiting, names: Sequence[str] = ()) -> None:
        with self._lock:
            self._lessons.begin(waiting, names)

    @property
    def learning(self) -> str | None:
        """Return the target that waits for a control. The call also settles halves whose other half did not come."""
        with self._lock:
            self._receiver.settle(self._clock())
            return self._lessons.target

    @property
    def complaint(self) -> str:
        """Return why learning refused the last touched control; empty if it refused none."""
        return self._lessons.complaint

    # ------------------------------------------------------------------ feedback

    def feedback(self, device: str, views: Views, now: float) -> list[bytes]:
        """Return messages that show the values on a controller, as many as may be sent now. Sender's thread."""
        with self._lock:
            return self._feedback.due(device, self._desk.table(device), views, now)

    def outputs_of(self, device: str) -> tuple[str, ...]:
        """Return parts of the names of the outputs for a controller's feedback; none if it shows nothing."""
        with self._lock:
            found = self._shelf.find(device)
            return (found.lights.outputs or found.inputs) if found.lights.any else ()

    def send_all(self) -> None:
        """Send all values again to every controller that shows them."""
        with self._lock:
            for device in self._desk.devices:
                self._feedback.forget(device)

    # ------------------------------------------------------------------ control voltages

    def cv_channel(self, device: str, number: int) -> CvChannel:
        """Return the settings of a channel of a sound input. number: from 1."""
        with self._lock:
            return self._shelf.find(device).cv.get(number, UNCALIBRATED)

    def cv_used(self, device: str) -> Used:
        """Return the channels of a sound input that move something; while learning, all of them."""
        with self._lock:
            if self._lessons.waiting is not Waiting.NOTHING:
                return ALL_USED
            bound = self._desk.table(device).by_control
        return Used(
            *(frozenset(n for k, n in bound if k is kind) for kind in (BindingKind.CV, BindingKind.GATE))
        )

    def calibrate(self, device: str, number: int, channel: CvChannel) -> None:
        """Change the settings of a channel, and keep them in the map of the sound input."""
        with self._lock:
            self._desk.calibrate(device, number, channel)

    # ------------------------------------------------------------------ maps

    def suggest(self, bindings: Iterable[Binding]) -> None:
        """Take the bindings of another patch, all at once."""
        with self._lock:
            self._desk.suggest(bindings)
        self.send_all()

    @property
    def suggested(self) -> tuple[Binding, ...]:
        """Return the bindings of the patch, unchanged."""
        return self._desk.suggested

    def unbind(self, name: str) -> None:
        """Remove every binding of `name`. Does nothing if it has none."""
        with self._lock:
            self._desk.unbind(name)
            for device in self._desk.devices:
                self._receiver.bound(device)
            if name == PANIC:
                self._lessons.tell_lost_panic()

    def correct(self, device: str, name: str, text: str) -> None:
        """Write a binding of a controller by hand: "CC 21 relative 65/63". ValueError says how to write it."""
        new = Binding.parse(name, text)
        with self._lock:
            self._desk.bind(device, new, share=True)
            self._receiver.bound(device)

    def edit(self, device: str, old: Binding, new: Binding) -> None:
        """Put a binding of a controller in the place of another. Its control has to come for the value again."""
        self._change(device, lambda: self._desk.edit(device, old, new))

    def remove(self, device: str, old: Binding) -> None:
        """Remove one binding of a controller."""
        self._change(device, lambda: self._desk.remove(device, old))
        if old.target == PANIC:
            with self._lock:
                self._lessons.tell_lost_panic()

    def allow(self, device: str, name: str) -> None:
        """Let the patch's controls of a target work on a controller whose map keeps them away."""
        self._change(device, lambda: self._desk.allow(device, name))

    def _change(self, device: str, change: Callable[[], None]) -> None:
        with self._lock:
            change()
            for there in self._desk.devices:  # equal controllers share a map
                self._receiver.bound(there)

    def load_maps(self) -> None:
        """Read the maps from the disk. Call it before the sources start."""
        self._shelf.load()
        with self._lock:
            self._desk.forget_tables()

    def save_maps(self) -> None:
        """Write the maps that changed. Blocks on the disk."""
        with self._lock:
            unsaved = self._shelf.unsaved
        written = self._shelf.write(unsaved)
        with self._lock:
            self._shelf.keep(written)

    def program_patch(self, event: ControlEvent) -> str | None:
        """Return the patch that the controller's own list gives for a program change; None if the list has none."""
        if event.kind is not EventKind.PROGRAM:
            return None
        with self._lock:
            return self._desk.table(event.device).programs.get(event.number)

    # ------------------------------------------------------------------ for the window

    def rows(self) -> tuple[BindingRow, ...]:
        """Return every binding in use."""
        with self._lock:
            return self._desk.rows()

    def all_rows(self) -> tuple[BindingRow, ...]:
        """Every binding, also those that are not in use, with conflicts and takeover."""
        with self._lock:
            return all_rows(self._desk, self._usual)

    def texts(self) -> Mapping[str, str]:
        """Return the controls of each bound name, as a person would write them; several are joined by ", "."""
        with self._lock:
            return self._desk.texts()

    def status(self, status: ControlStatus) -> ControlStatus:
        """Return a source's status with the map's part added. The call also settles halves that waited too long."""
        with self._lock:
            self._receiver.settle(self._clock())
            lessons = self._lessons
            files = "; ".join(self._shelf.problems)
            return replace(
                status,
                learning=lessons.target,
                waiting=lessons.waiting,
                row=lessons.row,
                question=lessons.question,
                touched=lessons.touched,
                note=lessons.note,
                hardware=self._receiver.player.ghosts(),
                moved=self._receiver.moved,
                problem="; ".join(text for text in (status.problem, lessons.complaint, files) if text),
            )
