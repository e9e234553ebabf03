"""The sound sources: our own Faust patches, CC0 one-shots and loops, the FluidR3 soundfont, synthetic drums.

Every function is deterministic for a given generator. Audio is float32 `[2, frames]` at 44.1 kHz.
"""

from __future__ import annotations

import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import dawdreamer
import mido
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from tempi import SAMPLE_RATE

SAMPLES = Path("/usr/share/sonic-pi/samples")
SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")

# The uploader's CC0 tag does not clear the famous breaks that these three seem to be cut from.
UNCLEARED = {"loop_amen", "loop_amen_full", "loop_breakbeat"}

Audio = NDArray[np.float32]
Note = tuple[int, int, float, float]
"""MIDI pitch, velocity, start in seconds, length in seconds."""

_HEAD = """import("stdfaust.lib");
freq = hslider("freq", 110, 20, 9000, 0.01); gain = hslider("gain", 0.6, 0, 1, 0.001); gate = button("gate");
bright = hslider("bright", 0.4, 0, 1, 0.001); shape = hslider("shape", 0.4, 0, 1, 0.001);
tail = hslider("tail", 0.3, 0, 1, 0.001); effect = _, _;
"""

# bright: filter or modulation depth; shape: resonance, ratio or width; tail: decay time.
PATCHES: dict[str, str] = {
    "sub": """env = en.adsr(0.003, 0.06 + 0.4 * tail, 0.3, 0.06, gate);
osc = 0.5 * os.sawtooth(freq) + 0.4 * os.square(freq / 2) + 0.3 * os.osc(freq);
process = osc : fi.resonlp(min(14000, 90 + 5500 * bright * bright * (0.2 + gain * env * env)), 0.7 + 5 * shape, 1)
  * (env * gain * 0.35) <: _, _;""",
    "acid": """amp = en.adsr(0.002, 0.25, 0.55, 0.05, gate); sweep = en.ar(0.002, 0.07 + 0.5 * tail, gate);
cut = min(12000, freq * 1.3 + 4800 * bright * sweep * gain);
process = os.sawtooth(freq) : ve.moog_vcf_2bn(0.2 + 0.72 * shape, cut) : *(2.2) : ma.tanh : *(amp * 0.3) <: _, _;""",
    "reese": """amp = en.adsr(0.01, 0.2, 0.8, 0.08, gate);
osc = os.sawtooth(freq * (1 - 0.006 * shape)) + os.sawtooth(freq * (1 + 0.006 * shape)) + os.osc(freq / 2);
process = osc : fi.lowpass(3, 150 + 2600 * bright * (0.5 + 0.5 * amp)) : *(amp * gain * 0.25) <: _, _;""",
    "organ": """amp = en.adsr(0.004, 0.1, 0.75, 0.06 + 0.2 * tail, gate);
bars = os.osc(freq) + 0.6 * bright * os.osc(2 * freq) + 0.5 * shape * os.osc(3 * freq) + 0.3 * bright * os.osc(4 * freq);
process = bars * amp * gain * 0.22 <: _, _;""",
    "bell": """ratio = 1 + 0.5 * int(shape * 7); env = en.ar(0.001, 0.12 + 1.4 * tail, gate);
process = os.osc(freq + os.osc(freq * ratio) * freq * ratio * env * gain * bright * 4) * env * gain * 0.4 <: _, _;""",
    "stab": """env = en.ar(0.002, 0.08 + 0.5 * tail, gate);
osc = os.sawtooth(freq * 0.995) + os.sawtooth(freq * 1.006) + 0.5 * os.square(freq);
process = osc : fi.resonlp(min(14000, 250 + 7000 * bright * env * gain), 0.8 + 3 * shape, 1) * (env * gain * 0.2) <: _, _;""",
    "pulse": """amp = en.adsr(0.006, 0.12, 0.55, 0.06 + 0.3 * tail, gate);
osc = os.pulsetrain(freq, 0.5 + 0.35 * os.osc(0.3 + 1.5 * shape));
process = osc : fi.resonlp(min(14000, freq * 1.5 + 4500 * bright * amp), 1 + 2 * shape, 1) * (amp * gain * 0.3) <: _, _;""",
    "fold": """env = en.ar(0.003, 0.08 + 0.7 * tail, gate);
folded = sin((os.osc(freq) + 0.25 * os.osc(2 * freq)) * (0.8 + 5 * bright * env * gain));
process = folded : fi.lowpass(2, min(14000, 200 + 8000 * env * (0.3 + 0.7 * shape))) * (env * gain * 0.35) <: _, _;""",
    "pluck": """damp = 0.05 + 0.5 * (1 - bright);
burst = no.noise * en.ar(0.0005, 0.4 / freq + 0.001, gate) * gain;
string = (+ : de.fdelay4(4096, ma.SR / freq - 1) : fi.pole(damp) : *(1 - damp) : *(0.975 + 0.0235 * tail)) ~ _;
process = burst : string : fi.dcblocker : *(0.8 * en.adsr(0.001, 0.1, 1, 0.3, gate)) <: _, _;""",
    "pad": """env = en.adsr(0.12 + 0.6 * tail, 0.4, 0.75, 0.4 + tail, gate);
cut = min(14000, 350 + 3800 * bright * (0.7 + 0.3 * os.osc(0.08 + 0.3 * shape)));
voice(k) = os.sawtooth(freq * (1 + 0.003 * k)) + 0.5 * os.triangle(freq * (2 - 0.002 * k));
process = (voice(1) + voice(-0.6)), (voice(-1) + voice(0.7)) : par(i, 2, fi.lowpass(2, cut) * (env * gain * 0.1));""",
}
BASSES = ("sub", "acid", "reese", "organ", "fold")
LEADS = ("bell", "stab", "pulse", "pluck", "acid", "fold", "organ")


