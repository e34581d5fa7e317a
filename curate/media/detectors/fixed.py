"""No detection: the whole source is one scene, which the maximum length then cuts into equal pieces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from curate.stage import Boundary


class Fixed:
    """Finds no boundary."""

    name = "fixed"
    version = 1
    frames = None

    def push(self, frames_THWC: np.ndarray, times_s: Sequence[float], index: int) -> list[Boundary]:
        """Take frames and find nothing."""
        return []

    def finish(self) -> list[Boundary]:
        """Find nothing."""
        return []
