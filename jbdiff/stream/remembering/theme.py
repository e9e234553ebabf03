"""The theme of a stream: what it began with, which it never forgets.

The memory holds the last 64 s. After a few minutes these are copies of copies. Each copy is a little softer than the
one before, and the beat wears out. So in some groups of bars the longest echo comes from the theme, not from the last
64 s. A theme is the music that a stream began after. If that is shorter than eight bars, it is the first sixteen bars.
It is counted in bars, so it stays in time if the tempo changes.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from jbdiff.diffusion.noise import draw_uniform
from jbdiff.networks.plan import FORM
from jbdiff.stream.remembering.remembered import Theme

THEME_BARS = 2 * FORM  # that are played after a shorter beginning, before they become the theme


def theme_of(bands: Tensor, bar: float, form: float, least: float) -> Theme | None:
    """The theme that latents `[1, n, c]` are; None if they have no bar, or are shorter than `least` bars or one form.

    bar: tokens a bar, 0 if it is not known. form: tokens after which the music comes again; 0 is eight bars.
    """
    if bar <= 0:
        return None
    bars = bands.shape[1] / bar + 1e-6  # a bar that is a hair too short is whole
    form = form / bar or float(FORM)
    times = int(bars / form)
    if not times or bars < least:
        return None
    length = times * form
    return Theme(bands[:, -round(length * bar) :].contiguous(), bar, length, form)


def theme_later(theme: Theme | None, bars: float) -> Theme | None:
    """The theme when so many more bars were played, or fewer if `bars` is negative."""
    return None if theme is None else replace(theme, since=theme.since + bars)


def theme_returns(theme: Theme, share: float, seed: int, level: int) -> bool:
    """Whether the group of bars that the next token is in comes back to the theme: a function of group and seed.

    A group is as long as the form. share: 0..1, of all groups. Groups that come back at a small share also do at a
    larger one.
    """
    return float(draw_uniform((1,), seed, f"theme{level}", 0, int(theme.since // theme.form))) < share


def theme_sound(theme: Theme, bar: float, tokens: int, held: int) -> Tensor:
    """What the theme has at the places of a window, `[1, c, tokens]`; its beginning follows its end.

    bar: tokens a bar of the stream, above 0. held: tokens of the window that were played already.
    """
    ahead = (torch.arange(tokens, dtype=torch.float64) - held + 0.5) / bar
    place = (theme.since + ahead) % theme.length - theme.length  # bars from the end
    index = theme.bands.shape[1] + (place * theme.bar).floor().long()
    index = index.clamp(0, theme.bands.shape[1] - 1).to(theme.bands.device)
    return theme.bands[:, index].transpose(1, 2)
