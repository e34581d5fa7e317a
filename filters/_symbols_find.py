"""Looks for every reference in every frame: where may it be, and is it there?

(T, H, W, 3) uint8 RGB; the answers are confidences in [0, 1] and boxes in shares of the frame's sides.
"""

from __future__ import annotations

import cv2
import numpy as np

from filters._symbols import Reference
from filters._symbols_check import Checker, corners
from filters._symbols_regions import SHORT_SIDE, places, regions

AGREE, SPOT = (0.78, 0.96), (0.43, 0.83)  # no and full confidence by agreement of the whole, and of its worst spot


class Finder:
    """Finds R references."""

    def __init__(self, references: list[Reference]) -> None:
        """Prepare them."""
        self.checkers = [Checker(reference) for reference in references]

    def clip(self, frames_THWC: np.ndarray) -> tuple[np.ndarray, list[list[list[float]]]]:
        """Confidences (T, R), and for each frame and reference a box, left, top, right, bottom."""
        found = [self.frame(frame) for frame in frames_THWC]
        return np.array([[sure for sure, _ in row] for row in found]), [[box for _, box in row] for row in found]

    def frame(self, frame_HWC: np.ndarray) -> list[tuple[float, list[float]]]:
        """Confidence and box of each reference in one frame."""
        scale = max(1.0, SHORT_SIDE / min(frame_HWC.shape[:2]))
        if scale > 1:
            frame_HWC = cv2.resize(frame_HWC, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        lab_HWC = cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2LAB)
        shapes, channels = regions(lab_HWC)
        planes = [np.ascontiguousarray(plane) for plane in cv2.split(cv2.GaussianBlur(lab_HWC, (0, 0), 1.0))]
        return [self._best(checker, lab_HWC, shapes, channels, planes) for checker in self.checkers]

    def _best(self, checker, lab_HWC, shapes, channels, planes) -> tuple[float, list[float]]:  # noqa: ANN001
        best: tuple[float, list[float]] = (0.0, [])
        for place in places(checker.reference, shapes, channels, planes):
            matrix, explained = checker.align(lab_HWC, place)
            if explained:
                whole, spot = checker.confidence(lab_HWC, matrix)
                sure = min(_ramp(whole, AGREE), _ramp(spot, SPOT))
                if sure > best[0]:
                    size = np.array(lab_HWC.shape[1::-1])
                    seen = np.clip(corners(matrix) / size, 0, 1)
                    best = (sure, [float(v) for v in (*seen.min(axis=0), *seen.max(axis=0))])
        return best


def _ramp(value: float, ends: tuple[float, float]) -> float:
    """From 0 at one end to 1 at the other."""
    return float(np.clip((value - ends[0]) / (ends[1] - ends[0]), 0, 1))
