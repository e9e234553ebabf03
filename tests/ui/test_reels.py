"""The reels that the picture is shown from: the same whether drawn at once or bit by bit, dim where it is queued."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from demo_transport import RATE, DemoTransport
from PySide6.QtCore import QRectF
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QApplication

from jbdiff_live.block import Block, Rung
from jbdiff_live.parameters import ParameterStore
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.picture import Picture
from jbdiff_live.ui.drawing.reels import WORDS_HEIGHT, WORDS_LEFT, Reels

SNAPSHOT = ParameterStore().snapshot
PER_COLUMN = 441


def blocks(frames: int, count: int, first: int = 0) -> list[Block]:
    demo = DemoTransport()
    starts = [(first + i) * frames for i in range(count)]
    return [
        Block(demo._sound(start, start + frames).copy(), first + i, start, SNAPSHOT, "test", 0.0)
        for i, start in enumerate(starts)
    ]


def reels(capacity: int = 700, ratio: float = 1.0) -> Reels:
    return Reels(Picture(RATE, PER_COLUMN, capacity, 40, 100), ratio)


def pixels(image: QImage) -> np.ndarray:
    """Three bytes a pixel: `[rows, columns, 3]`."""
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    raw = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    return raw[:, : image.width(), :3].astype(int)


def shown(made: Reels, left: int, now: int, width: int, heard: list[Block]) -> np.ndarray:
    canvas = QImage(width, 140, QImage.Format.Format_RGB32)
    painter = QPainter(canvas)
    made.show(painter, QRectF(0, 0, width, 140), left, now, heard)
    painter.end()
    return pixels(canvas)


@pytest.mark.parametrize("frames", [12_000, 33_075])
def test_bit_by_bit_looks_the_same_as_all_at_once(qapp: QApplication, frames: int) -> None:
    """Numbers too, which reach over the seams between what was drawn when."""
    heard = blocks(frames, 8)
    whole, parts = reels(), reels()
    whole.picture.feed(heard)
    whole.work(10_000, heard)
    for end in range(1, len(heard) + 1):
        parts.picture.feed(heard[:end])
        while parts.work(7, heard[:end]):
            pass
    assert np.array_equal(pixels(whole.bright), pixels(parts.bright))
    assert np.array_equal(pixels(whole.dim), pixels(parts.dim))


def test_the_ring_goes_round_without_a_trace(qapp: QApplication) -> None:
    heard = blocks(30_000, 20)
    small, large = reels(capacity=300), reels(capacity=2000)
    for end in range(1, len(heard) + 1):
        for made in (small, large):
            made.picture.feed(heard[:end])
            while made.work(24, heard[:end]):
                pass
    end = heard[-1].end_frame // PER_COLUMN
    views = [shown(made, end - 250, end - 100, 250, heard) for made in (small, large)]
    assert np.array_equal(*views)


def test_what_is_queued_is_dim_and_the_rest_is_not(qapp: QApplication) -> None:
    made, heard = reels(), blocks(44_100, 4)
    made.picture.feed(heard)
    made.work(10_000, heard)
    bright, dim = shown(made, 0, 400, 400, heard), shown(made, 0, 0, 400, heard)
    half = shown(made, 0, 150, 400, heard)
    assert np.array_equal(half[:, :150], bright[:, :150])
    assert np.array_equal(half[:, 150:], dim[:, 150:])
    assert dim.mean() < 0.7 * bright.mean()


def test_a_block_has_a_line_where_it_begins_and_says_what_was_left_out(qapp: QApplication) -> None:
    made, plain = reels(), reels()
    heard = blocks(44_100, 3)
    cut = [heard[0], replace(heard[1], rung=Rung.FEWER_STEPS), heard[2]]
    for one, fed in ((made, cut), (plain, [])):
        one.picture.feed(heard)
        one.work(10_000, fed)
    changed = np.abs(shown(made, 0, 400, 300, cut) - shown(plain, 0, 400, 300, [])).sum(axis=(0, 2)) > 0
    assert changed[[0, 100, 200]].all() and not changed[60:100].any()
    assert changed[105:170].sum() > 30, "the rung in words"
    assert not changed[205:300].any(), "a whole block has no words"


def test_no_wave_runs_through_the_words(qapp: QApplication) -> None:
    """In a low picture the wave is as high as its words."""
    made = reels()
    loud = [replace(block, samples=np.sign(block.samples), rung=Rung.LOOP) for block in blocks(44_100, 3)]
    made.picture.feed(loud)
    made.work(10_000, loud)
    under = shown(made, 0, 400, 300, loud)[:WORDS_HEIGHT, 2 : int(WORDS_LEFT + theme.width_of("looping", 12))]
    blue, green, red = (under[..., channel] for channel in range(3))
    assert (green - red < 30).all() and (red - blue > 30).any(), "the ground and the amber letters alone"


def test_the_newest_blocks_words_may_be_longer_than_its_sound(qapp: QApplication) -> None:
    made = reels()
    short = [replace(block, rung=Rung.FEWER_STEPS) for block in blocks(8820, 1)]  # 20 columns
    made.picture.feed(short)
    made.work(10_000, short)
    view = shown(made, 0, 0, 200, short)
    assert (view[:16, 30:90] != view[100, 150]).any()


def test_words_stand_once_where_cheaper_blocks_begin(qapp: QApplication) -> None:
    """Short blocks would write over each other's words."""
    plain = blocks(8820, 6)  # 20 columns each

    def written(*cut: int) -> np.ndarray:
        made, whole = reels(), reels()
        heard = [replace(block, rung=Rung.LOOP if block.index in cut else Rung.FULL) for block in plain]
        for reel, fed in ((made, heard), (whole, plain)):
            reel.picture.feed(plain)
            reel.work(10_000, fed)
        return (shown(made, 0, 200, 120, heard) != shown(whole, 0, 200, 120, plain)).any(axis=2)

    one, three = written(2), written(2, 3, 4)
    assert one.any() and not one[:, :40].any()
    assert np.array_equal(one, three), "three blocks have the words of one"


