"""Learning: what it may take away from other knobs, controls in a row, unlearn and locate."""

from __future__ import annotations

import pytest
from hands import Hands, cc, status, texts

from jbdiff_live.control_view import Waiting

# ---------------------------------------------------------------------- what it may take away


def bound(*pairs: tuple[str, int]) -> Hands:
    """Controls that were learned, one after the other."""
    hands = Hands()
    for n, (target, number) in enumerate(pairs):
        hands.controls.learn(target)
        hands.send(cc(number, 127, 10.0 * n), cc(number, 0, 10.0 * n + 1))
    return hands


def test_learning_replaces_the_old_control_of_the_target() -> None:
    hands = bound(("gain", 80), ("mute", 81), ("gain", 82))
    assert texts(hands) == {"gain": "ch 1 CC 82", "mute": "ch 1 CC 81"}


def test_a_control_that_moves_something_is_not_taken_without_asking() -> None:
    """Fails where learning takes CC 80 from Gain without a word."""
    hands = bound(("gain", 80))
    hands.controls.learn("resample")
    hands.send(cc(80, 60, 50.0))
    asked = status(hands)
    assert asked.question is not None and asked.learning is None
    assert (asked.question.target, asked.question.others) == ("resample", ("gain",))
    assert "CC 80 moves Gain already" in asked.question.text
    assert texts(hands) == {"gain": "ch 1 CC 80"}
    hands.send(cc(80, 127, 51.0), cc(80, 0, 52.0), cc(80, 127, 53.0))
    assert hands["gain"] == 6, "the old binding plays on until the question is answered"


@pytest.mark.parametrize(
    ("how", "left"),
    [
        ("replace", {"resample": "ch 1 CC 80"}),
        ("both", {"gain": "ch 1 CC 80", "resample": "ch 1 CC 80"}),
        ("cancel", {"gain": "ch 1 CC 80"}),
    ],
)
@pytest.mark.parametrize("suggested", [False, True])
def test_the_question_is_answered_with_replace_both_or_cancel(
    how: str, left: dict[str, str], suggested: bool
) -> None:
    hands = Hands(("gain", "ch 1 CC 80")) if suggested else bound(("gain", 80))
    hands.controls.learn("resample")
    hands.send(cc(80, 60, 50.0))
    hands.controls.answer(how)
    assert texts(hands) == left and status(hands).question is None
    hands.send(*(cc(80, value, 60.0 + n) for n, value in enumerate((64, 127, 0, 127))))
    assert hands["gain"] == (6 if "gain" in left else 0)
    assert hands["resample"] == (1 if "resample" in left else 0)


def test_an_answer_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="replace, both, cancel"):
        Hands().controls.answer("maybe")


def test_panic_does_not_lose_its_last_control_silently() -> None:
    hands = bound(("panic", 80))
    hands.controls.learn("mute")
    hands.send(cc(80, 127, 50.0))
    question = status(hands).question
    assert question is not None and "Panic would have no control left" in question.text
    hands.send(cc(80, 0, 51.0), cc(80, 127, 52.0))
    assert hands.store.snapshot.counts["panic"] == 1, "it works on meanwhile"
    hands.controls.answer("replace")
    assert "Panic has no control" in status(hands).note


@pytest.mark.parametrize("how", ["unbind", "unlearn"])
def test_letting_go_of_the_last_panic_is_said(how: str) -> None:
    hands = bound(("panic", 80))
    if how == "unbind":
        hands.controls.unbind("panic")
    else:
        hands.controls.unlearn()
        hands.send(cc(80, 127, 50.0))
    assert texts(hands) == {} and "Panic has no control" in status(hands).note
    hands.settle(51.0)
    hands.settle(70.0)
    assert status(hands).note == "", "a note does not stand there for ever"


def test_a_target_that_was_let_go_stays_so_when_another_patch_suggests_a_control() -> None:
    hands = Hands(("gain", "CC 7"))
    hands.controls.port("box", True)
    hands.controls.unbind("gain")
    hands.controls.suggest(hands.controls.suggested)
    assert texts(hands) == {}


# ---------------------------------------------------------------------- row, unlearn, locate


def test_a_row_is_learned_one_after_the_other_without_letting_go_of_a_knob() -> None:
    hands = Hands()
    hands.controls.learn_row(["resample", "guidance", "gain"])
    assert status(hands).row == ("resample", "guidance", "gain")
    hands.sweep(71, 40, 44, 50, 90, time=1.0)  # still being turned when the next one is waited for
    assert status(hands).learning == "guidance"
    hands.controls.skip()
    hands.sweep(71, 60, 20, time=2.0)
    hands.sweep(72, 40, 44, time=3.0)
    assert texts(hands) == {"resample": "ch 1 CC 71", "gain": "ch 1 CC 72"}
    assert status(hands).waiting is Waiting.NOTHING


def test_a_row_goes_on_after_a_question() -> None:
    hands = bound(("gain", 80))
    hands.controls.learn_row(["resample", "guidance"])
    hands.send(cc(80, 60, 50.0))
    assert status(hands).learning is None
    hands.controls.answer("both")
    assert status(hands).learning == "guidance"
    hands.send(cc(81, 60, 52.0))
    assert set(texts(hands)) == {"gain", "resample", "guidance"}


def test_unlearn_lets_go_of_what_the_touched_control_moves() -> None:
    hands = bound(("gain", 80), ("resample", 81))
    hands.controls.unlearn()
    assert status(hands).waiting is Waiting.UNLEARN
    hands.send(cc(80, 64, 50.0))
    assert texts(hands) == {"resample": "ch 1 CC 81"}
    assert status(hands).waiting is Waiting.NOTHING and "it no longer moves Gain" in status(hands).note


def test_locate_tells_what_a_control_moves_and_moves_nothing() -> None:
    hands = bound(("gain", 80), ("panic", 81))
    hands.controls.locate()
    before = hands.store.snapshot
    for n, (number, targets) in enumerate(
        ((80, ("gain",)), (81, ("panic",)), (99, ("panic",)), (80, ("gain",)))
    ):
        hands.sweep(number, 127, 0, 64, time=50.0 + n)
        assert status(hands).touched == targets, "CC 99 is no control"
    assert hands.store.snapshot is before
    hands.controls.learn(None)
    assert status(hands).waiting is Waiting.NOTHING
    hands.sweep(80, 66, time=60.0)
    assert hands.store.snapshot is before, "it was moved meanwhile, and has to come for the value again"
