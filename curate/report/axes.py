"""Axes for the drawings: where ticks stand, and values to coordinates. The templates draw; here are only numbers.

Coordinates are user units of an SVG view box, rounded so that equal input gives equal bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from curate.report.words import number

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)  # a tick step is one of these times a power of ten


def at(value: float) -> float:
    """A coordinate with two decimals: a fiftieth of a pixel at any size that is looked at."""
    return round(value, 2)


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` round values within [low, high]."""
    span = high - low
    if span <= 0:
        return [low]
    rough = span / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s for s in _STEPS if s * power >= rough * (1 - 1e-9)) * power
    first = math.ceil(low / step - 1e-9)
    values = []
    while (first + len(values)) * step <= high + 1e-9 * span:
        values.append((first + len(values)) * step)
    return values


@dataclass(frozen=True)
class Axis:
    """A linear axis: values [low, high] on coordinates [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Coordinate of a value; what lies outside stands at the edge."""
        span = self.high - self.low
        portion = 0.5 if span <= 0 else (min(max(value, self.low), self.high) - self.low) / span
        return at(self.start + portion * (self.end - self.start))

    def marks(self, most: int) -> list[dict[str, float | str]]:
        """Ticks with their labels."""
        return [{"at": self(value), "label": number(value + 0.0)} for value in ticks(self.low, self.high, most)]


def path(points: list[tuple[float, float]]) -> str:
    """An SVG path through points."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) if points else ""
