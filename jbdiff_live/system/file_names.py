"""Names that a file or folder can have on every system. Threads: any. Nothing here blocks."""

from __future__ import annotations

from jbdiff_live.shown import printable

LONGEST_NAME = 60
FORBIDDEN = '/\\:*?"<>|'  # in a file name, on one system or another
RESERVED = {"con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(1, 10))}  # Windows


def plain_name(name: str, what: str) -> str:
    """Return the name with single spaces. ValueError if some system's file cannot have it.

    what: names the thing in the error, such as "a patch".
    """
    name = " ".join(name.split())
    wrong = list(dict.fromkeys(c for c in name if c in FORBIDDEN or not c.isprintable()))  # each once
    if not name:
        raise ValueError(f"{what} needs a name; type one")
    if wrong:
        listed = ", ".join(f"'{c}'" if c.isprintable() else repr(c) for c in wrong)
        them = "them" if len(wrong) > 1 else "it"
        raise ValueError(f"'{printable(name)}': a file name cannot hold {listed}; leave {them} out")
    reserved = name.split(".")[0].strip().lower() in RESERVED
    if len(name) > LONGEST_NAME or name.startswith(".") or name.endswith(".") or reserved:
        raise ValueError(f"{name!r}: no file can have that name everywhere; choose a shorter or plainer one")
    return name
