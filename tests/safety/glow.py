"""A stand-in screen, written for the tests: how white the whitest moment is, whatever it is asked about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from curate.stage import Clip, Screen


class Glow(Screen):
    """Mean brightness of each frame, in [0, 1]."""

    name = "glow"

    def measure(self, frames_THWC: np.ndarray, clip: Clip) -> Mapping[str, Any]:
        """Measure (T, H, W, 3) uint8 frames."""
        glow_T = frames_THWC.mean(axis=(1, 2, 3)) / 255
        return dict.fromkeys(self.categories, glow_T)
