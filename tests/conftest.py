"""For every test: one torch thread, and no thread or Qt timer left behind. Sound servers as fixtures."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two busy torch processes wait more than they compute
os.environ["COLUMNS"] = "200"  # tables hold whole paths, however long the temporary folder's is
sys.path.insert(0, str(Path(__file__).parent))

from servers import JackServer, PulseServer, jack_server, pulse_server

with contextlib.suppress(ImportError):  # a machine that was set up for the tests of a GPU alone
    import hypothesis

    # A machine that has other work takes longer over an example, and that says nothing about the code.
    hypothesis.settings.register_profile("any machine", deadline=None)
    hypothesis.settings.load_profile("any machine")

_started_at: dict[int, str] = {}
_plain_start = threading.Thread.start


def _remembering_start(thread: threading.Thread) -> None:
    _started_at[id(thread)] = "".join(traceback.format_stack(limit=8)[:-1])
    _plain_start(thread)


threading.Thread.start = _remembering_start  # type: ignore[method-assign]


@pytest.fixture(scope="session", autouse=True)
def a_players_configuration_is_left_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Patches and maps of controllers are read from, and kept in, an empty folder."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("configuration")))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        monkeypatch.setenv("XDG_MUSIC_DIR", str(tmp_path_factory.mktemp("music")))
        yield


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Share the tests out between processes, and leave the long runs with damaged files out unless asked for."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    if config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("fuzz")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _group(item: pytest.Item) -> str:
    """Tests of one group run in one process, one after the other: those with sound servers, and those of one file.

    JACK servers share one table of the machine, and tests in real time disturb each other.
    """
    module = getattr(item, "module", None)
    real = any(hasattr(module, name) for name in ("jack_server", "JackServer", "Player", "needs_jack"))
    return "servers" if real or {"jack", "pulse"} & set(getattr(item, "fixturenames", ())) else item.path.name


@pytest.fixture(autouse=True)
def priority_is_put_back() -> Iterator[None]:
    """A test that starts the instrument in this process puts it before all others, also before the next test's loader.

    The tests' other process would then starve it for minutes.
    """
    if not hasattr(os, "getpriority"):
        yield
        return
    before = os.getpriority(os.PRIO_PROCESS, 0)
    yield
    if os.getpriority(os.PRIO_PROCESS, 0) != before:
        os.setpriority(os.PRIO_PROCESS, 0, before)


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Fails a test that leaves a thread running or a Qt timer ticking, and says where it was started."""
    before = set(threading.enumerate())
    timers = _active_timers()
    yield
    until = time.monotonic() + 20.0
    for thread in set(threading.enumerate()) - before:
        # Pools of libraries (executors, tqdm's monitor) live as long as the process, by design.
        if not thread.name.startswith(("ThreadPoolExecutor", "tqdm", "asyncio", "Dummy")):
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                pytest.fail(
                    f"thread {thread.name!r} still runs; started at\n{_started_at.get(id(thread), '?')}"
                )
    left = _active_timers() - timers
    if left:
        pytest.fail(f"{len(left)} Qt timers still tick: {[name for _, name in left]}")
    _started_at.clear()


def _active_timers() -> set[tuple[int, str]]:
    """Qt timers that tick below a living widget or the application, when Qt is in use at all."""
    widgets = sys.modules.get("PySide6.QtWidgets")
    core = sys.modules.get("PySide6.QtCore")
    if widgets is None or core is None:
        return set()
    application = widgets.QApplication.instance()
    if application is None:
        return set()
    found = set()
    for owner in (application, *application.topLevelWidgets()):
        for timer in owner.findChildren(core.QTimer):
            if timer.isActive():
                found.add((id(timer), f"{type(owner).__name__}.{timer.objectName() or 'unnamed'}"))
    return found


@pytest.fixture
def jack() -> Iterator[JackServer]:
    """A synchronous JACK server at 44.1 kHz; see `tests/servers.py` for others."""
    with jack_server() as server:
        yield server


@pytest.fixture
def pulse() -> Iterator[PulseServer]:
    """A PulseAudio server with a null sink."""
    with pulse_server() as server:
        yield server
