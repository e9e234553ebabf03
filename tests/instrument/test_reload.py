"""A reload does no work twice: weights, warm-up and sounds are counted, not timed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from small_stacks import write_small_stack
from stack_rig import PATIENCE, RATE, Rig

import jbdiff.stacks.stack
from jbdiff_live.engine.voices import load
from jbdiff_live.engine.voices.load import FADE_FRAMES, load_voice
from jbdiff_live.engine.voices.shelf import MOST_BEGINNINGS, MOST_VOICES, KnownBeginnings, VoiceShelf
from jbdiff_live.engine.voices.sources import FileSource, Sources
from jbdiff_live.engine.voices.voice import StackVoice
from jbdiff_live.parameters import ParameterStore
from jbdiff_live.stack_choice import StackChoice


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_small_stack(tmp_path_factory.mktemp("stacks") / "small"))


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The work that was done, in order: "weights", "warm-up", "sound"."""
    done: list[str] = []

    def counted(name: str, plain: Callable[..., object]) -> Callable[..., object]:
        def call(*given: object, **named: object) -> object:
            done.append(name)
            return plain(*given, **named)

        return call

    for owner, attribute, name in (
        (jbdiff.stacks.stack, "load_stack", "weights"),
        (load, "_warm_up", "warm-up"),
        (StackVoice, "beginning_of", "sound"),
    ):
        monkeypatch.setattr(owner, attribute, counted(name, getattr(owner, attribute)))
    return done


@pytest.fixture
def rig(folder: str) -> Iterator[Rig]:
    rig = Rig(StackChoice(folder, levels=(2,), finisher=False), pace=4.0)  # late blocks do not matter here
    yield rig
    rig.close()


def noise(seed: int, seconds: float = 2.0) -> FileSource:
    samples = np.random.default_rng(seed).standard_normal(round(seconds * RATE)).astype(np.float32) / 8
    return FileSource(Path(f"{seed}.wav"), samples, "")


def ask(rig: Rig, choice: StackChoice, sound: FileSource) -> None:
    """Ask for a stack and its sound as a patch does: the sound is there after the stack was asked for."""
    read = threading.Event()
    rig.generator._files_read = lambda keep_going: read.wait(PATIENCE)  # type: ignore[assignment]
    rig.generator.choose(choice)
    rig.generator.context_file = sound
    read.set()


def change(rig: Rig, choice: StackChoice, sound: FileSource) -> None:
    """Ask for a stack and its sound, and wait until it has taken over with it."""
    before, switches = rig.generator._ready(), len(rig.switches())
    ask(rig, choice, sound)
    rig.wait(
        lambda: rig.generator._ready() is not before and rig.generator._playing.handover is None,
        "the handover",
    )
    assert len(rig.switches()) == switches + 1 and not rig.generator.status.problem
    rig.wait(lambda: rig.generator._ready().began_from is sound, "the sound")


def test_a_patch_that_is_loaded_again_reads_warms_up_and_measures_nothing(rig: Rig, work: list[str]) -> None:
    one, other = rig.generator.choice, StackChoice(rig.generator.choice.stack, levels=(2, 1), finisher=False)
    rig.generator.context_file = noise(1)
    rig.engine.start()
    rig.wait(lambda: len(rig.blocks) > 1, "two blocks")
    assert work == ["weights", "warm-up", "sound"]
    change(rig, other, noise(2))
    assert work[3:] == ["warm-up", "sound"], "the same weights"
    del work[:]
    for _ in range(2):
        change(rig, one, noise(1))  # read once more from its file, as a patch does
        change(rig, other, noise(2))
    assert work == []


def test_a_new_sound_of_a_known_stack_is_measured_alone(rig: Rig, work: list[str]) -> None:
    one, other = rig.generator.choice, StackChoice(rig.generator.choice.stack, levels=(2, 1), finisher=False)
    rig.engine.start()
    rig.wait(lambda: len(rig.blocks) > 1, "two blocks")
    change(rig, other, noise(2))
    del work[:]
    change(rig, one, noise(3))
    assert work == ["sound"]


def test_a_stack_waits_for_the_sound_of_its_patch(rig: Rig) -> None:
    """A voice from the shelf is ready at once, and the sound is still being read."""
    one, other = rig.generator.choice, StackChoice(rig.generator.choice.stack, levels=(2, 1), finisher=False)
    rig.engine.start()
    rig.wait(lambda: len(rig.blocks) > 1, "two blocks")
    change(rig, other, noise(2))
    asked, read = threading.Event(), threading.Event()

    def reading(keep_going: Callable[[], bool]) -> None:
        asked.set()
        assert read.wait(PATIENCE)

    rig.generator._files_read = reading  # type: ignore[assignment]
    rig.generator.choose(one)
    assert asked.wait(PATIENCE)
    assert rig.generator.switch_seconds is None
    file = rig.generator.context_file = noise(4)
    read.set()
    rig.wait(lambda: rig.generator._ready().playing.levels == (2,), "the change")
    assert rig.generator._ready().known_beginning(file) is not None


