"""Turns a score into stems: audio `[2, frames]` for each voice, at the level that it has in the mix."""

from __future__ import annotations

import numpy as np
from channel import chip_part
from effects import apply
from noises import noise_part
from oneshots import one_shot
from part import Part
from score import STEPS, Chip, DrumSet, Faust, Kit, Noise, Score, Soundfont, Voice
from soundfont import soundfont_part
from sounds import Audio, Notes, place
from synthesizer import Synthesizer
from tempi import HOP, SAMPLE_RATE

SILENT = 1e-4
# Limits of a stem's side, as a share of its middle. Places and rooms of the mix add to it. Kick and bass are nearly
# mono; if they play, the other parts may be wider.
MOST_SIDE, MOST_SIDE_BESIDE_DRUMS, MOST_SIDE_LOW = 0.33, 0.55, 0.1
LOW_PARTS = ("bass", "kick")


def render(score: Score, synthesizer: Synthesizer) -> list[Part]:
    """The stems of a score. A voice that is silent is left out."""
    parts = []
    widest = MOST_SIDE_BESIDE_DRUMS if score.kick_steps else MOST_SIDE
    for voice in score.voices:
        most = MOST_SIDE_LOW if voice.part in LOW_PARTS else widest
        audio = narrowed(sound_of(voice, score, synthesizer), most)
        loud = np.abs(audio).max(0) > SILENT
        if loud.mean() < 0.002:
            continue
        gain = voice.level / max(SILENT, float(np.sqrt((audio[:, loud] ** 2).mean())))
        parts.append(Part(voice.part, audio, gain, voice.reverb, voice.delay, voice.pan, voice.ducked))
    return parts


def sound_of(voice: Voice, score: Score, synthesizer: Synthesizer) -> Audio:
    step = score.tokens_per_bar * HOP / SAMPLE_RATE / STEPS
    instrument = voice.instrument
    if isinstance(instrument, Kit):
        audio = kit_part(voice, instrument, step, score.seconds)
    elif isinstance(instrument, DrumSet):
        strokes = set_strokes(voice, instrument, step, score.seconds)
        audio = soundfont_part([(instrument.program, strokes)], score.seconds, quick=True, drums=True)
    elif isinstance(instrument, Noise):
        audio = noise_part(instrument, voice.hits, step, score.seconds)
    else:
        notes = [(n.pitch, n.velocity, n.step * step, n.length * step) for n in voice.notes]
        notes = [note for note in notes if note[2] < score.seconds]
        if isinstance(instrument, Faust):
            audio = synthesizer.play(instrument, notes, score.seconds)
        elif isinstance(instrument, Soundfont):
            audio = soundfont_part([(instrument.program, notes)], score.seconds, quick=True)
        elif isinstance(instrument, Chip):
            audio = chip_part(instrument, notes, score.seconds)
        else:
            raise TypeError(f"no way to play {instrument!r}")
    for effect in voice.effects:
        audio = apply(effect, audio, step)
    return audio


def narrowed(audio: Audio, most: float) -> Audio:
    """Return the sound `[2, frames]` with its side at most `most` times as loud as its middle (RMS)."""
    middle, side = (audio[0] + audio[1]) / 2, (audio[0] - audio[1]) / 2
    ratio = float(np.sqrt((side**2).mean() / ((middle**2).mean() + 1e-12)))
    side = side * min(1.0, most / max(ratio, 1e-9))
    return np.stack([middle + side, middle - side])


def kit_part(voice: Voice, kit: Kit, step: float, seconds: float) -> Audio:
    sounds = {sound.name: one_shot(sound) for sound in kit.sounds}
    bus = np.zeros((2, int(seconds * SAMPLE_RATE)), np.float32)
    for hit in voice.hits:
        place(bus, sounds[hit.sound], round(hit.step * step * SAMPLE_RATE), hit.gain, hit.pan)
    return bus


def set_strokes(voice: Voice, drums: DrumSet, step: float, seconds: float) -> Notes:
    """Return the hits of a drum set as notes. Each ends at the next one of its key, at the latest after two seconds.

    fluidsynth plays a velocity with its square. The sounds of a set are in balance already, so the power is small.
    """
    keys = dict(drums.keys)
    later: dict[int, float] = {}
    notes: Notes = []
    for hit in sorted(voice.hits, key=lambda hit: hit.step, reverse=True):
        key, start = keys[hit.sound], hit.step * step
        if start < seconds and later.get(key) != start:
            velocity = int(np.clip(round(127 * min(1.0, hit.gain) ** 0.35), 1, 127))
            notes.append((key, velocity, start, min(2.0, later.get(key, start + 2.0) - start)))
            later[key] = start
    return notes[::-1]
