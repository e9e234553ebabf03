"""Sound through real servers, captured behind them and compared sample by sample."""

from __future__ import annotations

import re

import numpy as np
import pytest
from instrument.player import SINE_HZ, Player
from servers import jack_server, pulse_server, ramp_breaks, wait_for

JACK = "JACK: system"

# A server that waits for a processor makes holes nobody can tell from ours; a fault of ours shows every time.
pytestmark = [pytest.mark.flaky(reruns=2), pytest.mark.realtime]


def test_pulseaudio_hears_what_was_made_from_the_fade_in_to_the_fade_out() -> None:
    with pulse_server() as server, Player(server.env) as player, server.capturing() as heard:
        player.ask("open pulse")
        player.ask("start")
        wait_for(lambda: player.ask("status")["heard"] > 5 * 44_100, "five seconds")
        player.ask("stop")
        sound = heard()
    assert player.code == 0
    frames, breaks = ramp_breaks(sound)
    assert frames > 4.5 * 44_100
    assert len(breaks) == 0, f"{len(breaks)} breaks, first at {breaks[:5]} of {frames}"
    assert np.abs(np.diff(sound[:, 0])).max() < 0.002, "the ramp ends by a fade, not by a click"


def test_a_48_khz_server_gets_the_same_pitch_without_clicks() -> None:
    with jack_server(rate=48_000) as server, Player(server.env, "sine") as player:
        player.ask(f"open {JACK}")
        player.ask("start")
        heard = server.capture(3)[4800:, 0].astype(np.float64)
        status = player.ask("status")
    assert "resampled to 48000" in status["device"] and status["sample_rate"] == 48_000
    time = np.arange(len(heard)) / 48_000
    turning = 2 * np.pi * SINE_HZ * time
    wave = np.stack([np.sin(turning), np.cos(turning)], axis=1)
    fit, *_ = np.linalg.lstsq(wave, heard, rcond=None)
    assert np.hypot(*fit) == pytest.approx(0.5, abs=1e-3)
    assert np.abs(heard - wave @ fit).max() < 1e-3, "every sample lies on one sine of the right frequency"


def test_devices_are_switched_and_a_failed_switch_leaves_the_old_one_playing() -> None:
    with jack_server() as jack, pulse_server() as pulse:
        env = {**jack.env, "XDG_RUNTIME_DIR": pulse.env["XDG_RUNTIME_DIR"], "HOME": pulse.env["HOME"]}
        with Player(env) as player:
            names = player.ask("list")
            assert names[0] == JACK and "ALSA: pulse" in names
            player.ask("open")  # the default: a JACK server that runs is meant to be used
            player.ask("start")
            with jack.capturing(3) as heard:
                with pytest.raises(RuntimeError, match=re.escape(JACK)):
                    player.ask("open no such device")
                frames, breaks = ramp_breaks(heard(), settle=0)
            assert frames > 2 * 44_100 and len(breaks) == 0
            with pulse.capturing() as heard_by_pulse:
                after = player.ask("open ALSA: pulse")
                assert after["device"] == "ALSA: pulse" and after["running"]
                wait_for(
                    lambda: player.ask("status")["heard"] > after["heard"] + 2 * 44_100, "two seconds later"
                )
                player.ask(f"open {JACK}")
                sound = heard_by_pulse()
            frames, breaks = ramp_breaks(sound)
            assert frames > 44_100 and len(breaks) == 0
            frames, breaks = ramp_breaks(jack.capture(2), settle=0)
            assert frames > 44_100 and len(breaks) == 0
        assert player.code == 0


def test_sound_comes_back_after_the_jack_server_died() -> None:
    with jack_server() as server, Player(server.env) as player:
        player.ask(f"open {JACK}")
        player.ask("start")
        server.wait_port("PortAudio:out_0")
        for _ in range(2):
            server.kill()
            wait_for(lambda: "gone" in player.ask("status")["problem"], "the loss is told")
            lost = player.ask("status")
            later = lost["heard"] + 44_100
            wait_for(lambda at=later: player.ask("status")["heard"] > at, "time goes on without it")
            server.start()
            wait_for(lambda: player.ask("status")["problem"] == "", "the device is back")
            frames, breaks = ramp_breaks(server.capture(2), settle=2048)
            assert frames > 44_100 and len(breaks) == 0
        assert player.ask("status")["device"] == JACK
    assert player.code == 0


@pytest.mark.parametrize(
    "commands", [(), ("start", "stop"), ("start",)], ids=["opened", "stopped", "playing"]
)
@pytest.mark.parametrize("returned", [False, True])
def test_quitting_after_the_jack_server_died_is_no_crash(commands: tuple[str, ...], returned: bool) -> None:
    with jack_server() as server, Player(server.env) as player:
        player.ask(f"open {JACK}")
        for command in commands:
            player.ask(command)
        server.kill()
        if returned:
            server.start()
    assert player.code == 0


