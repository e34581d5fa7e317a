"""Rotary positions over time, rows and columns, as Wan has them.

Of a head's d numbers, 2 * (d // 6) turn with the row, as many with the column and the rest with the time.
Neighbouring numbers are a pair; frequencies are 10000 ** (-2i / n). Float32; angles are computed in float64.
Legend: B clips, N heads, L tokens, d numbers of a head.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

THETA = 10000.0


class Rotations(NamedTuple):
    """Cosines and sines of each token's angles, both (L, d / 2), float32."""

    cos: Tensor
    sin: Tensor


@lru_cache(maxsize=64)
def rotations(grid: tuple[int, int, int], head_dim: int, device: torch.device) -> Rotations:
    """Return the rotations of the tokens of a (frames, rows, columns) grid, in that order of loops."""
    side = 2 * (head_dim // 6)
    parts = []
    for axis, numbers in enumerate((head_dim - 2 * side, side, side)):
        place = torch.arange(grid[axis], dtype=torch.float64)
        frequency = THETA ** (-torch.arange(0, numbers, 2, dtype=torch.float64) / numbers)
        shape = [1, 1, 1, numbers // 2]
        shape[axis] = grid[axis]
        parts.append(torch.outer(place, frequency).view(shape).expand(*grid, -1))
    angle_Ld = torch.cat(parts, dim=-1).flatten(0, 2)
    return Rotations(angle_Ld.cos().float().to(device), angle_Ld.sin().float().to(device))


def rotate(x_BNLd: Tensor, positions: Rotations) -> Tensor:
    """Turn each pair of numbers by its token's angle; float32 in and out, (B, N, L, d)."""
    even, odd = x_BNLd[..., 0::2], x_BNLd[..., 1::2]
    cos, sin = positions
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)
