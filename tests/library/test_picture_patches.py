"""How far apart two patches are: `scripts/picture_patches` on made sounds, and the page that it wrote."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from jbdiff_live.patch import factory_patches

ROOT = Path(__file__).resolve().parents[2]
RATE = 44_100


@pytest.fixture(scope="module")
def script() -> ModuleType:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        loader = importlib.machinery.SourceFileLoader(
            "picture_patches", str(ROOT / "scripts/picture_patches")
        )
        spec = importlib.util.spec_from_loader("picture_patches", loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["picture_patches"] = module  # its frozen classes look themselves up there
        loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    return module


def chord(*hertz: float, loud: float = 0.2, seed: int = 0) -> torch.Tensor:
    """Two seconds of tones with some noise, `[2, n]`; the noise is the seed's."""
    time = torch.arange(2 * RATE) / RATE
    noise = torch.randn(2 * RATE, generator=torch.Generator().manual_seed(seed))
    sound = sum(torch.sin(2 * torch.pi * hz * time) for hz in hertz) + 0.05 * noise
    return (loud * sound).repeat(2, 1)


def beats(a_second: float, seed: int = 0) -> torch.Tensor:
    """Two seconds of short strokes of noise, `[2, n]`."""
    time = torch.arange(2 * RATE) / RATE
    noise = torch.randn(2 * RATE, generator=torch.Generator().manual_seed(seed))
    return (0.3 * noise * torch.exp(-60 * (time % (1 / a_second)))).repeat(2, 1)


def test_each_difference_follows_what_it_is_named_after(script: ModuleType) -> None:
    low, other_key, louder = chord(220, 277), chord(233, 294), chord(220, 277, loud=0.4)
    heard = {
        name: script.listen(sound) for name, sound in (("low", low), ("key", other_key), ("loud", louder))
    }
    same = script.differences(heard["low"], script.listen(chord(220, 277, seed=1)))
    key, loud = (script.differences(heard["low"], heard[name]) for name in ("key", "loud"))
    harmony, loudness = script.PARTS.index("harmony"), script.PARTS.index("loudness")
    assert same.max() < 0.2 and key[harmony] > 0.9 and key[loudness] < 1.0
    assert loud[loudness] == pytest.approx(6.0, abs=0.1) and loud[harmony] < 0.01
    onsets = script.differences(script.listen(beats(2)), script.listen(beats(4)))[
        script.PARTS.index("onsets")
    ]
    assert onsets == pytest.approx(1.0, abs=0.2), "twice as many strokes are an octave"


def test_a_patch_that_is_another_one_with_another_seed_is_too_near(script: ModuleType) -> None:
    sounds = {"calm": chord(220, 277), "twin": chord(220, 277, seed=5), "beat": beats(3)}
    seeds = {"calm": chord(220, 277, seed=1), "twin": chord(220, 277, seed=6), "beat": beats(3, seed=1)}
    found = script.measure(
        {name: script.listen(sound) for name, sound in sounds.items()},
        {name: script.listen(sound) for name, sound in seeds.items()},
    )
    assert ("calm", "beat") not in found.too_near() and ("twin", "beat") not in found.too_near()
    assert found.between["calm", "beat"] > 10 * found.between["calm", "twin"]
    sounds["twin"] = sounds["calm"]
    heard = {name: script.listen(sound) for name, sound in sounds.items()}
    assert script.measure(heard, {**heard, "calm": script.listen(seeds["calm"])}).too_near() == [
        ("calm", "twin")
    ]


def test_the_page_holds_every_factory_patch_and_no_pair_that_is_too_near() -> None:
    page = (ROOT / "docs/patches.md").read_text()
    table = page[: page.index("## How far apart")]
    assert [name for name in factory_patches() if f"| `{name}` |" not in table] == []
    assert "Pairs that break the rule: none." in page
