"""Frames as servers and models want them."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from curate.captioning import WHOLE, Pictures

_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 90]


def data_urls(pictures: Pictures) -> list[str]:
    """The frames as data URLs of JPEG: the stored files themselves where there are no bars to cut away."""
    files = list(pictures.jpeg)
    if pictures.box != WHOLE:
        frames = pictures.decoded()[..., ::-1]
        files = [cv2.imencode(".jpg", np.ascontiguousarray(frame), _QUALITY)[1].tobytes() for frame in frames]
    return [f"data:image/jpeg;base64,{base64.b64encode(file).decode()}" for file in files]


def grid(frames_THWC: np.ndarray) -> np.ndarray:
    """The frames as one picture, in reading order, for a model that sees no video."""
    count, height, width, _ = frames_THWC.shape
    columns = int(np.ceil(np.sqrt(count * height / width))) or 1
    rows = -(-count // columns)
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for i, frame in enumerate(frames_THWC):
        y, x = divmod(i, columns)
        sheet[y * height : (y + 1) * height, x * width : (x + 1) * width] = frame
    return sheet
