"""What is compared with lists of hashes: PDQ and the perceptual hash of pictures, whole and cropped, and their weight.

A frame is luma with a shorter side of 96 pixels or more. It is hashed as two pictures: as it is, and without black
bars; the second counts for nothing where there are none. Shapes: T frames, P = 2 pictures, V = 4 centre crops.

    pdq          (T, P, 32) uint8      PDQ in the order of its hex text, see `filters._pdq`
    quality      (T, P) uint8          PDQ's own quality, 0..100
    views        (T, P, V, 32) uint8   as `filters.dedup.phash.hash_views`
    information  (T, P, V) uint8       percent: how much there is to tell this picture from another, see `_information`
    times_s      (T,) float64          seconds from the clip's start
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np

from filters import _pdq
from filters._luma import luma
from filters.dedup.phash import BYTES, COSINES, CROPS, KEPT, SIDE, VIEWS

PICTURES = 2
BLACK, SPECKS = 24, 0.02  # grey levels of a bar, and the share of a line that noise or a logo may lift above them
THINNEST, THICKEST = 0.02, 0.35  # share of a side that a bar takes: less is ringing, more leaves no picture
# Where PDQ picks its points, in points to the right of the middle: Meta's tool first shrinks a file to 512 pixels,
# where its even box filters shift by 0.19; other tools hash the file as it is, which shifts by 0 to 0.05.
SHIFT = 0.1
SURE = 12.0  # of a frequency, in grey levels: from here no codec turns its sign
STANDS_OUT = 8.0  # grey levels from the median of a picture: beyond, a pixel is not of its ground
STROKE = 5 / 96  # of the shorter side: letters' strokes are thinner
THRICE = 3.0  # so that a ground of two thirds of the picture costs nothing

Box = tuple[int, int, int, int]  # top, bottom, left, right in pixels, ends exclusive


@dataclass(frozen=True, eq=False)
class FrameHashes:
    """The hashes of a clip's frames; see the module's text."""

    pdq: np.ndarray
    quality: np.ndarray
    views: np.ndarray
    information: np.ndarray
    times_s: np.ndarray

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> FrameHashes:
        """Read a stored row of the score `known_hashes`; ValueError if its bytes do not fit its count."""
        count = int(row["count"])
        shapes = {"pdq": (BYTES,), "quality": (), "views": (VIEWS, BYTES), "information": (VIEWS,)}
        arrays = {
            name: np.frombuffer(row[name], np.uint8).reshape(count, PICTURES, *shape) for name, shape in shapes.items()
        }
        return cls(**arrays, times_s=np.array(row["times_s"], np.float64).reshape(count))

    def to_row(self) -> dict[str, Any]:
        """The columns that `from_row` reads."""
        arrays = {name: getattr(self, name).tobytes() for name in ("pdq", "quality", "views", "information")}
        return {"count": len(self.times_s), **arrays, "times_s": self.times_s.tolist()}


def frame_hashes(frames_THWC: np.ndarray, times_s: Sequence[float] | None = None, fps: float = 4.0) -> FrameHashes:
    """Hash (T, H, W, 1 or 3) uint8 frames, which are shown at `times_s`, or at `fps` where nobody knows."""
    gray_THW = luma(frames_THWC)
    count, height, width = gray_THW.shape
    whole = _hashed(gray_THW)
    both = [np.stack([values, np.zeros_like(values)], axis=1) for values in whole]
    boxes = [picture_box(gray_HW) for gray_HW in gray_THW]
    for box in sorted(set(boxes) - {(0, height, 0, width)}):
        mine = np.array([other == box for other in boxes])
        top, bottom, left, right = box
        for values, more in zip(both, _hashed(gray_THW[mine, top:bottom, left:right]), strict=True):
            values[mine, 1] = more
    pdq, quality, views, info = both
    info[:, 1] = np.minimum(info[:, 1], info[:, 0, :1])  # a box around a title is full of it
    times = np.arange(count) / fps if times_s is None or len(times_s) != count else np.asarray(times_s, np.float64)
    return FrameHashes(pdq, quality, views, info, times)


def picture_box(gray_HW: np.ndarray) -> Box:
    """The picture without black bars at two opposite sides, or the whole. One frame is enough, which may be wrong."""
    dark = gray_HW <= BLACK
    top, bottom = _between(dark.mean(axis=1) >= 1 - SPECKS)
    left, right = _between(dark[top:bottom].mean(axis=0) >= 1 - SPECKS)
    return top, bottom, left, right


def _between(dark_L: np.ndarray) -> tuple[int, int]:
    """First and last (exclusive) line between the bars at either end; all lines if one has none."""
    count = len(dark_L)
    if dark_L.all():
        return 0, count
    first, last = int(np.argmin(dark_L)), int(np.argmin(dark_L[::-1]))
    fits = all(THINNEST * count <= length <= THICKEST * count for length in (first, last))
    return (first, count - last) if fits else (0, count)


def view_hashes(gray_THW: np.ndarray, shares: Sequence[float] = CROPS) -> tuple[np.ndarray, np.ndarray]:
    """Perceptual hashes (T, V, 32) and information (T, V) of V middle shares of luma pictures (T, H, W)."""
    count, height, width = gray_THW.shape
    levels_THW = gray_THW.astype(np.float32)
    bits = np.empty((count, len(shares), KEPT * KEPT), bool)
    sure_TV = np.empty((count, len(shares)))
    for view, share in enumerate(shares):
        waves_TKK = _waves(height, share) @ levels_THW @ _waves(width, share).T
        waves_TKK[:, 0, 0] = 0.0
        bits[:, view] = waves_TKK.reshape(count, -1) > 0.0
        sure_TV[:, view] = (np.abs(waves_TKK) >= SURE).mean(axis=(1, 2))
    return np.packbits(bits, axis=-1, bitorder="little"), _information(levels_THW, sure_TV)


def _hashed(gray_THW: np.ndarray) -> tuple[np.ndarray, ...]:
    """PDQ, its quality, views and information of pictures of one size."""
    _, height, width = gray_THW.shape
    pdq = _pdq.hash_points(_picked(height) @ gray_THW.astype(np.float32) @ _picked(width).T)
    return *pdq, *view_hashes(gray_THW)


def _information(levels_THW: np.ndarray, sure_TV: np.ndarray) -> np.ndarray:
    """(T, V) percent: the share of a view's bits that no codec turns, but no more than what stands out of a ground.

    Black, plain and gently shaded pictures have few sure bits: 16 percent at most, real footage 40. White letters on
    black have many, all of them from little of the picture. So where half of a picture is of one level, only what
    stands out of that in pieces wider than letters' strokes counts, thrice: 7 percent of a frame of the largest
    titles, 12 and more of footage with a wall behind somebody.
    """
    area_T = np.array([_standing_out(level_HW) for level_HW in levels_THW])
    return np.rint(100 * np.minimum(sure_TV, THRICE * area_T[:, None])).astype(np.uint8)


def _standing_out(level_HW: np.ndarray) -> float:
    """Share of a picture (H, W) float32 that is not its ground, thin things left out."""
    out_HW = (np.abs(level_HW - np.median(level_HW)) > STANDS_OUT).astype(np.uint8)
    share = float(out_HW.mean())
    if share >= 0.5:  # what lies near the median is no ground, but chance
        return share
    width = max(1, round(STROKE * min(level_HW.shape)))
    return float(cv2.erode(out_HW, np.ones((width, width), np.uint8)).mean())


@cache
def _waves(side: int, share: float) -> np.ndarray:
    """(KEPT, side) float32: the lowest frequencies of the middle `share` of a line, as `hash_views` takes them."""
    cut = round(side * (1.0 - share) / 2)
    unit = np.eye(side, dtype=np.float32)[cut : side - cut]
    return COSINES @ cv2.resize(unit, (side, SIDE), interpolation=cv2.INTER_AREA)


@cache
def _picked(side: int) -> np.ndarray:
    """(64, side) float32: PDQ's points of a line of a frame that is small, so that no blur is needed, but positions.

    PDQ itself picks the nearest pixel, which at 96 pixels lies up to half a point off: 16 bits from the hash of the
    full picture in the median of 108 real frames and 32 at most. Linear interpolation at `SHIFT`: 8, and 22.
    """
    place = (np.arange(_pdq.SIDE) + 0.5 + SHIFT) * side / _pdq.SIDE - 0.5
    near = np.clip(np.floor(place).astype(int), 0, side - 1)
    points = np.zeros((_pdq.SIDE, side), np.float32)
    part, row = np.clip(place - near, 0.0, 1.0), np.arange(_pdq.SIDE)
    np.add.at(points, (row, near), 1.0 - part)
    np.add.at(points, (row, np.minimum(near + 1, side - 1)), part)
    return points
