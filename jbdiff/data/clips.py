"""Training data: a folder of sounds becomes one memory-mapped cache, from which batches are drawn by number.

A batch is a function of (seed, number), never of a generator that runs along: a run that was broken off and
taken up again sees exactly the batches it would have seen. Torch and numpy only.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from jbdiff.audio.files import audio_blocks, find_sounds, other_sounds
from jbdiff.audio.sound_facts import SoundFacts, mono_mix
from jbdiff.data.stems import find_tracks, is_stems, mix
from jbdiff.untyped import JsonDict

V = TypeVar("V")
Report = Callable[[str], None]
READING = 2  # changes when the same files would be read as other samples, or others would be left out
MIX = " mix "  # between a track's name and the number of its mix


@dataclass(frozen=True)
class Clips:
    """Sequences of different length, end to end in one array `[total, ...]`, with where each begins.

    Time is the first axis. `names` say where each came from; `skipped` names files that could not be used. `bars` are
    how long a bar of each is, where that was written down; 0 where it is not known. Bars begin where the sequence does.
    """

    array: NDArray[Any]
    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    names: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    bars: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.starts)

    def clip(self, index: int) -> NDArray[Any]:
        return self.array[self.starts[index] : self.starts[index] + self.lengths[index]]

    def at_least(self, length: int) -> Clips:
        """Only those that are long enough; raises ValueError when none is."""
        keep = [i for i, own in enumerate(self.lengths) if own >= length]
        if not keep:
            raise ValueError(
                f"no clip is as long as {length}; the longest has {max(self.lengths, default=0)}"
            )
        return self.only(keep)

    def only(self, indices: list[int]) -> Clips:
        def pick(values: tuple[V, ...]) -> tuple[V, ...]:
            return tuple(values[i] for i in indices)

        bars = pick(self.bars) if self.bars else ()
        return Clips(self.array, pick(self.starts), pick(self.lengths), pick(self.names), self.skipped, bars)

    def split(self, held_out: float) -> tuple[Clips, Clips]:
        """Training and held-out clips: every n-th sound is held out whole, with all its mixes; at least one if there
        are two.
        """
        sounds = [name.split(MIX)[0] for name in self.names]
        order = list(dict.fromkeys(sounds))
        if len(order) < 2:
            return self, self
        every = max(2, round(1 / max(held_out, 1e-6)))
        out = set(order[every // 2 :: every] or order[-1:])
        kept = [i for i, sound in enumerate(sounds) if sound not in out]
        return self.only(kept), self.only([i for i, sound in enumerate(sounds) if sound in out])

    def random_place(self, rng: np.random.Generator, length: int) -> tuple[int, int]:
        """A clip, and where in it a stretch of `length` begins; long clips as often as their length deserves."""
        room = np.asarray(self.lengths) - length + 1
        chances = np.maximum(room, 0) / np.maximum(room, 0).sum()
        index = int(rng.choice(len(self), p=chances))
        return index, int(rng.integers(room[index]))

    def random_window(self, rng: np.random.Generator, length: int) -> NDArray[Any]:
        """A stretch of `length` from anywhere."""
        index, place = self.random_place(rng, length)
        start = self.starts[index] + place
        return self.array[start : start + length]


class ClipWriter:
    """Appends sequences to a raw file. It writes the index last, so an unfinished cache has no index and is refused."""

    def __init__(self, folder: Path, dtype: str, width: tuple[int, ...] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.dtype, self.width = folder, dtype, width
        (folder / "index.json").unlink(missing_ok=True)
        self._file = open(folder / "data.raw", "wb")  # noqa: SIM115 - closed by finish
        self._lengths: list[int] = []
        self._names: list[str] = []

    def add(self, name: str, values: NDArray[Any]) -> None:
        """`[length, *width]`, written in the cache's type."""
        self.add_parts(name, [values])

    def add_parts(self, name: str, parts: Iterable[NDArray[Any]]) -> None:
        """One sequence that comes in parts `[n, *width]`; when they break off with an error, nothing of it is left."""
        start, length = self._file.tell(), 0
        try:
            for part in parts:
                self._file.write(np.ascontiguousarray(part, dtype=self.dtype).tobytes())
                length += len(part)
        except BaseException:
            self._file.seek(start)
            self._file.truncate()
            raise
        self._lengths.append(length)
        self._names.append(name)

    def finish(self, skipped: list[str], **about: Any) -> Clips:
        self._file.close()
        index: JsonDict = {
            "dtype": self.dtype,
            "width": list(self.width),
            "lengths": self._lengths,
            "names": self._names,
        }
        index |= {"skipped": skipped, "about": about}
        # In one move: other processes may be looking for it.
        path = self.folder / "index.json"
        path.with_suffix(".new").write_text(json.dumps(index))
        path.with_suffix(".new").replace(path)
        return open_clips(self.folder)


