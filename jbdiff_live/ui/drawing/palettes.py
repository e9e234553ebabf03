"""The colours of each look, by name. Pure: text, which `theme` turns into Qt's colours.

Each look keeps a contrast of 4.5 to 1 between letters and what lies below them. The safe palettes tell live, amber and
red apart by brightness and by blue against yellow, so that eyes that mix up red and green see three colours too.
"""

from __future__ import annotations

from collections.abc import Mapping

Palette = Mapping[str, str]

DARK: Palette = {
    "BACKGROUND": "#090b0e",
    "PANEL": "#12161b",
    "RAISED": "#1f262e",
    "LINE": "#36404b",
    "TEXT": "#f4f7f9",
    "DIM": "#a9b4bf",
    "FAINT": "#929eaa",
    "ACCENT": "#3fe0c5",
    "ACCENT_DIM": "#1f6e62",
    "ACCENT_DEEP": "#123b37",
    "WARN": "#ff5a3d",
    "WARN_DEEP": "#43160e",
    "CAUTION": "#ffb547",
    "CAUTION_DEEP": "#3a2a0c",
    "HOT": "#d9f58a",
    "VEIL": "#96090b0e",
    "GRID": "#2effffff",
    "SHADE": "#e1040608",
}
LIGHT: Palette = {
    "BACKGROUND": "#eef1f4",
    "PANEL": "#fbfcfd",
    "RAISED": "#dfe5ea",
    "LINE": "#a9b3bd",
    "TEXT": "#10151a",
    "DIM": "#36404a",
    "FAINT": "#434d57",
    "ACCENT": "#00645a",
    "ACCENT_DIM": "#93d6ca",
    "ACCENT_DEEP": "#cdebe5",
    "WARN": "#ab1f0b",
    "WARN_DEEP": "#fbd9d3",
    "CAUTION": "#754600",
    "CAUTION_DEEP": "#fbe6c2",
    "HOT": "#5f7a00",
    "VEIL": "#96eef1f4",
    "GRID": "#38000000",
    "SHADE": "#d2dde3e8",
}
SAFE_DARK: Palette = {
    **DARK,
    "ACCENT": "#5cb8f0",
    "ACCENT_DIM": "#245f86",
    "ACCENT_DEEP": "#12344a",
    "WARN": "#ff6f3c",
    "CAUTION": "#f5e663",
    "CAUTION_DEEP": "#35310b",
    "HOT": "#c8dcf0",
}
SAFE_LIGHT: Palette = {
    **LIGHT,
    "ACCENT": "#005a96",
    "ACCENT_DIM": "#9fcdef",
    "ACCENT_DEEP": "#cfe5f6",
    "WARN": "#a83200",
    "CAUTION": "#5c5200",
    "CAUTION_DEEP": "#f3ecb6",
    "HOT": "#47617a",
}

# Stops of the spectrogram, from silence to loud: place 0 to 1, and a colour or the name of one.
Stops = tuple[tuple[float, str], ...]
DARK_STOPS: Stops = (
    (0.00, "BACKGROUND"),
    (0.22, "#0d1f3c"),
    (0.45, "#14507e"),
    (0.65, "#1fa3a4"),
    (0.82, "#3fe0c5"),
    (0.93, "#d9f58a"),
    (1.00, "#fffbe0"),
)
LIGHT_STOPS: Stops = (
    (0.00, "BACKGROUND"),
    (0.22, "#d3e3f0"),
    (0.45, "#8fbfdc"),
    (0.65, "#3b8fb4"),
    (0.82, "#0f6873"),
    (0.93, "#12435a"),
    (1.00, "#081d2c"),
)


def palette_of(dark: bool, safe: bool) -> Palette:
    """Return the colours of a look. safe: for eyes that mix up red and green."""
    if dark:
        return SAFE_DARK if safe else DARK
    return SAFE_LIGHT if safe else LIGHT


def stops_of(dark: bool) -> Stops:
    """Return the stops of the spectrogram."""
    return DARK_STOPS if dark else LIGHT_STOPS
