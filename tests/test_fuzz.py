"""Damaged bytes for everything that reads bytes: a result or the module's own error; no crash, no hang, little memory.

A plain run tries some hundred inputs, the same ones each time. `./scripts/test -m fuzz` tries a hundred thousand new
ones, in minutes; hypothesis prints the smallest input that fails.
"""

from __future__ import annotations

import io
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from jbdiff.audio.files import audio_blocks
from jbdiff.audio.sound_facts import SoundFacts
from jbdiff.data.stems import find_tracks
from jbdiff.render.options import OptionError, options_from, read_toml
from jbdiff.stacks.stack import known_stacks, read_manifest
from jbdiff.stacks.weight_files import CheckpointError, read_checkpoint
from jbdiff_live.binding import Binding
from jbdiff_live.control.midi.inputs import MidiInput, _OpenPort
from jbdiff_live.control.source import ControlEvent
from jbdiff_live.parameters import ParameterStore
from jbdiff_live.patch import PatchError, factory_patches, load_patch, patch_programs
from jbdiff_live.record.take import TakeError, open_take

HANG_SECONDS = 20.0  # of the processor's time, for one input of some kilobytes
MOST_MEGABYTES = 400  # by which the whole run may grow
MOST_FRAMES = 50_000_000  # that a file of some kilobytes may give: 18 minutes
RATE = 44_100
QUICK, SHARE = 100, 100  # inputs for each target in a plain run; a long run's weights are multiplied by this


# ---------------------------------------------------------------------- damage


def damaged(source: bytes, program: bytes) -> bytes:
    """The bytes after the edits that a program names, five bytes an edit: an empty one changes nothing."""
    data = bytearray(source)
    for start in range(0, len(program) - 4, 5):
        what, first, second, value, count = program[start : start + 5]
        place = (first << 8 | second) * len(data) >> 16
        if what & 0x80:
            place = min(second, len(data))  # headers are where it hurts
        match what & 7:
            case 0:
                data[place : place + 1] = bytes([value])
            case 1:
                del data[place : place + value]
            case 2:
                data[place:place] = bytes([value]) * count
            case 3:
                del data[place:]
            case 4:
                data[place : place + 4] = (
                    b"\0\0\0\0",
                    b"\xff\xff\xff\xff",
                    b"\x7f\xff\xff\xff",
                    b"\xff\xff\xff\x7f",
                )[value & 3]
            case 5:
                data[place:place] = data[value << 2 : (value << 2) + count]
            case 6:
                if place < len(data):
                    data[place] ^= 1 << (value & 7)
            case _:
                data[place : place + 8] = b"\xff" * 8 if value & 1 else bytes(8)
    return bytes(data)


# ---------------------------------------------------------------------- what is read, and how it may refuse


@dataclass(frozen=True)
class Target:
    """Something that reads bytes. `weight` is its share of a long run; the weights add up to a thousand."""

    name: str
    sources: Callable[[], list[bytes]]
    read: Callable[[bytes, Path], None]
    errors: tuple[type[Exception], ...]
    weight: int


def _patches() -> list[bytes]:
    return [path.read_bytes() for path in list(factory_patches().values())[:3]]


def _read_patch(data: bytes, folder: Path) -> None:
    path = folder / "p.toml"
    path.write_bytes(data)
    assert set(patch_programs({"p": path}).values()) <= set(range(1, 129)), "listing never refuses"
    patch = load_patch(path)
    snapshot = patch.apply(ParameterStore())
    assert all(map(math.isfinite, snapshot.values.values()))


def _options() -> list[bytes]:
    return [
        b'seconds = 30\nsampler = "vddim"\nseeds = [1, 2]\nlevels = [2]\n[level2]\nsteps = 250\nguidance = 4.0\n'
        b'update_context = true\n[finisher]\non = true\nstyle = "walk"\nstep = 0.4\nseed = 7\n'
    ]


def _read_options(data: bytes, folder: Path) -> None:
    path = folder / "o.toml"
    path.write_bytes(data)
    options = options_from(read_toml(path))
    assert math.isfinite(options.seconds) and options.seconds > 0


TAKE = (
    b'{"sample_rate":44100,"channels":2,"start_frame":0,"started":"2026-05-01T21:30:00","patch":"drift","seed":7,'
    b'"values":{"gain":0.0},"details":{"levels":[2]},"frames":400,"closed_cleanly":true,"format":1}'
)
EVENTS = b"\n".join(
    [
        b'{"event":"change","frame":10,"name":"gain","value":-3.5,"origin":"ui","version":4}',
        b'{"event":"action","frame":11,"name":"reroll","count":2,"origin":"midi","version":5}',
        b'{"event":"block","index":1,"start_frame":0,"frames":400,"noise":"n","seconds_taken":0.5,"rung":"full",'
        b'"version":5,"values":{"gain":0.0},"counts":{"reroll":2},"turned":{"guidance":[1.5,2.0]}}',
        b'{"event":"stack","frame":0,"stack":"pocket","levels":[2],"finisher":true,"hop":null,"steps":6,'
        b'"identity":"ab","latency_frames":3,"fade_frames":4}',
        b'{"event":"gap","frame":400,"frames":10}',
        b"",
    ]
)


