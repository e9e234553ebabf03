"""From the ring through callback, JACK and recorder: no sample is lost, repeated or swapped, but for injected faults.

| fault | captured | take | log |
|---|---|---|---|
| none | every sample | the same samples | nothing |
| a take begins in the middle | goes on | begins with the sample that is heard then | its start frame |
| late blocks | one fade out, silence, one fade in | the same samples | two places, frames of late blocks |
| Python stalls, so the short ring runs dry | silence, then all samples | all samples | an underrun of the device |
| the sound server dies | nothing | goes on, as time does | the device's problem |
| the server is back | goes on | the same samples | the device's problem has ended |
| stop | one fade out | ends with the sample that is heard then | its length |

A machine that is busy adds faults of its own. They are in the log too, so the comparison holds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from instrument.player import RATE, Player
from instrument.wires import (
    FADE,
    assert_log_counts_each_hole,
    assert_log_names_each_sample,
    followed,
    runs,
    silences,
)
from servers import Capture, JackServer, jack_server, ramp, wait_for

from jbdiff_live.record.take import StateEvent, Take, UnderrunEvent, open_take

JACK = "JACK: system"
LONG = 900  # seconds; captures end earlier
PART = 500  # frames

pytestmark = [pytest.mark.flaky(reruns=2), pytest.mark.realtime]


def until(player: Player, seconds: float) -> None:
    """Wait until so many more seconds have been heard."""
    frame = player.ask("status")["heard"] + seconds * RATE
    wait_for(lambda: player.ask("status")["heard"] >= frame, f"{seconds} s of sound")


def the_take(folder: Path) -> Take:
    (only,) = folder.iterdir()
    take = open_take(only)
    assert take.info.closed_cleanly and take.info.dropped_blocks == 0
    return take


def the_engines(take: Take) -> np.ndarray:
    """Return what the engine made. AssertionError: it is not the ramp from the take's first frame on."""
    made = soundfile.read(take.folder / "engine.wav", dtype="float32", always_2d=True)[0]
    assert np.array_equal(made, ramp(take.info.start_frame + 1, len(made)))
    return made


def test_jack_and_the_take_have_ten_seconds_as_they_were_made(tmp_path: Path) -> None:
    with jack_server() as server, Player(server.env) as player:
        player.ask(f"open {JACK}")
        player.ask(f"record both {tmp_path}")
        with server.capturing(LONG) as heard:
            player.ask("start")
            until(player, 10.0)
            status = player.ask("finish")
            captured = heard(end_now=True)
    assert player.code == 0 and status["problem"] == ""
    take = the_take(tmp_path)
    sound = take.read()
    found = followed(captured, sound)
    assert (found.begin, found.end) == (0, len(sound)), "from the first sample to the last"
    breaks = assert_log_names_each_sample(take)
    assert_log_counts_each_hole(take, found.holes)
    assert status["short_frames"] or not breaks
    assert status["ran_dry"] >= len(found.holes)
    assert len(the_engines(take)) == take.frame_at(len(sound)) >= 10 * RATE


class Faults:
    """The table's faults, one after another, on one player: its captures before and after the server's death."""

    def __init__(self, server: JackServer, player: Player, folder: Path) -> None:
        self._server, self._player = server, player
        player.ask(f"open {JACK}")
        with server.capturing(LONG) as heard:
            player.ask("start")
            until(player, 0.5)
            player.ask(f"record both {folder}")
            until(player, 0.5)
            self._late_blocks()
            self._short_ring_dry()
            self.before = self._death(heard)
        server.start()
        wait_for(lambda: player.ask("status")["problem"] == "", "the device is back")
        with server.capturing(LONG) as heard:
            player.ask("go")
            until(player, 1.0)
            self.end = player.ask("finish")
            self.after = heard(end_now=True)

    def _late_blocks(self) -> None:
        self._player.ask("hold")
        wait_for(lambda: self._player.ask("status")["short_frames"] > 4 * FADE, "late blocks")
        self._player.ask("go")
        until(self._player, 0.5)

    def _short_ring_dry(self) -> None:
        before = self._player.ask("status")["ran_dry"]
        while self._player.ask("status")["ran_dry"] == before:
            self._player.ask("stall 0.4")
            until(self._player, 0.5)

    def _death(self, heard: Capture) -> np.ndarray:
        """Kill the server. Return what was captured. Blocks are late until it is back, so the return is in silence."""
        self._server.kill()
        wait_for(lambda: "gone" in self._player.ask("status")["problem"], "the loss is shown")
        late = self._player.ask("hold")["short_frames"]
        wait_for(lambda: self._player.ask("status")["short_frames"] > late + FADE, "silence")
        return heard(end_now=True)


