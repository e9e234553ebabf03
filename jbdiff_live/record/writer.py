"""The files of a take being recorded. The recorder's writer thread only; every method may block on the disk.

The format is WAV because it survives SIGKILL. libsndfile writes samples through at once. soundfile and ffmpeg read a
file with an unfinished header (measured). Events are written line by line, unbuffered. Errors are raised as
`TakeWriteError`, and the written part stays.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import soundfile

from jbdiff_live.block import Audio, Block, Jump
from jbdiff_live.parameters import Change
from jbdiff_live.record.take import (
    EVENTS,
    INFO,
    ActionEvent,
    BlockEvent,
    ChangeEvent,
    Event,
    GapEvent,
    JumpEvent,
    StackEvent,
    TakeInfo,
    audio_name,
    sound_path,
)
from jbdiff_live.stack_choice import StackPlaying

FLOAT_BYTES = 4
SILENCE_FRAMES = 65_536  # silence is written in pieces of this length
FADE_FRAMES = 882  # 20 ms at 44.1 kHz, on each side of a jump


class TakeWriteError(Exception):
    """The disk refused to write. The text is for the player."""


class TakeWriter:
    """One take, from its first frame to its last. `file_frames`: length at which the next WAV begins."""

    def __init__(self, parent: Path, info: TakeInfo, file_frames: int) -> None:
        self.info = info
        self._file_frames = file_frames
        self._frames = 0
        self._audio: soundfile.SoundFile | None = None
        self._audio_files = 0
        self._events: io.FileIO | None = None
        self._stack: StackPlaying | None = None  # of the last block
        self._end: Audio | None = None  # the last frames of the last block
        self.folder = parent
        with self._told():
            self.folder = _new_folder(parent)
            self._write_info()
            self._events = io.FileIO(self.folder / EVENTS, "w")
            self._next_file()

    @property
    def frames(self) -> int:
        """Frames of sound written."""
        return self._frames

    @property
    def end_frame(self) -> int:
        """The session's frame behind the last one written."""
        return self.info.start_frame + self._frames

    def write_block(self, block: Block) -> None:
        """Append a block. Frames before `end_frame` are cut off; missing frames become silence."""
        with self._told():
            if block.end_frame <= self.end_frame:
                return
            self._fill(block.start_frame)
            if not (self.folder / audio_name(self._audio_files)).exists():
                raise OSError(errno.ENOENT, "the take's folder has gone")
            self._write_stack(block)
            samples = block.samples[self.end_frame - block.start_frame :]
            if block.jump is not None and self._end is not None:
                samples = self._jump(block.index, block.jump, samples)
            self._write_event(
                BlockEvent(
                    block.index,
                    block.start_frame,
                    block.frames,
                    block.noise,
                    block.seconds_taken,
                    block.rung.name.lower(),
                    block.snapshot.version,
                    dict(block.snapshot.values),
                    dict(block.snapshot.counts),
                    {name: list(values) for name, values in block.turned.items()},
                    block.again,
                )
            )
            self._write(samples)
            self._end = samples[-FADE_FRAMES:]

    def write_change(self, change: Change, frame: int) -> None:
        """Append a parameter's change or an action."""
        origin = change.origin.value
        event: Event
        if change.is_action:
            event = ActionEvent(frame, change.name, int(change.value), origin, change.version)
        else:
            event = ChangeEvent(frame, change.name, change.value, origin, change.version)
        with self._told():
            self._write_event(event)

    def finish(self, end_frame: int | None, missing_to: int, problem: str, dropped_blocks: int) -> None:
        """Close the take at `end_frame` (None: after the last written frame).

        Frames up to `missing_to` were dropped. They become silence as far as the take reaches.
        """
        with self._told():
            try:
                last = max(self.end_frame, missing_to)
                end = last if end_frame is None else max(self.info.start_frame, min(end_frame, last))
                if not problem:
                    self._fill(end)
                    self._cut(end - self.info.start_frame)
            finally:
                self._close_files()
            self.info = msgspec.structs.replace(
                self.info,
                frames=self._frames,
                problem=problem,
                dropped_blocks=dropped_blocks,
                closed_cleanly=not problem,
            )
            self._write_info()

    # ------------------------------------------------------------------ sound

    def _write(self, samples: Audio) -> None:
        while len(samples):
            assert self._audio is not None
            room = self._file_frames * self._audio_files - self._frames
            if room == 0:
                self._next_file()
                continue
            part = samples[:room]
            before = self._audio.tell()
            # On a short write soundfile raises "System error" or asserts, depending on where the disk ended. It keeps
            # no error number. The folder existed a moment ago, so the disk has refused.
            try:
                self._audio.write(part)
            except (AssertionError, RuntimeError) as error:
                raise OSError(errno.ENOSPC, "the disk took only a part of a block") from error
            finally:
                self._frames += self._audio.tell() - before
            samples = samples[len(part) :]

    def _jump(self, index: int, jump: Jump, samples: Audio) -> Audio:
        """Write a jump before the block `index`. Fade the written sound out; return the block's, faded in."""
        assert self._audio is not None and self._end is not None
        in_file = self._frames - self._file_frames * (self._audio_files - 1)
        fade = min(FADE_FRAMES, len(samples), len(self._end), in_file)
        self._write_event(JumpEvent(self.end_frame, index, jump.after, fade))
        rise = (0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 1) / (fade + 1))).astype(np.float32)[:, None]
        if fade:
            self._audio.seek(in_file - fade)
            self._audio.write(self._end[len(self._end) - fade :] * rise[::-1])
        faded = samples.copy()
        faded[:fade] *= rise
        return faded

    def _fill(self, frame: int) -> None:
        """Write silence up to the session's `frame`, with a gap event."""
        missing = frame - self.end_frame
        if missing <= 0:
            return
        self._write_event(GapEvent(self.end_frame, missing))
        silence = np.zeros((min(missing, SILENCE_FRAMES), self.info.channels), np.float32)
        while missing > 0:
            self._write(silence[:missing])
            missing -= min(missing, len(silence))

    def _cut(self, frames: int) -> None:
        """Shorten the take to `frames`: cut its last file and remove the files behind it."""
        if frames >= self._frames:
            return
        while self._audio_files > 1 and frames <= self._file_frames * (self._audio_files - 1):
            self._close_audio()
            (self.folder / audio_name(self._audio_files)).unlink()
            self._audio_files -= 1
        path = self.folder / audio_name(self._audio_files)
        self._close_audio()
        self._audio = soundfile.SoundFile(sound_path(path), "r+")
        self._audio.truncate(frames - self._file_frames * (self._audio_files - 1))
        self._frames = frames

    def _next_file(self) -> None:
        self._close_audio()
        path = self.folder / audio_name(self._audio_files + 1)
        self._audio = soundfile.SoundFile(
            sound_path(path), "w", self.info.sample_rate, self.info.channels, subtype="FLOAT", format="WAV"
        )
        self._audio_files += 1

    def _close_audio(self) -> None:
        audio, self._audio = self._audio, None
        if audio is not None:
            audio.close()

    def _close_files(self) -> None:
        try:
            self._close_audio()
        finally:
            events, self._events = self._events, None
            if events is not None:
                events.close()

    # ------------------------------------------------------------------ words

    def _write_event(self, event: Event) -> None:
        assert self._events is not None
        line = msgspec.json.encode(event) + b"\n"
        if self._events.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _write_stack(self, block: Block) -> None:
        """Write an event if another stack takes over. `take.json` holds the take's first stack."""
        before, self._stack = self._stack, block.stack
        new = block.stack
        if before is None or new is None or new == before:
            return
        self._write_event(
            StackEvent(
                block.start_frame, new.stack, list(new.levels), new.finisher, new.hop, new.steps,
                new.identity,
                new.latency_frames, new.fade_frames,
            )
        )  # fmt: skip

    def _write_info(self) -> None:
        """Write `take.json` beside the old one and rename it, so that a crash leaves one of them whole."""
        path = self.folder / INFO
        new = path.with_suffix(".json.new")
        try:
            new.write_bytes(msgspec.json.format(msgspec.json.encode(self.info), indent=2) + b"\n")
            new.replace(path)
        except OSError:
            new.unlink(missing_ok=True)
            raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the disk's errors into words for the player."""
        try:
            yield
        except (OSError, RuntimeError) as error:  # soundfile's errors are RuntimeErrors without a number
            raise TakeWriteError(_words(self.folder, error)) from error


def _words(folder: Path, error: OSError | RuntimeError) -> str:
    number = error.errno if isinstance(error, OSError) else None
    free = _free_bytes(folder)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or free == 0:
        return f"the disk of {folder} is full or takes no more; free some space; the take so far is kept"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{folder} cannot be written to; choose another folder for takes"
    if number in (errno.ENOENT, errno.ENOTDIR) or free is None:
        return f"{folder} has gone; is the drive still connected? Choose another folder and record again"
    return f"{folder}: {error}; choose another folder and record again"


def _free_bytes(folder: Path) -> int | None:
    """Return the free bytes of the folder's disk; None if there is no folder."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _new_folder(parent: Path) -> Path:
    """Make a new folder, named by date and time."""
    parent.mkdir(parents=True, exist_ok=True)
    name = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for folder in _candidates(parent, name):
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError("the candidates never end")


def _candidates(parent: Path, name: str) -> Iterable[Path]:
    yield parent / name
    number = 2
    while True:
        yield parent / f"{name}-{number}"
        number += 1
