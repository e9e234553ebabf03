"""Learn, map in a row, unlearn and locate: decides what the next touched control is used for.

No thread of its own; the control map's lock protects it.

Learning never removes a binding silently. If the learned control moves something else already, `question` asks first.
The old binding works until the answer. A learned CC may come from a knob or from an endless encoder. While this is not
clear, the CC moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from jbdiff_live.binding import (
    FINE_OFFSET,
    WITHOUT_CHANNEL,
    Binding,
    BindingKind,
    Encoding,
    label,
    takes_notes,
)
from jbdiff_live.control.decode import Place, Reading
from jbdiff_live.control.desk import PANIC, MapDesk
from jbdiff_live.control.learning import Gesture, Learner, place_of
from jbdiff_live.control.relative import Recognition, encodings_of
from jbdiff_live.control.source import ControlEvent
from jbdiff_live.control_view import LearnQuestion, Waiting
from jbdiff_live.parameters import BY_NAME

RECOGNITION_SECONDS = 3.0  # after this time, a control that is not clearly an encoder counts as a knob
NOTE_SECONDS = 10.0
ENDS = frozenset({0, 127})  # a button sends only these values
ANSWERS = ("replace", "both", "cancel")


@dataclass
class _Trial:
    """A CC that was just learned, while it is not clear whether a knob or an encoder sends it."""

    device: str
    binding: Binding
    since: float
    recognition: Recognition = field(default_factory=Recognition)


class Lessons:
    """The use of the next touched control.

    positions: where the controls stand (0 to 127), as the control map keeps it. last_seen: second of each control's
    last message. on_bound: called with the device after each change of its bindings.
    """

    def __init__(
        self,
        desk: MapDesk,
        positions: Mapping[Place, int],
        last_seen: Mapping[Place, float],
        on_bound: Callable[[str], None],
        waits_at: Callable[[str, Binding], str],
    ) -> None:
        """waits_at: returns the value that a controller's new control has to pass; empty if it acts at once."""
        self._desk = desk
        self._positions = positions
        self._last_seen = last_seen
        self._on_bound = on_bound
        self._waits_at = waits_at
        self._learner = Learner()
        self._learned: frozenset[Place] = frozenset()  # in this row: a hand may still move them
        self._asked: tuple[str, Binding] | None = None  # the device and binding of `question`
        self._trials: dict[Place, _Trial] = {}
        self._values: dict[Place, set[int]] = {}  # values of encoders that fit two encodings
        self.waiting = Waiting.NOTHING
        self.row: tuple[str, ...] = ()  # targets to learn; the first one is learned now
        self.question: LearnQuestion | None = None
        self.complaint = ""
        self._note = ""
        self._note_since: float | None = None
        self.touched: tuple[str, ...] = ()  # targets of the control that was located last

    @property
    def note(self) -> str:
        """Return the result of the last learning, unlearning or locating; empty after `NOTE_SECONDS`."""
        return self._note

    @note.setter
    def note(self, text: str) -> None:
        self._note, self._note_since = text, None

    @property
    def target(self) -> str | None:
        """Return the target that waits for a control."""
        return self.row[0] if self.waiting is Waiting.LEARN and self.row else None

    # ------------------------------------------------------------------ asked for

    def begin(self, waiting: Waiting, row: Sequence[str] = ()) -> None:
        """Wait for a control. row: for `Waiting.LEARN`, the targets in order. KeyError: no such name."""
        for name in row:
            label(name)
        self._learned = frozenset()
        self.note, self.touched = "", ()
        self._await(waiting, row)

    def skip(self) -> None:
        """Skip the first target of the row, and go on with the next."""
        if self.waiting is Waiting.LEARN:
            self._await(Waiting.LEARN, self.row[1:])

    def answer(self, how: str) -> None:
        """Answer the question: "replace", "both" or "cancel". Raises ValueError for anything else."""
        if how not in ANSWERS:
            raise ValueError(f"{how!r} is no answer; choose one of {', '.join(ANSWERS)}")
        asked, self._asked, self.question = self._asked, None, None
        if asked is None:
            return
        if how == "cancel":
            self._await(Waiting.NOTHING)
        else:
            self._bind(*asked, share=how == "both")

    def tell_lost_panic(self) -> None:
        """Warn after a binding was removed, if panic has no control left."""
        if not self._desk.controls_of(PANIC):
            self.note = (
                'Panic has no control of its own now; the key P and MIDI\'s "all sound off" still panic'
            )

    # ------------------------------------------------------------------ messages

    def hear(self, event: ControlEvent, readings: Sequence[Reading]) -> bool:
        """Take a message and its readings. Return True if it was used here, so that it moves nothing."""
        if not self._learner.listening:
            return False
        locating = self.waiting is Waiting.LOCATE
        answer = self._learner.hear(event, readings, self._desk.table(event.device).plain)
        self.complaint = answer.complaint or self.complaint
        if answer.gesture is not None:
            self._touch(answer.gesture, event.time)
        return answer.taken or locating

    def settle(self, now: float, late: Sequence[tuple[str, Reading]] = ()) -> None:
        """Let time pass: a touched CC whose partner did not come is a plain CC. late: readings whose time ran out."""
        if self._note_since is None:
            self._note_since = now
        elif now - self._note_since > NOTE_SECONDS:
            self._note = ""
        gesture = self._learner.settle(now)
        for device, reading in late:
            gesture = gesture or self._learner.hear_late(device, reading)
        if gesture is not None:
            self._touch(gesture, now)

    def recognise(self, device: str, reading: Reading, time: float) -> bool:
        """Watch a CC that was just learned. Return True if it must move nothing, because its kind is not clear."""
        place = place_of(device, reading)
        if place in self._values:
            self._correct(place, reading.value)
        trial = self._trials.get(place)
        if trial is None:
            return False
        waits_for_answer = self._asked is not None and self._asked[1] == trial.binding
        found = trial.recognition.feed(reading.value)
        if found is not False or time - trial.since > RECOGNITION_SECONDS:
            self._decide(place, trial, found)
        return not waits_for_answer  # before the answer, the control moves its old target

    # ------------------------------------------------------------------ inside

    def _await(self, waiting: Waiting, row: Sequence[str] = ()) -> None:
        self._learner.end()
        self.complaint = ""
        self.question = self._asked = None
        self.row = tuple(row)
        self.waiting = Waiting.NOTHING if waiting is Waiting.LEARN and not row else waiting
        if self.waiting is not Waiting.NOTHING:
            self._listen()

    def _listen(self) -> None:
        parameter = BY_NAME.get(self.target or "")
        buttons = parameter is None or takes_notes(parameter)
        self._learner.begin(
            self._positions,
            buttons if self.waiting is Waiting.LEARN else None,
            self._learned,
            self._last_seen,
        )

    def _touch(self, gesture: Gesture, time: float) -> None:
        if self.waiting is Waiting.LEARN:
            self._learn(gesture, time)
            return
        control = (gesture.kind, gesture.number, gesture.channel)
        targets = self._desk.moved_by(gesture.device, *control)
        names = ", ".join(label(target) for target in targets)
        if self.waiting is Waiting.UNLEARN:
            self._await(Waiting.NOTHING)
            self._desk.release(gesture.device, *control)
            self._on_bound(gesture.device)
            again = self._desk.in_use(gesture.device, targets)
            self.note = (
                "; ".join([f"it no longer moves {names}", *again]) if names else "that control moved nothing"
            )
            if PANIC in targets:
                self.tell_lost_panic()
        else:
            self.touched = targets
            self.note = f"it moves {names}" if names else "it moves nothing"
            self._listen()

    def _learn(self, gesture: Gesture, time: float) -> None:
        assert self.target is not None
        channel = None if gesture.kind in WITHOUT_CHANNEL else gesture.channel
        try:
            new = Binding(
                self.target,
                gesture.kind,
                gesture.number,
                channel,
                velocity=gesture.velocity,
                name=gesture.name,
            )
        except ValueError as error:
            self.complaint = str(error)  # learning goes on: the next control may fit
            self._listen()
            return
        self._begin_trial(gesture, new, time)
        self._learned |= _places(gesture)
        others = self._desk.others(gesture.device, new)
        if not others:
            self._bind(gesture.device, new)
            return
        names = tuple(dict.fromkeys(b.target for b in others))
        row = self.row
        self._await(Waiting.NOTHING)
        self.row = row  # the row goes on after the answer
        self._asked = gesture.device, new
        self.question = LearnQuestion(
            gesture.device, new.target, new.control, names, self._asking(new, names)
        )

    def _asking(self, new: Binding, others: tuple[str, ...]) -> str:
        names = " and ".join(label(target) for target in others)
        text = f"{new.control} moves {names} already. Replace that with {label(new.target)}, keep both, or cancel?"
        if PANIC in others and self._desk.controls_of(PANIC) <= 1:
            text += " Panic would have no control left."
        return text

    def _bind(self, device: str, new: Binding, share: bool = False) -> None:
        had_panic = self._desk.controls_of(PANIC) > 0
        self._desk.bind(device, new, share)
        self._on_bound(device)
        self._await(Waiting.LEARN, self.row[1:])
        self.note = self._learned_note(device, new)
        if had_panic:
            self.tell_lost_panic()

    def _learned_note(self, device: str, new: Binding) -> str:
        """Say what was learned, and from which value on the control moves it."""
        value = self._waits_at(device, new)
        takes_over = f"; turn it past {value}, and it moves the knob" if value else ""
        return f"{_learned(new)}{takes_over}."

    def _begin_trial(self, gesture: Gesture, new: Binding, time: float) -> None:
        parameter = BY_NAME.get(new.target)
        place = (gesture.device, gesture.channel, gesture.kind, gesture.number)
        self._trials.pop(place, None)
        self._values.pop(place, None)
        if gesture.kind is not BindingKind.CC or parameter is None or parameter.toggle:
            return
        trial = _Trial(gesture.device, new, time)
        for value in gesture.values:
            found = trial.recognition.feed(value)
            if found is not False:
                return
        self._trials[place] = trial

    def _decide(self, place: Place, trial: _Trial, found: Encoding | bool) -> None:
        del self._trials[place]
        if not isinstance(found, Encoding):
            parameter = BY_NAME[trial.binding.target]
            if parameter.choices and ENDS.issuperset(trial.recognition.values):
                self._replace(trial.device, trial.binding, replace(trial.binding, button=True))
            return
        new = replace(trial.binding, encoding=found)
        self._replace(trial.device, trial.binding, new)
        if self.note.startswith(_learned(trial.binding)):  # an encoder takes over at once
            self.note = f"{_learned(new)}."
        self._values[place] = set(trial.recognition.values)

    def _correct(self, place: Place, value: int) -> None:
        """Correct the encoding of an encoder. Turns one way fit two encodings; the first turn back decides."""
        values = self._values[place]
        values.add(value)
        device, channel, kind, number = place
        old = next((b for b in self._desk.table(device).bindings if b.encoding is not None
                    and (b.kind, b.number, b.channel) == (kind, number, channel)), None)  # fmt: skip
        fitting = encodings_of(values)
        if len(fitting) < 2:  # one encoding is left, or a turn was so fast that none fits
            del self._values[place]
        if old is not None and fitting and fitting[0] is not old.encoding:
            self._replace(device, old, replace(old, encoding=fitting[0]))

    def _replace(self, device: str, old: Binding, new: Binding) -> None:
        if self._asked == (device, old):
            self._asked = device, new
            return
        self._desk.change(device, old, new)
        self._on_bound(device)


def _learned(binding: Binding) -> str:
    channel = "" if binding.channel is None else f"ch {binding.channel} "
    return f"{label(binding.target)} learned {channel}{binding.counted_control}"


def _places(gesture: Gesture) -> frozenset[Place]:
    """Return the controls of a gesture; for a pair, also its two halves."""
    device, channel, number = gesture.device, gesture.channel, gesture.number
    if gesture.kind is BindingKind.CC14:
        return frozenset((device, channel, BindingKind.CC, n) for n in (number, number + FINE_OFFSET))
    return frozenset({(device, channel, gesture.kind, number)})
