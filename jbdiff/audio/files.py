"""Reading sound files in pieces: any format libsndfile knows, any rate, any number of channels. No torch.

Memory is bounded for every file. A fault of the file becomes an error that names the remedy, or a note.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from jbdiff.audio.sound_bytes import SoundBytes, mpeg_header, ogg_parts, stand_in, true_header
from jbdiff.audio.sound_facts import (
    LOUDEST,
    OVERSHOOT,
    SPIKE,
    Audio,
    SilentSound,
    SoundFacts,
    UnusableSound,
    mono_mix,
)

# Six seconds at 44.1 kHz: little memory compared with a model, and a call takes little time compared with the block.
BLOCK_FRAMES = 1 << 18

# Suffixes that libsndfile opens. Other files in a folder of sounds, such as pictures, are skipped without a message.
SOUND_SUFFIXES = frozenset(
    (
        ".wav",
        ".flac",
        ".aif",
        ".aiff",
        ".aifc",
        ".ogg",
        ".opus",
        ".mp3",
        ".mp2",
        ".w64",
        ".caf",
        ".au",
        ".rf64",
    )
)
# Sound that libsndfile cannot open.
OTHER_SOUNDS = frozenset(
    (".m4a", ".aac", ".wma", ".mp4", ".m4b", ".ape", ".wv", ".mpc", ".tta", ".dsf", ".dff")
)

LOWEST_RATE, HIGHEST_RATE = 1_000, 2_000_000  # Hz; a rate outside means a damaged header
NOTED_DB = 1.0
BAD_FILE = 7  # libsndfile's code for an MP3 without a whole frame; its words are "possibly a pipe?"
FLAC_FRAMES = 4096  # the usual block of a FLAC: a read that meets damage gives nothing
MPEG_FRAME = 1152
MPEG_SLACK = 8 * MPEG_FRAME  # frames; files are shorter by the padding that encoders put around the sound


def read_audio(path: str | Path, sample_rate: int, longest_seconds: float = 3600.0) -> tuple[Audio, int]:
    """Return the audio of a file at `sample_rate`, float32 `[frames, channels]`, and the file's own rate.

    All of it is in memory. Raises what `audio_blocks` raises, and UnusableSound if it is longer than `longest_seconds`.
    """
    facts = SoundFacts()
    blocks, held = [], 0
    for block in audio_blocks(path, sample_rate, facts=facts):
        held += len(block)
        if held > longest_seconds * sample_rate:
            raise UnusableSound(
                f"{str(path)!r} is longer than {longest_seconds / 60:g} minutes; cut it into shorter files"
            )
        blocks.append(block)
    return np.concatenate(blocks), facts.rate


@dataclass(frozen=True)
class MonoSound:
    """A sound to play from: mono float32 `[frames]`, within full scale. `notes`: the changes that were made to it."""

    samples: Audio
    notes: tuple[str, ...]


class ReadingStopped(Exception):
    """The caller's `keep_going` returned False, so reading stopped."""


def read_mono(
    path: str | Path,
    sample_rate: int,
    frames: int,
    *,
    end: bool = False,
    keep_going: Callable[[], bool] = lambda: True,
) -> MonoSound:
    """Read a sound to continue or to resample from: channels mixed to mono, turned down if it is beyond full scale.

    `frames`: at most so many frames of the beginning are read; with `end`, of the end. `keep_going`: called between
    pieces; if it returns False, ReadingStopped is raised. Raises what `audio_blocks` raises, and UnusableSound for
    silence and damaged samples.
    """

    def pieces(facts: SoundFacts) -> Iterator[Audio]:
        for block in audio_blocks(path, sample_rate, facts=facts):
            if not keep_going():
                raise ReadingStopped
            yield block

    def gathered(facts: SoundFacts, channel: int | None) -> tuple[Audio, bool]:
        blocks = pieces(facts)
        return (_end(blocks, frames, channel), True) if end else _beginning(blocks, frames, channel)

    facts = SoundFacts()
    audio, whole = gathered(facts, None)
    if facts.silent:
        raise SilentSound(f"{str(path)!r}: the file is silent; choose one with sound in it")
    if facts.peak > LOUDEST:
        raise UnusableSound(
            f"{str(path)!r}: its samples reach {facts.peak:.3g} times full scale, which no sound does; export it "
            "again as 16 or 24 bit"
        )
    if facts.peak > OVERSHOOT and facts.level < SPIKE:
        raise UnusableSound(
            f"{str(path)!r}: single samples reach {facts.peak:.3g} times full scale, {-facts.level_db:.0f} dB above "
            "the rest; remove them, or export it again as 16 or 24 bit"
        )
    notes = []
    if facts.rate != sample_rate:
        notes.append(f"resampled from {facts.rate} to {sample_rate} Hz")
    if facts.cancels:
        first, most = facts.powers[0], facts.powers.max()
        loudest = 0 if 2 * first >= most else int(np.argmax(facts.powers))
        which = "the first one alone" if loudest == 0 else f"channel {loudest + 1} alone, the loudest,"
        notes.append(f"its channels cancel each other in a mix: {which} is used")
        audio, whole = gathered(SoundFacts(), loudest)
    elif facts.channels > 1:
        notes.append(f"{facts.channels} channels mixed to mono")
    if not whole:
        notes.append(f"only the first {_duration(frames / sample_rate)} are used")
    if facts.peak > 1:
        audio /= np.float32(facts.peak)
        if (decibels := 20 * math.log10(facts.peak)) >= NOTED_DB:
            notes.append(f"louder than full scale: turned down by {decibels:.0f} dB")
    return MonoSound(audio, (*notes, *facts.notes))


