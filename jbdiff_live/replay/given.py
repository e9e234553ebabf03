"""The sounds that a logged block was made from, read from the take. Blocks on the disk."""

from __future__ import annotations

from jbdiff_live.block import NOTHING_GIVEN, Given, OldBlock
from jbdiff_live.record.again.sounds import KeptSounds
from jbdiff_live.record.events import GivenSounds
from jbdiff_live.replay.log import LoggedBlock, edited


def given_of(block: LoggedBlock, sounds: KeptSounds) -> Given:
    """Return the sounds of a block, with the edits in the blocks of an old stack. TakeError: one is missing."""
    return _given(block.event.given, block, sounds)


def _given(names: GivenSounds | None, block: LoggedBlock, sounds: KeptSounds) -> Given:
    if names is None:
        return NOTHING_GIVEN
    old = (OldBlock(edited(each.snapshot, block), _given(each.given, block, sounds)) for each in names.old)
    return Given(
        sounds.sound(names.began),
        sounds.sound(names.context),
        sounds.sound(names.init),
        names.played,
        tuple(sounds.live(place) for place in names.live),
        tuple(old),
    )
