"""Copy what a part of the ring keeps for a replay into a take: states, sounds and the live input.

Thread: any; blocks on the disk. Raises OSError.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import soundfile

from jbdiff_live.record.again.sounds import LIVE, PIECE_FRAMES, SOUNDS, again_name
from jbdiff_live.record.again.states import STATES, dry_sound, state_files
from jbdiff_live.record.events import BlockEvent, GivenSounds
from jbdiff_live.record.take import sound_path
from jbdiff_live.record.wav import WavFile


def with_live_after(event: BlockEvent, frames: int) -> BlockEvent:
    """Return a block's event whose pieces of the live input lie so many frames later in their file."""
    return event if event.given is None else msgspec.structs.replace(event, given=_moved(event.given, frames))


def _moved(given: GivenSounds, frames: int) -> GivenSounds:
    live = [None if place is None else (place[0] + frames, place[1]) for place in given.live]
    old = [
        block if block.given is None else msgspec.structs.replace(block, given=_moved(block.given, frames))
        for block in given.old
    ]
    return msgspec.structs.replace(given, live=live, old=old)


def copy_of_block(segment: Path, event: BlockEvent, take: Path) -> None:
    """Copy the state before a block, and the sounds that it was made from. Segments of a ring share their sounds."""
    for path in state_files(segment, event.index):
        (take / STATES).mkdir(exist_ok=True)
        shutil.copyfile(path, take / STATES / path.name)
    given = (
        []
        if event.given is None
        else [event.given, *(b.given for b in event.given.old if b.given is not None)]
    )
    names = {name for each in given for name in (each.began, each.context, each.init) if name is not None}
    if (dry := dry_sound(segment, event.index)) is not None:
        names.add(dry)
    folders = (segment / SOUNDS, segment.parent / SOUNDS)
    shelf = [folder / f"{name}.wav" for folder in folders for name in names]
    for path in (*shelf, segment / SOUNDS / again_name(event.index)):
        new = take / SOUNDS / path.name
        if path.is_file() and not new.exists():
            new.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, new)


def copy_live(segment: Path, take: Path, sample_rate: int) -> int:
    """Append a segment's live input to that of a take, and return its frames."""
    path = segment / SOUNDS / LIVE
    if not path.is_file():
        return 0
    (take / SOUNDS).mkdir(exist_ok=True)
    target = take / SOUNDS / LIVE
    file = WavFile(target, sample_rate, 2, longer=target.exists())
    try:
        with soundfile.SoundFile(sound_path(path)) as sound:
            while len(piece := sound.read(PIECE_FRAMES, dtype="float32", always_2d=True)):
                file.append(piece)
            return int(sound.frames)
    finally:
        file.close()
