"""The classic styles: score and sound of one seed, as stems with their mix settings.

`jbdiff/data/stems.py` mixes them.

Stacks were trained and judged on seeds of these styles, so the order of their random draws must never change.
Every note starts on a sixteenth of a bar. A bar is a whole number of codec tokens (`tempi.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from oneshots import sample, sample_names, varispeed
from part import Part
from soundfont import soundfont_part
from sounds import BASSES, LEADS, Audio, Notes, place, synthetic_hat, synthetic_kick, synthetic_snare
from tempi import HOP, SAMPLE_RATE, TOKENS_PER_BAR, beats_per_minute

if TYPE_CHECKING:
    from synthesizer import Synthesizer

STYLES = ("modular", "modular", "modular", "keys", "hybrid", "loop")
SCALES = {
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "pentatonic": (0, 3, 5, 7, 10),
}
PROGRESSIONS = (
    (0, 0, 0, 0),
    (0, 5, 2, 6),
    (0, 3, 4, 3),
    (0, 0, 5, 4),
    (0, 6, 5, 6),
    (0, 0, 3, 3),
    (0, 5, 0, 5),
)
KICKS = (
    "x...x...x...x...",
    "x...x...x...x...",
    "x.....x...x.....",
    "x..x..x...x..x..",
    "x......x.xx.....",
    "x.........x..x..",
    "x..x..x.x..x..x.",
)
SNARES = ("....x.......x...", "....x.......x...", "........x.......", "....x..x.x..x...", "....x.......x.x.")
HATS = ("..x...x...x...x.", "x.x.x.x.x.x.x.x.", "xxxxxxxxxxxxxxxx", "x.xxx.xxx.xxx.xx", "..x..xx...x..xx.")
KEYS = (0, 4, 5, 8, 11, 12, 16, 24, 26, 45, 46, 48)


def euclid(hits: int, steps: int, rotation: int) -> str:
    """Return a pattern with its hits spread as evenly as possible (Toussaint 2005)."""
    return "".join("x" if ((step + rotation) * hits) % steps < hits else "." for step in range(steps))


class Track:
    """Score and sound of one seed; `render` fills `parts` and `kicks`.

    `bars`: lengths of bars in tokens, of which one is drawn. A length that comes twice is drawn twice as often.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        seed: int,
        seconds: float,
        style: str,
        bars: Sequence[int] = TOKENS_PER_BAR,
    ) -> None:
        self.synthesizer, self.seconds = synthesizer, seconds
        self.rng = rng = np.random.default_rng(seed)
        self.tokens_per_bar = bars[int(len(bars) * rng.random())]
        self.bar = self.tokens_per_bar * HOP / SAMPLE_RATE
        self.step = self.bar / 16
        self.bars = int(np.ceil(seconds / self.bar))
        self.scale_name = str(rng.choice(list(SCALES)))
        self.scale = SCALES[self.scale_name]
        self.root = int(rng.integers(33, 45))
        self.progression = PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
        self.bars_per_chord = int(rng.choice((1, 2, 4)))
        self.style = style
        self.frames = int(seconds * SAMPLE_RATE)
        self.parts: list[Part] = []
        self.kicks: list[float] = []
        # Parts come and go every eight bars. Drums and bass nearly always play.
        chances = {
            "drums": 0.95,
            "bass": 0.92,
            "arp": 0.85,
            "pad": 0.6,
            "keys": 0.8,
            "perc": 0.7,
            "lead": 0.6,
        }
        self.sections = {part: rng.random(8) < chance for part, chance in chances.items()}
        self.sections["drums"][:2] = self.sections["bass"][:2] = True

    def plays(self, part: str, bar: int) -> bool:
        return bool(self.sections[part][(bar // 8) % 8])

    def chord(self, bar: int) -> int:
        return self.progression[(bar // self.bars_per_chord) % 4]

    def pitch(self, degree: int, octave: int) -> int:
        size = len(self.scale)
        return self.root + 12 * (octave + degree // size) + self.scale[degree % size]

    def place(self, bus: Audio, sound: Audio, time: float, gain: float, pan: float = 0.0) -> None:
        place(bus, sound, round(time * SAMPLE_RATE), gain, pan)

    def add(
        self, stems: dict[str, Audio], level: float, reverb: float, delay: float, pan: float = 0.0
    ) -> None:
        """Add stems that belong together as parts. Where they sound, their sum has the level (RMS) in the mix."""
        together = sum(stems.values(), np.zeros((2, self.frames), np.float32))
        loud = np.abs(together).max(0) > 1e-4
        if loud.mean() < 0.01:
            return
        gain = level / max(1e-4, float(np.sqrt((together[:, loud] ** 2).mean())))
        for name, sound in stems.items():
            if np.abs(sound).max() > 1e-4:
                ducked = self.ducking and name in ("bass", "pad")
                self.parts.append(Part(name, sound, gain, reverb, delay, pan, ducked))

    def drums(self) -> None:
        """Kick, snare, hats and percussion on a grid that repeats."""
        rng = self.rng
        buses = {name: np.zeros((2, self.frames), np.float32) for name in ("kick", "drums", "perc")}
        kick_names = [*sample_names("bd_"), "drum_heavy_kick"]
        snare_names = [*sample_names("sn_"), "drum_snare_hard", "elec_snare", "elec_mid_snare", "perc_snap"]
        kick = synthetic_kick(rng) if rng.random() < 0.5 else sample(str(rng.choice(kick_names)))
        snare = synthetic_snare(rng) if rng.random() < 0.5 else sample(str(rng.choice(snare_names)))
        hat = synthetic_hat(rng, False) if rng.random() < 0.6 else sample("drum_cymbal_closed")
        open_hat = synthetic_hat(rng, True)
        kick, snare, hat = (s[:, : int(0.5 * SAMPLE_RATE)] / np.abs(s).max() for s in (kick, snare, hat))
        four = rng.random() < 0.5
        patterns = {
            "kick": KICKS[0] if four else KICKS[rng.integers(len(KICKS))],
            "snare": SNARES[rng.integers(len(SNARES))],
            "hat": HATS[rng.integers(len(HATS))],
        }
        open_steps = (
            {14} if rng.random() < 0.3 else set(range(2, 16, 4)) if four and rng.random() < 0.5 else set()
        )
        percussion = []
        for pan in (-0.5, 0.5):
            name = str(rng.choice(sample_names("perc_", "tabla_", "elec_", "drum_tom")))
            sound = varispeed(sample(name), rng.uniform(0.8, 1.4))[:, : int(0.6 * SAMPLE_RATE)]
            pattern = euclid(int(rng.integers(2, 7)), 16, int(rng.integers(16)))
            percussion.append((sound / np.abs(sound).max(), pattern, pan))
        accents = rng.uniform(0.6, 1.0, 16)
        for bar in range(self.bars):
            for step in range(16):
                time = bar * self.bar + step * self.step
                fill = bar % 8 == 7 and step >= 12
                if self.plays("drums", bar):
                    if patterns["kick"][step] == "x":
                        self.place(buses["kick"], kick, time, 0.9)
                        self.kicks.append(time)
                    if patterns["snare"][step] == "x" or (fill and rng.random() < 0.5):
                        self.place(buses["drums"], snare, time, 0.55 * accents[step])
                    if step in open_steps:
                        self.place(buses["drums"], open_hat, time, 0.3, 0.1)
                    elif patterns["hat"][step] == "x":
                        self.place(buses["drums"], hat, time, 0.25 * accents[step], 0.2)
                if self.plays("perc", bar):
                    for sound, pattern, pan in percussion:
                        if pattern[step] == "x":
                            self.place(buses["perc"], sound, time, 0.22 * accents[step], pan)
        self.add(buses, rng.uniform(0.13, 0.18), 0.04, 0.0)

    def loop(self) -> None:
        """A CC0 loop, played faster or slower until it fills whole (or half) bars."""
        source = sample(str(self.rng.choice([n for n in sample_names("loop_") if n != "loop_drone_g_97"])))
        bars = max(0.5, 2.0 ** round(np.log2(source.shape[1] / SAMPLE_RATE / self.bar)))
        sound = varispeed(source, source.shape[1] / SAMPLE_RATE / (bars * self.bar))
        bus = np.zeros((2, self.frames), np.float32)
        for index in range(int(self.seconds / (bars * self.bar)) + 1):
            self.place(bus, sound, index * bars * self.bar, 1.0)
        self.add({"loop": bus}, self.rng.uniform(0.06, 0.1), 0.02, 0.0)

    def sequence(self, part: str, octave: int, density: float, steps: int, pool: tuple[int, ...]) -> Notes:
        """A step sequencer: one pattern that repeats, and changes one step every eight bars."""
        rng = self.rng
        length = float(rng.choice((0.6, 0.9, 1.4)))

        def draw() -> tuple[int, int] | None:
            return (int(rng.choice(pool)), int(rng.integers(70, 125))) if rng.random() < density else None

        pattern = [draw() for _ in range(steps)]
        pattern[0] = (0, 120)
        notes = []
        for bar in range(self.bars):
            if bar % 8 == 7:
                pattern[int(rng.integers(1, steps))] = draw()
            if not self.plays(part, bar):
                continue
            for step in range(16):
                # A pattern whose length does not divide the bar starts again with each bar.
                cell = pattern[step % steps]
                if cell is not None:
                    time = bar * self.bar + step * self.step
                    notes.append(
                        (self.pitch(self.chord(bar) + cell[0], octave), cell[1], time, length * self.step)
                    )
        return notes

    def chords(self, part: str, octave: int, pattern: str | None) -> Notes:
        """Triads: held for the whole chord, or on the steps of a rhythm."""
        notes = []
        for bar in range(self.bars):
            if not self.plays(part, bar):
                continue
            steps = range(0, 16, 16) if pattern is None else [s for s in range(16) if pattern[s] == "x"]
            length = self.bar * 0.97 if pattern is None else self.step * 1.5
            for step in steps:
                for degree in (0, 2, 4):
                    time = bar * self.bar + step * self.step
                    notes.append((self.pitch(self.chord(bar) + degree, octave), 85, time, length))
        return notes

    def melody(self, octave: int) -> Notes:
        """Return a melody in the form A A B A, of motifs of one bar.

        Motifs mostly move by steps and have random rests.
        """
        rng, size = self.rng, len(self.scale)
        rhythm = euclid(int(rng.choice((3, 4, 5, 6))), 16, int(rng.integers(16)))

        def motif() -> list[tuple[int, int]]:
            degree, cells = int(rng.choice((0, 2, 4))), []
            for step in (step for step in range(16) if rhythm[step] == "x"):
                cells.append((step, degree))
                degree = int(np.clip(degree + rng.choice((-2, -1, -1, 0, 1, 1, 2, 3)), -3, size + 3))
            return cells

        first, second = motif(), motif()
        notes = []
        for bar in range(self.bars):
            if not self.plays("lead", bar):
                continue
            cells = second if bar % 4 == 2 else first
            for (step, degree), (end, _) in zip(cells, [*cells[1:], (16, 0)], strict=True):
                time = bar * self.bar + step * self.step
                length = min(4, end - step) * 0.9 * self.step
                pitch = self.pitch(self.chord(bar) + degree, octave)
                notes.append((pitch, int(rng.integers(80, 120)), time, length))
        return notes

    def render(self) -> None:
        """All parts of the track."""
        rng, size = self.rng, len(self.scale)
        self.ducking = bool(rng.random() < 0.6)
        self.drums()
        if self.style == "loop":
            self.loop()
        steps = int(rng.choice((8, 16, 16)))
        bass = self.sequence("bass", 0, rng.uniform(0.35, 0.8), steps, (0, 0, 0, 0, 4, size, 2))
        self.add({"bass": self.synth(BASSES, bass)}, rng.uniform(0.09, 0.13), 0.02, 0.0)
        for _ in range(2 if self.style == "modular" else 1):
            octave, steps = int(rng.choice((1, 2, 2))), int(rng.choice((3, 4, 6, 8, 8, 16, 16)))
            arp = self.sequence("arp", octave, rng.uniform(0.4, 0.95), steps, (0, 2, 4, size, size + 2, 4, 0))
            sound = {"arp": self.synth(LEADS, arp)}
            self.add(sound, rng.uniform(0.035, 0.07), 0.15, rng.uniform(0.0, 0.35), rng.uniform(-0.4, 0.4))
        if rng.random() < 0.5:
            sound = {"pad": self.synth(("pad",), self.chords("pad", 1, None))}
            self.add(sound, rng.uniform(0.03, 0.05), 0.25, 0.0)
        if rng.random() < 0.4:
            sound = {"lead": self.synth(LEADS, self.melody(int(rng.choice((2, 2, 3)))))}
            self.add(sound, rng.uniform(0.05, 0.08), 0.2, rng.uniform(0.1, 0.3), rng.uniform(-0.2, 0.2))
        if self.style in ("keys", "hybrid"):
            rhythm = euclid(int(rng.choice((3, 4, 5, 6))), 16, int(rng.integers(3)))
            comping = (int(rng.choice(KEYS)), self.chords("keys", 2, rhythm))
            self.add({"keys": soundfont_part([comping], self.seconds)}, rng.uniform(0.05, 0.08), 0.1, 0.05)

    def synth(self, choices: tuple[str, ...], notes: Notes) -> Audio:
        return self.synthesizer.render(str(self.rng.choice(choices)), notes, self.seconds, self.rng)

    def describe(self) -> dict[str, object]:
        """What the track is, without its audio."""
        return {
            "style": self.style,
            "seconds": self.seconds,
            # Exact enough that the bar computed from it is a whole number of tokens.
            "bpm": round(beats_per_minute(self.tokens_per_bar), 6),
            "tokens_per_bar": self.tokens_per_bar,
            "key": self.root % 12,
            "scale": self.scale_name,
            "bars_per_chord": self.bars_per_chord,
            "progression": list(self.progression),
            # Every section is eight bars; parts that none of them names play throughout.
            "sections": {part: [bool(on) for on in plays] for part, plays in self.sections.items()},
            "kicks": [round(time, 6) for time in self.kicks],
        }
