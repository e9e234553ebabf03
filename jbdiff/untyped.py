"""Types for values that come from outside: JSON, TOML, checkpoints and the options of a command.

`Any` is right for them: the value of a key is whatever the file says. The code that reads a value checks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

JsonDict = dict[str, Any]  # a table that is being built or changed
JsonTable = Mapping[str, Any]  # a table that is only read