class Synthesizer:
    """All Faust patches, compiled once a process."""

    def __init__(self) -> None:
        self._engine = dawdreamer.RenderEngine(SAMPLE_RATE, 256)
        self._patches = {}
        for name, source in PATCHES.items():
            patch = self._engine.make_faust_processor(name)
            patch.num_voices = 8 if name in ("pad", "bell", "pluck", "stab") else 3
            patch.set_dsp_string(_HEAD + source)
            patch.compile()
            self._patches[name] = patch

    def render(self, name: str, notes: list[Note], seconds: float, rng: np.random.Generator) -> Audio:
        """One part: the patch's three knobs start at random places and move slowly."""
        patch = self._patches[name]
        patch.clear_midi()
        frames = int(seconds * SAMPLE_RATE)
        time = np.arange(frames // 256 + 2) * 256 / SAMPLE_RATE
        places = {p["name"].rsplit("/", 1)[-1]: p["name"] for p in patch.get_parameters_description()}
        for knob, low, high, depth in (
            ("bright", 0.2, 0.85, 0.2),
            ("shape", 0.0, 1.0, 0.1),
            ("tail", 0.1, 0.7, 0.08),
        ):
            if knob not in places:
                continue
            swing = depth * np.sin(2 * np.pi * (time * rng.uniform(0.02, 0.1) + rng.random()))
            curve = np.clip(rng.uniform(low, high) + swing, 0, 1)
            patch.set_automation(places[knob], np.repeat(curve, 256)[:frames].astype(np.float32))
        for pitch, velocity, start, length in notes:
            patch.add_midi_note(int(pitch), int(velocity), float(start), float(length))
        self._engine.load_graph([(patch, [])])
        self._engine.render(seconds)
        return self._engine.get_audio()[:, :frames].astype(np.float32)


@lru_cache(maxsize=256)
def sample(name: str) -> Audio:
    """A Sonic Pi sample at 44.1 kHz, stereo."""
    audio, rate = soundfile.read(SAMPLES / f"{name}.flac", dtype="float32", always_2d=True)
    if rate != SAMPLE_RATE:
        audio = soxr.resample(audio, rate, SAMPLE_RATE)
    return np.ascontiguousarray(np.repeat(audio, 2, 1)[:, :2].T if audio.shape[1] == 1 else audio[:, :2].T)


def sample_names(*prefixes: str) -> list[str]:
    found = sorted(path.stem for path in SAMPLES.glob("*.flac") if path.stem.startswith(prefixes))
    return [name for name in found if name not in UNCLEARED]


def varispeed(audio: Audio, ratio: float) -> Audio:
    """Faster and higher by `ratio`, by linear interpolation."""
    place = np.arange(int(audio.shape[1] / ratio)) * ratio
    left = np.clip(place.astype(int), 0, audio.shape[1] - 2)
    mix = (place - left).astype(np.float32)
    return audio[:, left] * (1 - mix) + audio[:, left + 1] * mix


def synthetic_kick(rng: np.random.Generator) -> Audio:
    """A sine that falls in pitch, with a short click."""
    time = np.arange(int(0.45 * SAMPLE_RATE)) / SAMPLE_RATE
    low = rng.uniform(42, 60)
    pitch = low + rng.uniform(80, 260) * np.exp(-time / rng.uniform(0.012, 0.04))
    body = np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE) * np.exp(-time / rng.uniform(0.08, 0.2))
    body = np.tanh(body * rng.uniform(1, 3))
    body[:200] += rng.uniform(0, 0.4) * rng.standard_normal(200) * np.linspace(1, 0, 200)
    return np.tile(body.astype(np.float32) * 0.9, (2, 1))