def _wav(kind: str = "WAV", subtype: str | None = "FLOAT", frames: int = 400) -> bytes:
    file = io.BytesIO()
    wave = 0.3 * np.sin(np.arange(frames) / 9)[:, None] * np.array([1.0, -0.5])
    soundfile.write(file, wave.astype(np.float32), RATE, subtype=subtype, format=kind)
    return file.getvalue()


def _read_take(data: bytes, folder: Path) -> None:
    (folder / "take.json").write_bytes(data)
    take = open_take(folder)
    assert take.info.sample_rate > 0 and take.info.channels > 0


def _read_events(data: bytes, folder: Path) -> None:
    (folder / "take.json").write_bytes(TAKE)
    (folder / "events.jsonl").write_bytes(data)
    assert sum(1 for _ in open_take(folder).events()) <= data.count(b"\n")


def _read_take_audio(data: bytes, folder: Path) -> None:
    (folder / "take.json").write_bytes(TAKE)
    (folder / "audio.wav").write_bytes(data)
    take = open_take(folder)
    assert take.frames >= 0
    assert sum(len(block) for block in take.blocks()) < MOST_FRAMES


def _sounds() -> list[bytes]:
    kinds = [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("W64", "PCM_16"),
             ("AIFF", "PCM_16"), ("AU", "PCM_16"), ("CAF", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"),
             ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("WAV", "IMA_ADPCM")]  # fmt: skip
    made = []
    for kind, subtype in kinds:
        rate = 48_000 if subtype == "OPUS" else RATE
        file = io.BytesIO()
        wave = 0.3 * np.sin(np.arange(3000) / 9)[:, None] * np.array([1.0, -0.5])
        soundfile.write(file, wave.astype(np.float32), rate, subtype=subtype, format=kind)
        made.append(file.getvalue())
    return made


def _read_sound(data: bytes, folder: Path) -> None:
    path = folder / "sound.wav"
    path.write_bytes(data)
    facts = SoundFacts()
    frames = 0
    for block in audio_blocks(path, RATE, facts=facts):
        assert block.nbytes <= 1 << 23 and np.isfinite(block).all()
        frames += len(block)
        assert frames < MOST_FRAMES
    assert facts.frames > 0 and facts.peak >= 0


def _weights() -> list[bytes]:
    tensors = {
        "diffusion.net.a": torch.arange(12.0).reshape(3, 4),
        "diffusion.net.b": torch.ones(5, dtype=torch.int64),
    }
    zipped, legacy = io.BytesIO(), io.BytesIO()
    content = {"state_dict": tensors, "hyper_parameters": {"level": 2}, "epoch": 3}
    torch.save(content, zipped)
    torch.save(content, legacy, _use_new_zipfile_serialization=False)
    return [save(tensors), zipped.getvalue(), legacy.getvalue()]


def _read_weights(data: bytes, folder: Path) -> None:
    name = "w.safetensors" if data[8:9] == b"{" or data[:1] == b"{" else "w.ckpt"
    path = folder / name
    path.write_bytes(data)
    file = read_checkpoint(path)
    assert file.tensors and file.kind()


def _descriptions() -> list[bytes]:
    return [(known_stacks()["pocket"] / "config.json").read_bytes()]


def _read_description(data: bytes, folder: Path) -> None:
    (folder / "config.json").write_bytes(data)
    assert read_manifest(folder).config.levels


TRACK = (
    b'{"stems": [{"file": "kick.wav", "part": "kick", "gain": 0.5}], "seed": 1, "bpm": 120.0, '
    b'"sections": {"kick": [true]}}'
)


def _read_track(data: bytes, folder: Path) -> None:
    (folder / "track").mkdir(exist_ok=True)
    (folder / "track" / "track.json").write_bytes(data)
    assert all(track.stems for track in find_tracks(folder))


MIDI = b"\x90\x3c\x40\xb0\x4a\x5b\xc0\x05\xf0\x01\xf7\xe0\x00\x40\xf8\xfe"


def _read_midi(data: bytes, folder: Path) -> None:
    """Whatever a cable brings, cut into messages anywhere; nothing is raised into the driver's thread."""
    heard: list[ControlEvent] = []
    source = MidiInput(heard.append)
    port = _OpenPort("box", ("box", 0), client=None)  # type: ignore[arg-type] - nothing is asked of the system
    for start in range(0, len(data), 7):
        source._received((list(data[start : start + data[start] % 8]), 0.0), port)
    for event in heard:
        assert 1 <= event.channel <= 16 and 0 <= event.number < 1 << 14 and 0 <= event.value < 1 << 14
        assert event.text()


def _read_binding(data: bytes, folder: Path) -> None:
    text = data.decode("utf-8", "replace")
    binding = Binding.parse("hold", text)
    assert Binding.parse("hold", binding.text) == binding


TARGETS = (
    Target("patch", _patches, _read_patch, (PatchError,), 150),
    Target("options", _options, _read_options, (OptionError,), 100),
    Target("take", lambda: [TAKE], _read_take, (TakeError,), 100),
    Target("event log", lambda: [EVENTS], _read_events, (TakeError,), 150),
    Target("take's sound", lambda: [_wav()], _read_take_audio, (TakeError,), 50),
    Target("sound file", _sounds, _read_sound, (OSError, ValueError), 150),
    Target("checkpoint", _weights, _read_weights, (CheckpointError,), 100),
    Target("stack description", _descriptions, _read_description, (CheckpointError,), 50),
    Target("stems", lambda: [TRACK], _read_track, (ValueError,), 50),
    Target("MIDI", lambda: [MIDI * 4], _read_midi, (), 70),
    Target("binding", lambda: [b"CC 74", b"ch 3 CC 16/48 14-bit", b"note C#1"], _read_binding, (ValueError,), 30),
)  # fmt: skip


# ---------------------------------------------------------------------- the runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def megabytes() -> float:
    """The most that this process has held so far."""
    if sys.platform == "win32":
        return 0.0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def attempt(target: Target, data: bytes, folder: Path) -> None:
    """Reads the bytes. Any exception but the module's own passes on, and so does a hang of the processor's time."""
    began = time.process_time()
    try:
        target.read(data, folder)
    except target.errors as error:
        assert str(error), "an error without words"
        assert not isinstance(error, UnicodeError | RecursionError), f"not in words: {error!r}"
    assert time.process_time() - began < HANG_SECONDS, "it hangs"


def run(target: Target, folder: Path, inputs: int, same: bool) -> None:
    sources = target.sources()
    place = folder / target.name.replace(" ", "-")
    place.mkdir(exist_ok=True)
    tried = 0

    @settings(
        max_examples=inputs, derandomize=same, database=None, deadline=None, phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.integers(0, len(sources) - 1), st.binary(max_size=40), st.booleans())
    def tries(which: int, program: bytes, raw: bool) -> None:
        nonlocal tried
        tried += 1
        attempt(target, program if raw and len(program) > 20 else damaged(sources[which], program), place)

    for data in sources:
        attempt(target, data, place)  # so that the peak of a whole file does not count
    before = megabytes()
    tries()
    assert tried >= inputs
    assert megabytes() - before < MOST_MEGABYTES


@pytest.fixture(params=TARGETS, ids=lambda target: target.name)
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    yield request.param


def test_whole_bytes_are_read(target: Target, folder: Path) -> None:
    """Else the damage would be done to something that is refused anyway."""
    place = folder / "whole" / target.name.replace(" ", "-")
    place.mkdir(parents=True)
    for data in target.sources():
        target.read(data, place)


def test_some_damaged_bytes_are_read_or_refused(target: Target, folder: Path) -> None:
    run(target, folder, QUICK, same=True)


# (target, which of its sources, program)
FOUND = (
    ("checkpoint", 1, b"\x00\xfb\x08\x01\x00"),  # a zip of many disks: the question whether it is one raises
    ("stems", 0, b"\x07.\x00\x01\x00"),  # bytes that are no text
    ("MIDI", 0, b"\x00\x00\x00\x00\x00\x00\x00\x00\xe1\x00"),  # a message without its data
)


@pytest.mark.parametrize(("name", "which", "program"), FOUND, ids=[name for name, _, _ in FOUND])
def test_what_a_long_run_has_found_stays_mended(name: str, which: int, program: bytes, folder: Path) -> None:
    (known,) = [target for target in TARGETS if target.name == name]
    place = folder / "found" / name
    place.mkdir(parents=True)
    attempt(known, damaged(known.sources()[which], program), place)


@pytest.mark.fuzz
def test_a_hundred_thousand_damaged_bytes_are_read_or_refused(target: Target, folder: Path) -> None:
    run(target, folder, target.weight * SHARE, same=False)


def test_a_long_run_is_as_long_as_it_says() -> None:
    assert sum(target.weight for target in TARGETS) * SHARE == 100_000
