"""Takes: what was heard, the log in plain JSON with a schema, markers, the picture, and takes of older versions."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import numpy as np
import platformdirs
import pytest
import soundfile
from PIL import Image
from stage_rig import StageRig, stage
from typer.testing import CliRunner

from jbdiff_live.audio.live.monitor import DrySound
from jbdiff_live.audio.output import OutputStage
from jbdiff_live.block import Block, NoiseDrawn
from jbdiff_live.parameters import Origin, ParameterStore
from jbdiff_live.record.events import MarkerEvent, PlaceEvent, StateEvent, UnderrunEvent, schema
from jbdiff_live.record.heard import HeardTap, Place
from jbdiff_live.record.picture import COLUMNS, main
from jbdiff_live.record.recorder import Recorder
from jbdiff_live.record.room import nearly_full
from jbdiff_live.record.running import Facts
from jbdiff_live.record.take import EVENTS, BlockEvent, GapEvent, Take, open_take
from jbdiff_live.record.wav import HEADER_BYTES, WavFile, header
from jbdiff_live.ring import RingBuffer
from jbdiff_live.start.command import app
from jbdiff_live.system.takes_folder import always_folder, takes_folder

RATE = 44_100
ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = ParameterStore().snapshot


def ramp(start: int, frames: int) -> np.ndarray:
    """Every frame says its number: k / 2^22, exact in float32."""
    line = (np.arange(start, start + frames) / 2**22).astype(np.float32)
    return np.stack([line, -line], axis=1)


def folder_of(recorder: Recorder) -> Path:
    folder = recorder.status().folder
    assert folder is not None
    return folder


# ---------------------------------------------------------------------- the tap


class Stage:
    """An output stage with a tap. `play` puts a ramp into the ring and renders chunks."""

    def __init__(self) -> None:
        self.store = ParameterStore()
        self.ring = RingBuffer(RATE, 2)
        self.tap = HeardTap(RATE, 2, 4.0)
        self.dry = DrySound(RATE, 2, 512, round(0.01 * RATE), self.tap.put_input)
        self.stage = OutputStage(
            self.ring, lambda: self.store.snapshot, RATE, heard=self.tap.put, dry=self.dry
        )
        self.made = 0
        self.out = np.zeros((0, 2), np.float32)

    def make(self, frames: int) -> None:
        self.ring.write(ramp(self.made, frames))
        self.made += frames

    def render(self, frames: int) -> None:
        chunk = np.zeros((frames, 2), np.float32)
        self.stage.render(chunk)
        self.out = np.concatenate([self.out, chunk])

    def play(self, frames: int) -> None:
        self.make(frames)
        for _ in range(frames // 500):
            self.render(500)

    @property
    def heard(self) -> np.ndarray:
        samples = self.tap.read(0, self.tap.written)
        assert samples is not None
        return samples


def test_the_tap_has_what_leaves_the_output_stage_and_says_which_frame_it_was() -> None:
    rig = Stage()
    rig.render(1000)  # nothing is made yet
    rig.play(4000)
    rig.store.set("gain", -6.0, Origin.UI)
    rig.play(4000)
    rig.render(1500)  # the next block is late
    rig.play(4000)
    assert np.array_equal(rig.heard, rig.out)
    late = rig.stage.look_ahead
    silent, first, hole, second = rig.tap.places(0, rig.tap.written)
    assert silent == Place(0, 0, False)
    assert first == Place(1000 + late, 0, True)
    assert hole == Place(1000 + late + 8000, 8000, False)
    assert second == Place(1000 + late + 8000 + 1500, 8000, True)
    assert rig.tap.position_of(100) == first.at + 100
    assert rig.tap.position_of(8000) == second.at
    assert rig.tap.position_of(12_000) is None, "not heard yet"
    at = first.at + 1000
    assert np.array_equal(rig.heard[at : at + 2000], ramp(1000, 2000))


def test_a_reader_that_is_too_slow_gets_nothing_rather_than_wrong_sound() -> None:
    tap = HeardTap(1000, 2, 4.0)
    for start in range(0, 20_000, 500):
        tap.put(ramp(start, 500), start, start + 500)
    assert tap.oldest == 16_000
    assert tap.read(15_000, 16_000) is None
    newest = tap.read(17_000, 20_000)
    assert newest is not None and np.array_equal(newest, ramp(17_000, 3000))


# ---------------------------------------------------------------------- takes of what was heard


@pytest.fixture
def rig() -> Iterator[tuple[Stage, Recorder]]:
    stage = Stage()
    facts = iter(range(1_000_000))

    def look() -> Facts:
        number = next(facts)
        return Facts(100, {"device": "a" if number < 1 else "b"}, underruns=number > 0, late_frames=0)

    recorder = Recorder(RATE, 2, tap=stage.tap, sound="both", facts=look)
    yield stage, recorder
    recorder.close()


def test_a_take_has_what_was_heard_and_beside_it_what_the_engine_made(
    rig: tuple[Stage, Recorder], tmp_path: Path
) -> None:
    stage, recorder = rig
    stage.store.set("gain", -12.0, Origin.UI)
    stage.play(4000)
    recorder.start(tmp_path, 2000, {}, [Block(ramp(0, 8000), 0, 0, SNAPSHOT, "tone", 0.1)])
    stage.play(4000)
    stage.render(1000)  # late
    stage.play(2000)
    recorder.offer(Block(ramp(8000, 2000), 1, 8000, SNAPSHOT, "tone", 0.1))
    recorder.stop(9000)
    take = open_take(folder_of(recorder))
    begin = stage.tap.position_of(2000)
    assert begin is not None
    # 7000 frames of sound, and in them the silence of 1000
    assert np.array_equal(take.read(), stage.out[begin : begin + 8000])
    assert take.info.sound == "both" and take.info.frames == 8000
    made, _ = soundfile.read(take.folder / "engine.wav", dtype="float32")
    assert np.array_equal(made, ramp(2000, 7000))
    places = [event for event in take.events() if isinstance(event, PlaceEvent)]
    assert places == [PlaceEvent(0, 2000, True), PlaceEvent(6000, 8000, False), PlaceEvent(7000, 8000, True)]
    assert [take.frame_at(n) for n in (0, 5999, 6500, 7010)] == [2000, 7999, 8000, 8010]
    assert [take.position(n) for n in (1000, 2500, 8000, 8010)] == [0, 500, 7000, 7010]


def test_a_take_with_stems_has_the_dry_input_where_it_is_heard(tmp_path: Path) -> None:
    """Whether it is heard or not: Dry and Gain do not change it."""
    stage = Stage()
    recorder = Recorder(RATE, 2, tap=stage.tap, sound="stems")
    stage.store.set("dry", 0.0, Origin.UI)
    stage.ring.write(np.zeros((30_000, 2), np.float32))
    for number in range(60):
        if number == 20:
            recorder.start(tmp_path, 5000, {})
        if number == 40:
            stage.store.set("dry", -60.0, Origin.UI)
        stage.dry.write(np.random.default_rng(number).uniform(-0.1, 0.1, (500, 2)).astype(np.float32))
        stage.render(500)
    recorder.stop(28_000)
    recorder.close()
    take = open_take(folder_of(recorder))
    made = soundfile.read(take.folder / "input.wav", dtype="float32")[0]
    heard = take.read()
    assert len(made) == len(heard) == take.info.frames and take.info.sound == "stems"
    assert np.abs(made[:14_000]).max() > 0.09 and np.array_equal(made[:14_000], heard[:14_000])
    assert not heard[-2000:].any() and np.abs(made[-2000:]).max() > 0.09
    assert (take.folder / "engine.wav").exists()


def test_a_sessions_input_reaches_its_take(tmp_path: Path) -> None:
    with stage(tmp_path, take_sound="stems") as rig:
        rig.play()
        rig.session.start_recording()
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, (RATE // 2, 2)).astype(np.float32)
        rig.session.audio._dry.write(noise)  # as the input's thread does
        rig.clock.run(1.0)
        rig.session.stop()
        (take,) = rig.closed_takes()
        made = soundfile.read(take.folder / "input.wav", dtype="float32")[0]
        assert len(made) == take.frames and np.abs(made).max() > 0.09


def test_the_log_has_what_changes_in_the_session_with_its_origin(
    rig: tuple[Stage, Recorder], tmp_path: Path
) -> None:
    stage, recorder = rig
    stage.store.subscribe(lambda change: recorder.note(change, 1234))
    recorder.start(tmp_path, 0, {})
    stage.play(1000)
    stage.store.trigger("marker", Origin.MIDI)
    recorder.offer(
        Block(ramp(0, 1000), 0, 0, SNAPSHOT, NoiseDrawn("level2", 5, "walk", 0.3, 1, 7, False, True), 0.1)
    )
    recorder.stop()
    events = list(open_take(folder_of(recorder)).events())
    assert MarkerEvent(1234, 1, "midi") in events
    assert [event.value for event in events if isinstance(event, StateEvent)] == ["a", "b"]
    assert [event for event in events if isinstance(event, UnderrunEvent)] == [
        UnderrunEvent(100, "device", 1)
    ]


def test_heard_sound_that_the_disk_was_too_slow_for_becomes_silence_and_is_logged(tmp_path: Path) -> None:
    tap = HeardTap(1000, 2, 4.0)
    recorder = Recorder(1000, 2, tap=tap)
    tap.put(ramp(0, 500), 0, 500)
    for start in range(500, 20_000, 500):
        tap.put(ramp(start, 500), start, start + 500)
    recorder.start(tmp_path, 0, {})
    recorder.close()
    take = open_take(next(tmp_path.iterdir()))
    assert np.array_equal(take.read(), ramp(16_000, 4000)), "a take begins with the oldest frame that is left"
    assert [e for e in take.events() if isinstance(e, PlaceEvent)] == [PlaceEvent(0, 16_000, True)]
    assert not [e for e in take.events() if isinstance(e, GapEvent)]


# ---------------------------------------------------------------------- the log


def test_the_schema_in_the_documentation_is_that_of_the_code() -> None:
    written = json.loads((ROOT / "docs" / "take.schema.json").read_text())
    assert written == schema(), "write it again: python -m jbdiff_live.record.events > docs/take.schema.json"


def test_every_line_of_a_real_sessions_log_fits_the_schema(tmp_path: Path) -> None:
    with stage(tmp_path) as rig:
        take = played_take(rig)
    validator = jsonschema.Draft202012Validator(schema())
    lines = [json.loads(line) for line in (take.folder / EVENTS).read_text().splitlines()]
    for line in lines:
        validator.validate(line)
    assert {line["event"] for line in lines} >= {"block", "change", "marker", "place", "state"}
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({"event": "block", "index": "one"})
    text = (take.folder / EVENTS).read_text()
    assert "NoiseIdentity" not in text and str(tmp_path) not in text
    states = {line["name"]: line["value"] for line in lines if line["event"] == "state"}
    assert states["device"].startswith("Staged") and states["patch"] == "drift"
    assert 'name = "drift"' in (take.folder / "patch.toml").read_text()


def test_a_take_that_ends_with_the_music_has_the_whole_fade_out(tmp_path: Path) -> None:
    with stage(tmp_path) as rig:
        rig.play()
        rig.session.start_recording()
        rig.clock.run(1.0)
        audible = rig.session.audio.frames_heard
        rig.session.stop()
        (take,) = rig.closed_takes()
        heard = take.read()
        assert take.frame_at(len(heard)) > audible + 1000, "what the device still had"
        assert np.abs(heard[-4096:]).max() > 0.02 and not heard[-1].any(), "it fades to silence"


def played_take(rig: StageRig) -> Take:
    session = rig.session
    session.load_patch(session.patches()["drift"])
    rig.play()
    session.start_recording()
    session.set_parameter("gain", -3.0)
    session.trigger("marker")
    rig.clock.run(1.0)
    session.stop_recording()
    (take,) = rig.closed_takes()
    return take


def test_noise_is_an_object_with_fields_and_a_take_of_the_first_format_still_opens(tmp_path: Path) -> None:
    lines = (
        b'{"event":"block","index":0,"start_frame":0,"frames":10,"noise":"NoiseIdentity(seed=1)","seconds_taken":0.1,'
        b'"rung":"full","version":0,"values":{"gain":0.0},"counts":{}}\n'
        b'{"event":"gap","frame":5,"frames":5}\n'
    )
    (tmp_path / EVENTS).write_bytes(lines)
    (tmp_path / "take.json").write_text(
        '{"sample_rate":44100,"channels":2,"start_frame":0,"started":"2026-05-01T21:30:00+02:00","format":1}'
    )
    for name in ("audio.wav", "audio-002.wav"):
        soundfile.write(tmp_path / name, ramp(0, 10), RATE, subtype="FLOAT")
    take = open_take(tmp_path)
    made, gap = take.events()
    assert isinstance(made, BlockEvent) and made.noise == "NoiseIdentity(seed=1)"
    assert gap == GapEvent(5, 5) and take.info.sound == "engine" and take.frames == 20
    assert take.frame_at(7) == 7 and take.position(7) == 7


def test_the_takes_info_has_no_path_of_this_machine_and_the_weights_licence(tmp_path: Path) -> None:
    recorder = Recorder(RATE, 2)
    (tmp_path / "sounds").mkdir()
    facts = {
        "context_file": str(tmp_path / "sounds" / "a.wav"),
        "weights_licence": "CC0-1.0",
        "stack_identity": "ab",
    }
    recorder.start(tmp_path / "takes", 0, facts, [Block(ramp(0, 10), 0, 0, SNAPSHOT, "tone", 0.1)])
    recorder.close()
    take = open_take(next((tmp_path / "takes").iterdir()))
    named = take.info.details["context_file"]
    assert not Path(named).is_absolute()
    assert (take.folder / named).resolve() == (tmp_path / "sounds" / "a.wav").resolve()
    assert (take.info.weights_licence, take.info.stack_identity, take.info.format) == ("CC0-1.0", "ab", 2)


# ---------------------------------------------------------------------- sound files


def test_any_program_reads_the_file_while_it_grows(tmp_path: Path) -> None:
    file = WavFile(tmp_path / "a.wav", RATE, 2)
    for number in range(3):
        file.append(ramp(number * 1000, 1000))
        with (tmp_path / "a.wav").open(
            "rb"
        ) as sound:  # what a strict program goes by: the header's own sizes
            head = sound.read(HEADER_BYTES)
        size = (number + 1) * 8000
        assert struct.unpack("<I", head[-4:])[0] == size and struct.unpack("<I", head[4:8])[0] == size + 84
        read, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
        assert rate == RATE and np.array_equal(read, ramp(0, (number + 1) * 1000))
    file.close()


def test_a_take_longer_than_four_gigabytes_is_one_file_that_programs_read(tmp_path: Path) -> None:
    """The sound is a hole in the file, so it takes no room on the disk."""
    frames = 600_000_000  # 3.8 hours, 4.8 GB
    path = tmp_path / "long.wav"
    file = WavFile(path, RATE, 2)
    with path.open("rb+") as sparse:
        sparse.truncate(HEADER_BYTES + frames * 8)
    file.frames = frames
    file.append(ramp(0, 1000))
    file.close()
    with soundfile.SoundFile(path) as sound:
        assert sound.format == "RF64" and sound.frames == frames + 1000
        sound.seek(frames)
        assert np.array_equal(sound.read(dtype="float32"), ramp(0, 1000))
    assert header(RATE, 2, 10)[:4] == b"RIFF" and len(header(RATE, 2, frames)) == HEADER_BYTES


# ---------------------------------------------------------------------- the picture, the room


def test_the_picture_shows_the_sound_and_the_markers(tmp_path: Path) -> None:
    recorder = Recorder(RATE, 2)
    store = ParameterStore()
    store.subscribe(lambda change: recorder.note(change, 3 * RATE))
    t = np.arange(4 * RATE) / RATE
    tone = (0.5 * np.sin(2 * np.pi * 2000 * t) * (t > 2)).astype(np.float32)
    recorder.start(tmp_path, 0, {})
    recorder.offer(Block(np.stack([tone, tone], axis=1), 0, 0, SNAPSHOT, "tone", 0.1))
    store.trigger("marker", Origin.KEY)
    recorder.close()
    take = open_take(next(tmp_path.iterdir()))
    assert main([str(take.folder)]) == 0
    picture = np.asarray(Image.open(take.folder / "picture.png"), np.float32) / 255
    rows, columns, _ = picture.shape
    wave_rows, mel_rows = picture[:120], picture[120:]
    assert columns <= COLUMNS and rows == 360
    half = columns // 2
    assert wave_rows[30:50, : half - 5].max() < 0.1, "no wave in the silence"
    assert wave_rows[35:50, half + 5 : columns * 3 // 4 - 5].min(axis=(0, 1))[0] > 0.8, (
        "a wave of half the height"
    )
    brightest = mel_rows[:, half + 5 : half + 100].sum(axis=(1, 2)).argmax()
    assert 0.36 < 1 - brightest / 240 < 0.42, "2 kHz lies there on the mel scale up to half the rate"
    assert np.allclose(picture[:, columns * 3 // 4] * 255, (90, 200, 235), atol=1), "the marker"


def test_no_picture_of_what_is_no_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    assert "folder of a take" in capsys.readouterr().err


def test_a_disk_that_gets_full_warns_in_time() -> None:
    assert nearly_full(601.0) == "" and nearly_full(None) == ""
    assert "4 more minutes" in nearly_full(240.0)


def test_takes_lie_in_the_music_folder_and_without_a_home_where_the_program_was_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(platformdirs, "user_music_path", lambda: tmp_path / "Music")
    assert takes_folder() == tmp_path / "Music" / "jbdiff-live"

    def nobody() -> Path:
        raise RuntimeError("could not determine home directory")

    for unknown in (nobody, lambda: Path("~/Music")):
        monkeypatch.setattr(platformdirs, "user_music_path", unknown)
        monkeypatch.chdir(tmp_path)
        assert takes_folder() == tmp_path / "takes"
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *names, **options: nobody())
    assert always_folder() is None


def test_the_command_line_refuses_an_unknown_sound_of_a_take() -> None:
    result = CliRunner().invoke(app, ["--headless", "--take", "loud"])
    assert result.exit_code == 2 and "heard, engine, both" in result.output
