"""Render whole pieces offline: blocks to a sound file, with stems. An interrupted render can continue.

While it runs, the raw samples and the stream's state after the last whole block lie in a folder beside the file
(`NAME.partial`). The finished file replaces that folder. Nothing else is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from jbdiff.audio.pictures import write_mel_picture
from jbdiff.audio.writing import sound_name
from jbdiff.file_lock import is_at, lock_or_share
from jbdiff.out_path import file_problem
from jbdiff.stream.stream import BlockSettings, BlockStream, StreamError, StreamState

SUBTYPES = {
    (".wav", 16): "PCM_16",
    (".wav", 24): "PCM_24",
    (".wav", 32): "FLOAT",
    (".flac", 16): "PCM_16",
    (".flac", 24): "PCM_24",
}
# files in the folder: the description of its render; the list of finished files that were moved out
DESCRIBED, PLACED = "render.json", "placed"
LOCK = "lock"  # a file in the folder that the process which renders has locked
WRITE_FRAMES = 1 << 16  # frames at a time when raw samples are written to a sound file
# of the init before a block's part of it, so that the encoder sees no edge at the beginning
LEAD_SECONDS = 2.0
AFRESH = "begin afresh: remove that folder, or add --fresh"


def level_file(out: Path, level: int) -> Path:
    """Return the path for a level's own sound, beside the whole sound."""
    return out.with_name(f"{out.stem}-level{level}{out.suffix}")


class RenderError(RuntimeError):
    """A render that cannot begin or continue; the message names the cause and the remedy."""