def _duration(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds > 90 else f"{seconds:.0f} seconds"


def _beginning(blocks: Iterator[Audio], frames: int, channel: int | None) -> tuple[Audio, bool]:
    """Return mono `[at most frames]`, and whether that is the whole sound.

    `channel`: the one to use; None: mean of all.
    """
    audio, held = np.empty(frames, np.float32), 0  # memory is only used when a page is first written
    for block in blocks:
        part = (mono_mix(block) if channel is None else block[:, channel])[: frames - held]
        audio[held : held + len(part)] = part
        held += len(part)
        if len(part) < len(block):
            return audio, False
    return audio[:held] if 2 * held > frames else audio[:held].copy(), True


def _end(blocks: Iterator[Audio], frames: int, channel: int | None) -> Audio:
    """Return the last frames of a sound as mono `[at most frames]`; `channel` as in `_beginning`."""
    kept: list[Audio] = []
    held = 0
    for block in blocks:
        kept.append(np.array(mono_mix(block) if channel is None else block[:, channel]))
        held += len(kept[-1])
        while held - len(kept[0]) >= frames:
            held -= len(kept.pop(0))
    return np.concatenate(kept)[-frames:]


def audio_blocks(
    path: str | Path, sample_rate: int, frames: int = BLOCK_FRAMES, *, facts: SoundFacts | None = None
) -> Iterator[Audio]:
    """Yield the audio of a file at `sample_rate` in blocks, float32 `[about frames, channels]`.

    A file of hours needs no more memory than a short one. `facts` is filled while the file is read. Raises OSError if
    the file is missing or cannot be read as sound. Raises ValueError if it is empty, holds NaN or infinite samples, or
    has an impossible rate. The message names the file and the remedy. These errors can come at any block.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; give a sound file")
    if not path.is_file():
        if path.exists():
            raise OSError(f"{str(path)!r} is a pipe or a device; give a sound file")
        raise FileNotFoundError(f"no sound file {str(path)!r}; check the name, or give another file")
    yield from _resampled(path, sample_rate, frames, SoundFacts() if facts is None else facts)


class _Opened(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no annotations
    """A sound file that is read from the beginning to the end.

    It is not seekable: soundfile asks a seekable file for its length and seeks after every read. Both fail if the
    header does not give the length.
    """

    def seekable(self) -> bool:
        return False


def _source_blocks(path: Path, facts: SoundFacts, frames: int, sample_rate: int) -> Iterator[Audio]:
    """Yield the file's own samples `[n, channels]`; a block gives about `frames` at `sample_rate`.

    Notes go to `facts`.
    """
    try:
        header = true_header(path)
        with _view(path) as probe, _Opened(probe) as sound:
            kind, rate, channels, frames_said = sound.format, sound.samplerate, sound.channels, sound.frames
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise ValueError(
                f"{str(path)!r} says that it has {rate} samples a second; write the true rate into it, or export it "
                "again"
            )
        facts.rate, facts.channels = rate, channels
        if kind == "MP3":
            header = mpeg_header(path, frames_said)
        facts.notes += header.notes
        parts: list[tuple[int, int | None]] = [(0, None)]
        if kind == "OGG":
            found, ended = ogg_parts(path)
            parts = [*found]
            if not ended:
                facts.notes.append("its last page is missing: the file is cut short")
        wanted = max(1, min(frames * 2, frames * 2 * rate // sample_rate) // max(2, channels))
        for start, end in parts:
            view = SoundBytes(path, header.replaced, endless=header.endless, start=start, end=end)
            with view, _Opened(view) as sound:
                if (sound.samplerate, sound.channels) != (rate, channels):
                    facts.notes.append("a part with another rate or other channels is left out")
                    continue
                yield from _read(sound, view, wanted, header.frames, facts)
    except soundfile.LibsndfileError as error:
        raise _unreadable(path, error) from error


def read_header(path: Path) -> tuple[int, int]:
    """Return the rate and the number of frames that a sound file says it has. Raises OSError if it cannot be read."""
    try:
        with _view(path) as view, _Opened(view) as sound:
            return int(sound.samplerate), int(sound.frames)
    except soundfile.LibsndfileError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: soundfile.LibsndfileError) -> OSError:
    there = stand_in(path)
    if there:
        return OSError(f"cannot read {str(path)!r} as sound: {there}")
    if error.code == BAD_FILE:
        return OSError(
            f"cannot read {str(path)!r} as sound: it begins like a sound, but no sound follows; export or copy it again"
        )
    why = error.error_string.rstrip(". ")
    return OSError(f"cannot read {str(path)!r} as sound ({why}); convert it to WAV or FLAC first")


def _view(path: Path) -> SoundBytes:
    header = true_header(path)
    return SoundBytes(path, header.replaced)


def _read(
    sound: _Opened, view: SoundBytes, wanted: int, counted: int | None, facts: SoundFacts
) -> Iterator[Audio]:
    """Yield one recording to its end; note if it is shorter or longer than its header says.

    `counted`: frames of an MP3.
    """
    view.farthest = read = 0
    expected = counted if counted is not None else sound.frames if 0 < sound.frames < 1 << 48 else None
    slack = 0 if counted is None else MPEG_SLACK
    damage: soundfile.LibsndfileError | None = None
    while expected is None or counted is not None or read < expected:
        frames = (
            wanted
            if expected is None
            else min(wanted, max(expected - slack - read, MPEG_FRAME if slack else 0))
        )
        block, damage = _block(sound, frames)
        read += len(block)
        if len(block):
            yield block
        if damage is not None:
            if view.problem is None and not _is_end(sound, read, counted):
                raise damage
            break
        if not len(block):
            break
    if view.problem is not None:
        raise view.problem
    if damage is not None and sound.format == "FLAC":
        of = "" if expected is None else f" of its {expected / sound.samplerate:.1f} s"
        facts.notes.append(
            f"{read / sound.samplerate:.1f} s{of} can be read: it is cut short or damaged there"
        )
        return
    if expected is not None and read < expected - slack:
        there, whole = read / sound.samplerate, expected / sound.samplerate
        facts.notes.append(
            f"{there:.1f} s of its {whole:.1f} s can be read: it is cut short, or changes its form"
        )
    behind = view.size - view.farthest
    if sound.format == "FLAC" and behind > (1 << 16) and behind > view.size // 50:
        facts.notes.append(f"{behind} bytes behind the end of its recording are left out")


def _block(sound: _Opened, frames: int) -> tuple[Audio, soundfile.LibsndfileError | None]:
    """Return the next frames `[at most frames, channels]`, and the error that ended them early, or None."""
    size = FLAC_FRAMES if sound.format == "FLAC" else frames
    parts, left = [np.zeros((0, sound.channels), np.float32)], frames
    while left:
        try:
            part = sound.read(min(left, size), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            return np.concatenate(parts), error
        if not len(part):
            break
        parts.append(part)
        left -= len(part)
    return np.concatenate(parts), None


def _is_end(sound: _Opened, read: int, counted: int | None) -> bool:
    """Return whether an error of the file ends its sound: what was read is used. counted: as in `_read`."""
    if sound.format == "FLAC":
        return read > 0
    return counted is not None and read >= counted - MPEG_SLACK  # an MP3 that ends in the middle of a frame


def _resampled(path: Path, sample_rate: int, frames: int, facts: SoundFacts) -> Iterator[Audio]:
    """Yield checked blocks `[n, channels]` at another rate."""
    resampler = None
    made = 0
    for block in _source_blocks(path, facts, frames, sample_rate):
        if not np.isfinite(block).all():
            raise ValueError(f"{str(path)!r} holds NaN or infinite samples; export it again as 16 or 24 bit")
        facts.add(block)
        if resampler is None and facts.rate != sample_rate:
            resampler = soxr.ResampleStream(facts.rate, sample_rate, facts.channels, dtype="float32")
        out = block if resampler is None else resampler.resample_chunk(block)
        made += len(out)
        if len(out):
            yield out
    if not facts.frames:
        raise ValueError(f"{str(path)!r} holds no samples; record or export it again")
    rest = np.zeros((0, facts.channels), np.float32)
    if resampler is not None:
        rest = resampler.resample_chunk(rest, last=True)
    if not made + len(rest):
        raise ValueError(f"{str(path)!r} is too short to resample to {sample_rate} Hz; use a longer file")
    if len(rest):
        yield rest


def find_sounds(folder: str | Path) -> list[Path]:
    """Return all sound files under a folder, sorted by path. Raises OSError if the folder is missing."""
    return _find(Path(folder), SOUND_SUFFIXES)


def other_sounds(folder: str | Path) -> list[Path]:
    """Return the files under a folder that are sound in a format that cannot be read."""
    return _find(Path(folder), OTHER_SOUNDS)


def _find(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    if not folder.is_dir():
        raise NotADirectoryError(f"no folder {str(folder)!r}; give a folder that holds sound files")
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
