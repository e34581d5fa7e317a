"""Edge contrast of one picture, and how much of it a small blur takes away.

(H, W, C) uint8; C is 1 or 3.
"""

from __future__ import annotations

import cv2
import numpy as np

from curate.media.views import halved

# Short side at which all are compared: small sources keep their pixels, noise of large ones is averaged away.
SHORT_SIDE = 96
STAIRS = 3  # pixels averaged first: half-resolution chroma comes back as steps 2 pixels wide, which are no edges
BLUR = 5  # pixels of the box blur: one that clearly changes a sharp edge at this size
# Steps between neighbouring pixels below this many grey levels are noise and gradients, not edges.
LEAST_STEP = 4.0
BOX, ONE = np.full(BLUR, 1 / BLUR, np.float32), np.ones(1, np.float32)


def lost_edges(frame_HWC: np.ndarray) -> tuple[float, float]:
    """Sharpness of one (H, W, C) picture, over all channels, and its share of edge pixels; the worse axis counts."""
    pixels = cv2.blur(_small(frame_HWC).astype(np.float32), (STAIRS, STAIRS))
    lost, marked = [], 0.0
    for first, second, kernel in ((np.s_[:-1], np.s_[1:], (ONE, BOX)), (np.s_[:, :-1], np.s_[:, 1:], (BOX, ONE))):
        blurred = cv2.sepFilter2D(pixels, -1, *kernel)
        if not pixels[first].size:
            return 0.0, 0.0  # a line of pixels has no edges across it
        step = cv2.threshold(cv2.absdiff(pixels[second], pixels[first]), LEAST_STEP, 0, cv2.THRESH_TOZERO)[1]
        left = cv2.absdiff(blurred[second], blurred[first])
        gone = cv2.threshold(cv2.subtract(step, left), 0.0, 0, cv2.THRESH_TOZERO)[1]  # below 0 where there is no edge
        marked = max(marked, cv2.countNonZero(step.reshape(-1)) / step.size)
        total = sum(cv2.sumElems(step))
        lost.append(sum(cv2.sumElems(gone)) / total if total > 0.0 else 0.0)
    return min(lost), marked


def _small(frame_HWC: np.ndarray) -> np.ndarray:
    """The picture at `SHORT_SIDE`: halved by area while it is twice too large, then linear; never enlarged."""
    while min(frame_HWC.shape[:2]) >= 2 * SHORT_SIDE:
        frame_HWC = halved(frame_HWC)
    scale = min(1.0, SHORT_SIDE / min(frame_HWC.shape[:2]))
    size = [max(1, round(side * scale)) for side in frame_HWC.shape[1::-1]]
    return cv2.resize(frame_HWC, size, interpolation=cv2.INTER_LINEAR)
