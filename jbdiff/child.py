"""End a child process. Threads: any; blocks until it has ended."""

from __future__ import annotations

import subprocess


def end_child(process: subprocess.Popen[str], seconds: float) -> None:
    """Ask a process to end, kill it if it still runs after some seconds, and close the pipe of its output."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()
