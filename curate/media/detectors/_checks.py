"""Checks of detectors' parameters: the error says which one is wrong and what it was."""

from __future__ import annotations

import math


def number(key: str, value: float, least: float = 0.0, most: float = math.inf, above: bool = False) -> float:
    """A finite number, `least` <= value <= `most`; `above`: `least` itself is wrong as well."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{key} must be a number, got {value!r}")
    low = value > least if above else value >= least
    if not (low and value <= most and math.isfinite(value)):
        bounds = f"{'above' if above else 'at least'} {least:g}" + (f" and at most {most:g}" if most < math.inf else "")
        raise ValueError(f"{key} must be {bounds} and finite, got {value}")
    return float(value)


def whole(key: str, value: int, least: int, most: int) -> int:
    """A whole number, `least` <= value <= `most`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{key} must be a whole number, got {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{key} must be at least {least} and at most {most}, got {value}")
    return value
