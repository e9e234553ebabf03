"""Make a new take of a part of a take: its sound, its events, its marks. The original stays as it is.

Threads: any; blocks on the disk.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from jbdiff_live.record.events import StackEvent
from jbdiff_live.record.keep import TakeEvents, copy_events, first_values, last_state
from jbdiff_live.record.shelf.reader import Step, TakeReader
from jbdiff_live.record.take import FORMAT, SOUNDS, Take, TakeInfo, TakeMark, open_take, sound_files
from jbdiff_live.record.track import Track
from jbdiff_live.record.writer import TakeWriteError, TakeWriter

LEAST_SECONDS = 0.1
PATCH = "patch.toml"


def trim(folder: Path, begin: int, end: int, step: Step) -> Path:
    """Write the frames from `begin` to `end` into a new take beside the old one, and return its folder.

    step: gets the frames that are written, and all; what it raises ends the work, and the new folder is removed.
    ValueError: the part is too short, or the take cannot be read. TakeWriteError: the disk refuses.
    """
    take = open_take(folder)
    begin, end = max(0, begin), min(end, take.frames)
    if end - begin < LEAST_SECONDS * take.info.sample_rate:
        raise ValueError("the part is shorter than a tenth of a second; choose a longer one")
    writer = TakeWriter(folder.parent, _info(take, begin, end), name=f"{folder.name} part")
    try:
        _write(take, writer, begin, end, step)
    except BaseException:
        with suppress(TakeWriteError, OSError, ValueError):  # the files must be closed; their content goes
            writer.finish(None)
        shutil.rmtree(writer.folder, ignore_errors=True)  # made above, by this call
        raise
    return writer.folder


def _info(take: Take, begin: int, end: int) -> TakeInfo:
    info, frame = take.info, take.frame_at(begin)
    stack, identity = info.stack, info.stack_identity
    for event in take.events():
        if isinstance(event, StackEvent) and event.frame <= frame:
            stack, identity = event.stack, event.identity
    marks = [TakeMark(mark.at - begin, mark.name) for mark in info.marks if begin <= mark.at <= end]
    return msgspec.structs.replace(
        info,
        format=FORMAT,
        sound="heard",  # the writer's word for sound that comes as it is; `_write` puts the take's own back
        start_frame=frame,
        frames=0,
        stack=stack,
        stack_identity=identity,
        values=first_values(take, frame) or info.values,
        details={**info.details, "trimmed_from": {"take": take.folder.name, "begin": begin, "end": end}},
        marks=marks,
        level=None,
        title="",
        problem="",
        closed_cleanly=False,
        recovered=False,
    )


def _write(take: Take, writer: TakeWriter, begin: int, end: int, step: Step) -> None:
    first = writer.info.start_frame
    copy_events(
        take, writer, begin, end, None, TakeEvents(first, take.frame_at(end), last_state(take, first))
    )
    engine = sound_files(take.folder, "engine")
    work = (end - begin) * sum(bool(sound_files(take.folder, stem)) for stem in SOUNDS)

    def tell(frames: int) -> None:
        step(min(frames, work), work)

    reader, done = TakeReader(take), 0
    try:
        for piece in reader.pieces(begin, end):
            writer.write_heard(piece, ())
            done += len(piece)
            tell(done)
    finally:
        reader.close()
    if engine:
        start = take.info.start_frame
        last = take.frame_at(end) - start
        done += _copy(take, writer.folder, "engine", first - start, last, lambda more: tell(done + more))
    if sound_files(take.folder, "input"):
        _copy(take, writer.folder, "input", begin, end, lambda more: tell(done + more))
    if (take.folder / PATCH).exists():
        writer.add(lambda new: shutil.copyfile(take.folder / PATCH, new / PATCH))
    writer.info = msgspec.structs.replace(writer.info, sound=take.info.sound)
    writer.finish(None)


def _copy(take: Take, folder: Path, stem: str, begin: int, end: int, step: Callable[[int], object]) -> int:
    """Copy another sound of a take between two of its frames. Return the number of frames.

    step: gets the frames that are copied so far.
    """
    reader, done = TakeReader(take, sound_files(take.folder, stem)), 0
    track = Track(folder, stem, take.info.sample_rate, reader.channels)
    try:
        for piece in reader.pieces(begin, end):
            track.append(piece)
            done += len(piece)
            step(done)
        track.sync()
    finally:
        track.close()
        reader.close()
    return done
