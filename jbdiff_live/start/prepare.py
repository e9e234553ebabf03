"""Put what the command line names into the session: patch, values, sound files. Main thread; blocks on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from jbdiff_live.parameters import BY_NAME, Origin, unknown_name
from jbdiff_live.session import Session


def load_patch(session: Session, patch: str) -> None:
    """Load a patch by its name, or a patch file. ValueError: there is none."""
    known = session.patches()
    path = known[patch] if patch in known else at_home(Path(patch))
    assert path is not None
    if not path.exists():
        raise ValueError(f"no patch {patch!r}; there are: {', '.join(known)}; or give a file")
    session.load_patch(path)


def set_values(session: Session, values: Sequence[str]) -> None:
    """Set values that are written as name=value. ValueError or KeyError says what is wrong."""
    for text in values:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set {text}: needs name=value, such as --set noise_step=0.5")
        if name not in BY_NAME:
            raise unknown_name(name)
        session.store.set(name, _parse(name, value), Origin.SESSION)


def load_sounds(session: Session, context: Path | None, init: Path | None) -> None:
    """Read the sound files, and wait for them. Raises the reason if one cannot be used."""
    if context is not None:
        session.load_context_file(context)
    if init is not None:
        session.load_init_file(init)
    session.wait_for_files()


def _parse(name: str, text: str) -> float:
    parameter = BY_NAME[name]
    if parameter.toggle and text.lower() in ("on", "off", "true", "false"):
        return parameter.parse(text.lower() in ("on", "true"))
    try:
        number = float(text)
    except ValueError:
        return parameter.parse(text)  # a name; or this raises an error that says what is needed
    return parameter.parse(number)


def at_home(path: Path | None) -> Path | None:
    """Return a path with `~` replaced by the home folder. After an equals sign the shell does not replace it."""
    try:
        return None if path is None else path.expanduser()
    except RuntimeError as error:
        raise typer.BadParameter(f"{path}: no home folder is known here; give the whole path") from error
