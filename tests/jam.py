"""A simulated jam for scripts/soak: the rack's sound and presses, the take's figures, and the take rendered again."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mido
import numpy as np
import soundfile
from servers import JackServer, wait_for

from jbdiff_live.patch import factory_patches
from jbdiff_live.record.take import (
    BlockEvent,
    ChangeEvent,
    GapEvent,
    PlaceEvent,
    StateEvent,
    Take,
    UnderrunEvent,
)

if TYPE_CHECKING:
    from rack import Rack

ROOT = Path(__file__).resolve().parents[1]
RATE = 44_100
PATCH = "verse"  # it has four scenes, each of which takes two bars to arrive
TEMPO = 107.7  # that of the patch
JITTER_MS = 1.0  # of the rack's clock, standard deviation
NOTES = (0, 7, 12, 15, 10, 7, 3, 5, 0, 12, 10, 3, 7, 5, 3, -5)  # semitones above A2, an eighth note each
SCENES = 4
SCENE_SECONDS = 7.0  # from one press to the next; a morph that has not arrived is left on the way
FIRST_PAD = 48  # MIDI note C2
LIVE = 2.0  # the choice "live" of Context and Init
INPUT = "JACK: system"
RACK = "rack"  # the name of its JACK client


def sequence() -> np.ndarray:
    """Return the two bars that the rack plays in a loop, float32 `[frames, 2]`: known notes, left and right in turn."""
    eighth = round(RATE * 30 / TEMPO)
    time = np.arange(eighth) / RATE
    sound = np.zeros((len(NOTES) * eighth, 2), np.float32)
    for place, note in enumerate(NOTES):
        hertz = 110.0 * 2 ** (note / 12)
        tone = sum(np.sin(2 * np.pi * hertz * n * time) / n for n in (1, 2, 3)) * np.exp(-6 * time)
        tone *= np.minimum(1.0, time / 0.003) * np.minimum(1.0, (time[-1] - time) / 0.003)
        left = 0.35 if place % 2 else 0.2
        sound[place * eighth : (place + 1) * eighth] = tone[:, None] * (left, 0.55 - left)
    return sound


def patch_file(folder: Path) -> Path:
    """Write the jam's patch: the factory's, with Context and Init live, some dry input, and a pad for each scene."""
    factory = factory_patches()[PATCH]
    text = factory.read_text(encoding="utf-8")
    pads = "".join(f'scene_{n} = "ch 10 note C{"" if n == 1 else "#"}2"\n' for n in (1, 2))
    pads += "".join(f'scene_{n} = "ch 10 note D{"" if n == 3 else "#"}2"\n' for n in (3, 4))
    changes = {
        'context_source = "own"': 'context_source = "live"',
        'init_source = "own"': 'init_source = "live"\ndry = -18.0',
        'context = "sounds/': f'context = "{factory.parent.as_posix()}/sounds/',
        "[bindings]\n": f"[bindings]\n{pads}",
    }
    for old, new in changes.items():
        if text.count(old) != 1:
            raise SystemExit(f"{factory}: {old!r} stands there {text.count(old)} times; update tests/jam.py")
        text = text.replace(old, new)
    path = folder / "jam.toml"
    path.write_text(text, encoding="utf-8")
    return path


def press(number: int) -> list[str]:
    """Return the messages of the press of a scene's pad, the `number`th press of the jam."""
    note = FIRST_PAD + number % SCENES
    return [f"note_{how} channel=9 note={note} velocity={100 * (how == 'on')}" for how in ("on", "off")]


@contextlib.contextmanager
def rack(server: JackServer) -> Iterator[Rack]:
    """Yield a rack on this server whose sound goes into the instrument's live input. It does not send a clock yet."""
    os.environ.update(server.env)
    from rack import Rack  # it needs JACK's library

    with contextlib.suppress(OSError):  # a rack has its own processor, so it gets a higher priority
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    plays = Rack(TEMPO, JITTER_MS / 1000 * RATE, plays=sequence())
    try:
        wait_for(lambda: len(_inputs(server)) >= 2, "the instrument's sound input", 60)
        for source, target in zip(plays.sound_ports, _inputs(server)[:2], strict=True):
            plays.client.connect(source, target)
        yield plays
    finally:
        plays.client.deactivate()
        plays.client.close()


def _inputs(server: JackServer) -> list[str]:
    """Return the ports of the instrument's live input, left first."""
    return [port for port in server.ports() if port.startswith("PortAudio") and ":in_" in port]


