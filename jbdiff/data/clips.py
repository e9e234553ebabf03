"""Training data: a folder of sounds becomes one memory-mapped cache, from which batches are drawn by number.

A batch is a function of (seed, number) and not of a running generator. So an interrupted and resumed run gets exactly
the batches of an uninterrupted one. Torch and numpy only.
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
from jbdiff.data.stems import deeper_stems, find_tracks, is_stems, mix
from jbdiff.untyped import JsonDict

V = TypeVar("V")
Report = Callable[[str], None]
READING = 2  # version of the reader; a new number makes old caches invalid
MIX = " mix "  # between a track's name and the number of its mix


@dataclass(frozen=True)
class Clips:
    """Sequences of different length, end to end in one array `[total, ...]` whose first axis is time.

    `starts`, `lengths`: of each sequence. `names`: the origin of each. `skipped`: files that could not be used. `bars`:
    the length of a bar of each, 0 if it is not known. A bar begins at the start of its sequence.
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
        """Return sequence `index`, `[length, ...]`, as a view of the array."""
        return self.array[self.starts[index] : self.starts[index] + self.lengths[index]]

    def at_least(self, length: int) -> Clips:
        """Return the clips of at least this length. Raises ValueError if there are none."""
        keep = [i for i, own in enumerate(self.lengths) if own >= length]
        if not keep:
            raise ValueError(
                f"no clip is as long as {length}; the longest has {max(self.lengths, default=0)}"
            )
        return self.only(keep)

    def only(self, indices: list[int]) -> Clips:
        """Return the clips of these indices, in this order. They share the array."""

        def pick(values: tuple[V, ...]) -> tuple[V, ...]:
            return tuple(values[i] for i in indices)

        bars = pick(self.bars) if self.bars else ()
        return Clips(self.array, pick(self.starts), pick(self.lengths), pick(self.names), self.skipped, bars)

    def split(self, held_out: float) -> tuple[Clips, Clips]:
        """Return training and held-out clips. Every n-th sound is held out, with all its mixes.

        `held_out`: share, 0..1. If there are two sounds or more, at least one is held out. A single sound is both.
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
        """Return a random clip and a random place at which a stretch of `length` begins.

        All places of all clips are equally likely.
        """
        room = np.asarray(self.lengths) - length + 1
        chances = np.maximum(room, 0) / np.maximum(room, 0).sum()
        index = int(rng.choice(len(self), p=chances))
        return index, int(rng.integers(room[index]))

    def random_window(self, rng: np.random.Generator, length: int) -> NDArray[Any]:
        """Return a random stretch `[length, ...]`."""
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
        """Write a sequence `[length, *width]` in the cache's type."""
        self.add_parts(name, [values])

    def add_parts(self, name: str, parts: Iterable[NDArray[Any]]) -> None:
        """Write one sequence that comes in parts `[n, *width]`. If an error ends the parts, none of them is kept."""
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
        """Write the index and return the finished cache.

        `about`: facts about the source, as `cache_about` returns them.
        """
        self._file.close()
        index: JsonDict = {
            "dtype": self.dtype,
            "width": list(self.width),
            "lengths": self._lengths,
            "names": self._names,
        }
        index |= {"skipped": skipped, "about": about}
        # The index appears in one move, because other processes may be waiting for it.
        path = self.folder / "index.json"
        path.with_suffix(".new").write_text(json.dumps(index))
        path.with_suffix(".new").replace(path)
        return open_clips(self.folder)


def open_clips(folder: Path) -> Clips:
    """Return a finished cache, memory-mapped. Raises FileNotFoundError if it is missing or not complete."""
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
    """Return the facts about the source of a cache; empty if there is no cache."""
    path = folder / "index.json"
    return dict(json.loads(path.read_text())["about"]) if path.exists() else {}


def first_process() -> bool:
    """Whether this process is the one that writes. It can be called before Lightning has started the other processes.

    Each launcher (Lightning, torchrun, Slurm) puts the number of the process into another environment variable.
    """
    names = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
    return all(int(os.environ.get(name) or 0) == 0 for name in names)


