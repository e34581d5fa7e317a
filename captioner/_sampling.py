"""Words drawn from a seed: the same for a clip, whatever is described beside it.

A row's draws are those of its own generator, seeded by (seed, ref): the Gumbel trick makes a draw of the largest sum of
a logit and noise (Gumbel 1954; Maddison et al. 2014). Legend: B clips, S tokens, V words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from curate.captioning import Alive

if TYPE_CHECKING:
    import torch


class Sampling:
    """A logits processor of transformers: greedy at temperature 0, otherwise drawn; tells of progress once a word."""

    def __init__(self, refs: Sequence[str], decoding: Mapping[str, Any], alive: Alive) -> None:
        self._alive = alive
        self._temperature, self._top_p = decoding["temperature"], decoding["top_p"]
        self._draws = [_generator(decoding["seed"], ref) for ref in refs] if self._temperature > 0 else []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores (B, V) of the next word, of which the largest is taken."""
        self._alive()
        if not self._draws:
            return scores
        import torch

        levels_BV = _nucleus(scores.float() / self._temperature, self._top_p)
        noise_BV = torch.stack([torch.rand(levels_BV.shape[1], generator=draw) for draw in self._draws])
        tiny = torch.finfo(torch.float32).tiny
        waits_BV = (-torch.log(noise_BV.clamp_min(tiny))).clamp_min(tiny)  # exponential
        gumbel_BV = -torch.log(waits_BV)
        return levels_BV + gumbel_BV.to(levels_BV.device)


def _nucleus(levels_BV: torch.Tensor, top_p: float) -> torch.Tensor:
    """Only the likeliest words that together have the probability `top_p` (Holtzman et al. 2020)."""
    if top_p >= 1.0:
        return levels_BV
    import torch

    sorted_BV, order_BV = levels_BV.sort(dim=-1, descending=True)
    before_BV = sorted_BV.softmax(dim=-1).cumsum(dim=-1) - sorted_BV.softmax(dim=-1)
    sorted_BV = sorted_BV.masked_fill(before_BV >= top_p, -torch.inf)
    return torch.empty_like(levels_BV).scatter(-1, order_BV, sorted_BV)


def _generator(seed: int, ref: str) -> torch.Generator:
    import torch

    digest = hashlib.blake2b(f"{seed} {ref}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
