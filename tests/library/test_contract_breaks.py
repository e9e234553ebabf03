"""The contract can be broken: parts that are wrong on purpose, and the clause that catches each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from contract import UNITS, ContractError, Part, Reach, verify_contract
from contract_parts import CodecInPieces, SpectralInBlocks, noise
from safetensors.torch import load, save
from test_contract import BANDS, band_codec, lively_finisher
from torch import Tensor

from jbdiff.stream.state import FinisherState

WEIGHTS = torch.tensor([0.1, 0.2, 0.4, 0.3])  # of two samples before, the own one, and one after


@dataclass
class Kept:
    """The last samples of a smoother."""

    past: Tensor  # [1, 1, 3]


class Smoother(Part[Kept]):
    """A part that keeps the contract: a weighted mean of four neighbours."""

    name, unit, latency, reach = "smoother", 5, 1, Reach(2, 1)

    def signal(self, seed: int) -> Tensor:
        return noise(seed, 1, UNITS * self.unit)

    def fresh(self) -> Kept:
        return Kept(torch.zeros(1, 1, 3))

    def step(self, state: Kept, x: Tensor) -> tuple[Tensor, Kept]:
        whole = torch.cat([state.past, x], 2)
        return torch.nn.functional.conv1d(whole, WEIGHTS[None, None]), Kept(whole[..., -3:].clone())

    def whole(self, x: Tensor, states: Sequence[Kept]) -> Tensor:
        return torch.nn.functional.conv1d(torch.nn.functional.pad(x, (2, 1)), WEIGHTS[None, None])

    def probe(self) -> Tensor:
        return self.signal(2)

    def respond(self, x: Tensor) -> Tensor:
        return self.whole(x, [])[0].T

    @property
    def probed(self) -> Sequence[int]:
        return range(10, 12)

    @property
    def watched(self) -> range:
        return range(10, 14)

    def to_bytes(self, state: Kept) -> bytes:
        return save({"past": state.past})

    def from_bytes(self, content: bytes) -> Kept:
        return Kept(load(content)["past"])


class Forgetful(Smoother):
    """Forgets what came before."""

    def step(self, state: Kept, x: Tensor) -> tuple[Tensor, Kept]:
        return super().step(self.fresh(), x)


class Haunted(Smoother):
    """Keeps its past in itself, where a reset does not find it."""

    past = Kept(torch.zeros(1, 1, 3))

    def step(self, state: Kept, x: Tensor) -> tuple[Tensor, Kept]:
        out, self.past = super().step(self.past, x)
        return out, self.past


class Rigid(Smoother):
    """Takes every block for a single unit: it forgets at every five samples of a longer one."""

    def step(self, state: Kept, x: Tensor) -> tuple[Tensor, Kept]:
        out, after = super().step(state, x)
        out[..., self.unit :] = 0
        return out, after


class Curious(Smoother):
    """Multiplies by zero what it does not need."""

    def respond(self, x: Tensor) -> Tensor:
        return super().respond(x) + 0 * x[0].mean()


class Shortsighted(Smoother):
    """Declares less than it reads, so that a seam comes where pieces overlap by what it declares."""

    reach = Reach(1, 1)


class Generous(Smoother):
    """Declares more than it reads."""

    reach = Reach(3, 1)


class Untidy(Smoother):
    """Writes into the state that it was given."""

    def step(self, state: Kept, x: Tensor) -> tuple[Tensor, Kept]:
        out, after = super().step(state, x)
        state.past.copy_(after.past)
        return out, after


class Rounding(Smoother):
    """Saves in half precision."""

    def to_bytes(self, state: Kept) -> bytes:
        return save({"past": state.past.half()})

    def from_bytes(self, content: bytes) -> Kept:
        return Kept(load(content)["past"].float())


def test_an_honest_part_passes() -> None:
    verify_contract(Smoother())


@pytest.mark.parametrize(
    ("part", "clause"),
    [
        (Forgetful, "block by block"),
        (Haunted, "reset"),
        (Rigid, "multiples"),
        (Curious, "outside: .* by nan"),
        (Untidy, "outside: .* harmed"),
        (Shortsighted, "outside"),
        (Generous, "reach: declared as .*3"),
        (Rounding, "saved"),
    ],
)
def test_a_broken_part_is_caught(part: type[Smoother], clause: str) -> None:
    with pytest.raises(ContractError, match=f"smoother, {clause}"):
        verify_contract(part())


@pytest.mark.parametrize(("wrong", "clause"), [(-1, "outside"), (1, "reach")])
def test_a_codec_with_a_wrong_margin_is_caught(
    monkeypatch: pytest.MonkeyPatch, wrong: int, clause: str
) -> None:
    codec = band_codec(BANDS)
    margin = codec.decoder_margin(2) + wrong
    monkeypatch.setattr(type(codec), "decoder_margin", lambda self, level: margin)
    with pytest.raises(ContractError, match=f"BandCodec, level 2, {clause}"):
        verify_contract(CodecInPieces(codec, 2))


class ForgetfulFinisher(SpectralInBlocks):
    """A finisher that begins every block after silence."""

    def step(self, state: FinisherState, x: Tensor) -> tuple[Tensor, FinisherState]:
        return super().step(replace(state, mono=torch.zeros_like(state.mono)), x)


def test_a_finisher_that_forgets_the_sound_before_is_caught() -> None:
    with pytest.raises(ContractError, match="spectral finisher, block by block"):
        verify_contract(ForgetfulFinisher(lively_finisher()))
