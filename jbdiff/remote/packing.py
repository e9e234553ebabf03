"""Packs stems as Ogg Vorbis for a rented GPU machine without network: as many tracks as there is room for."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from jbdiff.audio.files import audio_blocks, read_header
from jbdiff.audio.sound_facts import SoundFacts
from jbdiff.data.clips import Report
from jbdiff.data.stems import FILE, StemTrack, find_tracks, is_stems

MIB = 1 << 20
GOLDEN = (5**0.5 - 1) / 2
HELDOUT_SHARE = 0.1  # share of the room for held-out tracks
BLOCK = 1 << 16  # frames at a time; a whole file at once overflows the encoder's stack


@dataclass(frozen=True)
class Stems:
    """The packed tracks: their names, and their size in bytes."""

    tracks: tuple[str, ...]
    bytes: int


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def checkout_bytes(folder: Path) -> int:
    """Return the bytes of a checkout: all files that git tracks or does not ignore. 0 outside a checkout."""
    command = ["git", "-C", str(folder), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, check=True, capture_output=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    paths = {folder / name for name in listed.decode().split("\0") if name}
    return sum(path.stat().st_size for path in paths if path.is_file())


def spread(count: int, skip: int = 0) -> Iterator[int]:
    """Yield every number below `count` once, with neighbours far apart, from place `skip` on.

    So the first few tracks in this order contain all kinds of music.
    """
    stride = max(1, round(count * GOLDEN))
    while math.gcd(stride, count) > 1:
        stride += 1
    for place in range(count):
        yield (skip + place) * stride % count


def known_tracks(folder: Path) -> list[StemTrack]:
    """Return the tracks of a folder. Raises ValueError if it holds none."""
    if not is_stems(folder):
        raise ValueError(
            f"no {FILE} in the folders of {str(folder)!r}; docs/data.md says how stems are described"
        )
    return find_tracks(folder)


def pack_stems(
    tracks: Sequence[StemTrack],
    out: Path,
    room: int,
    quality: float,
    skip: int = 0,
    at_least: int = 1,
    always: int = 0,
    report: Report = print,
) -> Stems:
    """Copy tracks, spread over `tracks`, as Vorbis into `out`, until the next one does not fit into `room` bytes.

    `quality`: 0..1. `skip`: place in the order of `spread` to begin at. The first `always` tracks are copied whatever
    their size. Raises ValueError if fewer than `at_least` fit.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    names: list[str] = []
    total = 0
    for index in spread(len(tracks), skip):
        track = tracks[index]
        size = transcode(track, out / track.name, quality)
        if total + size > room and len(names) >= always:
            shutil.rmtree(out / track.name)
            break
        names.append(track.name)
        total += size
    if len(names) < at_least:
        raise ValueError(
            f"{len(names)} tracks fit into {room / MIB:.1f} MiB, {at_least} are needed: "
            "give a higher --size or --total, a lower --quality, or carry less beside the music"
        )
    report(f"{out.name}: {len(names)} of {len(tracks)} tracks, {total / MIB:.1f} MiB")
    return Stems(tuple(names), total)


def transcode(track: StemTrack, folder: Path, quality: float) -> int:
    """Write a track's stems as Vorbis, and its description with their new names. Return the bytes written."""
    folder.mkdir()
    facts = json.loads((track.folder / FILE).read_text(encoding="utf-8"))
    for stem in facts["stems"]:
        source = track.folder / stem["file"]
        stem["file"] = f"{source.stem}.ogg"
        write_vorbis(source, folder / stem["file"], quality)
    (folder / FILE).write_text(json.dumps(facts), encoding="utf-8")
    return folder_bytes(folder)


def write_vorbis(source: Path, target: Path, quality: float) -> None:
    """Write a sound file as Vorbis, `quality` 0..1, with one channel if both channels are the same.

    Raises OSError if the file cannot be read.
    """
    try:
        rate, _ = read_header(source)
        facts = SoundFacts()
        # The file is read twice, so that it is never in memory as a whole.
        same = all(
            block.shape[1] == 2 and np.array_equal(block[:, 0], block[:, 1])
            for block in audio_blocks(source, rate, facts=facts)
        )
    except (OSError, ValueError) as error:
        raise OSError(f"cannot read stem {str(source)!r} ({error}); render the track again") from error
    form = {"format": "OGG", "subtype": "VORBIS", "compression_level": 1 - quality}
    with soundfile.SoundFile(target, "w", rate, 1 if same else facts.channels, **form) as file:
        for block in audio_blocks(source, rate):
            sound = block[:, :1] if same else block
            for start in range(0, len(sound), BLOCK):
                file.write(np.ascontiguousarray(sound[start : start + BLOCK]))
