"""Floating-point operations of a step of a model that is there (counts.py), and the machine's matmul rate."""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor

from trainer.counts import Dimensions
from trainer.model import Model

# Rounds of the matmul that measures a peak; the best is the machine's.
_ROUNDS = 5


def step_flops(model: Model, clips: int, grid: tuple[int, int, int], words: int, times: int) -> int:
    """Return the operations of forward and backward for `clips` clips of one grid of tokens (T, h, w).

    `words` are those of the longest text, since a batch is padded to it; `times` the distinct times of a clip (K).
    """
    return clips * built_dimensions(model).operations(math.prod(grid), words, times)


def built_dimensions(model: Model) -> Dimensions:
    """Return the dimensions of a model that is there."""
    config, refiner = model.dit.config, model.refiner
    return Dimensions(
        config.num_layers, config.num_attention_heads, config.dim, config.ffn_dim, config.in_channels,
        config.out_channels, math.prod(config.patch_size),
        refiner.project.in_features if refiner.blocks else config.text_dim,
        len(refiner.blocks), refiner.dim, config.text_pad_to, config.freq_dim,
    )  # fmt: skip


def measured_peak(rows: int, inputs: int, outputs: int, precision: str, device: torch.device | str = "cpu") -> float:
    """Return the operations a second of one matmul (rows, inputs) x (inputs, outputs) in "fp32" or "bf16" here."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.ones(size, inputs, dtype=dtype, device=device) for size in (rows, outputs))
    return 2 * rows * inputs * outputs / best_seconds(left, right)


def best_seconds(left: Tensor, right: Tensor, rounds: int = _ROUNDS) -> float:
    """Return the shortest time of `left @ right.T` over some rounds; the first ones warm up."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        torch.nn.functional.linear(left, right)
        if left.is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
