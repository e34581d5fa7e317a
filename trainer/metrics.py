"""What a loss is worth: closed forms to compare with, a fixed validation grid, and which precision is faster here."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# Eight times, mirrored about 1/2, on which validation always looks (MLPerf's grid for flow models).
GRID_TIMES = tuple((i + 0.5) / 8 for i in range(8))
# Rows x width of the matmul that decides between fp32 and bf16: a small model's MLP. Its time is milliseconds.
_PROBE_ROWS, _PROBE_IN, _PROBE_OUT, _PROBE_ROUNDS = 768, 256, 1024, 8
# bf16 costs accuracy, so it must pay: below this speed-up fp32 is taken.
_WORTHWHILE = 1.2


def gaussian_velocity(x: Tensor, time: Tensor | float, std: float) -> Tensor:
    """Return the best velocity for data drawn from N(0, std^2): x (t - (1 - t) s^2) / ((1 - t)^2 s^2 + t^2)."""
    variance = std**2
    return x * (time - (1 - time) * variance) / ((1 - time) ** 2 * variance + time**2)


def channel_floor(eigenvalues: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return, for each time, the Gaussian bound from channel covariance alone: a mean squared error per number.

    It is that of the best velocity linear in the channels of one latent place, whose covariance has these
    `eigenvalues`. A linear denoiser that also looks around does better, so a model above this has learned no more
    than how channels vary together, and one below it may still be linear. Integrated over uniform times it is
    pi / 2 * mean(sqrt(eigenvalues)).
    """
    spread = np.maximum(np.asarray(eigenvalues, np.float64), 0.0)[:, None]
    time = np.asarray(times, np.float64)[None, :]
    return (spread / ((1 - time) ** 2 * spread + time**2)).mean(axis=0)


@dataclass(frozen=True)
class Spread:
    """Sums over latent places, from which the channels' covariance comes: of one, of values (C,), of products (C, C)."""

    count: int
    sum_C: np.ndarray
    products_CC: np.ndarray

    @classmethod
    def of(cls, latent_CTHW: np.ndarray) -> Spread:
        """Return the sums of a clip. Normalised latents are near zero, so no digits are lost to a far mean."""
        values = latent_CTHW.reshape(latent_CTHW.shape[0], -1).astype(np.float64)
        return cls(values.shape[1], values.sum(axis=1), values @ values.T)

    @classmethod
    def over(cls, clips: Sequence[Spread]) -> Spread:
        """Return the sums over clips."""
        sums, products = np.sum([clip.sum_C for clip in clips], axis=0), np.sum([c.products_CC for c in clips], axis=0)
        return cls(sum(clip.count for clip in clips), sums, products)

    def eigenvalues(self) -> np.ndarray:
        """Return the eigenvalues of the covariance between channels at one latent place, (C,)."""
        if self.count < 2:
            return np.zeros(len(self.sum_C))
        mean_C = self.sum_C / self.count
        return np.linalg.eigvalsh((self.products_CC - self.count * np.outer(mean_C, mean_C)) / (self.count - 1))


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