@pytest.mark.parametrize("left", [105, 120, 180, 199])
def test_words_at_the_left_edge_are_whole_or_not_there(qapp: QApplication, left: int) -> None:
    """The block with the words begins at column 100 and ends at 200."""
    made, plain, heard = reels(), reels(), blocks(44_100, 4)
    cut = [replace(block, rung=Rung.LOOP if block.index == 1 else Rung.FULL) for block in heard]
    for one, fed in ((made, cut), (plain, heard)):
        one.picture.feed(heard)
        one.work(10_000, fed)
    whole = shown(made, 100, 400, 250, cut)
    line, words = whole[:18, 1:60], (theme.CAUTION.blue(), theme.CAUTION.green(), theme.CAUTION.red())
    letters = (np.abs(line - words).sum(axis=2) < 60).sum()
    assert letters > 20
    found = (np.abs(shown(made, left, 400, 250, cut)[:18, :99] - words).sum(axis=2) < 60).sum()
    room = 200 - left
    assert abs(found - (letters if room > 60 else 0)) <= 2, "the ground below the letters differs a little"
    assert np.array_equal(shown(made, left, 400, 250, cut)[18:], shown(plain, left, 400, 250, heard)[18:])


def test_nothing_known_is_plain_background(qapp: QApplication) -> None:
    view = shown(reels(), -200, 0, 300, [])
    assert (view == view[0, 0]).all()


def test_words_end_where_the_next_ones_begin(qapp: QApplication) -> None:
    """Short blocks on rungs that change wrote "fewer steps" and "looping" over each other."""
    plain = blocks(8820, 3)  # 20 columns each
    cut = [plain[0], replace(plain[1], rung=Rung.FEWER_STEPS), replace(plain[2], rung=Rung.LOOP)]
    alone = [*plain[:2], replace(plain[2], rung=Rung.LOOP)]

    def written(heard: list[Block]) -> np.ndarray:
        made = reels()
        made.picture.feed(heard)
        made.work(10_000, heard)
        return shown(made, 0, 400, 300, heard)

    both, last = written(cut), written(alone)
    assert np.array_equal(both[:, 41:], last[:, 41:]), "only the later words stand there"
    assert (both[:18, 26:40] != last[:18, 26:40]).any(), "the earlier ones are there as far as there is room"
