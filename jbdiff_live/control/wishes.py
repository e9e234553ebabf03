"""The window's requests about bindings. Each is passed on to the map. No state of its own.

Thread: the window's, or the command line's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jbdiff_live.binding import Binding
from jbdiff_live.control.map import ControlMap
from jbdiff_live.control_view import BindingRow


class ControlWishes:
    """The part of `jbdiff_live.status.Transport` about bindings. A subclass makes `controls`."""

    controls: ControlMap

    def learn(self, name: str | None) -> None:
        self.controls.learn(name)

    def learn_row(self, names: Sequence[str]) -> None:
        self.controls.learn_row(names)

    def skip_learning(self) -> None:
        self.controls.skip()

    def answer_learning(self, how: str) -> None:
        self.controls.answer(how)

    def unlearn(self) -> None:
        self.controls.unlearn()

    def locate(self) -> None:
        self.controls.locate()

    def unbind(self, name: str) -> None:
        self.controls.unbind(name)

    def edit_binding(self, device: str, old: Binding, new: Binding) -> None:
        self.controls.edit(device, old, new)

    def remove_binding(self, device: str, old: Binding) -> None:
        self.controls.remove(device, old)

    def allow_bindings(self, device: str, name: str) -> None:
        self.controls.allow(device, name)

    def correct_binding(self, device: str, name: str, text: str) -> None:
        self.controls.correct(device, name, text)

    def bindings(self) -> Mapping[str, str]:
        return self.controls.texts()

    def binding_rows(self) -> Sequence[BindingRow]:
        return self.controls.rows()

    def all_binding_rows(self) -> Sequence[BindingRow]:
        return self.controls.all_rows()

    def binding_rows_of(self, inputs: Sequence[str]) -> Sequence[BindingRow]:
        """Return the bindings for the case that these inputs are connected. For use before `open`."""
        self.controls.load_maps()
        for name in inputs:
            self.controls.port(name, True)
        return self.controls.rows()