@dataclass(frozen=True)
class RenderPlan:
    """One sound file to make. Audio is at the stream's rate."""

    out: Path
    frames: int
    settings: BlockSettings
    context: Tensor | None = None  # [1, 1, n] to go on from
    init: Tensor | None = None  # [1, 1, n] to resample from, repeated if it is shorter
    bits: int = 24  # 32 is floating point and not clipped
    stems: bool = False
    pictures: bool = False  # a mel picture beside every sound file
    sampler: str = ""  # name of the stream's sampler; a render with another one is not continued

    def subtype(self) -> str:
        """Return libsndfile's name of the sample format. Raises RenderError if the file type cannot hold it."""
        key = (self.out.suffix.lower(), self.bits)
        if key not in SUBTYPES:
            known = ", ".join(f"{suffix} at {bits}" for suffix, bits in SUBTYPES)
            raise RenderError(f"{self.out.name} at {self.bits} bit cannot be written; known: {known} bit")
        return SUBTYPES[key]

    def targets(self, levels: Sequence[int]) -> list[Path]:
        """Return every file that is written: the sound, then a stem for each level, then their pictures."""
        stems = [level_file(self.out, level) for level in levels] if self.stems else []
        sounds = [self.out, *stems]
        return sounds + ([path.with_suffix(".png") for path in sounds] if self.pictures else [])

    def fingerprint(self, stream: BlockStream) -> str:
        """Return a digest of everything that determines the samples, so that only the same render is continued."""
        digest = hashlib.sha256(stream.stack.identity.encode())
        digest.update(repr((stream.levels, stream.channels, stream.block_frames, self.settings)).encode())
        digest.update(repr((stream.latency_frames, self.frames, self.stems)).encode())
        digest.update(repr((stream.window_frames, self.sampler)).encode())
        for audio in (self.context, self.init):
            digest.update(b"none" if audio is None else audio.numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Rendered:
    """The result of a render."""

    files: tuple[Path, ...]  # the sound, then the stems
    peak: float  # of the sound before clipping
    resumed_at: int  # blocks that an earlier run had made
    pictures: tuple[Path, ...] = ()  # one for each file, if they are wanted


def check_targets(
    plan: RenderPlan,
    levels: Sequence[int],
    overwrite: bool,
    inputs: Mapping[str, Path | None] | None = None,
) -> None:
    """Raise RenderError if the plan would replace a file.

    A file of `inputs` (by the name of its option) is never replaced, any other only with `overwrite`. Files that an
    interrupted run of the same render wrote do not count.
    """
    for target in plan.targets(levels):
        for option, path in (inputs or {}).items():
            if path is not None and path.exists() and target.exists() and target.samefile(path):
                raise RenderError(
                    f"{target} is read as {option}; give another name for the sound that is made"
                )
        if problem := file_problem(target, overwrite or target.name in _written_before(plan)):
            raise RenderError(problem)
    partial = _partial(plan)
    if os.path.lexists(partial) and not (partial / DESCRIBED).is_file():
        names = {path.name for path in partial.iterdir()} if partial.is_dir() else {partial.name}
        if names - {DESCRIBED + ".new", LOCK}:
            raise RenderError(f"{partial} is in the way: the render works in a folder of that name; move it")


def _partial(plan: RenderPlan) -> Path:
    return plan.out.with_name(plan.out.name + ".partial")


def _written_before(plan: RenderPlan) -> list[str]:
    """Return the names of files that an interrupted run of the same name had already moved into place."""
    listed = _partial(plan) / PLACED
    return (
        listed.read_text(encoding="utf-8", errors="surrogateescape").split("\n") if listed.is_file() else []
    )


def render(
    stream: BlockStream,
    plan: RenderPlan,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
    *,
    fresh: bool = False,
    overwrite: bool = False,
) -> Rendered:
    """Render the file, or continue an interrupted render.

    on_progress(done, of) counts denoising steps over the whole piece. An interrupted render (even a killed one)
    continues after its last whole block, with the same samples as an uninterrupted one. `fresh` begins anew. Raises
    RenderError if another render was left unfinished under this name, for formats that cannot be written, and if a
    file exists already and must not be overwritten.
    """
    subtype = plan.subtype()
    if not plan.out.parent.is_dir():
        raise RenderError(f"no folder {plan.out.parent}; make it first")
    check_targets(plan, stream.levels, overwrite)
    partial = _partial(plan)
    partial.mkdir(exist_ok=True)
    with _alone(partial) as lock:
        if fresh:
            _empty(partial)
        return _render(stream, plan, partial, subtype, on_progress, lock)


def _render(
    stream: BlockStream,
    plan: RenderPlan,
    partial: Path,
    subtype: str,
    on_progress: Callable[[int, int], None],
    lock: IO[bytes],
) -> Rendered:
    # Stems have a shorter delay than the whole sound. All must be long enough after their own delay is cut off.
    blocks = -(-(plan.frames + stream.latency_frames) // stream.block_frames)
    tracks = {"sound": stream.channels} | ({f"level{n}": 1 for n in stream.levels} if plan.stems else {})
    done = _begin(stream, plan, partial)
    handles = {name: (partial / f"{name}.f32").open("r+b") for name in _touch(partial, tracks)}
    try:
        for name, handle in handles.items():
            length = done * stream.block_frames * tracks[name] * 4
            if handle.seek(0, os.SEEK_END) < length:
                raise RenderError(f"{partial} cannot be continued: {name}.f32 is cut short; {AFRESH}")
            handle.truncate(length)
            handle.seek(0, os.SEEK_END)
        for index in range(done, blocks):

            def progress(step: int, of: int, index: int = index) -> None:
                on_progress(index * of + step, blocks * of)

            init = None
            if plan.init is not None:
                # Until a whole window has been played, the stream begins its window with the whole init.
                whole = (index + 1) * stream.block_frames >= stream.window_frames
                lead = round(LEAD_SECONDS * stream.sample_rate) if whole else 0
                init = _piece(plan.init, index, stream.block_frames, lead)
            block = stream.step(plan.settings, init=init, on_step=progress)
            audio = {"sound": block.audio} | {f"level{n}": stem for n, stem in block.stems.items()}
            for name, handle in handles.items():
                handle.write(audio[name][0].float().cpu().numpy().T.astype("<f4").tobytes())
                handle.flush()
            _replace(partial / "state", stream.save().to_bytes())
    finally:
        for handle in handles.values():
            handle.close()
    made = _write_out(stream, plan, partial, tracks, subtype, done)
    if os.name == "nt":  # an open file cannot be removed there
        lock.close()
    shutil.rmtree(partial)
    return made


@contextmanager
def _alone(partial: Path) -> Iterator[IO[bytes]]:
    """Lock a folder of work for this process. Raises RenderError if another process has it."""
    with (partial / LOCK).open("ab") as file:
        # A process that ends removes the folder with its lock. Then this one locks a file that is no longer there.
        if not lock_or_share(file.fileno()) or not is_at(file, partial / LOCK):
            raise RenderError(
                f"another process renders this ({partial} is in use); wait for it, or give another name"
            )
        yield file


def _empty(partial: Path) -> None:
    """Remove what an earlier render left in its folder, but for the lock."""
    for path in partial.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _begin(stream: BlockStream, plan: RenderPlan, partial: Path) -> int:
    """Set the stream to the place where the render stopped. Return the number of finished blocks."""
    described = partial / DESCRIBED
    fingerprint = plan.fingerprint(stream)
    stream.reset()
    if plan.context is not None:
        stream.set_context(plan.context)
    if not described.is_file():
        _replace(described, json.dumps({"format": 1, "fingerprint": fingerprint}).encode())
        return 0
    try:
        known = json.loads(described.read_text(encoding="utf-8"))["fingerprint"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise RenderError(f"{partial} is no unfinished render of ours; move it away") from error
    if known != fingerprint:
        raise RenderError(
            f"{partial} is an unfinished render with other settings; repeat it with those. Or {AFRESH}"
        )
    saved = partial / "state"
    if not saved.is_file():
        return 0
    try:
        state = StreamState.from_bytes(saved.read_bytes())
        stream.restore(state)
    except StreamError as error:
        raise RenderError(f"{partial} cannot be continued: {error}; {AFRESH}") from error
    return state.block_index


def _touch(partial: Path, tracks: dict[str, int]) -> dict[str, int]:
    for name in tracks:
        (partial / f"{name}.f32").touch()
    return tracks


def _write_out(
    stream: BlockStream,
    plan: RenderPlan,
    partial: Path,
    tracks: dict[str, int],
    subtype: str,
    resumed_at: int,
) -> Rendered:
    """Write raw samples to sound files, each without its own delay. Move all into place."""
    files: list[Path] = []
    pictures: list[Path] = []
    peak = 0.0
    for name, channels in tracks.items():
        out = plan.out if name == "sound" else level_file(plan.out, int(name.removeprefix("level")))
        delay = stream.latency_frames
        if name != "sound":
            delay = stream.stem_latency_frames[int(name.removeprefix("level"))]
        finished = partial / out.name
        with soundfile.SoundFile(sound_name(finished), "w", stream.sample_rate, channels, subtype) as sound:
            for samples in _chunks(partial / f"{name}.f32", channels, delay, plan.frames):
                if name == "sound":
                    peak = max(peak, float(np.abs(samples).max()))
                sound.write(samples if plan.bits == 32 else samples.clip(-1, 1))
        if plan.pictures:
            picture = finished.with_suffix(".png")
            chunks = _chunks(partial / f"{name}.f32", channels, delay, plan.frames)
            write_mel_picture(picture, chunks, plan.frames, stream.sample_rate)
            pictures.append(out.with_suffix(".png"))
        files.append(out)
    names = "\n".join(path.name for path in (*files, *pictures))
    _replace(partial / PLACED, names.encode("utf-8", "surrogateescape"))
    for path in (*files, *pictures):
        (partial / path.name).replace(path)
    return Rendered(tuple(files), peak, resumed_at, tuple(pictures))


def _chunks(path: Path, channels: int, skip: int, frames: int) -> Iterator[NDArray[np.float32]]:
    """Yield raw samples as `[n, channels]`, from frame `skip` on, `frames` in all."""
    with path.open("rb") as handle:
        handle.seek(skip * channels * 4)
        while frames > 0:
            count = min(frames, WRITE_FRAMES)
            samples = np.frombuffer(handle.read(count * channels * 4), "<f4").reshape(-1, channels)
            yield samples
            frames -= count


def _piece(source: Tensor, index: int, frames: int, lead: int) -> Tensor:
    """Return block `index` of a sound `[1, 1, n]`, with `lead` frames before it: `[1, 1, lead + frames]`.

    The sound repeats at its end. Near the beginning of the sound the lead is shorter.
    """
    end = (index + 1) * frames
    places = torch.arange(end - frames - min(lead, index * frames), end) % source.shape[2]
    return source[..., places]


def _replace(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    new.replace(path)
