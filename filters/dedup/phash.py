"""Perceptual hashes in time: 256 bits for each of four views of a frame, and a small picture of it to check with.

(T, H, W, 3) uint8 at 4 frames a second. A hash is the signs of the 16x16 lowest frequencies of a 64x64 luma picture
(as pHash and PDQ do; zero in place of the median, so mirroring flips exactly the odd horizontal frequencies and needs
no hash of its own). Black bars are cut first. Views are the whole picture and three centre crops, so that a copy
with its borders cut off is found. Rows of the arrays are frames, in order:

    hashes   (T, 4 views, 32) uint8, little-endian bits in row order of the frequencies
    thumbs   (T, 384) uint8: luma 16x16, then Cb 8x8 and Cr 8x8 (128 is gray)
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from curate.stage import Clip, Frames, Score, column
from filters._bars import content_box
from filters._luma import luma

SIDE = 64  # pixels a side of the picture that is transformed
KEPT = 16  # frequencies kept in each direction, the zeroth included
# Each crop reaches half-way to the next: a copy that lost 5 % on every side is the 0.9 view, 15 % the 0.71 view.
CROPS = (1.0, 0.9, 0.8, 0.71)
VIEWS = len(CROPS)
BYTES = KEPT * KEPT // 8  # of one hash
LUMA_SIDE, CHROMA_SIDE = 16, 8
THUMB = LUMA_SIDE**2 + 2 * CHROMA_SIDE**2  # bytes of one small picture


def _cosines() -> np.ndarray:
    """The lowest DCT-II basis functions, (KEPT, SIDE) float32, orthonormal."""
    order, place = np.arange(KEPT)[:, None], np.arange(SIDE)[None]
    basis = np.cos(np.pi * (place + 0.5) * order / SIDE) * np.sqrt(2.0 / SIDE)
    basis[0] /= np.sqrt(2.0)
    return basis.astype(np.float32)


COSINES = _cosines()
ODD = (np.arange(KEPT * KEPT) % KEPT % 2).astype(np.uint8)
MIRROR = np.packbits(ODD, bitorder="little")  # XOR with it is the hash of the mirrored frame


class Phash(Score):
    """Hashes and small pictures of every sampled frame; `score` is how much there is to see (DESIGN 2, Q23, Q24)."""

    name = "phash"
    version = 2
    # Twice the rate of the proxies: a copy with its head cut off is sampled at other moments, at most 1/8 s away then.
    frames = Frames(4.0, 96, "rgb")
    fields = (
        column("score", pa.float32(), "grey levels", "information: deviation of luma over 16x16 cells, frames' mean"),
        column("count", pa.int32(), "frames", "hashed frames"),
        column("hashes", pa.binary(), "bits", "per frame 4 views of 32 bytes: whole, and centre crops"),
        column("thumbs", pa.binary(), "0..255", "per frame 384 bytes: luma 16x16, Cb 8x8, Cr 8x8"),
    )
    higher_is = "better"

    def measure(self, frames_THWC: np.ndarray, clip: Clip) -> Mapping[str, Any]:
        """Hash (T, H, W, 3) uint8 frames."""
        top, bottom, left, right = content_box(luma(frames_THWC))
        frames_THWC = frames_THWC[:, top:bottom, left:right]
        thumbs = np.stack([thumb(frame) for frame in frames_THWC])
        hashes = hash_views(luma(frames_THWC))
        return {
            "score": information(thumbs).astype(np.float64),
            "count": len(thumbs),
            "hashes": hashes.tobytes(),
            "thumbs": thumbs.tobytes(),
        }


def hash_views(gray_THW: np.ndarray) -> np.ndarray:
    """Hashes of each luma picture and its centre crops, (T, VIEWS, BYTES) uint8; mean brightness is no bit of them."""
    _, height, width = gray_THW.shape
    levels_THW = gray_THW.astype(np.float32)
    bits = np.empty((len(gray_THW), VIEWS, KEPT * KEPT), bool)
    for view, share in enumerate(CROPS):
        waves_TKK = _waves(height, share) @ levels_THW @ _waves(width, share).T
        waves_TKK[:, 0, 0] = 0.0
        bits[:, view] = waves_TKK.reshape(len(gray_THW), -1) > 0.0
    return np.packbits(bits, axis=-1, bitorder="little")


@cache
def _waves(side: int, share: float) -> np.ndarray:
    """(KEPT, side) float32: the middle `share` of a line, resized to SIDE pixels, in its lowest frequencies.

    Both are linear, so that one product does the work; INTER_AREA averages when it shrinks.
    """
    cut = round(side * (1.0 - share) / 2)
    unit = np.eye(side, dtype=np.float32)[cut : side - cut]
    return COSINES @ cv2.resize(unit, (side, SIDE), interpolation=cv2.INTER_AREA)


def thumb(frame_HWC: np.ndarray) -> np.ndarray:
    """Small picture of one (H, W, 3) uint8 RGB frame, (384,) uint8."""
    small = cv2.resize(frame_HWC, (LUMA_SIDE, LUMA_SIDE), interpolation=cv2.INTER_AREA)
    planes = cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb)
    half = planes.reshape(CHROMA_SIDE, 2, CHROMA_SIDE, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8)
    return np.concatenate([planes[..., 0].ravel(), half[..., 2].ravel(), half[..., 1].ravel()])


def information(thumbs: np.ndarray) -> np.ndarray:
    """Deviation of luma over the cells of each small picture, (T,) float32 grey levels; 0 for a flat frame."""
    return thumbs[:, : LUMA_SIDE**2].astype(np.float32).std(axis=1)
