"""Ask how a take is to be exported: kind of file, loudness, and which part. Thread: Qt's. Nothing blocks."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QFormLayout, QLabel, QWidget

from jbdiff_live.browse.takes import Level, SoundFormat
from jbdiff_live.ui.drawing import theme

LOUDNESS: tuple[tuple[str, float | None], ...] = (
    ("as it is", None),
    ("-14 LUFS, for streaming", -14.0),
    ("-16 LUFS, for podcasts", -16.0),
    ("-23 LUFS, for broadcast (EBU R 128)", -23.0),
)
CEILING = "All of it gets the same gain, so its dynamics stay. Its true peak stays below -1 dBTP."


@dataclass(frozen=True)
class Chosen:
    """lufs: None leaves the level. part: only the chosen part."""

    format: SoundFormat
    lufs: float | None
    part: bool


class ExportDialog(QDialog):
    """part: a part is chosen in the wave. level: the take's, if it is measured."""

    def __init__(self, parent: QWidget, part: bool, level: Level | None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export the take")
        self.setAccessibleName("Export the take")
        self.format, self.loudness, self.which = QComboBox(), QComboBox(), QComboBox()
        form = QFormLayout(self)
        for kind in SoundFormat:
            self.format.addItem(kind.value, kind)
        for words, lufs in LOUDNESS:
            self.loudness.addItem(words, lufs)
        self.which.addItem("all of it", False)
        if part:
            self.which.addItem("the chosen part", True)
            self.which.setCurrentIndex(1)
        for words, box in (("Kind", self.format), ("Loudness", self.loudness), ("What", self.which)):
            box.setAccessibleName(words)
            box.setFont(theme.font(15))
            form.addRow(words, box)
        now = "" if level is None else f"The take has {level.text}. "
        note = QLabel(now + CEILING)
        note.setWordWrap(True)
        note.setFont(theme.font(13))
        form.addRow(note)
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel
        )
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        form.addRow(self.buttons)
        self.format.setFocus()

    @property
    def chosen(self) -> Chosen:
        return Chosen(self.format.currentData(), self.loudness.currentData(), self.which.currentData())
