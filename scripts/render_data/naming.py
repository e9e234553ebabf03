"""Names of styles, and which style a seed has."""

from __future__ import annotations

from collections.abc import Sequence

import classic
from styles import STYLES

CLASSIC = "classic"
NAMES = (CLASSIC, *dict.fromkeys(classic.STYLES), *STYLES)


def style_of(seed: int, names: Sequence[str]) -> str:
    """The style of a seed. Names take turns; those of "classic" take turns whenever it is drawn."""
    name = names[seed % len(names)]
    return classic.STYLES[seed // len(names) % len(classic.STYLES)] if name == CLASSIC else name
