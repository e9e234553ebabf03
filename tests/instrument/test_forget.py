"""Forget: the music begins anew with the next block, from the context file or from nothing, and never stops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from small_stacks import write_small_stack

from jbdiff_live.engine.generator import ModelGenerator
from jbdiff_live.engine.voices.sources import FileSource, load_file_source
from jbdiff_live.parameters import Origin, ParameterStore
from jbdiff_live.stack_choice import StackChoice


@pytest.fixture
def generator(tmp_path: Path):
    made = ModelGenerator(StackChoice(str(write_small_stack(tmp_path / "small"))), threads=1)
    yield made
    made.close()


def source(folder: Path) -> FileSource:
    noise = 0.1 * np.random.default_rng(1).standard_normal(44_100).astype(np.float32)
    soundfile.write(folder / "c.wav", noise, 44_100)
    return load_file_source(folder / "c.wav", 44_100)


def level(generator: ModelGenerator):
    voice = generator._playing.voice
    assert voice is not None
    return voice._stream.save().levels[2]


def test_a_press_forgets_once_and_the_noise_goes_on(generator: ModelGenerator, tmp_path: Path) -> None:
    store = ParameterStore()
    assert generator.prepare(lambda _: None, lambda: True)
    contexts = []
    for press in (False, False, True, False):
        if press:
            store.trigger("reset_context", Origin.MIDI)
        made = generator.next_block(store.snapshot, lambda share=0.0: True)
        assert made is not None and np.abs(made.samples).max() > 0, "no silence"
        contexts.append(level(generator).context.shape[1])
    assert contexts == [128, 256, 128, 256], "each block adds one window; a press begins from nothing"
    assert level(generator).registers[0].a.index == 4


def test_with_a_context_file_it_begins_from_the_file(generator: ModelGenerator, tmp_path: Path) -> None:
    store = ParameterStore()
    generator.context_file = source(tmp_path)
    assert generator.prepare(lambda _: None, lambda: True)
    begun = level(generator).context
    for _ in range(2):
        generator.next_block(store.snapshot, lambda share=0.0: True)
    store.trigger("reset_context", Origin.MIDI)
    generator.next_block(store.snapshot, lambda share=0.0: True)
    context = level(generator).context
    assert np.array_equal(context[:, :128], begun[:, -128:]), "the file's end, and one new window behind it"
