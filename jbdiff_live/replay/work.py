"""The folder of an unfinished replay: sound, facts and states of whole blocks, so that a killed render goes on.

    NAME.partial/
        lock             locked by the process that replays
        replay.json      digest of everything that determines the samples
        blocks.jsonl     `MadeBlock`s, one a line
        sound.f32        their samples, raw float32
        level2.f32       with stems: the same for each level, mono
        states/          states to go on from, and those to which the music returns
        kept/states/     states for the new take, with their files in `kept/sounds/`

Blocks on the disk; raises OSError.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from jbdiff.file_lock import FileLock
from jbdiff_live.block import (
    CHANNELS,
    SAMPLE_RATE,
    Audio,
    FilePlace,
    Mono,
    NoiseDrawn,
    StoredDry,
    StoredState,
)
from jbdiff_live.record.again.sounds import SOUNDS, KeptSounds, SoundShelf
from jbdiff_live.record.again.states import (
    StateBefore,
    StateFacts,
    kept_states,
    state_bytes,
    state_files,
    state_sound,
    write_state,
)
from jbdiff_live.replay.options import ReplayError
from jbdiff_live.stack_choice import StackPlaying
from jbdiff_live.system.files import replace_file

DESCRIBED, DELAYS = "replay.json", "delays.json"
BLOCKS, SOUND = "blocks.jsonl", "sound.f32"
KEPT = "kept"
LOCK = "lock"  # a file that the process which replays has locked


class MadeBlock(msgspec.Struct, frozen=True):
    """A block of the replay. place: in the log. frame: of its first sample in the raw sound."""

    place: int
    index: int
    frame: int
    start_frame: int
    frames: int
    noise: NoiseDrawn | str
    seconds_taken: float
    turned: dict[str, tuple[float, ...]]
    novelty: float
    stack: StackPlaying | None
    files: dict[str, FilePlace] = {}


class Work:
    """One unfinished replay. `made` are its whole blocks, in order."""

    def __init__(self, folder: Path, digest: str, levels: Iterable[int], fresh: bool) -> None:
        """Open the folder, or make it. levels: of the stems. ReplayError: another render was left unfinished
        there, or another process works there.
        """
        self.folder = folder
        if folder.exists():
            self._check_ours()
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / LOCK)
        if not self._lock.take():
            raise ReplayError(
                f"another process replays a take into {folder}; wait for it, or give another folder with --out"
            )
        try:
            if fresh:
                self._empty()
            self._begin(digest)
        except BaseException:
            self._lock.release()
            raise
        self._levels = tuple(levels)
        self.made: list[MadeBlock] = []
        self._sound = _opened(folder / SOUND)
        self._stems = {level: _opened(folder / f"level{level}.f32") for level in self._levels}
        self._lines = (folder / BLOCKS).open("ab")
        (folder / KEPT).mkdir(exist_ok=True)
        self._shelf = SoundShelf(folder / KEPT / SOUNDS, SAMPLE_RATE)

    def _check_ours(self) -> None:
        if not (self.folder / DESCRIBED).is_file() and {path.name for path in self.folder.iterdir()} - {LOCK}:
            raise ReplayError(
                f"{self.folder} is in the way: the replay works in a folder of that name; move it"
            )

    def _empty(self) -> None:
        """Remove what an earlier replay left, but for the lock."""
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()

    def _begin(self, digest: str) -> None:
        described = self.folder / DESCRIBED
        if not described.is_file():
            replace_file(described, json.dumps({"format": 1, "digest": digest}))
            return
        try:
            known = json.loads(described.read_text(encoding="utf-8"))["digest"]
        except (ValueError, KeyError, TypeError) as error:
            raise ReplayError(f"{described}: {error!r}; begin anew with --fresh") from error
        if known != digest:
            raise ReplayError(
                f"{self.folder} is an unfinished replay with other options or of another take; repeat those options, "
                "or begin anew with --fresh"
            )

    # ------------------------------------------------------------------ going on

    def latest_state(self) -> StateFacts | None:
        """Return the newest state whose earlier blocks are all there, and forget the blocks behind it."""
        made = self._read_made()
        states = kept_states(self.folder)
        last = None
        for place, block in enumerate([*made, None]):
            index = made[place - 1].index + 1 if block is None and made else (block.index if block else -1)
            if index in states and place:
                last = place, states[index]
        self._cut(made[: 0 if last is None else last[0]])
        return None if last is None else last[1]

    def _read_made(self) -> list[MadeBlock]:
        """Return the blocks whose line and samples are whole."""
        frames = self._sound.seek(0, 2) // (4 * CHANNELS)
        for file in self._stems.values():
            frames = min(frames, file.seek(0, 2) // 4)
        decoder, made = msgspec.json.Decoder(MadeBlock), []
        with (self.folder / BLOCKS).open("rb") as lines:
            for line in lines:
                try:
                    block = decoder.decode(line)
                except msgspec.MsgspecError:
                    break  # cut by a kill
                if block.frame + block.frames > frames:
                    break
                made.append(block)
        return made

    def _cut(self, made: list[MadeBlock]) -> None:
        """Keep these blocks, and drop the rest."""
        self.made = made
        frames = made[-1].frame + made[-1].frames if made else 0
        self._sound.truncate(frames * 4 * CHANNELS)
        for file in self._stems.values():
            file.truncate(frames * 4)
        self._lines.close()
        text = b"".join(msgspec.json.encode(block) + b"\n" for block in made)
        (self.folder / BLOCKS).write_bytes(text)
        self._lines = (self.folder / BLOCKS).open("ab")

    def stored(self, facts: StateFacts, sounds: KeptSounds) -> StoredState:
        """Return a state of this folder. sounds: of the take that is rendered again."""
        return stored_state(self.folder, facts, sounds)

    def note_stem_delays(self, frames: Mapping[int, int]) -> None:
        """Remember by how many frames each level's sound comes before the whole. The first note counts."""
        path = self.folder / DELAYS
        if not path.exists():
            replace_file(path, json.dumps(frames))

    def stem_delays(self) -> dict[int, int]:
        """Return what `note_stem_delays` got."""
        path = self.folder / DELAYS
        return {int(level): n for level, n in json.loads(path.read_text()).items()} if path.exists() else {}

    @property
    def levels(self) -> tuple[int, ...]:
        """The levels of the stems."""
        return self._levels

    def states(self) -> dict[int, StateFacts]:
        return kept_states(self.folder)

    # ------------------------------------------------------------------ blocks

    def add(self, block: MadeBlock, samples: Audio, stems: Mapping[int, Mono]) -> None:
        """Write a block. Its line comes last."""
        _append(self._sound, samples)
        for level, file in self._stems.items():
            stem = stems.get(level)
            _append(file, np.zeros(len(samples), np.float32) if stem is None else stem)
        self._lines.write(msgspec.json.encode(block) + b"\n")
        self._lines.flush()
        self.made.append(block)

    def sound(self, block: MadeBlock) -> Audio:
        """Read a block's samples, `[frames, channels]`."""
        self._sound.seek(block.frame * 4 * CHANNELS)
        data = self._sound.read(block.frames * 4 * CHANNELS)
        return np.frombuffer(data, "<f4").reshape(-1, CHANNELS).copy()

    def stem(self, level: int, block: MadeBlock) -> Mono:
        """Read the sound of a level in a block, `[frames]`."""
        file = self._stems[level]
        file.seek(block.frame * 4)
        return np.frombuffer(file.read(block.frames * 4), "<f4").copy()

    def of(self, index: int) -> MadeBlock | None:
        """Return the block of an index; None if it is not made."""
        return next((block for block in reversed(self.made) if block.index == index), None)

    def put_state(
        self, state: StateBefore, stored: StoredState, stack: StackPlaying, keep: Collection[int]
    ) -> None:
        """Write a state to go on from, and delete the others but for those whose indices are in `keep`."""
        old = [index for index in kept_states(self.folder) if index not in keep and index != state.index]
        write_state(self.folder, state, stored, stack, self._shelf, heard=True)
        for index in old:
            for path in reversed(list(state_files(self.folder, index))):
                path.unlink()

    # ------------------------------------------------------------------ the end

    def close(self, remove: bool) -> None:
        """Close the files, and let other processes have the folder. remove: remove the folder first."""
        for file in (self._sound, *self._stems.values(), self._lines):
            file.close()
        if os.name == "nt":  # an open file, as the lock is, cannot be removed there
            self._lock.release()
        if remove:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()


def stored_state(folder: Path, facts: StateFacts, sounds: KeptSounds) -> StoredState:
    """Read a state that a take or a work folder keeps. sounds: of the take. TakeError: a part of it is missing."""
    sound = state_sound(folder, facts)
    heard = (sound[:, :CHANNELS],) if len(sound) else ()
    out = (sound[:, CHANNELS:],) if len(sound) and sound.shape[1] > CHANNELS else ()
    dry = None
    if facts.dry is not None and (file := sounds.sound(facts.dry.sound)) is not None:
        dry = StoredDry(file, facts.dry.place, facts.dry.gain)
    return StoredState(state_bytes(folder, facts), facts.position, facts.resets, heard, out, dry)


def _opened(path: Path) -> BinaryIO:
    path.touch()
    return path.open("r+b")


def _append(file: BinaryIO, samples: Audio | Mono) -> None:
    file.seek(0, 2)
    file.write(np.ascontiguousarray(samples, "<f4").tobytes())
    file.flush()
