"""One control bound to one target, and its text form: "CC 74", "note C3 velocity", "CV 3", "OSC /1/fader3".

Shared: patches, maps of controllers, the control thread and the window's table all read these. Everything
here is immutable; nothing blocks.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from jbdiff_live.beat.line import Unit
from jbdiff_live.parameters import (
    ACTIONS_BY_NAME,
    BY_NAME,
    FUNCTIONS_BY_NAME,
    NEVER_HELD,
    Action,
    Parameter,
    unknown_name,
)

# C3 is note 60, as on most players' pads and in their live sets; C1 (36) is then the first pad.
NOTE_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
LOWEST_OCTAVE = -2

HIGHEST_CC = 127
HIGHEST_14 = 16383
FINE_OFFSET = 32  # the fine half of CC n is CC n + 32
HIGHEST_COARSE = 87  # CC 120 and above are channel mode messages
HIGHEST_PROGRAM = 128
HIGHEST_CHANNEL = 64  # of a sound input, counted from 1
HIGHEST_CHECKSUM = 2**32 - 1
LEAST_SPAN = 1e-6  # of the parameter's travel, for the range of a control
CLOCK_WORDS = ("start", "continue", "stop")  # numbers 0, 1 and 2 of BindingKind.CLOCK


class BindingKind(Enum):
    """What a control sends."""

    CC = "cc"
    CC14 = "cc14"  # CC n and its fine half n + 32
    NRPN = "nrpn"
    RPN = "rpn"
    BEND = "pitch bend"
    PRESSURE = "pressure"  # of the whole channel
    KEY_PRESSURE = "key pressure"
    NOTE = "note"
    PROGRAM = "program"
    CLOCK = "MIDI"  # start, continue and stop
    CV = "CV"  # the voltage of one channel of a sound input
    GATE = "gate"  # the same channel as a button
    OSC = "OSC"  # an OSC address
    KEY = "key"  # of the computer's keyboard


class Encoding(Enum):
    """How a relative encoder writes its steps. The value names what it sends for one step up and one step down."""

    TWOS_COMPLEMENT = "1/127"
    OFFSET_64 = "65/63"
    SIGN_BIT = "1/65"


class TakeoverMode(Enum):
    """What a control does when its position differs from the value that it moves."""

    JUMP = "jump"  # the value follows at once
    PICKUP = "pickup"  # the value waits until the control passes it
    SCALE = "scale"  # the value moves in the same direction, by the same share of the remaining travel


class Bend(Enum):
    """How a control's travel maps onto its range."""

    LINEAR = "linear"
    SLOW = "slow"  # finer at the start of the travel
    FAST = "fast"  # finer at its end


HIGHEST_NUMBER: Mapping[BindingKind, int] = {
    BindingKind.CC14: HIGHEST_COARSE,
    BindingKind.NRPN: HIGHEST_14,
    BindingKind.RPN: HIGHEST_14,
    BindingKind.BEND: 0,
    BindingKind.PRESSURE: 0,
    BindingKind.PROGRAM: HIGHEST_PROGRAM,
    BindingKind.CLOCK: len(CLOCK_WORDS) - 1,
    BindingKind.CV: HIGHEST_CHANNEL,
    BindingKind.GATE: HIGHEST_CHANNEL,
    BindingKind.OSC: HIGHEST_CHECKSUM,
    BindingKind.KEY: HIGHEST_CHECKSUM,
}
LOWEST_NUMBER: Mapping[BindingKind, int] = {
    BindingKind.PROGRAM: 1,
    BindingKind.CV: 1,
    BindingKind.GATE: 1,
}
NAMED = frozenset({BindingKind.OSC, BindingKind.KEY})  # controls with a name instead of a number
WITHOUT_CHANNEL = NAMED | {BindingKind.CLOCK, BindingKind.CV, BindingKind.GATE}
TRIGGERS = frozenset(
    {BindingKind.NOTE, BindingKind.PROGRAM, BindingKind.CLOCK, BindingKind.GATE, BindingKind.KEY}
)  # buttons: they have no position