def open_clips(folder: Path) -> Clips:
    """A finished cache, memory-mapped. Raises FileNotFoundError when it is not there or not whole."""
    path = folder / "index.json"
    if not path.exists():
        raise FileNotFoundError(f"no finished cache in {str(folder)!r}; it is made by the training commands")
    index = json.loads(path.read_text())
    lengths = tuple(index["lengths"])
    starts = tuple(int(s) for s in np.cumsum((0, *lengths[:-1]))) if lengths else ()
    shape = (sum(lengths), *index["width"])
    if not shape[0]:
        array: NDArray[Any] = np.zeros(shape, dtype=index["dtype"])
    else:
        array = np.memmap(folder / "data.raw", dtype=index["dtype"], mode="r", shape=shape)
    bars = tuple(index["about"].get("bars", ()))
    return Clips(array, starts, lengths, tuple(index["names"]), tuple(index["skipped"]), bars)


def cache_about(folder: Path) -> JsonDict:
    """What the cache was made from; empty when there is none."""
    path = folder / "index.json"
    return dict(json.loads(path.read_text())["about"]) if path.exists() else {}


def first_process() -> bool:
    """Whether this process is the one that writes; asked before Lightning has started the others.

    Each launcher (Lightning itself, torchrun, Slurm) leaves its number in another variable.
    """
    names = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
    return all(int(os.environ.get(name) or 0) == 0 for name in names)


def awaited_cache(cache: Path, about: JsonDict, seconds: float = 1.0) -> Clips:
    """The cache of this content, which another process is making or has made; looks for it every few seconds."""
    while cache_about(cache) != about:
        time.sleep(seconds)
    return open_clips(cache)


def cache_sounds(
    sounds: Path,
    cache: Path,
    sample_rate: int,
    report: Report = print,
    *,
    mixes: int = 1,
    channels: int = 1,
) -> Clips:
    """16-bit cache of every sound under a folder, mono `[frames]` or stereo `[frames, 2]`; kept when it already
    holds these very files.

    Of stems (`stems.py`) it holds the first `mixes` mixes of each track. A sound is read, resampled and written in
    blocks, however long it is. Files that cannot be read, and those that nothing but silence or clipping could be
    learned from, are named through `report` and left out. Of several processes the first one makes it, the others
    wait. Raises ValueError when no sound is left.
    """
    files = find_sounds(sounds)
    about: JsonDict = {"files": [[str(f), f.stat().st_size] for f in files], "sample_rate": sample_rate}
    stems = is_stems(sounds)
    about |= {"mixes": mixes if stems else 1, "channels": channels, "reading": READING}
    if cache_about(cache) == about:
        return open_clips(cache)
    if not first_process():
        return awaited_cache(cache, about)
    for path in [] if stems else other_sounds(sounds):
        report(f"skipped: {str(path)!r} is in a format that is not read; convert it to WAV or FLAC")
    writer = ClipWriter(cache, "int16", () if channels == 1 else (channels,))
    skipped = []
    for sound in mixed_sounds(sounds, sample_rate, mixes) if stems else plain_sounds(files, sample_rate):
        try:
            try:
                writer.add_parts(sound.name, sound.parts(channels))
            except ChannelsCancel as error:
                report(f"{error}: the first one alone is used")
                writer.add_parts(sound.name, sound.parts(channels, first_alone=True))
        except (OSError, ValueError) as error:
            report(f"skipped: {error}")
            skipped.append(sound.name)
        for note in sound.notes:
            report(f"{sound.name!r}: {note}")
    clips = writer.finish(skipped, **about)
    if not len(clips):
        raise ValueError(f"no readable sound in {str(sounds)!r} ({len(skipped)} skipped)")
    return clips


class ChannelsCancel(ValueError):
    """The channels of a sound are opposites, so that their mix is silent."""


@dataclass
class TrainingSound:
    """A sound of a folder. `blocks(facts)` begins to read it: `[frames, channels]` at a time."""

    name: str
    blocks: Callable[[SoundFacts], Iterator[NDArray[np.float32]]]
    notes: list[str] = field(default_factory=list)

    def parts(self, channels: int, first_alone: bool = False) -> Iterator[NDArray[np.float32]]:
        """The sound as 16-bit numbers, block by block. Raises ValueError at its end if it is of no use for training,
        ChannelsCancel if mono needs one channel alone.
        """
        facts = SoundFacts()
        for block in self.blocks(facts):
            yield sixteen_bit(block[:, :1] if first_alone else block, channels)
        facts.refuse_to_learn(self.name)
        if channels == 1 and not first_alone and facts.cancels:
            raise ChannelsCancel(f"{self.name!r}: its channels cancel each other in a mix")
        self.notes = facts.notes


def plain_sounds(files: list[Path], sample_rate: int) -> Iterator[TrainingSound]:
    for file in files:

        def blocks(facts: SoundFacts, file: Path = file) -> Iterator[NDArray[np.float32]]:
            return audio_blocks(file, sample_rate, facts=facts)

        yield TrainingSound(str(file), blocks)


