"""Which parts of a stack play, and the lengths of each level: window, block, held tokens, delay and fade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jbdiff.config import JointDenoiserConfig, StackConfig
from jbdiff.geometry import Geometry
from jbdiff.stacks.stack import Stack

MOST_WINDOWS = 16  # a window may be so many times longer than in training
SHORTEST_HOP = 16  # tokens that the deepest layer of the original U-Net makes one of
# The tokens furthest to the right hardly change a decoded sample. So the delay that waits for them can be shorter than
# the decoder's whole reach; the crossfade hides the rest. The delay is a twelfth of a window, and at most a quarter of
# a hop, because a player who chooses short hops wants the knobs to act soon. Measured with pocket on encoded music,
# against a decode of the whole: -120 dB of difference with 16 tokens, -48 with 8 (hop 32), -35 with 4 (hop 16). At none
# of them do the joins stand out from their neighbourhood (`scripts/measure_seams --delays`).
DELAY_SHARE = 12
DELAY_SHARE_OF_HOP = 4
# If a window is longer than a hop, the newest tokens are held before the hop. If the denoiser takes shorter windows
# than in training, a quarter of a window is held. Tokens that are no longer held have joined the clean context, and
# guide as well. Measured with pocket, the error of the newest 16 tokens (v, 182 places of 14 held-out pieces) at sigma
# 1, .85, .6 and .3 is .298, .095, .073, .109 if a whole window is computed and .296, .094, .073, .110 if a third is.
HELD_SHARE = 4
FADE_FRAMES = 512  # 12 ms at 44.1 kHz: long enough to hide a small step, short enough to use the best part


@dataclass(frozen=True)
class LevelSizes:
    """Lengths of one level that stay the same for every block. Frames are samples of one channel."""

    level: int
    hop: int  # frames a token
    block_frames: int
    tokens: int  # of a block
    window: int  # tokens that the denoiser takes in one call
    windows: int  # that a block is cut into, 1 or more
    held: int  # newest tokens that are computed again beside a hop, and known; 0 if a block is a whole window
    margin: int  # tokens on each side that change a decoded sample
    delay: int  # tokens that are left to the decode of the next block
    latency_frames: int  # the same in frames
    fade: int  # frames of the crossfade between two decodes
    channels: int  # of latents that are denoised; the detail is added when their bands are finished
    context_tokens: int  # longest context that the denoiser takes


def level_sizes(
    stack: Stack, level: int, block_frames: int, token_multiplier: int, delay_tokens: int | None
) -> LevelSizes:
    """The lengths of a level that plays blocks of `block_frames`.

    token_multiplier: length of a window in training windows. delay_tokens: None takes the share of the window that
    was measured to be enough. Raises ValueError if blocks and windows do not divide each other, or if the delay is
    outside 1..the longer of both.
    """
    geometry, config = Geometry(stack.config), stack.config.level(level)
    window = config.window_tokens * token_multiplier
    tokens = geometry.tokens(block_frames, level)
    if tokens % window and window % tokens:
        raise ValueError(
            f"a block of {tokens} tokens neither divides windows of {window} tokens nor is made of "
            f"whole ones (level {level})"
        )
    held = max(0, window - tokens)
    channels = stack.codec.latent_channels
    denoiser = config.denoiser
    if isinstance(denoiser, JointDenoiserConfig):
        held = min(held, window // HELD_SHARE // denoiser.patch * denoiser.patch)
        channels = denoiser.latent_channels
    margin = stack.codec.decoder_margin(level)
    if delay_tokens is None:
        delay_tokens = min(margin, max(1, min(window // DELAY_SHARE, tokens // DELAY_SHARE_OF_HOP)))
    longest = max(window, tokens)
    if not 1 <= delay_tokens <= longest:
        raise ValueError(f"a delay of {delay_tokens} tokens; it may be 1 to {longest}")
    latency_frames = geometry.samples(delay_tokens, level)
    return LevelSizes(
        level=level,
        hop=geometry.hop(level),
        block_frames=block_frames,
        tokens=tokens,
        window=window,
        windows=max(1, tokens // window),
        held=held,
        margin=margin,
        delay=delay_tokens,
        latency_frames=latency_frames,
        fade=min(FADE_FRAMES, latency_frames, block_frames),
        channels=channels,
        context_tokens=config.context_tokens,
    )


@dataclass(frozen=True)
class StreamParts:
    """Which parts of a stack play, and how long their blocks are. `stream_parts` makes and checks it.

    A state that one stream saved fits every stream of the same parts.

    hop_tokens: length of a block in tokens of the coarsest level, a multiple of 16 that divides its window. None is
    the whole window.
    delay_tokens: tokens of the coarsest level that are left to the next block's decode. The codec's `decoder_margin`
    and one fade make the chunks equal to a decode of the whole. None takes fewer, whose difference is small.
    """

    levels: tuple[int, ...]  # coarsest first
    finisher: bool  # whether the stack's finisher makes the sound stereo
    token_multiplier: int  # length of the windows of every level in training windows, 1 to 16
    hop_tokens: int | None
    delay_tokens: int | None
    window_frames: int  # of the coarsest level
    block_frames: int


def stream_parts(
    config: StackConfig,
    known: Sequence[int],
    levels: Sequence[int] | None = None,
    finisher: bool = False,
    token_multiplier: int = 1,
    hop_tokens: int | None = None,
    delay_tokens: int | None = None,
) -> StreamParts:
    """The parts of a stack that play; other parameters as in `BlockStream`.

    known: the levels that the stack has, coarsest first. config has no finisher if the stack has none.
    Raises ValueError if the stack lacks what is asked for, or if a length does not fit.
    """
    numbers = tuple(sorted(known if levels is None else set(levels), reverse=True))
    for number in numbers:
        config.level(number)
    if not numbers or numbers[0] != known[0]:
        raise ValueError(
            f"levels {list(numbers)}: the coarsest level of stack {config.name!r}, {known[0]}, invents and has to play"
        )
    if finisher and config.finisher is None:
        raise ValueError(f"stack {config.name!r} has no finisher; leave it off")
    coarsest = config.level(numbers[0])
    if not 1 <= token_multiplier <= MOST_WINDOWS:
        raise ValueError(f"token multiplier {token_multiplier} is outside 1..{MOST_WINDOWS}")
    if token_multiplier > 1 and isinstance(coarsest.denoiser, JointDenoiserConfig):
        raise ValueError(
            f"token multiplier {token_multiplier}: the denoiser of stack {config.name!r} takes no "
            "longer windows than in training; use 1"
        )
    window = token_multiplier * coarsest.window_tokens
    hop = window if hop_tokens is None else hop_tokens
    if hop != window and (hop < SHORTEST_HOP or hop % SHORTEST_HOP or window % hop):
        known = [n for n in range(SHORTEST_HOP, window + 1, SHORTEST_HOP) if window % n == 0]
        raise ValueError(
            f"a hop of {hop} tokens: a window of {window} can be cut into {', '.join(map(str, known))}"
        )
    geometry = Geometry(config)
    return StreamParts(
        numbers,
        finisher,
        token_multiplier,
        hop_tokens,
        delay_tokens,
        window_frames=token_multiplier * geometry.window_samples(numbers[0]),
        block_frames=geometry.samples(hop, numbers[0]),
    )
