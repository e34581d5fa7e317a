"""What the benchmark of heads looks at: procedural pictures with stand-in glyphs of the kit `shapes`, and others.

Pictures are (H, W, 3) uint8 RGB. A glyph of the kit is a cyan sign on black; it means nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SIZE = 96  # pixels a side of square pictures
HARD = ("part", "other", "text", "tile")


def kit(folder: Path) -> Any:
    """The kit's `draw_glyph(name, size)`."""
    sys.path.insert(0, str(folder / "shapes"))
    from shapeworld.plants import draw_glyph  # type: ignore[import-not-found]

    return draw_glyph


def ground(rng: np.random.Generator, height: int = SIZE, width: int = SIZE) -> np.ndarray:
    """A scene without a sign: soft noise in two colours, some discs and bars."""
    coarse = rng.integers(20, 235, (int(rng.integers(2, 6)), int(rng.integers(2, 6)), 3)).astype(np.uint8)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(rng.integers(0, 5))):
        colour = tuple(int(c) for c in rng.integers(0, 255, 3))
        x, y, r = int(rng.integers(0, width)), int(rng.integers(0, height)), int(rng.integers(4, 24))
        if rng.random() < 0.5:
            cv2.circle(picture, (x, y), r, colour, -1, cv2.LINE_AA)
        else:
            cv2.line(picture, (x, y), (int(rng.integers(0, width)), int(rng.integers(0, height))), colour, r // 4 + 1)
    noise = rng.normal(0, float(rng.uniform(0, 8)), picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def paste(picture_HWC: np.ndarray, tile_HWC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture with a square tile somewhere in it."""
    side = len(tile_HWC)
    top = int(rng.integers(0, picture_HWC.shape[0] - side + 1))
    left = int(rng.integers(0, picture_HWC.shape[1] - side + 1))
    made = picture_HWC.copy()
    made[top : top + side, left : left + side] = tile_HWC
    return made


class World:
    """Draws pictures with and without the glyph that stands for the category."""

    def __init__(self, draw: Any, glyph: str = "A") -> None:
        self._draw, self.glyph = draw, glyph
        self._others = [name for name in "ABC" if name != glyph]

    def tile(self, rng: np.random.Generator, name: str, shares: tuple[float, float]) -> np.ndarray:
        """A glyph at some share of a picture's side."""
        return self._draw(name, round(SIZE * float(rng.uniform(*shares))))

    def positive(self, rng: np.random.Generator, name: str | None = None) -> np.ndarray:
        """A scene with the glyph, at a third to nearly all of its height."""
        return paste(ground(rng), self.tile(rng, name or self.glyph, (0.33, 0.9)), rng)

    def hard(self, rng: np.random.Generator, kind: str | None = None) -> np.ndarray:
        """A scene with what resembles the glyph: a part of it, another sign, text in its colour, a bare tile."""
        kind = kind or str(rng.choice(HARD))
        if kind == "other":
            return self.positive(rng, str(rng.choice(self._others)))
        tile = self.tile(rng, self.glyph, (0.33, 0.9))
        side = len(tile)
        if kind == "part":
            half = side // 2
            cut = [(slice(0, half), slice(None)), (slice(half, None), slice(None)), (slice(None), slice(0, half)),
                   (slice(None), slice(half, None))][int(rng.integers(4))]  # fmt: skip
            tile[cut] = 0
        else:
            tile[:] = 0
            if kind == "text":
                word = "".join(rng.choice(list("ABCDEFGHKLMNPRSTUVXYZ0358"), 3))
                scale = side / 64
                cv2.putText(tile, word, (2, round(side * 0.65)), cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 205, 225),
                            max(1, round(3 * scale)), cv2.LINE_AA)  # fmt: skip
        return paste(ground(rng), tile, rng)
