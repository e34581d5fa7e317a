"""Rectified flow: x_t = (1 - t) x0 + t noise, velocity = noise - x0, sampled from t = 1 (noise) to 0 by Euler.

Times are logit-normal (Esser et al. 2024); the resolution shift t -> a t / (1 + (a - 1) t) adds ln a to the
logit and is applied once, in training and in sampling alike. Time 0 marks a known, clean frame.
Legend: B clips, C channels, T latent frames, H, W.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

# The velocity of a predicted clean latent is its error divided by the time, so the loss would weigh small times
# without bound; below this time the weight stays (Li and He 2025 take the same number).
SMALLEST_TIME = 0.05


def shifted(time: np.ndarray, shift: float) -> np.ndarray:
    """Apply the resolution shift to times in [0, 1]; shift 1 is the identity."""
    return shift * time / (1 + (shift - 1) * time)


def draw_times(rng: np.random.Generator, count: int, mean: float, std: float, shift: float) -> np.ndarray:
    """Draw `count` logit-normal times, shifted once, float64 in (0, 1)."""
    return shifted(1 / (1 + np.exp(-(mean + std * rng.standard_normal(count)))), shift)


def euler_times(steps: int, shift: float) -> np.ndarray:
    """Return the steps + 1 times from 1 to 0 at which Euler stands, float64."""
    return shifted(np.linspace(1.0, 0.0, steps + 1), shift)


def noised(clean_BCTHW: Tensor, noise_BCTHW: Tensor, time_BT: Tensor) -> Tensor:
    """Mix clean latents with noise at each latent frame's time; at time 0 the clean numbers come out bitwise."""
    time = time_BT[:, None, :, None, None]
    return torch.where(time == 0, clean_BCTHW, (1 - time) * clean_BCTHW + time * noise_BCTHW)


def velocity(objective: str, prediction: Tensor, x_BCTHW: Tensor, time_BT: Tensor) -> Tensor:
    """Return the velocity that a prediction stands for, at points x and times; meaningless where the time is 0.

    `objective` says what the model predicts: the velocity itself, or the clean latent (x0).
    """
    if objective == "velocity":
        return prediction
    # Known frames stand at 0 and are not moved by the caller: any finite number will do for them.
    return (x_BCTHW - prediction) / time_BT[:, None, :, None, None].clamp_min(1e-6)


def velocity_error(objective: str, prediction: Tensor, clean: Tensor, noise: Tensor, time_BT: Tensor) -> Tensor:
    """Return the error of the velocity that a prediction stands for; for x0 it is the clean error over the time."""
    if objective == "velocity":
        return prediction - (noise - clean)
    return (clean - prediction) / time_BT[:, None, :, None, None].clamp_min(SMALLEST_TIME)


def squared_error(error_BCTHW: Tensor, known_BT: Tensor, weight_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted sum of squared errors over the frames to predict, and the weighted count of numbers.

    Sum both over all groups and ranks before dividing: the loss is per number of the whole step.
    """
    weight_BT = (~known_BT).to(error_BCTHW.dtype) * weight_B[:, None]
    per_frame_BT = error_BCTHW.square().sum(dim=(1, 3, 4))
    numbers = error_BCTHW.shape[1] * error_BCTHW.shape[3] * error_BCTHW.shape[4]
    return (per_frame_BT * weight_BT).sum(), weight_BT.sum() * numbers
