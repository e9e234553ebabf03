"""Write a take, or a part of it, into a sound file for other programs: WAV, FLAC or Opus, with a chosen loudness.

Threads: any; blocks on the disk. The new file stands under its name only when it is whole. The loudness changes by one
gain for all of it, so the dynamics stay as they were played.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from jbdiff_live.block import Audio
from jbdiff_live.browse.takes import ExportWish, Level, SoundFormat
from jbdiff_live.record.shelf.reader import Step, TakeReader
from jbdiff_live.record.take import Take, sound_path
from jbdiff_live.shown import shown

# Measures sound in pieces, `[frames, channels]`, at a rate in Hz with so many channels.
Measure = Callable[[Iterable[Audio], int, int], Level]

OPUS_RATE = 48_000  # Opus knows 44.1 kHz only as 48 kHz
MOST_CHANNELS = 2
NEAR_DB = 0.1  # a loudness this close to the wanted one is that loudness
KINDS = {  # file format and subtype, as libsndfile names them
    SoundFormat.WAV_16: ("WAV", "PCM_16"),
    SoundFormat.WAV_24: ("WAV", "PCM_24"),
    SoundFormat.WAV_FLOAT: ("WAV", "FLOAT"),
    SoundFormat.FLAC: ("FLAC", "PCM_24"),
    SoundFormat.OPUS: ("OGG", "OPUS"),
}
LONGEST_WAV_BYTES = 4_000_000_000  # a WAV file holds 4 GB; longer ones are written as RF64


@dataclass(frozen=True)
class Plan:
    """gain_db: the one gain of the whole part. words: what the player should know about it, or empty."""

    gain_db: float
    words: str


def plan(level: Level, wish: ExportWish) -> Plan:
    """Return the gain that gives the wished loudness without a true peak above the ceiling."""
    if wish.lufs is None:
        over = level.peak_db > 0 and wish.format is not SoundFormat.WAV_FLOAT
        return Plan(0.0, "peaks above 0 dB are cut off: choose a loudness, or 32 bit float" if over else "")
    if level.lufs is None:
        return Plan(0.0, "the sound is too quiet to measure, so its level stays as it is")
    wanted, most = wish.lufs - level.lufs, wish.ceiling_db - level.peak_db
    if wanted <= most + NEAR_DB / 2:
        return Plan(min(wanted, most), "")
    return Plan(
        most,
        f"it has {level.lufs + most:.1f} LUFS and not {wish.lufs:g}: more gain would take the true peak over "
        f"{wish.ceiling_db:g} dBTP",
    )


def export(take: Take, wish: ExportWish, measure: Measure, step: Step) -> str:
    """Write the file, and return what the player should know about it.

    step: gets the work that is done, and all; what it raises ends the work, and no file is left. ValueError: the take
    cannot be read. OSError: the disk refuses, or the file would lie over the take's own sound.
    """
    if any(wish.path.resolve() == path.resolve() for path in take.audio):
        raise OSError("that is the take's own sound; choose another name or folder")
    reader = TakeReader(take)
    try:
        end = reader.frames if wish.end is None else min(wish.end, reader.frames)
        begin = max(0, wish.begin)
        if end <= begin:
            raise ValueError("there is no sound in this part; choose another one")
        channels = min(reader.channels, MOST_CHANNELS)
        length = end - begin

        def pieces(passed: int) -> Iterator[Audio]:
            done = passed * length
            for piece in reader.pieces(begin, end):
                yield piece[:, :channels]
                done += len(piece)
                step(done, 2 * length)

        chosen = plan(measure(pieces(0), reader.rate, channels), wish)
        new = wish.path.with_name(f".{wish.path.name}.part")
        try:
            _write(new, take, wish, scaled(pieces(1), chosen.gain_db), reader.rate, channels, length)
            os.replace(new, wish.path)
        finally:
            new.unlink(missing_ok=True)
    finally:
        reader.close()
    return "; ".join(part for part in (f"{shown(wish.path.name)} is written", chosen.words) if part)


def scaled(pieces: Iterable[Audio], gain_db: float) -> Iterator[Audio]:
    """Give the pieces with a gain. 0 dB leaves every bit as it is."""
    factor = np.float32(10 ** (gain_db / 20))
    for piece in pieces:
        yield piece if gain_db == 0 else piece * factor


def _write(
    path: Path,
    take: Take,
    wish: ExportWish,
    pieces: Iterable[Audio],
    rate: int,
    channels: int,
    frames: int,
) -> None:
    kind, subtype = KINDS[wish.format]
    if kind == "WAV" and frames * channels * 4 > LONGEST_WAV_BYTES:
        kind = "RF64"
    if wish.format is SoundFormat.OPUS:
        pieces, rate = _resampled(pieces, rate, channels), OPUS_RATE
    if wish.format is SoundFormat.WAV_16:
        pieces = dithered(pieces)
    wish.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with soundfile.SoundFile(sound_path(path), "w", rate, channels, subtype, format=kind) as file:
            for field, text in _texts(take).items():
                setattr(file, field, text)
            for piece in pieces:
                file.write(piece)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise OSError(f"{shown(wish.path)}: {error}; free some space, or choose another folder") from error


def _texts(take: Take) -> dict[str, str]:
    """Return what the file says about itself."""
    info = take.info
    about = (("patch", info.patch), ("stack", info.stack), ("licence of the weights", info.weights_licence))
    comment = "; ".join(f"{name}: {fact}" for name, fact in about if fact)
    return {"title": info.title or shown(take.folder.name), **({"comment": comment} if comment else {})}


def dithered(pieces: Iterable[Audio]) -> Iterator[Audio]:
    """Add triangular noise of one step of 16 bits, so that quiet ends do not grate. The noise is the same each time."""
    noise = np.random.default_rng(16)
    for piece in pieces:
        two = noise.random((2, *piece.shape), np.float32)
        yield piece + (two[0] - two[1]) / np.float32(1 << 15)


def _resampled(pieces: Iterable[Audio], rate: int, channels: int) -> Iterator[Audio]:
    if rate == OPUS_RATE:
        yield from pieces
        return
    stream = soxr.ResampleStream(rate, OPUS_RATE, channels, dtype="float32")
    for piece in pieces:
        yield stream.resample_chunk(np.ascontiguousarray(piece))
    yield stream.resample_chunk(np.zeros((0, channels), np.float32), last=True)
