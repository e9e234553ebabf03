"""What the window has to say, as a list of messages, each with its tone. Pure: made from a `Status`.

A message is calm unless the sound is worse than it should be. Red is for silence and clipping alone, whatever else is
said at the same time. No thread, nothing blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from jbdiff_live.binding import label
from jbdiff_live.control_view import Waiting
from jbdiff_live.stage_word import StageWord, Word, stage_word
from jbdiff_live.status import AudioStatus, ControlStatus, EngineState, Status

WITHOUT_MIDI = "no MIDI"
HINT = "F1 shows all keys. Press L on a knob to bind it to a controller."
LONGER = 1.2  # times its usual length from which a longer delay of gain and mute is worth a line


class Tone(IntEnum):
    """How bad it is. The value grows with it."""

    CALM = 0  # an answer, or news
    FAULT = 1  # something is degraded, or was refused
    SILENCE = 2  # the audience hears nothing


@dataclass(frozen=True)
class Message:
    """A sentence for the player."""

    text: str
    tone: Tone = Tone.CALM


def problems(status: Status) -> list[Message]:
    """Return what a status says is wrong, worst first."""
    word, found = stage_word(status), []
    if status.engine.state is EngineState.FAILED:
        found.append(Message(f"Engine: {status.engine.detail or 'failed, and gave no reason'}", Tone.SILENCE))
    for part, text in (
        ("Sound", status.audio.problem),
        ("Recorder", status.recorder.problem),
        ("Recorder", status.recorder.warning),
        ("MIDI", "" if status.control.problem.startswith(WITHOUT_MIDI) else status.control.problem),
    ):
        if text:
            silences = word.alarm and part == "Sound" and text in word.why
            tone = Tone.SILENCE if silences else Tone.FAULT
            found.append(Message(f"{part}: {text.removeprefix(f'no {part}: ')}", tone))
    if status.control.osc is not None:
        osc = status.control.osc
        texts = (osc.problem, osc.last_unusable and f"OSC: a message changed nothing: {osc.last_unusable}")
        found += [Message(text, Tone.FAULT) for text in texts if text]
    if status.control.missing and not status.control.problem:
        gone, several = ", ".join(status.control.missing), len(status.control.missing) > 1
        words = f"MIDI: {gone} {'are' if several else 'is'} gone; plug {'them' if several else 'it'} in again"
        found.append(Message(words, Tone.FAULT))
    return found


def news(status: Status, details: str) -> list[Message]:
    """Return what else there is to read. details: the reason of the state word, if it found no room beside it."""
    meanwhile = " The old one plays until then." if status.engine.state is EngineState.RUNNING else ""
    loading = f"Loading {status.stack.loading}.{meanwhile}" if status.stack.loading else ""
    found = [Message(details, tone_of(stage_word(status)))]
    texts = status.message, loading, longer_delay(status.audio), without_midi(status.control)
    found += [Message(text) for text in texts]
    return [message for message in found if message.text]


def tone_of(word: StageWord) -> Tone:
    """Return the tone of a state word's reason."""
    if word.alarm:
        return Tone.SILENCE
    blemished = (
        word.word is Word.LOOPING
        or word.device
        or (word.word is Word.PLAYING and word.why and not word.wanted)
    )
    return Tone.FAULT if blemished else Tone.CALM


def without_midi(control: ControlStatus) -> str:
    """Why the computer has no MIDI at all, as a sentence. It is news, since the music suffers nothing."""
    text = control.problem
    return f"{text[0].upper()}{text[1:]}." if text.startswith(WITHOUT_MIDI) else ""


def hands(control: ControlStatus) -> str:
    """Return what the window waits for from a controller; empty if it waits for nothing."""
    last = f" The last message was {control.last_message}." if control.last_message else ""
    if control.question is not None:
        return control.question.text
    if control.waiting is Waiting.LEARN and control.row:
        more = f" {len(control.row) - 1} more follow; Shift+L leaves this one out." if control.row[1:] else ""
        return f"Learn {label(control.row[0])}: move a control.{more} Esc cancels.{last}"
    if control.waiting is Waiting.UNLEARN:
        return f"Unlearn: touch a control to remove its bindings. Esc cancels.{last}"
    if control.waiting is Waiting.LOCATE:
        return f"Locate: touch a control to see what it moves. It moves nothing meanwhile.{last}"
    return ""


def answers(status: Status) -> list[Message]:
    """Return the answers to what the player did last."""
    control = status.control
    note = "" if control.question is not None else control.note
    return [Message(text) for text in (note, status.note) if text]


def longer_delay(audio: AudioStatus) -> str:
    """Why gain and mute act later than usual; empty while they do not."""
    if not 0 < LONGER * audio.usual_latency_seconds < audio.latency_seconds or not audio.running:
        return ""
    return (
        f"Gain and mute act after {audio.latency_seconds * 1000:.0f} ms instead of "
        f"{audio.usual_latency_seconds * 1000:.0f}: the sound ran dry, so more of it is kept ready. "
        "It gets shorter again when the machine is calm."
    )
