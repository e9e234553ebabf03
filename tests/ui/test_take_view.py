"""The take view: by keys alone and by mouse, at 960 x 540. Each wish goes to the session; what it refuses is said."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from demo_takes import RATE, DemoTakes, make_takes
from demo_transport import DemoTransport
from PySide6.QtCore import QCoreApplication, QEvent, QFile, QPoint, QPointF, Qt
from PySide6.QtGui import QDesktopServices, QDropEvent
from PySide6.QtWidgets import QApplication, QDialog, QFileDialog, QLabel, QMenu, QMessageBox, QWidget
from pytestqt.qtbot import QtBot

from jbdiff_live.browse.takes import Mark, SoundFormat
from jbdiff_live.record.take import open_take
from jbdiff_live.ui.browser.detail import Action
from jbdiff_live.ui.browser.dialog import Browser
from jbdiff_live.ui.takeview.dialog import TakeView
from jbdiff_live.ui.takeview.export_dialog import ExportDialog
from jbdiff_live.ui.takeview.slots import sound_data
from jbdiff_live.ui.takeview.trash import to_trash
from jbdiff_live.ui.window import MainWindow

Key, CONTROL = Qt.Key, Qt.KeyboardModifier.ControlModifier
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The takes that each test gets a copy of."""
    return make_takes(tmp_path_factory.mktemp("takes"))


@pytest.fixture
def takes(demo: DemoTransport, made_once: Path, tmp_path: Path) -> Iterator[DemoTakes]:
    made = DemoTakes(demo, Path(shutil.copytree(made_once, tmp_path / "takes")))
    yield made
    made.close()


@pytest.fixture
def browser(window: MainWindow, takes: DemoTakes, qtbot: QtBot, demo: DemoTransport) -> Browser:
    """The browser in the smallest window, with the takes alone."""
    window.resize(960, 540)
    window.open_browser()
    found = window.browser
    qtbot.mouseClick(found.filters[3], LEFT)
    choose(found, "friday night")
    demo.asked.clear()
    return found


def choose(browser: Browser, name: str) -> None:
    names = [entry.name for entry in browser.model.rows]
    browser.list.setCurrentIndex(browser.model.index(names.index(name)))


@pytest.fixture
def view(browser: Browser, qtbot: QtBot) -> Iterator[TakeView]:
    """The view of the first take, opened by Enter."""
    browser.load()
    made = browser.view
    assert isinstance(made, TakeView)
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow)
    yield made
    if browser.view is made:
        made.close()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def press(qtbot: QtBot, view: TakeView, key: Qt.Key, how: Qt.KeyboardModifier | None = None) -> None:
    qtbot.keyClick(view.focusWidget() or view, key, how or Qt.KeyboardModifier.NoModifier)


# ---------------------------------------------------------------------- the list


def test_the_list_shows_takes_with_length_level_patch_tags_and_picture(
    browser: Browser, takes: DemoTakes, demo: DemoTransport, qtbot: QtBot
) -> None:
    assert takes.desk._levels.wait(20)
    browser.read_list()
    browser.look()
    choose(browser, "friday night")
    assert [entry.name for entry in browser.model.rows] == ["friday night", "rehearsal"]
    words = browser.detail.about.text()
    assert "0:04" in words and "LUFS" in words and "patch drift" in words
    assert browser.detail.tags.text() == "house, slow" and not browser.detail.picture.pixmap().isNull()
    qtbot.keyClicks(browser.search, "slow-glass take")
    assert [entry.name for entry in browser.model.rows] == ["rehearsal"]


