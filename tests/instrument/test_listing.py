"""What `--list` prints, to a reader that does not read it all."""

from __future__ import annotations

import subprocess
import sys

_LISTS = """
from jbdiff_live.start.listing import reader_may_go
with reader_may_go():
    for number in range(20_000):
        print("a line of the list", number)
"""


def test_a_reader_that_stops_reading_ends_the_list_without_a_word() -> None:
    """As `jbdiff-live --list | head -3`: a full pipe whose other end is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", _LISTS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "a line of the list 0\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0
    process.stderr.close()
