"""Choose the tracks of a person's folder that can be used for training, and arrange them for the training jobs.

A track that cannot be used is left out, with the reason. The others are linked into the training's own folder, each
beside a `track.json` if its tempo is known. Nothing in the person's folder is changed.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jbdiff.audio.files import audio_blocks, find_sounds, read_header
from jbdiff.audio.sound_facts import SoundFacts
from jbdiff.data.clips import Report
from jbdiff.data.stems import FILE, is_of_stems
from jbdiff.train.latents.bars import read_tempo

# A folder between the data folder and the tracks. `stems.is_stems` looks one folder deep; these tracks are no stems.
BETWEEN = "each"
SILENT = 1e-3  # peak; 60 dB below full scale
# peak, and the share of samples at it; loud masters stay below the share
FULL_SCALE, MOST_CLIPPED = 0.999, 0.1
STEREO = 0.01  # least level of the side, as a share of the middle's


@dataclass(frozen=True)
class Track:
    """A track that can be used. `bpm`: beats a minute from a description, 0 if they have to be estimated."""

    path: Path
    seconds: float
    stereo: bool
    bpm: float = 0.0


@dataclass(frozen=True)
class Chosen:
    """The tracks to train on; `left_out` names the others, with the reason. `stems`: the folder holds stems."""

    tracks: tuple[Track, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    stems: bool = False

    @property
    def seconds(self) -> float:
        """Length of all tracks together, in seconds."""
        return sum(track.seconds for track in self.tracks)

    @property
    def stereo(self) -> bool:
        """Whether any track is stereo. Mixes of stems are."""
        return self.stems or any(track.stereo for track in self.tracks)


def choose(folder: Path, least_seconds: float, bpm: float | None, report: Report) -> Chosen:
    """Check every sound of the folder and return the tracks that can be used.

    `bpm`: tempo of tracks without a description; None: it will be estimated. Raises OSError if the folder does not
    exist, ValueError if no track in it can be used.
    """
    described = {path.parent: is_of_stems(path) for path in folder.glob(f"*/{FILE}")}
    report(f"searching {str(folder)!r} and all folders in it for sounds")
    files = find_sounds(folder)
    report(f"found {len(files)} sound files")
    if any(described.values()):
        return of_stems(folder, files, {parent for parent, stems in described.items() if stems}, report)
    if not files:
        raise ValueError(f"no sound file in {str(folder)!r}: put WAV, FLAC, MP3, OGG or AIFF files into it")
    tracks, left_out = [], []
    for file in files:
        try:
            tracks.append(looked_at(file, least_seconds, bpm))
        except (OSError, ValueError) as error:
            left_out.append((str(file.relative_to(folder)), str(error)))
            report(f"left out: {file.relative_to(folder)}: {error}")
    if not tracks:
        raise ValueError(
            f"none of the {len(files)} sounds in {str(folder)!r} can be used, for the reasons above: "
            f"add tracks of at least {least_seconds:.1f} s that can be read"
        )
    return Chosen(tuple(tracks), tuple(left_out))


def of_stems(folder: Path, files: list[Path], parents: set[Path], report: Report) -> Chosen:
    """Return the tracks of a folder of stems: every track is a folder. Sounds outside of these folders are left out."""
    tracks = []
    for parent in sorted(parents):
        inside = [file for file in files if file.parent == parent]
        lengths = [frames / rate for rate, frames in map(read_header, inside)]
        seconds = max(lengths, default=0.0)
        tracks.append(Track(parent, seconds, True, read_tempo(parent / FILE)))
    reason = "the folder holds stems, and this is no part of them; train whole tracks from another folder"
    others = [str(file.relative_to(folder)) for file in files if file.parent not in parents]
    for name in others:
        report(f"left out: {name}: {reason}")
    return Chosen(tuple(tracks), tuple((name, reason) for name in others), stems=True)


def looked_at(file: Path, least_seconds: float, bpm: float | None) -> Track:
    """Read a file and return its track. Raises OSError or ValueError, with the reason, if it cannot be used."""
    rate, _ = read_header(file)
    facts = SoundFacts()
    frames, full, peak = 0, 0, 0.0
    middle = side = 0.0
    for block in audio_blocks(file, rate, facts=facts):
        size = np.abs(block)
        frames += len(block)
        peak = max(peak, float(size.max()))
        full += int((size >= FULL_SCALE).any(1).sum())
        if block.shape[1] == 2:
            middle += float(np.square(block.sum(1)).sum())
            side += float(np.square(block[:, 0] - block[:, 1]).sum())
    seconds = frames / rate
    if seconds < least_seconds:
        raise ValueError(f"too short: {seconds:.2f} s, and {least_seconds:.2f} s are needed")
    if peak < SILENT:
        raise ValueError("silent: no sample is above -60 dB; record or export it again")
    if facts.silent:
        raise ValueError("silent: all samples have one value; record or export it again")
    if full > MOST_CLIPPED * frames:
        raise ValueError(
            f"clipped: {100 * full / frames:.0f} % of it is at full scale; export it again at a lower level"
        )
    beside = file.parent / FILE
    known = (read_tempo(beside) if beside.is_file() else 0.0) or bpm or 0.0
    return Track(file, seconds, side > STEREO**2 * middle, known)


def lay_out(chosen: Chosen, folder: Path) -> dict[str, Track]:
    """Link the tracks into `folder`, one folder each, with their tempi. Return the tracks by name of the link.

    The same tracks get the same numbers in each call, so that caches stay valid.
    """
    shutil.rmtree(folder, ignore_errors=True)
    places = {}
    for number, track in enumerate(chosen.tracks):
        own = folder / BETWEEN / f"{number:05}"
        own.mkdir(parents=True)
        # The link has a plain name: in a name, training reads the text after " mix " as the number of a mix.
        link = own / f"track{track.path.suffix.lower()}"
        linked(track.path.resolve(), link)
        if track.bpm:
            (own / FILE).write_text(json.dumps({"bpm": track.bpm}), encoding="utf-8")
        places[str(link)] = track
    return places


def linked(source: Path, link: Path) -> None:
    """Link a file, or copy it if the file system does not allow links."""
    for make in (os.symlink, os.link):
        try:
            make(source, link)
            return
        except OSError:  # Windows needs a permission for links, and hard links only work on one disk
            continue
    shutil.copyfile(source, link)