def synthetic_snare(rng: np.random.Generator) -> Audio:
    """Two sines and a burst of high-passed noise; short settings are claps."""
    time = np.arange(int(0.3 * SAMPLE_RATE)) / SAMPLE_RATE
    noise = np.diff(rng.standard_normal(len(time) + 1)) * np.exp(-time / rng.uniform(0.03, 0.1))
    tone = sum(np.sin(2 * np.pi * f * time) for f in (rng.uniform(150, 210), rng.uniform(260, 350)))
    mix = 0.45 * noise + rng.uniform(0, 0.5) * tone * np.exp(-time / 0.05)
    return np.tile((mix * 0.6).astype(np.float32), (2, 1))


def synthetic_hat(rng: np.random.Generator, open_hat: bool) -> Audio:
    """Noise differentiated twice, so that little is left below 5 kHz."""
    decay = rng.uniform(0.09, 0.16) if open_hat else rng.uniform(0.015, 0.04)
    time = np.arange(int(6 * decay * SAMPLE_RATE)) / SAMPLE_RATE
    noise = np.diff(rng.standard_normal(len(time) + 2), 2) * np.exp(-time / decay)
    return np.tile((noise * 0.25).astype(np.float32), (2, 1))


def soundfont_part(parts: list[tuple[int, list[Note]]], seconds: float) -> Audio:
    """General MIDI programs with their notes, through fluidsynth; program numbers count from 0."""
    midi = mido.MidiFile(ticks_per_beat=480)
    ticks_per_second = 960  # mido's default tempo, 120 beats a minute
    for channel, (program, notes) in enumerate(parts):
        track = mido.MidiTrack()
        midi.tracks.append(track)
        track.append(mido.Message("program_change", channel=channel, program=program, time=0))
        events = []
        for pitch, velocity, start, length in notes:
            events += [(start, 1, pitch, velocity), (start + length, 0, pitch, 0)]
        now = 0
        for start, is_on, pitch, velocity in sorted(events):
            tick = round(start * ticks_per_second)
            kind = "note_on" if is_on else "note_off"
            pitch = int(np.clip(pitch, 0, 127))
            track.append(
                mido.Message(kind, channel=channel, note=pitch, velocity=int(velocity), time=tick - now)
            )
            now = tick
    frames = int(seconds * SAMPLE_RATE)
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder) / "part.mid", Path(folder) / "part.wav"
        midi.save(score)
        command = ["fluidsynth", "-ni", "-q", "-g", "0.6", "-R", "0", "-C", "0", "-r", str(SAMPLE_RATE)]
        subprocess.run(
            [*command, "-F", str(sound), "-T", "wav", str(SOUNDFONT), str(score)],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        audio, _ = soundfile.read(sound, dtype="float32", always_2d=True)
    out = np.zeros((2, frames), np.float32)
    length = min(frames, len(audio))
    out[:, :length] = audio[:length].T
    return out