def send(rack: Rack, messages: Iterable[str]) -> None:
    """Send messages, written as mido writes them."""
    rack.send(*(bytes(mido.Message.from_str(message).bytes()) for message in messages))


def take_figures(take: Take) -> dict[str, Any]:
    """Return the jam's own figures, from its take."""
    events = list(take.events())
    blocks = [event for event in events if isinstance(event, BlockEvent)]
    places = [event for event in events if isinstance(event, PlaceEvent)]
    counts: Counter[str] = Counter()
    for event in events:
        if isinstance(event, UnderrunEvent):
            counts[event.cause] += event.count
    live = [b for b in blocks if b.values["context_source"] == LIVE and b.values["init_source"] == LIVE]
    return {
        "blocks with context and init live": len(live),
        "scenes recalled": len([e for e in events if isinstance(e, StateEvent) and e.name == "scene"]) - 1,
        "knobs moved": len({event.name for event in events if isinstance(event, ChangeEvent)}),
        "changes logged": sum(isinstance(event, ChangeEvent) for event in events),
        "silences in the take": sum(not place.moves for place in places[1:]),
        "gaps in the take": sum(event.frames for event in events if isinstance(event, GapEvent)),
        "underruns logged": dict(counts),
    }


def replayed(take: Take) -> dict[str, Any]:
    """Render the take again, as it was and with a seed set from its middle on. Return how both differ from it.

    Returns an empty dict if this version has no command `replay`.
    """
    if importlib.util.find_spec("jbdiff_live.replay") is None:
        return {}
    middle = take.info.frames / RATE / 2
    edits = take.folder.parent / "edits.toml"
    edits.write_text(f'format = 1\n\n[[edit]]\nset = "seed"\nvalue = 77\nfrom = {middle:.3f}\n')
    again = _replay(take.folder, "again")
    edited = _replay(take.folder, "edited", "--edits", str(edits))
    longest = max(event.frames for event in take.events() if isinstance(event, BlockEvent))
    return {
        "frames": take.info.frames,
        "first difference": _first_difference(take.folder, again),
        "edited from": round(middle * RATE)
        - longest,  # a change acts from the block that begins nearest to it
        "edited differs from": _first_difference(take.folder, edited),
    }


def _replay(folder: Path, name: str, *options: str) -> Path:
    """Render a take again into a folder beside it. SystemExit: the command failed; the text is its own."""
    out = folder.parent / name
    command = [sys.executable, "-m", "jbdiff_live", "replay", str(folder), "--out", str(out)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, "--progress", "none", *options], env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the replay failed:\n{done.stdout}{done.stderr}")
    return out


def _first_difference(one: Path, other: Path) -> int | None:
    """Return the first frame at which the engine's sound of two takes differs, or None."""
    at = 0
    with (
        soundfile.SoundFile(one / "engine.wav") as first,
        soundfile.SoundFile(other / "engine.wav") as second,
    ):
        while True:
            left, right = (sound.read(1 << 18, dtype="float32", always_2d=True) for sound in (first, second))
            count = min(len(left), len(right))
            different = (left[:count] != right[:count]).any(axis=1)
            if different.any():
                return at + int(different.argmax())
            if len(left) != len(right):
                return at + count
            if not count:
                return None
            at += count


def rows(jam: dict[str, Any]) -> list[list[str]]:
    """Return the jam's figures as rows of a table."""
    logged = ", ".join(f"{cause} {count}" for cause, count in jam["underruns logged"].items()) or "none"
    table = [
        ["blocks with context and init live", str(jam["blocks with context and init live"])],
        ["scenes recalled by pads", str(jam["scenes recalled"])],
        ["knobs moved, changes in the log", f"{jam['knobs moved']}, {jam['changes logged']}"],
        ["silences in the take, frames of gaps", f"{jam['silences in the take']}, {jam['gaps in the take']}"],
        ["underruns in the log", logged],
        ["the rack's missed periods", str(jam["rack's xruns"])],
    ]
    again = jam["replay"]
    if not again:
        return [*table, ["rendered again", "not measured: this version has no command `replay`"]]
    first, edited = again["first difference"], again["edited differs from"]
    from_there = "nowhere" if edited is None else f"at {edited / RATE:.2f} s"
    return [
        *table,
        ["rendered again", "every sample the same" if first is None else f"differs at {first / RATE:.2f} s"],
        [f"with another seed from {again['edited from'] / RATE:.2f} s on", f"differs first {from_there}"],
    ]