def checksum(name: str) -> int:
    """Return a number for an OSC address or a key, because controls are looked up by number."""
    return zlib.crc32(name.encode())


@dataclass(frozen=True)
class Binding:
    """One control bound to one parameter, action or function of the session.

    target: name of a parameter, an action or a function. number: of the CC, note, program (from 1), (N)RPN or
    sound channel (from 1); of an OSC address or a key the checksum of its `name`. channel: of MIDI, 1 to 16; None
    listens to all of them. encoding: of a relative encoder; None for an absolute control. velocity: a note sets the
    value to how hard it is struck, and does not step. button: a CC steps a switch or list at each press, as a note
    does; else a switch is on as long as a CC is above the middle. takeover: None is the map's own. gate: a switch is on
    as long as the note is held. span: the lowest and highest value that the control reaches, in the parameter's unit;
    None: the whole range. bend, inverted: of its travel. hold: what its changes wait for; None: the knob Hold changes.

    Raises ValueError with the reason if the control does not fit the target; KeyError for an unknown target.
    """

    target: str
    kind: BindingKind
    number: int = 0
    channel: int | None = None
    encoding: Encoding | None = None
    velocity: bool = False
    button: bool = False
    takeover: TakeoverMode | None = None
    name: str = ""
    gate: bool = False
    span: tuple[float, float] | None = None
    bend: Bend = Bend.LINEAR
    inverted: bool = False
    hold: Unit | None = None

    def __post_init__(self) -> None:
        label(self.target)
        low, high = LOWEST_NUMBER.get(self.kind, 0), HIGHEST_NUMBER.get(self.kind, HIGHEST_CC)
        if self.kind in NAMED and self.number != checksum(self.name):
            raise ValueError(f"{self.kind.value} for {self.target}: needs a name and its checksum")
        if self.channel is not None and self.kind in WITHOUT_CHANNEL:
            raise ValueError(f"{self.control} for {self.target}: has no MIDI channel; leave 'ch' out")
        if not low <= self.number <= high:
            raise ValueError(f"{self.kind.value} {self.number} for {self.target}: goes from {low} to {high}")
        if self.channel is not None and not 1 <= self.channel <= 16:
            raise ValueError(f"channel {self.channel} for {self.target}: goes from 1 to 16")
        if self.encoding is not None and self.kind is not BindingKind.CC:
            raise ValueError(f"{self.control} for {self.target}: only a CC can be relative")
        if self.velocity and self.kind is not BindingKind.NOTE:
            raise ValueError(f"{self.control} for {self.target}: only a note has a velocity")
        self._check_travel()
        parameter = BY_NAME.get(self.target)
        if self.button and (
            self.kind is not BindingKind.CC or parameter is None or not takes_notes(parameter)
        ):
            raise ValueError(
                f"{self.control} for {self.target}: 'button' is for a CC that steps a switch or a list"
            )
        if self.gate and (
            self.kind is not BindingKind.NOTE or self.velocity or parameter is None or not parameter.toggle
        ):
            raise ValueError(
                f"{self.control} for {self.target}: 'gate' is for a note that holds a switch on, such as hold"
            )
        if parameter is None:
            if self.encoding is not None or self.velocity:
                raise ValueError(f"{self.target} happens when a button is pressed; leave out what follows it")
        elif self.kind in TRIGGERS and not self.velocity and not takes_notes(parameter):
            hint = f"; write '{self.control} velocity' to set it by how hard the note is struck"
            raise ValueError(
                f"{self.target} is continuous and needs a knob (a CC), not {self.control}; buttons work for switches, "
                f"lists and actions{hint if self.kind is BindingKind.NOTE else ''}"
            )

    def _check_travel(self) -> None:
        """Raise ValueError if range, curve, inversion or hold do not suit control and target."""
        where, parameter = f"{self.control} for {self.target}", BY_NAME.get(self.target)
        if self.hold is not None and self.target in NEVER_HELD:
            raise ValueError(f"{where}: {label(self.target)} never waits; leave 'hold' out")
        if self.inverted and not self.has_travel:
            raise ValueError(f"{where}: 'inverted' is for a control that has a position, or an encoder")
        if (self.span or self.bend is not Bend.LINEAR) and not (self.has_travel and _is_smooth(parameter)):
            raise ValueError(f"{where}: 'from … to …' and 'curve' are for a knob that sets a number")
        if self.span is not None and parameter is not None:
            low, high = self.span
            if not parameter.low <= low < high <= parameter.high:
                raise ValueError(
                    f"{where}: from {low:g} to {high:g}: write the lower value first, between {parameter.low:g} and "
                    f"{parameter.high:g}; 'inverted' turns the control round"
                )
            if parameter.to_normal(high) - parameter.to_normal(low) < LEAST_SPAN:
                raise ValueError(
                    f"{where}: from {low:g} to {high:g}: too narrow; leave room between the values"
                )

    @property
    def has_travel(self) -> bool:
        """True if the control has a position that moves a parameter: no button, and no action."""
        if self.target not in BY_NAME or self.button or self.gate:
            return False
        return self.kind not in TRIGGERS or self.velocity

    @property
    def has_range(self) -> bool:
        """True if the control may have a range and a curve."""
        return self.has_travel and _is_smooth(BY_NAME.get(self.target))

    @property
    def control(self) -> str:
        """The control alone: "CC 74", "CC 1/33 14-bit", "note C3", "pitch bend"."""
        if self.kind is BindingKind.CC14:
            return f"CC {self.number}/{self.number + FINE_OFFSET} 14-bit"
        if self.kind is BindingKind.NOTE:
            return f"note {note_name(self.number)}"
        if self.kind is BindingKind.KEY_PRESSURE:
            return f"pressure {note_name(self.number)}"
        if self.kind in (BindingKind.BEND, BindingKind.PRESSURE):
            return str(self.kind.value)
        if self.kind is BindingKind.CLOCK:
            return f"MIDI {CLOCK_WORDS[self.number]}"
        if self.kind in NAMED:
            return f"{self.kind.value} {self.name}"
        return f"{_WORDS[self.kind]} {self.number}"

    @property
    def counted_control(self) -> str:
        """The control, and how an encoder counts: "CC 22 relative 1/127"."""
        return f"{self.control} relative {self.encoding.value}" if self.encoding else self.control

    @property
    def text(self) -> str:
        """The binding as a person writes it: "CC 74", "ch 2 CC 21 relative 1/127", "note C3 velocity"."""
        return " ".join(
            word
            for word in (
                "" if self.channel is None else f"ch {self.channel}",
                self.counted_control,
                "velocity" if self.velocity else "",
                "button" if self.button else "",
                "gate" if self.gate else "",
                "" if self.takeover is None else self.takeover.value,
                "" if self.span is None else f"from {_plain(self.span[0])} to {_plain(self.span[1])}",
                "" if self.bend is Bend.LINEAR else f"curve {self.bend.value}",
                "inverted" if self.inverted else "",
                "" if self.hold is None else f"hold {self.hold.value}",
            )
            if word
        )

    @staticmethod
    def parse(target: str, text: str) -> Binding:
        """Return the binding that `text` describes. ValueError says how to write it."""
        match = _TEXT.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} for {target}: {HOW_TO_WRITE}")
        name = match["address"] or match["computer_key"] or ""
        kind, number = _control(target, text, match)
        relative, settings = match["relative"], _settings(target, text, match["settings"])
        return Binding(
            target,
            kind,
            number,
            int(match["channel"]) if match["channel"] else None,
            None if relative is None else Encoding(relative),
            match["velocity"] is not None,
            match["button"] is not None,
            settings.takeover,
            name,
            match["held"] is not None,
            settings.span,
            settings.bend,
            settings.inverted,
            settings.hold,
        )

    @property
    def controls(self) -> frozenset[tuple[BindingKind, int]]:
        """The controls whose messages move this binding, as kind and number. A pair also has its two halves."""
        if self.kind is not BindingKind.CC14:
            return frozenset(((self.kind, self.number),))
        return frozenset((BindingKind.CC, number) for number in (self.number, self.number + FINE_OFFSET))

    def overlaps(self, other: Binding) -> bool:
        """Return True if some message would move both."""
        channels = self.channel is None or other.channel is None or self.channel == other.channel
        return channels and bool(self.controls & other.controls)


