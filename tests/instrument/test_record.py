"""Recording: sample exact, cut at both ends, and kept when the process or the disk gives up."""

from __future__ import annotations

import errno
import logging
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jbdiff_live.block import Block
from jbdiff_live.parameters import Change, Origin, ParameterStore
from jbdiff_live.record.events import ActionEvent, BlockEvent, ChangeEvent, GapEvent
from jbdiff_live.record.heard import HeardTap
from jbdiff_live.record.recorder import Recorder
from jbdiff_live.record.take import Take, TakeError, open_take
from jbdiff_live.record.wav import WavFile
from jbdiff_live.record.writer import TakeWriter

RATE = 44_100
FRAMES = 1000
SNAPSHOT = ParameterStore().snapshot


def audio(start: int, frames: int) -> np.ndarray:
    """A ramp that names every frame of the session: k / 2^22, exact in float32."""
    ramp = (np.arange(start, start + frames) / 2**22).astype(np.float32)
    return np.stack([ramp, -ramp], axis=1)


def block(index: int, frames: int = FRAMES) -> Block:
    return Block(audio(index * frames, frames), index, index * frames, SNAPSHOT, f"noise {index}", 0.1)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    made = Recorder(RATE, 2)
    yield made
    made.close()


def folder_of(recorder: Recorder) -> Path:
    folder = recorder.status().folder
    assert folder is not None
    return folder


