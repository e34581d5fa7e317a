"""Rectified flow: x_t = (1 - t) x0 + t noise, velocity = noise - x0, solved from t = 1 (noise) to 0.

Times are logit-normal by default (Esser et al. 2024); the shift t -> a t / (1 + (a - 1) t) adds ln a to the
logit and is applied once, in training and in sampling alike. Time 0 marks what is known, and clean.
Legend: B clips, C channels, T latent frames, H, W; h, w a frame's tokens; K times of a clip, L tokens.
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


def mode_times(uniform: np.ndarray, scale: float) -> np.ndarray:
    """Map uniform numbers to times whose density peaks in the middle for scale > 0 (Esser et al. 2024, eq. 20)."""
    return 1 - uniform - scale * (np.cos(np.pi / 2 * uniform) ** 2 - 1 + uniform)


def draw_times(
    rng: np.random.Generator, count: int, mean: float, std: float, shift: float, law: str = "logit_normal",
    mode_scale: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """Draw `count` times by a law ("logit_normal", "uniform", "mode"), shifted once, float64 in [0, 1]."""
    if law == "logit_normal":
        return shifted(1 / (1 + np.exp(-(mean + std * rng.standard_normal(count)))), shift)
    uniform = rng.random(count)
    return shifted(uniform if law == "uniform" else mode_times(uniform, mode_scale), shift)


def solver_times(steps: int, shift: float) -> np.ndarray:
    """Return the steps + 1 times from 1 to 0 at which a solver stands, float64."""
    return shifted(np.linspace(1.0, 0.0, steps + 1), shift)


def over_latent(values: Tensor, latent_BCTHW: Tensor) -> Tensor:
    """Spread numbers of frames (B, T), or of tokens (B, T, h, w), so that they broadcast over a latent."""
    if values.ndim == 2:
        return values[:, None, :, None, None]
    rows, columns = (latent_BCTHW.shape[axis] // values.shape[axis - 1] for axis in (3, 4))
    return values.repeat_interleave(rows, dim=2).repeat_interleave(columns, dim=3)[:, None]


def token_times(time: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the distinct times of a clip (B, K), and each token's place among them (B, L) if they differ in a frame.

    Within a frame a token has the frame's time or is known, at 0: T + 1 times are modulated, not one a token.
    """
    if time.ndim == 2:
        return time, None
    frame_BT = time.amax(dim=(2, 3))
    place_T = torch.arange(time.shape[1], device=time.device).view(1, -1, 1, 1)
    index = torch.where(time == 0, time.shape[1], place_T).flatten(1)
    return torch.cat([frame_BT, torch.zeros_like(frame_BT[:, :1])], dim=1), index


def noised(clean_BCTHW: Tensor, noise_BCTHW: Tensor, time_BT: Tensor) -> Tensor:
    """Mix clean latents with noise at each frame's or token's time; at time 0 the clean numbers come out bitwise.

    Here and below times are (B, T), or (B, T, h, w) a token.
    """
    time = over_latent(time_BT, clean_BCTHW)
    return torch.where(time == 0, clean_BCTHW, (1 - time) * clean_BCTHW + time * noise_BCTHW)


def velocity(objective: str, prediction: Tensor, x_BCTHW: Tensor, time_BT: Tensor) -> Tensor:
    """Return the velocity that a prediction stands for, at points x and times; meaningless where the time is 0.

    `objective` says what the model predicts: the velocity itself, or the clean latent (x0).
    """
    if objective == "velocity":
        return prediction
    # What is known stands at 0 and are not moved by the caller: any finite number will do for them.
    return (x_BCTHW - prediction) / over_latent(time_BT, x_BCTHW).clamp_min(1e-6)


def velocity_error(objective: str, prediction: Tensor, clean: Tensor, noise: Tensor, time_BT: Tensor) -> Tensor:
    """Return the error of the velocity that a prediction stands for; for x0 it is the clean error over the time."""
    if objective == "velocity":
        return prediction - (noise - clean)
    return (clean - prediction) / over_latent(time_BT, clean).clamp_min(SMALLEST_TIME)


def squared_error(error_BCTHW: Tensor, known: Tensor, weight_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted sum of squared errors over what is to be predicted, and the weighted count of numbers.

    `known` is (B, T), or (B, T, h, w). Sum both over all groups and ranks before dividing: the loss is per number of
    the whole step.
    """
    if known.ndim == 2:
        squares, numbers = error_BCTHW.square().sum(dim=(1, 3, 4)), error_BCTHW[0, :, 0].numel()
    else:
        tokens = error_BCTHW.unflatten(3, (known.shape[2], -1)).unflatten(5, (known.shape[3], -1))
        squares, numbers = tokens.square().sum(dim=(1, 4, 6)), tokens[0, :, 0, 0, :, 0].numel()
    weight = (~known).to(error_BCTHW.dtype) * weight_B.view(-1, *[1] * (known.ndim - 1))
    return (squares * weight).sum(), weight.sum() * numbers
