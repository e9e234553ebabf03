"""Names of styles, and which style a seed has."""

from __future__ import annotations

from collections.abc import Sequence

import classic
from styles import STYLES

CLASSIC = "classic"
NAMES = (CLASSIC, *dict.fromkeys(classic.STYLES), *STYLES)


def style_of(seed: int, names: Sequence[str]) -> str:
    """Return the style of a seed. The names take turns; when "classic" comes, its own styles take turns."""
    name = names[seed % len(names)]
    return classic.STYLES[seed // len(names) % len(classic.STYLES)] if name == CLASSIC else name
