"""The files of a take being recorded. The recorder's writer thread only; every method may block on the disk.

The sound can be read by every program at every moment (`wav.py`). Events are written line by line, unbuffered. Errors
are raised as `TakeWriteError`, and the written part stays. If the folder is removed while the take is recorded, the
open files still hold it: the take moves to a new folder and goes on there.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np

from jbdiff.file_lock import lock_or_share
from jbdiff_live.block import Audio, Block, Jump
from jbdiff_live.parameters import Change
from jbdiff_live.record.again.sounds import SoundShelf, TakeSounds, copy_folder
from jbdiff_live.record.again.states import STATES
from jbdiff_live.record.events import (
    ActionEvent,
    BlockEvent,
    ChangeEvent,
    Event,
    GapEvent,
    JumpEvent,
    MarkerEvent,
    PlaceEvent,
    StackEvent,
)
from jbdiff_live.record.heard import Place
from jbdiff_live.record.refusals import take_refused
from jbdiff_live.record.take import EVENTS, INFO, TakeInfo
from jbdiff_live.record.track import Track
from jbdiff_live.stack_choice import StackPlaying
from jbdiff_live.system.files import replace_file

FADE_FRAMES = 882  # 20 ms at 44.1 kHz, on each side of a jump


NAME = "%Y-%m-%d_%H-%M-%S"  # of a take's folder


class TakeWriteError(RuntimeError):
    """The disk refused to write. The text is for the player."""


class TakeWriter:
    """One take, from its first frame to its last. `fallback`: a folder for takes if the take's own is removed."""

    def __init__(
        self,
        parent: Path,
        info: TakeInfo,
        fallback: Path | None = None,
        name: str | None = None,
        shelf: SoundShelf | None = None,
    ) -> None:
        """name: of the folder inside `parent`; None is date and time. shelf: None keeps sounds in the folder."""
        self.info = info
        self._fallback = fallback
        self._events: io.FileIO | None = None
        self._stack: StackPlaying | None = None  # of the last block
        self._end: Audio | None = None  # the last frames of the engine's last block
        self._logged_to = info.start_frame  # the session's frame behind the last logged block
        self._engine: Track | None = None
        self._heard: Track | None = None
        self.folder = parent
        with self._told():
            self.folder = new_folder(parent, name)
            self._write_info()
            self._events = _new_events(self.folder)
            self._sounds = TakeSounds(self.folder, info.sample_rate, shelf)
            if info.sound != "engine":
                beside = "input" if info.sound == "stems" else ""
                self._heard = Track(self.folder, "audio", info.sample_rate, info.channels, beside)
            if info.sound != "heard":
                stem = "audio" if self._heard is None else "engine"
                self._engine = Track(self.folder, stem, info.sample_rate, info.channels)

    @property
    def wants_heard(self) -> bool:
        """True if the take has what was heard."""
        return self._heard is not None

    @property
    def frames(self) -> int:
        """Frames of `audio.wav`."""
        track = self._heard or self._engine
        return 0 if track is None else track.frames

    @property
    def end_frame(self) -> int:
        """The session's frame behind the engine's last one written."""
        return self.info.start_frame + (0 if self._engine is None else self._engine.frames)

    # ------------------------------------------------------------------ sound

    def write_block(self, block: Block) -> None:
        """Log a block, and append its sound if the take has the engine's.

        Frames before `end_frame` are cut off; missing frames become silence.
        """
        with self._told():
            if block.end_frame <= self._logged_to:
                return
            self._logged_to = block.end_frame
            if self._engine is not None:
                self._fill(block.start_frame)
            self._write_stack(block)
            samples = (
                block.samples if self._engine is None else block.samples[self.end_frame - block.start_frame :]
            )
            if block.jump is not None:
                samples = self._jump(block, block.jump, samples)
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
                    block.novelty,
                    block.again,
                    dict(block.files),
                    list(block.edges) if any(block.edges) else [],
                    block.anew,
                    block.resumes,
                    self._sounds.keep(block),
                )
            )
            if self._engine is not None:
                self._engine.append(samples)
                self._end = samples[-FADE_FRAMES:]

    def write_heard(self, samples: Audio, places: Sequence[Place], live_input: Audio | None = None) -> None:
        """Append heard sound, `[frames, channels]`. places: as of `HeardTap.places`; `at` counts from this sound.

        live_input: the input beside it, if the take wants it.
        """
        assert self._heard is not None
        with self._told():
            for place in places:
                self._write_event(PlaceEvent(self._heard.frames + place.at, place.frame, place.moves))
            self._heard.append(samples, live_input)

    def lose_heard(self, frames: int, frame: int) -> None:
        """Write silence for heard sound that the disk was too slow for. frame: the session's, about there."""
        assert self._heard is not None
        with self._told():
            self._write_event(GapEvent(frame, frames, self._heard.name))
            self._heard.silence(frames)

    def _jump(self, block: Block, jump: Jump, samples: Audio) -> Audio:
        """Log a jump before `block`. Fade the engine's written sound out; return `samples`, faded in."""
        before = 0 if self._end is None else len(self._end)
        fade = min(FADE_FRAMES, len(samples), before)
        self._write_event(JumpEvent(block.start_frame, block.index, jump.after, fade))
        if self._engine is None or self._end is None or not fade:
            return samples
        rise = (0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 1) / (fade + 1))).astype(np.float32)[:, None]
        self._engine.cut(self._engine.frames - fade)
        self._engine.append(self._end[before - fade :] * rise[::-1])
        faded = samples.copy()
        faded[:fade] *= rise
        return faded

    def _fill(self, frame: int) -> None:
        """Write silence up to the session's `frame`, with a gap event."""
        missing = frame - self.end_frame
        if missing > 0 and self._engine is not None:
            self._write_event(GapEvent(self.end_frame, missing, self._engine.name))
            self._engine.silence(missing)
            self._end = None  # silence lies before what follows

    # ------------------------------------------------------------------ events

    def write_change(self, change: Change, frame: int) -> None:
        """Append a parameter's change, an action or a marker."""
        origin = change.origin.value
        if change.name == "marker":
            self.write(MarkerEvent(frame, int(change.value), origin))
        elif change.is_action:
            self.write(ActionEvent(frame, change.name, int(change.value), origin, change.version))
        else:
            self.write(ChangeEvent(frame, change.name, change.value, origin, change.version))

    def write(self, event: Event) -> None:
        """Append an event."""
        with self._told():
            self._write_event(event)

    def add(self, write: Callable[[Path], object]) -> None:
        """Let a function write a file of its own into the folder."""
        with self._told():
            write(self.folder)

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

    # ------------------------------------------------------------------ the disk

    @property
    def there(self) -> bool:
        """False if the take's folder has been removed, or its disk."""
        return all(track.there for track in self._tracks)

    def sync(self) -> None:
        """Wait until the disk holds everything that was written."""
        with self._told():
            for track in self._tracks:
                track.sync()
            self._sounds.sync()
            if self._events is not None:
                os.fsync(self._events.fileno())

    def rescue(self) -> None:
        """Move the take to a new folder, because its own has gone: beside the old one, or in `fallback`."""
        with self._told():
            old, parents = self.folder, [self.folder.parent, self._fallback]
            for parent in [parent for parent in parents if parent is not None]:
                with suppress(OSError):
                    self.folder = new_folder(parent)
                    break
            else:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), str(old))
            events, self._events = self._events, _new_events(self.folder)
            if events is not None:
                with suppress(OSError):  # a drive that was pulled: the events begin again here
                    events.seek(0)
                    self._events.write(events.readall() or b"")
                events.close()
            self._heard, self._engine = self._moved(self._heard), self._moved(self._engine)
            copy_folder(old / STATES, self.folder / STATES)
            self._sounds = self._sounds.moved_to(self.folder)
            self._write_info()

    def _moved(self, track: Track | None) -> Track | None:
        if track is None:
            return None
        new = track.moved_to(self.folder)
        with suppress(OSError):
            track.close()
        return new

    @property
    def _tracks(self) -> tuple[Track, ...]:
        return tuple(track for track in (self._heard, self._engine) if track is not None)

    def finish(
        self,
        end_frame: int | None,
        missing_to: int = 0,
        problem: str = "",
        dropped_blocks: int = 0,
        heard_frames: int | None = None,
    ) -> None:
        """Close the take at `end_frame` (None: after the last written frame).

        Frames up to `missing_to` were dropped. They become silence as far as the take reaches. heard_frames: length of
        the heard sound; None is all that was written.
        """
        with self._told():
            try:
                last = max(self.end_frame, missing_to)
                end = last if end_frame is None else max(self.info.start_frame, min(end_frame, last))
                if not problem:
                    if self._engine is not None:
                        self._fill(end)
                        self._engine.cut(end - self.info.start_frame)
                    if self._heard is not None and heard_frames is not None:
                        self._heard.cut(max(0, heard_frames))
                    self.sync()
            finally:
                self._close_files()
            self.info = msgspec.structs.replace(
                self.info,
                frames=self.frames,
                problem=problem,
                dropped_blocks=dropped_blocks,
                closed_cleanly=not problem,
            )
            self._write_info()

    def _close_files(self) -> None:
        try:
            for track in self._tracks:
                track.close()
            self._sounds.close()
        finally:
            events, self._events = self._events, None
            if events is not None:
                events.close()

    def _write_info(self) -> None:
        write_info(self.folder, self.info)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the disk's errors into words for the player."""
        try:
            yield
        except OSError as error:
            raise TakeWriteError(take_refused(self.folder, error)) from error


def write_info(folder: Path, info: TakeInfo) -> None:
    """Write `take.json`. A crash or a power cut leaves the old one or the new one whole."""
    replace_file(folder / INFO, msgspec.json.format(msgspec.json.encode(info), indent=2).decode() + "\n")


def _new_events(folder: Path) -> io.FileIO:
    """Make the file of events. It is locked as long as the take is recorded, so that nobody repairs it meanwhile."""
    events = io.FileIO(folder / EVENTS, "w+")
    lock_or_share(events.fileno())
    return events


def new_folder(parent: Path, name: str | None = None) -> Path:
    """Make a new folder, named by date and time unless `name` is given."""
    parent.mkdir(parents=True, exist_ok=True)
    for folder in _candidates(parent, name or datetime.now().strftime(NAME)):
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError("the candidates never end")


def dated_name(moment: str) -> str | None:
    """Return the name of a take's folder for a moment in ISO 8601; None if it is none."""
    try:
        return datetime.fromisoformat(moment).strftime(NAME)
    except ValueError:
        return None


def _candidates(parent: Path, name: str) -> Iterable[Path]:
    yield parent / name
    number = 2
    while True:
        yield parent / f"{name}-{number}"
        number += 1
