"""One finished track from one seed: score, sound and mix.

The tempi are those at which a sixteenth note is 10, 11 or 12 codec tokens of 512 samples, so that a bar is
160, 176 or 192 tokens. A small denoiser trained for minutes learns a beat that falls on its own grid far
sooner than one that does not (docs/model.md says what that costs).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from scipy.signal import fftconvolve
from sounds import (
    BASSES,
    LEADS,
    SAMPLE_RATE,
    Audio,
    Note,
    Synthesizer,
    sample,
    sample_names,
    soundfont_part,
    synthetic_hat,
    synthetic_kick,
    synthetic_snare,
    varispeed,
)

HOP = 512
TOKENS_PER_SIXTEENTH = (10, 11, 12)
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


@dataclass(frozen=True)
class Label:
    """What a track is: kept beside the audio, for choosing and for judging."""

    seed: int
    style: str
    bpm: float
    tokens_per_bar: int
    key: int
    scale: str


def euclid(hits: int, steps: int, rotation: int) -> str:
    """Hits spread as evenly as they go (Toussaint 2005)."""
    return "".join("x" if ((step + rotation) * hits) % steps < hits else "." for step in range(steps))


class Track:
    """Score and mix of one seed; `render` gives the audio."""

    def __init__(self, synthesizer: Synthesizer, seed: int, seconds: float) -> None:
        self.synthesizer, self.seconds = synthesizer, seconds
        self.rng = rng = np.random.default_rng(seed)
        tokens = int(rng.choice(TOKENS_PER_SIXTEENTH, p=(0.4, 0.2, 0.4)))
        self.step = tokens * HOP / SAMPLE_RATE
        self.bar = 16 * self.step
        self.bars = int(np.ceil(seconds / self.bar))
        self.scale_name = str(rng.choice(list(SCALES)))
        self.scale = SCALES[self.scale_name]
        self.root = int(rng.integers(33, 45))
        self.progression = PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
        self.bars_per_chord = int(rng.choice((1, 2, 4)))
        self.style = STYLES[seed % len(STYLES)]
        bpm = round(60 / (4 * self.step), 3)
        self.label = Label(seed, self.style, bpm, 16 * tokens, self.root % 12, self.scale_name)
        self.frames = int(seconds * SAMPLE_RATE)
        self.dry, self.to_reverb, self.to_delay = (np.zeros((2, self.frames), np.float32) for _ in range(3))
        # Parts come and go every eight bars; drums and bass hardly ever leave.
        chances = {"drums": 0.95, "bass": 0.92, "arp": 0.85, "pad": 0.6, "keys": 0.8, "perc": 0.7}
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
        start = round(time * SAMPLE_RATE)
        length = min(sound.shape[1], self.frames - start)
        if length > 0:
            bus[0, start : start + length] += sound[0, :length] * gain * min(1, 1 - pan)
            bus[1, start : start + length] += sound[1, :length] * gain * min(1, 1 + pan)

    def mix(self, sound: Audio, level: float, reverb: float, delay: float) -> None:
        """Brings a part to a level (RMS where it sounds), then to the dry bus and the sends."""
        loud = np.abs(sound).max(0) > 1e-4
        if loud.mean() < 0.01:
            return
        sound = sound * (level / max(1e-4, float(np.sqrt((sound[:, loud] ** 2).mean()))))
        self.dry += sound
        self.to_reverb += sound * reverb
        self.to_delay += sound * delay

    def drums(self) -> list[float]:
        """Kick, snare, hats and percussion on a grid that repeats; gives the kick times."""
        rng = self.rng
        bus = np.zeros((2, self.frames), np.float32)
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
        kicks = []
        for bar in range(self.bars):
            for step in range(16):
                time = bar * self.bar + step * self.step
                fill = bar % 8 == 7 and step >= 12
                if self.plays("drums", bar):
                    if patterns["kick"][step] == "x":
                        self.place(bus, kick, time, 0.9)
                        kicks.append(time)
                    if patterns["snare"][step] == "x" or (fill and rng.random() < 0.5):
                        self.place(bus, snare, time, 0.55 * accents[step])
                    if step in open_steps:
                        self.place(bus, open_hat, time, 0.3, 0.1)
                    elif patterns["hat"][step] == "x":
                        self.place(bus, hat, time, 0.25 * accents[step], 0.2)
                if self.plays("perc", bar):
                    for sound, pattern, pan in percussion:
                        if pattern[step] == "x":
                            self.place(bus, sound, time, 0.22 * accents[step], pan)
        self.mix(bus, rng.uniform(0.13, 0.18), 0.04, 0.0)
        return kicks

    def loop(self) -> None:
        """A CC0 loop, played faster or slower until it fills whole (or half) bars."""
        source = sample(str(self.rng.choice([n for n in sample_names("loop_") if n != "loop_drone_g_97"])))
        bars = max(0.5, 2.0 ** round(np.log2(source.shape[1] / SAMPLE_RATE / self.bar)))
        sound = varispeed(source, source.shape[1] / SAMPLE_RATE / (bars * self.bar))
        bus = np.zeros((2, self.frames), np.float32)
        for index in range(int(self.seconds / (bars * self.bar)) + 1):
            self.place(bus, sound, index * bars * self.bar, 1.0)
        self.mix(bus, self.rng.uniform(0.06, 0.1), 0.02, 0.0)

    def sequence(
        self, part: str, octave: int, density: float, steps: int, pool: tuple[int, ...]
    ) -> list[Note]:
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

    def chords(self, part: str, octave: int, pattern: str | None) -> list[Note]:
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

    def render(self) -> Audio:
        """The finished stereo track `[2, frames]`, peak below 0.98."""
        rng, size = self.rng, len(self.scale)
        kicks = self.drums()
        duck = self.duck(kicks) if rng.random() < 0.6 else np.ones(self.frames, np.float32)
        if self.style == "loop":
            self.loop()
        steps = int(rng.choice((8, 16, 16)))
        bass = self.sequence("bass", 0, rng.uniform(0.35, 0.8), steps, (0, 0, 0, 0, 4, size, 2))
        self.mix(self.synth(BASSES, bass) * duck, rng.uniform(0.09, 0.13), 0.02, 0.0)
        for _ in range(2 if self.style == "modular" else 1):
            octave, steps = int(rng.choice((1, 2, 2))), int(rng.choice((3, 4, 6, 8, 8, 16, 16)))
            arp = self.sequence("arp", octave, rng.uniform(0.4, 0.95), steps, (0, 2, 4, size, size + 2, 4, 0))
            pan = rng.uniform(-0.4, 0.4)
            sound = self.synth(LEADS, arp) * np.array([[min(1, 1 - pan)], [min(1, 1 + pan)]], np.float32)
            self.mix(sound, rng.uniform(0.035, 0.07), 0.15, rng.uniform(0.0, 0.35))
        if rng.random() < 0.5:
            self.mix(
                self.synth(("pad",), self.chords("pad", 1, None)) * duck, rng.uniform(0.03, 0.05), 0.25, 0.0
            )
        if self.style in ("keys", "hybrid"):
            rhythm = euclid(int(rng.choice((3, 4, 5, 6))), 16, int(rng.integers(3)))
            comping = (int(rng.choice(KEYS)), self.chords("keys", 2, rhythm))
            self.mix(soundfont_part([comping], self.seconds), rng.uniform(0.05, 0.08), 0.1, 0.05)
        return self.master()

    def synth(self, choices: tuple[str, ...], notes: list[Note]) -> Audio:
        return self.synthesizer.render(str(self.rng.choice(choices)), notes, self.seconds, self.rng)

    def duck(self, kicks: list[float]) -> Audio:
        """Side-chain gain: down with each kick, back in about a quarter of a second."""
        dip = 1 - self.rng.uniform(0.4, 0.75) * np.exp(
            -np.arange(int(0.25 * SAMPLE_RATE)) / (0.08 * SAMPLE_RATE)
        )
        gain = np.ones(self.frames, np.float32)
        for time in kicks:
            start = round(time * SAMPLE_RATE)
            length = min(len(dip), self.frames - start)
            if length > 0:
                gain[start : start + length] = np.minimum(gain[start : start + length], dip[:length])
        return gain

    def master(self) -> Audio:
        """Reverb and delay returns, level, soft clip; the side never louder than the middle."""
        rng = self.rng
        length = int(rng.uniform(0.5, 1.6) * SAMPLE_RATE)
        impulse = rng.standard_normal((2, length)) * np.exp(-6.9 * np.arange(length) / length)
        smooth = np.exp(-np.arange(64) / rng.uniform(3, 15))
        impulse = np.stack([np.convolve(row, smooth)[:length] for row in impulse])
        impulse /= np.sqrt((impulse**2).sum(1, keepdims=True))
        mix = self.dry + 0.6 * np.stack(
            [fftconvolve(self.to_reverb[c], impulse[c])[: self.frames] for c in (0, 1)]
        )
        delay = round(3 * self.step * SAMPLE_RATE)
        echo = self.to_delay.mean(0)
        for repeat in range(1, 6):
            if repeat * delay < self.frames:
                mix[repeat % 2, repeat * delay :] += echo[: self.frames - repeat * delay] * 0.6**repeat
        mix -= mix.mean(1, keepdims=True)
        middle, side = mix.sum(0) / 2, (mix[0] - mix[1]) / 2
        side *= min(1.0, 0.6 * float(np.sqrt((middle**2).mean() / ((side**2).mean() + 1e-12))))
        mix = np.stack([middle + side, middle - side])
        mix = np.tanh(mix * (rng.uniform(0.13, 0.18) / float(np.sqrt((mix**2).mean()) + 1e-9)) * 1.1) / 1.1
        return (mix * min(1.0, 0.98 / float(np.abs(mix).max()))).astype(np.float32)

    def describe(self) -> dict[str, object]:
        return asdict(self.label)
