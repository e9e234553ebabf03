"""Packs latents into small files, for machines to which sounds cannot be sent: bands only, in steps of about 1 dB.

A packed folder holds `packed.json` and numbered parts, each a compressed array of some clips. More parts may be added
to it. A minute takes about a tenth of the size of its stems as Vorbis. The rounding is far below the grain of the
codec. Noise of a step's width is added when unpacking, so that a denoiser does not learn the steps.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.codecs.bands import CHANNELS
from jbdiff.data.clips import MIX, Clips, ClipWriter, awaited_cache, cache_about, first_process
from jbdiff.train.latents.latents import fingerprint
from jbdiff.untyped import JsonDict

ABOUT = "packed.json"
STEP = 0.1  # of a band's spread
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "lp": 0, "pb": 0}]


def is_packed(folder: Path) -> bool:
    """Whether `pack_latents` wrote this folder."""
    return (folder / ABOUT).is_file()


def pack_latents(
    training: Sequence[Clips], heldout: Clips, codec: BandCodec, out: Path, part_bytes: int
) -> list[Path]:
    """Write the bands of clips into parts of at most `part_bytes`, held-out clips first; return the paths of the parts.

    Training clips are mixed, so that any few parts contain all kinds of music.
    """
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("part*.lat"):
        old.unlink()
    (out / ABOUT).write_text(json.dumps({"codec": fingerprint(codec.analysis), "step": STEP}))
    wanted = [(heldout, index, True) for index in range(len(heldout))]
    all_of_it = [(clips, index, False) for clips in training for index in range(len(clips))]
    wanted += [all_of_it[place] for place in np.random.default_rng(0).permutation(len(all_of_it))]
    paths: list[Path] = []
    rows: list[dict[str, object]] = []
    blobs: list[bytes] = []

    def finish() -> None:
        nonlocal rows, blobs
        if rows:
            path = out / f"part{len(paths):03}.lat"
            head = json.dumps(rows).encode()
            path.write_bytes(len(head).to_bytes(4, "little") + head + b"".join(blobs))
            paths.append(path)
        rows, blobs = [], []

    for clips, index, held in wanted:
        blob = packed(clips.clip(index)[:, :CHANNELS])
        if sum(map(len, blobs)) + len(blob) + 200 * (len(blobs) + 1) > part_bytes:
            finish()
        sound, mix, number = clips.names[index].partition(MIX)
        row = {"name": Path(sound).name + mix + number, "held": held}
        row |= {"bar": clips.bars[index] if clips.bars else 0.0, "bytes": len(blob)}
        rows.append(row)
        blobs.append(blob)
    finish()
    return paths


def packed(bands: NDArray[np.generic]) -> bytes:
    """Compress latents `[n, CHANNELS]`, rounded to whole steps, each stored as the difference to the token before."""
    steps = np.round(bands.astype(np.float32) / STEP).clip(-120, 120).astype(np.int16)
    changes = np.diff(steps, axis=0, prepend=np.zeros_like(steps[:1]))
    return lzma.compress(
        np.ascontiguousarray(changes.T.astype(np.int8)).tobytes(), lzma.FORMAT_RAW, filters=FILTERS
    )


def unpack(blob: bytes, rng: np.random.Generator, step: float = STEP) -> NDArray[np.float16]:
    """Return the latents `[n, CHANNELS]` of `packed` bytes, with noise of a step's width.

    `step`: deviations of a band.
    """
    raw = np.frombuffer(lzma.decompress(blob, lzma.FORMAT_RAW, filters=FILTERS), np.int8)
    steps = np.cumsum(raw.reshape(CHANNELS, -1), axis=1, dtype=np.int8).T.astype(np.float32)
    return ((steps + rng.uniform(-0.5, 0.5, steps.shape)) * step).astype(np.float16)


def unpacked(folder: Path, codec: BandCodec, cache: Path) -> tuple[Clips, Clips]:
    """Return training and held-out clips of a packed folder, unpacked into `cache`.

    If there are several processes, the first one unpacks and the others wait. Raises ValueError if another codec made
    the latents, or if the folder has no clips.
    """
    about = json.loads((folder / ABOUT).read_text())
    if about["codec"] != fingerprint(codec.analysis):
        raise ValueError(
            f"another codec made the latents in {str(folder)!r}; give that one with --codec-weights"
        )
    parts = sorted(folder.glob("part*.lat"))
    rows = [row for path in parts for row in _rows(path.read_bytes())]
    names = {False: "latents_unpacked", True: "latents_unpacked_heldout"}
    abouts = {
        held: {
            "bars": [row["bar"] for row, _ in rows if row["held"] == held],
            "parts": {path.name: path.stat().st_size for path in parts},
        }
        for held in names
    }
    if any(cache_about(cache / names[held]) != about for held, about in abouts.items()) and first_process():
        writers = {held: ClipWriter(cache / name, "float16", (CHANNELS,)) for held, name in names.items()}
        rng = np.random.default_rng(0)
        for row, blob in rows:
            writers[row["held"]].add(row["name"], unpack(blob, rng, about["step"]))
        for held, writer in writers.items():
            writer.finish([], **abouts[held])
    training, heldout = (awaited_cache(cache / names[held], about) for held, about in abouts.items())
    if not len(training) or not len(heldout):
        raise ValueError(f"no clips in {str(folder)!r}; pack training and held-out latents")
    return training, heldout


def _rows(content: bytes) -> Sequence[tuple[JsonDict, bytes]]:
    """Return the clips of a part: the facts and the packed bytes of each."""
    length = int.from_bytes(content[:4], "little")
    place, found = 4 + length, []
    for row in json.loads(content[4:place]):
        found.append((row, content[place : place + row["bytes"]]))
        place += row["bytes"]
    return found
