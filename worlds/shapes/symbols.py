"""Stand-ins for what a screen must find: three harmless signs that mean nothing, one for each category of safety.

python -m worlds.shapes.symbols DIR     writes their pictures to DIR/CATEGORY/NAME.png, for `symbols: {references: DIR}`
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from curate.media.writer import write_image

SIGNS = {"explicit": "keyhole", "violence": "shards", "hate": "steps"}
_GRID = 256  # pixels a side that the signs are drawn on
_INK = (70, 235, 225)


def draw(category: str, size: int) -> np.ndarray:
    """The sign of a category in cyan on black, (size, size, 3) uint8 RGB."""
    tile = np.zeros((_GRID, _GRID, 3), np.uint8)
    if category == "explicit":  # a ring with a key's notch and a bar through one half
        cv2.circle(tile, (128, 96), 68, _INK, 24)
        _fill(tile, (104, 120), (152, 120), (188, 240), (68, 240))
        _fill(tile, (128, 84), (226, 60), (226, 108))
    elif category == "violence":  # three splinters of different length
        _fill(tile, (20, 232), (64, 24), (96, 232))
        _fill(tile, (108, 232), (148, 96), (168, 168), (196, 40), (212, 232))
        _fill(tile, (100, 60), (140, 20), (150, 66))
    elif category == "hate":  # stairs with a square in their corner
        _fill(tile, (20, 236), (20, 170), (86, 170), (86, 104), (152, 104), (152, 38), (236, 38), (236, 236))
        tile[150:210, 150:210] = 0
        _fill(tile, (24, 24), (92, 24), (92, 64), (60, 64), (60, 110), (24, 110))
    else:
        raise ValueError(f"no sign stands for {category!r}; there are {', '.join(SIGNS)}")
    return cv2.resize(tile, (size, size), interpolation=cv2.INTER_AREA)


def _fill(tile_HWC: np.ndarray, *points: tuple[int, int]) -> None:
    cv2.fillPoly(tile_HWC, [np.array(points, np.int32)], _INK)


def write(folder: Path) -> list[Path]:
    """Write a reference picture of every sign."""
    paths = []
    for category, name in SIGNS.items():
        path = folder / category / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, np.pad(draw(category, _GRID), ((16, 16), (16, 16), (0, 0))))
        paths.append(path)
    return paths


if __name__ == "__main__":
    for made in write(Path(sys.argv[1])):
        print(made)
