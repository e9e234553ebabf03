"""What a block listens to: the instrument's own sound, a file or the live input, mixed by Listen. No torch.

Engine thread. At Listen 0 the instrument hears only itself. Between 0 and 1 its own sound and the source are mixed, as
if both played in one room. While the live input's gate is closed, its share is the instrument's own sound too. So
silence at the input hands the music back to the instrument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from jbdiff_live.block import FilePlace, Mono
from jbdiff_live.engine.voices.file_player import ROLES, FilesBegan, piece, place_in
from jbdiff_live.engine.voices.sources import Sources
from jbdiff_live.parameters import ParameterSnapshot

UNHEARD = 0.01  # a smaller share is none: the own context costs nothing, another one must be encoded


@dataclass(frozen=True)
class Place:
    """Where a piece for one role lies."""

    role: str  # "context" or "init"
    frames: int
    ends: int  # frames from the block's first one to the piece's end
    ahead: int  # the piece's end, counted from the next frame that is written to the ring
    file: FilePlace | None = None  # place in the role's file at the block's first frame; None without a file


@dataclass(frozen=True)
class Heard:
    """The sound of one role. samples: None is the instrument's own. share: of the source, 0 to 1."""

    samples: Mono | None = None  # [frames]
    share: float = 0.0
    complaint: str = ""  # why the source gives nothing


def heard(snapshot: ParameterSnapshot, sources: Sources, place: Place, sample_rate: int) -> Heard:
    """Return the sound that a block gets for a role. share: mean over the piece; of a file, over the block's part."""
    source = snapshot.choice(f"{place.role}_source")
    listen = snapshot.values.get("listen", 1.0)  # logs of older takes lack it
    if source == "own" or listen <= UNHEARD:
        return Heard()
    presence: Mono | None = None
    new = place.frames  # newest frames of the piece, whose presence is the share
    if source == "live":
        came = sources.live_piece(place.frames, place.ahead, beat_frames(snapshot, sample_rate))
        if came is None:
            return Heard(complaint=_missing(place.role, source, "no live input is open"))
        samples, presence = came
    else:
        file = sources.file(place.role)
        if file is None or place.file is None:
            return Heard(complaint=_missing(place.role, source, f"no {place.role} file is loaded"))
        samples, there = piece(file, place.file, place.file.played + place.ends - place.frames, place.frames)
        presence = None if there.all() else there.astype(np.float32)
        new = place.ends or new
    shares = np.float32(listen) if presence is None else np.float32(listen) * presence
    share = listen if presence is None else listen * float(np.mean(presence[-new:]))
    if share <= UNHEARD:
        return Heard()
    if np.min(shares) >= 1.0:
        return Heard(samples, 1.0)
    if place.role == "init":  # `resample` is its fader
        return Heard(samples, share)
    return Heard(mixed(sources.own(place.frames), samples, shares), share)


def file_places(
    snapshot: ParameterSnapshot, sources: Sources, began: FilesBegan, position: int, sample_rate: int
) -> Mapping[str, FilePlace]:
    """Return the place in the file of each role that plays one, at frame `position` of the music, and note it.

    A file that came since the last block begins there.
    """
    began.look(sources, position)
    beat = beat_frames(snapshot, sample_rate)
    found = {}
    for role in ROLES:
        file = sources.file(role) if snapshot.choice(f"{role}_source") == "file" else None
        if file is not None:
            played = sources.used.played[role] = began.played(role, position)
            found[role] = place_in(snapshot, file, played, beat, sample_rate)
    return found


def _missing(role: str, source: str, reason: str) -> str:
    return f"{role} source is {source!r}, but {reason}: using the instrument's own sound"


def mixed(own: Mono, other: Mono, shares: Mono | np.float32) -> Mono:
    """Return both sounds, `[frames]`, mixed with equal power; a share of 1 is the other alone."""
    angle = shares * np.float32(np.pi / 2)
    mix: Mono = own * np.cos(angle) + other * np.sin(angle)
    return mix


def beat_frames(snapshot: ParameterSnapshot, sample_rate: int) -> float:
    """Return the frames in a beat; 0 if the tempo is unknown: Clock is off, or follows the context without a clock."""
    followed = "clock_beat" in snapshot.values
    if snapshot.choice("clock") == "tempo" or (followed and snapshot.choice("clock") != "off"):
        return 60.0 * sample_rate / snapshot["tempo"]
    return 0.0
