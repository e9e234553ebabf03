"""Each way in which a stack or a device misbehaves is caught, and becomes a word that the player reads."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from instrument.stage_rig import LOUD, OTHER, STAGE, StageRig, stage
from misbehaving import BadStack, Fault
from staged_sound import staged
from turned_clock import TurnedClock

from jbdiff_live.audio import rate, short_ring
from jbdiff_live.audio.sink import DeviceError
from jbdiff_live.audio.switch import NULL_DEVICE
from jbdiff_live.block import Preparing
from jbdiff_live.session import Session, SessionOptions
from jbdiff_live.stage_word import NO_DEVICE, Word, stage_word

SMOOTH = 0.02  # largest step of a fade, or of the tone; a cut makes ten times as much
SOON = 2.0  # turned seconds within which a player sees what is wrong


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[StageRig]:
    with stage(tmp_path) as rig:
        yield rig


# ---------------------------------------------------------------------- panic leaves nothing behind


@pytest.mark.parametrize("times", [1, 3])
def test_a_panic_before_the_first_start_does_not_silence_the_music(rig: StageRig, times: int) -> None:
    """A panic while nothing plays leaves nothing behind: the next start sounds."""
    for _ in range(times):
        rig.session.trigger("panic")
    rig.play()


def test_a_panic_while_stopped_does_not_silence_the_next_start(rig: StageRig) -> None:
    rig.play()
    rig.session.stop()
    rig.session.trigger("panic")
    rig.play()


def test_a_panic_after_a_failure_does_not_silence_the_next_start(rig: StageRig) -> None:
    rig.play()
    rig.stack.fault = Fault.RAISES
    rig.wait_for(Word.FAILED)
    rig.session.trigger("panic")
    rig.wait_for_silence()
    rig.stack.fault = Fault.NONE
    rig.play()


class Gated(BadStack):
    """Loads, and warms up, when the test lets it."""

    def __init__(self, clock: TurnedClock) -> None:
        super().__init__(clock)
        self.loading, self.warming = threading.Event(), threading.Event()

    def prepare(self, report: Callable[[Preparing], None], keep_going: Callable[[], bool]) -> bool:
        while not self.loading.is_set() and keep_going():
            self._clock.wait_until(self._clock.now() + 0.01, self.loading)
        report(Preparing("warming up, block 1", warming=True))
        while not self.warming.is_set() and keep_going():
            self._clock.wait_until(self._clock.now() + 0.01, self.warming)
        return keep_going()


def test_getting_ready_is_counted_and_a_panic_meanwhile_leaves_nothing_behind(tmp_path: Path) -> None:
    clock = TurnedClock()
    stack = Gated(clock)
    stack.fault = Fault.LATE
    with stage(tmp_path, stack, clock) as rig:
        assert rig.word.word is Word.STOPPED
        rig.session.start()
        clock.run_until(lambda: rig.word.text == "GETTING READY 1 of 3", rig.describe)
        rig.session.trigger("panic")
        stack.loading.set()
        clock.run_until(lambda: rig.word.text == "GETTING READY 2 of 3", rig.describe)
        assert rig.word.why == "warming up, block 1"
        rig.session.trigger("panic")
        stack.warming.set()
        clock.run_until(lambda: rig.word.text == "GETTING READY 3 of 3", rig.describe)
        stack.fault = Fault.NONE
        rig.wait_for_sound()


def test_silence_after_a_panic_is_called_silent_until_the_new_block_is_there(rig: StageRig) -> None:
    rig.play()
    rig.stack.fault = Fault.LATE
    rig.session.trigger("panic")
    assert rig.wait_for(Word.SILENT) < SOON
    assert rig.word.alarm and "panic" in rig.word.why
    rig.wait_for_silence()
    rig.stack.fault = Fault.NONE
    rig.wait_for_sound()


class Ahead(BadStack):
    """Wants the queue full, as for the long first block of another stack."""

    full = False

    @property
    def switch_seconds(self) -> float | None:
        return 100.0 if self.full else None


def test_a_stop_with_a_full_queue_does_not_leave_the_next_start_without_room(tmp_path: Path) -> None:
    clock = TurnedClock()
    stack = Ahead(clock)
    with stage(tmp_path, stack, clock) as rig:
        rig.play()
        stack.full = True
        rig.session.engine.wake()
        clock.run_until(lambda: rig.session.status().seconds_queued > 9, rig.describe)
        rig.session.stop()
        assert rig.session.status().seconds_queued == 0
        stack.full = False
        rig.play()


@pytest.mark.parametrize("lost", [False, True])
def test_a_panic_with_a_full_queue_does_not_silence_the_music(tmp_path: Path, lost: bool) -> None:
    """The engine waits for room then, and the output reads nothing until the engine has answered the panic."""
    clock = TurnedClock()
    stack = Ahead(clock)
    with stage(tmp_path, stack, clock) as rig:
        rig.play()
        rig.session.start_recording()
        stack.full = True
        rig.session.engine.wake()
        clock.run_until(lambda: rig.session.ring.room < stack.block_frames, rig.describe)
        rig.device.there = not lost
        rig.session.trigger("panic")
        stack.full = False
        clock.run(0.1)
        rig.device.there = True
        rig.wait_for_sound()
        rig.session.stop()
        assert rig.closed_takes()


# ---------------------------------------------------------------------- a stack that misbehaves


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Fault.RAISES, "reload the stack"),
        (Fault.NAN, "not finite; lower guidance"),
        (Fault.EXPLODES, "386 dB over full scale; lower guidance"),
        (Fault.WRONG_LENGTH, r"shape \[8191, 2\] instead of \[8192, 2\]; choose another stack"),
        (Fault.WRONG_CHANNELS, r"shape \[8192, 1\] instead of \[8192, 2\]"),
        (Fault.EMPTY, r"shape \[0, 2\]"),
    ],
)
def test_a_block_that_is_no_music_is_never_heard_and_the_reason_is_read(
    rig: StageRig, fault: Fault, why: str
) -> None:
    rig.play()
    rig.stack.fault = fault
    assert rig.wait_for(Word.FAILED) < SOON
    assert rig.word.alarm and re.search(why, rig.word.why), rig.word
    rig.wait_for_silence()
    assert rig.device.largest_step < SMOOTH, "the music before it fades out"
    rig.stack.fault = Fault.NONE
    rig.play()


def test_a_late_block_is_silence_with_a_reason_and_the_music_comes_back(rig: StageRig) -> None:
    rig.play()
    rig.stack.fault = Fault.LATE
    assert rig.wait_for(Word.SILENT) < SOON
    assert rig.word.alarm and "late" in rig.word.why
    rig.wait_for_silence()
    rig.stack.fault = Fault.NONE
    rig.wait_for_sound()


def test_a_stack_that_makes_silence_is_not_called_playing(rig: StageRig) -> None:
    rig.play()
    rig.stack.fault = Fault.SILENT
    assert rig.wait_for(Word.SILENT) < SOON + 3, "the queue, and two seconds in which music may rest"
    assert "the stack makes silence" in rig.word.why
    rig.stack.fault = Fault.NONE
    rig.wait_for_sound()


@pytest.mark.parametrize(
    ("name", "value", "why"), [("mute", 1.0, "Mute is on"), ("gain", -60.0, "Gain is at its")]
)
def test_silence_that_the_player_made_is_called_by_its_cause(
    rig: StageRig, name: str, value: float, why: str
) -> None:
    rig.play()
    rig.session.set_parameter(name, value)
    assert rig.wait_for(Word.SILENT) < SOON and why in rig.word.why
    rig.session.set_parameter(name, 0.0)
    rig.wait_for_sound()


def _hang(rig: StageRig) -> None:
    """A block hangs in the model, and the player presses stop."""
    rig.stack.fault = Fault.HANGS
    rig.clock.run_until(rig.stack.in_block.is_set, "a block that hangs")
    rig.session._patience = 0.05


def test_a_block_that_hangs_is_silence_and_a_stop_closes_everything_else(rig: StageRig) -> None:
    """Each step of a stop is guarded: device and take are closed although the engine does not end."""
    rig.play()
    rig.session.start_recording()
    rig.clock.run(1.0)
    _hang(rig)
    assert rig.wait_for(Word.SILENT) < SOON
    with pytest.raises(TimeoutError, match="a block hangs in the model"):
        rig.session.stop()
    assert rig.word.word is Word.FAILED and "quit and start" in rig.word.why
    assert not rig.session.status().audio.running
    (take,) = rig.closed_takes()
    assert take.frames > 0.5 * 44_100
    with pytest.raises(RuntimeError, match="cannot start: a block hangs"):
        rig.session.start()
    rig.stack.fault = Fault.NONE
    rig.clock.run_until(lambda: not rig.stack.in_block.is_set(), "the end of the block")
    rig.clock.run_until(lambda: rig.word.word is Word.STOPPED, rig.describe)
    made = len(rig.session.recent_blocks())
    rig.play()
    new = rig.session.recent_blocks()[made:]
    assert new[0].index == made, "nothing of the block that hung is heard"


def test_closing_while_a_block_hangs_lets_every_other_thread_and_device_go(tmp_path: Path) -> None:
    with stage(tmp_path) as rig:
        rig.play()
        rig.session.start_recording()
        rig.clock.run(0.5)
        _hang(rig)
        rig.session.close()
        assert rig.stack.closed and rig.sound.open_streams == 0
        assert len(rig.closed_takes()) == 1
        ours = {"audio feeder", "audio watcher", "recorder", "program changes", "null feeder"}
        assert not ours & {thread.name for thread in threading.enumerate()}
        rig.stack.fault = Fault.NONE


@pytest.mark.parametrize("step", ["midi.stop", "programs.stop", "audio.stop", "audio.close", "engine.stop"])
def test_a_step_of_closing_that_fails_does_not_keep_the_others_from_running(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stage(tmp_path) as rig:
        rig.play()
        rig.session.start_recording()
        owner, _, name = step.partition(".")
        part = getattr(rig.session, owner)
        whole = getattr(part, name)

        def fail(*arguments: object) -> None:
            whole(*arguments)
            raise RuntimeError("the system refuses")

        monkeypatch.setattr(part, name, fail)
        rig.session.close()
        assert rig.stack.closed and rig.sound.open_streams == 0 and len(rig.closed_takes()) == 1
        monkeypatch.undo()


# ---------------------------------------------------------------------- a device that misbehaves


def test_a_device_that_vanishes_is_no_device_and_sounds_again_when_it_is_back(rig: StageRig) -> None:
    rig.play()
    rig.device.there = False
    assert rig.wait_for_no_device() < SOON
    assert rig.word.alarm and "Staged: stage is gone" in rig.word.why
    assert rig.session.status().audio.peak == (0.0, 0.0), "meters show what is heard"
    before = rig.session.status().frame
    rig.clock.run(1.0)
    assert rig.session.status().frame > before + 40_000, "time goes on, for the recording"
    rig.device.there = True
    rig.wait_for_sound()
    assert rig.device.largest_step < SMOOTH, "it fades in"


def test_a_device_that_hangs_is_silence_within_two_seconds_and_then_no_device(rig: StageRig) -> None:
    rig.play()
    rig.device.hangs = True
    assert rig.wait_for(Word.SILENT) < SOON
    assert "takes no sound any more; restart its sound server" in rig.word.why
    assert rig.session.status().audio.peak == (0.0, 0.0)
    rig.wait_for_no_device()
    rig.device.hangs = False
    rig.wait_for_sound()


def test_a_device_that_drops_frames_is_read_about(rig: StageRig) -> None:
    rig.play()
    rig.device.drops = True
    rig.clock.run_until(lambda: "holes in the last ten seconds" in rig.word.why, rig.describe)
    assert rig.word.word is Word.PLAYING and not rig.word.alarm
    rig.device.drops = False
    rig.clock.run_until(lambda: rig.word.why == "", rig.describe)


@pytest.mark.parametrize("speed", [0.5, 1.09])
def test_a_device_at_a_wrong_rate_is_read_about(
    rig: StageRig, speed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate, "WINDOW_SECONDS", 2.0)
    rig.play()
    rig.device.speed = speed
    rig.clock.run_until(lambda: "the pitch is wrong" in rig.word.why, rig.describe)
    assert f"takes {44_100 * speed:.0f} frames a second and was opened for 44100" in rig.word.why
    rig.device.speed = 1.0
    rig.clock.run_until(lambda: rig.word.why == "", rig.describe)


def test_a_longer_delay_after_a_dropout_is_shown_and_shrinks_back_when_the_machine_is_calm(
    rig: StageRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(short_ring, "CALM_SECONDS", 3.0)
    rig.session.choose_audio_device(OTHER)
    rig.session.start()
    rig.wait_for_sound(rig.other)
    usual = rig.session.status().audio.latency_seconds
    assert usual == rig.session.status().audio.usual_latency_seconds
    rig.other.speed = 100.0  # empties any ring between two looks of the feeder
    rig.clock.run_until(lambda: rig.session.status().audio.ran_dry >= 2, rig.describe)
    rig.other.speed = 1.0
    grown = rig.session.status().audio
    assert grown.latency_seconds > 2.5 * usual and grown.usual_latency_seconds == usual
    rig.clock.run_until(lambda: rig.session.status().audio.latency_seconds == usual, rig.describe)
    assert rig.session.status().audio.ran_dry == grown.ran_dry, "without a hole"


# ---------------------------------------------------------------------- no device, and inputs


class TakesFiles(BadStack):
    """As a model does, it may continue a sound."""

    def __init__(self, clock: TurnedClock) -> None:
        super().__init__(clock)
        self.context_file: object = None


def test_a_device_that_is_not_there_is_no_device_until_one_is_chosen(tmp_path: Path) -> None:
    """The word and the reason stay whatever else is done, such as loading a sound."""
    clock = TurnedClock()
    soundfile.write(tmp_path / "loop.wav", 0.1 * np.sin(np.arange(44_100) / 20), 44_100)
    with staged(clock) as sound:
        stage_device = sound.add(STAGE)
        options = SessionOptions(device="Foo", midi=(), takes=tmp_path / "takes")
        session = Session(options, TakesFiles(clock), clock)
        try:
            session.open()
            session.load_context_file(tmp_path / "loop.wav")
            assert "'Foo'" in session.status().audio.problem
            session.start()
            clock.run_until(lambda: stage_word(session.status()).device, "the word")
            word = stage_word(session.status())
            assert word.alarm and "no sound device" in word.why and "'Foo'" in word.why
            clock.run_until(lambda: session.status().note.startswith("context: loop.wav"), "the sound read")
            with pytest.raises(DeviceError, match="Nowhere"):
                session.choose_audio_device("Nowhere")
            assert stage_word(session.status()) == word
            session.choose_audio_device(STAGE)
            clock.run_until(lambda: stage_device.loudest > LOUD, "sound")
            assert stage_word(session.status()).word is Word.PLAYING
            session.choose_audio_device(NULL_DEVICE)
            word = stage_word(session.status())
            assert word.device == NO_DEVICE and not word.alarm, "chosen, so it is no fault"
        finally:
            session.close()


def test_an_input_that_is_refused_leaves_the_old_one_open(rig: StageRig) -> None:
    rig.session.choose_input_device(STAGE)
    with pytest.raises(DeviceError, match="Nowhere"):
        rig.session.choose_input_device("Nowhere")
    assert rig.session.status().audio.input_device == STAGE
    assert rig.session.audio.latest_input(100) is not None
    rig.session.choose_input_device(OTHER)
    assert rig.session.status().audio.input_device == OTHER
    rig.session.choose_input_device("")
    assert rig.session.status().audio.input_device == "" and rig.session.audio.latest_input(100) is None
