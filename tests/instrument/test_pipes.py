"""A pipe in the place of a take's file: nobody waits for ever. Each reader runs in a process that would be ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_record import RATE, block, until

from jbdiff_live.record.recorder import Recorder
from jbdiff_live.record.take import EVENTS, INFO

READER = """
import sys
from pathlib import Path
from jbdiff_live.record.again.states import kept_states
from jbdiff_live.record.again.sounds import KeptSounds
from jbdiff_live.record.picture import draw
from jbdiff_live.record.repair import broken_takes, repair_take
from jbdiff_live.record.shelf.listing import Takes
from jbdiff_live.record.shelf.notes import all_marks
from jbdiff_live.record.shelf.wave import TakeWave
from jbdiff_live.record.take import TakeError, open_take
from jbdiff_live.replay.edits import read_edits

folder = Path(sys.argv[1])
broken_takes(folder.parent)
print([facts.problem for facts in Takes().list(folder.parent)])
for read in (
    lambda: all_marks(open_take(folder)), lambda: TakeWave(open_take(folder)).close(), lambda: draw(open_take(folder)),
    lambda: kept_states(folder), lambda: KeptSounds(folder).sound("live"), lambda: read_edits(folder / "edits.toml"),
    lambda: repair_take(folder),
):
    try:
        read()
    except (TakeError, ValueError) as error:
        print(error)
"""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with a name")
@pytest.mark.parametrize(
    "name", [INFO, EVENTS, "audio.wav", "states/000000.json", "sounds/live.wav", "edits.toml"]
)
def test_a_pipe_is_no_file_of_a_take(tmp_path: Path, name: str) -> None:
    recorder = Recorder(RATE, 2)
    recorder.start(tmp_path, 0, {}, [block(0)])
    try:
        until(lambda: recorder.status().frames == 1000)
    finally:
        recorder.close()
    (folder,) = tmp_path.iterdir()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    done = subprocess.run(
        [sys.executable, "-c", READER, str(folder)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and "no file" in done.stdout, done
