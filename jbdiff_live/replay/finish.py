"""Make a take of the blocks of a replay: sound, log, states, stems, picture. Blocks on the disk.

The take is written inside the work folder, and moved to its place as a whole.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import soundfile

from jbdiff_live.block import Block, Jump, Rung
from jbdiff_live.parameters import BY_NAME
from jbdiff_live.record.again.sounds import SOUNDS, KeptSounds, copy_folder
from jbdiff_live.record.again.states import STATES
from jbdiff_live.record.events import ActionEvent, ChangeEvent, MarkerEvent, StateEvent
from jbdiff_live.record.picture import draw
from jbdiff_live.record.take import TakeError, TakeInfo, open_take
from jbdiff_live.record.wav import WavFile
from jbdiff_live.record.writer import TakeWriter
from jbdiff_live.replay.given import given_of
from jbdiff_live.replay.heard import HeardSound, breaks
from jbdiff_live.replay.live_input import write_input
from jbdiff_live.replay.options import ReplayOptions
from jbdiff_live.replay.plan import ReplayPlan
from jbdiff_live.replay.work import KEPT, MadeBlock, Work

log = logging.getLogger(__name__)

READ_FRAMES = 1 << 18

OtherEvent = ChangeEvent | ActionEvent | MarkerEvent | StateEvent


def write_take(
    plan: ReplayPlan,
    options: ReplayOptions,
    work: Work,
    sounds: KeptSounds,
    out: Path,
    exact: bool,
) -> Path:
    """Write the take, and return its folder `out`. sounds: those of the take that is rendered again."""
    building = work.folder / "take"
    if building.exists():
        shutil.rmtree(building)
    made = [block for block in work.made if block.place >= plan.kept]
    writer = TakeWriter(work.folder, _info(plan, options, made, exact), name="take")
    _write_blocks(plan, work, writer, made, sounds)
    copy_folder(work.folder / KEPT / STATES, building / STATES)
    copy_folder(work.folder / KEPT / SOUNDS, building / SOUNDS)
    patch = plan.log.take.folder / "patch.toml"
    if patch.exists():
        shutil.copyfile(patch, building / patch.name)
    if options.stems:
        _write_stems(plan, work, made, building)
        write_input(plan.log.take, building)
    if options.rate is not None:
        _write_at_rate(building, options.rate)
    try:
        draw(open_take(building))
    except (TakeError, soundfile.LibsndfileError) as error:  # the take is whole without it
        log.info("no picture: %s", error)
    building.rename(out)
    return out


def _info(plan: ReplayPlan, options: ReplayOptions, made: list[MadeBlock], exact: bool) -> TakeInfo:
    """Return the facts of the new take."""
    info, first = plan.log.take.info, plan.log.blocks[plan.kept]
    from_the_beginning = plan.start_frame == plan.log.start_frame
    values = {name: BY_NAME[name].plain(v) for name, v in first.snapshot.values.items() if name in BY_NAME}
    stack = made[0].stack if made else None
    details: dict[str, Any] = {
        **info.details,
        "replay": {"of": plan.log.take.folder.name, "exact": exact, "options": _asked(options)},
    }
    if stack is not None:
        details |= {"levels": list(stack.levels), "finisher": stack.finisher, "hop": stack.hop}
        details |= {"steps": stack.steps, "latency_frames": stack.latency_frames}
    return msgspec.structs.replace(
        info,
        start_frame=plan.start_frame,
        sound="engine" if info.sound == "engine" else "both",
        values=info.values if from_the_beginning else values,
        stack=info.stack if stack is None else stack.stack,
        stack_identity=info.stack_identity if stack is None else stack.identity,
        seed=info.seed if from_the_beginning else int(first.snapshot["seed"]),
        details=details,
        frames=0,
        dropped_blocks=0,
        problem="",
        closed_cleanly=False,
        recovered=False,
    )


def _asked(options: ReplayOptions) -> dict[str, Any]:
    """Return the options that differ from the defaults, as JSON."""
    usual, asked = (
        msgspec.to_builtins(ReplayOptions(), enc_hook=str),
        msgspec.to_builtins(options, enc_hook=str),
    )
    return {name: value for name, value in asked.items() if value != usual[name]}


def _write_blocks(
    plan: ReplayPlan, work: Work, writer: TakeWriter, made: list[MadeBlock], sounds: KeptSounds
) -> None:
    """Write the blocks and all events, and the heard sound if the take has it."""
    events = iter(_events(plan))
    event = next(events, None)
    heard, drops = None, breaks(plan.log)
    if writer.wants_heard:
        changes = [e for e in _events(plan, everything=True) if isinstance(e, ChangeEvent)]
        heard = HeardSound(plan.log, changes, _now_values(plan), made[0].start_frame)
    for number, one in enumerate(made):
        block = _block(plan, work, one, sounds)
        while event is not None and event.frame < block.start_frame:
            writer.write(event)
            event = next(events, None)
        writer.write_block(block)
        if heard is None:
            continue
        moved = one.start_frame - plan.log.blocks[one.place].start_frame
        drop = drops[block.index] + moved if number and block.index in drops else None
        coming = next((b for b in made[number + 1 :] if b.index in drops), None)
        for samples, places in heard.add(block, drop, plan.start_frame):
            writer.write_heard(samples, places)
        later = block.end_frame
        if coming is not None:
            shift = coming.start_frame - plan.log.blocks[coming.place].start_frame
            later = min(later, drops[coming.index] + shift)
        for samples, places in heard.queued_to(later, plan.start_frame):
            writer.write_heard(samples, places)
    while event is not None:
        writer.write(event)
        event = next(events, None)
    length = None
    if heard is not None:
        for samples, places in heard.end(plan.end_frame, plan.start_frame):
            writer.write_heard(samples, places)
        length = heard.length(plan.end_frame)
    writer.finish(plan.end_frame, heard_frames=length)


def _events(plan: ReplayPlan, everything: bool = False) -> list[OtherEvent]:
    """Return the events beside the blocks in order of their frames: those of the part that is rendered, or all."""
    found: list[OtherEvent] = [*plan.log.changes.values(), *plan.log.others.values()]
    inside = [e for e in found if everything or plan.start_frame <= e.frame <= plan.end_frame]
    return sorted(inside, key=lambda event: event.frame)


def _now_values(plan: ReplayPlan) -> dict[str, float]:
    """Return gain and mute when the take began."""
    values = plan.log.take.info.values
    found = {}
    for name in ("gain", "mute"):
        value = values.get(name)
        found[name] = BY_NAME[name].default if not isinstance(value, int | float) else float(value)
    return found


def _block(plan: ReplayPlan, work: Work, made: MadeBlock, sounds: KeptSounds) -> Block:
    """Return a block of the replay as the recorder writes it."""
    logged = plan.log.blocks[made.place]
    event = logged.event
    return Block(
        work.sound(made),
        made.index,
        made.start_frame,
        logged.snapshot,
        made.noise,
        made.seconds_taken,
        Rung[event.rung.upper()],
        made.stack,
        made.turned,
        novelty=made.novelty,
        again=event.again,
        jump=None if logged.jump is None else Jump(logged.jump.after),
        edges=logged.edges,
        files=made.files,
        given=given_of(logged, sounds),
        anew=event.anew,
        resumes=event.resumes,
    )


def _write_stems(plan: ReplayPlan, work: Work, made: list[MadeBlock], folder: Path) -> None:
    """Write each level's own sound, in time with the engine's sound."""
    info = plan.log.take.info
    for level in work.levels:
        file = WavFile(folder / f"level{level}.wav", info.sample_rate, 1)
        try:
            skip = max(0, plan.start_frame - made[0].start_frame)
            late = work.stem_delays().get(level, 0)
            file.append(np.zeros((late, 1), np.float32))
            for block in made:
                stem = work.stem(level, block)
                file.append(stem[skip:, None])
                skip = max(0, skip - len(stem))
            file.cut(plan.end_frame - plan.start_frame)
        finally:
            file.close()


def _write_at_rate(folder: Path, rate: int) -> None:
    """Write the take's sound once more, at another rate, as `rate-48000.wav`."""
    import soxr

    take = open_take(folder)
    file = WavFile(folder / f"rate-{rate}.wav", rate, take.info.channels)
    stream = soxr.ResampleStream(take.info.sample_rate, rate, take.info.channels, dtype="float32")
    try:
        for samples in take.blocks(READ_FRAMES):
            file.append(stream.resample_chunk(samples))
        file.append(stream.resample_chunk(np.zeros((0, take.info.channels), np.float32), last=True))
    finally:
        file.close()
