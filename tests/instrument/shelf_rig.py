"""Takes for the tests of the take browser: written by the recorder's own writer, with a log and a known sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jbdiff_live.block import Audio, Block, NoiseDrawn
from jbdiff_live.parameters import ParameterStore
from jbdiff_live.record.events import ChangeEvent, MarkerEvent, StateEvent
from jbdiff_live.record.heard import Place
from jbdiff_live.record.take import Take, TakeInfo, open_take
from jbdiff_live.record.writer import TakeWriter

RATE = 44_100
START = 10_000  # the session's frame at which takes begin
SNAPSHOT = ParameterStore().snapshot
BLOCK = RATE // 2


def ramp(start: int, frames: int) -> Audio:
    """Every frame says its number: k / 2^22, exact in float32."""
    line = (np.arange(start, start + frames) / 2**22).astype(np.float32)
    return np.stack([line, -line], axis=1)


def tone(seconds: float, level: float = 0.1, hertz: float = 440.0, rate: int = RATE) -> Audio:
    time = np.arange(round(seconds * rate)) / rate
    line = (level * np.sin(2 * np.pi * hertz * time)).astype(np.float32)
    return np.stack([line, line], axis=1)


def make_take(
    parent: Path,
    name: str = "jam",
    sound: Audio | None = None,
    rate: int = RATE,
    marker_at: int | None = BLOCK,
    patch: str = "drift",
    sound_kind: str = "heard",
) -> Take:
    """Write a take: two seconds of a ramp if no sound is given, a block each half second, and one marker."""
    samples = ramp(0, 2 * rate) if sound is None else sound
    info = TakeInfo(
        rate,
        samples.shape[1],
        START,
        f"2026-05-01T21:30:{len(name):02d}+02:00",
        patch=patch,
        stack="pocket",
        weights_licence="CC0-1.0",
        values={"seed": 1.0},
        sound=sound_kind,
    )
    writer = TakeWriter(parent, info, name=name)
    writer.write(StateEvent(START, "device", "staged"))
    for index, at in enumerate(range(0, len(samples), BLOCK)):
        noise = NoiseDrawn("level2", 1, "walk", 0.3, 0, index, False, False)
        piece = samples[at : at + BLOCK]
        writer.write_block(Block(piece, index, START + at, SNAPSHOT, noise, 0.1))
        writer.write(ChangeEvent(START + at, "gain", -float(index), "ui", index))
    if marker_at is not None:
        writer.write(MarkerEvent(START + marker_at, 1, "key"))
    if sound_kind != "engine":
        writer.write_heard(samples, [Place(0, START, True)], samples / 2)
    writer.finish(None)
    return open_take(writer.folder)