def test_sound_comes_back_after_pulseaudio_died() -> None:
    with pulse_server() as server, Player(server.env) as player:
        player.ask("open pulse")
        player.ask("start")
        wait_for(lambda: player.ask("status")["heard"] > 10_000, "sound")
        server.kill()
        wait_for(lambda: "gone" in player.ask("status")["problem"], "the loss is told")
        server.start()
        wait_for(lambda: player.ask("status")["problem"] == "", "the device is back")
        with server.capturing() as heard:
            start = player.ask("status")["heard"]
            wait_for(lambda: player.ask("status")["heard"] > start + 2 * 44_100, "two more seconds")
            player.ask("stop")
            frames, breaks = ramp_breaks(heard())
        assert frames > 44_100 and len(breaks) == 0
    assert player.code == 0


@pytest.mark.parametrize("kind", ["jack", "pulse"])
def test_a_server_that_hangs_is_told_and_sound_comes_back_with_it(kind: str) -> None:
    """What the player reads after so many stalled seconds: tests/instrument/test_stage_faults.py."""
    make, name = (jack_server, JACK) if kind == "jack" else (pulse_server, "pulse")
    # What was freed holds garbage: the end of the process is bad if the lost stream plays on from freed memory.
    with make() as server, Player({**server.env, "MALLOC_PERTURB_": "165"}) as player:
        player.ask(f"open {name}")
        player.ask("start")
        wait_for(lambda: player.ask("status")["heard"] > 10_000, "sound")
        server.hang()
        wait_for(lambda: player.ask("status")["stalled_seconds"] > 1.5, "it takes no sound")
        assert player.ask("status")["peak"] == [0.0, 0.0], "meters show what is heard"
        wait_for(lambda: "takes no sound any more" in player.ask("status")["problem"], "the reason")
        assert player.ask("status")["nowhere"]
        server.go_on()
        wait_for(lambda: player.ask("status")["problem"] == "", "the device is back")
        start = player.ask("status")["heard"]
        wait_for(lambda: player.ask("status")["heard"] > start + 44_100, "a second more")
    assert player.code == 0


@pytest.mark.parametrize("kind", ["jack", "pulse"])
def test_quitting_while_the_server_hangs_ends(kind: str) -> None:
    make, name = (jack_server, JACK) if kind == "jack" else (pulse_server, "pulse")
    with make() as server, Player(server.env) as player:
        player.ask(f"open {name}")
        player.ask("start")
        wait_for(lambda: player.ask("status")["heard"] > 10_000, "sound")
        player.ask("patience 1")
        server.hang()
    assert player.code == 0


@pytest.mark.parametrize("kind", ["jack", "pulse"])
def test_a_device_whose_server_hangs_is_refused_with_words_and_opens_later(kind: str) -> None:
    make, name = (jack_server, JACK) if kind == "jack" else (pulse_server, "pulse")
    with make() as server, Player(server.env) as player:
        player.ask("patience 1")
        server.hang()
        with pytest.raises(RuntimeError, match="does not answer; restart its sound server"):
            player.ask(f"open {name}")
        server.go_on()
        player.ask("patience 90")
        assert name in player.ask(f"open {name}")["device"]
    assert player.code == 0


def test_no_server_at_all_is_an_error_with_words() -> None:
    with jack_server() as server:
        env = {**server.env, "JACK_DEFAULT_SERVER": "none", "HOME": str(server.folder)}
        with Player(env) as player:
            assert player.ask("list") == []
            with pytest.raises(RuntimeError, match="no sound output device"):
                player.ask("open")
    assert player.code == 0


def test_live_input_holds_what_came_in_last() -> None:
    with jack_server() as server, Player(server.env, "sine") as player:
        player.ask(f"open {JACK}")
        player.ask("start")
        server.wait_port("PortAudio:out_0")
        with Player(server.env) as listener:
            listener.ask(f"input {JACK}")
            listening = next(p for p in server.ports() if p.startswith("PortAudio-") and "in_0" in p)
            server.connect("PortAudio:out_0", listening)
            server.connect("PortAudio:out_1", listening.replace("in_0", "in_1"))

            def clean() -> bool:
                latest = np.array(listener.ask("latest"))
                turning = 2 * np.pi * SINE_HZ / 44_100 * np.arange(len(latest))
                wave = np.stack([np.sin(turning), np.cos(turning)], axis=1)
                fit, *_ = np.linalg.lstsq(wave, latest, rcond=None)
                return bool(abs(np.hypot(*fit) - 0.5) < 1e-3 and np.abs(latest - wave @ fit).max() < 1e-3)

            wait_for(clean, "the sine of the other process")
            assert listener.ask("status")["input"] == JACK
    assert player.code == 0
