"""The entries of a hash list for pictures: of their bytes, of the whole picture, and of crops that copies may be.

A frame that shows a part of a picture holds nothing of the rest, so the list must hold the part. A copy may have lost
up to a tenth on each side, each side another share: crops lose `LOST` on each of four sides in all combinations, so
that a copy lies at most 2 percent from one of them on any side; that, and a re-encoding, are within the limits of
`filters._hash_lists`. PDQ is taken of the whole picture as Meta's tools do, and of none of the crops, since it stands
no 2 percent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path

import cv2
import numpy as np

from curate.errors import SpecError
from filters._frame_hashes import Box, picture_box, view_hashes
from filters._hash_lists import Entry
from filters._pdq import pdq_of_rgb

LOST = (0.0, 0.04, 0.08)  # share that a crop loses on a side
SHORT_SIDE = 256  # pixels to which a picture is shrunk before its crops are hashed


def entries_of_pictures(pictures: Iterable[Path | str | np.ndarray]) -> list[Entry]:
    """Entries of picture files and of (H, W, 3) uint8 RGB pictures; SpecError for a file that is no picture."""
    return [entry for picture in pictures for entry in _entries(picture)]


def _entries(picture: Path | str | np.ndarray) -> list[Entry]:
    if isinstance(picture, np.ndarray):
        return _of_pixels(picture)
    try:
        data = Path(picture).read_bytes()
    except OSError as error:
        raise SpecError(f"the picture {picture} cannot be read: {error.strerror}; leave it out or mend that") from error
    pixels_HWC = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if pixels_HWC is None:
        raise SpecError(f"{picture} is no picture that OpenCV reads; leave it out, or list its sha256 by hand")
    return [Entry("sha256", hashlib.sha256(data).hexdigest()), *_of_pixels(pixels_HWC[..., ::-1])]


def _of_pixels(picture_HWC: np.ndarray) -> list[Entry]:
    gray_HW = cv2.cvtColor(np.ascontiguousarray(picture_HWC), cv2.COLOR_RGB2GRAY)
    height, width = gray_HW.shape
    scale = min(1.0, SHORT_SIDE / min(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small_HW = cv2.resize(gray_HW, size, interpolation=cv2.INTER_AREA)
    entries: dict[Entry, None] = {}
    whole = (0, size[1], 0, size[0])
    most = int(view_hashes(small_HW[None], (1.0,))[1][0, 0])  # a part has no more to tell, as in `frame_hashes`
    for box in dict.fromkeys((whole, picture_box(small_HW))):
        top, bottom, left, right = (round(edge / scale) for edge in box)
        text, quality = pdq_of_rgb(picture_HWC[top : min(bottom, height), left : min(right, width)])
        entries[Entry("pdq", text.hex(), quality)] = None
        for crop_HW in _crops(small_HW, box):
            views, information = view_hashes(crop_HW[None], (1.0,))
            entries[Entry("phash", views.tobytes().hex(), min(most, int(information[0, 0])))] = None
    return list(entries)


def _crops(gray_HW: np.ndarray, box: Box) -> Iterator[np.ndarray]:
    """The box without `LOST` of each side, the whole first."""
    top, bottom, left, right = box
    high, wide = bottom - top, right - left
    for a, b, c, d in product(LOST, repeat=4):
        rows = slice(top + round(a * high), bottom - round(b * high))
        yield gray_HW[rows, left + round(c * wide) : right - round(d * wide)]
