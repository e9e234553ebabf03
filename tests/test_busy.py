"""The rule for tests of sound in real time: a failure counts unless the machine itself kept a process waiting."""

from __future__ import annotations

import types
from pathlib import Path

import pytest
from busy import MOST_SECONDS, Watch


def outcome(
    request: pytest.FixtureRequest, result: str, waited: float, when: str = "call"
) -> tuple[str, object]:
    """What becomes of a report, by the hook of the suite's own conftest."""
    conftest = request.config.pluginmanager.get_plugin(str(Path(__file__).with_name("conftest.py")))
    item = types.SimpleNamespace(
        stash={conftest._waited: waited}, path=Path("t.py"), location=("t.py", 3, "t")
    )
    report = types.SimpleNamespace(when=when, outcome=result, failed=result == "failed", longrepr="why")
    hook = conftest.pytest_runtest_makereport(item, None)
    next(hook)
    with pytest.raises(StopIteration) as ended:
        hook.send(report)
    return ended.value.value.outcome, ended.value.value.longrepr


def test_a_failure_on_a_free_machine_counts(request: pytest.FixtureRequest) -> None:
    assert outcome(request, "failed", MOST_SECONDS / 2) == ("failed", "why")


def test_a_failure_on_a_busy_machine_is_skipped_with_its_reason(request: pytest.FixtureRequest) -> None:
    result, reason = outcome(request, "failed", 0.34)
    assert result == "skipped" and "a process waited 340 ms for a processor" in str(reason)


def test_what_passes_passes_and_a_broken_fixture_counts(request: pytest.FixtureRequest) -> None:
    assert outcome(request, "passed", 9.9)[0] == "passed"
    assert outcome(request, "failed", 9.9, when="setup")[0] == "failed"


def test_the_watch_tells_how_long_it_was_kept_waiting() -> None:
    assert 0 <= Watch().stop() < 600
