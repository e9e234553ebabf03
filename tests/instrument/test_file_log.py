"""A take that plays a file renders again from its log, and the time machine brings the place in a file back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_stacks import write_small_stack
from test_offline_live import music, recorded_take

from jbdiff_live.block import SAMPLE_RATE
from jbdiff_live.engine.generator import ModelGenerator
from jbdiff_live.engine.voices.sources import load_file_source
from jbdiff_live.parameters import BY_NAME, Origin, ParameterSnapshot, ParameterStore
from jbdiff_live.patch import load_patch
from jbdiff_live.record.events import BlockEvent
from jbdiff_live.record.take import open_take
from jbdiff_live.replay.render import replay
from jbdiff_live.session import Session, SessionOptions
from jbdiff_live.stack_choice import StackChoice


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_log_of_a_take_makes_its_files_sound_again_sample_for_sample(tmp_path: Path) -> None:
    stack = str(write_small_stack(tmp_path / "small"))
    init = music(tmp_path).rename(tmp_path / "init.wav")
    music(tmp_path)
    patch = tmp_path / "mine.toml"
    patch.write_text(
        f'format = 1\nname = "mine"\nstack = "{stack}"\ncontext = "context.wav"\ninit = "init.wav"\n'
        f'[values]\nseed = 5\nresample = 0.6\ninit_source = "file"\nfile_dry = -6.0\n'
    )
    reads = itertools.count()

    def newest() -> ParameterSnapshot:
        """As if the player moved the loop while it plays, and then let the file pass the model."""
        read = next(reads)
        if read == 4:
            session.store.set_many({"file_start": 1, "file_length": 1, "file_dry": -9.0}, Origin.UI)
        if read == 10:
            session.store.set("resample", 1.0, Origin.UI)
        return session.store.snapshot

    options = SessionOptions(
        device="null", midi=(), takes=tmp_path / "takes", take_sound="engine", threads=1, ladder=False
    )
    generator = ModelGenerator(threads=1, newest=newest, files_read=lambda going: session.sounds.wait(going))
    session = Session(options, generator)
    take = recorded_take(session, patch, 3.0)
    done = replay(take.folder, tmp_path / "again")
    live, made = take.read(), open_take(done.folder).read()
    places = [event.files["init"] for event in take.events() if isinstance(event, BlockEvent)]
    last = [event.values["resample"] for event in take.events() if isinstance(event, BlockEvent)]
    assert last[0] == 0.6 and last[-1] == 1.0
    assert places[0].begin == 0 and places[-1].begin > 0 and places[-1].frames < places[0].frames
    assert np.abs(live).max() > 0.01 and done.exact and np.array_equal(live, made)
    saved = load_patch(take.folder / "patch.toml")
    assert saved.init is not None and saved.init.samefile(init)


def test_a_state_of_the_past_has_its_place_in_the_file(tmp_path: Path) -> None:
    generator = ModelGenerator(StackChoice(str(write_small_stack(tmp_path / "small"))), threads=1)
    generator.init_file = load_file_source(music(tmp_path), SAMPLE_RATE)
    store = ParameterStore()
    values = {"resample": 0.5, "file_length": 1, "file_dry": -6.0}
    store.set_many({**values, "init_source": BY_NAME["init_source"].parse("file")}, Origin.UI)

    def block() -> tuple[np.ndarray, int]:
        made = generator.next_block(store.snapshot, lambda share=0.0: True)
        assert made is not None
        return made.samples, made.files["init"].played

    try:
        generator.prepare(lambda work: None, lambda: True)
        first, place = block()
        saved = generator.save()
        assert saved is not None and place == 0
        second, place = block()
        assert place == len(first)
        generator.init_file = replace(generator.init_file)  # another file came
        assert block()[1] == 0
        generator.init_file = saved.files["init"][0]
        present = generator.save()
        assert present is not None
        generator.restore(saved.compact(None), present)
        repeated, place = block()
        assert place == len(first) and np.array_equal(repeated, second)
        store.trigger("reset_context", Origin.UI)
        assert block()[1] == 0, "Forget lets the files begin again"
    finally:
        generator.close()
