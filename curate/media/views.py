"""Small pictures out of decoded frames, cheap enough for every frame of a source.

A full-frame conversion by swscale costs as much as decoding the frame. Here the planes are made small first, and
colour is converted at the small size: a view on a time grid halves the planes while they are at least twice too large,
then resizes linearly; a view of *every* frame (`Frames.fps` 0) picks luma at four times the size and averages it, and
picks chroma. Levels are 8-bit full-range R'G'B' (or luma), by the frame's own matrix (BT.601 where it names none) and
range.

Legend: H height, W width, C channels; uint8.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from av.video.frame import VideoFrame

from curate.media.facts import Geometry
from curate.media.frames import Frames

# Wr, Wb of the luma equation by libav's colour space number (ITU-T H.273); 601 is what libav assumes of the rest.
_BT601 = (0.299, 0.114)
_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
PICKED = 4  # times the size asked
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_PLANAR = frozenset({"yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuvj420p", "yuvj422p", "yuvj444p", "yuvj440p"})
_PLANAR_DEEP = {f"yuv{chroma}p{bits}le": bits for chroma in ("420", "422", "444") for bits in (10, 12)}


def planes_of(image: VideoFrame) -> list[np.ndarray] | None:
    """The frame's Y'CbCr planes without the padding of their lines, as views of its memory (uint8 or uint16).

    None for pixel formats that are not planar Y'CbCr of 8, 10 or 12 bits.
    """
    name = image.format.name
    if name not in _PLANAR and name not in _PLANAR_DEEP:
        return None
    kind = np.dtype(np.uint16 if name in _PLANAR_DEEP else np.uint8)
    return [
        np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)[:, : plane.width]  # type: ignore[arg-type]
        for plane in image.planes
    ]


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


def halved(pixels: np.ndarray) -> np.ndarray:
    """Half the size, (H, W) or (H, W, C), by the mean of 2x2 pixels; of an odd line the last pixel is blended in."""
    height, width = pixels.shape[:2]
    # Where a side is odd, OpenCV's area average takes twenty times as long as linear interpolation, which is the same
    # mean moved by a hundredth of a pixel.
    exact = height % 2 == 0 and width % 2 == 0
    return cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA if exact else cv2.INTER_LINEAR)


class Viewer:
    """The views of one frame; halvings of its planes are shared between them."""

    def __init__(self, image: VideoFrame, planes: list[np.ndarray], geometry: Geometry) -> None:
        """A frame and its `planes_of`."""
        self._geometry = geometry
        self._bits = _PLANAR_DEEP.get(image.format.name, 8)
        full = image.color_range == _FULL_RANGE or image.format.name.startswith("yuvj")
        self._to_rgb: np.ndarray | None = _matrix(int(image.colorspace), full)
        self._levels = [planes]

    @classmethod
    def of_rgb(cls, pixels_HWC: np.ndarray, geometry: Geometry) -> Viewer:
        """RGB pixels (H, W, 3), from a decoder or a pixel format that gives nothing else."""
        made = cls.__new__(cls)
        made._geometry, made._bits, made._to_rgb = geometry, 8, None
        made._levels = [[np.ascontiguousarray(channel) for channel in np.moveaxis(pixels_HWC, 2, 0)]]
        return made

    def view(self, request: Frames) -> np.ndarray:
        """The shown picture as (H, W, C), as `request` asks."""
        coded_height, coded_width = self._levels[0][0].shape
        width, height = small_size(*self._geometry.shown(coded_width, coded_height), request.short_side)
        if self._geometry.rotation % 180:
            width, height = height, width
        planes = self._picked(width, height) if request.fps == 0 else self._averaged(width, height)
        if self._bits > 8:
            planes = [(plane >> (self._bits - 8)).astype(np.uint8) for plane in planes]
        return upright(self._coloured(planes, request.colour), self._geometry)

    def _picked(self, width: int, height: int) -> list[np.ndarray]:
        """Every plane at the size asked: luma (or R, G, B) picked at a larger size and averaged, chroma picked."""
        planes = []
        for number, plane in enumerate(self._levels[0]):
            if number == 0 or self._to_rgb is None:
                wide, high = min(PICKED * width, plane.shape[1]), min(PICKED * height, plane.shape[0])
                plane = cv2.resize(plane, (wide, high), interpolation=cv2.INTER_NEAREST)
                planes.append(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA))
            else:
                planes.append(cv2.resize(plane, (width, height), interpolation=cv2.INTER_NEAREST))
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
            self._levels[level + 1][number] = halved(self._levels[level][number])

    def _coloured(self, planes: list[np.ndarray], colour: str) -> np.ndarray:
        if self._to_rgb is None:
            pixels_HWC = cv2.merge(planes)
            return pixels_HWC if colour == "rgb" else cv2.cvtColor(pixels_HWC, cv2.COLOR_RGB2GRAY)[..., None]
        if colour == "gray":
            level = self._to_rgb[0, 0]  # above 1: limited range, where black is 16
            beta = -16.0 * level if level > 1.0 else 0.0
            table = np.clip(np.rint(np.arange(256) * level + beta), 0, 255).astype(np.uint8)
            return cv2.LUT(planes[0], table)[..., None]
        return cv2.transform(cv2.merge(planes), self._to_rgb)


def upright(pixels_HWC: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Turn a coded picture clockwise until it is upright."""
    turns = geometry.rotation // 90 % 4
    return np.ascontiguousarray(np.rot90(pixels_HWC, -turns)) if turns else pixels_HWC
