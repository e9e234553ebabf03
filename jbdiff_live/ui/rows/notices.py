"""The problem line: everything that is wrong, in full, until it is right, and the newest message.

It lies over the picture of the sound, so that nothing moves when a message comes. Without a message it is hidden.
Red when the audience hears nothing, amber when something else is wrong.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QMouseEvent, QTextOption
from PySide6.QtWidgets import QFrame, QTextEdit, QWidget

from jbdiff_live.binding import label
from jbdiff_live.control_view import Waiting
from jbdiff_live.stage_word import stage_word
from jbdiff_live.status import AudioStatus, ControlStatus, EngineState, Status
from jbdiff_live.ui.drawing import theme

WITHOUT_MIDI = "no MIDI"
HINT = "F1 shows all keys. Press L on a knob to bind it to a controller."
LEAST_HEIGHT = 34  # pixels
CLICK_PIXELS = 4  # a longer way of the pressed mouse selects text
LONGER = 1.2  # times its usual length from which a longer delay of gain and mute is worth a line


def problems(status: Status) -> list[str]:
    """What a status says is wrong, worst first."""
    found = []
    if status.engine.state is EngineState.FAILED:
        found.append(f"Engine: {status.engine.detail or 'failed without saying why'}")
    for part, text in (
        ("Sound", status.audio.problem),
        ("Recorder", status.recorder.problem),
        ("Recorder", status.recorder.warning),
        ("MIDI", "" if status.control.problem.startswith(WITHOUT_MIDI) else status.control.problem),
    ):
        if text:
            found.append(f"{part}: {text.removeprefix(f'no {part}: ')}")
    if status.control.osc is not None:
        osc = status.control.osc
        found += [osc.problem] if osc.problem else []
        found += [f"OSC: a message changed nothing: {osc.last_unusable}"] if osc.last_unusable else []
    if status.control.missing and not status.control.problem:
        found.append(f"MIDI: not there now: {', '.join(status.control.missing)}")
    return found


def without_midi(control: ControlStatus) -> str:
    """Why the computer has no MIDI at all, as a sentence. It is news, since the music suffers nothing."""
    text = control.problem
    return f"{text[0].upper()}{text[1:]}." if text.startswith(WITHOUT_MIDI) else ""


def hands(control: ControlStatus) -> tuple[str, ...]:
    """What the window waits for from a controller, and what came of it."""
    last = f" The last message was {control.last_message}." if control.last_message else ""
    if control.question is not None:
        return (control.question.text,)
    if control.waiting is Waiting.LEARN and control.row:
        more = f", and {len(control.row) - 1} more after it; Shift+L leaves it out" if control.row[1:] else ""
        return (control.note, f"Learn {label(control.row[0])}: move a control{more}. Esc cancels.{last}")
    if control.waiting is Waiting.UNLEARN:
        return (control.note, f"Unlearn: touch a control to remove its bindings. Esc cancels.{last}")
    if control.waiting is Waiting.LOCATE:
        return (
            control.note,
            f"Locate: touch a control to see what it moves. It moves nothing meanwhile.{last}",
        )
    return (control.note,)


def longer_delay(audio: AudioStatus) -> str:
    """Why gain and mute act later than usual; empty while they do not."""
    if not 0 < LONGER * audio.usual_latency_seconds < audio.latency_seconds or not audio.running:
        return ""
    return (
        f"Gain and mute act after {audio.latency_seconds * 1000:.0f} ms instead of "
        f"{audio.usual_latency_seconds * 1000:.0f}: the sound ran dry, so more of it is kept ready. "
        "It gets shorter again when the machine is calm."
    )


class NoticeLine(QTextEdit):
    """Wraps and grows with its text, and can be selected and copied. A click dismisses what it says; so does Esc.

    A problem that was dismissed comes back when it changes, or goes away and returns. Beyond the room that `lie_in`
    gives, the text scrolls.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setReadOnly(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setAccessibleName("Messages and problems")
        self.setFont(theme.font(15))
        self.document().setDocumentMargin(5)
        self.setToolTip("A click, or Esc, closes this. A problem that lasts is told again when it changes.")
        self._refused: dict[str, str] = {}
        self._dismissed: frozenset[str] = frozenset()  # problems that the player has read
        self._told: frozenset[str] = frozenset()  # what there is to be read now
        self._pressed_at: QPoint | None = None
        self._shown: tuple[object, ...] | None = None
        self._room, self._at_top = QRect(0, 0, 400, 200), False
        self._dress("", "", False)

    def refuse(self, what: str, reason: str) -> None:
        """Something that was asked for did not happen. Stays until the same thing succeeds or is dismissed."""
        self._refused[what] = reason

    def succeed(self, what: str) -> None:
        self._refused.pop(what, None)

    def dismiss(self) -> bool:
        """Dismiss what is shown. Return False if nothing was shown. A question or a wish to learn stays."""
        if not self.isVisible():
            return False
        self._refused.clear()
        self._dismissed |= self._told
        self._dress("", "", False)
        return True

    def recall(self) -> None:
        """Show again what was dismissed."""
        self._dismissed = frozenset()

    @property
    def refused(self) -> dict[str, str]:
        return dict(self._refused)

    def show_status(self, status: Status, details: str = "", said: str = "") -> None:
        """`details` is a text that found no room elsewhere. `said` is a text that is shown whole elsewhere."""
        found = [text for text in problems(status) if not said or text.partition(": ")[2] not in said]
        whole = any(details in text for text in found)
        meanwhile = "; what plays goes on until then" if status.engine.state is EngineState.RUNNING else ""
        loading = f"Loading {status.stack.loading}{meanwhile}." if status.stack.loading else ""
        details = "" if whole else details
        delay, no_midi = longer_delay(status.audio), without_midi(status.control)
        there = frozenset((*found, status.message, loading, details, delay, status.note, no_midi)) - {""}
        self._dismissed &= there
        self._told = there
        unread = [text for text in found if text not in self._dismissed]
        wrong = [*unread, *(f"{what}: {why}" for what, why in self._refused.items())]
        news = (status.message, loading, details, delay, status.note, no_midi)
        calm = [text for text in hands(status.control) if text]
        calm += [text for text in news if text and text not in self._dismissed]
        if not wrong and not calm and status.engine.state is EngineState.OFFLINE:
            calm = [HINT]
        self._dress("\n".join(wrong), "\n".join(calm), stage_word(status).alarm)

    def _dress(self, wrong: str, calm: str, alarm: bool) -> None:
        """alarm: the audience hears nothing."""
        if (wrong, calm, alarm) == self._shown:
            return
        self._shown = (wrong, calm, alarm)
        fill, ink, edge = theme.PANEL, theme.TEXT, theme.LINE
        if alarm:
            fill, ink, edge = theme.WARN_DEEP, theme.TEXT, theme.WARN
        elif wrong:
            fill, ink, edge = theme.CAUTION_DEEP, theme.TEXT, theme.CAUTION
        self.setStyleSheet(
            f"QTextEdit {{ background: {fill.name()}; color: {ink.name()}; "
            f"border-left: 5px solid {edge.name()}; border-radius: 3px; }}"
        )
        self.setPlainText("\n".join(text for text in (wrong, calm) if text))
        self._fit()

    def dress_anew(self) -> None:
        """Take the colours and letters of a new look."""
        self.setFont(theme.font(15))
        self._shown = None

    def lie_in(self, room: QRect, at_top: bool = False) -> None:
        """Lie at the lower edge of this room, or at its upper one, in the coordinates of the parent."""
        if (room, at_top) != (self._room, self._at_top):
            self._room, self._at_top = room, at_top
            self._fit()

    def _fit(self) -> None:
        """Take the height that the text needs, within the room."""
        if not self.toPlainText():
            self.hide()
            return
        room = self._room
        self.resize(room.width(), max(1, self.height()))
        self.document().setTextWidth(self.viewport().width())
        needed = max(LEAST_HEIGHT, int(self.document().size().height()) + 2)
        height = min(room.height(), needed)
        top = room.y() if self._at_top else room.bottom() + 1 - height
        self.setGeometry(room.x(), top, room.width(), height)
        self.raise_()
        self.show()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._pressed_at = event.position().toPoint()
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Dismiss the text after a click. A drag selects it instead."""
        super().mouseReleaseEvent(event)
        pressed, self._pressed_at = self._pressed_at, None
        moved = pressed is None or (event.position().toPoint() - pressed).manhattanLength() > CLICK_PIXELS
        if event.button() is Qt.MouseButton.LeftButton and not moved:
            self.dismiss()
