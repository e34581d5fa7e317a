"""How clips share out over packs: no pack above its tokens, all of about equal cost. Pure functions of sizes.

A clip of n tokens costs n + n * n / (3 D + F): the matrices of a block take 6 D^2 + 2 D F multiplications a token
(width D, MLP width F), its attention 2 n D. Text is left out: it is short, and of about the same length everywhere.
Legend: V visits, P packs, R packs of a step.
"""

from __future__ import annotations

import math

import numpy as np

from trainer.config import ModelConfig

# Visits are packed in windows of at most about this many packs: large enough to even out what chance brings together,
# small enough that clips that share a step were near each other in the epoch's order.
WINDOW_PACKS = 128
# Room that an epoch has beyond its tokens, so that packs can be filled by chance: it is what packing may waste.
ROOM = 0.01
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
    """Packs epochs of a dataset into the same number of steps, each of `per_step` packs of at most `most` tokens.

    Epochs may differ in their visits; `largest_V` are sizes of which the j-th largest is at least the j-th largest of
    any epoch (draws.envelope). What packs these packs every epoch, so the number of steps holds for all of them, and
    the step alone says which epoch it is in. Raises ValueError where a size is above `most`.
    """

    def __init__(
        self, largest_V: np.ndarray, dims: ModelConfig, per_step: int, most: int, window: int = WINDOW_PACKS
    ) -> None:
        if len(largest_V) == 0 or largest_V.max() > most:
            raise ValueError("no sizes, or one that is larger than a pack")
        self.dims, self.per_step, self.most, self.window = dims, per_step, most, window
        self._sizes = np.sort(largest_V)[::-1]
        self.steps = max(1, math.ceil(self._sizes.sum() * (1 + ROOM) / (per_step * most)))
        while (pack := self._by_rank()) is None:
            self.steps = max(self.steps + 1, math.ceil(self.steps * 1.01))
        self._pack_of_rank = pack

    def _by_rank(self) -> np.ndarray | None:
        """Pack the sizes themselves; the pack of each rank, or None when the steps are too few."""
        steps = self._windows()
        windows = np.arange(len(self._sizes)) % len(steps)  # every window gets the same mix
        return self._placed(self._sizes, windows, steps)

    def _windows(self) -> np.ndarray:
        """Return how many steps each window has."""
        count = min(self.steps, max(1, round(self.steps * self.per_step / self.window)))
        return np.diff(np.arange(count + 1) * self.steps // count)

    def _placed(self, tokens_V: np.ndarray, window_V: np.ndarray, steps: np.ndarray) -> np.ndarray | None:
        """Pack each window's visits in the order given, and what is left wherever there is room; None where not."""
        price_V, first = cost(tokens_V, self.dims), np.concatenate([[0], np.cumsum(steps)]) * self.per_step
        pack_V = np.full(len(tokens_V), -1)
        for window, (start, end) in enumerate(zip(first[:-1].tolist(), first[1:].tolist(), strict=True)):
            members = np.flatnonzero(window_V == window)
            found = place(tokens_V[members], price_V[members], end - start, self.most)
            pack_V[members] = np.where(found < 0, -1, found + start)
        left = np.flatnonzero(pack_V < 0)
        free = self.most - np.bincount(pack_V[pack_V >= 0], tokens_V[pack_V >= 0], int(first[-1]))
        for visit in left[np.argsort(-tokens_V[left], kind="stable")].tolist():
            pack = int(free.argmax())
            if free[pack] < tokens_V[visit]:
                return None
            pack_V[visit], free[pack] = pack, free[pack] - tokens_V[visit]
        return pack_V

    def epoch(self, tokens_V: np.ndarray, rng: np.random.Generator) -> list[list[np.ndarray]]:
        """Pack an epoch's visits, which are in random order; return for each step its packs, places in `tokens_V`.

        Packs that share a step are of about equal cost. Where chance does not fit them in, visits take the places of
        the sizes that are known to fit, rank by rank.
        """
        steps = self._windows()
        middle = np.cumsum(tokens_V) - tokens_V / 2
        share = np.cumsum(steps) / self.steps * max(float(tokens_V.sum()), 1.0)
        window_V = np.minimum(np.searchsorted(share, middle, side="right"), len(steps) - 1)
        order = np.argsort(-tokens_V * np.exp(_JITTER * rng.uniform(-1, 1, len(tokens_V))), kind="stable")
        pack_V = self._placed(tokens_V[order], window_V[order], steps)
        if pack_V is None:
            order = np.argsort(-tokens_V, kind="stable")
            pack_V = self._pack_of_rank[: len(order)]
        return self._steps(tokens_V, order, pack_V, steps, rng)

    def _steps(
        self, tokens_V: np.ndarray, order: np.ndarray, pack_V: np.ndarray, steps: np.ndarray, rng: np.random.Generator
    ) -> list[list[np.ndarray]]:
        """Cut each window's packs, sorted by cost, to steps, and shuffle these."""
        total = self.steps * self.per_step
        load = np.bincount(pack_V, cost(tokens_V[order], self.dims), total)
        by_pack = np.argsort(pack_V, kind="stable")
        ends = np.cumsum(np.bincount(pack_V, minlength=total))
        members = np.split(order[by_pack], ends[:-1])
        found, start = [], 0
        for count in (steps * self.per_step).tolist():
            cheapest_first = start + np.argsort(load[start : start + count], kind="stable")
            cut = cheapest_first.reshape(-1, self.per_step)
            found += [[np.sort(members[pack]) for pack in packs] for packs in cut[rng.permutation(len(cut))]]
            start += count
        return found