def test_the_browser_continues_listens_renames_and_trashes_a_take(
    browser: Browser, takes: DemoTakes, demo: DemoTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.arm()
    assert demo.asked == [("load_context_file", takes.folder / "friday night" / "audio.wav")]
    browser.listen()
    assert takes.listening.asked == [("play", 1, "friday night", 0.0)]
    browser.rename()
    browser.name.setText("con")
    browser._use_name()
    assert "choose a shorter or plainer one" in browser.line.text()
    browser.name.setText("saturday")
    browser._use_name()
    assert (takes.folder / "saturday").is_dir() and not (takes.folder / "friday night").exists()
    choose(browser, "saturday")
    trashed: list[str] = []
    monkeypatch.setattr(QFile, "moveToTrash", lambda path: (trashed.append(path) or True, ""))
    browser.trash()
    assert not trashed
    browser.trash()
    assert trashed == [str(takes.folder / "saturday")]


def test_a_row_is_dragged_as_its_sound_file(browser: Browser, takes: DemoTakes) -> None:
    index = browser.list.currentIndex()
    assert index.flags() & Qt.ItemFlag.ItemIsDragEnabled
    (url,) = browser.model.mimeData([index]).urls()
    assert Path(url.toLocalFile()) == takes.folder / "friday night" / "audio.wav"


def test_the_plotting_library_comes_only_with_the_view() -> None:
    code = "import sys, jbdiff_live.ui.window\nprint('pyqtgraph' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "False", done.stderr


# ---------------------------------------------------------------------- listening


def test_space_plays_and_the_playhead_follows_and_a_click_seeks(
    view: TakeView, takes: DemoTakes, qtbot: QtBot
) -> None:
    press(qtbot, view, Key.Key_Space)
    assert takes.listening.asked == [("play", 1, "friday night", 0.0), ("loop", None, 4.0)]
    takes.listening.at = 1.5
    view.frame()
    assert view.wave.head.value() == 1.5 and view.place.text() == "0:01.5 / 0:04.0"
    view.look()
    assert view.play.text().startswith("Stop")
    where = view.wave.mapFromScene(view.wave.box.mapViewToScene(QPointF(3.0, 0.0)))
    qtbot.mouseClick(view.wave.viewport(), LEFT, pos=where)
    assert takes.listening.asked[-1][0] == "seek"
    assert takes.listening.at == pytest.approx(3.0, abs=0.02)
    press(qtbot, view, Key.Key_Left)
    assert takes.listening.at == pytest.approx(2.0, abs=0.02)
    press(qtbot, view, Key.Key_Space)
    assert takes.listening.at is None and view.player.at == pytest.approx(2.0, abs=0.02)
    press(qtbot, view, Key.Key_Right, CONTROL)
    assert view.player.at == 4.0
    press(qtbot, view, Key.Key_Space)
    assert takes.listening.asked[-2] == ("play", 1, "friday night", 0.0), "at the end it begins anew"


def test_while_the_music_plays_it_says_why_nothing_is_heard(
    view: TakeView, takes: DemoTakes, demo: DemoTransport, qtbot: QtBot
) -> None:
    demo.start()
    view.look()
    assert not view.play.isEnabled() and "stop the music first" in view.play.toolTip()
    assert view.reasons.isVisible() and "Play: the audience would hear it" in view.reasons.text()
    assert "A/B, Same level: choose a take to compare with first" in view.reasons.text()
    press(qtbot, view, Key.Key_Space)
    assert "the audience would hear it" in view.line.text() and takes.listening.asked == []
    with pytest.raises(RuntimeError, match="stop the music first"):
        takes.desk.listen((view.facts.folder,), 0.0)


def test_a_part_is_chosen_by_drag_or_keys_and_is_looped(
    view: TakeView, takes: DemoTakes, qtbot: QtBot
) -> None:
    view.seek(1.0)
    press(qtbot, view, Key.Key_BracketLeft)
    view.seek(2.0)
    press(qtbot, view, Key.Key_BracketRight)
    assert view.wave.part == pytest.approx((1.0, 2.0))
    press(qtbot, view, Key.Key_L)
    press(qtbot, view, Key.Key_Space)
    assert takes.listening.asked == [("play", 1, "friday night", 1.0), ("loop", 1.0, 2.0)]
    view.wave.box.dragged.emit(2.5, 3.5)
    assert view.player.part == pytest.approx((2.5, 3.5))
    assert takes.listening.asked[-1] == ("loop", pytest.approx(2.5), pytest.approx(3.5))
    press(qtbot, view, Key.Key_Escape)
    assert view.wave.part is None and view.isVisible(), "Esc gives up the part first"
    assert takes.listening.asked[-1] == ("loop", 0.0, 4.0)


def test_keys_zoom_around_the_playhead(view: TakeView, qtbot: QtBot) -> None:
    view.seek(2.0)
    for _ in range(6):
        press(qtbot, view, Key.Key_Plus)
    left, right = view.wave.visible
    assert right - left == pytest.approx(4.0 * 0.7**6, rel=0.01) and left < 2.0 < right
    view.wave.show_place(3.9, follow=True)
    assert view.wave.visible[0] <= 3.9 <= view.wave.visible[1]
    press(qtbot, view, Key.Key_0)
    assert view.wave.visible == pytest.approx((0.0, 4.0))


def test_the_wave_shows_the_sound_at_every_zoom(view: TakeView, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: view._waves[0].ready == 4 * RATE)
    view.frame()
    x, y = view.wave._curves[0].getData()
    assert x[-1] == pytest.approx(4.0, abs=0.05) and y.max() == pytest.approx(0.5, abs=0.01)
    view.wave.box.setXRange(0.99, 1.01, padding=0)
    x, y = view.wave._curves[0].getData()
    assert len(x) > 200 and abs(y).max() < 0.05, "the swell is silent there"


# ---------------------------------------------------------------------- two takes


def test_two_takes_are_compared_at_the_same_place_and_level(
    view: TakeView, takes: DemoTakes, qtbot: QtBot
) -> None:
    press(qtbot, view, Key.Key_B)
    assert "choose a take to compare with first" in view.line.text()
    press(qtbot, view, Key.Key_C)
    menu = view.findChild(QMenu)
    assert menu is not None
    menu.actions()[0].trigger()
    menu.close()
    assert len(view._waves) == 2 and "B: rehearsal" in view.about.text()
    press(qtbot, view, Key.Key_Space)
    assert takes.listening.asked[0] == ("play", 2, "friday night", 0.0)
    press(qtbot, view, Key.Key_B)
    assert takes.listening.asked[-1] == ("choose", 1) and view.switch.text().startswith("A/B: B")
    assert takes.desk._levels.wait(20)
    press(qtbot, view, Key.Key_M)
    assert takes.listening.asked[-1] == ("turn_down", pytest.approx(-14.0, abs=0.3), 0.0)
    view.compare(None)
    assert len(view._waves) == 1 and takes.listening.asked[-2] == ("play", 1, "friday night", 0.0)


# ---------------------------------------------------------------------- marks, tags, name


def test_marks_are_set_named_removed_and_sought(view: TakeView, takes: DemoTakes, qtbot: QtBot) -> None:
    folder = view.facts.folder
    assert [mark.name for mark in view.marks] == ["1", "drop"]
    view.seek(1.0)
    press(qtbot, view, Key.Key_V)
    press(qtbot, view, Key.Key_N)
    qtbot.keyClicks(view.name, "break v l t")
    assert takes.listening.asked == [], "letters are typed"
    press(qtbot, view, Key.Key_Return)
    assert Mark(RATE, "break v l t") in view.marks and not view.name.isVisible()
    assert [m.name for m in open_take(folder).info.marks] == ["break v l t", "drop"]
    press(qtbot, view, Key.Key_Period)
    assert view.player.at == 3.0
    press(qtbot, view, Key.Key_Delete)
    assert [m.name for m in open_take(folder).info.marks] == ["break v l t"]
    view.seek(0.5)
    press(qtbot, view, Key.Key_Delete)
    assert "stays in the log" in view.line.text() and len(view.marks) == 2


def test_name_tags_and_favourite_are_kept(
    view: TakeView, takes: DemoTakes, demo: DemoTransport, qtbot: QtBot
) -> None:
    press(qtbot, view, Key.Key_F2)
    view.name.setText("the good one")
    press(qtbot, view, Key.Key_Return)
    assert view.facts.folder == takes.folder / "the good one" and view.title.text() == "the good one"
    press(qtbot, view, Key.Key_G)
    assert view.name.text() == "house, slow"
    view.name.setText("house, late")
    press(qtbot, view, Key.Key_Return)
    assert view.facts.tags == ("house", "late") and "tags: house, late" in view.about.text()
    press(qtbot, view, Key.Key_F, CONTROL)
    assert demo.asked[-1] == ("mark_favourite", "take:the good one", True) and view.about.text().startswith(
        "★"
    )


# ---------------------------------------------------------------------- use, files


def test_the_take_or_its_part_becomes_context_or_init_by_key_and_drop(
    view: TakeView, takes: DemoTakes, demo: DemoTransport, qtbot: QtBot
) -> None:
    folder = view.facts.folder
    press(qtbot, view, Key.Key_Return)
    assert demo.asked[-1] == ("load_context_file", folder / "audio.wav")
    view.wave.choose_part((1.0, 2.0))
    press(qtbot, view, Key.Key_Return, CONTROL)
    part = folder / "parts" / f"{RATE}-{2 * RATE}.wav"
    assert demo.asked[-1] == ("load_init_file", part) and soundfile.info(part).frames == RATE
    dragged = view.grip._file()
    assert dragged == part
    data = sound_data(part)
    drop = QDropEvent(QPoint(5, 5), Qt.DropAction.CopyAction, data, LEFT, Qt.KeyboardModifier.NoModifier)
    view.context.dropEvent(drop)
    assert demo.asked[-1] == ("load_context_file", part)


def test_trim_needs_a_part_and_makes_another_take(view: TakeView, takes: DemoTakes, qtbot: QtBot) -> None:
    press(qtbot, view, Key.Key_T)
    assert "choose a part first" in view.line.text()
    view.wave.choose_part((0.5, 2.5))
    press(qtbot, view, Key.Key_T)
    job = takes.desk.job
    assert job is not None
    qtbot.waitUntil(lambda: job.state.ended, timeout=20_000)
    view.look()
    assert "now a take of its own: friday night part" in view.line.text()
    assert open_take(takes.folder / "friday night part").frames == 2 * RATE


def test_export_asks_how_and_where_and_shows_what_came_of_it(
    view: TakeView, takes: DemoTakes, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "out"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))

    def accept(dialog: ExportDialog) -> int:
        assert dialog.which.count() == 2
        dialog.format.setCurrentIndex(list(SoundFormat).index(SoundFormat.FLAC))
        dialog.loudness.setCurrentIndex(1)
        return int(QDialog.DialogCode.Accepted)

    monkeypatch.setattr(ExportDialog, "exec", accept)
    view.wave.choose_part((1.0, 3.0))
    press(qtbot, view, Key.Key_E)
    job = takes.desk.job
    assert job is not None
    qtbot.waitUntil(lambda: job.state.ended, timeout=20_000)
    view.look()
    assert "out.flac is written" in view.line.text()
    assert soundfile.info(tmp_path / "out.flac").frames == 2 * RATE


