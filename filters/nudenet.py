"""NudeNet: exposed and covered parts of bodies, found by an object detector. Needs the extra `nudenet` (AGPL-3.0).

(T, H, W, 3) uint8 proxies. Each frame is looked at whole and, where it is not square, in three crops, where small
regions are larger. The detector knows parts of bodies, not acts, and it was made for photographs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from curate.extras import require
from curate.stage import Clip, Screen, column
from filters._crops import crops
from filters._nudenet import CLASSES, EXPLICIT, SUGGESTIVE, scores, weights_sha256

require("nudenet", "nudenet")

_MEANS = {"explicit": EXPLICIT, "suggestive": SUGGESTIVE}


class NudeNet(Screen):
    """Highest detection score of the classes that mean a category."""

    name = "nudenet"
    speaks_for = tuple(_MEANS)
    evidence = tuple(
        column(name.lower(), pa.float32(), "score", f"highest detection of {name} in the clip") for name in CLASSES
    )

    def measure(self, frames_THWC: np.ndarray, clip: Clip) -> Mapping[str, Any]:
        """Measure (T, H, W, 3) uint8 frames."""
        worst = [_worst(frame) for frame in frames_THWC]
        by_category = {
            name: np.array([max(found[part] for part in _MEANS[name]) for found in worst]) for name in self.categories
        }
        return {**by_category, **{name.lower(): max(found[name] for found in worst) for name in CLASSES}}

    def identity(self) -> Mapping[str, Any]:
        """The weights."""
        return {"weights": weights_sha256()}


def _worst(frame_HWC: np.ndarray) -> dict[str, float]:
    """The highest score of each class over a frame and its crops."""
    pictures = [frame_HWC]
    if frame_HWC.shape[0] != frame_HWC.shape[1]:
        pictures += list(crops(frame_HWC[None], min(frame_HWC.shape[:2]))[0])
    found = [scores(picture) for picture in pictures]
    return {name: max(one[name] for one in found) for name in CLASSES}
