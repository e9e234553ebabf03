"""`scripts/judge_setup`: what it would install, and what it says."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from jbdiff.evaluate.metrics.transcribe import SETUP

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture()
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    loader = importlib.machinery.SourceFileLoader("judge_setup", str(ROOT / SETUP))
    spec = importlib.util.spec_from_loader("judge_setup", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    monkeypatch.setattr(module.bootstrap, "ready", lambda: Path(sys.executable))
    return module


def test_the_model_comes_without_its_dependencies_and_the_runtime_is_that_of_the_extra(
    script: ModuleType,
) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    runtime, model = (words for words, _ in script.commands(Path("python")))
    assert extras["judge"] == [runtime[-1]]
    assert model[-1].startswith("basic-pitch==") and "--no-deps" in model and "--no-deps" not in runtime


def test_it_installs_both_and_fails_if_the_transcriber_does_not_load(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []
    monkeypatch.setattr(script.bootstrap, "run", lambda command, doing: ran.append(command[-1]))
    monkeypatch.setattr(script, "CHECK", "print('the model')")
    script.main()
    assert ran == [script.ONNXRUNTIME, script.BASIC_PITCH]
    assert "notes can be judged now, with the model" in capsys.readouterr().out
    monkeypatch.setattr(script, "CHECK", "raise SystemExit('no model')")
    with pytest.raises(SystemExit, match=r"does not load:\nno model"):
        script.main()
