"""A rank's memory in training, before it begins, from the dimensions alone. Pure, and no torch.

Exact: weights, averages, gradients, optimizer states; without `sharding` a rank holds all of them, with it its share.
Estimated: activations, casts, what is gathered of shards, and what Muon holds while it moves weights.
Legend: L tokens, S words, D width.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from trainer.config import TrainConfig
from trainer.counts import Dimensions

# Up to this many scores a head, attention (attention.py) is plain matmul-softmax-matmul and holds them for the backward
# pass; above it SDPA, whose memory is linear in L. The limit is chosen, not measured.
PLAIN_ATTENTION_SCORES = 512 * 512


@dataclass(frozen=True)
class Passes:
    """What one pass may hold: for each number of tokens the most clips that have it; `clips` or `tokens` in all."""

    visits: dict[int, int]
    clips: int | None
    tokens: int | None

    def most(self, of_clip: Callable[[int], int]) -> int:
        """Return the most that one pass adds up to, of what a clip of so many tokens has."""
        each = {tokens: of_clip(tokens) for tokens in self.visits}
        if self.tokens is None:
            return (self.clips or 1) * max(each.values(), default=0)
        full = max((self.tokens * value // tokens for tokens, value in each.items()), default=0)
        return min(full, sum(count * each[tokens] for tokens, count in self.visits.items()))


def tensors_of_rank(dims: Dimensions, world: int) -> Counter[tuple[str, tuple[int, ...]]]:
    """Return how many parameters of each (kind, shape) the first of `world` ranks has where they are sharded.

    It has as many rows of each as any; norms and tables of blocks are whole on every rank (sharding.py).
    """
    whole: Counter[tuple[str, tuple[int, ...]]] = Counter()
    whole["rest", (dims.dim,)], whole["rest", (1, 6, dims.dim)] = 6 * dims.layers, dims.layers
    found = whole.copy()
    for (kind, (rows, *rest)), count in (dims.tensors() - whole).items():
        found[kind, (-(-rows // world), *rest)] += count
    return found


def optimizer_bytes(dims: Dimensions, optimizer: str, world: int = 1) -> int:
    """Return the bytes of the optimizers' states, float32: one a number for Muon, two for AdamW and its step count.

    Of one rank, where they are sharded over `world` ranks.
    """
    total = 0
    for (kind, shape), count in tensors_of_rank(dims, world).items():
        muon = optimizer == "muon" and kind == "hidden"
        total += count * (4 * math.prod(shape) if muon else 8 * math.prod(shape) + 4)
    return total


def optimizer_work_bytes(dims: Dimensions, optimizer: str, half: bool, world: int = 1) -> int:
    """Return an estimate of what Muon holds beside its states while it moves the largest set of equal matrices.

    Their updates in float32, and in the run's precision the stack, the old and new iterate, and three Gram matrices.
    Where they are sharded, a rank takes its share of the matrices, and holds two messages more.
    """
    if optimizer != "muon":
        return 0
    size, most = 2 if half else 4, 0
    same: Counter[tuple[int, ...]] = Counter()
    for (kind, shape), count in dims.tensors().items():
        if kind == "hidden":
            same[shape] += count
    for shape, count in same.items():
        rows, columns = shape
        gram, share, iterates = min(rows, columns) ** 2, -(-count // world), 5 if world > 1 else 3
        most = max(most, share * (rows * columns * (4 + iterates * size) + 3 * gram * size))
    return most


def activation_bytes(dims: Dimensions, tokens: int, clips: int, words: int, half: bool, *, again: bool = False) -> int:
    """Return an estimate of what the forward pass keeps for the backward one, for `clips` clips of L tokens each.

    Counted from Block.forward, in numbers a token: of width D in float32 the residual stream (3), plain norms (2),
    queries and keys in their norms (6) and gated branches (2), in the run's precision 12 more; of the MLP's width 2.
    Of a word's keys and values 7 D. Attention keeps its scores where there are few (twice in half precision), and
    else nothing. What is computed `again` (activation_checkpointing) is kept of one block, and of the others their
    inputs.
    """
    low = 2 if half else 4
    a_token = dims.dim * (13 * 4 + 12 * low) + 2 * dims.ffn_dim * low
    a_word = dims.dim * (3 * 4 + 4 * low)
    heads_scores = 0
    for keys in (tokens, words):
        if tokens * keys <= PLAIN_ATTENTION_SCORES:
            heads_scores += tokens * keys * (4 + 2 if half else 4)
    block = tokens * a_token + words * a_word + heads_scores * dims.heads
    ends = tokens * (dims.in_channels + 3 * dims.out_channels) * dims.patch * 4 + 4 * tokens * dims.dim * 4
    blocks = block + dims.layers * tokens * dims.dim * 4 if again else dims.layers * block
    return clips * (blocks + ends)


def memory_of_rank(config: TrainConfig, dims: Dimensions, passes: Passes, words: int, world: int) -> dict[str, int]:
    """Return the bytes of one rank's memory.

    The weights are float32 and their own master copy; with bf16, casts of them live as long as the activations. Where
    they are sharded only those around the blocks are cast, and `gathered` is held: those, with their gradients, and two
    blocks, with the gradients of one and the message that adds them up.
    """
    half, again = config.precision != "fp32", config.activation_checkpointing == "full"
    world = world if config.sharding == "full" else 1
    count = sum(number * math.prod(shape) for (_, shape), number in tensors_of_rank(dims, world).items())
    steady = {
        "weights": 4 * count, "ema": 4 * count, "gradients": 4 * count,
        "optimizer": optimizer_bytes(dims, config.optimizer, world),
    }  # fmt: skip
    around, low = dims.parameters, 2 if half else 4
    gathered = 0
    if world > 1:
        block = (dims.parameters - replace(dims, layers=0).parameters) // dims.layers
        around -= dims.layers * block
        gathered = 2 * 4 * around + 2 * low * block + (low + 4) * block
    casts = 2 * around if half else 0
    active = passes.most(lambda tokens: activation_bytes(dims, tokens, 1, words, half, again=again))
    work = optimizer_work_bytes(dims, config.optimizer, half, world)
    return {
        **steady, "casts": casts, "gathered": gathered, "activations": active, "optimizer_work": work,
        "peak": sum(steady.values()) + max(casts + gathered + active, work),
    }  # fmt: skip
