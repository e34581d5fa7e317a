"""Cut and paste: a positive picture in a region of a clean one, and another clean one in the same region as its match.

DALL-E 3 made its filter see small regions so (requirement Q13): what tells the two apart is what was pasted, not that
something was.
"""

from __future__ import annotations

import cv2
import numpy as np

AREA = 0.20


def region(height: int, width: int, area: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A rectangle of this share of a picture, of its shape, anywhere: top, bottom, left, right."""
    side = np.sqrt(area)
    high, wide = max(1, round(height * side)), max(1, round(width * side))
    top, left = int(rng.integers(0, height - high + 1)), int(rng.integers(0, width - wide + 1))
    return top, top + high, left, left + wide


def cut_paste(
    positive_HWC: np.ndarray, clean_HWC: np.ndarray, other_HWC: np.ndarray, rng: np.random.Generator, area: float = AREA
) -> tuple[np.ndarray, np.ndarray]:
    """The clean picture with the positive in a region, and with another clean one in the very same region."""
    height, width = clean_HWC.shape[:2]
    top, bottom, left, right = region(height, width, area, rng)
    pair = []
    for pasted_HWC in (positive_HWC, other_HWC):
        made = clean_HWC.copy()
        small = cv2.resize(pasted_HWC, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
        made[top:bottom, left:right] = small
        pair.append(made)
    return pair[0], pair[1]


def augmented(
    pictures_NHWC: np.ndarray,
    labels_N: np.ndarray,
    seed: int,
    per_positive: int = 4,
    areas: tuple[float, float] = (0.04, 0.5),
) -> tuple[np.ndarray, np.ndarray]:
    """The pictures, and for each positive so many pairs with areas spread around `AREA` (log-uniform)."""
    rng = np.random.default_rng(seed)
    labels_N = np.asarray(labels_N, bool)
    clean = np.flatnonzero(~labels_N)
    made, truth = [pictures_NHWC], [labels_N]
    for place in np.flatnonzero(labels_N):
        for _ in range(per_positive):
            under, other = rng.choice(clean, 2)
            area = float(np.exp(rng.uniform(*np.log(areas))))
            made.append(
                np.stack(cut_paste(pictures_NHWC[place], pictures_NHWC[under], pictures_NHWC[other], rng, area))
            )
            truth.append(np.array([True, False]))
    return np.concatenate(made), np.concatenate(truth)
