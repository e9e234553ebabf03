"""A stack whose description or weights hold numbers that cannot be played is refused by name, before it is built."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from toys import write_toy_stack

from jbdiff.config import STACKS, StackConfig
from jbdiff.stacks.sizes import check_sizes
from jbdiff.stacks.stack import CheckpointError, load_stack
from jbdiff.stacks.weight_files import load_into

LEVEL = ("levels", 0)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("levels",), [], "levels is empty"),
        (("codec", "sample_rate"), 0, "sample_rate 0 is outside"),
        (("codec", "sample_rate"), -44_100, "sample_rate -44100 is outside"),
        (("codec", "sample_rate"), math.nan, "sample_rate is nan; it takes int"),
        (("codec", "sample_rate"), "44100", "sample_rate is '44100'; it takes int"),
        ((*LEVEL, "window_tokens"), 0, "window_tokens 0 of level"),
        ((*LEVEL, "window_tokens"), 10**8, "window_tokens 100000000 of level"),
        ((*LEVEL, "steps"), 0, "steps 0 of level"),
        ((*LEVEL, "steps"), True, "steps is True; it takes int"),
        ((*LEVEL, "level"), "2", "level is '2'; it takes int"),
        ((*LEVEL, "guidance"), math.nan, "guidance is nan"),
        ((*LEVEL, "guidance"), math.inf, "guidance is inf"),
        ((*LEVEL, "context_windows"), 10**30, "numbers go to"),
        ((*LEVEL, "guidance_interval"), [0.0, "x"], "no stack description"),
        (("name",), 5, "name is 5; it takes str"),
    ],
)
def test_a_size_that_cannot_be_played_is_named(
    place: tuple[str | int, ...], value: object, words: str, toy_config: StackConfig, tmp_path: Path
) -> None:
    write_toy_stack(tmp_path / "toy", toy_config)
    path = tmp_path / "toy" / "config.json"
    description = json.loads(path.read_text())
    inner: Any = description["stack"]
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(description))
    with pytest.raises(
        CheckpointError, match=r"config\.json is no stack description.*restore or remove it"
    ) as refused:
        load_stack(tmp_path / "toy")
    assert words in str(refused.value)


@pytest.mark.parametrize("config", STACKS.values(), ids=lambda config: config.name)
def test_the_known_stacks_have_sizes_that_can_be_played(config: StackConfig) -> None:
    check_sizes(config)


def test_whole_numbers_in_the_place_of_weights_are_refused() -> None:
    net = nn.Linear(2, 3)
    whole = {name: value.to(torch.int32) for name, value in net.state_dict().items()}
    with pytest.raises(
        CheckpointError, match="weight holds int32 numbers where float32 is needed; fetch or export"
    ):
        load_into(net, whole, "a layer", "layer.safetensors")
