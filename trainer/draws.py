"""Everything random, as pure functions of a key: (seed, purpose, epoch, clip id, ...). Nothing is stored.

A key is hashed to the 128-bit key of a Philox counter generator (Salmon et al. 2011), so a step's noise, times,
captions and order are the same after a resume, for any number of ranks, and whatever was drawn before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TypeVar

import numpy as np

Name = TypeVar("Name", bound=str)


def generator(seed: int, purpose: str, *key: int | str) -> np.random.Generator:
    """Return the generator of one purpose and key; equal arguments give equal streams."""
    text = json.dumps([seed, purpose, *key], separators=(",", ":"))
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """Return the permutation of range(count) in which an epoch visits the clips, int64."""
    return generator(seed, "order", epoch).permutation(count)


def step_members(seed: int, step: int, batch: int, count: int) -> list[tuple[int, int]]:
    """Return the (epoch, index) pairs of a step: a window of the epochs' permutations laid end to end.

    Steps are counted from 0. Over any `count` consecutive places from an epoch's start, each clip comes once.
    """
    if count < 1:
        raise ValueError("no clips to draw from")
    members: list[tuple[int, int]] = []
    orders: dict[int, np.ndarray] = {}
    for place in range(step * batch, (step + 1) * batch):
        epoch, offset = divmod(place, count)
        if epoch not in orders:
            orders[epoch] = epoch_order(seed, epoch, count)
        members.append((epoch, int(orders[epoch][offset])))
    return members


def weighted_choice(rng: np.random.Generator, weights: Mapping[Name, float]) -> Name:
    """Draw a key by its weight; one uniform number is used whatever the weights. Some weight must be above 0."""
    names = [name for name, weight in weights.items() if weight > 0]
    edges = np.cumsum([weights[name] for name in names])
    return names[min(int(np.searchsorted(edges, rng.random() * edges[-1], side="right")), len(names) - 1)]
