"""Rotary positions over time, rows and columns, as Wan has them.

Of a head's d numbers, 2 * (d // 6) turn with the row, as many with the column and the rest with the time.
Neighbouring numbers are a pair; frequencies are 10000 ** (-2i / n). Float32; angles are computed in float64.
Legend: B clips, N heads, L tokens, d numbers of a head.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

THETA = 10000.0


@lru_cache(maxsize=64)
def rotations(grid: tuple[int, int, int], head_dim: int, device: torch.device) -> Tensor:
    """Return the rotations, complex64 (L, d / 2), of a grid's tokens: loops over frames, rows, columns."""
    side = 2 * (head_dim // 6)
    parts = []
    for axis, numbers in enumerate((head_dim - 2 * side, side, side)):
        place = torch.arange(grid[axis], dtype=torch.float64)
        frequency = THETA ** (-torch.arange(0, numbers, 2, dtype=torch.float64) / numbers)
        shape = [1, 1, 1, numbers // 2]
        shape[axis] = grid[axis]
        parts.append(torch.outer(place, frequency).view(shape).expand(*grid, -1))
    angle_Ld = torch.cat(parts, dim=-1).flatten(0, 2)
    return torch.complex(angle_Ld.cos().float(), angle_Ld.sin().float()).to(device)


def rotate(x_BNLd: Tensor, positions_Ld: Tensor) -> Tensor:
    """Turn each pair of numbers by its token's angle; float32 in and out, (B, N, L, d).

    A pair is one complex number: one kernel instead of six strided ones.
    """
    pairs = torch.view_as_complex(x_BNLd.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * positions_Ld).flatten(-2)
