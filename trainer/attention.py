"""Attention with Wan's parameters: RMSNorm of queries and keys across heads, rotary positions, float32 scores.

Clips are a batch of equal lengths, or a pack: laid end to end in one sequence, where none sees another.
Legend: B clips, L queries, S keys, D width, N heads, d numbers of a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.memory import PLAIN_ATTENTION_SCORES
from trainer.rope import rotate


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


@dataclass(frozen=True)
class Segments:
    """How many queries and keys each clip of a pack has, and where each begins and the last ends (int32)."""

    queries: tuple[int, ...]
    keys: tuple[int, ...]
    query_offsets: Tensor
    key_offsets: Tensor

    @classmethod
    def of(cls, queries: list[int], keys: list[int], device: torch.device) -> Segments:
        """Lay clips end to end. Raises ValueError unless each has queries and keys."""
        if len(queries) != len(keys) or min([*queries, *keys], default=0) < 1:
            raise ValueError(f"a pack of {queries} queries and {keys} keys")
        offsets = [
            torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device) for lengths in (queries, keys)
        ]
        return cls(tuple(queries), tuple(keys), *offsets)


@torch.compiler.disable  # clips of other lengths are no reason to compile again
def attend_pack(query_1NLd: Tensor, key_1NSd: Tensor, value_1NSd: Tensor, segments: Segments) -> Tensor:
    """Attention within each clip of a pack; returns (1, N, L, d).

    Variable-length flash attention where it exists (CUDA, 16 bit, heads of multiples of 8); elsewhere one call for all
    clips of equal lengths: a call a clip costs small models many times as much.
    """
    half = value_1NSd.dtype in (torch.float16, torch.bfloat16)
    if query_1NLd.is_cuda and half and query_1NLd.shape[-1] % 8 == 0:
        from torch.nn.attention.varlen import varlen_attn

        return flash(query_1NLd, key_1NSd, value_1NSd, segments, varlen_attn)
    alike: dict[tuple[int, int], list[int]] = {}
    for place, lengths in enumerate(zip(segments.queries, segments.keys, strict=True)):
        alike.setdefault(lengths, []).append(place)
    queries = query_1NLd[0].split(segments.queries, dim=1)
    keys, values = (x_1NSd[0].split(segments.keys, dim=1) for x_1NSd in (key_1NSd, value_1NSd))
    out: list[Tensor] = [query_1NLd] * len(queries)
    for places in alike.values():
        query, key, value = (torch.stack([parts[place] for place in places]) for parts in (queries, keys, values))
        for place, part in zip(places, attend(query, key, value, None), strict=True):
            out[place] = part
    return torch.cat(out, dim=1)[None]


def flash(query_1NLd: Tensor, key_1NSd: Tensor, value_1NSd: Tensor, segments: Segments, kernel: Any) -> Tensor:
    """Call torch's `varlen_attn`, or what has its signature, on a pack."""
    query, key, value = (x_1NLd[0].transpose(0, 1) for x_1NLd in (query_1NLd, key_1NSd, value_1NSd))
    most = max(segments.queries), max(segments.keys)
    out_LNd = kernel(query, key, value, segments.query_offsets, segments.key_offsets, *most)
    return out_LNd.transpose(0, 1)[None]


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
        self, x_BLD: Tensor, context_BSD: Tensor, positions: Tensor | None = None, bias_BS: Tensor | None = None,
        segments: Segments | None = None,
    ) -> Tensor:  # fmt: skip
        query, key, value = self.to_q(x_BLD), self.to_k(context_BSD), self.to_v(context_BSD)
        query, key = (norm(x) for norm, x in ((self.norm_q, query), (self.norm_k, key)))
        query, key, value = (x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in (query, key, value))
        if positions is not None:
            query, key = rotate(query, positions), rotate(key, positions)
        query, key = query.to(value.dtype), key.to(value.dtype)
        if segments is None:  # noqa: SIM108
            out_BNLd = attend(query, key, value, bias_BS)
        else:  # pyright does not see through `disable`
            out_BNLd = attend_pack(query, key, value, segments)  # pyright: ignore[reportCallIssue]
        return self.to_out[0](out_BNLd.transpose(1, 2).flatten(2))
