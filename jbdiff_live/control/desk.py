"""The bindings in use on each controller: its own map first, then the patch's suggestions for the rest.

No thread of its own; the control map's lock protects it. `DeviceTable` is immutable.

A patch's bindings are suggestions. A suggestion counts on a controller if its map leaves the target and the control
free. A silenced target is not free. A patch's note without a channel never counts: every keyboard would play it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from jbdiff_live.binding import Binding, BindingKind, TakeoverMode, label
from jbdiff_live.control.cv import CvChannel
from jbdiff_live.control.decode import ALL_NOTES_OFF, ALL_SOUND_OFF, FIRST_MODE_CC
from jbdiff_live.control.names import family, family_of
from jbdiff_live.control.outgoing.lights import Shown, Shows
from jbdiff_live.control.shelf import MapShelf
from jbdiff_live.control_view import BindingRow

PANIC = "panic"
EVERYWHERE = "every input"


@dataclass(frozen=True)
class DeviceTable:
    """What one controller's messages do. by_control: bindings by kind and number of a reading."""

    bindings: tuple[Binding, ...]
    by_control: Mapping[tuple[BindingKind, int], tuple[Binding, ...]]
    pairs: frozenset[int]  # coarse halves of bound 14-bit pairs
    plain: frozenset[int]
    takeover: TakeoverMode | None
    programs: Mapping[int, str]
    lights: tuple[Shown, ...]  # the messages that show values on the controller
    shows: Shows


