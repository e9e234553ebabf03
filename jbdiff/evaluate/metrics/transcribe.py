"""Transcription: the notes in a sound, found by a network that was trained outside of this project.

The network is basic-pitch (Bittner et al. 2022, "A lightweight instrument-agnostic model for polyphonic note
transcription").
Only its ONNX model is used, with onnxruntime. `scripts/judge_setup` installs both. The package itself is never
imported, because its own dependencies would bring TensorFlow. One window of the model is two seconds at 22 050 Hz;
it gives, 86 times a second, how likely each of 88 piano keys sounds and how likely it was struck just now.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray
from torch import Tensor

SETUP = "scripts/judge_setup"
MODEL = ("saved_models", "icassp_2022", "nmp.onnx")  # inside the package
RATE, HOP = 22_050, 256  # of the model
FRAMES_PER_SECOND = RATE / HOP
WINDOW = 43_844  # samples that the model takes at once
WINDOW_FRAMES = 172
EDGE = 15  # frames at both ends of a window; the neighbouring windows judge them better
KEPT = 141  # frames that are kept of a window; whole frames, so that all windows share one grid
BATCH = 4  # windows a call: more are no faster and need more memory
LOWEST_KEY, KEYS = 21, 88  # MIDI
STRUCK = 0.5  # a note begins at this likelihood, or more, that a key was struck
SOUNDS = 0.3  # a note goes on at this likelihood, or more, that a key sounds
GAP = 11  # frames below `SOUNDS` that end a note
SHORTEST_SECONDS = 0.058  # of a note


class NoJudgeError(RuntimeError):
    """The transcriber is not installed. The message names the command that installs it."""


@dataclass(frozen=True)
class Note:
    """One note. Times in seconds; `key` is a MIDI note number."""

    start: float
    end: float
    key: int


@dataclass(frozen=True)
class Transcription:
    """The notes of a sound that lasts `seconds`.

    `posterior` `[frames, 88]`: how likely each piano key sounds, 0..1, `FRAMES_PER_SECOND` times a second.
    """

    notes: tuple[Note, ...]
    posterior: NDArray[np.float32]
    seconds: float

    def part(self, start: float, end: float) -> Transcription:
        """Return the part between two times in seconds: the notes that begin there, and its frames.

        Its times begin at 0.
        """
        notes = tuple(
            Note(note.start - start, note.end - start, note.key)
            for note in self.notes
            if start <= note.start < end
        )
        first, last = (round(time * FRAMES_PER_SECOND) for time in (start, end))
        return Transcription(notes, self.posterior[first:last], max(0.0, min(end, self.seconds) - start))


def model_path() -> Path:
    """Return the path of the installed model. Raises NoJudgeError if package, model or onnxruntime is missing."""
    missing = [name for name in ("onnxruntime", "basic_pitch") if importlib.util.find_spec(name) is None]
    if not missing:
        spec = importlib.util.find_spec("basic_pitch")
        for folder in (spec and spec.submodule_search_locations) or ():
            path = Path(folder).joinpath(*MODEL)
            if path.is_file():
                return path
        missing = [f"basic_pitch's model {MODEL[-1]}"]
    raise NoJudgeError(f"notes cannot be judged without {' and '.join(missing)}; run {SETUP}")


def judge_installed() -> bool:
    """Whether `transcribe` would find its model."""
    try:
        model_path()
    except NoJudgeError:
        return False
    return True


@cache
def _session(path: Path) -> Any:
    """The model, ready to run on one thread. Kept for all later calls."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def mono(audio: NDArray[Any] | Tensor) -> NDArray[np.float32]:
    """Return mono `[n]` of audio `[n]`, `[channels, n]` or `[n, channels]`, with few channels.

    Raises ValueError on any other shape, on no samples, and on samples that are not finite.
    """
    array = audio.detach().cpu().numpy() if isinstance(audio, Tensor) else np.asarray(audio)
    array = array.astype(np.float32)
    if array.ndim == 2:
        array = array.mean(int(array.shape[0] > array.shape[1]))
    if array.ndim != 1 or not len(array):
        raise ValueError(f"audio of shape {tuple(audio.shape)}; give mono [n] or stereo [2, n] with samples")
    if not np.isfinite(array).all():
        raise ValueError("audio holds NaN or infinite samples; transcribe finite samples only")
    return array


