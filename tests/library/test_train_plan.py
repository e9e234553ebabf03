"""Training for the plan: level 3 from the command line, and what a plan goes through in level 2."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from toys import train

pytest.importorskip("lightning")

from jbdiff.config import JointDenoiserConfig, PlannerConfig
from jbdiff.data.clips import Clips, Stretches
from jbdiff.networks.plan import CELLS
from jbdiff.networks.planner import LAGS, Planner
from jbdiff.stream.planning import load_planner
from jbdiff.train.modules.denoiser import DenoiserTraining
from jbdiff.train.modules.plan import (
    CellBatches,
    CellStretches,
    PlanTraining,
    blurred_past,
    cell_lines,
    music,
)
from jbdiff.train.modules.plans import REPEATED, plan_in_training, repeated_plan, true_plan
from jbdiff.train.run.schedule import Budget

SMALL = PlannerConfig(channels=8, depth=2, window=16, past=32, left=16, heads=2, head_width=4)
TOY = """
minutes = 5
round-steps = 2
batch = 2
devices = "1"
accelerator = "cpu"
bf16 = false
[plan.sizes]
channels = 8
depth = 2
window = 16
past = 32
heads = 2
head_width = 4
"""


def clips(tokens: int, *bars: float) -> Clips:
    """One clip for each bar, whose bands say the number of the token."""
    one = np.repeat(np.arange(tokens, dtype=np.float16)[:, None], 400, 1)
    count = len(bars)
    starts = tuple(number * tokens for number in range(count))
    names = tuple(f"clip {number}" for number in range(count))
    return Clips(np.concatenate([one] * count), starts, (tokens,) * count, names, (), bars)


def test_cells_begin_with_a_bar_and_may_lie_beside_it() -> None:
    (versions,) = cell_lines(clips(900, 160.0), SMALL, (0.0, 0.3, -0.3))
    first = [float(cells[0, 0]) for cells in versions]
    # Ten tokens a cell; token n says n, so the first cell, of tokens 0 to 9, says 4.5.
    assert first == pytest.approx([4.5, 7.5, 161.5], abs=0.05)
    steps = versions[0][:, 0].diff()
    assert torch.allclose(steps, torch.full_like(steps, 10.0), atol=0.3)


def test_sounds_without_a_bar_are_left_out_and_none_at_all_is_an_error() -> None:
    assert len(cell_lines(clips(900, 160.0, 0.0, -160.0), SMALL)) == 2
    with pytest.raises(ValueError, match="bars of a known length"):
        cell_lines(clips(900, 0.0), SMALL)
    with pytest.raises(ValueError, match="add longer sounds"):
        cell_lines(clips(200, 160.0), SMALL)


def test_a_batch_says_where_in_the_bar_it_is_and_how_much_of_its_past_is_music() -> None:
    lines = cell_lines(clips(900, 160.0), SMALL, (0.0,))
    batch = CellBatches(lines, SMALL, 40, 1, 0, 1)[0]
    for cells, played, place in zip(*batch, strict=True):
        window = int(torch.round((cells[SMALL.past, 0] - 4.5) / 10))  # number of the window's first cell
        assert int(place) == window % CELLS and int(played) == min(window, SMALL.past)
        assert torch.equal((cells[: SMALL.past, 0] > 0).sum(), played.clamp(max=SMALL.past))
    again = CellBatches(lines, SMALL, 40, 1, 0, 3)[0]
    assert torch.equal(batch.cells, again.cells), "a batch is a function of seed and number"


def test_a_blurred_past_is_silent_where_it_is_not_known() -> None:
    torch.manual_seed(0)
    played = torch.tensor([SMALL.past, 20] * 32)
    batch = CellStretches(torch.randn(64, SMALL.past + SMALL.window, 100), played, torch.zeros(64).long())
    given = blurred_past(
        batch.cells[:, : SMALL.past].transpose(1, 2), batch, torch.Generator().manual_seed(1)
    )
    silent = given.known == 0
    assert float(given.cells.transpose(1, 2)[silent].abs().max()) == 0
    assert bool((given.known <= music(SMALL.past, played)).all()), "nothing is made up"
    assert len(given.known.max(1).values.unique()) > 10, "noise is of many levels, and told"
    assert given.kept is not None and 0.5 < float(given.kept.float().mean()) < 0.95
    assert given.kept.shape == (64, len(LAGS)) and set(given.place.tolist()) <= {0, 4, 8, 12}


STEPS = 24


def test_a_planner_learns_a_bar_that_comes_again() -> None:
    torch.manual_seed(0)
    bar = 0.5 * torch.randn(CELLS, 100)
    lines = [[bar.repeat(8, 1)]]
    module = PlanTraining(SMALL, Budget(steps=STEPS), 1e-2, 2, 0, False)
    module.log = lambda *words, **more: None  # type: ignore[method-assign]
    module.begin_with([[torch.randn(400, 100) * 0.5]])
    optimizer = module.configure_optimizers()
    losses = []
    for number in range(STEPS):
        loss = module.training_step(CellBatches(lines, SMALL, 2, 0, number, 1)[0], number)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        module.took_step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5]), losses


def beats(folder: Path, seconds: float) -> Path:
    """Two sounds with a beat, and a description of their tempo: 240 a minute, a second a bar."""
    folder.mkdir()
    rate = 44_100
    time = np.arange(int(seconds * rate)) / rate
    for name, hertz in (("one", 220.0), ("two", 330.0)):
        tone = 0.4 * np.sin(2 * np.pi * hertz * time) * np.exp(-12 * (time % 0.25))
        soundfile.write(folder / f"{name}.wav", tone.astype(np.float32), rate)
    (folder / "track.json").write_text(json.dumps({"bpm": 240.0}))
    return folder


def test_level_3_is_trained_from_a_folder_and_goes_on_where_it_was(tmp_path: Path) -> None:
    toml, folder = tmp_path / "toy.toml", beats(tmp_path / "music", 6.0)
    toml.write_text(TOY)
    common = ("--config", toml, "--data", folder)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train("plan", *common, "--out", whole, "--steps", 4)
    train("plan", *common, "--out", parts, "--steps", 4, "--minutes", "1e-9")  # ends after its first round
    metrics = [json.loads(line) for line in (parts / "metrics.jsonl").read_text().splitlines()]
    assert max(row["step"] for row in metrics) == 2
    train("plan", *common, "--out", parts, "--steps", 4, "--resume")
    one, other = (load_file(folder / "weights.safetensors") for folder in (whole, parts))
    assert one.keys() == other.keys()
    network = load_planner(whole / "weights.safetensors")
    assert isinstance(network, Planner) and network.config == PlannerConfig(
        channels=8, depth=2, window=16, past=32, heads=2, head_width=4
    )
    started = tmp_path / "started"
    train("plan", *common, "--out", started, "--steps", 2, "--plan-weights", whole / "weights.safetensors")


DENOISER = JointDenoiserConfig(
    latent_channels=100, window_tokens=16, context_tokens=32, patch=4, width=16, depth=1, heads=2, echo_channels=4,
    plan=True,
)  # fmt: skip


def test_plans_in_training_are_true_repeated_noisy_and_missing() -> None:
    torch.manual_seed(0)
    rows, history, window = 200, torch.randn(1, 160, 4), torch.randn(1, 16, 4)
    place, bars = torch.zeros(rows), torch.full((rows,), 32.0)
    many = (history.expand(rows, -1, -1), window.expand(rows, -1, -1))
    plan = plan_in_training(*many, place, bars, torch.Generator().manual_seed(0))
    confidence = plan.known.max(1).values
    assert 0.05 < float((confidence == 0).float().mean()) < 0.3
    assert (
        float((confidence == 1).float().mean()) > 0.15
        and float((confidence == REPEATED).float().mean()) > 0.1
    )
    assert bool(((confidence > 0) & (confidence < REPEATED)).any()), "noise lowers the confidence"
    assert float(plan.values[confidence == 0].abs().max()) >= 0 and plan.values.shape == (rows, 4, 16)
    nothing = plan_in_training(*many, place, torch.zeros(rows), torch.Generator().manual_seed(0))
    assert float(nothing.known.max()) == 0, "without a bar there are no cells"


def test_the_true_plan_is_of_the_window_and_a_repeated_one_of_earlier_bars() -> None:
    history = torch.arange(-300.0, 0.0).reshape(1, -1, 1)
    window, place, bars = torch.arange(16.0).reshape(1, -1, 1), torch.zeros(1), torch.tensor([32.0])
    own = true_plan(window, place, bars)
    assert own.values[0, 0].tolist() == [n // 2 * 2 + 0.5 for n in range(16)] and float(own.known.min()) == 1
    for length, bars_ago in ((300, 8), (200, 4)):
        plan = repeated_plan(history[:, -length:], 16, place, bars)
        torch.testing.assert_close(plan.values, own.values - 32 * bars_ago)
        assert float(plan.known.min()) == float(plan.known.max()) == REPEATED


def test_only_what_the_plan_goes_through_is_learnt() -> None:
    torch.manual_seed(0)
    module = DenoiserTraining(DENOISER, Budget(steps=4), 1e-2, 2, 0, False, history=160, plan_only=True)
    module.log = lambda *words, **more: None  # type: ignore[method-assign]
    with torch.no_grad():  # what begins at zero hides what comes before it
        for parameter in module.network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    before = {name: value.clone() for name, value in module.network.state_dict().items()}
    optimizer = module.configure_optimizers()
    for number in range(2):
        batch = Stretches(torch.randn(4, 160 + 16, 100), torch.tensor([[0.0, 32.0]] * 4))
        loss = module.training_step(batch, number)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        module.took_step()
    changed = {
        name for name, value in module.network.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {
        f"plan_inputs.{name}" for name in ("into.weight", "gain.weight", "gain.bias", "lines.weight")
    }


def test_a_network_without_a_plan_cannot_learn_for_one() -> None:
    without = dataclasses.replace(DENOISER, plan=False)
    with pytest.raises(ValueError, match="plan = true"):
        DenoiserTraining(without, Budget(steps=1), 1e-2, 2, 0, False, plan_only=True)
