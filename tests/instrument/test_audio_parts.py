"""The small parts of the sound path by themselves: length of the short ring, rate, holes, priority, a hung server."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from servers import wait_for
from turned_clock import TurnedClock

from jbdiff_live.audio import portaudio
from jbdiff_live.audio.marks import LATELY_SECONDS, Lately
from jbdiff_live.audio.rate import WINDOW_SECONDS, RateMeter
from jbdiff_live.audio.short_ring import CALM_SECONDS, MOST_CALM_SECONDS, MOST_GROWTH, ShortRingLength
from jbdiff_live.audio.sink import DeviceError
from jbdiff_live.system.thread_priority import NICE, Priority, go_first, process_goes_first, process_priority

USUAL = 4096


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


def visit(length: ShortRingLength, clock: TurnedClock, seconds: float, played: int) -> None:
    """The feeder comes twenty times a second; the device has played so many frames each time."""
    for _ in range(round(seconds * 20)):
        length.filled(length.frames)
        clock._now += 0.05
        length.see(length.frames - played)


def test_the_short_ring_grows_with_each_hole_and_shrinks_step_by_step_when_it_is_calm(
    clock: TurnedClock,
) -> None:
    length = ShortRingLength(USUAL, clock)
    visit(length, clock, 2 * CALM_SECONDS, 256)
    assert length.frames == USUAL, "it never gets shorter than it was"
    for _ in range(5):
        length.ran_dry()
    assert length.frames == length.most == MOST_GROWTH * USUAL
    visit(length, clock, CALM_SECONDS - 1, 256)
    assert length.frames == 4 * USUAL
    visit(length, clock, 2, 256)
    assert length.frames == 2 * USUAL
    visit(length, clock, CALM_SECONDS + 1, 256)
    assert length.frames == USUAL


def test_it_stays_long_while_the_machine_stalls_for_longer_than_a_shorter_ring_lasts(
    clock: TurnedClock,
) -> None:
    length = ShortRingLength(USUAL, clock)
    length.ran_dry()
    visit(length, clock, 3 * CALM_SECONDS, USUAL - 200)
    assert length.frames == 2 * USUAL


def test_a_shorter_ring_that_ran_dry_is_tried_less_and_less_often(clock: TurnedClock) -> None:
    """A trial that fails is a hole that is heard."""
    length = ShortRingLength(USUAL, clock)
    length.ran_dry()
    waited = []
    for _ in range(8):
        began = clock.now()
        while length.frames > USUAL:
            visit(length, clock, 1.0, 256)
        waited.append(clock.now() - began)
        length.ran_dry()
    doubled = [min(MOST_CALM_SECONDS, CALM_SECONDS * 2**n) for n in range(8)]
    assert waited == pytest.approx(doubled, abs=1.1)


@pytest.mark.parametrize(("speed", "wrong"), [(1.0, False), (1.02, False), (0.5, True), (48 / 44.1, True)])
def test_a_device_at_another_rate_is_found_out_and_a_pause_of_the_server_is_not_taken_for_one(
    clock: TurnedClock, speed: float, wrong: bool
) -> None:
    meter, played = RateMeter(44_100, clock), 0.0
    for tick in range(round(5 * WINDOW_SECONDS / 0.05)):
        clock._now += 0.05
        played += (
            0.0 if 400 <= tick < 426 else 0.05 * 44_100 * speed
        )  # PulseAudio was seen to pause for 1.3 s
        meter.see(int(played))
    assert (meter.measured > 0) == wrong
    if wrong:
        assert meter.measured == pytest.approx(44_100 * speed, rel=0.03)
    meter.restart()
    for _ in range(round(3 * WINDOW_SECONDS / 0.05)):
        clock._now += 0.05
        played += 0.05 * 44_100
        meter.see(int(played))
    assert meter.measured == 0.0


def test_holes_are_counted_for_ten_seconds(clock: TurnedClock) -> None:
    lately = Lately(clock)
    lately.begin(7)  # another stream's
    lately.see(7)
    assert lately.growth == 0
    for total in (9, 10):
        lately.see(total)
        clock._now += LATELY_SECONDS / 2
    assert lately.growth == 1
    clock._now += LATELY_SECONDS / 2
    assert lately.growth == 0


# ---------------------------------------------------------------------- priority


def test_the_session_group_goes_first_where_the_kernel_groups_by_session(tmp_path: Path) -> None:
    """A nice value counts only inside the group there; the group gets its old value back at the end."""
    group, grouping = tmp_path / "autogroup", tmp_path / "enabled"
    group.write_text("/autogroup-8 nice 3")
    grouping.write_text("1\n")
    code = (
        "from pathlib import Path; from jbdiff_live.system.thread_priority import process_goes_first\n"
        f"group, grouping = Path({str(group)!r}), Path({str(grouping)!r})\n"
        "process_goes_first(group, grouping); print(group.read_text())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.strip() == str(NICE)
    assert group.read_text() == "3"


@pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="no real-time scheduling here")
def test_a_kernel_without_priorities_ends_no_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A sandbox may know neither call; the feeder plays all the same."""

    def lacks(*anything: object) -> None:
        raise OSError(errno.ENOSYS, "no such call")

    monkeypatch.setattr(os, "sched_setscheduler", lacks)
    monkeypatch.setattr(os, "setpriority", lacks)
    assert go_first() == "normal"
    assert process_goes_first(tmp_path / "none", tmp_path / "none") == process_priority(tmp_path, tmp_path)


def test_the_priority_that_was_got_is_put_into_words(tmp_path: Path) -> None:
    group, grouping = tmp_path / "autogroup", tmp_path / "enabled"
    group.write_text("/autogroup-8 nice 0")
    grouping.write_text("1")
    assert process_priority(group, grouping).group == 0
    grouping.write_text("0")
    assert process_priority(group, grouping).group is None, "the value is there and does nothing"
    assert process_priority(tmp_path / "none", tmp_path / "none").group is None
    assert Priority(-11, 0).text == "as other programs (nice -11, session group 0)"
    assert Priority(0, -11).text == "before other programs (nice 0, session group -11)"
    assert Priority(-11).text == "before other programs (nice -11)"


# ---------------------------------------------------------------------- a sound server that hangs


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """PortAudio itself is not needed, and a call is given up at once."""
    monkeypatch.setattr(portaudio, "library", lambda: SimpleNamespace(PortAudioError=OSError))
    monkeypatch.setattr(portaudio, "ANSWER_SECONDS", 0.05)


def test_a_call_that_the_server_does_not_answer_is_given_up_and_closed_when_it_ends(no_library: None) -> None:
    server, late = threading.Event(), list[str]()

    def call() -> str:
        server.wait(90)
        return "a stream"

    with pytest.raises(DeviceError, match="cannot open X: the sound system does not answer; restart"):
        portaudio.patiently("cannot open X", call, late.append)
    with pytest.raises(DeviceError, match="listing: the sound system does not answer"):
        portaudio.patiently("listing", lambda: "the call before keeps the lock")
    server.set()
    wait_for(lambda: late == ["a stream"], "what came too late is closed", 60)
    wait_for(lambda: _answers() == "now", "the next call goes through", 60)


def _answers() -> str:
    try:
        return portaudio.patiently("asking", lambda: "now")
    except DeviceError:
        return ""


def test_an_error_of_a_call_is_its_callers(no_library: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portaudio, "ANSWER_SECONDS", 60.0)

    def call() -> None:
        raise OSError("busy")

    with pytest.raises(DeviceError, match="cannot start X: busy"):
        portaudio.patiently("cannot start X", call)