def test_every_break_lies_at_an_injected_fault_of_the_log(tmp_path: Path) -> None:
    with jack_server() as server, Player(server.env) as player:
        faults = Faults(server, player, tmp_path)
    assert player.code == 0
    take = the_take(tmp_path)
    sound, first = take.read(), runs(faults.before)[0]
    made = the_engines(take)
    assert take.info.start_frame + len(made) == take.frame_at(len(sound))
    breaks = assert_log_names_each_sample(take)
    assert len(breaks) >= 2, "late blocks, and the time without a device"
    silent = sum(int(np.count_nonzero(sound[begin:end, 0] == 0.0)) for begin, end in breaks)
    events = list(take.events())
    late = sum(e.count for e in events if isinstance(e, UnderrunEvent) and e.cause == "late block")
    assert silent <= late + 8 * FADE, "a change of device has a short silence of its own"

    # Before the take and in it, up to the server's death.
    assert first.number == FADE + 1, "the capture begins with the first sample"
    assert runs(sound)[0].number == take.info.start_frame + 1
    one = followed(faults.before, sound)
    assert one.begin == 0 and len(one.holes) >= 1, "the stall"
    assert_log_counts_each_hole(take, one.holes)

    # From the return on. Only samples of the time without a device are in neither capture.
    begins = max(end for _, end in breaks if end >= one.end) - FADE
    two = followed(faults.after, sound[begins:])
    assert (two.begin, begins + two.end) == (0, len(sound)), "from the return to the last sample"
    assert_log_counts_each_hole(take, (*one.holes, *two.holes))
    problems = [e for e in events if isinstance(e, StateEvent) and e.name == "device_problem"]
    lost = next(e for e in problems if "gone" in str(e.value))
    back = next(e for e in problems if e.value == "" and e.frame >= lost.frame and e is not problems[0])
    assert take.frame_at(one.end) <= lost.frame <= back.frame <= take.frame_at(begins)


@pytest.mark.parametrize(
    "damage", ["lost", "repeated", "swapped", "channels swapped", "one channel", "silence"]
)
def test_the_comparison_finds_one_wrong_sample(damage: str) -> None:
    made = ramp(1, 4 * PART)
    wrong = made.copy()
    match damage:
        case "lost":
            wrong = np.delete(made, PART, axis=0)
        case "repeated":
            wrong = np.insert(made, PART, made[PART], axis=0)
        case "swapped":
            wrong[[PART, PART + 1]] = wrong[[PART + 1, PART]]
        case "channels swapped":
            wrong[PART] = wrong[PART, ::-1]
        case "one channel":
            wrong[PART, 1] = 0.0
        case "silence":
            wrong = np.insert(made, PART, np.zeros((5, 2), np.float32), axis=0)
    if damage == "one channel":
        with pytest.raises(AssertionError, match="opposite"):
            followed(wrong, made)
        return
    found = followed(wrong, made)
    assert found.end == len(made) and len(found.holes) == 1
    assert found.holes[0].lost == {"lost": 1, "repeated": -1}.get(damage, 0)
    assert found.holes[0].fades_in == (damage == "silence")
    assert found.holes[0].silence == (5 if damage == "silence" else 0)
    with pytest.raises(AssertionError, match="not one fade"):
        silences(wrong)
