"""The sounds written for this project (MIT): Faust patches, and synthetic kicks, snares and hats.

Audio is float32 `[2, frames]` at 44.1 kHz. numpy only: `synthesizer.py` plays the patches.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray
from tempi import SAMPLE_RATE

Audio = NDArray[np.float32]
Notes = list[tuple[int, int, float, float]]
"""MIDI pitch, velocity, start in seconds, length in seconds."""

HEAD = """import("stdfaust.lib");
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

# Patches of the newer styles. The same knobs; "string" is a pluck whose filter's delay is taken off its length, so that
# it stays in tune up high.
PATCHES |= {
    "tines": """env = en.adsr(0.002, 0.5 + 1.5 * tail, 0.12, 0.12, gate); hit = en.ar(0.001, 0.12, gate);
process = os.osc(freq + os.osc(freq) * freq * env * gain * bright * 1.4 + os.osc(freq * 7) * freq * hit * gain * shape * 0.8)
  * env * gain * 0.4 <: _, _;""",
    "glass": """env = en.adsr(0.02 + 0.3 * shape, 0.6, 0.5, 0.3 + 1.2 * tail, gate);
part(k) = os.osc(freq * k) * (0.6 + 0.4 * os.osc(0.11 * k + 0.07)) / k * ba.if(k > 1, 0.3 + bright, 1);
process = (part(1) + part(2) + part(3) + part(5)) * env * gain * 0.25 <: _, _;""",
    "reed": """amp = en.adsr(0.03, 0.1, 0.8, 0.08, gate);
tone = freq * (1 + 0.006 * os.osc(5.2) * en.asr(0.5, 1, 0.1, gate));
osc = os.square(tone) * 0.5 + os.sawtooth(tone) * 0.3 * shape;
process = osc : fi.resonlp(min(9000, freq * 2 + 2500 * bright * amp), 1.2, 1) : fi.highpass(1, 180) : *(amp * gain * 0.3) <: _, _;""",
    "voice": """env = en.adsr(0.15 + 0.4 * tail, 0.3, 0.8, 0.3 + 0.5 * tail, gate);
osc = os.sawtooth(freq * (1 + 0.003 * os.osc(4.7))) + os.sawtooth(freq * 1.003);
body = osc <: fi.resonbp(450 + 350 * shape, 5, 1), fi.resonbp(1100 + 500 * bright, 7, 0.6), fi.resonbp(2600, 8, 0.25), fi.lowpass(2, 350) * 0.5 :> _;
process = body * env * gain * 0.3 <: _, _;""",
    "string": """damp = 0.04 + 0.4 * (1 - bright);
burst = no.noise * en.ar(0.0005, 1.0 / freq, gate) * gain : fi.lowpass(1, 1500 + 7000 * bright);
length = ma.SR / freq - 1 - damp / (1 - damp);
ring = (+ : de.fdelay4(4096, length) : fi.pole(damp) : *(1 - damp) : *(0.985 + 0.014 * tail)) ~ _;
process = burst : ring : fi.dcblocker : *(1.1 * en.adsr(0.001, 0.1, 1, 0.25, gate)) <: _, _;""",
    "hum": """env = en.adsr(0.8 + 1.5 * tail, 0.5, 0.9, 1.2 + tail, gate);
cut = min(9000, freq * 2 + 2200 * bright * (0.6 + 0.4 * os.osc(0.05 + 0.1 * shape)));
side(d) = os.sawtooth(freq * (1 + d)) + os.triangle(freq * (1 - 0.7 * d)) + 0.6 * os.osc(2 * freq * (1 + 0.4 * d));
process = (side(0.0012), side(-0.0012)) : par(i, 2, fi.lowpass(2, cut) * (env * gain * 0.12));""",
    "soft": """amp = en.adsr(0.02 + 0.08 * tail, 0.2, 0.7, 0.12, gate);
tone = freq * (1 + 0.004 * os.osc(5) * en.asr(0.4, 1, 0.1, gate));
osc = os.triangle(tone) + 0.35 * shape * os.sawtooth(tone) + 0.3 * os.osc(tone * 2) * bright;
process = osc : fi.lowpass(2, min(12000, freq * 2 + 5000 * bright)) : *(amp * gain * 0.3) <: _, _;""",
    "round": """amp = en.adsr(0.006, 0.25 + tail, 0.55, 0.06, gate);
process = (os.osc(freq) + 0.35 * bright * os.triangle(freq * 2) + 0.12 * shape * os.osc(3 * freq)) * 1.3
  : ma.tanh : fi.lowpass(2, 250 + 1200 * bright) : *(amp * gain * 0.4) <: _, _;""",
    "skank": """env = en.adsr(0.003, 0.09 + 0.2 * tail, 0.15, 0.08, gate);
osc = os.sawtooth(freq * 0.997) + os.sawtooth(freq * 1.004) + os.square(freq * 0.5) * 0.3 * shape;
process = osc : fi.resonlp(min(9000, 300 + 4200 * bright * env * gain), 1.5 + 2 * shape, 1) : fi.highpass(1, 220)
  : *(env * gain * 0.22) <: _, _;""",
    "ensemble": """env = en.adsr(0.08 + 0.3 * tail, 0.3, 0.85, 0.35 + 0.5 * tail, gate);
saw(k) = os.sawtooth(freq * (1 + 0.0022 * k + 0.0012 * os.osc(0.6 + 0.13 * k)));
process = (saw(1) + saw(-0.5)), (saw(-1) + saw(0.6)) : par(i, 2, fi.lowpass(1, min(12000, 900 + 5000 * bright)) : fi.highpass(1, 200) : *(env * gain * 0.09));""",
}
BASSES = ("sub", "acid", "reese", "organ", "fold")
LEADS = ("bell", "stab", "pulse", "pluck", "acid", "fold", "organ")


# Range in which a knob of a classic track starts (low, high), and how far it swings.
SPANS = (("bright", 0.2, 0.85, 0.2), ("shape", 0.0, 1.0, 0.1), ("tail", 0.1, 0.7, 0.08))


def place(bus: Audio, sound: Audio, start: int, gain: float, pan: float = 0.0) -> None:
    """Add a sound to a bus `[2, frames]` from frame `start` on, as far as it fits. pan: -1 left to 1 right."""
    length = min(sound.shape[1], bus.shape[1] - start)
    if length > 0:
        bus[0, start : start + length] += sound[0, :length] * gain * min(1, 1 - pan)
        bus[1, start : start + length] += sound[1, :length] * gain * min(1, 1 + pan)


def knobs_of(name: str) -> tuple[str, ...]:
    """The knobs that a patch has."""
    return tuple(knob for knob, *_ in SPANS if re.search(rf"\b{knob}\b", PATCHES[name]))


def knob_curves(
    name: str, points: int, frames: int, rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """Return `points` values 0..1 for each knob of a patch, `frames` apart: a random start, then a slow swing."""
    time = np.arange(points) * frames / SAMPLE_RATE
    curves = {}
    for knob, low, high, depth in SPANS:
        if knob in knobs_of(name):
            swing = depth * np.sin(2 * np.pi * (time * rng.uniform(0.02, 0.1) + rng.random()))
            curves[knob] = np.clip(rng.uniform(low, high) + swing, 0, 1)
    return curves


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
