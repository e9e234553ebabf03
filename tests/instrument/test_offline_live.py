"""What is played and what is rendered from the same patch, seed and context are the same samples (fp32, CPU)."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from small_stacks import write_small_stack

from jbdiff.audio.files import read_audio
from jbdiff.render.render import RenderPlan, render
from jbdiff.stacks.stack import load_stack
from jbdiff.stream.stream import BlockStream
from jbdiff_live.audio.null import NullSink
from jbdiff_live.engine.block_settings import block_settings
from jbdiff_live.engine.generator import ModelGenerator
from jbdiff_live.parameters import Origin, ParameterSnapshot, ParameterStore
from jbdiff_live.patch import load_patch
from jbdiff_live.record.take import BlockEvent, StackEvent, Take, open_take
from jbdiff_live.session import Session, SessionOptions
from jbdiff_live.status import EngineState

PATIENCE = 120.0
RATE = 44_100


def eventually(condition: Callable[[], bool], what: str) -> None:
    pause = threading.Event()
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, f"never came: {what}"
        pause.wait(0.02)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class NoClock:
    """Time that jumps to whatever is waited for: the sink takes what it is given."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def wait_until(self, when: float, stop: threading.Event) -> None:
        stop.wait(0.002)  # lets other threads go on
        self._now = max(self._now, when)


def music(folder: Path) -> Path:
    """A file at another rate and in stereo: both sides have to make the same mono of it."""
    t = np.arange(5 * 48_000) / 48_000
    beat = 0.4 * np.sin(2 * np.pi * 55 * t) * np.exp(-8 * (t % 0.5))
    path = folder / "context.wav"
    soundfile.write(path, np.stack([beat, 0.5 * np.roll(beat, 900)], axis=1), 48_000)
    return path


def patch_file(folder: Path, stack: str, extra: str, values: str) -> Path:
    music(folder)
    path = folder / "mine.toml"
    path.write_text(
        f'format = 1\nname = "mine"\nstack = "{stack}"\n{extra}\ncontext = "context.wav"\n'
        f'[values]\nnoise_style = "walk"\nnoise_step = 0.4\nseed = 321\nguidance = 1.8\n{values}\n'
    )
    return path


def played(folder: Path, patch: Path, seconds: float) -> Take:
    """A take of the real session on a null device, from the first frame on."""
    options = SessionOptions(device="null", midi=(), takes=folder / "takes", threads=1, ladder=False)
    return recorded_take(Session(options), patch, seconds)


def recorded_take(session: Session, patch: Path, seconds: float) -> Take:
    """What a session plays of a patch; the session is closed behind it."""
    try:
        session.load_patch(patch)
        session.open()
        # The sound goes nowhere, so it need not be waited for.
        session.audio.use(NullSink(session.ring, lambda: session.store.snapshot, RATE, NoClock()))
        session.record_from_first_block()
        session.start()
        enough = int(seconds * RATE)

        def recorded() -> bool:
            status = session.status()
            assert status.engine.state is not EngineState.FAILED, status.engine.detail
            return status.recorder.frames >= enough

        eventually(recorded, f"{seconds} s of sound")
        folder_of_take = session.status().recorder.folder
        assert folder_of_take is not None
        session.stop_recording(enough)
    finally:
        session.close()
    # A session that closes does not wait for a slow disk for ever: the take may be finished a little later.
    eventually(lambda: open_take(folder_of_take).info.closed_cleanly, "a closed take")
    return open_take(folder_of_take)


def rendered(folder: Path, patch_path: Path, seconds: float) -> tuple[np.ndarray, int]:
    """The same patch offline: samples `[frames, channels]`, and the latency that was cut off."""
    patch = load_patch(patch_path)
    store = ParameterStore()
    patch.apply(store)
    choice = patch.choice
    assert choice is not None and patch.context is not None
    stack = load_stack(choice.stack)
    stream = BlockStream(stack, levels=choice.levels, finisher=choice.finisher and stack.finisher is not None)
    audio, _ = read_audio(patch.context, RATE)
    plan = RenderPlan(
        folder / "offline.wav",
        int(seconds * RATE) - stream.latency_frames,
        block_settings(store.snapshot),
        context=torch.from_numpy(audio.mean(axis=1))[None, None],
        bits=32,
    )
    (out,) = render(stream, plan).files
    return soundfile.read(out, dtype="float32", always_2d=True)[0], stream.latency_frames


@pytest.mark.parametrize(
    ("stack", "extra", "values", "seconds"),
    [
        ("pocket", "", "", 7.0),
        ("pocket", "", 'resample = 0.4\nanchor = 0.6\nbrightness = 0.5\nclock = "tempo"\ntempo = 100', 5.0),
        ("small", "", 'finisher_style = "walk"\nfinisher_step = 0.3\nfinisher_strength = 0.9', 2.0),
        ("small", "levels = [2, 1]\nfinisher = false", "resample = 0.3", 2.0),
    ],
)
def test_a_take_is_the_render_of_its_patch_sample_for_sample(
    tmp_path: Path, stack: str, extra: str, values: str, seconds: float
) -> None:
    name = str(write_small_stack(tmp_path / "small")) if stack == "small" else stack
    patch = patch_file(tmp_path, name, extra, values)
    take = played(tmp_path, patch, seconds)
    live = take.read()
    offline, latency = rendered(tmp_path, patch, seconds)
    assert len(live) == int(seconds * RATE) and take.info.details["latency_frames"] == latency
    assert np.abs(offline).max() > 0.001
    frames = min(len(live) - latency, len(offline))
    assert frames > len(live) - 20_000
    heard = live[latency : latency + frames]
    assert np.array_equal(heard[:, 0], offline[:frames, 0])
    assert np.array_equal(heard[:, 1], offline[:frames, -1])


