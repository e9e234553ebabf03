"""Browsing in a real session: patches armed for the bar, sounds to listen to, own files. Time is turned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from instrument.stage_rig import LOUD, StageRig, stage

from jbdiff_live.beat.line import Unit
from jbdiff_live.browse.own_files import TRASH
from jbdiff_live.patch import Patch, PatchError, factory_patches, load_patch, save_patch
from jbdiff_live.system.patch_folders import user_patches_folder

RATE = 44_100
TONE_HZ, LOW, HIGH = 330.0, 0.1, 0.8


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[StageRig]:
    with stage(tmp_path) as made:
        yield made


@pytest.fixture
def own() -> Path:
    folder = user_patches_folder()
    assert folder is not None
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def mine(folder: Path, name: str = "mine", **values: float) -> Path:
    path = folder / f"{name}.toml"
    save_patch(path, Patch(name, values=values))
    return path


def tap(rig: StageRig) -> None:
    """Tap 120 beats a minute, so that there are bars, two seconds long."""
    for _ in range(4):
        rig.session.trigger("tap")
        rig.clock.run(0.5)


# ---------------------------------------------------------------------- the next bar


def test_an_armed_patch_loads_at_the_bar_and_not_before(rig: StageRig, own: Path) -> None:
    rig.play()
    tap(rig)
    path = mine(own, guidance=3.0)
    rig.session.arm_patch(path)
    status = rig.session.status()
    assert status.library.armed == "mine" and status.library.armed_in is not None
    due = rig.clock.now() + status.library.armed_in
    bar = rig.session.conductor.clock.next(Unit.BAR, due - 0.01)
    assert bar == pytest.approx(due, abs=0.001) and 0 < status.library.armed_in < 2.001
    while rig.clock.now() < due - 0.3:
        assert rig.session.status().patch != "mine"
        rig.clock.turn()
    rig.clock.run_until(lambda: rig.session.status().patch == "mine", "the armed patch")
    assert rig.session.snapshot()["guidance"] == 3.0 and rig.session.status().library.armed == ""


def test_an_armed_patch_is_taken_back_and_a_panic_forgets_it(rig: StageRig, own: Path) -> None:
    rig.play()
    tap(rig)
    path = mine(own)
    rig.session.arm_patch(path)
    rig.session.arm_patch(None)
    assert rig.session.status().library.armed == ""
    rig.session.arm_patch(path)
    rig.session.trigger("panic")
    assert rig.session.status().library.armed == ""
    rig.clock.run(2.5)
    assert rig.session.status().patch != "mine"


def test_arming_without_a_bar_says_so_and_arms_nothing(rig: StageRig, own: Path) -> None:
    with pytest.raises(ValueError, match="no bar to wait for; load the patch now"):
        rig.session.arm_patch(mine(own))
    assert rig.session.status().library.armed == ""


def test_a_bad_armed_patch_becomes_a_problem_that_the_player_sees(rig: StageRig, own: Path) -> None:
    rig.play()
    tap(rig)
    (own / "bad.toml").write_text("= 3")
    rig.session.arm_patch(own / "bad.toml")
    rig.clock.run_until(lambda: "the armed patch: " in rig.session.status().message, "the problem")
    assert rig.session.status().engine.state.value == "running"


# ---------------------------------------------------------------------- listening


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Four seconds of a quiet tone."""
    time = np.arange(4 * RATE) / RATE
    soundfile.write(tmp_path / "tone.wav", 0.25 * np.sin(2 * np.pi * TONE_HZ * time), RATE)
    return tmp_path / "tone.wav"


def listen(rig: StageRig, sound: Path) -> None:
    rig.device.loudest = 0.0
    rig.session.listen_to(sound)
    rig.clock.run_until(
        lambda: rig.device.loudest > LOUD, lambda: f"the sound: {rig.session.status().library}"
    )


def test_a_sound_is_heard_while_the_music_is_stopped_and_the_musics_clock_stands(
    rig: StageRig, sound: Path
) -> None:
    before = rig.session.status().frame
    listen(rig, sound)
    assert rig.session.status().library.listening == "tone.wav"
    assert rig.device.largest_step < 0.02, "it fades in"
    rig.clock.run_until(lambda: not rig.session.status().library.listening, "the end")
    assert rig.session.status().frame == before
    assert rig.session.status().library.problem == ""
    assert rig.device.largest_step < 0.02, "it fades out"