def mixed_sounds(folder: Path, sample_rate: int, mixes: int) -> Iterator[TrainingSound]:
    """The mixes of a folder of stems, track by track, made on all cores a little ahead of who takes them. Raises
    ValueError on a description that is none.
    """
    tracks = find_tracks(folder)
    wanted = [(track, number) for track in tracks for number in range(mixes)]
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[NDArray[np.float32]]] = deque()
        for place, (track, number) in enumerate(wanted):
            while len(ahead) < 2 * workers and place + len(ahead) < len(wanted):
                next_track, next_number = wanted[place + len(ahead)]
                ahead.append(pool.submit(mix, next_track, next_number, tracks, sample_rate))
            made = ahead.popleft()

            # A generator, so that a track that cannot be read fails where a file would.
            def blocks(
                facts: SoundFacts, made: Future[NDArray[np.float32]] = made
            ) -> Iterator[NDArray[np.float32]]:
                whole = made.result()
                facts.add(whole)
                yield whole

            yield TrainingSound(f"{track.folder}{MIX}{number}", blocks)


def sixteen_bit(block: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """A block `[frames, any]` as one or two channels of whole numbers within 16 bits."""
    if channels == 1:
        block = mono_mix(block)
    elif block.shape[1] != channels:
        block = block[:, :1].repeat(channels, 1)
    return np.round(np.clip(block, -1, 1) * 32767)


def varied(window: NDArray[np.float32], length: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """`length` samples of a longer window `[n]` or `[n, channels]`: sometimes faster or slower, louder or softer,
    turned over.
    """
    ratio = float(rng.uniform(0.8, 1.25)) if rng.random() < 0.3 else 1.0
    if ratio != 1.0:
        place = np.arange(length) * ratio
        below = place.astype(np.int64)
        share = (place - below).astype(np.float32).reshape(-1, *[1] * (window.ndim - 1))
        window = window[below] * (1 - share) + window[below + 1] * share
    gain = 10 ** (rng.uniform(-9, 3) / 20) * (1 if rng.random() < 0.5 else -1)
    return (window[:length] * gain).astype(np.float32)


def drawn_from(samples: int) -> int:
    """Samples that a window of `samples` is made from: a quarter more, so that it can be played faster."""
    return samples * 5 // 4 + 2


class AudioBatches(Dataset[Tensor]):
    """Batch number i: `[batch, channels, samples]` float32, drawn with (seed, rank, i). Stereo also swaps sides."""

    def __init__(self, clips: Clips, batch: int, samples: int, seed: int, first: int, count: int) -> None:
        self.long = drawn_from(samples)
        self.clips = clips.at_least(self.long)
        self.batch, self.samples, self.seed, self.first, self.count = batch, samples, seed, first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Tensor:
        if not 0 <= number < self.count:
            raise IndexError(number)
        rng = np.random.default_rng((self.seed, self.first + number))
        rows = []
        for _ in range(self.batch):
            window = self.clips.random_window(rng, self.long).astype(np.float32) / np.float32(32768)
            row = varied(window, self.samples, rng)
            if row.ndim == 2 and rng.random() < 0.5:
                row = row[:, ::-1]
            rows.append(row if row.ndim == 1 else row.T)
        batch = torch.from_numpy(np.stack(rows))
        return batch if batch.ndim == 3 else batch[:, None]


Vary = Callable[[Tensor, np.random.Generator], Tensor]
"""Latents `[length, channels]` as another performance of the same: transposed, louder."""


class Stretches(NamedTuple):
    """Latents `[batch, length, channels]`, and of each row the place of its first token in the bar and the length of
    the bar, both in tokens, `[batch, 2]`; the length is 0 where it is not known.
    """

    latents: Tensor
    bars: Tensor


class LatentBatches(Dataset[Stretches]):
    """Batch number i: stretches of latents, each varied by `vary` if it is given.

    With `resident`, all latents `[total, channels]` as a tensor, they are cut from there, on its device.
    """

    def __init__(
        self,
        clips: Clips,
        batch: int,
        length: int,
        seed: int,
        first: int,
        count: int,
        vary: Vary | None = None,
        resident: Tensor | None = None,
    ) -> None:
        self.clips = clips.at_least(length)
        self.batch, self.length, self.vary = batch, length, vary
        self.seed, self.first, self.count = seed, first, count
        self.resident = resident

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Stretches:
        if not 0 <= number < self.count:
            raise IndexError(number)
        rng = np.random.default_rng((self.seed, self.first + number))
        rows, bars = [], []
        for _ in range(self.batch):
            index, place = self.clips.random_place(rng, self.length)
            row = self._cut(self.clips.starts[index] + place)
            rows.append(row if self.vary is None else self.vary(row, rng))
            bar = self.clips.bars[index] if self.clips.bars else 0.0
            bars.append((place % bar if bar else 0.0, bar))
        latents = torch.stack(rows)
        return Stretches(latents, torch.tensor(bars, device=latents.device))

    def _cut(self, start: int) -> Tensor:
        if self.resident is not None:
            return self.resident[start : start + self.length].float()
        return torch.from_numpy(self.clips.array[start : start + self.length].astype(np.float32))
