"""The health strip: how much is queued, how long blocks take, what went short, levels, recorder, MIDI.

Every readout rounds its value to the visible digits, and repaints only when those change.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QWidget

from jbdiff_live.block import Rung
from jbdiff_live.status import EngineState, EngineStatus, RecorderStatus, Status
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import Painted, plate, readout_plate
from jbdiff_live.ui.drawing.reels import rung_words
from jbdiff_live.ui.rows.heard_after import HeardAfter
from jbdiff_live.ui.rows.loudness import LoudnessView
from jbdiff_live.ui.rows.transport_bar import clock

ALARM_SECONDS = 10.0  # a count that grew stays amber for so long
LAMP_SECONDS = 0.15


class Readout(Painted):
    """A caption, a large value and a small note; optionally a bar with marks at the bottom."""

    def __init__(self, caption: str, help_text: str) -> None:
        super().__init__()
        self.help = help_text
        self.caption = caption
        self.value, self.note, self.alarm = "", "", False
        self.bar: float | None = None
        self.marks: tuple[tuple[float, bool], ...] = ()
        self.lamp: bool | None = None
        self.setAccessibleName(caption.capitalize())
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumWidth(60)

    def show_reading(
        self,
        value: str,
        note: str = "",
        *,
        alarm: bool = False,
        bar: float | None = None,
        marks: tuple[tuple[float, bool], ...] = (),
        lamp: bool | None = None,
        help_text: str = "",
    ) -> None:
        """`bar` and `marks` are 0..1 of the width; a mark is (place, strong). `lamp` is lit, unlit or absent."""
        bar = None if bar is None else round(min(1.0, max(0.0, bar)) * 300) / 300
        marks = tuple((round(min(1.0, place) * 300) / 300, strong) for place, strong in marks)
        if self.present(value, note, alarm, bar, marks, lamp):
            self.value, self.note, self.alarm, self.bar, self.marks, self.lamp = (
                value,
                note,
                alarm,
                bar,
                marks,
                lamp,
            )
            self.setAccessibleDescription(f"{value} {note}".strip())
            self.setToolTip(
                f"{self.help} ({value} {note}). {help_text}".replace(" )", ")").removesuffix(". ")
            )

    def draw(self, painter: QPainter, area: QRectF) -> None:
        head, caption, used = readout_plate(painter, area, self.caption)
        height = area.height()
        colour = theme.CAUTION if self.alarm else theme.ACCENT
        if self.lamp is not None:
            size = caption * 0.8
            painter.setPen(theme.LINE)
            painter.setBrush(theme.ACCENT if self.lamp else theme.RAISED)
            painter.drawEllipse(QRectF(head.x() + used - 6, head.center().y() - size / 2, size, size))
            used += size + 4
        if self.note:
            room = head.adjusted(used, 0, 0, 0)  # the tooltip has the note as well
            note = theme.first_fitting((self.note, ""), room.width(), caption)
            theme.write(painter, room, note, caption, theme.DIM, theme.RIGHT)
        bottom = height * (0.30 if self.bar is not None else 0.12)
        body = QRectF(head.x(), head.bottom(), head.width(), area.bottom() - bottom - head.bottom())
        theme.write(painter, body, self.value, int(min(height * 0.34, 26)), theme.CAUTION if self.alarm else theme.TEXT,
                    bold=True, free=True)  # fmt: skip
        if self.bar is not None:
            strip = QRectF(head.x(), area.bottom() - height * 0.24, head.width(), height * 0.11)
            plate(painter, strip, theme.RAISED, round_=2)
            full = QRectF(strip.x(), strip.y(), strip.width() * self.bar, strip.height())
            plate(painter, full, colour, round_=2)
            for place, strong in self.marks:
                x = strip.x() + strip.width() * place
                reach = 3.0 if strong else 0.0
                mark = QRectF(min(x, strip.right() - 2), strip.y() - reach, 2, strip.height() + 2 * reach)
                painter.fillRect(mark, theme.TEXT if strong else QColor(theme.DIM))


class Grown:
    """Remembers when a count last grew."""

    def __init__(self) -> None:
        self._count: int | None = None
        self._at = float("-inf")

    def recently(self, count: int, now: float, within: float) -> bool:
        """Return True if `count` grew less than `within` seconds ago. The first look is not growth."""
        if self._count is not None and count > self._count:
            self._at = now
        self._count = count
        return now - self._at < within


class HealthStrip(QWidget):
    """All readouts, in rows of four columns."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = Readout(
            "SOUND AHEAD", "sound that is made and not heard yet; at the strong mark the next block begins"
        )
        self.block = Readout(
            "SPEED",
            "the time to make a block, as a part of its length; the bar is the last block, the mark is the slowest "
            "of a hundred",
        )
        self.heard_after = HeardAfter()
        self.underruns = Readout(
            "HOLES",
            "how often the sound ran out, and the seconds of silence in place of late blocks; above: the "
            "priority of the thread that feeds the device",
        )
        self.late = Readout("LATE BLOCKS", "blocks that came too late")
        self.recorder = Readout("TAKE", "the recording")
        self.midi = Readout("MIDI", "the last message from a controller")
        self.clock = Readout(
            "CLOCK",
            "tempo, bar and beat, and where they come from; Choices, Clock follows a MIDI clock or Link",
        )
        self.voltages = Readout("CV IN", "the control voltages that come in, from channel 1 on")
        self.loudness = LoudnessView()
        self._grown = {name: Grown() for name in ("underruns", "late", "midi")}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(6)
        for row, places in enumerate((
            ((self.heard_after, 2), (self.block, 1), (self.queue, 1)),
            ((self.loudness, 2), (self.underruns, 1), (self.late, 1)),
            ((self.midi, 1), (self.clock, 2), (self.voltages, 1)),
            ((self.recorder, 4),),
        )):  # fmt: skip
            column = 0
            for readout, columns in places:
                grid.addWidget(readout, row, column, 1, columns)
                column += columns
        for column in range(4):
            grid.setColumnStretch(column, 1)

    def show_status(self, status: Status, now: float) -> None:
        """Show all of it; lamps and alarms fade by `now`, a running clock in seconds."""
        self._show_queue(status)
        self._show_block(status.engine)
        self.heard_after.show_status(status)
        self.loudness.show_loudness(status.audio.loudness)
        self._show_counts(status, now)
        self._show_recorder(status.recorder, status.sample_rate)
        control = status.control
        lit = self._grown["midi"].recently(control.messages, now, LAMP_SECONDS)
        count = len(control.connected)
        note = f"{len(control.missing)} missing" if control.missing else f"{count} input{'s' * (count != 1)}"
        note += ", OSC on" if control.osc is not None and not control.osc.problem else ""
        self.midi.show_reading(
            control.last_message or "no message yet", note, lamp=lit, alarm=bool(control.missing)
        )

        self.clock.show_reading(status.clock.text())
        volts = "  ".join(f"{level:+.2f}" for level in control.voltages[:4])
        self.voltages.show_reading(volts or "not in use")

    def _show_queue(self, status: Status) -> None:
        """The bar is two blocks long: a mark for one block, a strong one where the next block is started."""
        engine, queued = status.engine, status.seconds_queued
        if engine.block_duration <= 0:
            self.queue.show_reading(f"{queued:.1f} s", bar=0.0)
            return
        scale = 2 * engine.block_duration
        low = engine.state is EngineState.COASTING or (
            engine.state is EngineState.RUNNING and queued < engine.block_seconds
        )
        self.queue.show_reading(
            f"{queued:.1f} s",
            f"next at {engine.deadline_seconds:.1f} s",
            alarm=low,
            bar=queued / scale,
            marks=((0.5, False), (engine.deadline_seconds / scale, True)),
        )

    def _show_block(self, engine: EngineStatus) -> None:
        """The bar is the budget: the time that a block lasts. A repeat of older sound has no speed."""
        if engine.block_duration <= 0 or engine.block_seconds <= 0:
            self.block.show_reading("–", bar=0.0)
            return
        budget = engine.block_duration
        share = min(999, round(100 * engine.block_seconds / budget))
        words = rung_words(engine.rung) or f"works {share} %"
        note = f"{budget:.2f} s a block"
        self.block.show_reading(
            words,
            note,
            help_text=f"The model makes a block in {engine.block_seconds:.2f} s, at worst in "
            f"{engine.block_seconds_p99:.2f} s. The block lasts {budget:.2f} s.",
            alarm=engine.block_seconds > budget or engine.rung is not Rung.FULL,
            bar=engine.block_seconds / budget,
            marks=((engine.block_seconds_p99 / budget, True),),
        )

    def _show_counts(self, status: Status, now: float) -> None:
        underruns, late = status.audio.underruns, status.engine.late_blocks
        missing = status.audio.short_frames / status.sample_rate
        self.underruns.show_reading(
            f"{underruns}, {missing:.1f} s silent" if missing >= 0.05 else str(underruns),
            status.audio.priority,
            help_text=f"The process goes {status.priority}" if status.priority else "",
            alarm=self._grown["underruns"].recently(underruns, now, ALARM_SECONDS),
        )
        self.late.show_reading(str(late), alarm=self._grown["late"].recently(late, now, ALARM_SECONDS))

    def _show_recorder(self, recorder: RecorderStatus, sample_rate: int) -> None:
        name = recorder.folder.name if recorder.folder is not None else ""
        dropped = f"{recorder.dropped_blocks} dropped" if recorder.dropped_blocks else ""
        if recorder.recording:
            note = dropped or clock(recorder.frames / sample_rate)
            self.recorder.show_reading(name or "recording", note, alarm=bool(dropped))
        else:
            self.recorder.show_reading(name or "not recording", dropped, alarm=bool(dropped))