def transcribe(audio: NDArray[Any] | Tensor, sample_rate: int = 44_100) -> Transcription:
    """Return the notes of a sound: float, `[n]`, `[channels, n]` or `[n, channels]`.

    A second of sound takes about 45 ms of one core. Raises NoJudgeError if the model is not installed, and what `mono`
    raises.
    """
    path = model_path()
    sound = mono(audio)
    seconds = len(sound) / sample_rate
    struck, posterior = _likelihoods(path, soxr.resample(sound, sample_rate, RATE))
    return Transcription(tuple(pick_notes(struck, posterior)), posterior, seconds)


def _likelihoods(path: Path, sound: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the likelihoods that keys were struck and that they sound, `[frames, 88]` each, of `[n]` at `RATE`."""
    frames = max(1, -(-len(sound) // HOP))
    count = -(-frames // KEPT)
    padded = np.zeros(EDGE * HOP + (count - 1) * KEPT * HOP + WINDOW, np.float32)
    padded[EDGE * HOP : EDGE * HOP + len(sound)] = sound
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[:: KEPT * HOP]
    session = _session(path)
    struck: list[NDArray[np.float32]] = []
    posterior: list[NDArray[np.float32]] = []
    for first in range(0, count, BATCH):
        # The model's outputs have numbers instead of names: 2 is for struck keys, 1 for sounding keys.
        given = {session.get_inputs()[0].name: windows[first : first + BATCH, :, None]}
        names = ["StatefulPartitionedCall:2", "StatefulPartitionedCall:1"]
        for found, whole in zip(session.run(names, given), (struck, posterior), strict=True):
            whole.append(found[:, EDGE : EDGE + KEPT].reshape(-1, KEYS))
    return np.concatenate(struck)[:frames], np.concatenate(posterior)[:frames]


def pick_notes(struck: NDArray[np.float32], posterior: NDArray[np.float32]) -> list[Note]:
    """Return the notes, in the order of their starts, from likelihoods `[frames, 88]` that keys were struck and sound.

    A note begins when a key is struck and lasts until the key no longer sounds. Keys that still sound without such a
    beginning become notes too, the likeliest first. The network also finds a key in its two neighbours. So each note
    silences its own key and both neighbours while it lasts (Bittner et al. 2022, section 2.3).
    """
    left = posterior.astype(np.float64)
    shortest = round(SHORTEST_SECONDS * FRAMES_PER_SECOND)
    found = []
    for start, key in beginnings(struck, posterior)[::-1].tolist():
        lasts, _ = _sounding(left[start + 1 : -1, key])
        end = start + 1 + lasts
        if start < len(left) - 1 and end - start > shortest:
            left[start:end, max(0, key - 1) : key + 2] = 0
            found.append((start, end, key))
    likeliest = np.argsort(-left, axis=None, kind="stable")[: int((left > SOUNDS).sum())]
    for place in likeliest.tolist():
        middle, key = divmod(place, KEYS)
        if left[middle, key] <= SOUNDS:
            continue  # a note that was found in the meantime has silenced it
        near = slice(max(0, key - 1), key + 2)
        after, looked_after = _sounding(left[middle + 1 : -1, key])
        before, looked_before = _sounding(left[middle - 1 : 0 : -1, key] if middle else left[:0, key])
        left[middle, key] = 0
        left[middle + 1 : middle + 1 + looked_after, near] = 0
        left[middle - looked_before : middle, near] = 0
        start, end = middle - before, middle + after
        if end - start > shortest:
            found.append((start, end, key))
    return [
        Note(start / FRAMES_PER_SECOND, end / FRAMES_PER_SECOND, LOWEST_KEY + key)
        for start, end, key in sorted(found)
    ]


def beginnings(struck: NDArray[np.float32], posterior: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return frame and key `[n, 2]` of the beginning of every note, in the order of frames, from `[frames, 88]` each.

    A sudden rise of the likelihood that a key sounds counts as a stroke too. Rises are scaled so that the highest one
    equals the highest likelihood of a stroke.
    """
    rises = np.zeros_like(posterior)
    rises[2:] = np.minimum(posterior[2:] - posterior[1:-1], posterior[2:] - posterior[:-2]).clip(0)
    rises *= struck.max() / max(float(rises.max()), 1e-9)
    strength = np.maximum(struck, rises)
    peak = np.zeros(strength.shape, bool)
    peak[1:-1] = (strength[1:-1] > strength[:-2]) & (strength[1:-1] > strength[2:])
    return np.argwhere(peak & (strength >= STRUCK))


def _sounding(likelihood: NDArray[np.float64]) -> tuple[int, int]:
    """Return for how many frames a key goes on to sound, from likelihoods `[n]`, and how many frames were read."""
    looked = silent = 0
    for value in likelihood.tolist():
        looked += 1
        silent = silent + 1 if value < SOUNDS else 0
        if silent == GAP:
            break
    return looked - silent, looked