def test_listening_ends_when_it_is_asked_to_and_the_output_is_closed(rig: StageRig, sound: Path) -> None:
    streams = rig.sound.open_streams
    listen(rig, sound)
    assert rig.sound.open_streams == streams + 1
    rig.session.listen_to(None)
    assert rig.session.status().library.listening == "" and rig.sound.open_streams == streams


def test_while_the_music_plays_nothing_can_be_listened_to(rig: StageRig, sound: Path) -> None:
    rig.play()
    with pytest.raises(
        RuntimeError, match="the audience would hear it; stop the music first, or arm the patch"
    ):
        rig.session.listen_to(sound)
    assert rig.session.status().library.listening == ""


def test_a_start_ends_the_listening_before_the_music(rig: StageRig, sound: Path) -> None:
    listen(rig, sound)
    streams = rig.sound.open_streams
    rig.session.start()
    assert rig.session.status().library.listening == "" and rig.sound.open_streams == streams - 1
    rig.wait_for_sound()


def test_a_panic_silences_what_is_listened_to(rig: StageRig, sound: Path) -> None:
    listen(rig, sound)
    rig.session.trigger("panic")
    rig.clock.run(0.3)
    rig.device.loudest = 0.0
    rig.clock.run(0.3)
    assert rig.device.loudest == 0.0


def test_a_sound_that_cannot_be_played_says_why(rig: StageRig, tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_text("no sound at all")
    rig.session.listen_to(tmp_path / "broken.wav")
    rig.clock.run_until(lambda: rig.session.status().library.problem, "the reason")
    assert "cannot play broken.wav" in rig.session.status().library.problem


def test_without_a_device_listening_says_what_to_do(rig: StageRig, sound: Path) -> None:
    rig.session.choose_audio_device("null")
    rig.session.listen_to(sound)
    rig.clock.run_until(lambda: rig.session.status().library.problem, "the reason")
    assert "choose one in the settings" in rig.session.status().library.problem


# ---------------------------------------------------------------------- files


def test_save_save_as_rename_and_revert_go_with_the_patch_that_plays(rig: StageRig, own: Path) -> None:
    session = rig.session
    session.load_patch(factory_patches()["drift"])
    session.set_parameter("guidance", 2.5)
    with pytest.raises(PatchError, match="comes with the instrument"):
        session.save_own_patch()
    session.save_patch_as("night bus")
    assert load_patch(own / "night bus.toml").values["guidance"] == 2.5
    with pytest.raises(PatchError, match="a patch 'night bus' already"):
        session.save_patch_as("night bus")
    session.set_parameter("guidance", 1.0)
    session.save_own_patch()
    assert load_patch(own / "night bus.toml").values["guidance"] == 1.0
    session.mark_favourite("own:night bus", True)
    session.rename_patch(own / "night bus.toml", "last bus")
    status = session.status()
    assert (status.patch, status.patch_file) == ("last bus", str((own / "last bus.toml").resolve()))
    assert not status.undo.modified
    found = {entry.key: entry for entry in session.library()}
    assert found["own:last bus"].favourite and "own:night bus" not in found
    session.set_parameter("guidance", 4.0)
    session.revert()
    assert session.snapshot()["guidance"] == 1.0
    session.trash_patch(own / "last bus.toml")
    assert (own / TRASH / "last bus.toml").is_file() and session.status().patch == "last bus"
    session.save_own_patch()
    assert (own / "last bus.toml").is_file(), "what plays can be saved again"


def test_factory_patches_and_files_elsewhere_are_neither_renamed_nor_thrown_away(
    rig: StageRig, tmp_path: Path
) -> None:
    drift, elsewhere = factory_patches()["drift"], mine(tmp_path)
    for path, words in ((drift, "stays as it is"), (elsewhere, "not in your folder")):
        with pytest.raises(PatchError, match=words):
            rig.session.rename_patch(path, "other")
        with pytest.raises(PatchError, match=words):
            rig.session.trash_patch(path)
        assert path.is_file()


def test_favourites_last_over_a_restart(rig: StageRig, tmp_path: Path) -> None:
    rig.session.mark_favourite("factory:tide", True)
    with stage(tmp_path / "again") as other:
        assert [entry.key for entry in other.session.library() if entry.favourite] == ["factory:tide"]
