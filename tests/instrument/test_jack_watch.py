"""The watch on a JACK server, against real servers."""

from __future__ import annotations

import itertools

import pytest
from servers import JackServer, jack_server, wait_for

from jbdiff_live.control.midi.clock_port import ClockPort
from jbdiff_live.control.midi.jack_watch import JackWatch, watch_server


def choose(server: JackServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JACK_DEFAULT_SERVER", "JACK_NO_START_SERVER"):
        monkeypatch.setenv(name, server.env[name])


def test_a_watch_is_kept_for_the_next_user_of_its_server(
    jack: JackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails where a client is closed: libjack then now and then blocks every later one of the process."""
    choose(jack, monkeypatch)
    first, second = watch_server("first"), watch_server("second")
    assert first is not second
    first.release()
    assert watch_server("third") is first
    second.release()
    with jack_server() as other:
        choose(other, monkeypatch)
        elsewhere = watch_server("first")
        assert elsewhere not in (first, second) and elsewhere.server_lives()
        elsewhere.release()
    choose(jack, monkeypatch)
    assert watch_server("first") is second
    assert first.period_seconds() == second.period_seconds() > 0


def test_a_watch_on_a_server_that_ended_is_not_used_again(
    jack: JackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(jack, monkeypatch)
    before, during = watch_server("before"), watch_server("during")
    before.release()
    jack.kill()
    wait_for(lambda: not before.server_lives() and not during.server_lives(), "the end is noticed")
    during.release()
    with pytest.raises(OSError, match="no JACK server is running"):
        watch_server("none")
    jack.start()
    found: list[JackWatch] = [watch_server("after"), watch_server("after")]
    assert before not in found and during not in found and all(watch.server_lives() for watch in found)
    for watch in found:
        watch.release()


def test_a_clock_output_that_is_missing_is_awaited_with_one_client(
    jack: JackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails where a client is opened and closed every second, and JACK rebuilds its graph each time."""
    choose(jack, monkeypatch)
    port, seconds = ClockPort("drums", "UNIX_JACK"), itertools.count(10.0, 2.0)
    try:
        port.send([], next(seconds))
        client = port._client
        assert client is not None and "no MIDI output 'drums'" in port.problem
        port.send([b"\xf8"], next(seconds))
        assert port._client is client
    finally:
        port.close()
