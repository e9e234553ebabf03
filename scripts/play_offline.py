"""Play a patch into an array, faster or slower than real time, so that a busy machine gives the same music.

Used by `cut_examples` and `picture_patches`. The instrument's own voice plays, and the patch's LFOs move its knobs at
the beginning of each block. A voice is loaded once for each choice of a stack.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jbdiff_live.beat.modulation import Modulation
from jbdiff_live.block import SAMPLE_RATE, Audio
from jbdiff_live.engine.voices.load import load_voice
from jbdiff_live.engine.voices.sources import FileSource, Sources, load_file_source
from jbdiff_live.engine.voices.voice import StackVoice
from jbdiff_live.parameters import ParameterStore
from jbdiff_live.patch import Patch
from jbdiff_live.stack_choice import StackChoice

_voices: dict[StackChoice, StackVoice] = {}


def voice_of(choice: StackChoice) -> StackVoice:
    """Return the voice of a choice, on one thread; it is loaded when it is asked for the first time."""
    if choice not in _voices:
        loaded = load_voice(choice, lambda work: print(work.detail), lambda: True, threads=1)
        assert loaded is not None
        _voices[choice] = loaded
    return _voices[choice]


def played(patch: Patch, seconds: float, sound: FileSource | None = None, seed: int | None = None) -> Audio:
    """Play a patch; return `[frames, 2]` without the silence at the beginning.

    sound: the music begins from it in place of the patch's own sound. seed: in place of the patch's seed.
    """
    voice = voice_of(patch.choice or StackChoice())
    store = ParameterStore()
    values = dict(patch.values) if seed is None else {**patch.values, "seed": seed}
    snapshot = replace(patch, values=values).apply(store)
    file = sound
    if file is None and patch.context is not None:
        file = load_file_source(patch.context, SAMPLE_RATE)
    voice.reset()
    if file is not None:
        voice.set_beginning(file, voice.beginning_of(file, lambda: None))
    init = sound if patch.init is None or sound is not None else load_file_source(patch.init, SAMPLE_RATE)
    made: list[Audio] = []

    def now() -> float:
        return sum(map(len, made)) / SAMPLE_RATE

    modulation = Modulation(now, lambda: snapshot["tempo"] / 60)
    modulation.put_all(patch.lfos)
    wanted = int(seconds * SAMPLE_RATE) + voice.latency_frames
    while sum(map(len, made)) < wanted:
        block = voice.next_block(modulation.applied(snapshot), Sources(file, init), lambda share=0.0: True)
        assert block is not None
        made.append(block.samples)
    return np.concatenate(made)[voice.latency_frames : wanted]
