"""Confidence intervals: exact ones of shares (Clopper and Pearson 1934), Student's of means.

No figure stands without what it rests on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence


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


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Bounds of the mean of independent values by Student's t; None for fewer than two, which say nothing of it."""
    count = len(values)
    if count < 2:
        return None
    mean = math.fsum(values) / count
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    reach = _student(count - 1, confidence) * spread / math.sqrt(count)
    return mean - reach, mean + reach


def _student(freedom: int, confidence: float) -> float:
    """The t that |T| stays below with this probability, for a whole number of degrees of freedom.

    The probability is a finite sum in the angle atan(t / sqrt(freedom)) (Abramowitz and Stegun 26.7.3, 26.7.4).
    """

    def within(angle: float) -> float:
        square, odd = math.cos(angle) ** 2, freedom % 2
        term, total = (math.cos(angle), 0.0) if odd else (1.0, 0.0)
        for k in range(1, (freedom - odd) // 2 + 1):
            total += term
            term *= square * (2 * k / (2 * k + 1) if odd else (2 * k - 1) / (2 * k))
        total *= math.sin(angle)
        return 2.0 / math.pi * (angle + total) if odd else total

    angle = _root(lambda share: within(share * math.pi / 2.0) - confidence) * math.pi / 2.0
    return math.tan(angle) * math.sqrt(freedom)
