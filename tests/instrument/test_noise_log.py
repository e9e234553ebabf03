"""The log of a block holds all that its noise depends on; logs from before the register still play."""

from __future__ import annotations

import msgspec
import torch

from jbdiff.diffusion.noise_pair import NoisePair
from jbdiff_live.engine.block_settings import block_settings
from jbdiff_live.parameters import Origin, ParameterSnapshot, ParameterStore
from jbdiff_live.record.take import BlockEvent

NEW_PRESSES = ("advance", "write", "erase", "reset_context")
NEW_VALUES = ("seed_b", "seed_morph", "noise_length", "noise_mutation")


def logged(snapshot: ParameterSnapshot, without: tuple[str, ...] = ()) -> ParameterSnapshot:
    """The knobs after a round through the log's text."""
    values = {name: value for name, value in snapshot.values.items() if name not in without}
    counts = {name: count for name, count in snapshot.counts.items() if name not in without}
    event = BlockEvent(0, 0, 1, "", 0.1, "full", snapshot.version, values, counts)
    return msgspec.json.decode(msgspec.json.encode(event), type=BlockEvent).snapshot


def test_the_same_noise_comes_out_of_the_log() -> None:
    store = ParameterStore()
    store.set_many(
        {"noise_style": 4, "noise_length": 3, "noise_mutation": 0.5, "seed_b": 9, "seed_morph": 0.4},
        Origin.UI,
    )
    played = replayed = NoisePair.fresh("level2", 4, 16)
    presses = {4: "write", 7: "erase", 9: "reroll", 12: "advance"}
    heard = []
    for block in range(16):
        if block in presses:
            store.trigger(presses[block], Origin.MIDI)
        store.set("hold", block in (11, 12, 13), Origin.UI)
        one, _, played = played.next(block_settings(store.snapshot).noise())
        other, _, replayed = replayed.next(block_settings(logged(store.snapshot)).noise())
        assert torch.equal(one, other)
        heard.append(one)
    assert len({noise.numpy().tobytes() for noise in heard}) > 6


def test_a_log_from_before_the_register_gives_the_settings_of_today() -> None:
    snapshot = ParameterStore().snapshot
    assert block_settings(logged(snapshot, NEW_PRESSES + NEW_VALUES)) == block_settings(snapshot)
