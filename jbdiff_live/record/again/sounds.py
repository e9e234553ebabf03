"""The sounds from outside that blocks were made from: files by their content, and the live input.

Thread: the writer's. Blocks on the disk; raises OSError. A sound that several blocks or takes of the ring use lies on
the disk once.
"""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile

from jbdiff_live.block import Audio, Block, Given, Mono
from jbdiff_live.record.events import GivenSounds, OldBlockMade
from jbdiff_live.record.take import TakeError, remedy_of_line, sound_to_read
from jbdiff_live.record.wav import WavFile

SOUNDS = "sounds"
LIVE = "live.wav"  # left: what came in, as mono; right: the player's presence, 0 to 1
TAIL_SECONDS = 30  # of the live input, in which the next piece is looked for
PROBE_FRAMES = 64
FRAME_BYTES = 8
PIECE_FRAMES = 1 << 18


class SoundShelf:
    """A folder with sounds, `[frames]`, each under the hash of its content."""

    def __init__(self, folder: Path, sample_rate: int) -> None:
        self.folder = folder
        self._rate = sample_rate
        self._names: dict[
            int, tuple[Mono, str]
        ] = {}  # by the array's id; the array stays, so that the id does

    def keep(self, sound: Mono | None) -> str | None:
        """Write a sound, unless it is there already, and return its name."""
        if sound is None:
            return None
        known = self._names.get(id(sound))
        if known is not None:
            return known[1]
        name = hashlib.blake2b(np.ascontiguousarray(sound, "<f4").tobytes(), digest_size=8).hexdigest()
        path = self.folder / f"{name}.wav"
        if not path.exists():
            write_sound(path, sound[:, None], self._rate)
        self._names[id(sound)] = sound, name
        return name

    def moved_to(self, folder: Path) -> SoundShelf:
        """Return a shelf in another folder, with a copy of the sounds, as far as they can still be read."""
        copy_folder(self.folder, folder)
        new = SoundShelf(folder, self._rate)
        new._names = {
            key: known for key, known in self._names.items() if (folder / f"{known[1]}.wav").exists()
        }
        return new


class LiveTrack:
    """The pieces of the live input. Pieces that overlap are written once, if they agree sample for sample."""

    def __init__(self, folder: Path, sample_rate: int) -> None:
        self._folder, self._rate = folder, sample_rate
        self._file: WavFile | None = None
        self._tail = b""

    def place(self, piece: tuple[Mono, Mono] | None) -> tuple[int, int] | None:
        """Write what is new of a piece, and return its first frame in the file and its length."""
        if piece is None:
            return None
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = WavFile(self._folder / LIVE, self._rate, 2)
        frames = np.ascontiguousarray(np.stack(piece, axis=1), "<f4")
        data = frames.tobytes()
        begin = self._found(frames, data)
        if begin is None:
            begin = len(self._tail)
        start = self._file.frames - (len(self._tail) - begin) // FRAME_BYTES
        new = data[len(self._tail) - begin :]
        if new:
            self._file.append(np.frombuffer(new, "<f4").reshape(-1, 2))
            self._tail = (self._tail + new)[-TAIL_SECONDS * self._rate * FRAME_BYTES :]
        return start, len(frames)

    def _found(self, frames: Audio, data: bytes) -> int | None:
        """Return the place in the tail, in bytes, at which a piece begins; None if it is not there."""
        moves = np.flatnonzero((frames[1:] != frames[:-1]).any(axis=1))
        at = int(moves[0]) if len(moves) else 0
        probe = data[at * FRAME_BYTES : (at + PROBE_FRAMES) * FRAME_BYTES]
        place = self._tail.rfind(probe)
        begin = place - at * FRAME_BYTES
        if place < 0 or begin < 0 or begin % FRAME_BYTES:
            return None
        common = min(len(data), len(self._tail) - begin)
        return begin if self._tail[begin : begin + common] == data[:common] else None

    def moved_to(self, folder: Path) -> LiveTrack:
        """Return a track in another folder that begins with a copy of this one, as far as it can still be read."""
        new = LiveTrack(folder, self._rate)
        if self._file is not None:
            folder.mkdir(parents=True, exist_ok=True)
            new._file = WavFile(folder / LIVE, self._rate, 2)
            with suppress(OSError):
                new._file.copy_from(self._file)
            new._file.append(np.zeros((self._file.frames - new._file.frames, 2), np.float32))
            new._tail = self._tail
        return new

    def sync(self) -> None:
        if self._file is not None:
            self._file.sync()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def kept_given(given: Given, shelf: SoundShelf, live: LiveTrack) -> GivenSounds | None:
    """Write the sounds of a block, and return their names for the log; None if it had none."""
    if given.nothing:
        return None
    old = [
        OldBlockMade(
            block.snapshot.version,
            dict(block.snapshot.values),
            dict(block.snapshot.counts),
            kept_given(block.given, shelf, live),
        )
        for block in given.old
    ]
    return GivenSounds(
        shelf.keep(given.began),
        shelf.keep(given.context),
        shelf.keep(given.init),
        dict(given.played),
        [live.place(piece) for piece in given.live],
        old,
    )


