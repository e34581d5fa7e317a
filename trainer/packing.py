"""How clips share out over packs: no pack above its tokens, all of about equal cost. Pure functions of sizes.

A clip of n tokens costs n + n * n / (3 D + F): the matrices of a block take 6 D^2 + 2 D F multiplications a token
(width D, MLP width F), its attention 2 n D. Text is left out: it is short, and of about the same length everywhere.
Legend: V visits.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from trainer.config import ModelConfig

# Visits are packed in windows of at most about this many packs: large enough to even out what chance brings together,
# small enough that clips that share a step were near each other in the epoch's order.
WINDOW_PACKS = 128
# Packs that an epoch has beyond those that fit its sizes at best, so that they can be filled by chance.
ROOM = 0.005
# Within a window clips are placed by falling size, give or take this factor: else equal windows gave equal packs.
_JITTER = 0.25


def cost(tokens: np.ndarray, dims: ModelConfig) -> np.ndarray:
    """Return what clips of these tokens cost, in tokens of a very short clip; float64 of the same shape."""
    tokens = np.asarray(tokens, np.float64)
    return tokens + tokens**2 / (3 * dims.dim + dims.ffn_dim)


def imbalance(loads: np.ndarray) -> float:
    """Return by what share the largest load is above the mean; 0 where there is none."""
    return float(loads.max() / loads.mean() - 1) if len(loads) and loads.sum() else 0.0


def place(tokens_V: np.ndarray, cost_V: np.ndarray, packs: int, most: float) -> np.ndarray:
    """Give each visit, in the order given, to the cheapest pack with room; return its pack (V,), or -1 for none.

    By falling size this evens the costs out with the large clips and fills the packs up with the small ones.
    """
    free, load = np.full(packs, float(most)), np.zeros(packs)
    found = np.full(len(tokens_V), -1)
    for visit, (size, price) in enumerate(zip(tokens_V.tolist(), cost_V.tolist(), strict=True)):
        pack = int(np.where(free >= size, load, np.inf).argmin())
        if free[pack] >= size:
            found[visit] = pack
            free[pack] -= size
            load[pack] += price
    return found


class Packer:
    """Packs each epoch of a dataset into the same number of packs, of at most `most` tokens; `per_step` are a step.

    Epochs may differ in their visits; `largest_V` are sizes of which the j-th largest is at least the j-th largest of
    any epoch (draws.envelope). The packs that these fit into do for every epoch, so that the step alone says which
    epochs' packs it takes. Raises ValueError where a size is above `most`.
    """

    def __init__(
        self, largest_V: np.ndarray, dims: ModelConfig, per_step: int, most: int, window: int = WINDOW_PACKS
    ) -> None:
        if len(largest_V) == 0 or largest_V.max() > most:
            raise ValueError("no sizes, or one that is larger than a pack")
        self.dims, self.per_step, self.most, self.window = dims, per_step, most, window
        self._sizes = np.sort(largest_V)[::-1]
        roomy = min(len(self._sizes), math.ceil(self._sizes.sum() * (1 + ROOM) / most))
        self.packs = roomy
        while self._by_rank() is None:
            self.packs = min(len(self._sizes), max(self.packs + 1, math.ceil(self.packs * 1.005)))
        if self.packs > roomy:  # the sizes leave gaps however they are put together, and gaps are no room
            self.packs = min(len(self._sizes), math.ceil(self.packs * (1 + ROOM)))
        while (pack := self._by_rank()) is None:  # more packs do not always fit
            self.packs = min(len(self._sizes), self.packs + 1)
        self._pack_of_rank = pack

    def _by_rank(self) -> np.ndarray | None:
        """Pack the sizes themselves; the pack of each rank, or None when the packs are too few."""
        first = self._windows(0)
        windows = np.arange(len(self._sizes)) % (len(first) - 1)  # every window gets the same mix
        return self._placed(self._sizes, windows, first)

    def _windows(self, head: int) -> np.ndarray:
        """Return the first pack of each window, and the end; a step ends after `head` packs, and with each window."""
        steps = max(1, round(self.window / self.per_step))
        inner = np.arange(head + steps * self.per_step, self.packs - steps * self.per_step // 2, steps * self.per_step)
        return np.concatenate([[0], inner, [self.packs]]).astype(int)

    def _placed(self, tokens_V: np.ndarray, window_V: np.ndarray, first: np.ndarray) -> np.ndarray | None:
        """Pack each window's visits in the order given, and what is left wherever there is room; None where not."""
        price_V, pack_V = cost(tokens_V, self.dims), np.full(len(tokens_V), -1)
        # Sorted once: to look for each window's visits among all takes hours where there are millions.
        ends = np.cumsum(np.bincount(window_V, minlength=len(first) - 1))
        of_window = np.split(np.argsort(window_V, kind="stable"), ends[:-1])
        for members, (start, end) in zip(of_window, pairwise(first.tolist()), strict=True):
            found = place(tokens_V[members], price_V[members], end - start, self.most)
            pack_V[members] = np.where(found < 0, -1, found + start)
        left, packs = np.flatnonzero(pack_V < 0), np.arange(self.packs)
        free = self.most - np.bincount(pack_V[pack_V >= 0], tokens_V[pack_V >= 0], self.packs)
        for visit in left[np.argsort(-tokens_V[left], kind="stable")].tolist():
            # The nearest: what is read for its window is still at hand.
            pack = int(np.where(free >= tokens_V[visit], abs(packs - first[window_V[visit]]), self.packs).argmin())
            if free[pack] < tokens_V[visit]:
                return None
            pack_V[visit], free[pack] = pack, free[pack] - tokens_V[visit]
        return pack_V

    def epoch(self, tokens_V: np.ndarray, rng: np.random.Generator, head: int = 0) -> list[np.ndarray]:
        """Pack an epoch's visits, which are in random order; return its packs in order, as places in `tokens_V`.

        Packs that share a step are of about equal cost; the first `head` end a step that began before. Where chance
        does not fit the visits in, they take the places of the sizes that are known to fit, rank by rank.
        """
        first = self._windows(head)
        middle = np.cumsum(tokens_V) - tokens_V / 2
        share = first[1:] / self.packs * max(float(tokens_V.sum()), 1.0)
        window_V = np.minimum(np.searchsorted(share, middle, side="right"), len(first) - 2)
        order = np.argsort(-tokens_V * np.exp(_JITTER * rng.uniform(-1, 1, len(tokens_V))), kind="stable")
        pack_V = self._placed(tokens_V[order], window_V[order], first)
        if pack_V is None:
            order = np.argsort(-tokens_V, kind="stable")
            pack_V = self._pack_of_rank[: len(order)]
        load = np.bincount(pack_V, cost(tokens_V[order], self.dims), self.packs)
        ends = np.cumsum(np.bincount(pack_V, minlength=self.packs))
        members = np.split(order[np.argsort(pack_V, kind="stable")], ends[:-1])
        return [np.sort(members[pack]) for pack in self._by_cost(load, first, head, rng)]

    def _by_cost(self, load: np.ndarray, first: np.ndarray, head: int, rng: np.random.Generator) -> list[int]:
        """Return the packs so that those of a step cost alike: each window's, sorted, cut to steps, in random order."""
        found: list[int] = []
        for window, (start, end) in enumerate(pairwise(first.tolist())):
            by_cost = start + np.argsort(load[start:end], kind="stable")
            # Steps that two epochs share get packs of middling cost from both.
            before = min(head, end - start) if window == 0 else 0
            after = (end - start - before) % self.per_step
            at = (len(by_cost) - before - after) // 2
            shared, whole = by_cost[at : at + before + after], np.delete(by_cost, np.s_[at : at + before + after])
            shared = rng.permutation(shared)
            whole = rng.permutation(whole.reshape(-1, self.per_step), axis=0).ravel()
            found += [*shared[:before].tolist(), *whole.tolist(), *shared[before:].tolist()]
        return found
