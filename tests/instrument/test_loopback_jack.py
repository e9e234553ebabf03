"""The loopback wizard through a real JACK server: our output is led into our input."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from servers import jack_server, wait_for

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.flaky(reruns=2), pytest.mark.realtime]


def test_the_wizard_measures_a_loop_keeps_it_and_says_so_if_there_is_none(tmp_path: Path) -> None:
    with jack_server(period=256, synchronous=False) as server:
        env = {**server.env, "XDG_CONFIG_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join([str(ROOT)])}
        command = [sys.executable, "-m", "jbdiff_live", "--measure-loopback", "--input", "JACK: system"]
        wizard = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            wait_for(lambda: len(server.outputs()) == 2, "our output")
            wait_for(
                lambda: "PortAudio-01:in_0" in server.ports() or "PortAudio:in_0" in server.ports(),
                "our input",
            )
            into = next(port for port in server.ports() if port.endswith(":in_0"))
            server.connect(server.outputs()[0], into)
            said, problem = wizard.communicate(timeout=60)
        finally:
            if wizard.poll() is None:
                wizard.kill()
                wizard.communicate()
    assert wizard.returncode == 0, problem
    late = re.search(r"comes (-?[\d.]+) ms late", said)
    assert late is not None and abs(float(late[1])) < 120, said
    kept = (tmp_path / "jbdiff-live" / "loopback.toml").read_text()
    assert "JACK: system" in kept
