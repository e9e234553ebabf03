"""Tokens <-> samples <-> seconds, from a stack's hops. The only place that multiplies them."""

from __future__ import annotations

from dataclasses import dataclass

from jbdiff.config import StackConfig


@dataclass(frozen=True)
class Geometry:
    """Lengths of one stack. Samples are frames of audio at the stack's rate."""

    stack: StackConfig

    def hop(self, level: int) -> int:
        """Samples per token."""
        return self.stack.codec.hop(level)

    def samples(self, tokens: int, level: int) -> int:
        """Samples in so many tokens of a level."""
        return tokens * self.hop(level)

    def tokens(self, samples: int, level: int) -> int:
        """Whole tokens in `samples`; raises where they do not fit exactly."""
        tokens, rest = divmod(samples, self.hop(level))
        if rest:
            raise ValueError(f"{samples} samples are not whole tokens of {self.hop(level)} (level {level})")
        return tokens

    def whole_tokens(self, samples: int, level: int) -> int:
        """Whole tokens that fit into `samples`, the rest left over."""
        return samples // self.hop(level)

    def seconds(self, samples: int) -> float:
        """Seconds that so many samples last."""
        return samples / self.stack.sample_rate

    def frames(self, seconds: float) -> int:
        """Samples nearest to `seconds`."""
        return round(seconds * self.stack.sample_rate)

    def window_samples(self, level: int) -> int:
        """Samples of one window of a level: what one call of its denoiser invents."""
        return self.samples(self.stack.level(level).window_tokens, level)

    def context_samples(self, level: int) -> int:
        """Samples of audio that a level's context covers."""
        return self.samples(self.stack.level(level).context_tokens, level)

    def windows_inside(self, level: int, coarser: int) -> int:
        """Windows of `level` that cover one window of the `coarser` level."""
        count, rest = divmod(self.window_samples(coarser), self.window_samples(level))
        if rest or not count:
            raise ValueError(
                f"windows of level {level} ({self.window_samples(level)} samples) do not tile one of "
                f"level {coarser} ({self.window_samples(coarser)})"
            )
        return count
