"""One word for what is heard, in any order of what a player may do and of what may break. A turned clock throughout."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import sampled_from
from instrument.stage_rig import GENEROUS, LOUD, OTHER, STAGE, StageRig, stage
from misbehaving import Fault

from jbdiff_live.audio.sink import DeviceError
from jbdiff_live.audio.switch import NULL_DEVICE
from jbdiff_live.stage_word import Word

SMOOTH = 0.02  # largest step of a fade or of the tone at its loudest; a cut makes ten times as much


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[StageRig]:
    with stage(tmp_path) as rig:
        yield rig


class AnyOrder(RuleBasedStateMachine):
    """Random orders of start, stop, panic, load, fail, hang, device lost and back, record and close.

    Whatever the order: once nothing is in the way, the music sounds, and the word says PLAYING. A word that says
    PLAYING is true. No thread stays, and every take is closed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.before = set(threading.enumerate())
        self.folder = tempfile.TemporaryDirectory(prefix="jbl-")
        self.lives = 0
        self._open()

    def _open(self) -> None:
        self.lives += 1
        self.playing = self.muted = self.failed = False
        self._stage = stage(Path(self.folder.name) / str(self.lives))
        self.rig = self._stage.__enter__()

    def _close(self) -> None:
        self.rig.stack.fault = Fault.NONE  # a block that hangs ends, so that its thread can be waited for
        self._stage.__exit__(None, None, None)
        self.rig.closed_takes()
        left = set(threading.enumerate()) - self.before
        for thread in left:
            thread.join(10)
        assert not [thread.name for thread in left if thread.is_alive()]
        assert self.rig.stack.closed and self.rig.sound.open_streams == 0
        steps = max(self.rig.device.largest_step, self.rig.other.largest_step)
        assert steps < SMOOTH or self.holes, "sound fades, it does not click"

    @property
    def holes(self) -> int:
        return self.rig.session.status().audio.underruns

    # What a player does

    @rule()
    def start(self) -> None:
        if self.hanging:
            with pytest.raises(RuntimeError, match="cannot start: a block hangs"):
                self.rig.session.start()
        else:
            self.rig.session.start()
            self.playing, self.failed = True, False

    @rule()
    def stop(self) -> None:
        if self.rig.stack.fault is Fault.HANGS:
            self.rig.session._patience = 0.02
        try:
            self.rig.session.stop()
        except TimeoutError as error:
            assert self.rig.stack.fault is Fault.HANGS and "hangs in the model" in str(error)
        finally:
            self.rig.session._patience = 30.0
        self.playing = False
        assert not self.rig.session.status().audio.running
        assert not self.rig.session.status().recorder.recording

    @rule()
    def panic(self) -> None:
        self.rig.session.trigger("panic")

    @rule()
    def reroll(self) -> None:
        self.rig.session.trigger("reroll")

    @rule()
    def mute(self) -> None:
        self.muted = not self.muted
        self.rig.session.set_parameter("mute", float(self.muted))

    @rule(name=sampled_from(["drift", "wild"]))
    def load_patch(self, name: str) -> None:
        self.rig.session.load_patch(self.rig.session.patches()[name])

    @rule()
    def load_a_sound_that_this_stack_does_not_take(self) -> None:
        path = Path(self.folder.name) / "sound.wav"
        if not path.exists():
            soundfile.write(path, 0.1 * np.sin(np.arange(4410) / 20), 44_100)
        with pytest.raises(ValueError, match="takes no context file"):
            self.rig.session.load_context_file(path)

    @rule()
    def record(self) -> None:
        if not self.rig.session.status().recorder.recording:
            self.rig.session.start_recording()

    @precondition(lambda self: not self.playing)
    @rule()
    def record_from_the_first_sound(self) -> None:
        if not self.rig.session.status().recorder.recording:
            self.rig.session.record_from_first_block()

    @rule()
    def stop_recording(self) -> None:
        self.rig.session.stop_recording()

    @rule(name=sampled_from([STAGE, OTHER, NULL_DEVICE, "Nowhere"]))
    def choose_device(self, name: str) -> None:
        there = name == NULL_DEVICE or (name in (STAGE, OTHER) and self.rig.sound.add(name).there)
        try:
            self.rig.session.choose_audio_device(name)
        except DeviceError:
            assert not there

    @rule()
    def close_and_open_again(self) -> None:
        self._close()
        self._open()

    # What breaks

    @precondition(lambda self: self.rig.stack.fault is Fault.NONE)
    @rule(fault=sampled_from([Fault.RAISES, Fault.NAN, Fault.EXPLODES, Fault.WRONG_LENGTH, Fault.EMPTY]))
    def break_the_stack(self, fault: Fault) -> None:
        self.rig.stack.fault = fault
        if self.playing:
            self.rig.wait_for(Word.FAILED)
            self.playing = False
            self.failed = True
        self.rig.stack.fault = Fault.NONE

    @precondition(lambda self: self.rig.stack.fault is Fault.NONE)
    @rule(fault=sampled_from([Fault.LATE, Fault.HANGS]))
    def hold_the_stack_up(self, fault: Fault) -> None:
        self.rig.stack.fault = fault
        if self.playing:
            self.rig.clock.run_until(self.rig.stack.in_block.is_set, "the block that hangs")

    @rule()
    def let_the_stack_go_on(self) -> None:
        """A thread that was asked to stop ends now. Until then it would depend on timing whether it hangs again."""
        self.rig.stack.fault = Fault.NONE
        self.rig.clock.run_until(lambda: not self._stopping, "the end of what hung")

    @rule()
    def lose_the_device(self) -> None:
        self.rig.device.there = False

    @rule()
    def bring_the_device_back(self) -> None:
        self.rig.device.there = True

    # What has to hold

    @property
    def hanging(self) -> bool:
        """Whether the engine's thread was asked to stop and hangs."""
        return self.rig.stack.fault is Fault.HANGS and not self.playing and self.rig.stack.in_block.is_set()

    @rule()
    def listen(self) -> None:
        """The player looks at the word, and the audience listens for a second."""
        self.rig.clock.run(0.2)
        devices = (self.rig.device, self.rig.other)
        before = self.rig.word
        for device in devices:
            device.loudest = 0.0
        self.rig.clock.run(1.0)
        words = (before, self.rig.word)
        if all(word.word is Word.PLAYING and not word.device for word in words):
            assert max(device.loudest for device in devices) > LOUD, self.rig.describe()

    @invariant()
    def a_failure_stays_to_be_read(self) -> None:
        if self.failed and self.playing is False:
            assert self.rig.word.word is Word.FAILED, self.rig.describe()

    def teardown(self) -> None:
        """Everything is mended, and the player presses start: it sounds."""
        try:
            rig = self.rig
            self.let_the_stack_go_on()
            self.bring_the_device_back()
            if self.muted:
                self.mute()
            self.choose_device(STAGE)
            self.start()
            assert rig.wait_for_sound() < GENEROUS
        finally:
            self._close()
            self.folder.cleanup()

    @property
    def _stopping(self) -> bool:
        thread = self.rig.session.engine._thread
        return not self.playing and thread is not None and thread.is_alive()


def test_in_any_order_of_use_and_faults_the_music_sounds_when_it_should() -> None:
    run_state_machine_as_test(
        AnyOrder,
        settings=settings(
            max_examples=50, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