def test_a_choice_that_is_replaced_stops_measuring_its_sound(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next choice waits for no more than one piece of that work."""
    one, other = rig.generator.choice, StackChoice(rig.generator.choice.stack, levels=(2, 1), finisher=False)
    pieces, ended = [0], threading.Event()

    def endless(voice: StackVoice, file: FileSource, take_turns: Callable[[], object]) -> object:
        try:
            while True:
                take_turns()
                pieces[0] += 1
                if pieces[0] == 3:
                    rig.generator.choose(one)
                assert pieces[0] < 10, "nobody wants it any more"
        finally:
            ended.set()

    rig.engine.start()
    rig.wait(lambda: len(rig.blocks) > 1, "two blocks")
    monkeypatch.setattr(StackVoice, "beginning_of", endless)
    ask(rig, other, noise(6))
    assert ended.wait(PATIENCE)
    assert pieces == [3]
    assert not rig.generator.status.problem


def test_a_voice_from_the_shelf_sounds_like_a_new_one(folder: str) -> None:
    choice, file, store = StackChoice(folder, finisher=True), noise(5), ParameterStore()

    def voice(shared: jbdiff.stacks.stack.Stack | None = None) -> StackVoice:
        made = load_voice(choice, lambda _: None, lambda: True, threads=1, shared=shared)
        assert made is not None
        return made

    def two_blocks(voice: StackVoice) -> np.ndarray:
        voice.set_beginning(file, voice.beginning_of(file, lambda: None))
        blocks = [voice.next_block(store.snapshot, Sources(), lambda share=0.0: True) for _ in range(2)]
        return np.concatenate([block.samples for block in blocks if block is not None])

    played = voice()
    fresh = two_blocks(voice(played.stack))
    played.next_block(store.snapshot, Sources(), lambda share=0.0: True)
    shelf = VoiceShelf()
    shelf.put(played, played.stack)
    assert shelf.take(StackChoice(folder, levels=(2,)), played.stack) is None, "it plays other parts"
    assert shelf.take(choice, played.stack) is played
    assert shelf.take(choice, played.stack) is None, "a voice plays once at a time"
    played.ready_again(choice, FADE_FRAMES)
    assert (played.position, played.began_from, played.playing.fade_frames) == (0, None, FADE_FRAMES)
    assert np.array_equal(two_blocks(played), fresh)


def test_the_shelf_keeps_the_newest_voices_of_the_stack_that_plays(folder: str) -> None:
    stack = jbdiff.stacks.stack.load_stack(folder)
    shelf, voices = VoiceShelf(), []
    for steps in range(1, MOST_VOICES + 2):
        choice = StackChoice(folder, levels=(2,), finisher=False, steps=steps)
        made = load_voice(choice, lambda _: None, lambda: True, threads=1, shared=stack)
        assert made is not None
        voices.append(made)
        shelf.put(made, stack)
    assert shelf.take(voices[0].asked, stack) is None, "the oldest has left"
    assert shelf.take(voices[-1].asked, stack) is voices[-1]
    another = jbdiff.stacks.stack.load_stack(folder)
    shelf.put(voices[0], another)
    assert shelf.take(voices[1].asked, stack) is None, "its weights would stay in memory"


def test_beginnings_are_kept_by_sound_and_the_oldest_leaves(folder: str, work: list[str]) -> None:
    choice = StackChoice(folder, levels=(2,), finisher=False)
    voice = load_voice(choice, lambda _: None, lambda: True, threads=1)
    assert voice is not None
    known, sounds = KnownBeginnings(), [noise(seed, 0.5) for seed in range(MOST_BEGINNINGS + 1)]
    first = known.of(voice, sounds[0], lambda: None)
    assert known.of(voice, noise(0, 0.5), lambda: None) is first
    assert work.count("sound") == 1
    for sound in sounds[1:]:
        known.of(voice, sound, lambda: None)
    known.of(voice, sounds[-1], lambda: None)
    assert work.count("sound") == MOST_BEGINNINGS + 1
    known.of(voice, sounds[0], lambda: None)
    assert work.count("sound") == MOST_BEGINNINGS + 2


def test_another_stream_of_a_loaded_stack_does_not_touch_its_modules(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's thread may be computing with them."""
    stack = jbdiff.stacks.stack.load_stack(folder)

    def refuse(module: torch.nn.Module, device: object) -> None:
        raise AssertionError("moved")

    monkeypatch.setattr(torch.nn.Module, "to", refuse)
    assert stack.to("cpu") is stack
    with pytest.raises(AssertionError, match="moved"):
        stack.to("meta")
