"""What a loss is worth: closed forms to compare with, a fixed validation grid, and which precision is faster here."""

from __future__ import annotations

import math
import resource
import time

import numpy as np
import torch
from torch import Tensor

# Eight times, mirrored about 1/2, on which validation always looks (MLPerf's grid for flow models).
GRID_TIMES = tuple((i + 0.5) / 8 for i in range(8))
# Rows x width of the matmul that decides between fp32 and bf16: a small model's MLP. Its time is milliseconds.
_PROBE_ROWS, _PROBE_IN, _PROBE_OUT, _PROBE_ROUNDS = 768, 256, 1024, 8
# bf16 costs accuracy, so it must pay: below this speed-up fp32 is taken.
_WORTHWHILE = 1.2
# Numbers of a table of variances by times that is made at once.
_AT_ONCE = 1 << 22


def gaussian_velocity(x: Tensor, time: Tensor | float, std: float) -> Tensor:
    """Return the best velocity for data drawn from N(0, std^2): x (t - (1 - t) s^2) / ((1 - t)^2 s^2 + t^2)."""
    variance = std**2
    return x * (time - (1 - time) * variance) / ((1 - time) ** 2 * variance + time**2)


def gaussian_floor(variances: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return, for each time, the least mean squared error of a velocity for independent numbers of these variances.

    It is reached by a velocity linear in each, and by no other where the numbers are Gaussian. Which directions they
    lie along says what the denoiser knows (floors.py). Integrated over uniform times it is pi / 2 * mean(sqrt).
    """
    spread = np.maximum(np.asarray(variances, np.float64), 0.0).reshape(-1, 1)
    times = np.asarray(times, np.float64)
    parts = np.array_split(times, max(1, math.ceil(spread.size * times.size / _AT_ONCE)))
    return np.concatenate([(spread / ((1 - part) ** 2 * spread + part**2)).mean(axis=0) for part in parts])


def peak_memory(device: torch.device) -> int:
    """Return the most bytes held so far: by torch on a CUDA device, else by the process, with its files' pages."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # KiB on Linux


def faster_precision() -> str:
    """Measure one matmul in fp32 and bf16 on this CPU; return "bf16" if it is clearly faster, else "fp32".

    Which is faster differs from machine to machine by a factor of four either way, so it cannot be assumed.
    """
    seconds = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        left, right = torch.ones(_PROBE_ROWS, _PROBE_IN, dtype=dtype), torch.ones(_PROBE_OUT, _PROBE_IN, dtype=dtype)
        rounds = []
        for _ in range(_PROBE_ROUNDS):
            start = time.perf_counter()
            torch.nn.functional.linear(left, right)
            rounds.append(time.perf_counter() - start)
        # The best round is the machine's; the others carry warm-up and neighbours.
        seconds[name] = min(rounds)
    return precision_for(seconds["fp32"], seconds["bf16"])


def precision_for(fp32_seconds: float, bf16_seconds: float) -> str:
    """Return the precision that these times of the same work speak for: bf16 only if it is clearly faster."""
    return "bf16" if fp32_seconds > _WORTHWHILE * bf16_seconds else "fp32"
