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
THINNEST, THICKEST = 0.02, 0.4  # share of a side that a bar takes: less is ringing, more leaves no picture
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
    levels_THW = gray_THW.astype(np.float32)
    points = _picked(height, 0.0, float(height)) @ levels_THW @ _picked(width, 0.0, float(width)).T
    whole = *_pdq.hash_points(points), *view_hashes(levels_THW)
    pdq, quality, views, info = (np.stack([values, np.zeros_like(values)], axis=1) for values in whole)
    for number, levels_HW in enumerate(levels_THW):
        top, bottom, left, right = box = picture_box(gray_THW[number])
        if box != (0, height, 0, width):
            points = _inside(levels_HW, box)[None]
            (pdq[number, 1],), (quality[number, 1],) = _pdq.hash_points(points)
            (views[number, 1],), (inside,) = view_hashes(levels_HW[None, top:bottom, left:right])
            info[number, 1] = np.minimum(inside, info[number, 0, 0])  # a box around a title is full of it
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
    levels_THW = gray_THW.astype(np.float32, copy=False)
    bits = np.empty((count, len(shares), KEPT * KEPT), bool)
    sure_TV = np.empty((count, len(shares)))
    for view, share in enumerate(shares):
        waves_TKK = _waves(height, share) @ levels_THW @ _waves(width, share).T
        waves_TKK[:, 0, 0] = 0.0
        bits[:, view] = waves_TKK.reshape(count, -1) > 0.0
        sure_TV[:, view] = (np.abs(waves_TKK) >= SURE).mean(axis=(1, 2))
    return np.packbits(bits, axis=-1, bitorder="little"), _information(levels_THW, sure_TV)


def _inside(levels_HW: np.ndarray, box: Box) -> np.ndarray:
    """PDQ's points (64, 64) of a picture between bars; its edges are taken to fractions of a pixel.

    Half a pixel is a percent of what is left at 96 lines: of 60 barred copies the farthest was 30 bits off, so 12.
    """
    top, bottom, left, right = box
    height, width = levels_HW.shape
    rows_H, columns_W = levels_HW[:, left:right].mean(axis=1), levels_HW[top:bottom].mean(axis=0)
    high = _picked(height, _edge(rows_H, top), height - _edge(rows_H[::-1], height - bottom))
    wide = _picked(width, _edge(columns_W, left), width - _edge(columns_W[::-1], width - right))
    return high @ levels_HW @ wide.T


def _edge(means_L: np.ndarray, first: int) -> float:
    """Where a picture begins whose first line is `first`: that line and the one before are mixed with the bar."""
    if first == 0:
        return 0.0
    bar, picture = means_L[max(0, first - 3)], means_L[first + 1]
    return first + 1 - float(np.clip((means_L[first - 1 : first + 1] - bar) / max(picture - bar, 1.0), 0.0, 1.0).sum())


def _information(levels_THW: np.ndarray, sure_TV: np.ndarray) -> np.ndarray:
    """(T, V) percent: the share of a view's bits that no codec turns, but no more than what stands out of a ground.

    Black, plain and gently shaded pictures have few sure bits: 13 percent at most, real footage 40. White letters on
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


def _picked(side: int, start: float, end: float) -> np.ndarray:
    """(64, side) float32: PDQ's points between two places of a line of a small frame, which needs no blur.

    PDQ itself picks the nearest pixel, which at 96 pixels lies up to half a point off.
    """
    place = start + (np.arange(_pdq.SIDE) + 0.5 + SHIFT) * (end - start) / _pdq.SIDE - 0.5
    place = np.clip(place, np.ceil(start), max(np.ceil(start), np.floor(end) - 1))  # not between the picture and a bar
    points = np.zeros((_pdq.SIDE, side), np.float32)
    row, near = np.arange(_pdq.SIDE), place.astype(int)
    points[row, near] = 1.0 - (place - near)
    points[row, np.minimum(near + 1, side - 1)] += place - near
    return points
