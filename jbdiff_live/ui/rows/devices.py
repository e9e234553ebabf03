"""The pickers of devices and files: sound, MIDI inputs and clock, and beside the knobs the files for context and init.

Thread: Qt's. Lists are asked for when a menu opens; nothing else blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtWidgets import QHBoxLayout, QMenu, QWidget

from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.status import InputStatus, Status, Transport
from jbdiff_live.ui.asking import Asker
from jbdiff_live.ui.rows.clock_pickers import ClockPickers
from jbdiff_live.ui.rows.messages import longer_delay
from jbdiff_live.ui.rows.pickers import Picker, add_choices


class DeviceRow(QWidget):
    """A row of five pickers, `order`; `context` and `init` find their place elsewhere.

    `browse(role)` asks the player for a file for "context" or "init".
    """

    def __init__(
        self,
        transport: Transport,
        asker: Asker,
        browse: Callable[[str], None],
        bindings: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self._transport = transport
        self._asker = asker
        self._browse = browse
        self._bindings = bindings
        self._status = Status()
        self.output = Picker("OUTPUT", self._fill_outputs)
        self.input = Picker("INPUT", self._fill_inputs)
        self.midi = Picker("MIDI IN", self._fill_midi)
        self.clock = ClockPickers(transport, asker)
        self.context = Picker("CONTEXT", lambda menu: self._fill_file(menu, "context"))
        self.init = Picker("INIT", lambda menu: self._fill_file(menu, "init"))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        # The names of devices are longer than those of clocks.
        shares = {self.output: 5, self.input: 5, self.midi: 5, self.clock.source: 4, self.clock.out: 4}
        self.order = tuple(shares)
        for picker, share in shares.items():
            row.addWidget(picker, share)

    def show_files(self, status: Status, now: ParameterSnapshot | None) -> None:
        """Show the files, and what the sources do with them. now: the set values."""
        self._status = status
        context, init = Path(status.context_file).name, Path(status.init_file).name
        plays = now is not None and now.choice("context_source") == "file"
        self.context.show_value(context, ("plays" if plays else "began it") if context else "")
        used = now is not None and now.choice("init_source") == "file"
        self.init.show_value(init, ("plays" if used else "not used") if init else "")

    def show_status(self, status: Status) -> None:
        self._status = status
        audio, control = status.audio, status.control
        self.clock.show_status(status)
        latency = f"{audio.latency_seconds * 1000:.0f} ms" if audio.latency_seconds > 0 else ""
        if longer_delay(audio):
            latency += f", usually {audio.usual_latency_seconds * 1000:.0f}"
        self.output.show_value(audio.device, latency, warning=bool(audio.problem))
        self.input.show_value(
            audio.input_device, _input_level(audio.input), warning=_input_warns(audio.input)
        )
        gone, there = ", ".join(control.missing), ", ".join(control.connected)
        # What went away is named first: there is room for about one name.
        self.midi.show_value(f"{gone} gone" if gone else there, there if gone else "", warning=bool(gone))

    def _list(self, what: str, call: Callable[[], Sequence[str]]) -> list[str]:
        none: Sequence[str] = ()
        return list(self._asker.get(f"list {what}", call, none))

    def _fill_outputs(self, menu: QMenu) -> None:
        names = self._list("sound outputs", self._transport.audio_devices)
        add_choices(menu, names, self._status.audio.device,
                    lambda name: self._ask("sound output", self._transport.choose_audio_device, name),
                    "no sound output found")  # fmt: skip

    def _fill_inputs(self, menu: QMenu) -> None:
        names = self._list("sound inputs", self._transport.input_devices)
        add_choices(menu, names, self._status.audio.input_device,
                    lambda name: self._ask("sound input", self._transport.choose_input_device, name),
                    "no sound input found")  # fmt: skip

    def _fill_midi(self, menu: QMenu) -> None:
        there = self._list("MIDI inputs", self._transport.midi_inputs)
        chosen = [*self._status.control.connected, *self._status.control.missing]
        names = [*there, *(name for name in chosen if name not in there)]
        if not names:
            menu.addAction("no MIDI input found").setEnabled(False)
        for name in names:
            entry = menu.addAction((name if name in there else f"{name} (gone)").replace("&", "&&"))
            entry.setCheckable(True)
            entry.setChecked(name in chosen)
            entry.triggered.connect(lambda on, name=name: self._switch_midi(name, on))
        menu.addSeparator()
        menu.addAction("Table of bindings…\tCtrl+B").triggered.connect(self._bindings)

    def _switch_midi(self, name: str, on: bool) -> None:
        control = self._status.control
        names = [other for other in (*control.connected, *control.missing) if other != name]
        self._ask("MIDI inputs", self._transport.choose_midi_inputs, [*names, name] if on else names)

    def _fill_file(self, menu: QMenu, role: str) -> None:
        present = self._status.context_file if role == "context" else self._status.init_file
        if present:
            menu.addAction(present.replace("&", "&&")).setEnabled(False)
            menu.addSeparator()
        menu.addAction("Choose a file…").triggered.connect(lambda: self._browse(role))
        menu.addAction("or drop one on the window").setEnabled(False)

    def _ask(self, what: str, call: Callable[..., None], value: object) -> None:
        self._asker.ask(what, call, value)


def _input_level(status: InputStatus | None) -> str:
    """Return the level of the live input in words; "CLIP" is held."""
    if status is None:
        return ""
    if status.turned_down < 1.0:
        return "turned down: feedback"
    if status.clipped:
        return "CLIP"
    level = f"{max(-60, round(20 * math.log10(status.peak)))} dB" if status.peak > 0 else "silent"
    return level.replace("-", "\u2212") if status.open else f"{level}, gate closed".replace("-", "\u2212")


def _input_warns(status: InputStatus | None) -> bool:
    return status is not None and (status.clipped or status.turned_down < 1.0)
