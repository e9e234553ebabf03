"""Facts for the stage: rings that a patch chooses, values to go back to, room on the disk, getting ready."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small_stacks import write_small_stack
from stage_rig import StageRig, stage

from jbdiff.diffusion.noise import NoiseRegister, NoiseSettings, NoiseStyle
from jbdiff_live.block import NoiseDrawn, Preparing
from jbdiff_live.engine.engine import Engine
from jbdiff_live.engine.voices.load import load_voice
from jbdiff_live.engine.voices.sources import Sources
from jbdiff_live.parameters import BY_NAME, Origin, ParameterStore
from jbdiff_live.patch import STAGE_KNOBS, PatchError, factory_patches, load_patch, save_patch
from jbdiff_live.record.room import ASK_SECONDS, TakeRoom
from jbdiff_live.stack_choice import StackChoice
from jbdiff_live.status import EngineState

HEAD = 'format = 1\nname = "mine"\n'


def test_a_patch_chooses_the_rings_of_the_stage_and_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + 'stage = ["memory", "gain"]\n[values]\nmemory = 0.6\n')
    patch = load_patch(path)
    assert patch.stage == ("memory", "gain")
    copy = tmp_path / "copy.toml"
    save_patch(copy, patch)
    assert load_patch(copy).stage == ("memory", "gain")
    path.write_text(HEAD)
    assert load_patch(path).stage == ()
    save_patch(tmp_path / "none.toml", load_patch(path))
    assert "stage" not in (tmp_path / "none.toml").read_text()


@pytest.mark.parametrize(
    ("stage_line", "why"),
    [
        ('["memry"]', "line 3: stage: no knob 'memry'; did you mean 'memory'"),
        ('["mute"]', "no knob 'mute'"),
        ('["noise_style"]', "no knob 'noise_style'"),
        ('["gain", "gain"]', "gain twice"),
        (
            str(
                ["seed", "seed_b", "seed_morph", "noise_step", "memory", "gain", "anchor", "motion", "tempo"]
            ),
            "9 knobs",
        ),
        ('["memory", 3]', "stage"),
    ],
)
def test_a_bad_list_of_rings_names_the_line_and_the_remedy(tmp_path: Path, stage_line: str, why: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"{HEAD}stage = {stage_line}\n")
    with pytest.raises(PatchError, match=why):
        load_patch(path)
    assert STAGE_KNOBS == 8


@pytest.fixture
def rig(tmp_path: Path) -> StageRig:  # type: ignore[misc]
    with stage(tmp_path) as made:
        yield made


def test_the_status_tells_the_patch_its_values_and_its_rings(rig: StageRig, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + 'stage = ["memory"]\n[values]\nmemory = 0.6\nnoise_style = "region"\n')
    rig.session.load_patch(path)
    status = rig.session.status()
    assert status.patch_file == str(path.resolve()) and status.stage_knobs == ("memory",)
    assert status.patch_values == {"memory": 0.6, "noise_style": 2.0}
    rig.session.set_parameter("memory", 0.9)
    assert rig.session.status().patch_values["memory"] == 0.6
    rig.session.save_patch(path, "mine")
    assert rig.session.status().patch_values["memory"] == 0.9


def test_factory_patches_are_not_written_over(rig: StageRig, tmp_path: Path) -> None:
    drift = factory_patches()["drift"]
    before = drift.read_bytes()
    with pytest.raises(PatchError, match="save under another name"):
        rig.session.save_patch(drift, "drift")
    assert drift.read_bytes() == before
    rig.session.save_patch(tmp_path / "drift.toml", "drift")
    assert load_patch(tmp_path / "drift.toml").name == "drift"


def test_a_take_knows_the_room_on_its_disk(rig: StageRig) -> None:
    left = rig.session.status().recorder.seconds_left
    assert left is not None and left > 0


def test_the_disk_is_asked_now_and_then_and_a_folder_need_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, asked = [0.0], []

    def usage(folder: Path) -> object:
        asked.append(folder)
        if not folder.exists():
            raise FileNotFoundError(folder)
        return type("Usage", (), {"free": 44_100 * 2 * 4 * 60})()

    monkeypatch.setattr(shutil, "disk_usage", usage)
    room = TakeRoom(tmp_path / "takes" / "tonight", 44_100, 2, lambda: now[0])
    assert room.seconds_left() == 60.0 and asked[-1] == tmp_path
    number = len(asked)
    now[0] += ASK_SECONDS - 1
    assert room.seconds_left() == 60.0 and len(asked) == number
    now[0] += 2

    def refused(folder: Path) -> object:
        raise PermissionError(folder)

    monkeypatch.setattr(shutil, "disk_usage", refused)
    assert room.seconds_left() is None


@pytest.mark.parametrize(("warming", "state"), [(False, EngineState.LOADING), (True, EngineState.WARMING)])
def test_loading_is_the_first_step_of_getting_ready_and_warming_up_the_second(
    rig: StageRig, warming: bool, state: EngineState
) -> None:
    engine: Engine = rig.session.engine
    report: Callable[[Preparing], None] = engine._getting_ready
    report(Preparing("loading and warming up", warming))  # the state does not depend on the words
    assert (engine.status.state, engine.status.detail) == (state, "loading and warming up")


def test_the_identity_of_a_noise_says_the_slot_of_the_register() -> None:
    register = NoiseRegister("level2", 2, 8)
    slots = []
    for _ in range(5):
        _, identity, register = register.next(NoiseSettings(style=NoiseStyle.REGISTER, length=3))
        slots.append(identity.slot)
    assert slots == [0, 1, 2, 0, 1]
    _, identity, _ = register.next(NoiseSettings(style=NoiseStyle.WALK))
    assert identity.slot is None


def test_a_block_has_the_slot_of_the_register_that_it_plays(tmp_path: Path) -> None:
    choice = StackChoice(str(write_small_stack(tmp_path / "small")), levels=(2,), finisher=False)
    voice = load_voice(choice, lambda _: None, lambda: True, threads=1)
    assert voice is not None
    store, slots = ParameterStore(), []
    for style in ("register", "register", "register", "register", "walk"):
        store.set("noise_length", 3, Origin.UI)
        store.set("noise_style", BY_NAME["noise_style"].parse(style), Origin.UI)
        made = voice.next_block(store.snapshot, Sources(), lambda share=0.0: True)
        assert made is not None
        assert isinstance(made.noise, NoiseDrawn)
        slots.append(made.noise.slot)
    assert slots == [0, 1, 2, 0, None]