HOW_TO_WRITE = (
    "write 'CC 74', 'CC 1/33 14-bit', 'CC 21 relative 1/127', 'NRPN 300', 'pitch bend', 'pressure', 'note C3', "
    "'program 5' or 'MIDI start', with 'ch 2 ' before it to listen to one channel only; or 'CV 3', 'gate 4', "
    "'OSC /1/fader3', 'key F5'; and behind it, if you like, 'pickup', 'from 0.2 to 0.8', 'curve slow', 'inverted', "
    "'hold bar'"
)
_WORDS = {
    BindingKind.CC: "CC",
    BindingKind.NRPN: "NRPN",
    BindingKind.RPN: "RPN",
    BindingKind.PROGRAM: "program",
    BindingKind.CV: "CV",
    BindingKind.GATE: "gate",
}
_SETTING = (
    rf"(?P<takeover>{'|'.join(m.value for m in TakeoverMode)})"
    r"|from\s+(?P<low>-?\d+(?:\.\d+)?)\s+to\s+(?P<high>-?\d+(?:\.\d+)?)"
    rf"|curve\s+(?P<bend>{'|'.join(b.value for b in Bend)})"
    r"|(?P<inverted>inverted)"
    rf"|hold\s+(?P<hold>{'|'.join(u.value for u in Unit)})"
)
_UNNAMED_SETTING = re.sub(r"\?P<\w+>", "?:", _SETTING)
_NOTE = r"\d{1,3}|[A-G][#b]?-?\d"
_TEXT = re.compile(
    r"(?:ch(?:annel)?\s*(?P<channel>\d{1,2})\s+)?"
    r"(?:CC\s*(?P<cc>\d{1,3})(?:\s*/\s*(?P<fine>\d{1,3})(?:\s*14[- ]?bit)?)?"
    rf"|(?P<nrpn>N?RPN)\s*(?P<parameter>\d{{1,5}})"
    r"|(?P<bend>pitch\s*bend)"
    rf"|(?P<pressure>pressure)(?:\s+(?P<key>{_NOTE}))?"
    rf"|note\s*(?P<note>{_NOTE})"
    r"|program\s*(?P<program>\d{1,3})"
    rf"|MIDI\s+(?P<clock>{'|'.join(CLOCK_WORDS)})"
    r"|CV\s*(?P<cv>\d{1,3})"
    r"|gate\s*(?P<gate>\d{1,3})"
    r"|OSC\s+(?P<address>/\S+)"
    r"|key\s+(?P<computer_key>\S+))"
    rf"(?:\s+relative\s+(?P<relative>{'|'.join(e.value for e in Encoding)}))?"
    r"(?P<velocity>\s+velocity)?(?P<button>\s+button)?(?P<held>\s+gate)?"
    rf"(?P<settings>(?:\s+(?:{_UNNAMED_SETTING}))*)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Settings:
    """What stands behind a control: how it takes over, its travel, and what it waits for."""

    takeover: TakeoverMode | None = None
    span: tuple[float, float] | None = None
    bend: Bend = Bend.LINEAR
    inverted: bool = False
    hold: Unit | None = None


def _settings(target: str, text: str, written: str) -> _Settings:
    found = list(re.finditer(_SETTING, written, re.IGNORECASE))
    given: dict[str, str] = {}
    for name, value in [(n, v) for match in found for n, v in match.groupdict().items() if v is not None]:
        if name in given:
            raise ValueError(f"{text!r} for {target}: says {value!r} and {given[name]!r}; keep one of them")
        given[name] = value.lower()
    return _Settings(
        TakeoverMode(given["takeover"]) if "takeover" in given else None,
        (float(given["low"]), float(given["high"])) if "low" in given else None,
        Bend(given.get("bend", Bend.LINEAR.value)),
        "inverted" in given,
        Unit(given["hold"]) if "hold" in given else None,
    )


def _control(target: str, text: str, match: re.Match[str]) -> tuple[BindingKind, int]:
    if match["cc"] is not None:
        number = int(match["cc"])
        if match["fine"] is None:
            return BindingKind.CC, number
        if int(match["fine"]) != number + FINE_OFFSET:
            raise ValueError(
                f"{text!r} for {target}: the fine half of CC {number} is CC {number + FINE_OFFSET}"
            )
        return BindingKind.CC14, number
    if match["nrpn"] is not None:
        return BindingKind[match["nrpn"].upper()], int(match["parameter"])
    if match["bend"] is not None:
        return BindingKind.BEND, 0
    if match["pressure"] is not None:
        if match["key"] is None:
            return BindingKind.PRESSURE, 0
        return BindingKind.KEY_PRESSURE, _note_number(match["key"], text)
    if match["program"] is not None:
        return BindingKind.PROGRAM, int(match["program"])
    if match["clock"] is not None:
        return BindingKind.CLOCK, CLOCK_WORDS.index(match["clock"].lower())
    if match["cv"] is not None:
        return BindingKind.CV, int(match["cv"])
    if match["gate"] is not None:
        return BindingKind.GATE, int(match["gate"])
    if match["address"] is not None:
        return BindingKind.OSC, checksum(match["address"])
    if match["computer_key"] is not None:
        return BindingKind.KEY, checksum(match["computer_key"])
    return BindingKind.NOTE, _note_number(match["note"], text)


def _note_number(name: str, text: str) -> int:
    if name.isdigit():
        number = int(name)
    else:
        sharp = name[1:2] == "#"
        flat = name[1:2] == "b"
        octave = int(name[2 if sharp or flat else 1 :])
        number = NOTE_NAMES.index(name[0].upper()) + sharp - flat + 12 * (octave - LOWEST_OCTAVE)
    if not 0 <= number <= 127:
        raise ValueError(f"{text!r}: notes go from {note_name(0)} to {note_name(127)}")
    return number


def note_name(number: int) -> str:
    """Return "C3" for 60."""
    return f"{NOTE_NAMES[number % 12]}{number // 12 + LOWEST_OCTAVE}"


def takes_notes(parameter: Parameter) -> bool:
    """Return True for switches and lists, which a pad can step. Anything continuous, the seed too, needs a knob."""
    return parameter.toggle or bool(parameter.choices)


def _is_smooth(parameter: Parameter | None) -> bool:
    """Return True if a parameter has a number that a knob turns: no switch, no list, no action."""
    return parameter is not None and not takes_notes(parameter)


def _plain(value: float) -> str:
    """Return a number as `Binding.parse` reads it, without an exponent: "0.00001"."""
    return f"{value:.10f}".rstrip("0").rstrip(".")


def label(target: str) -> str:
    """Return the name that the window shows for a target. KeyError for an unknown one, with the nearest name."""
    found: Parameter | Action | None = (
        BY_NAME.get(target) or ACTIONS_BY_NAME.get(target) or FUNCTIONS_BY_NAME.get(target)
    )
    if found is None:
        raise unknown_name(target)
    return found.label


def binding_table(bindings: Iterable[Binding]) -> dict[str, str | list[str]]:
    """Return the [bindings] of a file: for each target one text, or a list if several controls move it."""
    table: dict[str, str | list[str]] = {}
    for binding in bindings:
        old = table.get(binding.target)
        several = [old] if isinstance(old, str) else old
        table[binding.target] = binding.text if several is None else [*several, binding.text]
    return table
