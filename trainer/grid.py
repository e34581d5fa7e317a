"""Where a latent frame's pixels lie in the clip, as input channels beside the latent.

Wan's positions are rotations of queries and keys: they say how far apart two tokens are, never where one is. Large
models can infer that from content; on a small grid half of the tokens lie at an edge, and a head that looks past it
sees something else without a sign. So models that are trained from nothing here get
coordinates as input channels, as Wan's own I2V models get a mask: in_channels is larger than out_channels, and the
parameters and names stay Wan's. Nothing is learned or looked up, so any size goes. Chosen, not ablated.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from trainer.sizes import COORDINATES

# Of each axis: the place u in [-1, 1], and waves that tell the middle from the ends.
CHANNELS = COORDINATES


@lru_cache(maxsize=64)
def coordinates(frames: int, height: int, width: int) -> Tensor:
    """Return the coordinate channels (12, T, H, W) of a latent grid, float32 in [-1, 1]; an axis of one is at -1."""
    sizes = (frames, height, width)
    channels = []
    for axis, size in enumerate(sizes):
        place = torch.linspace(-1, 1, size) if size > 1 else torch.full((1,), -1.0)
        shape = [1, 1, 1]
        shape[axis] = size
        waves = (place, torch.sin(math.pi / 2 * place), torch.cos(math.pi * place), torch.cos(2 * math.pi * place))
        channels += [wave.view(shape).expand(sizes) for wave in waves]
    return torch.stack(channels)


def with_coordinates(latent_BCTHW: Tensor) -> Tensor:
    """Append the coordinate channels to latents."""
    batch, _, frames, height, width = latent_BCTHW.shape
    grid = coordinates(frames, height, width).to(latent_BCTHW)
    return torch.cat([latent_BCTHW, grid.expand(batch, -1, -1, -1, -1)], dim=1)