class MapDesk:
    """Join maps and suggestions into tables. After a change, the next request makes new tables."""

    def __init__(self, shelf: MapShelf, suggested: Iterable[Binding], changed: Callable[[], None]) -> None:
        """changed: called after a change of a map that must be saved."""
        self.shelf = shelf
        self._changed = changed
        self.devices: tuple[str, ...] = ()  # inputs that are connected
        self.suggested: tuple[Binding, ...] = ()  # the patch's bindings, unchanged
        self._usable: tuple[Binding, ...] = ()
        self._tables: dict[str, DeviceTable] = {}
        self.suggest(suggested)

    # ------------------------------------------------------------------ looking

    def table(self, device: str) -> DeviceTable:
        found = self._tables.get(device)
        if found is None:
            found = self._tables[device] = self._make(device)
        return found

    def rows(self) -> tuple[BindingRow, ...]:
        """Return every binding in use, by controller, and what the patch suggests to controllers that are not there."""
        rows = [
            BindingRow(
                EVERYWHERE,
                PANIC,
                label(PANIC),
                f"CC {ALL_SOUND_OFF} or CC {ALL_NOTES_OFF} (all off)",
                "always",
            )
        ]
        for device in self.devices:
            own = self.shelf.find(device).bindings
            rows += [_row(device, b, "map" if b in own else "patch") for b in self.table(device).bindings]
        rows += [_row(EVERYWHERE, binding, "patch") for binding in self._usable if self.waits(binding)]
        return tuple(rows)

    def waits(self, binding: Binding) -> bool:
        """Whether no controller of the kind that sends such messages is connected."""
        return all(family(device) is not family_of(binding.kind) for device in self.devices)

    def texts(self) -> dict[str, str]:
        """Return the controls of each bound target, as a person would write them; several are joined by ", "."""
        found: dict[str, list[str]] = {}
        for row in self.rows():
            if row.source != "always" and row.control not in found.setdefault(row.target, []):
                found[row.target].append(row.control)
        return {target: ", ".join(controls) for target, controls in found.items()}

    def others(self, device: str, new: Binding) -> tuple[Binding, ...]:
        """Return the bindings of other targets that the new binding's control moves already."""
        return tuple(
            b for b in self.table(device).bindings if b.target != new.target and b.overlaps(new)
        )  # fmt: skip

    def controls_of(self, target: str) -> int:
        """Return the number of controls that move a target, on all controllers together."""
        return sum(row.target == target and row.source != "always" for row in self.rows())

    # ------------------------------------------------------------------ changing

    @property
    def usable(self) -> tuple[Binding, ...]:
        """The patch's bindings that may count on a controller."""
        return self._usable

    def suggest(self, bindings: Iterable[Binding]) -> None:
        """Take the bindings of another patch. Panic keeps its control if the patch has none for it."""
        before = [b for b in self._usable if b.target == PANIC]
        self.suggested = tuple(bindings)
        usable = [b for b in self.suggested if _usable(b)]
        if not any(b.target == PANIC for b in usable):
            usable += [b for b in before if not any(b.overlaps(other) for other in usable)]
        self._usable = tuple(usable)
        self._tables.clear()

    def connect(self, device: str) -> None:
        if device not in self.devices:
            self.devices = (*self.devices, device)

    def disconnect(self, device: str) -> None:
        self.devices = tuple(name for name in self.devices if name != device)

    def bind(self, device: str, new: Binding, share: bool = False) -> None:
        """Bind a control of a controller. It replaces the controls that moved the target there.

        share: other targets keep the control. Otherwise they lose it on this controller.
        """
        old = self.shelf.find(device)
        others = self.others(device, new)
        kept = [b for b in old.bindings if b.target != new.target and (share or b not in others)]
        if share:  # the new binding would displace a suggestion, so the map keeps the suggestion as its own
            kept += [b for b in others if b not in kept]
        self._put(device, bindings=(*kept, new), silent=old.silent - {new.target})

    def change(self, device: str, old: Binding, new: Binding) -> None:
        """Replace one binding of a controller's map by another."""
        bindings = tuple(new if b == old else b for b in self.shelf.find(device).bindings)
        self._put(device, bindings=bindings)

    def calibrate(self, device: str, number: int, channel: CvChannel) -> None:
        """Set how a channel of a sound input is read."""
        self._put(device, cv={**self.shelf.find(device).cv, number: channel})

    def unbind(self, target: str) -> None:
        """Remove every binding of a target on all connected controllers, also the bindings of a patch."""
        for device in self.devices:
            old = self.shelf.find(device)
            suggested = {b.target for b in self._usable}
            if any(b.target == target for b in self.table(device).bindings):
                self._put(
                    device,
                    bindings=tuple(b for b in old.bindings if b.target != target),
                    silent=old.silent | ({target} & suggested),
                )
        if any(b.target == target and self.waits(b) for b in self._usable):
            self.suggested = tuple(b for b in self.suggested if b.target != target or not self.waits(b))
            self._usable = tuple(b for b in self._usable if b.target != target or not self.waits(b))
            self._tables.clear()

    def moved_by(self, device: str, kind: BindingKind, number: int, channel: int) -> tuple[str, ...]:
        """Return the targets that a control moves."""
        return tuple(b.target for b in self._of(device, kind, number, channel))

    def release(self, device: str, kind: BindingKind, number: int, channel: int) -> None:
        """Remove every binding of a control. Another control of a patch for the same target works again."""
        gone = self._of(device, kind, number, channel)
        if not gone:
            return
        old = self.shelf.find(device)
        self._put(device, bindings=tuple(b for b in old.bindings if b not in gone))
        # What still moves a target by this control is the patch's. Only the map can keep it away.
        for still in self._of(device, kind, number, channel):
            self.remove(device, still)

    def in_use(self, device: str, targets: Collection[str]) -> list[str]:
        """Which controls of a patch move these targets now, in words."""
        bindings = [b for b in self.table(device).bindings if b.target in targets]
        return [f"{b.control} of the patch moves {label(b.target)} again" for b in bindings]

    def remove(self, device: str, old: Binding) -> None:
        """Remove one binding of a controller, or of a patch if there is no controller.

        Other controls that a patch suggests for the target stay in use.
        """
        if device == EVERYWHERE:
            self._suggest_instead(old, ())
            return
        self._check(device)
        own = self.shelf.find(device)
        if old in own.bindings:
            self._put(device, bindings=tuple(b for b in own.bindings if b != old))
            return
        kept = tuple(b for b in self.table(device).bindings if b.target == old.target and b != old)
        silent = own.silent | {old.target} if not kept else own.silent
        self._put(device, bindings=(*own.bindings, *kept), silent=silent)

    def allow(self, device: str, target: str) -> None:
        """Let the patch's controls of a target work on a controller again."""
        self._check(device)
        self._put(device, silent=self.shelf.find(device).silent - {target})

    def edit(self, device: str, old: Binding, new: Binding) -> None:
        """Put a binding in the place of another, of the same target. A patch's becomes the controller's own.

        If there is no controller, the patch's own suggestion changes. Other targets keep their controls.
        """
        if device == EVERYWHERE:
            self._suggest_instead(old, (new,))
            return
        self._check(device)
        own = self.shelf.find(device)
        used = self.table(device).bindings
        if old not in used:
            raise _gone(old)
        mine = [new if b == old else b for b in used if b in own.bindings or b.target == old.target]
        mine += [b for b in self.others(device, new) if b not in mine]
        self._put(device, bindings=tuple(mine))

    def _check(self, device: str) -> None:
        if device not in self.devices:
            raise ValueError(f"{device} is not connected; connect it, then change its bindings")

    def _suggest_instead(self, old: Binding, new: tuple[Binding, ...]) -> None:
        if old not in self.suggested:
            raise _gone(old)
        place = self.suggested.index(old)
        self.suggest((*self.suggested[:place], *new, *self.suggested[place + 1 :]))
        self._usable = tuple(
            b for b in self._usable if b != old
        )  # panic keeps its control only for another patch

    def _of(self, device: str, kind: BindingKind, number: int, channel: int) -> list[Binding]:
        return [
            b
            for b in self.table(device).bindings
            if (kind, number) in b.controls | {(b.kind, b.number)} and b.channel in (None, channel)
        ]

    def _put(self, device: str, **changes: object) -> None:
        self.shelf.put(device, replace(self.shelf.find(device), **changes))  # type: ignore[arg-type]
        self._tables.clear()
        self._changed()

    def forget_tables(self) -> None:
        """Drop the tables, because the shelf was loaded again."""
        self._tables.clear()

    def _make(self, device: str) -> DeviceTable:
        own = self.shelf.find(device)
        taken = {b.target for b in own.bindings} | own.silent
        free = [
            b
            for b in self._usable
            if family_of(b.kind) is family(device)
            and b.target not in taken
            and not any(b.overlaps(o) for o in own.bindings)
        ]
        bindings = (*own.bindings, *free)
        by_control: dict[tuple[BindingKind, int], tuple[Binding, ...]] = {}
        for binding in bindings:
            key = (binding.kind, binding.number)
            by_control[key] = (*by_control.get(key, ()), binding)
        pairs = frozenset(b.number for b in bindings if b.kind is BindingKind.CC14)
        return DeviceTable(
            bindings, by_control, pairs, own.plain, own.takeover, own.programs,
            own.lights.of(bindings), own.lights.shows,
        )  # fmt: skip


def _usable(binding: Binding) -> bool:
    """Return False for bindings that a patch must not have: a note without a channel, a message that means panic."""
    if binding.kind is BindingKind.NOTE:
        return binding.channel is not None
    return binding.kind is not BindingKind.CC or binding.number < FIRST_MODE_CC


def _gone(old: Binding) -> ValueError:
    """Return the error for an edit of a binding that another patch or a lesson has taken away meanwhile."""
    return ValueError(
        f"{old.text} does not move {label(old.target)} any more; choose its new line, then edit that"
    )


def _row(device: str, binding: Binding, source: str) -> BindingRow:
    return BindingRow(device, binding.target, label(binding.target), binding.text, source, binding)
