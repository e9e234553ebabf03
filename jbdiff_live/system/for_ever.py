"""Memory that outlives the interpreter. Any thread."""

from __future__ import annotations

import ctypes


def keep_for_ever(thing: object) -> None:
    """Add a reference that is never released.

    Use it for memory that a C thread of a library may touch until the process ends. A list in a module is not enough:
    the interpreter empties modules when it ends, and that thread still runs.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
