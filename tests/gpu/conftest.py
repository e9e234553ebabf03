"""The device these tests run on. Without CUDA they are skipped, and say so.

JBDIFF_TEST_DEVICE=cpu runs the same code on the CPU: slower, and the paths that are CUDA's alone stay out.
"""

from __future__ import annotations

import os

import pytest
import torch


@pytest.fixture
def device() -> torch.device:
    device = torch.device(os.environ.get("JBDIFF_TEST_DEVICE", "cuda"))
    if device.type == "cuda" and not torch.cuda.is_available():
        pytest.skip(
            "no CUDA device here, or a torch without CUDA; JBDIFF_TEST_DEVICE=cpu runs these on the CPU"
        )
    return device
