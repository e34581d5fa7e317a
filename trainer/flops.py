"""Floating-point operations of a step in closed form, and what share of a machine's matmul rate that is.

A multiply-add is two. What is counted is what the model needs: matmuls, forward and backward, without norms, softmax,
optimizer, or anything computed again. Legend: B clips, L tokens, S words, K times, D width, P patch numbers.
"""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor

from trainer.checkpoint import Model
from trainer.refiner import Refiner

# Of a matmul's forward pass: with the gradient of its weights, or of its inputs too.
_WEIGHTS_ONLY, _BOTH = 2, 3
# Rounds of the matmul that measures a peak; the best is the machine's.
_ROUNDS = 5


def step_flops(model: Model, clips: int, grid: tuple[int, int, int], words: int, times: int) -> int:
    """Return the operations of forward and backward for `clips` clips of one grid of tokens (T, h, w).

    `words` are those of the longest text, since a batch is padded to it; `times` the distinct times of a clip (K).
    """
    config, tokens = model.dit.config, math.prod(grid)
    dim, ffn = config.dim, config.ffn_dim
    patch = math.prod(config.patch_size)
    keys = words + (1 if config.text_pad_to else 0)
    total = _linear(tokens, config.in_channels * patch, dim) * _WEIGHTS_ONLY
    total += _linear(times, config.freq_dim, dim) * _WEIGHTS_ONLY + _linear(times, dim, 7 * dim) * _BOTH
    # Features that a refiner made have a gradient; those of the data have none.
    first = _BOTH if model.refiner.blocks else _WEIGHTS_ONLY
    total += _linear(keys, config.text_dim, dim) * first + _linear(keys, dim, dim) * _BOTH
    block = 6 * _linear(tokens, dim, dim) + 2 * _linear(keys, dim, dim) + 2 * _linear(tokens, dim, ffn)
    block += 4 * tokens * (tokens + keys) * dim
    total += config.num_layers * block * _BOTH + _linear(tokens, dim, config.out_channels * patch) * _BOTH
    return clips * (total + _refiner_flops(model.refiner, words))


def _linear(rows: int, inputs: int, outputs: int) -> int:
    return 2 * rows * inputs * outputs


def _refiner_flops(refiner: Refiner, words: int) -> int:
    """Return a refiner's operations for one text: four width-to-width maps, an MLP of twice the width, attention."""
    if not refiner.blocks:
        return 0
    dim = refiner.dim
    block = _linear(words, dim, 4 * dim) + 2 * _linear(words, dim, 2 * dim) + 4 * words * words * dim
    project = _linear(words, refiner.project.in_features, dim) * _WEIGHTS_ONLY
    return project + len(refiner.blocks) * block * _BOTH


def measured_peak(rows: int, inputs: int, outputs: int, precision: str, device: torch.device | str = "cpu") -> float:
    """Return the operations a second of one matmul (rows, inputs) x (inputs, outputs) in "fp32" or "bf16" here."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.ones(size, inputs, dtype=dtype, device=device) for size in (rows, outputs))
    return _linear(rows, inputs, outputs) / best_seconds(left, right)


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
