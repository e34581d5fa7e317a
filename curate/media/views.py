"""Small pictures out of decoded frames, cheap enough for every frame of a source.

A full-frame conversion by swscale costs as much as decoding the frame. Here the planes are made small first, and
colour is converted at the small size: a view that samples the time grid halves the planes by area while they are at
least twice too large, then resizes linearly; a view of *every* frame (`Frames.fps` 0) picks pixels at twice the size
and averages them 2x2. Levels are 8-bit full-range R'G'B' (or luma), by the frame's own matrix (BT.601 where it names
none) and range.

Legend: H height, W width, C channels; uint8.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from av.video.frame import VideoFrame

from curate.stage import Frames

# Wr, Wb of the luma equation by libav's colour space number (ITU-T H.273); 601 is what libav assumes of the rest.
_BT601 = (0.299, 0.114)
_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_PLANAR = frozenset({"yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuvj420p", "yuvj422p", "yuvj444p", "yuvj440p"})
_PLANAR_DEEP = {f"yuv{chroma}p{bits}le": bits for chroma in ("420", "422", "444") for bits in (10, 12)}


def planes_of(image: VideoFrame) -> list[np.ndarray]:
    """The frame's planes without the padding of their lines, as views of its memory (uint8 or uint16)."""
    kind = np.uint16 if image.format.name in _PLANAR_DEEP else np.uint8
    size = np.dtype(kind).itemsize
    return [
        np.frombuffer(memoryview(plane), kind).reshape(plane.height, plane.line_size // size)[:, : plane.width]  # type: ignore[arg-type]
        for plane in image.planes
    ]


def is_planar(image: VideoFrame) -> bool:
    """Whether `planes_of` reads this pixel format: planar Y'CbCr of 8, 10 or 12 bits."""
    return image.format.name in _PLANAR or image.format.name in _PLANAR_DEEP


@cache
def _matrix(space: int, full: bool) -> np.ndarray:
    """(3, 4) affine map from (Y, Cb, Cr) levels to (R, G, B) levels (ITU-T H.273, 8.3 and 8.4)."""
    red, blue = _WEIGHTS.get(space, _BT601)
    green = 1.0 - red - blue
    luma, chroma, black = (1.0, 1.0, 0.0) if full else (255 / 219, 255 / 224, 16.0)
    cr_red, cb_blue = 2.0 * (1.0 - red) * chroma, 2.0 * (1.0 - blue) * chroma
    rows = np.array([
        [luma, 0.0, cr_red],
        [luma, -cb_blue * blue / green, -cr_red * red / green],
        [luma, cb_blue, 0.0],
    ])  # fmt: skip
    return np.column_stack([rows, -rows @ np.array([black, 128.0, 128.0])])


def small_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Width and height with the shorter side at `short_side` pixels; never enlarged."""
    scale = min(1.0, short_side / min(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


class Viewer:
    """The views of one frame; planes and halvings are shared between them."""

    def __init__(self, image: VideoFrame) -> None:
        self._image = image
        if is_planar(image):
            self._bits = _PLANAR_DEEP.get(image.format.name, 8)
            self._levels = [planes_of(image)]
            full = image.color_range == _FULL_RANGE or image.format.name.startswith("yuvj")
            self._to_rgb = _matrix(int(image.colorspace), full)
        else:  # packed, palette, RGB, gray: rare, so that swscale's cost does not matter; its conversion is trusted
            self._bits = 8
            self._levels = [
                [np.ascontiguousarray(channel) for channel in np.moveaxis(image.to_ndarray(format="rgb24"), 2, 0)]
            ]
            self._to_rgb = None

    def view(self, request: Frames) -> np.ndarray:
        """The frame as (H, W, C), as `request` asks."""
        width, height = small_size(self._image.width, self._image.height, request.short_side)
        planes = self._picked(width, height) if request.fps == 0 else self._averaged(width, height)
        if self._bits > 8:
            planes = [(plane >> (self._bits - 8)).astype(np.uint8) for plane in planes]
        return self._coloured(planes, request.colour)

    def _picked(self, width: int, height: int) -> list[np.ndarray]:
        """Every plane at the size asked: pixels picked at twice the size, averaged 2x2."""
        planes = []
        for plane in self._levels[0]:
            # Never more than the plane has: chroma is often half the size already.
            wide, high = min(2 * width, plane.shape[1]), min(2 * height, plane.shape[0])
            small = cv2.resize(plane, (wide, high), interpolation=cv2.INTER_NEAREST)
            planes.append(cv2.resize(small, (width, height), interpolation=cv2.INTER_AREA))
        return planes

    def _averaged(self, width: int, height: int) -> list[np.ndarray]:
        """Every plane at the size asked, from its smallest halving that is not smaller."""
        planes = []
        for number in range(len(self._levels[0])):
            level = 0
            while True:
                plane = self._levels[level][number]
                if plane.shape[0] < 2 * height or plane.shape[1] < 2 * width:
                    break
                self._halve(level, number)
                level += 1
            planes.append(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR))
        return planes

    def _halve(self, level: int, number: int) -> None:
        if len(self._levels) == level + 1:
            self._levels.append([np.empty((0, 0), np.uint8)] * len(self._levels[0]))
        if not self._levels[level + 1][number].size:
            plane = self._levels[level][number]
            half = (plane.shape[1] // 2, plane.shape[0] // 2)
            self._levels[level + 1][number] = cv2.resize(plane, half, interpolation=cv2.INTER_AREA)

    def _coloured(self, planes: list[np.ndarray], colour: str) -> np.ndarray:
        if self._to_rgb is None:
            pixels_HWC = cv2.merge(planes)
            return pixels_HWC if colour == "rgb" else cv2.cvtColor(pixels_HWC, cv2.COLOR_RGB2GRAY)[..., None]
        if colour == "gray":
            luma = self._to_rgb[0]  # luma's own row: level and black, no chroma
            scaled = cv2.convertScaleAbs(planes[0], alpha=luma[0], beta=-16.0 * luma[0] if luma[0] > 1 else 0.0)
            return scaled[..., None]
        return cv2.transform(cv2.merge(planes), self._to_rgb)