def test_rendering_again_shows_progress_and_is_cancelled(
    view: TakeView, window: MainWindow, takes: DemoTakes, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser shows it too, since it goes on after the view is closed. Closing the window would end it."""
    browser = window.browser
    press(qtbot, view, Key.Key_R)
    job = takes.desk.job
    assert job is not None
    qtbot.waitUntil(lambda: bool(job.state.part), timeout=20_000)
    view.look()
    assert view.progress.isVisible() and view.progress.value() == 250
    browser.look()
    assert browser.work.isVisible() and "rendering friday night again, 0:42 left" in browser.work.text()
    assert "rendering friday night again, 0:42 left" in view.work.text()
    asked: list[str] = []
    monkeypatch.setattr(QMessageBox, "question", lambda *given: asked.append(given[2]))
    assert not window.may_close() and "while rendering friday night again?" in asked[0]
    press(qtbot, view, Key.Key_T)
    view.wave.choose_part((0.5, 2.5))
    press(qtbot, view, Key.Key_T)
    assert "still rendering friday night again; wait for it, or cancel it" in view.line.text()
    press(qtbot, view, Key.Key_X)
    qtbot.waitUntil(lambda: job.state.ended, timeout=20_000)
    view.look()
    assert not view.progress.isVisible() and view.line.text() == "cancelled"
    browser.look()
    assert browser.work.isHidden()


def test_rendering_again_waits_while_the_music_plays_and_says_so(
    view: TakeView, takes: DemoTakes, demo: DemoTransport, qtbot: QtBot
) -> None:
    demo.start()
    press(qtbot, view, Key.Key_R)
    job = takes.desk.job
    assert job is not None
    qtbot.waitUntil(lambda: bool(job.state.waits), timeout=20_000)
    view.look()
    assert view.work.text() == "rendering friday night again: waits until the music stops"
    assert view.work.isVisible() and view.cancel.isVisible()
    demo.stop()
    qtbot.waitUntil(lambda: bool(job.state.part), timeout=20_000)
    view.look()
    assert "0:42 left" in view.work.text()


def test_without_a_trash_nothing_is_deleted(
    view: TakeView, takes: DemoTakes, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFile, "moveToTrash", lambda path: False)
    press(qtbot, view, Key.Key_T, CONTROL)
    assert view.to_trash.text().startswith("Once more")
    press(qtbot, view, Key.Key_T, CONTROL)
    assert "no trash" in view.line.text() and view.facts.folder.is_dir() and view.isVisible()
    assert len(view._waves) == 1, "the wave is shown again"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep their trash elsewhere")
def test_a_new_account_gets_the_folder_of_its_trash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share" / "data"))
    there: list[bool] = []
    monkeypatch.setattr(
        QFile, "moveToTrash", lambda path: there.append((tmp_path / "share" / "data").is_dir()) or True
    )
    to_trash(tmp_path / "take")
    assert there == [True]


def test_the_folder_is_opened_and_closing_ends_what_is_heard(
    view: TakeView, takes: DemoTakes, browser: Browser, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()) or True)
    press(qtbot, view, Key.Key_O)
    assert opened == [str(view.facts.folder)]
    press(qtbot, view, Key.Key_Space)
    press(qtbot, view, Key.Key_Escape)
    assert takes.listening.at is None and browser.view is None and browser.isVisible()


def test_nothing_is_cut_at_960_by_540_and_everything_has_a_name(
    view: TakeView, takes: DemoTakes, qtbot: QtBot
) -> None:
    press(qtbot, view, Key.Key_R)
    job = takes.desk.job
    assert job is not None
    qtbot.waitUntil(lambda: bool(job.state.part), timeout=20_000)
    view.refuse("a long reason: " + "the take cannot be used now because of this and that; " * 3)
    view.look()
    QApplication.processEvents()
    assert view.width() <= 940 and view.height() <= 520 and view.wave.height() >= 110
    for widget in view.findChildren(QWidget):
        if not widget.isVisible() or widget.parent() is not view:
            continue
        where = widget.mapTo(view, widget.rect().topLeft())
        assert view.rect().contains(widget.rect().translated(where)), widget
        if isinstance(widget, Action):
            assert widget.width() >= widget.minimumSizeHint().width(), widget.text()
        elif isinstance(widget, QLabel) and widget.wordWrap():
            assert widget.height() >= widget.heightForWidth(widget.width()), widget.text()
        named = isinstance(widget, (Action, QLabel)) and widget.text()
        assert named or widget.accessibleName(), widget
    job.cancel()
