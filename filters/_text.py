"""Finds and reads text in pictures with RapidOCR: PP-OCR models that come in its wheel, on ONNX Runtime, one thread.

(H, W, 3) uint8 RGB. The extra `ocr` installs it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np

# Short side at which text is looked for: 256 lines are enlarged to it, since letters of 8 pixels are found better so.
SHORT_SIDE = 384
# Confidence of its reading from which a box is text: leaves and walls are found too, and read as nonsense, or as one
# sign over half the picture.
SURE = 0.6
LEAST = 2  # characters
_ONE_THREAD = {f"EngineConfig.onnxruntime.{which}_op_num_threads": 1 for which in ("intra", "inter")}


@cache
def _engine() -> Any:
    """The models, loaded once a process. Nothing is downloaded: the wheel holds them."""
    from rapidocr import RapidOCR

    return RapidOCR(
        params={
            **_ONE_THREAD, "Global.log_level": "critical", "Global.use_cls": False, "Global.text_score": SURE,
            "Det.limit_side_len": SHORT_SIDE, "Det.limit_type": "min",
        }
    )  # fmt: skip


def texts(frame_HWC: np.ndarray) -> tuple[list[np.ndarray], list[str]]:
    """Corners of every text that can be read, (4, 2) float32 in pixels (x, y), and what it says, from the top down."""
    found = _engine()(np.ascontiguousarray(frame_HWC[..., ::-1]))  # it takes BGR, as OpenCV does
    if found.boxes is None:
        return [], []
    lines = (text.strip() for text in found.txts)
    read = [(box, line) for box, line in zip(found.boxes, lines, strict=True) if len(line) >= LEAST]
    return [box for box, _ in read], [line for _, line in read]


def covered(boxes: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """(H, W) bool: pixels inside of any box."""
    mask = np.zeros((height, width), np.uint8)
    for box in boxes:
        cv2.fillPoly(mask, [np.rint(box).astype(np.int32)], 1)
    return mask.astype(bool)