class TakeSounds:
    """The sounds of a take that is being recorded."""

    def __init__(self, take: Path, sample_rate: int, shelf: SoundShelf | None = None) -> None:
        """shelf: of sounds that lie outside the take; None keeps them in it."""
        self._rate = sample_rate
        self._folder = take / SOUNDS
        self._shelf = shelf or SoundShelf(self._folder, sample_rate)
        self._live = LiveTrack(self._folder, sample_rate)
        self._logged: set[int] = set()  # indices of the take's blocks

    def keep(self, block: Block) -> GivenSounds | None:
        """Write the sounds that a block was made from, and return their names.

        A block that plays again from before the take is such a sound itself.
        """
        self._logged.add(block.index)
        if block.again is None:
            return kept_given(block.given, self._shelf, self._live)
        if block.again not in self._logged:
            write_sound(self._folder / again_name(block.index), block.samples, self._rate)
        return None

    def moved_to(self, take: Path) -> TakeSounds:
        """Return the same for another folder, with copies of the sounds, as far as they can still be read."""
        own = self._shelf.folder == self._folder
        shelf = self._shelf.moved_to(take / SOUNDS) if own else self._shelf
        new = TakeSounds(take, self._rate, shelf)
        new._live, new._logged = self._live.moved_to(take / SOUNDS), self._logged
        return new

    def sync(self) -> None:
        self._live.sync()

    def close(self) -> None:
        self._live.close()


class KeptSounds:
    """The sounds of a take, as a replay reads them."""

    def __init__(self, take: Path) -> None:
        self._folder = take / SOUNDS
        self._known: dict[str, Mono] = {}

    def sound(self, name: str | None) -> Mono | None:
        """Return a sound by its name, `[frames]`. TakeError: it is missing or damaged."""
        if name is None:
            return None
        if Path(name).name != name or "\0" in name:
            raise TakeError(
                f"{name!r} is no name of a sound in {self._folder}; {remedy_of_line(is_block=True)}"
            )
        if name not in self._known:
            self._known[name] = _read(self._folder / f"{name}.wav")[:, 0].copy()
        return self._known[name]

    def live(self, place: tuple[int, int] | None) -> tuple[Mono, Mono] | None:
        """Return a piece of the live input and the player's presence. TakeError as `sound`."""
        if place is None:
            return None
        start, frames = place
        piece = _read(self._folder / LIVE, start, frames)
        if len(piece) != frames:
            raise TakeError(
                f"{self._folder / LIVE}: it ends before frame {start + frames}; copy the file again"
            )
        return piece[:, 0].copy(), piece[:, 1].copy()

    def again(self, index: int) -> Audio | None:
        """Return the sound of a block that played again from before the take; None if the take has none."""
        path = self._folder / again_name(index)
        return _read(path) if path.exists() else None


def again_name(index: int) -> str:
    """Return the name of a block's own sound."""
    return f"again-{index:06d}.wav"


def write_sound(path: Path, samples: Audio, sample_rate: int) -> None:
    """Write a sound, `[frames, channels]`, as a whole or not at all. Makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    file = WavFile(part, sample_rate, samples.shape[1])
    try:
        for start in range(0, len(samples), PIECE_FRAMES):
            file.append(samples[start : start + PIECE_FRAMES])
    finally:
        file.close()
    part.replace(path)


def copy_folder(old: Path, new: Path) -> None:
    """Copy the files of a folder, as far as they can be read. A folder that is not there has none."""
    with suppress(OSError, shutil.Error):
        shutil.copytree(old, new, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.part", LIVE))


def _read(path: Path, start: int = 0, frames: int = -1) -> Audio:
    try:
        with soundfile.SoundFile(sound_to_read(path)) as sound:
            sound.seek(start)
            samples: Audio = sound.read(frames, dtype="float32", always_2d=True)
            return samples
    except (OSError, RuntimeError) as error:
        raise TakeError(f"{path}: {error}; the take cannot be rendered again without this sound") from error
