"""A small transformer in front of weight-free text: hashed words know nothing of their neighbours.

Words get sinusoidal positions and see one another, so "up and left" can mean something. Production text
encoders need none: `refiner_layers: 0` is the identity. Legend: B texts, S words, F features, R width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.attention import attend
from trainer.dit import FeedForward
from trainer.sizes import REFINER_HEADS

# Of the positions beside the unit-variance words: small, so that words are not drowned. Chosen, not ablated.
POSITION_SHARE = 0.3


class RefinerBlock(nn.Module):
    """Pre-norm self-attention and MLP."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.to_qkv, self.to_out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.ffn = FeedForward(dim, 2 * dim)

    def forward(self, x_BSR: Tensor, bias_BS: Tensor | None) -> Tensor:
        """Return the words after looking at one another, (B, S, R)."""
        parts = self.to_qkv(self.norm1(x_BSR)).unflatten(2, (3, REFINER_HEADS, -1)).permute(2, 0, 3, 1, 4)
        out = attend(parts[0], parts[1], parts[2], bias_BS).transpose(1, 2).flatten(2)
        x_BSR = x_BSR + self.to_out(out)
        return x_BSR + self.ffn(self.norm2(x_BSR))


class Refiner(nn.Module):
    """Features (B, S, in_dim) to (B, S, dim). With no layers it is the identity, and dim is in_dim."""

    def __init__(self, in_dim: int, dim: int, layers: int) -> None:
        super().__init__()
        self.dim = dim if layers else in_dim
        if layers:
            self.project = nn.Linear(in_dim, dim)
            self.norm = nn.LayerNorm(dim)
        self.blocks = nn.ModuleList([RefinerBlock(dim) for _ in range(layers)])
        # Unit rows of features have numbers of size in_dim ** -0.5; this makes them of size one.
        self.gain = math.sqrt(in_dim)

    def forward(self, text_BSF: Tensor, bias_BS: Tensor | None = None) -> Tensor:
        """Refine text features; `bias_BS` is -inf at padding."""
        if not self.blocks:
            return text_BSF
        x_BSR = self.project(text_BSF * self.gain)
        x_BSR = x_BSR + POSITION_SHARE * waves(x_BSR.shape[1], x_BSR.shape[2], x_BSR.device)
        for block in self.blocks:
            x_BSR = block(x_BSR, bias_BS)
        return F.layer_norm(x_BSR.float(), x_BSR.shape[-1:], self.norm.weight, self.norm.bias)


def waves(count: int, dim: int, device: torch.device) -> Tensor:
    """Return sinusoidal positions (count, dim), float32 (Vaswani et al. 2017)."""
    place = torch.arange(count, dtype=torch.float32, device=device)[:, None]
    frequency = torch.exp(-math.log(10000.0) * torch.arange(0, dim, 2, device=device) / dim)
    return torch.cat([(place * frequency).sin(), (place * frequency).cos()], dim=1)