def until(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    """Looks again and again, in short waits, until the condition holds."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("it did not happen in time")


def test_a_take_is_what_the_engine_made_sample_for_sample(recorder: Recorder, tmp_path: Path) -> None:
    noise = np.random.default_rng(3).standard_normal((FRAMES, 2)).astype(np.float32) * 3
    recorder.start(tmp_path, 0, {"patch": "drift", "values": {"seed": 7}, "init_file": "x.wav"})
    recorder.offer(Block(noise, 0, 0, SNAPSHOT, "n", 0.1))
    recorder.offer(block(1))
    recorder.stop()
    take = open_take(folder_of(recorder))
    assert np.array_equal(take.read(), np.concatenate([noise, audio(FRAMES, FRAMES)]))
    assert (take.info.frames, take.info.closed_cleanly, take.info.patch) == (2000, True, "drift")
    assert (take.info.seed, take.info.details) == (7, {"init_file": "x.wav"})
    status = recorder.status()
    assert (status.recording, status.frames, status.problem) == (False, 2000, "")


def test_a_take_begins_and_ends_with_what_was_heard(recorder: Recorder, tmp_path: Path) -> None:
    recorder.start(tmp_path, 1400, {}, [block(2), block(0), block(1)])
    recorder.offer(block(1))  # nothing twice
    recorder.offer(block(3))
    recorder.stop(2750)
    take = open_take(folder_of(recorder))
    assert np.array_equal(take.read(), audio(1400, 1350))
    assert (take.info.start_frame, take.info.frames) == (1400, 1350)
    assert [e.index for e in take.events() if isinstance(e, BlockEvent)] == [1, 2, 3]


def test_stopping_before_the_beginning_leaves_an_empty_take(recorder: Recorder, tmp_path: Path) -> None:
    recorder.start(tmp_path, 500, {}, [block(0)])
    recorder.stop(100)
    assert open_take(folder_of(recorder)).frames == 0


def test_blocks_and_changes_without_a_take_are_ignored(recorder: Recorder) -> None:
    assert recorder.offer(block(0)) is False
    recorder.note(Change("gain", 0.0, Origin.UI, 1), 0)
    recorder.stop()
    assert recorder.status().folder is None


def test_two_takes_in_one_second_get_two_folders(recorder: Recorder, tmp_path: Path) -> None:
    for _ in range(3):
        recorder.start(tmp_path, 0, {}, [block(0)])
        with pytest.raises(RuntimeError, match="already recording"):
            recorder.start(tmp_path, 0, {})
        recorder.stop()
    assert len({open_take(p).folder for p in tmp_path.iterdir()}) == 3


def test_everything_that_happens_is_in_the_events(recorder: Recorder, tmp_path: Path) -> None:
    store = ParameterStore()
    store.subscribe(lambda change: recorder.note(change, 1234))
    recorder.start(tmp_path, 0, {})
    store.set("noise_step", 0.7, Origin.MIDI)
    store.trigger("reroll", Origin.UI)
    recorder.offer(block(0))
    recorder.stop()
    change, action, made = open_take(folder_of(recorder)).events()
    assert change == ChangeEvent(1234, "noise_step", 0.7, "midi", 1)
    assert action == ActionEvent(1234, "reroll", 1, "ui", 2)
    assert isinstance(made, BlockEvent)
    assert (made.index, made.start_frame, made.noise, made.seconds_taken) == (0, 0, "noise 0", 0.1)
    assert made.values["gain"] == 0 and made.version == 0


def no_more_than(frames: int, error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no WAV file grow beyond so many frames: it takes what fits, and raises the error."""
    append = WavFile.append

    def short(file: WavFile, samples: np.ndarray) -> None:
        room = frames - file.frames
        append(file, samples[:room])
        if len(samples) > room:
            raise error

    monkeypatch.setattr(WavFile, "append", short)


@pytest.mark.parametrize("end", [None, 2500, 2048, 1024, 1500, 300])
def test_a_disk_that_ends_files_early_loses_no_frame(
    tmp_path: Path, end: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAT32 ends a file at 4 GB: the take goes on in the next file."""
    no_more_than(1024, OSError(errno.EFBIG, "file too large"), monkeypatch)
    recorder = Recorder(RATE, 2)
    recorder.start(tmp_path, 0, {})
    for index in range(3):
        recorder.offer(block(index))
    recorder.stop(end)
    recorder.close()
    take = open_take(folder_of(recorder))
    assert np.array_equal(take.read(), audio(0, 3000 if end is None else end))
    assert len(take.audio) == -(-(end or 3000) // 1024)


class ParkedDisk:
    """Holds the writer before a block until it is let go: a disk that takes its time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.let_go = threading.Event(), threading.Event()
        write = TakeWriter.write_block

        def slow(writer: TakeWriter, block: Block) -> None:
            self.reached.set()
            assert self.let_go.wait(90)
            write(writer, block)

        monkeypatch.setattr(TakeWriter, "write_block", slow)


def test_a_refusal_of_the_disk_is_one_line_on_the_console(
    recorder: Recorder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    with caplog.at_level(logging.WARNING):
        recorder.start(tmp_path / "file", 0, {}, [])
        recorder.stop(0)
    (said,) = caplog.records
    assert "is a file and no folder" in said.getMessage() and not said.exc_info


def test_a_full_queue_drops_counts_and_marks_the_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = ParkedDisk(monkeypatch)
    recorder = Recorder(RATE, 2, queue_blocks=2)
    recorder.start(tmp_path, 0, {})
    assert recorder.offer(block(0))
    assert disk.reached.wait(90)
    assert [recorder.offer(block(i)) for i in (1, 2, 3)] == [True, False, False]
    assert recorder.status().dropped_blocks == 2
    disk.let_go.set()
    until(lambda: recorder.status().frames == 2000)
    until(lambda: recorder.offer(block(4)))
    recorder.stop(4800)
    recorder.close()
    take = open_take(folder_of(recorder))
    expected = np.concatenate([audio(0, 2000), np.zeros((2000, 2), np.float32), audio(4000, 800)])
    assert np.array_equal(take.read(), expected)
    assert [e for e in take.events() if isinstance(e, GapEvent)] == [GapEvent(2000, 2000)]
    assert take.info.dropped_blocks == 2


def test_blocks_dropped_at_the_end_are_a_gap_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = ParkedDisk(monkeypatch)
    recorder = Recorder(RATE, 2, queue_blocks=1)
    recorder.start(tmp_path, 0, {})
    recorder.offer(block(0))
    assert disk.reached.wait(90)
    assert recorder.offer(block(1)) is False
    disk.let_go.set()
    recorder.stop(1700)
    recorder.close()
    take = open_take(folder_of(recorder))
    assert np.array_equal(take.read(), np.concatenate([audio(0, 1000), np.zeros((700, 2), np.float32)]))
    assert GapEvent(1000, 700) in list(take.events())


# ---------------------------------------------------------------------- when things break

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_record import RATE, block, folder_of, until
from jbdiff_live.record.events import ActionEvent, BlockEvent, ChangeEvent, GapEvent
from jbdiff_live.record.heard import HeardTap
from jbdiff_live.record.recorder import Recorder
"""


def child(code: str, *arguments: str) -> subprocess.Popen[str]:
    text = CHILD.format(tests=str(Path(__file__).parent)) + code
    return subprocess.Popen(
        [sys.executable, "-c", text, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def only_take(folder: Path) -> Take:
    (take,) = folder.iterdir()
    return open_take(take)


def killed_while_recording(parent: Path, blocks: int) -> None:
    """Record a take of so many blocks in another process, and kill it."""
    process = child(
        """
recorder = Recorder(RATE, 2)
recorder.start(Path(sys.argv[1]), 0, {"patch": "drift"})
blocks = int(sys.argv[2])
for index in range(blocks):
    recorder.offer(block(index))
until(lambda: recorder.status().frames == 1000 * blocks)
print("written", flush=True)
__import__("threading").Event().wait(60)
""",
        str(parent),
        str(blocks),
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "written\n"
    finally:
        process.kill()
        process.communicate()


def test_a_killed_process_leaves_every_block_that_was_written(tmp_path: Path) -> None:
    killed_while_recording(tmp_path, 20)
    take = only_take(tmp_path)
    assert np.array_equal(take.read(), audio(0, 20_000))
    assert not take.info.closed_cleanly and take.info.patch == "drift"
    assert len(list(take.events())) == 20
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", take.audio[0], "-f", "f32le", "-"], capture_output=True, check=True
    ).stdout
    assert np.array_equal(np.frombuffer(raw, np.float32).reshape(-1, 2), audio(0, 20_000))


def test_a_line_torn_by_a_crash_is_left_out(recorder: Recorder, tmp_path: Path) -> None:
    recorder.start(tmp_path, 0, {}, [block(0)])
    recorder.stop()
    folder = folder_of(recorder)
    with (folder / "events.jsonl").open("ab") as events:
        events.write(b'{"event":"bloc')
    assert len(list(open_take(folder).events())) == 1


def test_a_full_disk_ends_the_recording_with_words_and_keeps_the_sound(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_more_than(2500, OSError(errno.ENOSPC, "no space left on device"), monkeypatch)
    recorder.start(tmp_path, 0, {})
    for index in range(4):
        recorder.offer(block(index))
    until(lambda: not recorder.status().recording)
    assert recorder.offer(block(5)) is False
    assert "is full" in recorder.status().problem and "free some space" in recorder.status().problem
    recorder.close()
    take = only_take(tmp_path)
    assert np.array_equal(take.read(), audio(0, 2500))
    assert "is full" in take.info.problem and not take.info.closed_cleanly


def test_a_really_full_disk_does_the_same(recorder: Recorder, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("mounting needs root; the size limit above stands in for it")
    try:
        recorder.start(disk, 0, {})
        for index in range(60):
            recorder.offer(block(index))
        until(lambda: not recorder.status().recording)
        assert "is full" in recorder.status().problem
        take = only_take(disk)
        heard = take.read()
        assert len(heard) > 20 * FRAMES and np.array_equal(heard, audio(0, len(heard)))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
def test_a_folder_that_is_removed_loses_nothing(recorder: Recorder, tmp_path: Path) -> None:
    store = ParameterStore()
    store.subscribe(lambda change: recorder.note(change, 500))
    recorder.start(tmp_path / "takes", 0, {"patch": "drift"}, [block(0)])
    store.set("noise_step", 0.9, Origin.UI)
    until(lambda: recorder.status().frames == FRAMES)
    gone = folder_of(recorder)
    shutil.rmtree(tmp_path / "takes")
    until(lambda: recorder.status().folder != gone or (tmp_path / "takes").exists())
    until(lambda: "goes on in" in recorder.status().warning)
    recorder.offer(block(1))
    recorder.stop()
    assert recorder.status().problem == ""
    take = open_take(folder_of(recorder))
    assert np.array_equal(take.read(), audio(0, 2000)) and take.info.closed_cleanly
    assert [type(event) for event in take.events()] == [BlockEvent, ChangeEvent, BlockEvent]


def test_a_drive_that_is_pulled_moves_the_take_to_the_other_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its old sound cannot be read any more: silence keeps the take in time."""
    made = Recorder(RATE, 2, fallback=tmp_path / "home")
    made.start(tmp_path / "stick", 0, {}, [block(0)])
    until(lambda: made.status().frames == FRAMES)

    def pulled(file: WavFile, other: WavFile) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(WavFile, "copy_from", pulled)
    (tmp_path / "stick").rename(tmp_path / "pulled")
    (tmp_path / "stick").write_text("no folder can be made here")
    until(lambda: "goes on in" in made.status().warning)
    made.offer(block(1))
    made.close()
    take = only_take(tmp_path / "home")
    assert np.array_equal(take.read(), np.concatenate([np.zeros((1000, 2)), audio(1000, 1000)]))
    assert soundfile.info(str(only_take(tmp_path / "pulled").audio[0])).frames == FRAMES


def test_the_dry_input_moves_with_a_take_whose_folder_is_removed(tmp_path: Path) -> None:
    tap = HeardTap(RATE, 2, 4.0)
    made = Recorder(RATE, 2, tap=tap, sound="stems")
    made.start(tmp_path / "takes", 0, {})
    tap.put_input(audio(0, 1000) / 2, 0)
    tap.put(audio(0, 1000), 0, 1000)
    until(lambda: made.status().frames == 1000)
    shutil.rmtree(folder_of(made))
    until(lambda: "goes on in" in made.status().warning)
    tap.put(audio(1000, 1000), 1000, 2000)
    until(lambda: made.status().frames == 2000)
    made.close()
    take = only_take(tmp_path / "takes")
    dry = soundfile.read(take.folder / "input.wav", dtype="float32")[0]
    assert np.array_equal(take.read(), audio(0, 2000))
    assert np.array_equal(dry, np.concatenate([audio(0, 1000) / 2, np.zeros((1000, 2), np.float32)]))


def test_a_folder_that_cannot_be_made_is_a_problem_and_the_next_take_works(
    recorder: Recorder, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    recorder.start(tmp_path / "file" / "takes", 0, {}, [block(0)])
    until(lambda: not recorder.status().recording)
    assert "hoose another folder" in recorder.status().problem
    recorder.start(tmp_path / "takes", 0, {}, [block(0)])
    recorder.stop()
    assert recorder.status().problem == ""
    assert open_take(folder_of(recorder)).frames == FRAMES


def test_what_is_no_take_says_so(tmp_path: Path) -> None:
    with pytest.raises(TakeError, match="folder of a take"):
        open_take(tmp_path)
    (tmp_path / "take.json").write_text("{}")
    with pytest.raises(TakeError, match="sample_rate"):
        open_take(tmp_path)


def test_closing_ends_the_take_and_the_thread(tmp_path: Path) -> None:
    recorder = Recorder(RATE, 2)
    recorder.start(tmp_path, 0, {}, [block(0)])
    recorder.close()
    assert only_take(tmp_path).info.closed_cleanly
    assert "recorder" not in [thread.name for thread in threading.enumerate()]