def awaited_cache(cache: Path, about: JsonDict, seconds: float = 1.0) -> Clips:
    """Wait for a cache of this content from another process, and return it. It looks every `seconds` seconds."""
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
    """Return a 16-bit cache of every sound under a folder, mono `[frames]` or stereo `[frames, 2]`.

    A cache of the same files is used again. Of stems (`stems.py`) it holds the first `mixes` mixes of each track.
    Sounds are read, resampled and written in blocks, so that long ones need no more memory. Files that cannot be read,
    and silent or clipped ones, are left out, and `report` receives their names. If there are several processes, the
    first one makes the cache and the others wait. Raises ValueError if no sound is left.
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
    if not stems and (deeper := deeper_stems(sounds)) is not None:
        report(f"every stem is read as a sound of its own; to have stems mixed, give {str(deeper)!r}")
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
    """An error: the channels of a sound are opposites, so their mix is silent."""


@dataclass
class TrainingSound:
    """A sound of a folder. `blocks(facts)` reads it in blocks `[frames, channels]`."""

    name: str
    blocks: Callable[[SoundFacts], Iterator[NDArray[np.float32]]]
    notes: list[str] = field(default_factory=list)

    def parts(self, channels: int, first_alone: bool = False) -> Iterator[NDArray[np.float32]]:
        """Yield the sound as whole numbers within 16 bits, in blocks `[frames]` or `[frames, 2]`.

        Raises ValueError at the end if the sound cannot be used for training, and ChannelsCancel if its channels cancel
        in mono. `first_alone`: use the first channel only.
        """
        facts = SoundFacts()
        for block in self.blocks(facts):
            yield sixteen_bit(block[:, :1] if first_alone else block, channels)
        facts.refuse_to_learn(self.name)
        if channels == 1 and not first_alone and facts.cancels:
            raise ChannelsCancel(f"{self.name!r}: its channels cancel each other in a mix")
        self.notes = facts.notes


def plain_sounds(files: list[Path], sample_rate: int) -> Iterator[TrainingSound]:
    """Yield the sounds of files that are no stems."""
    for file in files:

        def blocks(facts: SoundFacts, file: Path = file) -> Iterator[NDArray[np.float32]]:
            return audio_blocks(file, sample_rate, facts=facts)

        yield TrainingSound(str(file), blocks)


def mixed_sounds(folder: Path, sample_rate: int, mixes: int) -> Iterator[TrainingSound]:
    """Yield the mixes of a folder of stems, track by track. All cores make them, a few mixes in advance.

    Raises ValueError on a damaged description.
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

            # A generator, so that a track that cannot be read fails at the same place as a file.
            def blocks(
                facts: SoundFacts, made: Future[NDArray[np.float32]] = made
            ) -> Iterator[NDArray[np.float32]]:
                whole = made.result()
                facts.add(whole)
                yield whole

            yield TrainingSound(f"{track.folder}{MIX}{number}", blocks)


def sixteen_bit(block: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Return a block `[frames, any]` as whole numbers within 16 bits, `[frames]` or `[frames, 2]`."""
    if channels == 1:
        block = mono_mix(block)
    elif block.shape[1] != channels:
        block = block[:, :1].repeat(channels, 1)
    return np.round(np.clip(block, -1, 1) * 32767)


def varied(window: NDArray[np.float32], length: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return `length` samples of a longer window `[n]` or `[n, channels]`, varied at random.

    It is sometimes faster or slower, louder or softer, or has its sign turned over.
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
    """Return how many samples a window of `samples` needs as its source: a quarter more, to be played faster."""
    return samples * 5 // 4 + 2


class AudioBatches(Dataset[Tensor]):
    """Batches `[batch, channels, samples]`, float32, by number i, drawn with (seed, rank, i). Stereo may swap sides."""

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
    """Latents `[batch, length, channels]` and bars `[batch, 2]`.

    `bars` holds, for each row, the place of its first token in the bar and the length of the bar, in tokens. The length
    is 0 if it is not known.
    """

    latents: Tensor
    bars: Tensor


class LatentBatches(Dataset[Stretches]):
    """Batches of stretches of latents, by number, each stretch varied by `vary` if it is given.

    `resident`: all latents `[total, channels]` as a tensor; if it is given, stretches are cut from it, on its device.
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
