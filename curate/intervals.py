"""Exact binomial confidence intervals (Clopper and Pearson 1934): no share stands without what it rests on."""

from __future__ import annotations

import math
from collections.abc import Callable


def clopper_pearson(hits: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Bounds of the share of hits, each missed with half of 1 - confidence; (0, 1) where nothing was counted."""
    if not 0 <= hits <= count:
        raise ValueError(f"{hits} of {count} is no share")
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if hits == 0 else _root(lambda p: 1.0 - _at_most(hits - 1, count, p) - tail)
    high = 1.0 if hits == count else _root(lambda p: tail - _at_most(hits, count, p))
    return low, high


def upper_bound(hits: int, count: int, confidence: float = 0.95) -> float:
    """The one-sided upper bound of the share of hits."""
    return clopper_pearson(hits, count, 2.0 * confidence - 1.0)[1]


def _at_most(hits: int, count: int, p: float) -> float:
    """Probability of at most so many hits."""
    if p <= 0.0 or p >= 1.0:
        return 1.0 if p <= 0.0 or hits >= count else 0.0
    log_p, log_q = math.log(p), math.log1p(-p)
    whole = math.lgamma(count + 1)
    return math.fsum(
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(count - k + 1) + k * log_p + (count - k) * log_q)
        for k in range(hits + 1)
    )


def _root(rising: Callable[[float], float]) -> float:
    """Where a function of a share that rises from below zero crosses it, by bisection to the last bit that counts."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if rising(middle) < 0.0 else (low, middle)
    return (low + high) / 2.0
