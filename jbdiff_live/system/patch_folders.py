"""Where patches are: the folder of those that come with the instrument, and the player's own. Threads: any."""

from __future__ import annotations

import logging
import os
import platform
import site
import sysconfig
from pathlib import Path

log = logging.getLogger(__name__)

FACTORY = "factory:"  # before the name of a sound that comes with the instrument


def factory_folder() -> Path | None:
    """Return the folder of the patches that come with the instrument, of a checkout or an installed package."""
    here = Path(__file__).resolve().parent.parent
    folders = [
        here.parent / "patches",  # a checkout
        Path(sysconfig.get_path("data")) / "share" / "jbdiff-live" / "patches",  # an installed wheel
        Path(site.getuserbase()) / "share" / "jbdiff-live" / "patches",  # pip install --user
    ]
    return next((folder for folder in folders if any(folder.glob("*.toml"))), None)


def user_folder() -> Path | None:
    """Return the folder of all that the player keeps. It may not exist yet. None: the user has no home folder."""
    try:
        if platform.system() == "Darwin":
            base = Path.home() / "Library" / "Application Support"
        elif platform.system() == "Windows":
            base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
        else:
            base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    except RuntimeError as error:  # the system does not know this user
        log.info("nothing of the player's own: %s", error)
        return None
    return base / "jbdiff-live"


def user_patches_folder() -> Path | None:
    """Return the folder of the player's own patches. It may not exist yet. None: the user has no home folder."""
    return user_file("patches")


def user_file(name: str) -> Path | None:
    """Return a file or folder of the player's own, by its name. It may not exist yet. None: there is no home folder."""
    folder = user_folder()
    return None if folder is None else folder / name
