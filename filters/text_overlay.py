"""Text overlay: how much of the picture is text, how long it stays in its place, where, and what it says.

(T, H, W, 3) uint8 on the proxy grid, every other frame: a text must stand for a second to be read by anybody. Titles,
subtitles and logos stay where they are while the scene moves; `fixed` counts those alone. Needs the extra `ocr`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from curate.extras import require
from curate.stage import PROXY, Clip, Score, column
from filters._text import covered, texts

require("rapidocr", "ocr")

EVERY = 2  # of the proxies' frames: one a second
STAYS = 0.5  # share of the samples from which a text counts as staying in its place
ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "centre", "right")
MOST = 64  # strings kept of a clip


class TextOverlay(Score):
    """Share of the picture that is text, mean over the clip, in [0, 1]."""

    name = "text_overlay"
    frames = PROXY
    reads = "proxies"
    fields = (
        column("score", pa.float32(), "share", "area of the picture that is text, mean over samples"),
        column("fixed", pa.float32(), "share", "area that is text in at least half of the samples"),
        column("persistence", pa.float32(), "share", "samples in which the most lasting text stands in its place"),
        column("place", pa.string(), "", "ninth of the picture with most text, as `bottom centre`; empty without text"),
        column("strings", pa.list_(pa.string()), "", "what the texts say, each once, that most often read first"),
    )
    higher_is = "worse"

    def measure(self, frames_THWC: np.ndarray, clip: Clip) -> Mapping[str, Any]:
        """Measure (T, H, W, 3) uint8 frames."""
        height, width = frames_THWC.shape[1:3]
        found = [texts(frame) for frame in frames_THWC[::EVERY]]
        often_HW = np.mean([covered(boxes, height, width) for boxes, _ in found], axis=0)
        strings = [line for line, _ in Counter(line for _, lines in found for line in lines).most_common(MOST)]
        fixed, persistence = float((often_HW >= STAYS).mean()), float(often_HW.max())
        return {"score": float(often_HW.mean()), "fixed": fixed, "persistence": persistence,
                "place": _place(often_HW), "strings": strings}  # fmt: skip


def _place(often_HW: np.ndarray) -> str:
    """The ninth of the picture in which most text stands, by area and time."""
    sums = [[cell.sum() for cell in np.array_split(row, 3, axis=1)] for row in np.array_split(often_HW, 3, axis=0)]
    row, column_ = divmod(int(np.argmax(sums)), 3)
    return f"{ROWS[row]} {COLUMNS[column_]}" if often_HW.any() else ""
