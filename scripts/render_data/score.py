"""A score: plain frozen data, in sixteenths of a bar. It holds everything that `render.py` needs to make sound.

Steps are whole numbers, so every note starts on a sixteenth. They count from the start of the track.
"""

from __future__ import annotations

from dataclasses import dataclass

STEPS = 16  # in a bar


@dataclass(frozen=True)
class Note:
    """One note: MIDI `pitch` (69 is 440 Hz), `velocity` 1..127, `step` and `length` in sixteenths."""

    step: int
    length: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Hit:
    """One stroke of a kit: the name of its sound, its gain and its place from -1 (left) to 1 (right)."""

    step: int
    sound: str
    gain: float
    pan: float = 0.0


@dataclass(frozen=True)
class Knob:
    """A knob of a Faust patch: it starts at `place` (0..1) and swings by `depth` around it, `hertz` times a second."""

    name: str
    place: float
    depth: float = 0.0
    hertz: float = 0.05
    phase: float = 0.0


@dataclass(frozen=True)
class Faust:
    """A patch of `sounds.PATCHES` with its knobs. `voices` is how many notes may sound at once."""

    patch: str
    knobs: tuple[Knob, ...]
    voices: int = 8


@dataclass(frozen=True)
class Soundfont:
    """A General MIDI program of FluidR3; programs count from 0."""

    program: int


@dataclass(frozen=True)
class DrumSet:
    """A General MIDI drum set of FluidR3 (bank 128), and the MIDI key of each of its sounds.

    Programs: 0 to 7 standard, 8 to 15 room, 16 to 19 power, 24 electronic, 32 to 36 jazz, 48 orchestra.
    """

    program: int
    keys: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Chip:
    """A channel of an old sound chip. It plays one tone at a time.

    `wave`: "pulse", "triangle" (of sixteen levels) or "saw". `width` 0..1 is the high part of a pulse; it moves by
    `swing`, `swing_hertz` times a second. `vibrato` is in semitones and comes late in a note. `cycle_hertz`: the tones
    of a chord come one after the other so many times a second; at 0 the lowest tone is played alone. `decay_seconds`:
    time constant of the fade; 0 holds the note. `slide`: semitones from which the pitch comes in 40 ms.
    """

    wave: str
    width: float = 0.5
    swing: float = 0.0
    swing_hertz: float = 0.3
    vibrato: float = 0.0
    vibrato_hertz: float = 6.0
    cycle_hertz: float = 0.0
    decay_seconds: float = 0.0
    slide: float = 0.0


@dataclass(frozen=True)
class Wash:
    """A long band of noise: its middle goes from `first_hertz` to `last_hertz` in `steps` sixteenths.

    `width` is in octaves. `shape`: "rise" grows and stops, "fall" fades, "swell" grows and fades. `gate`: the noise is
    cut into pieces of so many sixteenths, half of each silent; 0 leaves it whole.
    """

    name: str
    steps: int
    first_hertz: float
    last_hertz: float
    width: float
    shape: str
    gate: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Noise:
    """Bands of noise that hits start."""

    sounds: tuple[Wash, ...]


@dataclass(frozen=True)
class OneShot:
    """A sound of a kit. `source` names a CC0 sample, or a synthetic sound: "kick", "snare", "hat", "open_hat", or one
    of `noises.MADE`."""

    name: str
    source: str
    speed: float = 1.0
    seconds: float = 0.5
    seed: int = 0


@dataclass(frozen=True)
class Kit:
    sounds: tuple[OneShot, ...]


@dataclass(frozen=True)
class TapeEcho:
    """Repeats after `steps` sixteenths, each duller and softer by `feedback`; `wow` moves their pitch a little."""

    steps: int
    feedback: float
    wet: float
    dark_hertz: float = 2500.0
    wow: float = 0.0005


@dataclass(frozen=True)
class Spring:
    """A reverb like a spring's: chirped echoes that fade within `seconds`."""

    wet: float
    seconds: float
    seed: int


@dataclass(frozen=True)
class Widen:
    """Widens a sound by two slowly moving delays, left and right; `amount` 0..1 is how much of them is added."""

    amount: float
    hertz: float = 0.3


@dataclass(frozen=True)
class Drive:
    """Soft saturation of a sound whose peak is `amount`."""

    amount: float


@dataclass(frozen=True)
class Amp:
    """A guitar amplifier: `drive` 0.5 (clean) to 40 (heavy), and a loudspeaker that has little above `high_hertz`."""

    drive: float
    high_hertz: float = 4500.0


@dataclass(frozen=True)
class Crush:
    """Fewer samples a second and fewer bits."""

    hertz: float
    bits: int = 8


Effect = TapeEcho | Spring | Widen | Drive | Amp | Crush
Instrument = Faust | Soundfont | Kit | DrumSet | Chip | Noise


@dataclass(frozen=True)
class Voice:
    """One stem: its instrument, its notes or hits, and its settings in the mix (`level` is its RMS there)."""

    part: str
    instrument: Instrument
    notes: tuple[Note, ...] = ()
    hits: tuple[Hit, ...] = ()
    level: float = 0.06
    reverb: float = 0.1
    delay: float = 0.0
    pan: float = 0.0
    ducked: bool = False
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True)
class Section:
    """A stretch of the form: its letter, first bar, number of bars, and how loud and dense it is (0..1)."""

    letter: str
    start: int
    bars: int
    intensity: float
    visit: int  # how often the letter came before

    @property
    def end(self) -> int:
        return self.start + self.bars


@dataclass(frozen=True)
class Score:
    """A whole track as data, without sound."""

    seed: int
    style: str
    seconds: float
    tokens_per_bar: int
    bars: int
    tonic: int
    mode: str
    sections: tuple[Section, ...]
    chords: tuple[str, ...]
    """The name of the chord of every half bar."""
    voices: tuple[Voice, ...]

    @property
    def kick_steps(self) -> tuple[int, ...]:
        return tuple(hit.step for voice in self.voices if voice.part == "kick" for hit in voice.hits)
