"""PDQ, Meta's hash of a picture: 256 bits and how much of the picture they rest on, in NumPy.

A picture is luma (H, W), grey levels 0..255. PDQ blurs it with two box filters of a 128th of each side, picks 64x64
points, and keeps the signs of 16x16 of its frequencies (1..16 in either direction, without the zeroth) against their
median. All but the median is linear, so one matrix for each side of the picture does it, for T pictures of one size at
once. `tests/filters/test_pdq.py` compares it with Meta's own C++ code (the package `pdqhash` 0.2.8, which exists as
source only, so that nothing here needs it) on textures, drawings, noise and decoded frames of 16 to 1920 pixels a side:
the same bits but for a few whose frequency is the median's to float rounding, and the same quality to a point. Of 201
such pictures 200 had all bits equal; one of 605x8 pixels, most of whose 64 columns are copies, differed in 9.

    hashes    (T, 32) uint8, in the order of PDQ's hex text: `hashes[0].tobytes().hex()` is what lists hold
    quality   (T,) uint8, 0..100: the sum of the steps between neighbouring points, in percent of the range, over 90
"""

from __future__ import annotations

from functools import cache

import numpy as np

SIDE = 64  # points a side that are transformed
KEPT = 16  # frequencies in each direction
BYTES = KEPT * KEPT // 8
LEAST_SIDE = 5  # pixels below which PDQ gives no hash
# Of two hashes that show the same picture, and quality from which a hash says anything; both are the published advice.
MAX_DISTANCE = 31  # bits of 256
LEAST_QUALITY = 50
WEIGHTS = np.array([0.299, 0.587, 0.114])


def pdq(luma_THW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hashes (T, 32) uint8 and quality (T,) uint8 of luma pictures (T, H, W) of any real type."""
    count, height, width = luma_THW.shape
    if min(height, width) < LEAST_SIDE:
        return np.zeros((count, BYTES), np.uint8), np.zeros(count, np.uint8)
    return hash_points(points(luma_THW))


def pdq_of_rgb(picture_HWC: np.ndarray) -> tuple[bytes, int]:
    """Hash (32 bytes) and quality of one (H, W, 3) uint8 RGB picture, as Meta's tools compute them of a file."""
    hashes, quality = pdq((picture_HWC @ WEIGHTS).astype(np.float32)[None])
    return hashes[0].tobytes(), int(quality[0])


def points(luma_THW: np.ndarray) -> np.ndarray:
    """The blurred picture at 64x64 points, (T, 64, 64) float32."""
    _, height, width = luma_THW.shape
    if (height, width) == (SIDE, SIDE):  # by definition taken as it is
        return luma_THW.astype(np.float32)
    rows, columns = _blur(height), _blur(width)
    return rows @ luma_THW.astype(np.float32) @ columns.T


def hash_points(points_TSS: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hashes and quality of (T, 64, 64) float32."""
    waves = (COSINES @ points_TSS @ COSINES.T).reshape(len(points_TSS), KEPT * KEPT)
    # PDQ's median is the lower of the middle two, and equal to it is not above it.
    median_T = np.partition(waves, waves.shape[1] // 2 - 1, axis=1)[:, waves.shape[1] // 2 - 1]
    bits = waves > median_T[:, None]
    return np.packbits(bits[:, ::-1], axis=1), _quality(points_TSS)


def _quality(points_TSS: np.ndarray) -> np.ndarray:
    """Steps are cut to whole percents before they are summed, so that many small ones count as nothing."""
    total_T = np.zeros(len(points_TSS), np.int64)
    for axis in (1, 2):
        percents = np.trunc(np.diff(points_TSS, axis=axis) * 100 / 255)
        total_T += np.abs(percents).sum(axis=(1, 2)).astype(np.int64)
    return np.minimum(total_T // 90, 100).astype(np.uint8)


def _cosines() -> np.ndarray:
    """Frequencies 1..16 of DCT-II over 64 points, (16, 64) float32."""
    order, place = np.arange(1, KEPT + 1)[:, None], np.arange(SIDE)[None]
    return (np.sqrt(2.0 / SIDE) * np.cos(np.pi / (2 * SIDE) * order * (2 * place + 1))).astype(np.float32)


COSINES = _cosines()


@cache
def _blur(side: int) -> np.ndarray:
    """(64, side) float32: what each point takes of a line of `side` pixels after two box filters."""
    window = -(-side // (2 * SIDE))
    place = np.arange(side)
    first, end = np.maximum(place - (window - 1) // 2, 0), np.minimum(place + window // 2 + 1, side)
    share = 1.0 / (end - first)  # a box that reaches beyond the picture is shorter
    chosen = ((np.arange(SIDE) + 0.5) * side / SIDE).astype(int)
    once = ((place >= first[chosen, None]) & (place < end[chosen, None])) * share[chosen, None]
    steps = np.zeros((side + 1, SIDE))
    np.add.at(steps, first, (once * share).T)
    np.add.at(steps, end, -(once * share).T)
    return np.cumsum(steps, axis=0)[:side].T.astype(np.float32)
