"""Names that a file or folder can have on every system. Threads: any. Nothing here blocks."""

from __future__ import annotations

LONGEST_NAME = 60
FORBIDDEN = '/\\:*?"<>|'  # in a file name, on one system or another
RESERVED = {"con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(1, 10))}  # Windows


def plain_name(name: str, what: str) -> str:
    """Return the name with single spaces. ValueError if some system's file cannot have it.

    what: names the thing in the error, such as "a patch".
    """
    name = " ".join(name.split())
    wrong = "".join(c for c in name if c in FORBIDDEN or not c.isprintable())
    if not name:
        raise ValueError(f"{what} needs a name; type one")
    if wrong:
        raise ValueError(f"{name!r}: a file name cannot hold {wrong!r}; leave it out")
    reserved = name.split(".")[0].strip().lower() in RESERVED
    if len(name) > LONGEST_NAME or name.startswith(".") or name.endswith(".") or reserved:
        raise ValueError(f"{name!r}: no file can have that name everywhere; choose a shorter or plainer one")
    return name
