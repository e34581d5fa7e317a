"""Sharpness: the share of edge contrast that a small blur would take away, in [0, 1].

(T, H, W, 3) uint8 on the proxy grid. Edges that are blurred already lose little when blurred again (Crete et
al., "The blur effect", SPIE 2007, turned round). It is a ratio, so contrast and brightness cancel while
edges stand out of the noise (below a fifth of full light they do not: see `edges`), and it is taken at one size for
every source, so a downscaled copy scores like its original.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from curate.stage import Clip, Frames, Score, column
from filters._edges import lost_edges


class Sharpness(Score):
    """0 where nothing is in focus (or nothing is to be seen), about 0.5 and more for crisp pictures."""

    name = "sharpness"
    version = 2
    frames = Frames(2.0, 256, "rgb")
    fields = (
        column("score", pa.float32(), "share", "edge contrast that a 5 px blur at 96 px takes away"),
        column("edges", pa.float32(), "share", "pixels on an edge; near 0 the score rests on little"),
    )
    higher_is = "better"

    def measure(self, frames_THWC: np.ndarray, clip: Clip) -> Mapping[str, Any]:
        """Measure (T, H, W, 3) uint8 frames."""
        scores, edges = zip(*(lost_edges(frame) for frame in frames_THWC), strict=True)
        return {"score": float(np.mean(scores)), "edges": float(np.mean(edges))}
