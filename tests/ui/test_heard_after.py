"""How soon each kind of knob is heard stands in the window, in the digits that count."""

from __future__ import annotations

from dataclasses import replace

import pytest
from demo_transport import DemoTransport

from jbdiff_live.parameters import TakesEffect
from jbdiff_live.ui.rows.heard_after import LABELS, seconds_text
from jbdiff_live.ui.window import MainWindow


def test_every_time_at_which_knobs_are_read_has_its_place(window: MainWindow, demo: DemoTransport) -> None:
    assert set(LABELS) == set(TakesEffect)
    shown = window.health.heard_after
    assert set(shown.texts.values()) == {"0.09 s", "–"}  # only the device is there yet
    demo.start()
    demo.set_status(reload_seconds=6.2)
    window.look()
    assert [shown.texts[when] for when in TakesEffect] == ["0.09 s", "1.2 s", "1.4 s", "6.2 s"]
    assert shown.note == "at most 2.5 s"
    assert "next step 1.2 s" in shown.toolTip() and "reload 6.2 s" in shown.accessibleDescription()


def test_the_devices_own_delay_counts(window: MainWindow, demo: DemoTransport) -> None:
    demo.start()
    demo.set_status(audio=replace(demo.state.audio, device_seconds=0.412))
    window.look()
    assert window.health.heard_after.texts[TakesEffect.NEXT_BLOCK] == "1.8 s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "–"), (0.004, "0.00 s"), (0.0849, "0.08 s"), (0.9949, "0.99 s"), (0.996, "1.0 s"), (9.94, "9.9 s"),
     (9.96, "10 s"), (73.2, "73 s")],
)  # fmt: skip
def test_seconds_have_two_digits_that_count(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_the_list_of_patches_tells_their_programs(window: MainWindow) -> None:
    menu = window.patch.make_menu()
    texts = [action.text() for action in menu.actions()]
    menu.close()
    assert texts[:2] == ["first light\tprogram 12", "slow glass"]
    assert window.patch.note == "program 12"
