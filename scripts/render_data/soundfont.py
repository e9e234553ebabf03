"""The FluidR3 soundfont (MIT), played by fluidsynth."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import mido
import numpy as np
import soundfile
from sounds import Audio, Notes
from tempi import SAMPLE_RATE

SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")


DRUM_CHANNEL = 9  # General MIDI's channel 10


def soundfont_part(
    parts: list[tuple[int, Notes]], seconds: float, quick: bool = False, drums: bool = False
) -> Audio:
    """General MIDI programs with their notes, through fluidsynth; program numbers count from 0.

    `drums`: the program is a drum set, and keys are its sounds.
    """
    midi = mido.MidiFile(ticks_per_beat=480)
    ticks_per_second = 960  # mido's default tempo, 120 beats a minute
    for number, (program, notes) in enumerate(parts):
        channel = DRUM_CHANNEL if drums else number
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
        # Only the samples that are played are read. The sound is the same, and it starts sooner.
        lazily = ["-o", "synth.dynamic-sample-loading=1"] if quick else []
        command = ["fluidsynth", "-ni", "-q", "-g", "0.6", "-R", "0", "-C", "0", "-r", str(SAMPLE_RATE)]
        played = subprocess.run(
            [*command, *lazily, "-F", str(sound), "-T", "wav", str(SOUNDFONT), str(score)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        if played.returncode or not sound.exists():
            raise RuntimeError(f"fluidsynth failed ({played.returncode}): {played.stderr.strip()[-500:]}")
        audio, _ = soundfile.read(sound, dtype="float32", always_2d=True)
    out = np.zeros((2, frames), np.float32)
    length = min(frames, len(audio))
    out[:, :length] = audio[:length].T
    return out
