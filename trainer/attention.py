"""Attention with Wan's parameters: RMSNorm of queries and keys across heads, rotary positions, float32 scores.

Legend: B clips, L queries, S keys, D width, N heads, d numbers of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.rope import rotate

# Up to this many scores a head, plain matmul-softmax-matmul instead of SDPA; above it SDPA, whose memory is linear
# in L. The limit is chosen, not measured.
PLAIN_ATTENTION_SCORES = 512 * 512


class RmsNorm(nn.Module):
    """Root-mean-square norm over the whole width, in float32."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + self.eps) * self.weight.float()


def attend(query_BNLd: Tensor, key_BNSd: Tensor, value_BNSd: Tensor, bias_BS: Tensor | None) -> Tensor:
    """Scaled dot-product attention; `bias_BS` is added to the scores of each key. Returns (B, N, L, d)."""
    bias = None if bias_BS is None else bias_BS[:, None, None, :]
    if query_BNLd.is_cuda or query_BNLd.shape[2] * key_BNSd.shape[2] > PLAIN_ATTENTION_SCORES:
        mask = None if bias is None else bias.to(query_BNLd.dtype)
        return F.scaled_dot_product_attention(query_BNLd, key_BNSd, value_BNSd, attn_mask=mask)
    scores = (query_BNLd * query_BNLd.shape[-1] ** -0.5) @ key_BNSd.transpose(-1, -2)
    scores = scores.float() if bias is None else scores.float() + bias
    return scores.softmax(dim=-1).to(value_BNSd.dtype) @ value_BNSd


class Attention(nn.Module):
    """Self-attention, or cross-attention when a context is given."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        # A list of one: diffusers' second entry is a dropout without parameters.
        self.to_out = nn.ModuleList([nn.Linear(dim, dim)])
        self.norm_q, self.norm_k = RmsNorm(dim, eps), RmsNorm(dim, eps)

    def forward(
        self, x_BLD: Tensor, context_BSD: Tensor, positions: Tensor | None = None, bias_BS: Tensor | None = None
    ) -> Tensor:
        query, key, value = self.to_q(x_BLD), self.to_k(context_BSD), self.to_v(context_BSD)
        query, key = (norm(x) for norm, x in ((self.norm_q, query), (self.norm_k, key)))
        query, key, value = (x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in (query, key, value))
        if positions is not None:
            query, key = rotate(query, positions), rotate(key, positions)
        out_BNLd = attend(query.to(value.dtype), key.to(value.dtype), value, bias_BS)
        return self.to_out[0](out_BNLd.transpose(1, 2).flatten(2))
