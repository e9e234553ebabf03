"""The stage view: the large rings that the patch chooses, and below them the row of scenes.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from jbdiff_live.parameters import BY_NAME
from jbdiff_live.status import Status
from jbdiff_live.ui.scenes.strip import SceneStrip
from jbdiff_live.ui.tiles.knob import Knob
from jbdiff_live.ui.tiles.tile import Tile

# The rings of a patch that names none.
USUAL = ("noise_step", "memory", "seed_morph", "brightness", "motion", "resample", "guidance", "gain")
STRIP_HEIGHT, HIGHEST_STRIP = 56, 84  # of the row of scenes


class StageView(QWidget):
    """`made` is called with each new ring, so that it gets values like every other tile."""

    def __init__(self, made: Callable[[Tile], None], scenes: SceneStrip) -> None:
        super().__init__()
        self._made = made
        self._known: dict[str, Knob] = {}
        self.rings: list[Knob] = []
        self._scenes = scenes
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(6)
        self._row = QHBoxLayout()
        self._row.setSpacing(6)
        self._column.addLayout(self._row, 1)
        self._column.addWidget(scenes)
        self.choose(())

    def show_status(self, status: Status) -> bool:
        """Show the rings that the patch chooses, and the scenes. Return True if there are other rings."""
        self._scenes.refresh(status)
        return self.choose(status.stage_knobs)

    def share_height(self, window: int) -> int:
        """Give the row of scenes its height in a window of this height. Return it, with the gap above."""
        height = min(HIGHEST_STRIP, max(STRIP_HEIGHT, int(window * 0.085)))
        self._scenes.setFixedHeight(height)
        return height + self._column.spacing()

    def choose(self, names: tuple[str, ...]) -> bool:
        """Show the rings of these parameters; the usual ones if none is named. Return False if they are shown.

        The window gets the focus of a ring that goes; Qt would give it to a pad, which the next Enter would hit.
        """
        wanted = [name for name in names or USUAL if name in BY_NAME]
        if wanted == [ring.name for ring in self.rings]:
            return False
        for ring in self.rings:
            self._row.removeWidget(ring)
            if ring.name in wanted:
                continue
            if ring.hasFocus():
                self.window().setFocus(Qt.FocusReason.OtherFocusReason)
            ring.hide()
        self.rings = [self._ring(name) for name in wanted]
        for ring in self.rings:
            self._row.addWidget(ring, 1)
            ring.show()
        return True

    def _ring(self, name: str) -> Knob:
        ring = self._known.get(name)
        if ring is None:
            ring = self._known[name] = Knob(BY_NAME[name], self)
            ring.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
            self._made(ring)
        return ring
