"""Names of the colours that fill a picture: eleven words, by hue, chroma and value.

colour_shares: (..., 3) uint8 RGB -> share of the pixels for each word.
"""

from __future__ import annotations

from functools import cache

import numpy as np

NAMES = ("black", "gray", "white", "red", "orange", "brown", "yellow", "green", "blue", "purple", "pink")
BITS = 5  # per channel: a table of 32768 colours, steps of 8 grey levels, finer than any border below

# Value (largest channel, 0..255) below which a colour is called black; chroma (largest minus smallest
# channel) below which it has no hue, absolute and as a share of the value: camera grays have casts of 15 %.
BLACK_BELOW, LEAST_CHROMA, LEAST_SATURATION = 44.0, 24.0, 0.22
WHITE_FROM = 200.0
BROWN_BELOW = 160.0  # a dark orange or dark yellow-orange is brown
# Upper ends of the hue ranges in degrees, from red on round the circle.
HUES = ((16.0, "red"), (44.0, "orange"), (70.0, "yellow"), (170.0, "green"), (258.0, "blue"),
        (292.0, "purple"), (344.0, "pink"), (361.0, "red"))  # fmt: skip


@cache
def _table() -> np.ndarray:
    """Index into NAMES for every quantised colour, (32768,) uint8."""
    steps = np.arange(1 << BITS, dtype=np.float64) * (1 << (8 - BITS)) + (1 << (7 - BITS))
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    red, green, blue = rgb.T
    value, chroma = rgb.max(1), rgb.max(1) - rgb.min(1)
    span = np.maximum(chroma, 1e-9)
    hue = np.where(
        value == red, (green - blue) / span % 6.0, np.where(value == green, (blue - red) / span + 2.0,
        (red - green) / span + 4.0)) * 60.0  # fmt: skip
    ends = np.array([end for end, _ in HUES])
    names = np.array([NAMES.index(name) for _, name in HUES])
    index = names[np.searchsorted(ends, hue, side="right")]
    index[(index == NAMES.index("orange")) & (value < BROWN_BELOW)] = NAMES.index("brown")
    dull = (chroma < LEAST_CHROMA) | (chroma < LEAST_SATURATION * value)
    index[dull] = np.where(value[dull] >= WHITE_FROM, NAMES.index("white"), NAMES.index("gray"))
    index[value < BLACK_BELOW] = NAMES.index("black")
    return index.astype(np.uint8)


def colour_shares(rgb: np.ndarray) -> dict[str, float]:
    """Share of the pixels of (..., 3) uint8 RGB per colour word, most frequent first, none that is 0."""
    keys = (rgb.reshape(-1, 3) >> (8 - BITS)).astype(np.int32) @ np.array([1 << 2 * BITS, 1 << BITS, 1])
    counts = np.bincount(_table()[keys], minlength=len(NAMES))
    order = np.argsort(-counts, kind="stable")
    return {NAMES[i]: float(counts[i]) / len(keys) for i in order if counts[i]}
