"""Install libraries of the operating system if that is allowed, else name them. A failure never ends the set-up.

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence

from bootstrap_run import Failed, run, say

# Debian and Ubuntu packages: libraries that PortAudio and Qt load at run time ...
PLAY_PACKAGES = (
    "libportaudio2 libasound2-plugins libegl1 libgl1 libxkbcommon0 libxkbcommon-x11-0 libdbus-1-3 "
    "libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 libxcb-image0 libxcb-render-util0 "
    "libxcb-xinerama0 libfontconfig1 fonts-dejavu-core"
).split()
# ... and the real sound, MIDI and screen servers of the tests.
TEST_PACKAGES = "jackd2 libjack-jackd2-0 pulseaudio pulseaudio-utils xvfb xauth sox ffmpeg".split()
LOCK_SECONDS = 600
LOCK_LOOK_SECONDS = 5.0
# apt waits for dpkg's lock by itself, but not for the lock of the package lists.
LOCKED = ("Could not get lock", "Unable to lock", "is another process using it")


def missing_packages(wanted: Sequence[str]) -> list[str]:
    """Return the Debian packages of `wanted` that are not installed; empty on other systems."""
    if not shutil.which("dpkg-query"):
        return []
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *wanted],
        capture_output=True,
        text=True,
    )
    installed = {line.split()[0] for line in asked.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in wanted if name not in installed]


def root_prefix() -> list[str] | None:
    """Return the words before a command that needs root, such as sudo; None for a user who may not run it."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is None:
        return None
    if subprocess.run([sudo, "-n", "true"], capture_output=True).returncode == 0:
        return [sudo]
    return [sudo] if sys.stdin is not None and sys.stdin.isatty() else None  # it asks for the password


def line_for(packages: Sequence[str]) -> str:
    """Return the command line with which a person installs these packages."""
    return f"sudo apt-get install -y --no-install-recommends {' '.join(packages)}"


def install_packages(packages: Sequence[str]) -> bool:
    """Install Debian packages. If that is not allowed or fails, print the command line for it and return False."""
    prefix = root_prefix()
    if prefix is None:
        say(
            "some system libraries are missing and this user may not install them; sound or window may not open."
        )
        print(f"   The line that installs them: {line_for(packages)}", flush=True)
        return False
    say(f"installing system packages: {' '.join(packages)}")
    try:
        if (
            "jackd2" in packages
        ):  # jackd2's installer asks a question; the answer "no" changes nothing on the machine
            answer = "jackd2 jackd/tweak_rt_limits boolean false\n"
            subprocess.run([*prefix, "debconf-set-selections"], input=answer, text=True, check=False)
        try:
            _apt(prefix, ["update"], "reading the package lists")
        except Failed as error:  # one source may not answer, and another may have the packages
            say(f"not all package lists could be read: {_last(error)}")
        _apt(prefix, ["install", "-y", "--no-install-recommends", *packages], "installing libraries")
    except (Failed, OSError) as error:
        reason = _last(error) if isinstance(error, Failed) else str(error)
        say(f"system libraries could not be installed ({reason}); going on without them.")
        print(f"   Sound or window may not open. The line to try by hand: {line_for(packages)}", flush=True)
        return False
    return True


def _apt(prefix: Sequence[str], words: Sequence[str], doing: str) -> None:
    """Run apt-get once, after any other program that is installing has finished. Raises Failed."""
    command = [
        *prefix,
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-o",
        f"DPkg::Lock::Timeout={LOCK_SECONDS}",
    ]
    until = time.monotonic() + LOCK_SECONDS
    said = False
    while True:
        try:
            run([*command, *words], doing)
            return
        except Failed as error:
            if not any(word in error.said for word in LOCKED) or time.monotonic() > until:
                raise
        if not said:
            say(
                f"another program is installing packages; waiting for it, {LOCK_SECONDS // 60} minutes at most"
            )
            said = True
        time.sleep(LOCK_LOOK_SECONDS)


def _last(error: Failed) -> str:
    """Return the last line of the output that names the fault."""
    lines = [line for line in error.said.splitlines() if line.strip()]
    wrong = [line for line in lines if line.startswith(("E:", "sudo:"))]
    return (wrong or lines or [str(error).splitlines()[0]])[-1][:160]


def install_homebrew_packages(test: bool) -> None:
    """Install the servers for the tests on macOS with Homebrew. The wheels contain PortAudio and Qt."""
    brew = shutil.which("brew")
    for name in ["ffmpeg", "sox"] if test else []:
        if shutil.which(name) is not None:
            continue
        if brew is None:
            say(f"{name} is missing; install Homebrew, then: brew install {name}")
            continue
        try:
            run([brew, "install", name], f"installing {name}")
        except Failed as error:
            say(f"{name} could not be installed ({_last(error)}); going on without it")
