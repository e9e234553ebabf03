"""Plays the Faust patches of `sounds.py` with dawdreamer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import dawdreamer
import numpy as np
from score import Faust
from sounds import HEAD, PATCHES, Audio, Notes, knob_curves
from tempi import SAMPLE_RATE

BUFFER = 256  # frames; knobs move once a buffer


@contextmanager
def quiet_library() -> Iterator[None]:
    """Drop the output on standard error inside a `with` block: Faust's library prints a line for every stolen voice."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class Synthesizer:
    """Plays Faust patches; each is compiled at its first use.

    Each patch has its own engine, because an engine renders all its patches every time, whether they are needed or not.
    """

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, int], tuple[dawdreamer.RenderEngine, dawdreamer.FaustProcessor]] = {}

    def render(self, name: str, notes: Notes, seconds: float, rng: np.random.Generator) -> Audio:
        """Return one part of a classic track, `[2, frames]`: the patch's knobs start at random places and move
        slowly."""
        voices = 8 if name in ("pad", "bell", "pluck", "stab") else 3
        frames = int(seconds * SAMPLE_RATE)
        return self._played(
            name, voices, notes, seconds, knob_curves(name, frames // BUFFER + 2, BUFFER, rng)
        )

    def play(self, instrument: Faust, notes: Notes, seconds: float) -> Audio:
        """Return one part of a score, `[2, frames]`."""
        time = np.arange(int(seconds * SAMPLE_RATE) // BUFFER + 2) * BUFFER / SAMPLE_RATE
        curves = {}
        for knob in instrument.knobs:
            swing = knob.depth * np.sin(2 * np.pi * (time * knob.hertz + knob.phase))
            curves[knob.name] = np.clip(knob.place + swing, 0, 1)
        return self._played(instrument.patch, instrument.voices, notes, seconds, curves)

    def _played(
        self, name: str, voices: int, notes: Notes, seconds: float, curves: dict[str, np.ndarray]
    ) -> Audio:
        engine, patch = self._patch(name, voices)
        patch.clear_midi()
        frames = int(seconds * SAMPLE_RATE)
        places = {p["name"].rsplit("/", 1)[-1]: p["name"] for p in patch.get_parameters_description()}
        for knob, curve in curves.items():
            if knob in places:
                patch.set_automation(places[knob], np.repeat(curve, BUFFER)[:frames].astype(np.float32))
        for pitch, velocity, start, length in notes:
            patch.add_midi_note(int(pitch), int(velocity), float(start), float(length))
        engine.load_graph([(patch, [])])
        with quiet_library():
            engine.render(seconds)
        return engine.get_audio()[:, :frames].astype(np.float32)

    def _patch(self, name: str, voices: int) -> tuple[dawdreamer.RenderEngine, dawdreamer.FaustProcessor]:
        if (name, voices) not in self._compiled:
            engine = dawdreamer.RenderEngine(SAMPLE_RATE, BUFFER)
            patch = engine.make_faust_processor(name)
            patch.num_voices = voices
            patch.set_dsp_string(HEAD + PATCHES[name])
            patch.compile()
            self._compiled[name, voices] = engine, patch
        return self._compiled[name, voices]