@pytest.mark.parametrize(
    ("stack", "extra", "seconds"),
    [("pocket", "hop = 48\nsteps = 5", 4.0), ("small", "", 3.0)],
)
def test_knobs_turned_while_a_block_is_made_are_heard_in_it_and_the_log_makes_it_again(
    tmp_path: Path, stack: str, extra: str, seconds: float
) -> None:
    name = str(write_small_stack(tmp_path / "small")) if stack == "small" else stack
    patch = patch_file(tmp_path, name, extra, "")
    reads = itertools.count()

    def newest() -> ParameterSnapshot:
        """As if both knobs were turned at every third reading."""
        number = next(reads)
        if number % 3 == 1:
            session.store.set("guidance", 0.5 + number % 7 / 2, Origin.UI)
            session.store.set("finisher_strength", 0.3 + number % 5 / 10, Origin.UI)
        return session.store.snapshot

    options = SessionOptions(device="null", midi=(), takes=tmp_path / "takes", threads=1, ladder=False)
    generator = ModelGenerator(threads=1, newest=newest, files_read=lambda going: session.sounds.wait(going))
    session = Session(options, generator)
    take = recorded_take(session, patch, seconds)
    events = [event for event in take.events() if isinstance(event, BlockEvent)]
    turned = [event for event in events if event.turned]
    assert len(turned) > len(events) // 2 > 1
    assert any(len(set(event.turned["guidance"])) > 1 for event in turned if "guidance" in event.turned)
    assert any("finisher_strength" in event.turned for event in turned)

    loaded, choice = load_stack(name), load_patch(patch).choice
    assert choice is not None
    stream = BlockStream(loaded, finisher=loaded.finisher is not None, hop_tokens=choice.hop)
    audio, _ = read_audio(tmp_path / "context.wav", RATE)
    stream.set_context(torch.from_numpy(audio.mean(axis=1))[None, None])
    blocks = [stream.step(block_settings(e.snapshot, choice.steps), turning=e).audio[0] for e in events]
    live, again = take.read(), torch.cat(blocks, dim=1).numpy().T
    assert np.abs(live).max() > 0.001
    assert np.array_equal(live[:, 0], again[: len(live), 0])
    assert np.array_equal(live[:, 1], again[: len(live), -1])


def test_a_patch_with_another_stack_is_faded_to_and_the_take_says_where(tmp_path: Path) -> None:
    small = write_small_stack(tmp_path / "small")
    other = tmp_path / "other.toml"
    other.write_text(f'format = 1\nname = "other"\nstack = "{small}"\nlevels = [2, 1]\n[values]\nseed = 9\n')
    session = Session(
        SessionOptions(device="null", midi=(), takes=tmp_path / "takes", threads=1, ladder=False)
    )
    try:
        session.load_patch(session.patches()["wild"])
        session.open()
        session.record_from_first_block()
        session.start()
        eventually(lambda: session.status().frame > RATE, "sound")
        before = session.status()
        assert (before.stack.name, before.stack.levels, before.stack.finisher) == ("pocket", (2,), True)
        session.load_patch(other)
        during = session.status()
        assert str(small) in during.stack.loading and during.stack.name == "pocket"
        assert session.snapshot()["seed"] == 9, "the values do not wait"
        eventually(lambda: session.status().stack.name == str(small), "the stack")
        after = session.status()
        assert (after.stack.levels, after.stack.finisher, after.stack.loading) == ((2, 1), True, "")
        assert after.stack.parts is not None and after.stack.parts.levels == (2, 1, 0)
        begun = session.engine.status.blocks_made
        eventually(lambda: session.engine.status.blocks_made > begun + 2, "blocks of it")
        eventually(
            lambda: session.recent_blocks()[-1].stack != session.recent_blocks()[0].stack, "its first block"
        )
        session.save_patch(tmp_path / "saved.toml", "saved")
        change = next(b for b in session.recent_blocks() if b.stack and b.stack.stack == str(small))
        eventually(lambda: session.status().frame > change.end_frame, "the change is heard")
        folder = session.status().recorder.folder
        session.stop_recording()
    finally:
        session.close()
    assert load_patch(tmp_path / "saved.toml").choice == load_patch(other).choice
    assert folder is not None
    take = open_take(folder)
    assert take.info.stack == "pocket" and take.info.details["levels"] == [2]
    (event,) = [event for event in take.events() if isinstance(event, StackEvent)]
    assert (event.frame, event.stack, event.levels, event.finisher) == (
        change.start_frame, str(small), [2, 1], True,
    )  # fmt: skip
    assert event.fade_frames > 0 and event.latency_frames > 0 and event.identity


def test_the_command_line_wins_over_the_patch_it_starts_with_and_not_over_later_ones(tmp_path: Path) -> None:
    session = Session(SessionOptions(stack="mine", levels=(2, 1), finisher=False, device="null", midi=()))
    try:
        session.load_patch(session.patches()["drift"])
        assert session.model is not None
        choice = session.model.choice
        assert (choice.stack, choice.levels, choice.finisher) == ("mine", (2, 1), False)
        session.start()
        eventually(lambda: session.status().engine.state is EngineState.FAILED, "the reason")
        assert "no stack 'mine'; known:" in session.status().engine.detail
        session.load_patch(session.patches()["drift"])
        assert session.model.choice.stack == "pocket"
        session.engine.stop()
        session.start()
        eventually(lambda: session.status().frame > 0, "sound of the stack chosen instead")
    finally:
        session.close()
